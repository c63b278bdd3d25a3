package outlines_test

import (
	"context"
	"encoding/json"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/outlines"
)

// drawing gives maps from a picture in letters: a space or '.' is card, 'o' is fg, 'X' is fg and core. fg is 0.9, core 0.95.
func drawing(lines ...string) outlines.Maps {
	m := outlines.Maps{Width: len(lines[0]), Height: len(lines), Photograph: image.Pt(2*len(lines[0]), 2*len(lines)), Scale: 2}
	m.FG, m.Core = make([]float32, m.Width*m.Height), make([]float32, m.Width*m.Height)
	for y, line := range lines {
		for x, letter := range line {
			at := y*m.Width + x
			switch letter {
			case 'o':
				m.FG[at], m.Core[at] = 0.9, 0.2
			case 'X':
				m.FG[at], m.Core[at] = 0.9, 0.95
			}
		}
	}
	return m
}

// small are parameters for drawings of a few pixels.
func small() outlines.Params {
	p := outlines.Defaults()
	p.MinCore, p.MinArea, p.MinSide, p.Dilate, p.Simplify = 2, 4, 3, 0, 0
	return p
}

func find(t *testing.T, m outlines.Maps, p outlines.Params) []detect.Insect {
	t.Helper()
	found, err := outlines.Find(t.Context(), m, p)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// boxes are the outlines' bounds; the last pixel is within.
func boxes(found []detect.Insect) []image.Rectangle {
	var all []image.Rectangle
	for _, insect := range found {
		box := image.Rectangle{insect.Outline[0], insect.Outline[0]}
		for _, p := range insect.Outline {
			box.Min = image.Pt(min(box.Min.X, p.X), min(box.Min.Y, p.Y))
			box.Max = image.Pt(max(box.Max.X, p.X), max(box.Max.Y, p.Y))
		}
		all = append(all, box)
	}
	return all
}

func TestInsectsOfMaps(t *testing.T) {
	for name, c := range map[string]struct {
		lines  []string
		change func(*outlines.Params)
		want   []image.Rectangle // in pixels of the photograph, the last within
	}{
		"one": {
			lines: []string{".......", ".ooooo.", ".oXXXo.", ".ooooo.", "......."},
			want:  []image.Rectangle{image.Rect(2, 2, 11, 7)},
		},
		"two that touch are two, each to where the cores' floods meet": {
			lines: []string{"............", ".oooooooooo.", ".oXXooooXXo.", ".oooooooooo.", "............"},
			want:  []image.Rectangle{image.Rect(2, 2, 11, 7), image.Rect(12, 2, 21, 7)},
		},
		"without a core, nothing": {
			lines: []string{".......", ".ooooo.", ".ooooo.", ".ooooo.", "......."},
		},
		"a core of too few pixels is none": {
			lines: []string{".......", ".ooooo.", ".ooXoo.", ".ooooo.", "......."},
		},
		"cores that touch at their corners only are two": {
			lines: []string{"......", ".XX...", ".XX...", "...XX.", "...XX.", "......"},
			want:  []image.Rectangle{image.Rect(2, 2, 5, 5), image.Rect(6, 6, 9, 9)},
		},
		"a hole is inside the outline": {
			lines: []string{".......", ".XXXXX.", ".Xo.oX.", ".XXXXX.", "......."},
			want:  []image.Rectangle{image.Rect(2, 2, 11, 7)},
		},
		"at the border": {
			lines: []string{"XXXo...", "XXXo...", "oooo...", "......."},
			want:  []image.Rectangle{image.Rect(0, 0, 7, 5)},
		},
		"dilated, but not beyond the photograph": {
			lines:  []string{"XXXo.....", "XXXo.....", "oooo.....", ".........", "........."},
			change: func(p *outlines.Params) { p.Dilate = 3 },
			want:   []image.Rectangle{image.Rect(0, 0, 10, 8)},
		},
		"too small an area": {
			lines:  []string{".......", ".ooooo.", ".oXXXo.", ".ooooo.", "......."},
			change: func(p *outlines.Params) { p.MinArea = 16 },
		},
		"too little inside the border": {
			lines:  []string{"........", "XXo..oXX", "ooo..ooo", "........", "...ooo..", "...XXo..", "........", ".ooo....", ".XXo...."},
			change: func(p *outlines.Params) { p.MinBorder = 7 },
			want:   []image.Rectangle{image.Rect(6, 8, 11, 11)},
		},
		"enough inside the border": {
			lines:  []string{"........", "XXo..oXX", "ooo..ooo", "........"},
			change: func(p *outlines.Params) { p.MinBorder = 6 },
			want:   []image.Rectangle{image.Rect(0, 2, 5, 5), image.Rect(10, 2, 15, 5)},
		},
		"too short": {
			lines:  []string{".......", ".ooooo.", ".oXXXo.", ".ooooo.", "......."},
			change: func(p *outlines.Params) { p.MinSide = 9.5 },
		},
		"too poor a score": {
			lines:  []string{".......", ".ooooo.", ".oXXXo.", ".ooooo.", "......."},
			change: func(p *outlines.Params) { p.MinScore = 0.9 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := small()
			if c.change != nil {
				c.change(&p)
			}
			found := find(t, drawing(c.lines...), p)
			if diff := cmp.Diff(c.want, boxes(found)); diff != "" {
				t.Error(diff)
			}
			for _, insect := range found {
				if math.Abs(insect.Score-0.9*0.95) > 1e-6 {
					t.Errorf("score %v", insect.Score)
				}
			}
		})
	}
}

func TestOutlineFollowsTheBorderLikeOpenCV(t *testing.T) {
	// cv2.findContours of this region enlarged by two, RETR_EXTERNAL and CHAIN_APPROX_NONE; with a tolerance of 0, points on
	// straight lines are left out, as approxPolyDP(0) does.
	found := find(t, drawing("......", ".XX...", ".XXX..", "......"), small())
	want := []image.Point{{2, 2}, {2, 5}, {7, 5}, {7, 4}, {6, 4}, {5, 3}, {5, 2}}
	if len(found) != 1 {
		t.Fatalf("found %v", found)
	}
	if diff := cmp.Diff(want, rotated(found[0].Outline, want[0])); diff != "" {
		t.Error(diff)
	}
}

// rotated begins a closed line with the given point.
func rotated(line []image.Point, first image.Point) []image.Point {
	for i, p := range line {
		if p == first {
			return append(append([]image.Point{}, line[i:]...), line[:i]...)
		}
	}
	return line
}

func TestTheFloodEndsWhereItIsDeepest(t *testing.T) {
	// Two cores in one strip; fg has its valley nearer to the right one.
	fg := []float32{0.9, 0.9, 0.9, 0.88, 0.86, 0.84, 0.82, 0.7, 0.75, 0.9, 0.9}
	core := []float32{0.9, 0.9, 0, 0, 0, 0, 0, 0, 0, 0.9, 0.9}
	m := outlines.Maps{Width: len(fg), Height: 3, Photograph: image.Pt(2*len(fg), 6), Scale: 2}
	for range m.Height {
		m.FG, m.Core = append(m.FG, fg...), append(m.Core, core...)
	}
	got := boxes(find(t, m, small()))
	want := []image.Rectangle{image.Rect(0, 0, 15, 5), image.Rect(16, 0, 21, 5)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoiseIsNoInsect(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	m := outlines.Maps{Width: 200, Height: 150, Photograph: image.Pt(400, 300), Scale: 2}
	for range m.Width * m.Height {
		m.FG, m.Core = append(m.FG, rng.Float32()), append(m.Core, rng.Float32()*0.7)
	}
	if found := find(t, m, outlines.Defaults()); len(found) != 0 {
		t.Errorf("found %d", len(found))
	}
}

func TestOutlinesAreSimplified(t *testing.T) {
	m := outlines.Maps{Width: 60, Height: 60, Photograph: image.Pt(120, 120), Scale: 2}
	for i := range m.Width * m.Height {
		d := math.Hypot(float64(i%60-30), float64(i/60-30))
		m.FG, m.Core = append(m.FG, float32(1/(1+math.Exp(d-20)))), append(m.Core, float32(1/(1+math.Exp(d-10))))
	}
	p := outlines.Defaults()
	p.Simplify = 0
	exact := find(t, m, p)
	p.Simplify = 0.006
	simple := find(t, m, p)
	if len(exact) != 1 || len(simple) != 1 {
		t.Fatalf("found %d and %d", len(exact), len(simple))
	}
	if n := len(simple[0].Outline); n < 8 || n > len(exact[0].Outline)/2 {
		t.Errorf("%d points of %d", n, len(exact[0].Outline))
	}
	for _, q := range simple[0].Outline {
		// a radius of 20 pixels is 40 of the photograph's, and two more for the dilation
		if r := math.Hypot(float64(q.X-61), float64(q.Y-61)); r < 38 || r > 45 {
			t.Errorf("point %v lies %v from the middle", q, r)
		}
	}
}

func TestTheFilterWeighsItsFeatures(t *testing.T) {
	lines := []string{".......", ".ooooo.", ".oXXXo.", ".ooooo.", "......."}
	inner := drawing(lines...)
	inner.Grey = make([]float32, len(inner.FG))
	for i, v := range inner.FG {
		inner.Grey[i] = 0.8
		if v > 0 {
			inner.Grey[i] = 0.2
		}
	}
	border := drawing("ooooo..", "oXXXo..", "ooooo..")
	for name, c := range map[string]struct {
		feature string
		maps    outlines.Maps
		value   float64
	}{
		"fg_mean":                     {"fg_mean", inner, 0.9},
		"fg_p10":                      {"fg_p10", inner, 0.9},
		"core_max":                    {"core_max", inner, 0.95},
		"area":                        {"area", inner, math.Log(15)},
		"side":                        {"side", inner, math.Log(9)},
		"solidity":                    {"solidity", inner, 1},
		"aspect":                      {"aspect", inner, 5.0 / 9},
		"border, not":                 {"touches_border", inner, 0},
		"border":                      {"touches_border", border, 1},
		"darkness":                    {"darkness", inner, 0.75},
		"darkness without photograph": {"darkness", border, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := small()
			// a standardised value of 1 for the right one
			p.Filter = &outlines.Filter{
				Features: []string{c.feature}, Mean: []float64{c.value - 2}, Scale: []float64{2}, Coef: []float64{3}, Intercept: -2, Threshold: 0.73,
			}
			found := find(t, c.maps, p)
			want := 1 / (1 + math.Exp(-1))
			if len(found) != 1 || math.Abs(found[0].Score-want) > 1e-6 {
				t.Errorf("found %v, want one with a score of %v", found, want)
			}
			p.Filter.Threshold = 0.74
			if found := find(t, c.maps, p); len(found) != 0 {
				t.Errorf("found %v below the threshold", found)
			}
		})
	}
}

func TestOtherScales(t *testing.T) {
	m := drawing(".......", ".ooooo.", ".oXXXo.", ".ooooo.", ".......")
	for scale, want := range map[float64]image.Rectangle{
		1:   image.Rect(1, 1, 5, 3),
		1.5: image.Rect(1, 1, 8, 5),
		4:   image.Rect(4, 4, 23, 15),
	} {
		m.Scale, m.Photograph = scale, image.Pt(int(7*scale), int(5*scale))
		if diff := cmp.Diff([]image.Rectangle{want}, boxes(find(t, m, small()))); diff != "" {
			t.Errorf("scale %v: %s", scale, diff)
		}
	}
}

func TestBadMapsAreRefused(t *testing.T) {
	good := drawing("....", "....")
	for want, change := range map[string]func(*outlines.Maps){
		"maps of 0 x 2":          func(m *outlines.Maps) { m.Width = 0 },
		"7, 8 and 0 numbers":     func(m *outlines.Maps) { m.FG = m.FG[1:] },
		"8, 8 and 1 numbers":     func(m *outlines.Maps) { m.Grey = m.FG[:1] },
		"of the photograph wide": func(m *outlines.Maps) { m.Scale = math.NaN() },
	} {
		m := good
		change(&m)
		if _, err := outlines.Find(t.Context(), m, small()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := outlines.Find(ctx, drawing("XXXXX", "XXXXX", "XXXXX"), small()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled context", err)
	}
}

func TestParametersAreReadFromJSON(t *testing.T) {
	got, err := outlines.ParseParams([]byte(`{"dilate_px": 3, "filter": {"features": ["area"], "mean": [1], "scale": [2], "coef": [3], "intercept": 4, "threshold": 0.5}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := outlines.Defaults()
	want.Dilate = 3
	want.Filter = &outlines.Filter{Features: []string{"area"}, Mean: []float64{1}, Scale: []float64{2}, Coef: []float64{3}, Intercept: 4, Threshold: 0.5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := outlines.ParseParams(text); err != nil || cmp.Diff(got, again) != "" {
		t.Errorf("read back: %v, %s", err, cmp.Diff(got, again))
	}
	for text, want := range map[string]string{
		`{"fg_threshold": 2}`: "fg_threshold is 2, not 0 to 1",
		`{"dilate_px": 1000}`: "dilate_px is 1000",
		`{"simplify": -1}`:    "simplify is -1",
		`{"dilate": 1}`:       `unknown field "dilate"`,
		`{} {}`:               "more than one",
		`[]`:                  "postprocess",
		`{"filter": {"features": ["size"], "mean": [1], "scale": [2], "coef": [3]}}`: `unknown feature "size"`,
		`{"filter": {"features": ["area"], "mean": [1], "scale": [0], "coef": [3]}}`: `scale of "area" is 0`,
		`{"filter": {"features": ["area"], "mean": [1], "scale": [1], "coef": []}}`:  "1 features, 1 means, 1 scales and 0 coefficients",
	} {
		if _, err := outlines.ParseParams([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestOutlineOfASingleMask(t *testing.T) {
	letters := "oo......" +
		"....ooo." +
		"....ooo." +
		"....ooo."
	var inside []bool
	for _, l := range letters {
		inside = append(inside, l == 'o')
	}
	got, ok, err := outlines.Outline(inside, 8, image.Pt(16, 8), 2, small())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if diff := cmp.Diff([]image.Point{{8, 2}, {8, 7}, {13, 7}, {13, 2}}, rotated(got, image.Pt(8, 2))); diff != "" {
		t.Error(diff)
	}
	p := small()
	p.MinArea = 10
	if _, ok, err := outlines.Outline(inside, 8, image.Pt(16, 8), 2, p); ok || err != nil {
		t.Errorf("a piece of 9 pixels passes for 10: %v", err)
	}
	p.MinArea, p.MinBorder = 9, 10
	if _, ok, err := outlines.Outline(inside, 8, image.Pt(16, 8), 2, p); ok || err != nil {
		t.Errorf("a piece of 9 pixels at the border passes for 10: %v", err)
	}
	if _, _, err := outlines.Outline(inside, 7, image.Pt(16, 8), 2, p); err == nil {
		t.Error("32 pixels pass for rows of 7")
	}
}

// FuzzFind feeds maps as a network of anybody's may give them, NaN and all.
func FuzzFind(f *testing.F) {
	f.Add([]byte{200, 255, 255, 0, 9, 255, 255, 255, 255, 255, 255, 1}, uint8(3), uint8(2), uint8(20))
	f.Fuzz(func(t *testing.T, data []byte, width, dilate, scale uint8) {
		m := outlines.Maps{Width: int(width%32) + 1, Scale: float64(scale%80+1) / 10}
		m.Height = len(data) / m.Width
		if m.Height == 0 || m.Height > 32 {
			return
		}
		m.Photograph = image.Pt(int(float64(m.Width)*m.Scale), int(float64(m.Height)*m.Scale))
		if m.Photograph.X == 0 || m.Photograph.Y == 0 {
			return
		}
		for _, v := range data[:m.Width*m.Height] {
			fg, core := float32(v>>4)/15, float32(v&15)/15
			if v == 9 {
				fg = float32(math.NaN())
			}
			if v == 10 {
				core = float32(math.Inf(1))
			}
			m.FG, m.Core = append(m.FG, fg), append(m.Core, core)
		}
		p := small()
		p.Dilate = int(dilate % 6)
		for _, insect := range find(t, m, p) {
			if len(insect.Outline) < 3 {
				t.Errorf("an outline of %d points", len(insect.Outline))
			}
			for _, q := range insect.Outline {
				if !q.In(image.Rectangle{Max: m.Photograph}) {
					t.Errorf("%v lies outside of %v", q, m.Photograph)
				}
			}
		}
	})
}
