package builtin

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/outlines"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/evaluate"
)

// card is a generated yellow card with dark, leggy blobs at the given places.
func card(width, height int, at ...image.Point) *image.RGBA {
	p := image.NewRGBA(image.Rect(0, 0, width, height))
	rng := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			n := uint8(rng.IntN(8))
			p.SetRGBA(x, y, color.RGBA{200 + n, 190 + n, 60 + n, 255})
		}
	}
	for _, c := range at {
		for dy := -24; dy <= 24; dy++ {
			for dx := -16; dx <= 16; dx++ {
				body := dx*dx*4+dy*dy <= 26*26
				leg := dy%12 == 0 || dy%12 == 1
				if body || leg {
					p.SetRGBA(c.X+dx, c.Y+dy, color.RGBA{60, 45, 20, 255})
				}
			}
		}
	}
	return p
}

func detector(t testing.TB) *Detector {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestInsectsAreFoundWhereTheyAre(t *testing.T) {
	want := []image.Point{{150, 90}, {420, 260}}
	found, err := detector(t).Detect(t.Context(), card(600, 400, want...))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(want) {
		t.Fatalf("found %d insects, want %d: %v", len(found), len(want), found)
	}
	for i, insect := range found {
		box := bounds(insect)
		if c := box.Min.Add(box.Max).Div(2); distance(c, want[i]) > 8 {
			t.Errorf("insect %d is at %v, want %v", i, c, want[i])
		}
		if box.Dx() < 24 || box.Dx() > 66 || box.Dy() < 36 || box.Dy() > 98 {
			t.Errorf("insect %d of 33 x 49 pixels has an outline of %v, not about its own size", i, box.Size())
		}
		if insect.Score <= 0 || insect.Score > 1 {
			t.Errorf("insect %d has a score of %v", i, insect.Score)
		}
	}
}

func bounds(i detect.Insect) image.Rectangle {
	var r image.Rectangle
	for _, p := range i.Outline {
		r = r.Union(image.Rectangle{p, p.Add(image.Pt(1, 1))})
	}
	return r
}

func distance(a, b image.Point) float64 {
	return math.Hypot(float64(a.X-b.X), float64(a.Y-b.Y))
}

func TestPartOfAPictureIsLikeAPictureOfItsOwn(t *testing.T) {
	whole := card(700, 500, image.Pt(300, 250))
	part := whole.SubImage(image.Rect(100, 50, 600, 450))
	own := image.NewRGBA(image.Rect(0, 0, 500, 400))
	draw.Draw(own, own.Rect, part, part.Bounds().Min, draw.Src)
	d := detector(t)
	got, err := d.Detect(t.Context(), part)
	if err != nil {
		t.Fatal(err)
	}
	want, err := d.Detect(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 {
		t.Fatal("nothing was found")
	}
	for i := range want {
		for j := range want[i].Outline {
			want[i].Outline[j] = want[i].Outline[j].Add(image.Pt(100, 50))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPhotographsOfAnySizeAndShade(t *testing.T) {
	d := detector(t)
	for name, p := range map[string]image.Image{
		"a pixel":            image.NewRGBA(image.Rect(0, 0, 1, 1)),
		"two pixels":         image.NewGray(image.Rect(0, 0, 2, 1)),
		"a line":             image.NewNRGBA(image.Rect(0, 0, 3, 301)),
		"odd and portrait":   image.NewYCbCr(image.Rect(0, 0, 241, 399), image.YCbCrSubsampleRatio420),
		"not at the origin":  image.NewRGBA(image.Rect(-7, 13, 120, 90)),
		"a pixel of chroma":  image.NewYCbCr(image.Rect(0, 0, 1, 1), image.YCbCrSubsampleRatio410),
		"black":              image.NewRGBA(image.Rect(0, 0, 320, 240)),
		"white":              uniform(320, 240, color.White),
		"the card's yellow":  uniform(320, 240, color.RGBA{200, 190, 60, 255}),
		"transparent pixels": uniform(64, 64, color.Transparent),
	} {
		t.Run(name, func(t *testing.T) {
			found, err := d.Detect(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 0 {
				t.Errorf("found %v where there is nothing", found)
			}
		})
	}
}

func uniform(w, h int, c color.Color) image.Image {
	p := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(p, p.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	return p
}

// giant claims to be large without taking memory.
type giant struct{ image.Rectangle }

func (g giant) ColorModel() color.Model { return color.GrayModel }
func (g giant) Bounds() image.Rectangle { return g.Rectangle }
func (g giant) At(int, int) color.Color { return color.Black }

func TestPhotographsThatCannotBeLookedAtAreRefused(t *testing.T) {
	for want, p := range map[string]image.Image{
		"10000 x 6001 pixels is too large: at most 60 megapixels": giant{image.Rect(0, 0, 10000, 6001)},
		"without pixels": image.NewRGBA(image.Rect(5, 5, 5, 9)),
	} {
		if _, err := detector(t).Detect(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestACancelledContextStopsTheSearch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := detector(t).Detect(ctx, card(100, 100)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPartsGiveTheMapsOfTheWhole(t *testing.T) {
	p := card(1300, 900, image.Pt(150, 90), image.Pt(420, 260), image.Pt(640, 440), image.Pt(1280, 890))
	d := detector(t)
	want, err := d.look(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	d.tile = 192
	if n := len(split1D(704, d.tile)); n < 3 {
		t.Fatalf("%d parts only", n)
	}
	got, err := d.look(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for name, maps := range map[string][2][]float32{"fg": {want.FG, got.FG}, "core": {want.Core, got.Core}} {
		worst, most := 0.0, float32(0)
		for i, v := range maps[0] {
			worst = max(worst, math.Abs(float64(v-maps[1][i])))
			most = max(most, v)
		}
		if worst > 1e-6 || most < 0.5 {
			t.Errorf("%s is off by up to %g (its greatest value is %g)", name, worst, most)
		}
	}
}

func TestPartsCoverALengthOnce(t *testing.T) {
	for length := pad; length < 5000; length += pad {
		at := 0
		for _, p := range split1D(length, maxTile) {
			if p.first != at || p.end <= p.first || p.end-p.first > maxTile || p.from > p.first || p.to < p.end ||
				(p.from > 0 && p.first-p.from < halo) || (p.to < length && p.to-p.end < halo) || (p.to-p.from)%pad != 0 {
				t.Errorf("length %d: part %+v after %d", length, p, at)
			}
			at = p.end
		}
		if at != length {
			t.Errorf("length %d: covered to %d", length, at)
		}
	}
}

func TestVersionIsTimestampAndMD5(t *testing.T) {
	d := detector(t)
	if !regexp.MustCompile(`^\d{10}-[0-9a-f]{32}$`).MatchString(d.Version()) {
		t.Errorf("version %q", d.Version())
	}
	if d.Name() != "builtin" || d.Kernels() == "" {
		t.Errorf("name %q, kernels %q", d.Name(), d.Kernels())
	}
}

func TestSeveralGoroutinesMayDetectAtOnce(t *testing.T) {
	d := detector(t)
	p := card(300, 300, image.Pt(150, 150))
	results := make(chan []detect.Insect, 3)
	for range cap(results) {
		go func() {
			found, err := d.Detect(t.Context(), p)
			if err != nil {
				t.Error(err)
			}
			results <- found
		}()
	}
	first := <-results
	for range cap(results) - 1 {
		if diff := cmp.Diff(first, <-results); diff != "" {
			t.Error(diff)
		}
	}
	if len(first) != 1 {
		t.Errorf("found %d insects, want 1", len(first))
	}
}

func TestBadWeightsAreRefusedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no safetensors": {"", "", "shorter"},
		"other format":   {`sticky-pi-unet/1`, `sticky-pi-unet/9`, `format "sticky-pi-unet/9"`},
		"no date":        {`"trained":"2`, `"trained":"x`, "is no date"},
		"no parameters":  {`"postprocess"`, `"postprocesz"`, "no postprocess"},
		"bad parameters": {`\"fg_threshold\"`, `\"fg_threshald\"`, "fg_threshald"},
		"no tensor":      {`"enc1.conv1.weight"`, `"enc1.conv1.waight"`, "enc1.conv1.weight"},
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(strings.Replace(string(embedded), c.old, c.new, 1))
			if c.old == "" {
				data = nil
			} else if slices.Equal(data, embedded) {
				t.Fatalf("the weights hold no %s", c.old)
			}
			if _, err := Load(data); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestDarknessSeesThePhotograph(t *testing.T) {
	m, err := detector(t).look(t.Context(), uniform(40, 30, color.RGBA{30, 60, 90, 255}))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Grey) != 20*15 || math.Abs(float64(m.Grey[7])-60.0/255) > 1e-6 {
		t.Errorf("%d values of grey, the first %v", len(m.Grey), m.Grey[0])
	}
	if _, err := outlines.Find(t.Context(), *m, outlines.Defaults()); err != nil {
		t.Error(err)
	}
}

// TestAnnotatedPhotographsAreUnderstood holds the embedded weights, which have seen these photographs, against what people drew: whether
// the weights, the network and the outlines fit together. How good the detector is on others, docs/DETECTOR.md says.
func TestAnnotatedPhotographsAreUnderstood(t *testing.T) {
	const folder = "../../../../../shared/data/uid"
	if _, err := os.Stat(folder); err != nil {
		t.Skip("../shared/data/uid has no annotated photographs")
	}
	only := []string{"398948ee.2020-07-03_09-02-15", "5c173ff2.2020-07-05_20-33-31"}
	report, err := evaluate.Dir(t.Context(), detector(t), folder, evaluate.Options{Only: only}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Photographs {
		if all := p.Scores[0].All; all.Precision() < 0.68 || all.Recall() < 0.68 {
			t.Errorf("%s: precision %.2f, recall %.2f", p.Name, all.Precision(), all.Recall())
		}
	}
}
