package outlines

import (
	"image"
	"math"
	"slices"
)

// mask is an insect's pixels on the photograph, within bounds, row by row.
type mask struct {
	bounds image.Rectangle
	inside []bool
}

func (m mask) at(p image.Point) bool {
	return p.In(m.bounds) && m.inside[(p.Y-m.bounds.Min.Y)*m.bounds.Dx()+p.X-m.bounds.Min.X]
}

// enlarge brings a region to the photograph's scale, each pixel as a rectangle, and dilates it by a disc.
func (m Maps) enlarge(r region, dilate int) mask {
	scaled := func(v int) int { return int(math.Ceil(float64(v)*m.Scale - 0.5)) }
	bounds := image.Rect(scaled(r.bounds.Min.X), scaled(r.bounds.Min.Y), scaled(r.bounds.Max.X), scaled(r.bounds.Max.Y))
	bounds = bounds.Inset(-dilate).Intersect(image.Rectangle{Max: m.Photograph})
	out := mask{bounds, make([]bool, bounds.Dx()*bounds.Dy())}
	own := make([]bool, r.bounds.Dx()*r.bounds.Dy())
	has := func(x, y int) bool {
		return image.Pt(x, y).In(r.bounds) && own[(y-r.bounds.Min.Y)*r.bounds.Dx()+x-r.bounds.Min.X]
	}
	for _, at := range r.pixels {
		own[(int(at)/m.Width-r.bounds.Min.Y)*r.bounds.Dx()+int(at)%m.Width-r.bounds.Min.X] = true
	}
	half, inner := discHalves(dilate), discHalves(0)
	for _, at := range r.pixels {
		x, y := int(at)%m.Width, int(at)/m.Width
		grow := half
		if has(x-1, y) && has(x+1, y) && has(x, y-1) && has(x, y+1) && has(x-1, y-1) && has(x+1, y-1) && has(x-1, y+1) && has(x+1, y+1) {
			grow = inner
		}
		out.paint(image.Rect(scaled(x), scaled(y), scaled(x+1), scaled(y+1)), grow)
	}
	return out
}

// discHalves gives half the width of a disc's rows, from the topmost to the lowest.
func discHalves(radius int) []int {
	half := make([]int, 2*radius+1)
	for dy := -radius; dy <= radius; dy++ {
		for (half[dy+radius]+1)*(half[dy+radius]+1)+dy*dy <= radius*radius {
			half[dy+radius]++
		}
	}
	return half
}

// paint sets a rectangle, dilated by a disc given by its rows.
func (m mask) paint(r image.Rectangle, half []int) {
	radius := len(half) / 2
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for i, h := range half {
			row := y + i - radius
			if row < m.bounds.Min.Y || row >= m.bounds.Max.Y {
				continue
			}
			from, to := max(r.Min.X-h, m.bounds.Min.X), min(r.Max.X+h, m.bounds.Max.X)
			for x := from; x < to; x++ {
				m.inside[(row-m.bounds.Min.Y)*m.bounds.Dx()+x-m.bounds.Min.X] = true
			}
		}
	}
}

// around are the eight neighbours of a pixel, clockwise as seen on the screen, from the right.
var around = [8]image.Point{{X: 1}, {X: 1, Y: 1}, {Y: 1}, {X: -1, Y: 1}, {X: -1}, {X: -1, Y: -1}, {Y: -1}, {X: 1, Y: -1}}

// contour follows the outer border of the mask's first piece: its border pixels in order, as OpenCV's findContours gives them
// (counter-clockwise on the screen). A mask is one piece where it comes from a region.
func (m mask) contour() []image.Point {
	first := slices.Index(m.inside, true)
	if first < 0 {
		return nil
	}
	start := m.bounds.Min.Add(image.Pt(first%m.bounds.Dx(), first/m.bounds.Dx()))
	// The pixel to the left of the start is outside. From there, clockwise, the first pixel inside is the border's last.
	last := -1
	for i := 1; i <= 8; i++ {
		if d := (4 + i) % 8; m.at(start.Add(around[d])) {
			last = d
			break
		}
	}
	if last < 0 {
		return []image.Point{start}
	}
	end := start.Add(around[last])
	var border []image.Point
	here, from := start, last // from: the direction of the pixel that we came from
	for {
		border = append(border, here)
		// Counter-clockwise from where we came, the first pixel inside is the next.
		next := from
		for i := 1; i <= 8; i++ {
			if d := (from - i + 8) % 8; m.at(here.Add(around[d])) {
				next = d
				break
			}
		}
		to := here.Add(around[next])
		if to == start && here == end {
			return border
		}
		here, from = to, (next+4)%8
	}
}

func perimeter(p []image.Point) float64 {
	sum := 0.0
	for i := range p {
		d := p[(i+1)%len(p)].Sub(p[i])
		sum += math.Hypot(float64(d.X), float64(d.Y))
	}
	return sum
}

// area by the shoelace formula.
func area(p []image.Point) float64 {
	sum := 0
	for i := range p {
		sum += cross(p[i], p[(i+1)%len(p)])
	}
	return math.Abs(float64(sum)) / 2
}

func cross(a, b image.Point) int { return a.X*b.Y - a.Y*b.X }

// convexHull is Andrew's monotone chain; a hull of points on a line has its two ends.
func convexHull(points []image.Point) []image.Point {
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b image.Point) int {
		if a.X != b.X {
			return a.X - b.X
		}
		return a.Y - b.Y
	})
	sorted = slices.Compact(sorted)
	if len(sorted) < 3 {
		return sorted
	}
	var hull []image.Point
	chain := func(from int, p image.Point) {
		for len(hull) >= from+2 && cross(hull[len(hull)-1].Sub(hull[len(hull)-2]), p.Sub(hull[len(hull)-2])) <= 0 {
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	}
	for _, p := range sorted {
		chain(0, p)
	}
	lower := len(hull) - 1
	for _, p := range slices.Backward(sorted[:len(sorted)-1]) {
		chain(lower, p)
	}
	return hull[:len(hull)-1]
}

// minimalRectangle gives the sides, longer and shorter, of the rectangle with the least area around a convex hull. One of its
// sides lies on one of the hull's.
func minimalRectangle(hull []image.Point) (longer, shorter float64) {
	best := math.Inf(1)
	for i, p := range hull {
		d := hull[(i+1)%len(hull)].Sub(p)
		length := math.Hypot(float64(d.X), float64(d.Y))
		if length == 0 {
			continue
		}
		least, most, far := 0, 0, 0
		for _, q := range hull {
			v := q.Sub(p)
			along := v.X*d.X + v.Y*d.Y
			least, most = min(least, along), max(most, along)
			far = max(far, cross(d, v), -cross(d, v))
		}
		a, b := float64(most-least)/length, float64(far)/length
		if a*b < best {
			best, longer, shorter = a*b, max(a, b), min(a, b)
		}
	}
	return longer, shorter
}

// simplify is Douglas and Peucker's for a closed line: no point left out is farther than tolerance from the outline. It begins
// with two points far from each other.
func simplify(line []image.Point, tolerance float64) []image.Point {
	if len(line) < 3 {
		return line
	}
	a := farthest(line, line[0])
	b := farthest(line, line[a])
	if a == b {
		return line[:1]
	}
	a, b = min(a, b), max(a, b)
	keep := make([]bool, len(line))
	keep[a], keep[b] = true, true
	type piece struct{ from, to int } // to may lie beyond the end: indices count on around the line
	todo := []piece{{a, b}, {b, a + len(line)}}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		p, q := line[s.from%len(line)], line[s.to%len(line)]
		worst, at := tolerance, -1
		for i := s.from + 1; i < s.to; i++ {
			if d := distance(line[i%len(line)], p, q); d > worst {
				worst, at = d, i
			}
		}
		if at >= 0 {
			keep[at%len(line)] = true
			todo = append(todo, piece{s.from, at}, piece{at, s.to})
		}
	}
	var out []image.Point
	for i, p := range line {
		if keep[i] {
			out = append(out, p)
		}
	}
	return out
}

func farthest(line []image.Point, from image.Point) int {
	best, at := -1, 0
	for i, p := range line {
		d := p.Sub(from)
		if v := d.X*d.X + d.Y*d.Y; v > best {
			best, at = v, i
		}
	}
	return at
}

// distance of a point to the line through p and q.
func distance(a, p, q image.Point) float64 {
	d, v := q.Sub(p), a.Sub(p)
	length := math.Hypot(float64(d.X), float64(d.Y))
	if length == 0 {
		return math.Hypot(float64(v.X), float64(v.Y))
	}
	return math.Abs(float64(cross(d, v))) / length
}
