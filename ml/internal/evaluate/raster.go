package evaluate

import (
	"image"
	"math"
	"slices"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
)

// mask is the set of pixels within an outline: those whose middle is inside, by the nonzero rule, and on the photograph.
type mask struct {
	box  image.Rectangle
	rows [][]span // from box.Min.Y on; each sorted, without overlap
	area int      // pixels
}

// span is the pixels from x = from to x = to-1.
type span struct{ from, to int }

// edge is a side of a polygon that goes up or down.
type edge struct {
	top, bottom float64 // y
	x, slope    float64 // x at the top, and how much it changes with y
	winding     int
}

// rasterise finds the pixels of an outline on a photograph of the given size.
func rasterise(o svg.Outline, size image.Point) mask {
	var edges []edge
	for _, polygon := range o {
		for i, a := range polygon {
			b, winding := polygon[(i+1)%len(polygon)], 1
			if a.Y > b.Y {
				a, b, winding = b, a, -1
			}
			if a.Y < b.Y {
				edges = append(edges, edge{a.Y, b.Y, a.X, (b.X - a.X) / (b.Y - a.Y), winding})
			}
		}
	}
	if len(edges) == 0 {
		return mask{}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		switch {
		case a.top < b.top:
			return -1
		case a.top > b.top:
			return 1
		}
		return 0
	})
	last := edges[0].bottom
	for _, e := range edges {
		last = max(last, e.bottom)
	}
	// row y is met by edges from above its middle, y + 0.5, or on it, to below
	first := clampInt(math.Ceil(edges[0].top-0.5), 0, size.Y)
	end := clampInt(math.Ceil(last-0.5), first, size.Y)
	m := mask{box: image.Rect(size.X, first, 0, end), rows: make([][]span, end-first)}
	type crossing struct {
		x       float64
		winding int
	}
	var open []edge
	var crossings []crossing
	next := 0
	for y := first; y < end; y++ {
		middle := float64(y) + 0.5
		for next < len(edges) && edges[next].top <= middle {
			open = append(open, edges[next])
			next++
		}
		open = slices.DeleteFunc(open, func(e edge) bool { return e.bottom <= middle })
		crossings = crossings[:0]
		for _, e := range open {
			crossings = append(crossings, crossing{e.x + (middle-e.top)*e.slope, e.winding})
		}
		slices.SortFunc(crossings, func(a, b crossing) int {
			switch {
			case a.x < b.x:
				return -1
			case a.x > b.x:
				return 1
			}
			return 0
		})
		var row []span
		winding, begin := 0, 0.0
		for _, c := range crossings {
			if winding == 0 {
				begin = c.x
			}
			if winding += c.winding; winding != 0 {
				continue
			}
			s := span{clampInt(math.Ceil(begin-0.5), 0, size.X), clampInt(math.Ceil(c.x-0.5), 0, size.X)}
			if s.to <= s.from {
				continue
			}
			if n := len(row); n > 0 && row[n-1].to >= s.from {
				m.area += s.to - row[n-1].to
				row[n-1].to = s.to
			} else {
				m.area += s.to - s.from
				row = append(row, s)
			}
			m.box.Min.X, m.box.Max.X = min(m.box.Min.X, s.from), max(m.box.Max.X, s.to)
		}
		m.rows[y-first] = row
	}
	if m.area == 0 {
		return mask{}
	}
	return m
}

func clampInt(v float64, least, most int) int {
	return int(min(max(v, float64(least)), float64(most)))
}

// shared is the number of pixels of both.
func (m mask) shared(o mask) int {
	both := m.box.Intersect(o.box)
	sum := 0
	for y := both.Min.Y; y < both.Max.Y; y++ {
		a, b := m.rows[y-m.box.Min.Y], o.rows[y-o.box.Min.Y]
		for i, j := 0, 0; i < len(a) && j < len(b); {
			sum += max(0, min(a[i].to, b[j].to)-max(a[i].from, b[j].from))
			if a[i].to < b[j].to {
				i++
			} else {
				j++
			}
		}
	}
	return sum
}

// iou is the intersection over the union, 0 to 1.
func (m mask) iou(o mask) float64 {
	if !m.box.Overlaps(o.box) {
		return 0
	}
	both := m.shared(o)
	if both == 0 {
		return 0
	}
	return float64(both) / float64(m.area+o.area-both)
}
