package outlines

import "image"

// region is the pixels of one insect on the maps.
type region struct {
	pixels []int32 // indices into the maps
	bounds image.Rectangle
}

func newRegion(pixels []int32, width int) region {
	r := region{pixels: pixels}
	for _, at := range pixels {
		x, y := int(at)%width, int(at)/width
		r.bounds = r.bounds.Union(image.Rect(x, y, x+1, y+1))
	}
	return r
}

// components are the connected (by their sides) sets of pixels for which inside holds, in the order of their first pixels.
func components(inside func(i int) bool, width, height int) [][]int32 {
	seen := make([]bool, width*height)
	var all [][]int32
	for start := range seen {
		if seen[start] || !inside(start) {
			continue
		}
		seen[start] = true
		pixels := []int32{int32(start)}
		for next := 0; next < len(pixels); next++ {
			neighbours(int(pixels[next]), width, height, func(j int) {
				if !seen[j] && inside(j) {
					seen[j] = true
					pixels = append(pixels, int32(j))
				}
			})
		}
		all = append(all, pixels)
	}
	return all
}

// neighbours calls f with the pixels above, left, right and below.
func neighbours(i, width, height int, f func(j int)) {
	x := i % width
	if i >= width {
		f(i - width)
	}
	if x > 0 {
		f(i - 1)
	}
	if x < width-1 {
		f(i + 1)
	}
	if i < width*(height-1) {
		f(i + width)
	}
}

// regions floods fg from the cores: a watershed whose landscape is -(fg + core). A piece of fg without a core gives nothing.
func (m Maps) regions(p Params) []region {
	inside := func(i int) bool { return float64(m.FG[i]) > p.FGThreshold }
	cores := components(func(i int) bool { return inside(i) && float64(m.Core[i]) > p.CoreThreshold }, m.Width, m.Height)
	labels := make([]int32, m.Width*m.Height)
	count := int32(0)
	for _, pixels := range cores {
		if len(pixels) < p.MinCore {
			continue
		}
		count++
		for _, at := range pixels {
			labels[at] = count
		}
	}
	var q queue
	for i, label := range labels {
		if label != 0 {
			q.push(-(m.FG[i] + m.Core[i]), int32(i))
		}
	}
	for len(q.items) > 0 {
		i := q.pop()
		neighbours(int(i), m.Width, m.Height, func(j int) {
			if labels[j] == 0 && inside(j) {
				labels[j] = labels[i]
				q.push(-(m.FG[j] + m.Core[j]), int32(j))
			}
		})
	}
	pixels := make([][]int32, count)
	for i, label := range labels {
		if label != 0 {
			pixels[label-1] = append(pixels[label-1], int32(i))
		}
	}
	all := make([]region, count)
	for i, list := range pixels {
		all[i] = newRegion(list, m.Width)
	}
	return all
}

// queue gives pixels, the lowest first, and among equals the one that came first. It is a binary heap of its own since
// container/heap would allocate for each of its hundred thousand pixels.
type queue struct {
	items  []item
	pushed int32
}

type item struct {
	height float32
	order  int32
	at     int32
}

func (a item) before(b item) bool {
	return a.height < b.height || a.height == b.height && a.order < b.order
}

func (q *queue) push(height float32, at int32) {
	q.items = append(q.items, item{height, q.pushed, at})
	q.pushed++
	for i := len(q.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.items[i].before(q.items[parent]) {
			break
		}
		q.items[i], q.items[parent] = q.items[parent], q.items[i]
		i = parent
	}
}

func (q *queue) pop() int32 {
	top := q.items[0]
	last := len(q.items) - 1
	q.items[0] = q.items[last]
	q.items = q.items[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.items[child+1].before(q.items[child]) {
			child++
		}
		if !q.items[child].before(q.items[i]) {
			break
		}
		q.items[i], q.items[child] = q.items[child], q.items[i]
		i = child
	}
	return top.at
}
