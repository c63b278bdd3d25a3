package builtin

import "slices"

// matrix multiplies pixels by weights, the one operation that costs time: dst[p][o] = sum over i of src[p][i] * weight[i][o], for
// n pixels p, inputs i and outputs o.
type matrix struct {
	stride int // of a pixel's outputs, padding included
	blocks []placed
}

// placed is a block of outputs and the first of them.
type placed struct {
	block
	at int
}

// block holds the weights of as many outputs as its kernel takes at once.
type block interface {
	// pixels is how many a tile has.
	pixels() int
	// tile multiplies some pixels. What is stored and read of a pixel begins dstStride and srcStride after that of the one before.
	tile(dst []float32, dstStride int, src []float32, srcStride int)
}

// kernels are the implementations for one kind of processor.
type kernels struct {
	name   string
	unit   int   // what a number of channels is rounded up to
	widths []int // outputs a block, the smallest first
	pack   func(width int, weights []float32) block
	// see the functions of these names
	sums    func(to []float32, stride, n int, a, b []float32, sign float32, channels int, w window)
	combine func(top, bottom []float32, n int, products []float32, stride int, bias []float32)
}

func (k *kernels) padded(channels int) int { return (channels + k.unit - 1) / k.unit * k.unit }

// matrix packs weights, [inputs][outputs], into as few blocks as do, of much the same width.
func (k *kernels) matrix(weights []float32, outputs int) *matrix {
	inputs := len(weights) / outputs
	m := &matrix{}
	largest := k.widths[len(k.widths)-1]
	for blocks := (outputs + largest - 1) / largest; blocks > 0; blocks-- {
		at := m.stride
		want := (outputs - at + blocks - 1) / blocks
		width := k.widths[slices.IndexFunc(k.widths, func(w int) bool { return w >= want })]
		packed := make([]float32, inputs*width)
		for i := range inputs {
			copy(packed[i*width:(i+1)*width], weights[i*outputs+at:(i+1)*outputs])
		}
		m.blocks = append(m.blocks, placed{k.pack(width, packed), at})
		m.stride += width
	}
	return m
}

// mul multiplies n pixels. dst and src have room for 4 at least, the most that a tile has.
func (m *matrix) mul(dst []float32, n int, src []float32, srcStride int) {
	for _, b := range m.blocks {
		size := b.pixels()
		for p := 0; p < n; p += size {
			p := max(0, min(p, n-size)) // the last tile ends where the pixels do: some are multiplied twice
			b.tile(dst[p*m.stride+b.at:], m.stride, src[p*srcStride:], srcStride)
		}
	}
}

// scalar is for every processor: plain Go.
func scalar() *kernels {
	return &kernels{name: "scalar", unit: 1, widths: []int{3}, sums: sums, combine: combine, pack: func(_ int, weights []float32) block {
		return scalar3(split[[3]float32](weights))
	}}
}

// split cuts a list into arrays.
func split[A [3]float32 | [24]float32 | [32]float32 | [48]float32](list []float32) []A {
	var a A
	n := len(a)
	out := make([]A, len(list)/n)
	for i := range out {
		for j := range n {
			out[i][j] = list[i*n+j]
		}
	}
	return out
}

type scalar3 [][3]float32

// Tiles of 2 pixels x 3 outputs: with a sum more, Go 1.26 keeps one in memory on an amd64 without fused multiply-add, which takes
// twice as long.
func (scalar3) pixels() int { return 2 }

func (w scalar3) tile(dst []float32, dstStride int, src []float32, srcStride int) {
	x, y := src[:len(w)], src[srcStride:][:len(w)]
	var a0, a1, a2, b0, b1, b2 float32
	for i := range w {
		w := &w[i]
		u, v := x[i], y[i]
		a0 += u * w[0]
		a1 += u * w[1]
		a2 += u * w[2]
		b0 += v * w[0]
		b1 += v * w[1]
		b2 += v * w[2]
	}
	*(*[3]float32)(dst) = [3]float32{a0, a1, a2}
	*(*[3]float32)(dst[dstStride:]) = [3]float32{b0, b1, b2}
}
