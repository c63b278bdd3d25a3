package builtin

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
)

// MaxPixels is the size of the largest photograph that is looked at.
const MaxPixels = 60_000_000

// halved is a photograph at half its resolution, rounded up: blue, green, red of a pixel are the means of 2 x 2 pixels, of
// those that there are.
type halved struct {
	w, h  int
	bgr   []uint8
	shown [colours][256]float32 // what the network is shown for each value of a colour
}

// halve makes what the network was trained on: OpenCV's decoder, then its INTER_AREA.
func halve(photograph image.Image) (*halved, error) {
	size := photograph.Bounds().Size()
	if size.X < 1 || size.Y < 1 {
		return nil, errors.New("a photograph without pixels")
	}
	if size.X > MaxPixels/size.Y {
		return nil, fmt.Errorf("a photograph of %d x %d pixels is too large: at most %d megapixels", size.X, size.Y, MaxPixels/1_000_000)
	}
	out := &halved{w: (size.X + 1) / 2, h: (size.Y + 1) / 2}
	out.bgr = make([]uint8, colours*out.w*out.h)
	if ycc, ok := photograph.(*image.YCbCr); ok {
		out.fromYCbCr(ycc)
	} else {
		out.fromAny(photograph)
	}
	out.show()
	return out, nil
}

// darkest and mostContrast decide about hazy photographs: see show.
const (
	darkest      = 0.3
	mostContrast = 2.5
)

// show chooses what the network sees: 0 to 1, and more contrast where a photograph is hazy. An insect on a back-lit card is
// nearly black; where a thousandth of the pixels is not darker than darkest, as a part of the card's brightness (the median), haze or
// dirt lies over all, and colours are stretched about the card's until it is so, by mostContrast at most.
func (o *halved) show() {
	var values [colours][256]int
	var sums [colours*255 + 1]int
	for p := o.bgr; len(p) > 0; p = p[colours:] {
		values[0][p[0]]++
		values[1][p[1]]++
		values[2][p[2]]++
		sums[int(p[0])+int(p[1])+int(p[2])]++
	}
	n := o.w * o.h
	contrast := 1.0
	if card, dark := rank(sums[:], n/2), rank(sums[:], n/1000); dark < card {
		contrast = min(max(1, (1-darkest)/(1-float64(dark)/float64(card))), mostContrast)
	}
	for c := range colours {
		card := float64(rank(values[c][:], n/2))
		for v := range o.shown[c] {
			o.shown[c][v] = float32(min(max(0, card+contrast*(float64(v)-card)), 255)) / 255
		}
	}
}

// rank is the value at a place in the order of all values, given how often there is each.
func rank(counts []int, place int) int {
	for v, n := range counts {
		if place -= n; place < 0 {
			return v
		}
	}
	return len(counts) - 1
}

func (o *halved) fromAny(photograph image.Image) {
	b := photograph.Bounds()
	lines := image.NewRGBA(image.Rect(0, 0, b.Dx(), 2))
	for y := range o.h {
		draw.Draw(lines, lines.Rect, photograph, image.Pt(b.Min.X, b.Min.Y+2*y), draw.Src)
		top := lines.Pix[:4*b.Dx()]
		bottom := lines.Pix[lines.Stride:][:len(top)]
		if 2*y+1 >= b.Dy() {
			bottom = top
		}
		for x := range o.w {
			left, right := 8*x, 8*x+4
			if 2*x+1 >= b.Dx() {
				right = left
			}
			to := o.bgr[colours*(y*o.w+x):]
			for c := range colours {
				to[colours-1-c] = uint8((int(top[left+c]) + int(top[right+c]) + int(bottom[left+c]) + int(bottom[right+c]) + 2) / 4)
			}
		}
	}
}

// fromYCbCr averages without converting each pixel's colour: its chroma is the mean over the 2 x 2 pixels, weighted as
// libjpeg's smooth ("fancy") enlarging of chroma would have it.
func (o *halved) fromYCbCr(p *image.YCbCr) {
	// A chroma sample covers 2 pixels of a direction that is subsampled: enlarged with weights 3/4 and 1/4, and averaged over
	// its two pixels, it becomes 1/8 of its neighbours' and 3/4 of its own.
	horizontal, vertical := 1, 1 // pixels that a sample of chroma covers
	switch p.SubsampleRatio {
	case image.YCbCrSubsampleRatio420:
		horizontal, vertical = 2, 2
	case image.YCbCrSubsampleRatio422:
		horizontal = 2
	case image.YCbCrSubsampleRatio440:
		vertical = 2
	case image.YCbCrSubsampleRatio411:
		horizontal = 4
	case image.YCbCrSubsampleRatio410:
		horizontal, vertical = 4, 2
	case image.YCbCrSubsampleRatio444:
	}
	minimum, maximum := p.Rect.Min, p.Rect.Max.Sub(image.Pt(1, 1))
	columns := weights(minimum.X, maximum.X, o.w, horizontal)
	lines := weights(minimum.Y, maximum.Y, o.h, vertical)
	firstC := minimum.X / horizontal
	widthC := maximum.X/horizontal - firstC + 1
	cb, cr := make([]int32, widthC), make([]int32, widthC)
	for y := range o.h {
		line := lines[y]
		var rows [3]int // the offsets of three rows of chroma
		for i, at := range line.at {
			rows[i] = p.COffset(minimum.X, at*vertical)
			if at*vertical < minimum.Y {
				rows[i] = p.COffset(minimum.X, minimum.Y)
			}
		}
		for i := range cb {
			cb[i] = line.weight[0]*int32(p.Cb[rows[0]+i]) + line.weight[1]*int32(p.Cb[rows[1]+i]) + line.weight[2]*int32(p.Cb[rows[2]+i])
			cr[i] = line.weight[0]*int32(p.Cr[rows[0]+i]) + line.weight[1]*int32(p.Cr[rows[1]+i]) + line.weight[2]*int32(p.Cr[rows[2]+i])
		}
		top := p.Y[p.YOffset(minimum.X, minimum.Y+2*y):]
		bottom := p.Y[p.YOffset(minimum.X, min(minimum.Y+2*y+1, maximum.Y)):]
		last := maximum.X - minimum.X
		for x := range o.w {
			c := &columns[x]
			i, j, k := c.at[0]-firstC, c.at[1]-firstC, c.at[2]-firstC
			// the weights of both directions make 64
			u := c.weight[0]*cb[i] + c.weight[1]*cb[j] + c.weight[2]*cb[k] - 128*64
			v := c.weight[0]*cr[i] + c.weight[1]*cr[j] + c.weight[2]*cr[k] - 128*64
			// JFIF's matrix, in 1/65536: 1.402, 0.344136, 0.714136, 1.772
			red, green, blue := 91881*v/64, -(22554*u+46802*v)/64, 116130*u/64
			left, right := 2*x, min(2*x+1, last)
			var b, g, r int32
			for _, luma := range [4]uint8{top[left], top[right], bottom[left], bottom[right]} {
				l := int32(luma)<<16 + 1<<15
				b += clamp((l + blue) >> 16)
				g += clamp((l + green) >> 16)
				r += clamp((l + red) >> 16)
			}
			to := o.bgr[colours*(y*o.w+x):][:colours]
			to[0], to[1], to[2] = uint8((b+2)>>2), uint8((g+2)>>2), uint8((r+2)>>2)
		}
	}
}

func clamp(v int32) int32 { return min(max(v, 0), 255) }

// taps are three samples of chroma and their weights in eighths.
type taps struct {
	at     [3]int
	weight [3]int32
}

// weights gives, for each of n pairs of pixels from first to last, the samples of chroma that meet it; one covers so many pixels.
func weights(first, last, n, covers int) []taps {
	out := make([]taps, n)
	for i := range out {
		a := first + 2*i
		b := min(a+1, last)
		switch {
		case covers == 2 && a%2 == 0:
			s := a / 2
			out[i] = taps{[3]int{max(s-1, first/2), s, min(s+1, last/2)}, [3]int32{1, 6, 1}}
		default: // not smoothed: the two pixels' own
			out[i] = taps{[3]int{a / covers, a / covers, b / covers}, [3]int32{2, 2, 4}}
		}
	}
	return out
}

// row writes a row of the picture that the network sees, from pixel x0 on: BGR, 0 to 1. Beyond its edges the photograph is
// reflected, its outermost pixels not repeated.
func (o *halved) row(x0, y int, out []float32) {
	line := o.bgr[colours*o.w*reflect(y, o.h):][:colours*o.w]
	for x := range len(out) / colours {
		from := line[colours*reflect(x0+x, o.w):][:colours]
		to := out[colours*x:][:colours]
		to[0], to[1], to[2] = o.shown[0][from[0]], o.shown[1][from[1]], o.shown[2][from[2]]
	}
}

// reflect folds an index into 0 to n-1.
func reflect(i, n int) int {
	if i >= 0 && i < n {
		return i
	}
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	i = (i%period + period) % period
	return min(i, period-i)
}

// grey is the mean of the colours, 0 to 1.
func (o *halved) grey() []float32 {
	out := make([]float32, o.w*o.h)
	for i := range out {
		p := o.bgr[colours*i:][:colours]
		out[i] = float32(int(p[0])+int(p[1])+int(p[2])) / (3 * 255)
	}
	return out
}
