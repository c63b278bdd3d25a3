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
// Of no level the whole is ever held: rows are pulled through all of them (see picture).
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
	room := &room{}
	in := newPicture(width/unshuffle, height/unshuffle, inputs, keep, unshuffled(width, pixels))
	s1 := n.enc1.over(in, nil, keep1, room)
	s2 := n.enc2.over(s1.pooled(), nil, keep2, room)
	s3 := n.enc3.over(s2.pooled(), nil, keep3, room)
	s4 := n.enc4.over(s3.pooled(), nil, keep, room)
	d3 := n.dec3.over(s3, s4, keep, room)
	d2 := n.dec2.over(s2, d3, keep, room)
	d1 := n.dec1.over(s1, d2, keep, room)
	logits := make([]float32, d1.w*n.head.stride)
	fg, core := make([]float32, width), make([]float32, width)
	for y := range d1.h {
		if err := ctx.Err(); err != nil {
			return err
		}
		n.head.mul(logits, d1.w, d1.inside(d1.row(y)), d1.c)
		for dy := range unshuffle {
			for m, out := range [mapsOut][]float32{fg, core} {
				o := m*unshuffle*unshuffle + dy*unshuffle
				for x := range d1.w {
					l := logits[x*n.head.stride+o:]
					out[2*x] = sigmoid(l[0] + n.headBias[o])
					out[2*x+1] = sigmoid(l[1] + n.headBias[o+1])
				}
			}
			emit(unshuffle*y+dy, fg, core)
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

// picture is the output of a layer, row by row: a row is made when it is first asked for, and kept until some more have been made.
type picture struct {
	w, h, c int // pixels, both even, and channels
	source  rows
	made    int         // rows
	kept    [][]float32 // the last ones; row y is at y modulo their number
	empty   []float32
}

// How many rows are kept. A convolution that is at row y looks at y-1 to y+2. Where a level's outputs go to the levels below it and to the
// decoder, what the decoder looks at was made long before: the decoder's y needs row y+13 of the third level's, and
// if it needs y+f of one, then y+2f+15 of the level above.
const (
	keep  = 6
	keep3 = 13 + 3
	keep2 = 2*13 + 15 + 3
	keep1 = 2*(2*13+15) + 15 + 3
)

func newPicture(w, h, c, rows int, source rows) *picture {
	p := &picture{w: w, h: h, c: c, source: source, kept: make([][]float32, rows)}
	stride := (w + 2) * c
	data := make([]float32, (rows+1)*stride)
	for i := range p.kept {
		p.kept[i] = data[i*stride:][:stride]
	}
	p.empty = data[rows*stride:]
	return p
}

// row is a row with a pixel of zeros before and after it, or nothing but zeros above and below the picture.
func (p *picture) row(y int) []float32 {
	if y < 0 || y >= p.h {
		return p.empty
	}
	for ; p.made <= y; p.made += 2 {
		p.source(p.made, p.inside(p.kept[p.made%len(p.kept)]), p.inside(p.kept[(p.made+1)%len(p.kept)]))
	}
	return p.kept[y%len(p.kept)]
}

// inside is a row without the pixels before and after it.
func (p *picture) inside(row []float32) []float32 { return row[p.c : (p.w+1)*p.c] }

// over applies both convolutions to a picture, and to one of the level below.
func (b block2) over(own, below *picture, rows int, room *room) *picture {
	c := len(b.conv1.bias)
	first := newPicture(own.w, own.h, c, keep, b.conv1.rows(own, below, room))
	return newPicture(own.w, own.h, c, rows, b.conv2.rows(first, nil, room))
}

// pooled is the picture of the greatest of each 2 x 2 pixels.
func (p *picture) pooled() *picture {
	return newPicture(p.w/2, p.h/2, p.c, keep, func(y int, top, bottom []float32) {
		for i, out := range [2][]float32{top, bottom} {
			a, b := p.inside(p.row(2*(y+i))), p.inside(p.row(2*(y+i)+1))
			for x := range p.w / 2 {
				at := 2 * x * p.c
				a0, a1 := a[at:at+p.c], a[at+p.c:at+2*p.c]
				b0, b1 := b[at:at+p.c], b[at+p.c:at+2*p.c]
				to := out[x*p.c:][:len(a0)]
				for i, v := range a0 {
					to[i] = max(v, a1[i], b0[i], b1[i])
				}
			}
		}
	})
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
