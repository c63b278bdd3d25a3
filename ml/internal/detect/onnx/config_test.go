package onnx

import (
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAConfigurationsMistakesAreNamed(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "cannot be read"},
		{"output: [", "cannot be read"},
		{"MODEL: {WEIGHTS: x}", "field MODEL not found"}, // the old stack's
		{"output: {}", "output.kind"},
		{"output: {kind: fg_core, activation: relu}", "output.activation"},
		{"input: {order: rbg}\noutput: {kind: fg_core}", "input.order"},
		{"input: {layout: hcw}\noutput: {kind: fg_core}", "input.layout"},
		{"input: {scale: 0}\noutput: {kind: fg_core}", "input.scale"},
		{"input: {scale: .nan}\noutput: {kind: fg_core}", "input.scale"},
		{"input: {range: 2}\noutput: {kind: fg_core}", "input.range"},
		{"input: {multiple: 0}\noutput: {kind: fg_core}", "input.multiple"},
		{"input: {margin: -1}\noutput: {kind: fg_core}", "input.margin"},
		{"input: {mean: [1]}\noutput: {kind: fg_core}", "input.mean"},
		{"input: {std: [1, 0, 1]}\noutput: {kind: fg_core}", "input.std"},
		{"output: {kind: semantic, channel: -1}", "output.channel"},
		{"output: {kind: instances, threshold: 2}", "output.threshold"},
		{"output: {kind: fg_core}\nmodel: ../x.onnx", "model is"},
		{"output: {kind: fg_core}\npostprocess: {fg_threshold: 2}", "fg_threshold"},
		{"output: {kind: fg_core}\npostprocess: {speed: 2}", "speed"},
		{"# " + strings.Repeat("x", maxConfig), "longer than"},
	} {
		if _, err := ParseConfig([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: error %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestAPhotographIsShownAsTheModelWantsIt(t *testing.T) {
	photograph := image.NewRGBA(image.Rect(10, 20, 13, 22)) // 3 x 2
	for i := range 6 {
		photograph.SetRGBA(10+i%3, 20+i/3, color.RGBA{uint8(10 * i), uint8(10*i + 1), uint8(10*i + 2), 255})
	}
	for _, tt := range []struct {
		config string
		shape  []int64
		data   []float32
	}{
		// 2 x 1 pixels of means: of 0, 10, 30, 40, and of the last column
		{"input: {scale: 0.5, range: 255}", []int64{1, 3, 1, 2}, []float32{20, 35, 21, 36, 22, 37}},
		{"input: {scale: 0.5, range: 255, order: bgr, layout: hwc}", []int64{1, 2, 3}, []float32{22, 21, 20, 37, 36, 35}},
		{"input: {scale: 0.5, range: 255, mean: [20, 21, 22], std: [5, 5, 5], layout: nhwc}", []int64{1, 1, 2, 3}, []float32{0, 0, 0, 3, 3, 3}},
		// margins and filling are reflected
		{"input: {range: 255, margin: 1, multiple: 5, layout: chw}", []int64{3, 5, 5}, []float32{
			40, 30, 40, 50, 40, 10, 0, 10, 20, 10, 40, 30, 40, 50, 40, 10, 0, 10, 20, 10, 40, 30, 40, 50, 40,
			41, 31, 41, 51, 41, 11, 1, 11, 21, 11, 41, 31, 41, 51, 41, 11, 1, 11, 21, 11, 41, 31, 41, 51, 41,
			42, 32, 42, 52, 42, 12, 2, 12, 22, 12, 42, 32, 42, 52, 42, 12, 2, 12, 22, 12, 42, 32, 42, 52, 42,
		}},
	} {
		cfg, err := ParseConfig([]byte(tt.config + "\noutput: {kind: semantic}"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := cfg.Input.show(photograph)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.shape, s.shape); diff != "" {
			t.Errorf("%s: shape (-want +got)\n%s", tt.config, diff)
		}
		if diff := cmp.Diff(tt.data, s.data); diff != "" {
			t.Errorf("%s: data (-want +got)\n%s", tt.config, diff)
		}
	}
}

func TestHostilePhotographsAndAnswersAreRefused(t *testing.T) {
	cfg, err := ParseConfig([]byte("output: {kind: instances}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Input.show(image.NewUniform(color.Black)); err == nil {
		t.Error("an endless picture passes")
	}
	if _, err := cfg.Input.show(image.NewRGBA(image.Rectangle{})); err == nil {
		t.Error("an empty picture passes")
	}
	s, err := cfg.Input.show(image.NewRGBA(image.Rect(0, 0, 1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(0)
	nan /= nan
	one := tensor{[]int64{1}, []float32{1}}
	mask := tensor{[]int64{1, 1, 1, 1}, []float32{1}}
	for name, answers := range map[string][]tensor{
		"no boxes":         {{}, one, mask},
		"no masks":         {{[]int64{1, 4}, make([]float32, 4)}, one, {}},
		"empty masks":      {{[]int64{1, 4}, make([]float32, 4)}, one, {[]int64{1, 1, 0, 0}, nil}},
		"a box of nothing": {{[]int64{1, 4}, []float32{nan, 0, 1, 1}}, one, mask},
		"too many":         {{}, {[]int64{maxInstances + 1}, make([]float32, maxInstances+1)}, {}},
	} {
		if got, err := cfg.insects(t.Context(), s, answers); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	got, err := cfg.insects(t.Context(), s, []tensor{{[]int64{1, 4}, []float32{5, 5, 5, 5}}, one, mask})
	if err != nil || len(got) != 0 {
		t.Errorf("a box without area: %v, %v", got, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("input: {scale: 0.5, order: bgr}\noutput: {kind: fg_core}\npostprocess: {dilate_px: 0}\n"))
	f.Add([]byte("a: &a [*a]"))
	photograph := image.NewRGBA(image.Rect(0, 0, 37, 23))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := ParseConfig(text)
		if err != nil {
			return
		}
		s, err := cfg.Input.show(photograph)
		if err != nil {
			t.Fatalf("what was accepted cannot be used: %v", err)
		}
		if len(s.data) != 3*s.fullW*s.fullH || s.fullW%cfg.Input.Multiple != 0 {
			t.Errorf("%d numbers for %d x %d pixels", len(s.data), s.fullW, s.fullH)
		}
	})
}
