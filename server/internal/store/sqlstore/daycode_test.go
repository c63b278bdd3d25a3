package sqlstore

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

const aDayOfTests = 19844 // 2024-05-01

func pointAt(second int64, id int64, values ...int32) store.Point {
	p := store.Point{At: aDayOfTests*store.DaySeconds + second, ID: id}
	for m := range p.Values {
		p.Values[m] = store.Missing
	}
	copy(p.Values[:], values)
	return p
}

func TestAKeptDayComesBack(t *testing.T) {
	for name, d := range map[string]dayPoints{
		"empty":  {},
		"single": {points: []store.Point{pointAt(0, 1)}},
		"extremes": {
			points: []store.Point{
				pointAt(0, math.MaxInt64, math.MaxInt32, math.MinInt32+1, 0), pointAt(1, 1, math.MinInt32+1, math.MaxInt32, store.Missing, -1),
				pointAt(store.DaySeconds-1, 77, store.Missing, store.Missing, -5, 5, 49_261_420, -123_250_880),
			},
			insects: map[string][]int32{"a": {1, store.Missing, math.MaxInt32}, "": {store.Missing, store.Missing, store.Missing}, "uid": {0, 0, 7}},
		},
		"one algorithm": {
			points:  []store.Point{pointAt(5, 1), pointAt(6, 2)},
			insects: map[string][]int32{"": {4, store.Missing}, "uid": {4, store.Missing}},
		},
	} {
		kept := d.encode()
		for _, algorithm := range []string{"a", "", "uid", "none"} {
			want := append([]store.Point{}, d.points...)
			for i, n := range d.insects[algorithm] {
				want[i].Values[store.Insects] = n
			}
			// whatever was in the buffer must not shine through
			buffer := []store.Point{{At: 9, ID: 9, Values: [store.Measures]int32{9, 9, 9, 9, 9, 9, 9}}}
			got, err := decodeDay(kept, aDayOfTests, algorithm, buffer)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, algorithm %q (-want +got):\n%s", name, algorithm, diff)
			}
		}
		for n := range kept {
			if _, err := decodeDay(kept[:n], aDayOfTests, "none", nil); err == nil {
				t.Errorf("%s: the first %d of %d bytes are taken for all", name, n, len(kept))
			}
		}
	}
}

func TestDaysTooLargeAreNotKept(t *testing.T) {
	d := dayPoints{insects: map[string][]int32{}}
	for i := range maxKeptImages + 1 {
		if kept := d.encode(); i%512 == 0 && kept == nil {
			t.Errorf("%d images are not kept", i)
		}
		d.points = append(d.points, pointAt(int64(i), int64(i)))
	}
	if d.encode() != nil {
		t.Error("too many images are kept")
	}
}

func FuzzDecodeDay(f *testing.F) {
	d := dayPoints{
		points:  []store.Point{pointAt(0, 1, 2, 3, 4), pointAt(1200, 2, 3, 4, store.Missing)},
		insects: map[string][]int32{"uid": {1, store.Missing}},
	}
	f.Add(d.encode())
	f.Add([]byte{dayFormat, 0, 0})
	f.Add([]byte{dayFormat, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, kept []byte) {
		points, err := decodeDay(kept, aDayOfTests, "uid", nil)
		if err != nil {
			return
		}
		if len(points) > len(kept) {
			t.Fatalf("%d points of %d bytes", len(points), len(kept))
		}
		for _, p := range points {
			if dayOf(p.At) != aDayOfTests {
				t.Fatalf("%d is not of that day", p.At)
			}
		}
	})
}
