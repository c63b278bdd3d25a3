package outlines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Params are chosen with a network, and travel with its weights.
type Params struct {
	FGThreshold   float64 `json:"fg_threshold"`   // insects are where fg is above it
	CoreThreshold float64 `json:"core_threshold"` // and each has a core above it
	MinCore       int     `json:"min_core_px"`    // pixels of the maps that a core has at least
	MinArea       int     `json:"min_area_px"`    // pixels of the maps that an insect has at least
	MinBorder     int     `json:"min_border_px"`  // the same of one that the photograph's border cuts: less than a head and thorax is left
	Dilate        int     `json:"dilate_px"`      // pixels of the photograph by which outlines are widened
	MinSide       float64 `json:"min_side_px"`    // pixels of the photograph: the longer side of an insect's minimal rectangle
	Simplify      float64 `json:"simplify"`       // how far an outline may be off, as a part of its length
	MinScore      float64 `json:"min_score"`      // mean(fg) * max(core) of an insect at least; without a filter
	Filter        *Filter `json:"filter"`         // decides instead of MinScore
}

// Filter is a logistic regression that says how likely a region is an insect.
type Filter struct {
	Features  []string  `json:"features"`
	Mean      []float64 `json:"mean"`
	Scale     []float64 `json:"scale"`
	Coef      []float64 `json:"coef"`
	Intercept float64   `json:"intercept"`
	Threshold float64   `json:"threshold"`
}

// features are the names that a filter may use, see Find.
var features = []string{"fg_mean", "fg_p10", "core_max", "area", "side", "solidity", "aspect", "touches_border", "darkness"}

// Defaults fit a network that nothing was tuned for.
func Defaults() Params {
	return Params{FGThreshold: 0.5, CoreThreshold: 0.6, MinCore: 6, MinArea: 40, Dilate: 2, MinSide: 20, Simplify: 0.006, MinScore: 0.6}
}

// ParseParams reads parameters from JSON; what it does not name has its default.
func ParseParams(text []byte) (Params, error) {
	p := Defaults()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Params{}, fmt.Errorf("postprocess: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Params{}, errors.New("postprocess: more than one JSON object")
	}
	return p, p.validate()
}

func (p Params) validate() error {
	for _, c := range []struct {
		name       string
		value      float64
		least, top float64
	}{
		{"fg_threshold", p.FGThreshold, 0, 1}, {"core_threshold", p.CoreThreshold, 0, 1}, {"min_core_px", float64(p.MinCore), 0, 1e6},
		{"min_area_px", float64(p.MinArea), 0, 1e6}, {"min_border_px", float64(p.MinBorder), 0, 1e6},
		{"dilate_px", float64(p.Dilate), 0, 32}, {"min_side_px", p.MinSide, 0, 1e4}, {"simplify", p.Simplify, 0, 0.2}, {"min_score", p.MinScore, 0, 1},
	} {
		if !(c.value >= c.least && c.value <= c.top) {
			return fmt.Errorf("postprocess: %s is %v, not %v to %v", c.name, c.value, c.least, c.top)
		}
	}
	return p.Filter.validate()
}

func (f *Filter) validate() error {
	if f == nil {
		return nil
	}
	if n := len(f.Features); n != len(f.Mean) || n != len(f.Scale) || n != len(f.Coef) {
		return fmt.Errorf("postprocess: filter: %d features, %d means, %d scales and %d coefficients", n, len(f.Mean), len(f.Scale), len(f.Coef))
	}
	for i, name := range f.Features {
		if !slices.Contains(features, name) {
			return fmt.Errorf("postprocess: filter: unknown feature %q, want some of %v", name, features)
		}
		if f.Scale[i] == 0 {
			return fmt.Errorf("postprocess: filter: the scale of %q is 0", name)
		}
	}
	return nil
}

func (f *Filter) probability(values map[string]float64) float64 {
	z := f.Intercept
	for i, name := range f.Features {
		z += f.Coef[i] * (values[name] - f.Mean[i]) / f.Scale[i]
	}
	return 1 / (1 + math.Exp(-z))
}
