package builtin

import "math"

// conv is a 3 x 3 convolution over zero-padded pixels, with a bias and ReLU.
//
// Two identities save work; both hold exactly but for rounding. Along a row, Winograd's F(2,3) makes two outputs out of four
// products instead of six (Lavin and Gray 2016, arXiv:1509.09308). And of a picture enlarged by 2 (each pixel four times), the nine
// weights of an output meet only four pixels: added up beforehand, four products do instead of nine.
type conv struct {
	kernels *kernels
	in      int           // channels that a pixel of the input has, without those from below
	out     int           // channels, not padded
	row     [4]*matrix    // for the four products of a pair of outputs: three segments, the rows y-1, y, y+1
	below   [2][2]*matrix // [y%2][x%2]: two segments, two rows below; each 2 pixels wide
	bias    []float32     // padded
}

// newConv packs weights [out][below+own][3][3]. A pixel of the input has in channels, of which the first own are used.
func newConv(k *kernels, weight, bias []float32, in, own, below int) *conv {
	out := len(bias)
	c := &conv{kernels: k, in: in, out: out, bias: make([]float32, k.padded(out))}
	copy(c.bias, bias)
	at := func(o, i, ky, kx int) float32 { return weight[((o*(below+own)+i)*3+ky)*3+kx] }

	var products [4][]float32
	for p := range products {
		products[p] = make([]float32, 3*in*out)
	}
	for ky := range 3 {
		for i := range own {
			for o := range out {
				a, b, d := at(o, below+i, ky, 0), at(o, below+i, ky, 1), at(o, below+i, ky, 2)
				to := (ky*in+i)*out + o
				products[0][to], products[1][to], products[2][to], products[3][to] = a, (a+b+d)/2, (a-b+d)/2, d
			}
		}
	}
	for p := range products {
		c.row[p] = k.matrix(products[p], out, 3)
	}
	if below == 0 {
		return c
	}
	// taps[parity][which of the two pixels] are the weights' rows or columns that meet it.
	taps := [2][2][]int{{{0}, {1, 2}}, {{0, 1}, {2}}}
	inBelow := k.padded(below)
	for py := range 2 {
		for px := range 2 {
			w := make([]float32, 2*2*inBelow*out)
			for ty := range 2 {
				for tx := range 2 {
					for _, ky := range taps[py][ty] {
						for _, kx := range taps[px][tx] {
							for i := range below {
								for o := range out {
									w[((ty*2+tx)*inBelow+i)*out+o] += at(o, i, ky, kx)
								}
							}
						}
					}
				}
			}
			c.below[py][px] = k.matrix(w, out, 2)
		}
	}
	return c
}

// rows gives the outputs for pictures of w x h pixels; below, if the convolution has such inputs, is half as wide and high.
func (c *conv) rows(w, h int, below *grid, own rows) rows {
	pairs := (w + 1) / 2
	in, out := c.in, c.kernels.padded(c.out)
	// The last three rows of input, transformed: four lists of pairs x in numbers each. Zeros above and below the picture.
	var ring [3][4][]float32
	var nothing [4][]float32
	for p := range nothing {
		nothing[p] = make([]float32, pairs*in)
		for r := range ring {
			ring[r][p] = make([]float32, pairs*in)
		}
	}
	var products [4][]float32
	for p := range products {
		products[p] = make([]float32, pairs*out)
	}
	result := make([]float32, rowLength(w, out))
	var empty []float32
	if below != nil {
		empty = make([]float32, below.stride)
	}
	src := make([][]float32, 3)
	have := 0 // rows of input seen
	return func(y int) []float32 {
		for ; have <= min(y+1, h-1); have++ {
			transform(ring[have%3], own(have), in)
		}
		at := func(y int) [4][]float32 {
			if y < 0 || y >= h {
				return nothing
			}
			return ring[y%3]
		}
		above, here, under := at(y-1), at(y), at(y+1)
		for p := range products {
			src[0], src[1], src[2] = above[p], here[p], under[p]
			c.row[p].mul(products[p], out, pairs, src, in)
		}
		pixels := result[out : out+w*out]
		if below != nil {
			c.fromBelow(pixels, y, below, empty)
		} else {
			clear(pixels)
		}
		combine(pixels, products, c.bias)
		return result
	}
}

// fromBelow writes the part of row y that comes from the level below.
func (c *conv) fromBelow(pixels []float32, y int, below *grid, empty []float32) {
	at := func(y int) []float32 {
		if y < 0 || y >= below.h {
			return empty
		}
		return below.row(y)
	}
	out := c.kernels.padded(c.out)
	first := at(y/2 - 1 + y%2)
	second := at(y/2 + y%2)
	for px := range 2 {
		// Pixel x meets the pixels x/2-1 and x/2 below if it is even, else x/2 and x/2+1; rows begin with pixel -1.
		src := [][]float32{first[px*below.c:], second[px*below.c:]}
		c.below[y%2][px].mul(pixels[px*out:], 2*out, below.w, src, below.c)
	}
}

// transform turns a row d[-1], d[0], d[1] ... into the factors of the four products for each pair of pixels.
func transform(to [4][]float32, row []float32, channels int) {
	pairs := len(to[0]) / channels
	for j := range pairs {
		d := row[2*j*channels:][:4*channels]
		d0, d1, d2, d3 := d[:channels], d[channels:2*channels], d[2*channels:3*channels], d[3*channels:]
		t0, t1, t2, t3 := to[0][j*channels:][:channels], to[1][j*channels:][:channels], to[2][j*channels:][:channels], to[3][j*channels:][:channels]
		for i, v := range d0 {
			u, w := d1[i], d2[i]
			t0[i] = v - w
			t1[i] = u + w
			t2[i] = w - u
			t3[i] = u - d3[i]
		}
	}
}

// combine adds each pair's products and the bias to the pixels, and applies ReLU.
func combine(pixels []float32, m [4][]float32, bias []float32) {
	c := len(bias)
	for at := 0; 2*at < len(pixels); at += c {
		m0, m1, m2, m3 := m[0][at:][:c], m[1][at:][:c], m[2][at:][:c], m[3][at:][:c]
		even := pixels[2*at:][:c]
		for i, b := range bias {
			even[i] = relu(even[i] + b + m0[i] + m1[i] + m2[i])
		}
		if 2*at+c == len(pixels) { // the width is odd
			break
		}
		odd := pixels[2*at+c:][:c]
		for i, b := range bias {
			odd[i] = relu(odd[i] + b + m1[i] - m2[i] - m3[i])
		}
	}
}

// relu clears the bits of a negative number: max costs several times as much, and a branch is mispredicted every other time.
func relu(x float32) float32 {
	b := math.Float32bits(x)
	return math.Float32frombits(b &^ uint32(int32(b)>>31))
}
