// Package outlines turns a network's maps into insects: where each insect is, its outline, and whether it is one. Detectors share
// it. ml/train/outlines.py does the same while parameters are tuned; ml/train/README.md has the rules. It may import detect.
package outlines

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
)

// Maps are what a network says of each pixel, row by row, for a photograph shown to it at a lower resolution.
type Maps struct {
	Width, Height int
	FG            []float32   // 0 to 1: this is insect
	Core          []float32   // 0 to 1: this is the middle of an insect
	Grey          []float32   // brightness of the photograph, 0 to 1; only the filter's darkness needs it, nil counts as no contrast
	Photograph    image.Point // the photograph's width and height
	Scale         float64     // pixels of the photograph to a pixel of the maps; 2 for a network that sees half the resolution
}

// Find gives the insects, the topmost first, in pixels of the photograph.
func Find(ctx context.Context, m Maps, p Params) ([]detect.Insect, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	regions := m.regions(p)
	var found []detect.Insect
	for _, r := range regions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.tooSmall(r, p) {
			continue
		}
		if insect, ok := m.insect(r, p); ok {
			found = append(found, insect)
		}
	}
	return found, nil
}

func (m Maps) check() error {
	n := m.Width * m.Height
	switch {
	case m.Width < 1 || m.Height < 1 || m.Photograph.X < 1 || m.Photograph.Y < 1:
		return fmt.Errorf("maps of %d x %d pixels for a photograph of %v", m.Width, m.Height, m.Photograph)
	case len(m.FG) != n || len(m.Core) != n || m.Grey != nil && len(m.Grey) != n:
		return fmt.Errorf("maps of %d, %d and %d numbers for %d x %d pixels", len(m.FG), len(m.Core), len(m.Grey), m.Width, m.Height)
	case m.Scale < 1.0/16 || m.Scale > 64 || math.IsNaN(m.Scale):
		return fmt.Errorf("maps whose pixels are %v pixels of the photograph wide, not 1/16 to 64", m.Scale)
	}
	return nil
}

// insect decides about a region.
func (m Maps) insect(r region, p Params) (detect.Insect, bool) {
	mask := m.enlarge(r, p.Dilate)
	contour := mask.contour()
	if len(contour) == 0 { // beyond the photograph's edge, where maps were rounded up
		return detect.Insect{}, false
	}
	hull := convexHull(contour)
	longer, shorter := minimalRectangle(hull)
	if longer < p.MinSide {
		return detect.Insect{}, false
	}
	outline := simplify(contour, p.Simplify*perimeter(contour))
	if len(outline) < 3 {
		return detect.Insect{}, false
	}
	values := make([]float32, len(r.pixels))
	var core float32
	for i, at := range r.pixels {
		values[i] = m.FG[at]
		core = max(core, m.Core[at])
	}
	slices.Sort(values)
	mean := average(values)
	if p.Filter == nil {
		score := mean * float64(core)
		return detect.Insect{Outline: outline, Score: score}, score >= p.MinScore
	}
	solidity, border := 1.0, 0.0
	if m.touchesBorder(r) {
		border = 1
	}
	if h := area(hull); h > 0 {
		solidity = area(contour) / h
	}
	score := p.Filter.probability(map[string]float64{
		"fg_mean":        mean,
		"fg_p10":         float64(values[(len(values)-1)/10]),
		"core_max":       float64(core),
		"area":           math.Log(float64(len(r.pixels))),
		"side":           math.Log(longer),
		"solidity":       solidity,
		"aspect":         shorter / longer,
		"touches_border": border,
		"darkness":       m.darkness(r, p.FGThreshold),
	})
	return detect.Insect{Outline: outline, Score: score}, score >= p.Filter.Threshold
}

func average(values []float32) float64 {
	sum := 0.0
	for _, v := range values {
		sum += float64(v)
	}
	return sum / float64(len(values))
}

func (m Maps) tooSmall(r region, p Params) bool {
	return len(r.pixels) < p.MinArea || len(r.pixels) < p.MinBorder && m.touchesBorder(r)
}

func (m Maps) touchesBorder(r region) bool {
	return r.bounds.Min.X == 0 || r.bounds.Min.Y == 0 || r.bounds.Max.X == m.Width || r.bounds.Max.Y == m.Height
}

// darkness is how much darker than the card around it a region is, as a part of the card's brightness.
func (m Maps) darkness(r region, threshold float64) float64 {
	const around = 16 // pixels of the maps
	if m.Grey == nil {
		return 0
	}
	box := r.bounds.Inset(-around).Intersect(image.Rect(0, 0, m.Width, m.Height))
	card, n := 0.0, 0
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			if at := y*m.Width + x; float64(m.FG[at]) <= threshold {
				card += float64(m.Grey[at])
				n++
			}
		}
	}
	if n == 0 || card == 0 {
		return 0
	}
	card /= float64(n)
	insect := 0.0
	for _, at := range r.pixels {
		insect += float64(m.Grey[at])
	}
	return (card - insect/float64(len(r.pixels))) / card
}

// Outline is the outline of a mask that a network gives for a single insect: its largest piece, dilated, simplified, in pixels of
// the photograph; false if the parameters call it too small. inside holds width * height pixels, row by row.
func Outline(inside []bool, width int, photograph image.Point, scale float64, p Params) ([]image.Point, bool, error) {
	if width < 1 || len(inside)%width != 0 || len(inside) == 0 {
		return nil, false, errors.New("a mask that is no rectangle")
	}
	m := Maps{Width: width, Height: len(inside) / width, Photograph: photograph, Scale: scale}
	var largest region
	for _, pixels := range components(func(i int) bool { return inside[i] }, m.Width, m.Height) {
		if len(pixels) > len(largest.pixels) {
			largest = newRegion(pixels, m.Width)
		}
	}
	if len(largest.pixels) == 0 || m.tooSmall(largest, p) {
		return nil, false, nil
	}
	contour := m.enlarge(largest, p.Dilate).contour()
	if len(contour) == 0 {
		return nil, false, nil
	}
	if longer, _ := minimalRectangle(convexHull(contour)); longer < p.MinSide {
		return nil, false, nil
	}
	outline := simplify(contour, p.Simplify*perimeter(contour))
	return outline, len(outline) >= 3, nil
}
