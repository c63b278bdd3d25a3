package plot_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/plot"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

const none = store.Missing

// series gives points a second apart, with those temperatures.
func series(temperatures ...int32) []store.Point {
	points := make([]store.Point, len(temperatures))
	for i, v := range temperatures {
		points[i] = store.Point{At: int64(i), ID: int64(100 + i)}
		for m := range points[i].Values {
			points[i].Values[m] = none
		}
		points[i].Values[store.Temperature] = v
	}
	return points
}

func sample(points []store.Point, end int64, width int, measures ...store.Measure) (ids []int64, seen int) {
	s := plot.NewSampler(0, end, width, measures)
	for i := range points {
		s.Add(&points[i])
	}
	kept, seen := s.Points()
	for _, p := range kept {
		ids = append(ids, p.ID-100)
	}
	return ids, seen
}

func TestSampling(t *testing.T) {
	for _, test := range []struct {
		name         string
		temperatures []int32
		end          int64
		width        int
		want         []int64
	}{
		{"nothing", nil, 10, 2, nil},
		{"as many as pixels are given whole", []int32{5, 4, none, 2}, 100, 4, []int64{0, 1, 2, 3}},
		{"least and greatest of each pixel, the first and the last", []int32{5, 1, 9, 5, 5, 4, 8, 3, 7, 5}, 10, 2, []int64{0, 1, 2, 6, 7, 9}},
		{"what is missing counts for nothing", []int32{none, none, 3, none, none, 7, none, none, none, none}, 10, 2, []int64{0, 2, 5, 9}},
		{"a pixel without any value keeps its first image", []int32{1, 2, 3, none, none, none, 4, 5, 6}, 9, 3, []int64{0, 2, 3, 6, 8}},
		{"equal values keep the first of them", []int32{5, 5, 5, 5, 5, 5}, 6, 1, []int64{0, 5}},
		{"negative values", []int32{-5, -9, -1, -5}, 4, 1, []int64{0, 1, 2, 3}},
		{"all in one pixel of a wide range", []int32{3, 9, 1, 5, 5}, 1_000_000, 4, []int64{0, 1, 2, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, seen := sample(series(test.temperatures...), test.end, test.width, store.Temperature)
			if diff := cmp.Diff(test.want, got); diff != "" || seen != len(test.temperatures) {
				t.Errorf("%d seen, (-want +got):\n%s", seen, diff)
			}
		})
	}
}

// TestSamplesHoldTheExtremesOfEveryPixel compares with the plain definition, for several measures.
func TestSamplesHoldTheExtremesOfEveryPixel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	measures := []store.Measure{store.Temperature, store.Light, store.Insects}
	for range 200 {
		n, width := 1+r.IntN(300), 1+r.IntN(60)
		points := series(make([]int32, n)...)
		at := int64(0)
		for i := range points {
			at += int64(1 + r.IntN(20))
			points[i].At = at
			for _, m := range measures {
				points[i].Values[m] = int32(r.IntN(50)) - 25
				if r.IntN(4) == 0 {
					points[i].Values[m] = none
				}
			}
		}
		end := at + 1 + int64(r.IntN(50))
		ids, seen := sample(points, end, width, measures...)
		if seen != n || !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Fatalf("%d of %d points: %v", seen, n, ids)
		}
		if most := width * (2*len(measures) + 1); len(ids) > max(width, most+1) {
			t.Fatalf("%d points for %d pixels", len(ids), width)
		}
		if ids[0] != 0 || ids[len(ids)-1] != int64(n-1) {
			t.Fatalf("without the first or the last: %v", ids)
		}
		type key struct {
			pixel int64
			m     store.Measure
		}
		extremes := func(choose func(i int) bool) (least, most map[key]int32) {
			least, most = map[key]int32{}, map[key]int32{}
			for i, p := range points {
				if !choose(i) {
					continue
				}
				for _, m := range measures {
					k, v := key{p.At * int64(width) / end, m}, p.Values[m]
					if v == none {
						continue
					}
					if old, there := least[k]; !there || v < old {
						least[k] = v
					}
					if old, there := most[k]; !there || v > old {
						most[k] = v
					}
				}
			}
			return least, most
		}
		wantLeast, wantMost := extremes(func(int) bool { return true })
		gotLeast, gotMost := extremes(func(i int) bool { return slices.Contains(ids, int64(i)) })
		if diff := cmp.Diff(wantLeast, gotLeast) + cmp.Diff(wantMost, gotMost); diff != "" {
			t.Fatalf("%d pixels (-want +got):\n%s", width, diff)
		}
	}
}

func BenchmarkSampler(b *testing.B) {
	points := series(make([]int32, 20_000)...)
	for i := range points {
		points[i].At, points[i].Values[store.Temperature], points[i].Values[store.Light] = int64(i)*1200, int32(i%72), int32(i%1000)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := plot.NewSampler(0, 20_000*1200, 1000, []store.Measure{store.Temperature, store.Humidity, store.Light, store.Insects})
		for i := range points {
			s.Add(&points[i])
		}
		if kept, _ := s.Points(); len(kept) < 1000 {
			b.Fatal(len(kept))
		}
	}
}
