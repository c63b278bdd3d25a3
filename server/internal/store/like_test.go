package store_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

func TestLike(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"%", "", true}, {"_", "", false},
		{"abc", "abc", true}, {"abc", "ABC", true}, {"ABC", "abc", true}, {"abc", "abcd", false}, {"abc", "ab", false},
		{"%", "anything", true}, {"%%", "anything", true}, {"a%", "abc", true}, {"%c", "abc", true}, {"%b%", "abc", true},
		{"%b", "abc", false}, {"a%c", "ac", true}, {"a%c", "abcbc", true}, {"a%c", "abcb", false}, {"%ab%ab", "abab", true},
		{"%ab%ab", "ab", false}, {"a_c", "abc", true}, {"a_c", "ac", false}, {"___", "abc", true}, {"__", "abc", false},
		{"_%", "a", true}, {"%_", "", false}, {"%_%", "a", true},
		{`\%`, "%", true}, {`\%`, "a", false}, {`\_`, "_", true}, {`\_`, "a", false}, {`\\`, `\`, true}, {`a\%b`, "a%b", true},
		{`a\%b`, "axb", false}, {`%\%`, "100%", true}, {`%\%`, "100", false}, {`\a`, "a", true}, {`\a`, "A", true},
		// A backslash at the end, which escapes nothing, stands for itself.
		{`a\`, `a\`, true}, {`a\`, "a", false},
		{"5c17____", "5C173FF2", true}, {"5c17___", "5C173FF2", false},
		{"é", "É", true}, {"_", "é", true}, {"_", "日", true}, {"__", "日", false}, {"%本", "日本", true}, {"e", "é", false},
		{"a ", "a", false}, {"a", "a ", false},
	} {
		if got := store.Like(test.pattern, test.s); got != test.want {
			t.Errorf("Like(%q, %q) = %v", test.pattern, test.s, got)
		}
	}
}

func TestLikeTakesNoExponentialTime(t *testing.T) {
	// A naive matcher would not end.
	if store.Like(strings.Repeat("%a", 500)+"b", strings.Repeat("a", 5000)) {
		t.Error("matches")
	}
}

func TestIsPattern(t *testing.T) {
	for s, want := range map[string]bool{"": false, "5c173ff2": false, "a b": false, "%": true, "a_": true, `a\b`: true} {
		if got := store.IsPattern(s); got != want {
			t.Errorf("IsPattern(%q) = %v", s, got)
		}
	}
}

// asRegexp is LIKE in other words.
func asRegexp(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("(?is)^")
	for r := []rune(pattern); len(r) > 0; r = r[1:] {
		switch {
		case r[0] == '%':
			b.WriteString(".*")
		case r[0] == '_':
			b.WriteString(".")
		case r[0] == '\\' && len(r) > 1:
			r = r[1:]
			fallthrough
		default:
			b.WriteString(regexp.QuoteMeta(string(r[0])))
		}
	}
	b.WriteString("$")
	return regexp.MustCompile(b.String())
}

func FuzzLike(f *testing.F) {
	for _, seed := range [][2]string{{"5c17%", "5c173ff2"}, {`a\%_%`, "a%b"}, {"%a%b%", "xxaxxbxx"}, {`\`, `\`}, {"", ""}, {"é%", "été"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := store.Like(pattern, s)
		if !store.IsPattern(pattern) && isASCII(pattern+s) && got != strings.EqualFold(pattern, s) {
			t.Fatalf("Like(%q, %q) = %v, and it is no pattern", pattern, s, got)
		}
		// Beyond ASCII, regular expressions fold more letters, and take broken text otherwise.
		if isASCII(pattern+s) && got != asRegexp(pattern).MatchString(s) {
			t.Fatalf("Like(%q, %q) = %v", pattern, s, got)
		}
		if !store.Like("%", s) || got && !strings.HasSuffix(pattern, `\`) && !store.Like(pattern+"%", s) {
			t.Fatalf("%q: %% at the end matches less", s)
		}
	})
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
