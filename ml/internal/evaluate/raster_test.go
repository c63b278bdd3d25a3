package evaluate

import (
	"image"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
)

// shape is a polygon of points x, y, x, y and so on.
func shape(v ...float64) []svg.Point {
	var all []svg.Point
	for i := 0; i < len(v); i += 2 {
		all = append(all, svg.Point{X: v[i], Y: v[i+1]})
	}
	return all
}

// picture draws a mask in letters.
func picture(m mask, size image.Point) []string {
	var lines []string
	for y := range size.Y {
		line := []byte(strings.Repeat(".", size.X))
		if y >= m.box.Min.Y && y < m.box.Max.Y {
			for _, s := range m.rows[y-m.box.Min.Y] {
				for x := s.from; x < s.to; x++ {
					line[x] = '#'
				}
			}
		}
		lines = append(lines, string(line))
	}
	return lines
}

func TestPixelsWhoseMiddleIsInsideCount(t *testing.T) {
	for name, c := range map[string]struct {
		outline svg.Outline
		want    []string
	}{
		"square":                     {svg.Outline{shape(1, 1, 4, 1, 4, 3, 1, 3)}, []string{"......", ".###..", ".###..", "......"}},
		"square the other way round": {svg.Outline{shape(1, 3, 4, 3, 4, 1, 1, 1)}, []string{"......", ".###..", ".###..", "......"}},
		"half a pixel on":            {svg.Outline{shape(1.6, 1.6, 4.4, 1.6, 4.4, 3.4, 1.6, 3.4)}, []string{"......", "......", "..##..", "......"}},
		"triangle":                   {svg.Outline{shape(0, 0, 4, 0, 0, 4)}, []string{"###...", "##....", "#.....", "......"}},
		"beyond the photograph":      {svg.Outline{shape(-5, -5, 3, -5, 3, 9, -5, 9)}, []string{"###...", "###...", "###...", "###..."}},
		"outside":                    {svg.Outline{shape(10, 10, 12, 10, 12, 12)}, []string{"......", "......", "......", "......"}},
		"a line":                     {svg.Outline{shape(1, 1, 4, 1, 2, 1)}, []string{"......", "......", "......", "......"}},
		"a hole drawn the other way round": {
			svg.Outline{shape(0, 0, 5, 0, 5, 4, 0, 4), shape(1, 1, 1, 3, 4, 3, 4, 1)},
			[]string{"#####.", "#...#.", "#...#.", "#####."},
		},
		"what is drawn twice the same way is no hole": {
			svg.Outline{shape(0, 0, 5, 0, 5, 4, 0, 4), shape(1, 1, 4, 1, 4, 3, 1, 3)},
			[]string{"#####.", "#####.", "#####.", "#####."},
		},
		"two pieces": {svg.Outline{shape(0, 0, 1, 0, 1, 4, 0, 4), shape(3, 0, 5, 0, 5, 2, 3, 2)}, []string{"#..##.", "#..##.", "#.....", "#....."}},
	} {
		t.Run(name, func(t *testing.T) {
			size := image.Pt(6, 4)
			m := rasterise(c.outline, size)
			if diff := cmp.Diff(c.want, picture(m, size)); diff != "" {
				t.Error(diff)
			}
			if got, want := m.area, strings.Count(strings.Join(c.want, ""), "#"); got != want {
				t.Errorf("area %d, want %d", got, want)
			}
		})
	}
}

// TestMasksAreWhatTheWindingNumberSays compares random polygons, crossing themselves, with the definition.
func TestMasksAreWhatTheWindingNumberSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	size := image.Pt(40, 30)
	for range 200 {
		var polygon []svg.Point
		for range 3 + rng.IntN(12) {
			polygon = append(polygon, svg.Point{X: rng.Float64()*60 - 10, Y: rng.Float64()*50 - 10})
		}
		m := rasterise(svg.Outline{polygon}, size)
		got := picture(m, size)
		for y := range size.Y {
			for x := range size.X {
				p := svg.Point{X: float64(x) + 0.5, Y: float64(y) + 0.5}
				angle := 0.0
				for i, a := range polygon {
					b := polygon[(i+1)%len(polygon)]
					d := math.Atan2(b.Y-p.Y, b.X-p.X) - math.Atan2(a.Y-p.Y, a.X-p.X)
					angle += math.Remainder(d, 2*math.Pi)
				}
				if want := math.Abs(angle) > 1; want != (got[y][x] == '#') {
					t.Fatalf("pixel %d, %d of %v: want %v", x, y, polygon, want)
				}
			}
		}
	}
}

func TestIntersectionOverUnion(t *testing.T) {
	size := image.Pt(100, 100)
	square := func(x, y, w, h float64) mask {
		return rasterise(svg.Outline{shape(x, y, x+w, y, x+w, y+h, x, y+h)}, size)
	}
	for name, c := range map[string]struct {
		a, b mask
		want float64
	}{
		"the same":             {square(10, 10, 20, 10), square(10, 10, 20, 10), 1},
		"half of each":         {square(10, 10, 20, 10), square(20, 10, 20, 10), 100.0 / 300},
		"one in the other":     {square(10, 10, 20, 10), square(12, 12, 5, 2), 10.0 / 200},
		"side by side":         {square(10, 10, 20, 10), square(30, 10, 20, 10), 0},
		"boxes that touch not": {square(10, 10, 20, 10), square(70, 70, 20, 10), 0},
		"nothing":              {mask{}, square(0, 0, 5, 5), 0},
	} {
		if got := c.a.iou(c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		if got := c.b.iou(c.a); got != c.want {
			t.Errorf("%s, the other way round: got %v, want %v", name, got, c.want)
		}
	}
}

func FuzzRasterise(f *testing.F) {
	f.Add(1.0, 2.0, 30.0, 4.0, 5.0, 60.0, -7.0, 1e9)
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i float64) {
		for _, v := range []float64{a, b, c, d, e, g, h, i} {
			if !(math.Abs(v) <= 1e9) { // as svg.Read has it
				return
			}
		}
		size := image.Pt(50, 40)
		m := rasterise(svg.Outline{shape(a, b, c, d, e, g, h, i)}, size)
		area := 0
		for y, row := range m.rows {
			last := -1
			for _, s := range row {
				if s.from <= last || s.to <= s.from || s.to > size.X || y+m.box.Min.Y >= size.Y {
					t.Errorf("row %d: %v", y, row)
				}
				last = s.to
				area += s.to - s.from
			}
		}
		if area != m.area {
			t.Errorf("area %d, want %d", m.area, area)
		}
		if area > 0 && m.iou(m) != 1 {
			t.Errorf("IoU with itself %v", m.iou(m))
		}
	})
}
