package builtin

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/safetensors"
)

// What goes into the network and what comes out, as it was trained.
const (
	unshuffle = 2 // the first layer sees squares of 2 x 2 pixels as one pixel of 12 channels
	colours   = 3 // blue, green, red
	inputs    = colours * unshuffle * unshuffle
	mapsOut   = 2 // fg, core
	outputs   = mapsOut * unshuffle * unshuffle
	maxWidth  = 256 // channels of a layer; they decide about memory
)

// network is the U-Net of ml/train/net.py: four levels of two convolutions, each level at half the resolution of the one
// before, then three levels back, which see the level below and the encoder's of the same size.
//
// Nothing of it is ever held but the four levels' outputs: within a level, rows are pulled through (see rows).
type network struct {
	kernels                *kernels
	enc1, enc2, enc3, enc4 block2
	dec3, dec2, dec1       block2
	head                   *matrix
	headBias               []float32
}

// block2 is two convolutions, one after the other.
type block2 struct{ conv1, conv2 *conv }

// newNetwork checks the tensors' names and shapes, and packs them for the kernels.
func newNetwork(tensors map[string]safetensors.Tensor, k *kernels) (*network, error) {
	b := builder{tensors: tensors, kernels: k}
	n := &network{kernels: k}
	n.enc1 = b.block("enc1", inputs, block2{}, block2{})
	n.enc2 = b.block("enc2", 0, n.enc1, block2{})
	n.enc3 = b.block("enc3", 0, n.enc2, block2{})
	n.enc4 = b.block("enc4", 0, n.enc3, block2{})
	n.dec3 = b.block("dec3", 0, n.enc3, n.enc4)
	n.dec2 = b.block("dec2", 0, n.enc2, n.dec3)
	n.dec1 = b.block("dec1", 0, n.enc1, n.dec2)
	weight := b.get("head.weight", outputs, n.dec1.out(), 1, 1)
	n.headBias = b.get("head.bias", outputs)
	if b.err != nil {
		return nil, b.err
	}
	packed := make([]float32, k.padded(n.dec1.out())*outputs)
	for o := range outputs {
		for c := range n.dec1.out() {
			packed[c*outputs+o] = weight[o*n.dec1.out()+c]
		}
	}
	n.head = k.matrix(packed, outputs)
	return n, nil
}

func (b block2) out() int {
	if b.conv2 == nil {
		return 0
	}
	return b.conv2.out
}

// builder takes tensors by name; the first that is missing or has the wrong shape is the error.
type builder struct {
	tensors map[string]safetensors.Tensor
	kernels *kernels
	err     error
}

// block reads NAME.conv1 and NAME.conv2, which see the picture's channels or another block's outputs, and in the decoder those
// of the level below, too. A decoder's block has as many outputs as the encoder's of its level, any other what its tensor says.
func (b *builder) block(name string, channels int, own, below block2) block2 {
	if b.err != nil {
		return block2{}
	}
	in, out := channels, own.out()
	if channels == 0 {
		channels, in = own.out(), b.kernels.padded(own.out())
	}
	if below.out() == 0 {
		t := b.tensors[name+".conv1.weight"]
		if len(t.Shape) != 4 || t.Shape[0] > maxWidth {
			b.err = fmt.Errorf("tensor %s.conv1.weight: shape %v, want [outputs, %d, 3, 3] with at most %d outputs", name, t.Shape, channels, maxWidth)
			return block2{}
		}
		out = t.Shape[0]
	}
	conv1 := b.conv(name+".conv1", in, channels, below.out(), out)
	conv2 := b.conv(name+".conv2", b.kernels.padded(out), out, 0, out)
	return block2{conv1, conv2}
}

func (b *builder) conv(name string, in, own, below, out int) *conv {
	weight, bias := b.get(name+".weight", out, below+own, 3, 3), b.get(name+".bias", out)
	if b.err != nil {
		return nil
	}
	return newConv(b.kernels, weight, bias, in, own, below)
}

func (b *builder) get(name string, shape ...int) []float32 {
	if b.err != nil {
		return nil
	}
	t, ok := b.tensors[name]
	switch {
	case !ok:
		b.err = fmt.Errorf("tensor %s is missing", name)
	case !slices.Equal(t.Shape, shape):
		b.err = fmt.Errorf("tensor %s: shape %v, want %v", name, t.Shape, shape)
	case slices.ContainsFunc(t.Data, func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }):
		b.err = fmt.Errorf("tensor %s holds numbers that are not finite", name)
	}
	return t.Data
}

// run applies the network to a picture of width x height pixels, both multiples of 32. pixels writes a row of it, width * 3
// numbers. emit gets the maps row by row, each width numbers between 0 and 1, valid until it returns.
func (n *network) run(ctx context.Context, width, height int, pixels func(y int, row []float32), emit func(y int, fg, core []float32)) error {
	w, h := width/unshuffle, height/unshuffle
	k := n.kernels
	s1 := newGrid(w, h, k.padded(n.enc1.out()))
	s2 := newGrid(w/2, h/2, k.padded(n.enc2.out()))
	s3 := newGrid(w/4, h/4, k.padded(n.enc3.out()))
	s4 := newGrid(w/8, h/8, k.padded(n.enc4.out()))
	if err := s1.fill(ctx, n.enc1.rows(s1, nil, unshuffled(width, pixels))); err != nil {
		return err
	}
	if err := s2.fill(ctx, n.enc2.rows(s2, nil, s1.pooled)); err != nil {
		return err
	}
	if err := s3.fill(ctx, n.enc3.rows(s3, nil, s2.pooled)); err != nil {
		return err
	}
	if err := s4.fill(ctx, n.enc4.rows(s4, nil, s3.pooled)); err != nil {
		return err
	}
	// A decoder level takes the place of the encoder's, row by row: what it overwrites has been read.
	if err := s3.fill(ctx, n.dec3.rows(s3, s4, s3.copied)); err != nil {
		return err
	}
	if err := s2.fill(ctx, n.dec2.rows(s2, s3, s2.copied)); err != nil {
		return err
	}
	last := n.dec1.rows(s1, s2, s1.copied)
	top, bottom := make([]float32, w*s1.c), make([]float32, w*s1.c)
	logits := make([]float32, w*n.head.stride)
	fg, core := make([]float32, width), make([]float32, width)
	for y := 0; y < h; y += 2 {
		if err := ctx.Err(); err != nil {
			return err
		}
		last(y, top, bottom)
		for i, row := range [2][]float32{top, bottom} {
			n.head.mul(logits, w, row, s1.c)
			for dy := range unshuffle {
				for m, out := range [mapsOut][]float32{fg, core} {
					o := m*unshuffle*unshuffle + dy*unshuffle
					for x := range w {
						l := logits[x*n.head.stride+o:]
						out[2*x] = sigmoid(l[0] + n.headBias[o])
						out[2*x+1] = sigmoid(l[1] + n.headBias[o+1])
					}
				}
				emit(unshuffle*(y+i)+dy, fg, core)
			}
		}
	}
	return nil
}

// sigmoid is 1 / (1 + exp(-x)), to a millionth: math.Exp takes four times as long.
func sigmoid(x float32) float32 {
	// exp(-x) = 2^whole * 2^part, -1/2 <= part <= 1/2; beyond 30 it makes no difference
	y := min(max(-30, x), 30) * -math.Log2E
	const round = 3 << 22 // added, and subtracted again, it leaves no digits after the point
	whole := y + round
	part := y - (whole - round)
	// the series of 2^part = exp(part * ln 2)
	e := 1 + part*(0.6931472+part*(0.2402265+part*(0.05550411+part*(0.009618129+part*0.0013333558))))
	return 1 / (1 + e*math.Float32frombits(uint32(int32(math.Float32bits(whole)-math.Float32bits(round)+127)<<23)))
}

// rows writes two rows of a picture, y and y+1, for y = 0, 2, 4 and so on, each asked for once.
type rows func(y int, top, bottom []float32)

// rows pulls what own gives, and the level below, through both convolutions. The grid only tells the size.
func (b block2) rows(size, below *grid, own rows) rows {
	first := b.conv1.rows(size.w, size.h, below, own)
	return b.conv2.rows(size.w, size.h, nil, first)
}

// grid is the output of a level. A pixel of zeros goes before and after each row, and a row of them before and after all.
type grid struct {
	w, h, c int
	data    []float32
}

func newGrid(w, h, c int) *grid { return &grid{w, h, c, make([]float32, (h+2)*(w+2)*c)} }

// row is a row with the pixels of zeros, -1 to h.
func (g *grid) row(y int) []float32 {
	stride := (g.w + 2) * g.c
	return g.data[(y+1)*stride : (y+2)*stride]
}

// pixels is a row without them.
func (g *grid) pixels(y int) []float32 { return g.row(y)[g.c : (g.w+1)*g.c] }

func (g *grid) fill(ctx context.Context, in rows) error {
	for y := 0; y < g.h; y += 2 {
		if err := ctx.Err(); err != nil {
			return err
		}
		in(y, g.pixels(y), g.pixels(y+1))
	}
	return nil
}

// copied gives the rows.
func (g *grid) copied(y int, top, bottom []float32) {
	copy(top, g.pixels(y))
	copy(bottom, g.pixels(y+1))
}

// pooled gives the greatest of each 2 x 2 pixels.
func (g *grid) pooled(y int, top, bottom []float32) {
	for i, out := range [2][]float32{top, bottom} {
		a, b := g.pixels(2*(y+i)), g.pixels(2*(y+i)+1)
		for x := range g.w / 2 {
			at := 2 * x * g.c
			a0, a1 := a[at:at+g.c], a[at+g.c:at+2*g.c]
			b0, b1 := b[at:at+g.c], b[at+g.c:at+2*g.c]
			to := out[x*g.c:][:len(a0)]
			for i, v := range a0 {
				to[i] = max(v, a1[i], b0[i], b1[i])
			}
		}
	}
}

// unshuffled gives the picture with 2 x 2 pixels as one of 12 channels: channel = colour * 4 + dy * 2 + dx.
func unshuffled(width int, pixels func(y int, row []float32)) rows {
	line := make([]float32, width*colours)
	return func(y int, top, bottom []float32) {
		for i, out := range [2][]float32{top, bottom} {
			for dy := range unshuffle {
				pixels(unshuffle*(y+i)+dy, line)
				for x := range width / unshuffle {
					to, from := out[x*inputs:][:inputs], line[x*unshuffle*colours:][:unshuffle*colours]
					for colour := range colours {
						to[colour*4+dy*2] = from[colour]
						to[colour*4+dy*2+1] = from[colours+colour]
					}
				}
			}
		}
	}
}
