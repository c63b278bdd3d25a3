// Package plot works out what viewers show: which images of a device are drawn, of each pixel those with the least and the
// greatest values, and how regularly a device takes images. It may import store, for its points and days.
package plot

import (
	"slices"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

// MaxWidth is the greatest number of pixels of a [Sampler].
const MaxWidth = 4000

// Sampler takes a device's points in order of time and keeps those to draw. Memory is bounded by the width, whatever the
// number of points.
type Sampler struct {
	start, length int64 // of the range, seconds
	width         int64
	measures      []store.Measure

	seen  int
	whole []store.Point // all of them, as long as they are not more than width
	kept  []store.Point // of the pixels that are over

	pixel   int64 // the one that is being filled
	chosen  []store.Point
	least   []store.Point // by place in measures; ID and At count only where the value is not missing
	most    []store.Point
	first   store.Point // of the pixel
	last    store.Point // of all so far
	started bool
}

// NewSampler gives a sampler of the range start <= t < end (seconds since the epoch; start < end) drawn on width pixels, for
// those measures.
func NewSampler(start, end int64, width int, measures []store.Measure) *Sampler {
	return &Sampler{
		start: start, length: end - start, width: int64(width), measures: measures,
		least: make([]store.Point, len(measures)), most: make([]store.Point, len(measures)),
	}
}

// Add takes the next point, which lies in the range and is later than the one before.
func (s *Sampler) Add(p *store.Point) {
	if s.seen++; s.seen <= int(s.width) {
		s.whole = append(s.whole, *p)
	} else {
		s.whole = nil
	}
	pixel := (p.At - s.start) * s.width / s.length
	if !s.started || pixel != s.pixel {
		s.endPixel()
		s.pixel, s.first, s.started = pixel, *p, true
		for i := range s.measures {
			s.least[i].Values[s.measures[i]], s.most[i].Values[s.measures[i]] = store.Missing, store.Missing
		}
	}
	for i, m := range s.measures {
		v := p.Values[m]
		if v == store.Missing {
			continue
		}
		if least := s.least[i].Values[m]; least == store.Missing || v < least {
			s.least[i] = *p
		}
		if most := s.most[i].Values[m]; most == store.Missing || v > most {
			s.most[i] = *p
		}
	}
	s.last = *p
}

// endPixel keeps what is chosen of the pixel.
func (s *Sampler) endPixel() {
	if !s.started {
		return
	}
	s.chosen = s.chosen[:0]
	for i, m := range s.measures {
		if s.least[i].Values[m] != store.Missing {
			s.chosen = append(s.chosen, s.least[i], s.most[i])
		}
	}
	if len(s.chosen) == 0 || len(s.kept) == 0 {
		s.chosen = append(s.chosen, s.first)
	}
	slices.SortFunc(s.chosen, func(a, b store.Point) int { return int(a.At - b.At) })
	for i := range s.chosen {
		if i == 0 || s.chosen[i].At != s.chosen[i-1].At {
			s.kept = append(s.kept, s.chosen[i])
		}
	}
}

// Points ends the sampling and gives the points to draw, in order of time, and how many there were in all.
func (s *Sampler) Points() (points []store.Point, seen int) {
	if s.seen <= int(s.width) {
		return s.whole, s.seen
	}
	s.endPixel()
	if s.kept[len(s.kept)-1].At != s.last.At {
		s.kept = append(s.kept, s.last)
	}
	return s.kept, s.seen
}
