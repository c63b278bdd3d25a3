package svg

import "testing"

func FuzzParsePath(f *testing.F) {
	f.Add("M1,1 c1,2 3,4 5,6 S 1 2 3 4 q1 2 3 4T5 5h3 v4z m1 1 l2 2 3-3e1.5z")
	f.Fuzz(func(t *testing.T, d string) {
		const limit = 10_000
		outline, err := parsePath(d, limit)
		if err != nil {
			return
		}
		points := 0
		for _, polygon := range outline {
			points += len(polygon)
		}
		if points > 2*limit {
			t.Errorf("%d points of %q", points, d)
		}
	})
}

func FuzzParseTransform(f *testing.F) {
	f.Add("translate(1) scale(2,3), rotate(10 1-2)matrix(1 2 3 4 5 6)skewX(1)skewY(2)")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseTransform(text)
		if err != nil {
			return
		}
		if back, ok := m.inverse(); ok && m != identity && back == (matrix{}) {
			t.Errorf("the inverse of %v is nothing", m)
		}
	})
}
