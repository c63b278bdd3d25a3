package store

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Like says whether s matches the SQL LIKE pattern as MariaDB does: % any string, _ any one character, \ takes the next
// character as it is, letters compared without case. Devices and accounts are few, so they are matched here rather than
// in SQL, and both databases give the same answer. Time is O(len(pattern) * len(s)).
func Like(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0 // where the last % was, and the place in s up to which it has eaten
	for i < len(s) {
		sr, sn := utf8.DecodeRuneInString(s[i:])
		if p < len(pattern) {
			pr, pn := utf8.DecodeRuneInString(pattern[p:])
			switch {
			case pr == '%':
				star, mark = p, i
				p += pn
				continue
			case pr == '_':
				p += pn
				i += sn
				continue
			case pr == '\\' && p+pn < len(pattern):
				lr, ln := utf8.DecodeRuneInString(pattern[p+pn:])
				if fold(lr) == fold(sr) {
					p += pn + ln
					i += sn
					continue
				}
			case fold(pr) == fold(sr):
				p += pn
				i += sn
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, mn := utf8.DecodeRuneInString(s[mark:])
		mark += mn
		p, i = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '%' {
		p++
	}
	return p == len(pattern)
}

// IsPattern says whether s means anything else to [Like] than itself.
func IsPattern(s string) bool {
	for i := range len(s) {
		if s[i] == '%' || s[i] == '_' || s[i] == '\\' {
			return true
		}
	}
	return false
}

// LikeExactly gives the pattern that matches s alone, letters without case.
func LikeExactly(s string) string { return literals.Replace(s) }

var literals = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

func fold(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }
