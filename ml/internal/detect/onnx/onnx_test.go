package onnx

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
)

const version = "1700000000-ad2cd78dfaca12821046dfb8994724d5"

// opened opens a model of testdata; the test is skipped, with the reason, where onnxruntime is not there.
func opened(t *testing.T, path, config string) *Detector {
	t.Helper()
	needRuntime(t)
	cfg, err := ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), filepath.Join("testdata", path), cfg, version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestATrialEndsWithItsContext(t *testing.T) {
	needRuntime(t)
	cfg, err := ParseConfig([]byte("output: {kind: fg_core}"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, filepath.Join("testdata", "tiny", "model.onnx"), cfg, version); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// spotted is a yellow card with dark ellipses.
func spotted(width, height int, spots ...image.Rectangle) *image.RGBA {
	p := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(p, p.Rect, image.NewUniform(color.RGBA{210, 190, 140, 255}), image.Point{}, draw.Src)
	for _, r := range spots {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				dx := (float64(x) + 0.5 - float64(r.Min.X+r.Max.X)/2) / float64(r.Dx()) * 2
				dy := (float64(y) + 0.5 - float64(r.Min.Y+r.Max.Y)/2) / float64(r.Dy()) * 2
				if dx*dx+dy*dy < 1 {
					p.SetRGBA(x, y, color.RGBA{60, 55, 40, 255})
				}
			}
		}
	}
	return p
}

var someSpots = []image.Rectangle{
	image.Rect(60, 40, 100, 80), image.Rect(200, 60, 250, 90), image.Rect(120, 150, 150, 210), image.Rect(300, 200, 340, 230), image.Rect(280, 100, 310, 130),
}

func boundsOf(insects []detect.Insect) []image.Rectangle {
	var all []image.Rectangle
	for _, insect := range insects {
		var r image.Rectangle
		for _, p := range insect.Outline {
			r = r.Union(image.Rectangle{p, p.Add(image.Pt(1, 1))})
		}
		all = append(all, r)
	}
	return all
}

// overlap is the intersection of two rectangles over their union.
func overlap(a, b image.Rectangle) float64 {
	area := func(r image.Rectangle) float64 { return float64(r.Dx() * r.Dy()) }
	both := area(a.Intersect(b))
	return both / (area(a) + area(b) - both)
}

func found(t *testing.T, want, got []image.Rectangle, least float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("found %v, want %v", got, want)
		return
	}
	for _, w := range want {
		best := 0.0
		for _, g := range got {
			best = max(best, overlap(w, g))
		}
		if best < least {
			t.Errorf("nothing at %v among %v (IoU %.2f)", w, got, best)
		}
	}
}

func TestTheSameNetworkGivesTheSameOutlines(t *testing.T) {
	config, err := os.ReadFile("testdata/tiny/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := opened(t, "tiny/model.onnx", string(config))
	weights, err := os.ReadFile("testdata/tiny/weights.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	own, err := builtin.Load(weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, photograph := range []image.Image{
		spotted(400, 300, someSpots...), spotted(401, 299, someSpots...), spotted(64, 64), spotted(400, 300, someSpots...).SubImage(image.Rect(40, 30, 390, 280)),
	} {
		want, err := own.Detect(t.Context(), photograph)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Detect(t.Context(), photograph)
		if err != nil {
			t.Fatal(err)
		}
		outlines := func(insects []detect.Insect) (all [][]image.Point) {
			for _, insect := range insects {
				all = append(all, insect.Outline)
			}
			return all
		}
		if diff := cmp.Diff(outlines(want), outlines(got)); diff != "" {
			t.Errorf("%v (-builtin +onnx)\n%s", photograph.Bounds(), diff)
		}
		if photograph.Bounds().Dx() == 400 {
			found(t, someSpots, boundsOf(got), 0.7)
		}
	}
}

func TestASemanticModelsMapBecomesInsects(t *testing.T) {
	d := opened(t, "dark.onnx", "input: {name: picture, range: 255, layout: nhwc, scale: 0.5, margin: 8, multiple: 32}\noutput: {kind: semantic, channel: 1, activation: softmax}\npostprocess: {dilate_px: 0}\n")
	got, err := d.Detect(t.Context(), spotted(400, 300, someSpots...))
	if err != nil {
		t.Fatal(err)
	}
	found(t, someSpots, boundsOf(got), 0.9)
	if d.Name() != "onnx" || d.Version() != version {
		t.Errorf("%s %s", d.Name(), d.Version())
	}
}

func TestInstancesBecomeInsects(t *testing.T) {
	d := opened(t, "boxes.onnx", "input: {layout: chw, scale: 0.5}\noutput: {kind: instances, threshold: 0.5}\npostprocess: {dilate_px: 0}\n")
	got, err := d.Detect(t.Context(), spotted(400, 300))
	if err != nil {
		t.Fatal(err)
	}
	found(t, []image.Rectangle{image.Rect(40, 60, 120, 140), image.Rect(200, 80, 260, 120)}, boundsOf(got), 0.9)
}

func TestGoroutinesShareAModel(t *testing.T) {
	d := opened(t, "dark.onnx", "input: {range: 255, layout: nhwc}\noutput: {kind: semantic, channel: 1, activation: softmax}\n")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				got, err := d.Detect(t.Context(), spotted(400, 300, someSpots...))
				if err != nil || len(got) != len(someSpots) {
					t.Errorf("%d insects, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestADetectorObeysItsContext(t *testing.T) {
	d := opened(t, "dark.onnx", "input: {range: 255, layout: nhwc}\noutput: {kind: semantic, channel: 1, activation: softmax}\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Detect(ctx, spotted(400, 300)); err == nil {
		t.Error("it goes on")
	}
}

func TestAModelThatCannotBeUsedIsRefusedAtOnce(t *testing.T) {
	needRuntime(t)
	garbage := filepath.Join(t.TempDir(), "garbage.onnx")
	if err := os.WriteFile(garbage, []byte("this is no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, config, want string }{
		{"garbage", garbage, "output: {kind: fg_core}", "cannot be read"},
		{"not there", "testdata/none.onnx", "output: {kind: fg_core}", "cannot be read"},
		{"an input of another shape", "testdata/dark.onnx", "output: {kind: semantic}", "trial picture"},
		{"an input of another name", "testdata/dark.onnx", "input: {name: image}\noutput: {kind: semantic}", `no input "image", but picture`},
		{"an output of another name", "testdata/dark.onnx", "output: {kind: semantic, name: maps}", `no output "maps", but classes`},
		{"too few maps", "testdata/dark.onnx", "input: {layout: nhwc}\noutput: {kind: semantic, channel: 2, activation: softmax}", "number 2 is wanted"},
		{"no probabilities", "testdata/dark.onnx", "input: {layout: nhwc}\noutput: {kind: semantic, channel: 1}", "no probability"},
		{"no instances", "testdata/dark.onnx", "output: {kind: instances}", `no output "boxes"`},
		{"instances read as maps", "testdata/boxes.onnx", "input: {layout: chw}\noutput: {kind: semantic}", "maps of shape [3 4]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := ParseConfig([]byte(tt.config))
			if err != nil {
				t.Fatal(err)
			}
			if d, err := Open(t.Context(), tt.path, cfg, version); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, error %v, want %q", d, err, tt.want)
			}
		})
	}
}
