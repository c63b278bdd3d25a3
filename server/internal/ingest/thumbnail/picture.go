package thumbnail

import (
	"image"
	"image/color"
)

// plane is one component of a picture: width x height samples, in rows of stride bytes.
type plane struct {
	pix                   []byte
	stride, width, height int
}

// picture holds one plane where it is grey, otherwise luma and two of chroma at any lower resolution. All planes show the
// same cut-out. Working on the planes as JPEG has them spares two conversions of the colours.
type picture struct {
	planes []plane
}

// resize gives the picture at width x height, colours at half of that, each sample the mean of the area that it covers.
func (p *picture) resize(width, height int) *picture {
	small := &picture{planes: make([]plane, len(p.planes))}
	for i := range p.planes {
		w, h := width, height
		if i > 0 {
			w, h = (width+1)/2, (height+1)/2
		}
		small.planes[i] = p.planes[i].resize(w, h)
	}
	return small
}

// corner is the part of width x height at the left upper corner; it shares the samples.
func (p *picture) corner(width, height int) *picture {
	part := &picture{planes: make([]plane, len(p.planes))}
	luma := p.planes[0]
	for i, c := range p.planes {
		c.width, c.height = (c.width*width+luma.width-1)/luma.width, (c.height*height+luma.height-1)/luma.height
		part.planes[i] = c
	}
	return part
}

// Fixed point: the weights of all samples that go into one sum to one.
const (
	weightBits = 16
	one        = 1 << weightBits
)

// span is what goes into one sample: the weights of the samples from first on.
type span struct {
	first   int
	weights []uint32
}

// spans gives, for an axis of from samples that becomes one of to samples, what goes into each of the latter.
func spans(from, to int) []span {
	all := make([]span, to)
	weights := make([]uint32, 0, from+2*to)
	for i := range all {
		// In units of 1/to of a sample: this one covers [start, end), the sample j covers [j*to, (j+1)*to).
		start, end := i*from, (i+1)*from
		first, last := start/to, (end-1)/to
		sum, at, heaviest := uint32(0), len(weights), len(weights)
		for j := first; j <= last; j++ {
			overlap := min(end, (j+1)*to) - max(start, j*to)
			w := uint32(overlap * one / from)
			if weights = append(weights, w); w > weights[heaviest] {
				heaviest = len(weights) - 1
			}
			sum += w
		}
		weights[heaviest] += one - sum
		all[i] = span{first, weights[at:]}
	}
	return all
}

func (p plane) resize(width, height int) plane {
	// JPEG's colours at half resolution need an even number of luma samples in memory.
	stride := width + width&1
	small := plane{make([]byte, stride*(height+height&1)), stride, width, height}
	if width == p.width && height == p.height {
		for y := range height {
			copy(small.pix[y*stride:], p.pix[y*p.stride:][:width])
		}
		small.pad()
		return small
	}
	across, down := spans(p.width, width), spans(p.height, height)
	row := make([]uint32, width) // the source row done, shrunk across, times 1<<8
	done := -1
	sum := make([]uint32, width)
	for y, s := range down {
		clear(sum)
		for i, weight := range s.weights {
			if s.first+i != done {
				done = s.first + i
				shrinkRow(row, p.pix[done*p.stride:][:p.width], across)
			}
			for x, v := range row {
				sum[x] += v * weight
			}
		}
		out := small.pix[y*stride:][:width]
		for x, v := range sum {
			out[x] = byte((v + 1<<(weightBits+7)) >> (weightBits + 8))
		}
	}
	small.pad()
	return small
}

func shrinkRow(row []uint32, from []byte, across []span) {
	for x := range row {
		s := &across[x]
		sum := uint32(0)
		for i, v := range from[s.first:][:len(s.weights)] {
			sum += uint32(v) * s.weights[i]
		}
		row[x] = (sum + 1<<(weightBits-9)) >> (weightBits - 8)
	}
}

// pad repeats the last column and row where the numbers are odd.
func (p *plane) pad() {
	if p.width < p.stride {
		for y := range p.height {
			p.pix[y*p.stride+p.width] = p.pix[y*p.stride+p.width-1]
		}
	}
	if used := p.height * p.stride; used < len(p.pix) {
		copy(p.pix[used:], p.pix[used-p.stride:used])
	}
}

// fromImage takes over what image/jpeg decodes to.
func fromImage(m image.Image) *picture {
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	switch m := m.(type) {
	case *image.Gray:
		return &picture{[]plane{{m.Pix, m.Stride, w, h}}}
	case *image.YCbCr:
		cw, ch := w, h
		switch m.SubsampleRatio {
		case image.YCbCrSubsampleRatio422:
			cw = (w + 1) / 2
		case image.YCbCrSubsampleRatio420:
			cw, ch = (w+1)/2, (h+1)/2
		case image.YCbCrSubsampleRatio440:
			ch = (h + 1) / 2
		case image.YCbCrSubsampleRatio411:
			cw = (w + 3) / 4
		case image.YCbCrSubsampleRatio410:
			cw, ch = (w+3)/4, (h+1)/2
		}
		return &picture{[]plane{{m.Y, m.YStride, w, h}, {m.Cb, m.CStride, cw, ch}, {m.Cr, m.CStride, cw, ch}}}
	}
	// Few JPEGs hold red, green and blue.
	y, cb, cr := make([]byte, w*h), make([]byte, w*h), make([]byte, w*h)
	for i := range y {
		r, g, bl, _ := m.At(b.Min.X+i%w, b.Min.Y+i/w).RGBA()
		y[i], cb[i], cr[i] = color.RGBToYCbCr(byte(r>>8), byte(g>>8), byte(bl>>8))
	}
	return &picture{[]plane{{y, w, w, h}, {cb, w, w, h}, {cr, w, w, h}}}
}

// toImage is a picture that resize gave, as image/jpeg encodes it.
func (p *picture) toImage() image.Image {
	luma := &p.planes[0]
	r := image.Rect(0, 0, luma.width, luma.height)
	if len(p.planes) == 1 {
		return &image.Gray{Pix: luma.pix, Stride: luma.stride, Rect: r}
	}
	return &image.YCbCr{
		Y: luma.pix, Cb: p.planes[1].pix, Cr: p.planes[2].pix,
		YStride: luma.stride, CStride: p.planes[1].stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: r,
	}
}
