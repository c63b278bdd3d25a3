package pyliteral_test

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/pyliteral"
)

type (
	tuple = pyliteral.Tuple
	list  = pyliteral.List
	dict  = pyliteral.Dict
)

func TestParse(t *testing.T) {
	for s, want := range map[string]any{
		"None": nil, "True": true, "False": false,
		"0": 0.0, "-12": -12.0, "+3": 3.0, "21.9": 21.9, ".5": 0.5, "5.": 5.0, "1e-05": 1e-5, "1E5": 1e5, "1.5e+3": 1500.0,
		"21.899999618530273": 21.899999618530273,
		"1e999":              math.Inf(1), "-1e999": math.Inf(-1), "inf": math.Inf(1), "-inf": math.Inf(-1), "nan": math.NaN(), "-nan": math.NaN(),
		" \t\r\n 7 \n":           7.0,
		`''`:                     "",
		`'a"b'`:                  `a"b`,
		`"a'b"`:                  `a'b`,
		`'it\'s'`:                "it's",
		`'\\ \n\t\r\a\b\f\v'`:    "\\ \n\t\r\a\b\f\v",
		`'\x41\u00e9\U0001F41D'`: "Aé\U0001F41D",
		`'\101\0\18'`:            "A\x00\x018",
		`'\q'`:                   `\q`,
		"'a\\\nb'":               "ab",
		"'é'":                    "é",
		"u'é'":                   "é",
		`b'abc'`:                 "abc",
		"()":                     tuple(nil),
		"(1)":                    1.0,
		"((1))":                  1.0,
		"(1,)":                   tuple{1.0},
		"(1, 2)":                 tuple{1.0, 2.0},
		"(1, 2,)":                tuple{1.0, 2.0},
		"[]":                     list(nil),
		"[1, [None], (2,)]":      list{1.0, list{nil}, tuple{2.0}},
		"{}":                     dict{},
		"{'a': 1, 'a': 2,}":      dict{{"a", 1.0}, {"a", 2.0}},
		"{1: {'b': (1, 2)}}":     dict{{1.0, dict{{"b", tuple{1.0, 2.0}}}}},
	} {
		got, err := pyliteral.Parse(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", s, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":                 "",
		"blanks":                  "  ",
		"a NUL":                   "\x00",
		"a name":                  "foo",
		"a call":                  "Fraction(1, 2)",
		"a name in a name":        "Nonesuch",
		"two values":              "1 2",
		"a comma":                 "1,",
		"no number":               "1.2.3",
		"a sign":                  "-",
		"two signs":               "--1",
		"hexadecimal":             "0x10",
		"a complex number":        "1j",
		"an open tuple":           "(1, 2",
		"an open list":            "[1",
		"an open dict":            "{'a': 1",
		"an open string":          "'abc",
		"an open escape":          `'\`,
		"an open number":          `'\x4`,
		"a wrong bracket":         "(1]",
		"a lone bracket":          ")",
		"no comma":                "(1 2)",
		"two commas":              "(1,,2)",
		"a leading comma":         "(,)",
		"a set":                   "{1, 2}",
		"a key without value":     "{'a':}",
		"a value without key":     "{: 1}",
		"a line in a string":      "'a\nb'",
		"bytes that are no UTF-8": "'\xff'",
		"half a surrogate":        `'\ud800'`,
		"beyond Unicode":          `'\UFFFFFFFF'`,
		"an escape of nothing":    `'\xzz'`,
		"bytes beyond ASCII":      `b'\xff'`,
		"text after":              "{} # comment",
		"deep":                    strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"deep and open":           strings.Repeat("{1:", 20000),
		"wide":                    "[" + strings.Repeat("1,", 30000) + "]",
		"long":                    "'" + strings.Repeat("a", pyliteral.MaxLength) + "'",
	} {
		if v, err := pyliteral.Parse(s); err == nil {
			t.Errorf("%s: taken as %v", name, v)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"{'lng': 0.0, 'lat': 0.0, 'alt': 0.0, 'datetime': '2020-06-20 06:38:36', 'no_flash_exposure_time': (23646, 1000000), 'temp': 21.9}",
		"[1, -2.5e-3, None, True, False, (), (1,), {}, inf, nan]", `'\x41\u00e9\U0001F41D\101\q\\'`, "b'a' ", "u\"é\"", "((((1))))", "{'a': {'b': [", `'\`, "-",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := pyliteral.Parse(s)
		if err != nil {
			if m := err.Error(); len(m) > 200 || !utf8.ValidString(m) {
				t.Errorf("message %q", m)
			}
			return
		}
		count := 0
		check(t, v, 0, &count)
	})
}

// check fails where a value is of a type, or beyond a limit, that Parse promises not to give.
func check(t *testing.T, v any, depth int, count *int) {
	t.Helper()
	if *count++; depth > pyliteral.MaxDepth || *count > pyliteral.MaxValues {
		t.Fatal("beyond the limits")
	}
	switch v := v.(type) {
	case nil, bool, float64:
	case string:
		if !utf8.ValidString(v) {
			t.Errorf("%q is not UTF-8", v)
		}
	case pyliteral.Tuple:
		for _, item := range v {
			check(t, item, depth+1, count)
		}
	case pyliteral.List:
		for _, item := range v {
			check(t, item, depth+1, count)
		}
	case pyliteral.Dict:
		for _, item := range v {
			check(t, item.Key, depth+1, count)
			check(t, item.Value, depth+1, count)
		}
	default:
		t.Errorf("a %T", v)
	}
}
