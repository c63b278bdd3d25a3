package onnx

import (
	"fmt"
	"image"
	"image/draw"
	"math"

	xdraw "golang.org/x/image/draw"
)

const colours = 3

// maxInput bounds the pixels that a model is shown: some ten times those of a photograph at half its resolution.
const maxInput = 12_000_000

// tensor is numbers of a shape, in C order.
type tensor struct {
	shape []int64
	data  []float32
}

// shown is a photograph as the model sees it.
type shown struct {
	tensor
	photograph    image.Point // its width and height
	width, height int         // of the photograph at the model's scale, without margins
	fullW, fullH  int         // with them
	margin        int
	scale         float64 // pixels of the photograph to one of the model's
}

// show makes the model's input.
func (in *Input) show(photograph image.Image) (*shown, error) {
	size := photograph.Bounds().Size()
	if size.X < 1 || size.Y < 1 {
		return nil, fmt.Errorf("a photograph of %d x %d pixels", size.X, size.Y)
	}
	s := &shown{photograph: size, margin: *in.Margin, scale: 1 / in.Scale}
	s.width, s.height = int(math.Ceil(float64(size.X)*in.Scale)), int(math.Ceil(float64(size.Y)*in.Scale))
	s.fullW, s.fullH = roundUp(s.width+s.margin, in.Multiple), roundUp(s.height+s.margin, in.Multiple)
	if s.fullW > maxInput/s.fullH {
		return nil, fmt.Errorf("a photograph of %d x %d pixels is too large for this model: %d megapixels at its scale are the most",
			size.X, size.Y, maxInput/1_000_000)
	}
	small := reduce(photograph, s.width, s.height, in.Scale)
	s.data = make([]float32, colours*s.fullW*s.fullH)
	area := s.fullW * s.fullH
	index := func(pixel, c int) int { return c*area + pixel }
	switch in.Layout {
	case "nchw":
		s.shape = []int64{1, colours, int64(s.fullH), int64(s.fullW)}
	case "chw":
		s.shape = []int64{colours, int64(s.fullH), int64(s.fullW)}
	case "nhwc":
		s.shape = []int64{1, int64(s.fullH), int64(s.fullW), colours}
	case "hwc":
		s.shape = []int64{int64(s.fullH), int64(s.fullW), colours}
	}
	if in.Layout == "nhwc" || in.Layout == "hwc" {
		index = func(pixel, c int) int { return pixel*colours + c }
	}
	values := in.values()
	for y := range s.fullH {
		row := small.Pix[reflect(y-s.margin, s.height)*small.Stride:]
		for x := range s.fullW {
			from := row[4*reflect(x-s.margin, s.width):][:colours]
			for c := range colours {
				source := c
				if in.Order == "bgr" {
					source = colours - 1 - c
				}
				s.data[index(y*s.fullW+x, c)] = values[c][from[source]]
			}
		}
	}
	return s, nil
}

// values are the numbers that the 256 values of each colour become.
func (in *Input) values() [colours][256]float32 {
	var values [colours][256]float32
	for c := range colours {
		mean, std := 0.0, 1.0
		if len(in.Mean) > 0 {
			mean = in.Mean[c]
		}
		if len(in.Std) > 0 {
			std = in.Std[c]
		}
		for v := range 256 {
			values[c][v] = float32((float64(v)/255*in.Range - mean) / std)
		}
	}
	return values
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// reflect folds an index into 0 to n-1, the outermost pixels not repeated.
func reflect(i, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	i = (i%period + period) % period
	return min(i, period-i)
}

// reduce makes a photograph smaller: by means of squares of pixels where they are whole, of those that there are.
func reduce(photograph image.Image, width, height int, scale float64) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	b := photograph.Bounds()
	step := int(math.Round(1 / scale))
	if float64(step)*scale != 1 {
		xdraw.BiLinear.Scale(out, out.Rect, photograph, b, draw.Src, nil)
		return out
	}
	lines := image.NewRGBA(image.Rect(0, 0, b.Dx(), step))
	for y := range height {
		rows := min(step, b.Dy()-y*step)
		draw.Draw(lines, image.Rect(0, 0, b.Dx(), rows), photograph, image.Pt(b.Min.X, b.Min.Y+y*step), draw.Src)
		for x := range width {
			columns := min(step, b.Dx()-x*step)
			var sum [colours]int
			for r := range rows {
				from := lines.Pix[r*lines.Stride+4*x*step:][:4*columns]
				for i := 0; i < len(from); i += 4 {
					sum[0], sum[1], sum[2] = sum[0]+int(from[i]), sum[1]+int(from[i+1]), sum[2]+int(from[i+2])
				}
			}
			n := rows * columns
			to := out.Pix[out.PixOffset(x, y):][:4]
			for c := range colours {
				to[c] = uint8((sum[c] + n/2) / n)
			}
			to[3] = 0xff
		}
	}
	return out
}
