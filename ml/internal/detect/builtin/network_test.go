package builtin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/safetensors"
)

// randomTensors are weights of a network with four such widths.
func randomTensors(widths [4]int, seed uint64) map[string]safetensors.Tensor {
	rng := rand.New(rand.NewPCG(seed, 1))
	all := map[string]safetensors.Tensor{}
	add := func(name string, spread float64, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		data := make([]float32, n)
		for i := range data {
			data[i] = float32(rng.NormFloat64() * spread)
		}
		all[name] = safetensors.Tensor{Shape: shape, Data: data}
	}
	conv := func(name string, in, out int) {
		// He's spread: activations neither vanish nor explode.
		add(name+".weight", math.Sqrt(2/float64(9*in)), out, in, 3, 3)
		add(name+".bias", 0.1, out)
	}
	pair := func(name string, in, out int) {
		conv(name+".conv1", in, out)
		conv(name+".conv2", out, out)
	}
	a, b, c, d := widths[0], widths[1], widths[2], widths[3]
	pair("enc1", 12, a)
	pair("enc2", a, b)
	pair("enc3", b, c)
	pair("enc4", c, d)
	pair("dec3", d+c, c)
	pair("dec2", c+b, b)
	pair("dec1", b+a, a)
	add("head.weight", math.Sqrt(1/float64(a)), 8, a, 1, 1)
	add("head.bias", 0.1, 8)
	return all
}

// volume is a picture of c channels, channel by channel as the trainer has it, in float64.
type volume struct {
	c, h, w int
	v       []float64
}

func newVolume(c, h, w int) volume { return volume{c, h, w, make([]float64, c*h*w)} }

func (a volume) at(c, y, x int) *float64 { return &a.v[(c*a.h+y)*a.w+x] }

// build fills a volume by a rule.
func build(c, h, w int, rule func(c, y, x int) float64) volume {
	out := newVolume(c, h, w)
	for i := range c {
		for y := range h {
			for x := range w {
				*out.at(i, y, x) = rule(i, y, x)
			}
		}
	}
	return out
}

// reference is the network as it is defined, without any of the tricks.
func reference(t map[string]safetensors.Tensor, in volume) volume {
	conv := func(name string, in volume) volume {
		w, bias := t[name+".weight"], t[name+".bias"]
		return build(w.Shape[0], in.h, in.w, func(o, y, x int) float64 {
			sum := float64(bias.Data[o])
			for i := range in.c {
				for ky := range 3 {
					for kx := range 3 {
						if yy, xx := y+ky-1, x+kx-1; yy >= 0 && yy < in.h && xx >= 0 && xx < in.w {
							sum += *in.at(i, yy, xx) * float64(w.Data[((o*in.c+i)*3+ky)*3+kx])
						}
					}
				}
			}
			return max(0, sum)
		})
	}
	block := func(name string, in volume) volume { return conv(name+".conv2", conv(name+".conv1", in)) }
	pool := func(in volume) volume {
		return build(in.c, in.h/2, in.w/2, func(c, y, x int) float64 {
			return max(*in.at(c, 2*y, 2*x), *in.at(c, 2*y, 2*x+1), *in.at(c, 2*y+1, 2*x), *in.at(c, 2*y+1, 2*x+1))
		})
	}
	join := func(below, skip volume) volume {
		return build(below.c+skip.c, skip.h, skip.w, func(c, y, x int) float64 {
			if c < below.c {
				return *below.at(c, y/2, x/2)
			}
			return *skip.at(c-below.c, y, x)
		})
	}
	s1 := block("enc1", build(12, in.h/2, in.w/2, func(c, y, x int) float64 { return *in.at(c/4, 2*y+c%4/2, 2*x+c%2) }))
	s2 := block("enc2", pool(s1))
	s3 := block("enc3", pool(s2))
	d := block("enc4", pool(s3))
	d = block("dec3", join(d, s3))
	d = block("dec2", join(d, s2))
	d = block("dec1", join(d, s1))
	weight, bias := t["head.weight"], t["head.bias"]
	return build(2, in.h, in.w, func(m, y, x int) float64 {
		o := m*4 + y%2*2 + x%2
		sum := float64(bias.Data[o])
		for i := range d.c {
			sum += *d.at(i, y/2, x/2) * float64(weight.Data[o*d.c+i])
		}
		return 1 / (1 + math.Exp(-sum))
	})
}

func TestNetworkIsWhatItsDefinitionSays(t *testing.T) {
	for i, c := range []struct {
		widths        [4]int
		height, width int
	}{
		{[4]int{24, 48, 72, 96}, 32, 64},
		{[4]int{24, 48, 64, 96}, 64, 32},
		{[4]int{5, 12, 17, 30}, 32, 96},
		{[4]int{12, 8, 50, 9}, 32, 32}, // a single square on the lowest level
		{[4]int{70, 33, 80, 130}, 32, 32},
		{[4]int{3, 4, 3, 2}, 768, 32}, // more rows than are kept
	} {
		tensors := randomTensors(c.widths, uint64(i))
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		in := build(3, c.height, c.width, func(int, int, int) float64 { return float64(rng.Float32()) })
		want := reference(tensors, in)
		for _, k := range allKernels() {
			t.Run(fmt.Sprintf("%v of %d x %d, %s", c.widths, c.width, c.height, k.name), func(t *testing.T) {
				n, err := newNetwork(tensors, k)
				if err != nil {
					t.Fatal(err)
				}
				pixels := func(y int, row []float32) {
					for x := range c.width {
						for colour := range colours {
							row[x*colours+colour] = float32(*in.at(colour, y, x))
						}
					}
				}
				worst, rows := 0.0, 0
				emit := func(y int, fg, core []float32) {
					if y != rows {
						t.Errorf("row %d after %d rows", y, rows)
					}
					rows++
					for x := range c.width {
						worst = max(worst, math.Abs(float64(fg[x])-*want.at(0, y, x)), math.Abs(float64(core[x])-*want.at(1, y, x)))
					}
				}
				if err := n.run(t.Context(), c.width, c.height, pixels, emit); err != nil {
					t.Fatal(err)
				}
				if rows != c.height || worst > tolerance {
					t.Errorf("%d rows of %d, off by up to %g, at most %g", rows, c.height, worst, tolerance)
				}
			})
		}
	}
}

func TestVectorsAreTested(t *testing.T) {
	if len(allKernels()) == 1 {
		t.Skip("only scalar kernels: built without GOEXPERIMENT=simd, or a processor without AVX2")
	}
	if got := fastest().name; got != allKernels()[len(allKernels())-1].name {
		t.Errorf("the fastest kernels are %s", got)
	}
}

func TestACancelledContextStopsTheNetwork(t *testing.T) {
	n, err := newNetwork(randomTensors([4]int{4, 4, 4, 4}, 1), scalar())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	pixels := func(int, []float32) {
		if seen++; seen == 3 {
			cancel()
		}
	}
	err = n.run(ctx, 32, 960, pixels, func(int, []float32, []float32) {})
	if !errors.Is(err, context.Canceled) || seen > 480 {
		t.Errorf("got %v after %d rows of 960, want a cancelled context", err, seen)
	}
}

func TestTensorsThatDoNotFitAreNamed(t *testing.T) {
	whole := randomTensors([4]int{4, 6, 8, 10}, 1)
	for name, c := range map[string]struct {
		change func(map[string]safetensors.Tensor)
		want   string
	}{
		"missing bias":     {func(m map[string]safetensors.Tensor) { delete(m, "enc2.conv2.bias") }, "enc2.conv2.bias is missing"},
		"missing first":    {func(m map[string]safetensors.Tensor) { delete(m, "enc1.conv1.weight") }, "enc1.conv1.weight"},
		"missing head":     {func(m map[string]safetensors.Tensor) { delete(m, "head.weight") }, "head.weight is missing"},
		"another width":    {func(m map[string]safetensors.Tensor) { m["dec2.conv1.weight"] = m["dec1.conv1.weight"] }, "dec2.conv1.weight: shape [4 10 3 3], want [6 14 3 3]"},
		"too wide":         {func(m map[string]safetensors.Tensor) { m["enc4.conv1.weight"] = wide() }, "at most 256 outputs"},
		"not a number":     {func(m map[string]safetensors.Tensor) { m["head.bias"] = notANumber(m["head.bias"]) }, "head.bias holds numbers that are not finite"},
		"no convolution":   {func(m map[string]safetensors.Tensor) { m["enc3.conv1.weight"] = m["enc3.conv1.bias"] }, "enc3.conv1.weight: shape [8]"},
		"other outputs":    {func(m map[string]safetensors.Tensor) { m["head.bias"] = m["enc1.conv1.bias"] }, "head.bias: shape [4], want [8]"},
		"other kernel":     {func(m map[string]safetensors.Tensor) { m["enc1.conv2.weight"] = five(m["enc1.conv2.weight"]) }, "want [4 4 3 3]"},
		"no tensor at all": {func(m map[string]safetensors.Tensor) { clear(m) }, "enc1.conv1.weight"},
	} {
		t.Run(name, func(t *testing.T) {
			tensors := maps.Clone(whole)
			c.change(tensors)
			_, err := newNetwork(tensors, scalar())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func wide() safetensors.Tensor {
	return safetensors.Tensor{Shape: []int{257, 8, 3, 3}, Data: make([]float32, 257*8*9)}
}

func notANumber(t safetensors.Tensor) safetensors.Tensor {
	data := append([]float32{}, t.Data...)
	data[1] = float32(math.NaN())
	return safetensors.Tensor{Shape: t.Shape, Data: data}
}

func five(t safetensors.Tensor) safetensors.Tensor {
	return safetensors.Tensor{Shape: []int{4, 4, 5, 5}, Data: make([]float32, len(t.Data)/9*25)}
}

func TestTheSigmoidIsExactToAMillionth(t *testing.T) {
	for x := float32(-100); x <= 100; x += 1.0 / 128 {
		if want := 1 / (1 + math.Exp(-float64(x))); math.Abs(float64(sigmoid(x))-want) > 1e-6 {
			t.Fatalf("of %g: got %g, want %g", x, sigmoid(x), want)
		}
	}
}
