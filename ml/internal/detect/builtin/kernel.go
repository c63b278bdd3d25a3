package builtin

// matrix multiplies pixels by weights, the one operation that costs time: dst[p][o] = sum over s and k of
// src[s][p][k] * weight[s*K+k][o], for n pixels p, the segments s (rows of the picture), K inputs k of a segment and outputs o.
// Pixel p begins at src[s][p*srcStride] and dst[p*dstStride].
type matrix struct {
	k      int // inputs of a segment
	blocks []placed
}

// placed is a block of outputs and the first of them.
type placed struct {
	block
	at int
}

// block holds the weights of as many outputs as its kernel takes at once.
type block interface {
	mul(dst []float32, dstStride, n int, src [][]float32, srcStride, k int)
}

// kernels are the implementations for one kind of processor.
type kernels struct {
	name   string
	widths []int // outputs a block; the largest first, the last one divides all others
	pack   func(width int, weights []float32) block
}

// unit is what a number of channels is rounded up to.
func (k *kernels) unit() int { return k.widths[len(k.widths)-1] }

func (k *kernels) padded(channels int) int { return (channels + k.unit() - 1) / k.unit() * k.unit() }

// matrix packs weights, [rows][outputs], of the given number of segments. Outputs are padded to a multiple of the unit.
func (k *kernels) matrix(weights []float32, outputs, segments int) *matrix {
	rows := len(weights) / outputs
	m := &matrix{k: rows / segments}
	for at := 0; at < k.padded(outputs); {
		width := k.unit()
		for _, w := range k.widths {
			if at+w <= k.padded(outputs) {
				width = w
				break
			}
		}
		packed := make([]float32, rows*width)
		for r := range rows {
			copy(packed[r*width:(r+1)*width], weights[r*outputs+at:(r+1)*outputs])
		}
		m.blocks = append(m.blocks, placed{k.pack(width, packed), at})
		at += width
	}
	return m
}

func (m *matrix) mul(dst []float32, dstStride, n int, src [][]float32, srcStride int) {
	for _, b := range m.blocks {
		b.mul(dst[b.at:], dstStride, n, src, srcStride, m.k)
	}
}

// scalar is for every processor: plain Go.
func scalar() *kernels {
	return &kernels{name: "scalar", widths: []int{3}, pack: func(_ int, weights []float32) block {
		b := make(scalar3, len(weights)/3)
		for i := range b {
			b[i] = [3]float32(weights[3*i:])
		}
		return b
	}}
}

type scalar3 [][3]float32

// Tiles of 2 pixels x 3 outputs: with a sum more, Go 1.26 keeps one in memory on an amd64 without fused multiply-add, which takes
// twice as long.
func (b scalar3) mul(dst []float32, dstStride, n int, src [][]float32, srcStride, k int) {
	p := 0
	for ; p+2 <= n; p += 2 {
		var a0, a1, a2, b0, b1, b2 float32
		for s, row := range src {
			x := row[p*srcStride:][:k]
			y := row[(p+1)*srcStride:][:len(x)]
			w := b[s*k:][:len(x)]
			for i, u := range x {
				v := y[i]
				w := &w[i]
				a0 += u * w[0]
				a1 += u * w[1]
				a2 += u * w[2]
				b0 += v * w[0]
				b1 += v * w[1]
				b2 += v * w[2]
			}
		}
		*(*[3]float32)(dst[p*dstStride:]) = [3]float32{a0, a1, a2}
		*(*[3]float32)(dst[(p+1)*dstStride:]) = [3]float32{b0, b1, b2}
	}
	if p < n {
		var sum [3]float32
		for s, row := range src {
			x := row[p*srcStride:][:k]
			for i, u := range x {
				w := &b[s*k+i]
				for o := range sum {
					sum[o] += u * w[o]
				}
			}
		}
		*(*[3]float32)(dst[p*dstStride:]) = sum
	}
}
