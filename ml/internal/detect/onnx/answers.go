package onnx

import (
	"context"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/outlines"
)

// maxInstances bounds what a model may find on a photograph: far more than there ever are.
const maxInstances = 5000

// outputNames are the model's outputs that are wanted; "" is its first.
func (o *Output) outputNames() []string {
	if o.Kind == instances {
		return []string{o.Boxes, o.Scores, o.Masks}
	}
	return []string{o.Name}
}

// insects reads the model's answers, in the order of outputNames.
func (c *Config) insects(ctx context.Context, s *shown, answers []tensor) ([]detect.Insect, error) {
	if c.Output.Kind == instances {
		return c.instances(ctx, s, answers[0], answers[1], answers[2])
	}
	maps, err := c.maps(s, answers[0])
	if err != nil {
		return nil, err
	}
	return outlines.Find(ctx, maps, c.params)
}

// maps cuts the maps of fg_core and semantic models to the photograph.
func (c *Config) maps(s *shown, answer tensor) (outlines.Maps, error) {
	shape := answer.shape
	if len(shape) == 4 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) == 2 {
		shape = append([]int64{1}, shape...)
	}
	last := c.Input.Layout == "nhwc" || c.Input.Layout == "hwc"
	if last && len(shape) == 3 && len(answer.shape) > 2 {
		shape = []int64{shape[2], shape[0], shape[1]}
	}
	if len(shape) != 3 || shape[1] != int64(s.fullH) || shape[2] != int64(s.fullW) {
		return outlines.Maps{}, fmt.Errorf("the model gave maps of shape %v for an input of %d x %d pixels: they must be as large", answer.shape, s.fullW, s.fullH)
	}
	channels, area := int(shape[0]), s.fullW*s.fullH
	at := func(channel, pixel int) float64 { return float64(answer.data[channel*area+pixel]) }
	if last {
		at = func(channel, pixel int) float64 { return float64(answer.data[pixel*channels+channel]) }
	}
	wanted := []int{c.Output.Channel}
	if c.Output.Kind == fgCore {
		wanted = []int{0, 1}
	}
	if most := slices.Max(wanted); most >= channels {
		return outlines.Maps{}, fmt.Errorf("the model gave %d maps, and number %d is wanted", channels, most)
	}
	probability := func(channel, pixel int) float32 {
		v := at(channel, pixel)
		switch c.Output.Activation {
		case "sigmoid":
			v = 1 / (1 + math.Exp(-v))
		case "softmax":
			sum := 0.0
			for k := range channels {
				sum += math.Exp(at(k, pixel) - v)
			}
			v = 1 / sum
		}
		return float32(v)
	}
	m := outlines.Maps{Width: s.width, Height: s.height, Photograph: s.photograph, Scale: s.scale, FG: make([]float32, s.width*s.height)}
	m.Core = m.FG // a map alone: an insect's middle is where it is surest
	if len(wanted) > 1 {
		m.Core = make([]float32, s.width*s.height)
	}
	for y := range s.height {
		for x := range s.width {
			from, to := (y+s.margin)*s.fullW+x+s.margin, y*s.width+x
			m.FG[to] = probability(wanted[0], from)
			if len(wanted) > 1 {
				m.Core[to] = probability(wanted[1], from)
			}
		}
	}
	if i := slices.IndexFunc(m.FG, func(v float32) bool { return !(v >= 0 && v <= 1) }); i >= 0 {
		return outlines.Maps{}, fmt.Errorf("the model gave %v, which is no probability: is output.activation right?", m.FG[i])
	}
	return m, nil
}

// instances reads boxes [n, 4] (left, top, right, bottom, in pixels of the input), scores [n], and masks, which are either as
// large as the input, [n, 1, H, W], or cover their boxes, [n, 1, h, w].
func (c *Config) instances(ctx context.Context, s *shown, boxes, scores, masks tensor) ([]detect.Insect, error) {
	n := len(scores.data)
	if n > maxInstances {
		return nil, fmt.Errorf("the model found %d insects, and %d are the most", n, maxInstances)
	}
	if n == 0 {
		return nil, nil
	}
	if len(boxes.data) != 4*n || len(masks.shape) < 3 || masks.shape[0] != int64(n) || len(masks.shape) == 4 && masks.shape[1] != 1 || len(masks.shape) > 4 {
		return nil, fmt.Errorf("the model gave %d scores, boxes of shape %v and masks of shape %v: they must be [n, 4] and [n, 1, h, w]", n, boxes.shape, masks.shape)
	}
	h, w := int(masks.shape[len(masks.shape)-2]), int(masks.shape[len(masks.shape)-1])
	if h < 1 || w < 1 || len(masks.data) != n*h*w {
		return nil, fmt.Errorf("the model gave masks of shape %v", masks.shape)
	}
	var found []detect.Insect
	inside := make([]bool, s.width*s.height)
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		score := float64(scores.data[i])
		if !(score >= c.Output.Threshold) {
			continue
		}
		box := [4]float64{}
		for k := range box {
			box[k] = float64(boxes.data[4*i+k]) - float64(s.margin)
			if math.IsNaN(box[k]) || math.Abs(box[k]) > 1e6 {
				return nil, fmt.Errorf("the model gave the box %v", boxes.data[4*i:4*i+4])
			}
		}
		mask := masks.data[i*h*w:][:h*w]
		clear(inside)
		area := image.Rect(int(box[0]), int(box[1]), int(math.Ceil(box[2])), int(math.Ceil(box[3]))).Intersect(image.Rect(0, 0, s.width, s.height))
		whole := h == s.fullH && w == s.fullW
		for y := area.Min.Y; y < area.Max.Y; y++ {
			for x := area.Min.X; x < area.Max.X; x++ {
				var v float32
				if whole {
					v = mask[(y+s.margin)*w+x+s.margin]
				} else {
					v = bilinear(mask, w, h, (float64(x)+0.5-box[0])/(box[2]-box[0])*float64(w)-0.5, (float64(y)+0.5-box[1])/(box[3]-box[1])*float64(h)-0.5)
				}
				inside[y*s.width+x] = v > 0.5
			}
		}
		outline, ok, err := outlines.Outline(inside, s.width, s.photograph, s.scale, c.params)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, detect.Insect{Outline: outline, Score: min(score, 1)})
		}
	}
	return found, nil
}

// bilinear reads a mask between its pixels; beyond its edges it is as at them.
func bilinear(mask []float32, w, h int, x, y float64) float32 {
	x, y = min(max(x, 0), float64(w-1)), min(max(y, 0), float64(h-1))
	x0, y0 := int(x), int(y)
	x1, y1 := min(x0+1, w-1), min(y0+1, h-1)
	fx, fy := float32(x-float64(x0)), float32(y-float64(y0))
	top := mask[y0*w+x0]*(1-fx) + mask[y0*w+x1]*fx
	low := mask[y1*w+x0]*(1-fx) + mask[y1*w+x1]*fx
	return top*(1-fy) + low*fy
}
