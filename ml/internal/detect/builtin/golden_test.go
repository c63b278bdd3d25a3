package builtin

import (
	"math"
	"os"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/safetensors"
)

// tolerance between implementations: the order of additions differs, and Winograd's products.
const tolerance = 1e-4

func TestMapsAreThoseOfTheTrainer(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := safetensors.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	input, want := golden.Tensors["input"], golden.Tensors["output"]
	height, width := input.Shape[1], input.Shape[2]
	for _, k := range allKernels() {
		t.Run(k.name, func(t *testing.T) {
			d, err := load(embedded, k)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, 0, len(want.Data))
			second := make([]float32, 0, len(want.Data)/2)
			pixels := func(y int, row []float32) {
				for x := range width {
					for c := range colours {
						row[x*colours+c] = input.Data[(c*height+y)*width+x]
					}
				}
			}
			emit := func(_ int, fg, core []float32) {
				got = append(got, fg...)
				second = append(second, core...)
			}
			if err := d.network.run(t.Context(), width, height, pixels, emit); err != nil {
				t.Fatal(err)
			}
			got = append(got, second...)
			if len(got) != len(want.Data) {
				t.Fatalf("%d numbers, want %d", len(got), len(want.Data))
			}
			worst, spread := 0.0, 0.0
			for i, v := range want.Data {
				worst = max(worst, math.Abs(float64(v-got[i])))
				spread = max(spread, math.Abs(float64(v-want.Data[0])))
			}
			if worst > tolerance {
				t.Errorf("off by up to %g, at most %g", worst, tolerance)
			}
			if spread < 0.5 {
				t.Errorf("the golden output differs by %g only: it shows nothing", spread)
			}
			t.Logf("off by up to %.2g", worst)
		})
	}
}
