// Package pyliteral reads Python literals: what repr() makes of numbers, strings, booleans, None, tuples, lists and
// dictionaries. Devices of the first generation write their metadata as one. It evaluates nothing, and it is bounded in the
// length, the depth and the number of values that it takes. It imports nothing of this project.
//
// The grammar is that of the Python reference (https://docs.python.org/3/reference/lexical_analysis.html#literals), less
// complex numbers, sets, triple quotes, raw and formatted strings, \N{} escapes, and strings or comments one after the other.
package pyliteral

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a literal. EXIF segments have at most 64 KiB.
const (
	MaxLength = 64 << 10
	MaxDepth  = 16
	MaxValues = 2000
)

// A value is nil (None), bool, float64 (any number), string, [Tuple], [List] or [Dict].
type (
	// Tuple is (a, b).
	Tuple []any
	// List is [a, b].
	List []any
	// Dict is {a: b}, in the order in which it is written. Of equal keys the last counts.
	Dict []Item
	// Item is a pair in a [Dict].
	Item struct{ Key, Value any }
)

// Parse reads one literal with nothing but blanks around it. Beside what Python takes as a literal it takes inf and nan, as
// repr() writes numbers that are not finite.
func Parse(s string) (any, error) {
	if len(s) > MaxLength {
		return nil, fmt.Errorf("%d bytes are too long", len(s))
	}
	p := parser{s: s}
	v, err := p.value(0)
	if err == nil {
		p.blanks()
		if p.at < len(p.s) {
			err = errors.New("more after the end")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", p.at, err)
	}
	return v, nil
}

type parser struct {
	s      string
	at     int
	values int
}

func (p *parser) blanks() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n\f", p.s[p.at]) >= 0 {
		p.at++
	}
}

// peek gives the next byte that is no blank, 0 at the end.
func (p *parser) peek() byte {
	p.blanks()
	if p.at < len(p.s) {
		return p.s[p.at]
	}
	return 0
}

func (p *parser) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errors.New("nested too deeply")
	}
	if p.values++; p.values > MaxValues {
		return nil, errors.New("too many values")
	}
	switch c := p.peek(); {
	case c == 0 && p.at >= len(p.s):
		return nil, errors.New("it ends too early")
	case c == '(':
		return p.tuple(depth)
	case c == '[':
		items, _, err := p.items(']', depth)
		return List(items), err
	case c == '{':
		return p.dict(depth)
	case c == '\'', c == '"':
		return p.str(false)
	case '0' <= c && c <= '9', c == '.', c == '-', c == '+':
		return p.number()
	case isLetter(c):
		return p.word()
	}
	return nil, errors.New("this is no literal")
}

// items reads what is between brackets, and says whether there was a comma.
func (p *parser) items(end byte, depth int) (items []any, comma bool, err error) {
	p.at++
	for p.peek() != end {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, comma, err
		}
		items = append(items, v)
		switch p.peek() {
		case ',':
			comma = true
			p.at++
		case end:
		default:
			return nil, comma, fmt.Errorf("expected , or %c", end)
		}
	}
	p.at++
	return items, comma, nil
}

func (p *parser) tuple(depth int) (any, error) {
	items, comma, err := p.items(')', depth)
	if err == nil && len(items) == 1 && !comma {
		return items[0], nil
	}
	return Tuple(items), err
}

func (p *parser) dict(depth int) (any, error) {
	p.at++
	dict := Dict{}
	for p.peek() != '}' {
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.peek() != ':' {
			return nil, errors.New("expected a colon behind a key")
		}
		p.at++
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		dict = append(dict, Item{key, value})
		switch p.peek() {
		case ',':
			p.at++
		case '}':
		default:
			return nil, errors.New("expected , or }")
		}
	}
	p.at++
	return dict, nil
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }

// word reads a name, or a string with a letter before it.
func (p *parser) word() (any, error) {
	start := p.at
	for p.at < len(p.s) && isLetter(p.s[p.at]) {
		p.at++
	}
	switch w := p.s[start:p.at]; w {
	case "None":
		return nil, nil //nolint:nilnil // None is a value
	case "True":
		return true, nil
	case "False":
		return false, nil
	case "inf":
		return math.Inf(1), nil
	case "nan":
		return math.NaN(), nil
	case "u", "U", "b", "B":
		if p.at < len(p.s) && (p.s[p.at] == '\'' || p.s[p.at] == '"') {
			return p.str(w == "b" || w == "B")
		}
	}
	p.at = start
	return nil, errors.New("this name is no literal")
}

// number reads an integer or a float, which may be too large for a float64 and become infinite.
func (p *parser) number() (any, error) {
	start := p.at
	if p.s[p.at] == '-' || p.s[p.at] == '+' {
		sign := 1.0
		if p.s[p.at] == '-' {
			sign = -1
		}
		p.at++
		for _, name := range []string{"inf", "nan"} {
			if strings.HasPrefix(p.s[p.at:], name) {
				p.at += len(name)
				f, err := strconv.ParseFloat(name, 64)
				return math.Copysign(f, sign), err
			}
		}
	}
	for p.at < len(p.s) {
		c := p.s[p.at]
		exponent := (c == '-' || c == '+') && p.s[p.at-1]|0x20 == 'e'
		if !('0' <= c && c <= '9' || c == '.' || c|0x20 == 'e' || exponent) {
			break
		}
		p.at++
	}
	f, err := strconv.ParseFloat(p.s[start:p.at], 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		p.at = start
		return nil, errors.New("this is no number")
	}
	return f, nil
}

// str reads a quoted string. A string of text may hold any character that it can name; what cannot be one, and bytes
// beyond ASCII in a byte string, are refused, so that the result always is valid UTF-8.
func (p *parser) str(isBytes bool) (string, error) {
	quote := p.s[p.at]
	p.at++
	var b strings.Builder
	for p.at < len(p.s) {
		switch c := p.s[p.at]; {
		case c == quote:
			p.at++
			return b.String(), nil
		case c == '\n' || c == '\r':
			return "", errors.New("a line ends inside a string")
		case c == '\\':
			if err := p.escape(&b, isBytes); err != nil {
				return "", err
			}
		case c < utf8.RuneSelf:
			b.WriteByte(c)
			p.at++
		default:
			r, n := utf8.DecodeRuneInString(p.s[p.at:])
			if r == utf8.RuneError && n == 1 || isBytes {
				return "", errors.New("a string that is not UTF-8")
			}
			b.WriteString(p.s[p.at : p.at+n])
			p.at += n
		}
	}
	return "", errors.New("a string does not end")
}

var simpleEscapes = map[byte]byte{
	'\\': '\\', '\'': '\'', '"': '"', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
}

func (p *parser) escape(b *strings.Builder, isBytes bool) error {
	if p.at+1 >= len(p.s) {
		return errors.New("a string does not end")
	}
	c := p.s[p.at+1]
	if e, ok := simpleEscapes[c]; ok {
		b.WriteByte(e)
		p.at += 2
		return nil
	}
	first, digits, base := p.at+2, 0, 16
	switch {
	case c == '\n':
		p.at += 2
		return nil
	case c == 'x':
		digits = 2
	case c == 'u' && !isBytes:
		digits = 4
	case c == 'U' && !isBytes:
		digits = 8
	case '0' <= c && c <= '7':
		first, base = p.at+1, 8
		for digits < 3 && first+digits < len(p.s) && '0' <= p.s[first+digits] && p.s[first+digits] <= '7' {
			digits++
		}
	default: // Python keeps the backslash of an escape that it does not know
		b.WriteByte('\\')
		p.at++
		return nil
	}
	if first+digits > len(p.s) {
		return errors.New("a string does not end")
	}
	n, err := strconv.ParseUint(p.s[first:first+digits], base, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) || isBytes && n >= utf8.RuneSelf {
		return errors.New("an escape that is no character")
	}
	b.WriteRune(rune(n))
	p.at = first + digits
	return nil
}
