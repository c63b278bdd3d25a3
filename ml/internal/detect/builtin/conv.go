package builtin

import (
	"math"
	"slices"
)

// conv is a 3 x 3 convolution over zero-padded pixels, with a bias and ReLU: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray 2016,
// arXiv:1509.09308), which holds exactly but for rounding. A square of 2 x 2 outputs is made of 16 products, instead of 36, of
// sums of the 4 x 4 inputs that it meets and sums of weights. Of inputs that come from a picture enlarged by 2 (each pixel four
// times), 7 of the 16 sums are nought, so that 9 products do.
type conv struct {
	kernels  *kernels
	own      int           // channels of a pixel, padding included
	below    int           // and of one of the level below, if the convolution has such inputs
	out      int           // channels, not padded
	products [4][4]*matrix // of a square's rows and columns
	bias     []float32     // padded
}

// squares is how many squares are worked on at a time: their sums and products stay in the processor's cache. As it is no power of 2, they
// do not all fall into the same few lines of it.
const squares = 44

// room is where convolutions work, one after the other.
type room struct{ sums, products []float32 }

// factors are the sums of three weights of a row or column, one for each product.
var factors = [4][3]float64{{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}}

// nought is the product of a row or column that is nought for inputs from the level below: the two pixels in the middle are the same, and
// it is their difference that counts.
const nought = 2

// newConv packs weights [out][below+own][3][3]. A pixel of the input has in channels, of which the first own are used.
func newConv(k *kernels, weight, bias []float32, in, own, below int) *conv {
	out := len(bias)
	c := &conv{kernels: k, own: in, out: out, bias: make([]float32, k.padded(out))}
	copy(c.bias, bias)
	if below > 0 {
		c.below = k.padded(below)
	}
	for q := range 4 {
		for p := range 4 {
			rows := in
			if q != nought && p != nought {
				rows += c.below
			}
			w := make([]float32, rows*out)
			for i := range below + own {
				row := i - below // the level below comes first in the weights, and last here
				if i < below {
					row = in + i
				}
				if row >= rows {
					continue
				}
				for o := range out {
					var sum float64
					for ky, fy := range factors[q] {
						for kx, fx := range factors[p] {
							sum += fy * fx * float64(weight[((o*(below+own)+i)*3+ky)*3+kx])
						}
					}
					w[row*out+o] = float32(sum)
				}
			}
			c.products[q][p] = k.matrix(w, out)
		}
	}
	return c
}

// rows makes the outputs for a picture; below, if the convolution has such inputs, is half as wide and high.
func (c *conv) rows(own, below *picture, room *room) rows {
	k := c.kernels
	in, stride := c.own+c.below, c.products[0][0].stride
	room.sums = slices.Grow(room.sums, 4*squares*in)
	room.products = slices.Grow(room.products, 4*4*squares*stride)
	return func(y int, top, bottom []float32) {
		ownRows := [4][]float32{own.row(y - 1), own.row(y), own.row(y + 1), own.row(y + 2)}
		var belowRows [4][]float32
		if below != nil {
			belowRows = [4][]float32{below.row(y/2 - 1), below.row(y / 2), below.row(y / 2), below.row(y/2 + 1)}
		}
		sums, products := room.sums[:4*squares*in], room.products[:4*4*squares*stride]
		for from := 0; from < own.w/2; from += squares {
			n := min(squares, own.w/2-from)
			for q, v := range vertical {
				first := 2 * from * c.own
				k.sums(sums, in, n, ownRows[v.a][first:], ownRows[v.b][first:], v.sign, c.own, ownWindow)
				if below != nil && q != nought {
					first := from * c.below
					k.sums(sums[c.own:], in, n, belowRows[v.a][first:], belowRows[v.b][first:], v.sign, c.below, belowWindow)
				}
				for p, m := range c.products[q] {
					m.mul(products[(4*q+p)*squares*stride:], n, sums[p*squares*in:], in)
				}
			}
			first := 2 * from * len(c.bias)
			k.combine(top[first:], bottom[first:], n, products, stride, c.bias)
		}
	}
}

// vertical are the two rows of four, and the sign of the second, that each row of products is made of.
var vertical = [4]struct {
	a, b int
	sign float32
}{{0, 2, -1}, {1, 2, 1}, {2, 1, -1}, {1, 3, -1}}

// window is where a square's four columns of inputs are, and how many pixels further those of the next square.
type window struct {
	columns [4]int
	step    int
}

var (
	ownWindow   = window{[4]int{0, 1, 2, 3}, 2}
	belowWindow = window{[4]int{0, 1, 1, 2}, 1}
)

// sums writes the four sums for each of n squares and each channel, of two rows' sum or difference a + sign * b: four lists of room
// for squares, a square's channels stride after those of the one before.
func sums(to []float32, stride, n int, a, b []float32, sign float32, channels int, w window) {
	for j := range n {
		var x, y, out [4][]float32
		for p, column := range w.columns {
			from := (j*w.step + column) * channels
			x[p], y[p] = a[from:][:channels], b[from:][:channels]
			out[p] = to[(p*squares+j)*stride:][:channels]
		}
		x0, x1, x2, x3 := x[0], x[1][:len(x[0])], x[2][:len(x[0])], x[3][:len(x[0])]
		y0, y1, y2, y3 := y[0][:len(x0)], y[1][:len(x0)], y[2][:len(x0)], y[3][:len(x0)]
		t0, t1, t2, t3 := out[0][:len(x0)], out[1][:len(x0)], out[2][:len(x0)], out[3][:len(x0)]
		for i := range x0 {
			d0, d1, d2, d3 := x0[i]+sign*y0[i], x1[i]+sign*y1[i], x2[i]+sign*y2[i], x3[i]+sign*y3[i]
			t0[i], t1[i], t2[i], t3[i] = d0-d2, d1+d2, d2-d1, d1-d3
		}
	}
}

// combine adds up each square's products and the bias, and applies ReLU. There are 16 lists of products, as sums writes them.
func combine(top, bottom []float32, n int, products []float32, stride int, bias []float32) {
	c := len(bias)
	for j := range n {
		var m [16][]float32
		for p := range m {
			m[p] = products[(p*squares+j)*stride:][:c]
		}
		t, b := top[2*j*c:][:2*c], bottom[2*j*c:][:2*c]
		for i, v := range bias {
			// rows first
			e0, o0 := m[0][i]+m[1][i]+m[2][i], m[1][i]-m[2][i]-m[3][i]
			e1, o1 := m[4][i]+m[5][i]+m[6][i], m[5][i]-m[6][i]-m[7][i]
			e2, o2 := m[8][i]+m[9][i]+m[10][i], m[9][i]-m[10][i]-m[11][i]
			e3, o3 := m[12][i]+m[13][i]+m[14][i], m[13][i]-m[14][i]-m[15][i]
			t[i], t[c+i] = relu(v+e0+e1+e2), relu(v+o0+o1+o2)
			b[i], b[c+i] = relu(v+e1-e2-e3), relu(v+o1-o2-o3)
		}
	}
}

// relu clears the bits of a negative number: max costs several times as much, and a branch is mispredicted every other time.
func relu(x float32) float32 {
	b := math.Float32bits(x)
	return math.Float32frombits(b &^ uint32(int32(b)>>31))
}
