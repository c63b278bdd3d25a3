package builtin

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"time"
)

// trialWithin is how long weights may take for the trial picture, a twenty-fifth of a photograph.
const trialWithin = time.Minute

// mostProduct bounds what a product of pixels and weights may be: nine of them and a bias are added up then.
const mostProduct = math.MaxFloat32 / 16

// Open loads weights from elsewhere after a trial on a small picture: finite weights may still be so large that sums of them are
// not, and then nothing is found on any photograph.
func Open(ctx context.Context, weights []byte) (*Detector, error) {
	if err := try(ctx, weights); err != nil {
		return nil, err
	}
	return Load(weights)
}

// try looks at every product. The maps would not tell: ReLU makes some numbers that are none zeros.
func try(ctx context.Context, weights []byte) error {
	tooLarge := false
	k := scalar()
	pack := k.pack
	k.pack = func(width int, weights []float32) block { return watched{pack(width, weights), width, &tooLarge} }
	d, err := load(weights, k)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, trialWithin)
	defer cancel()
	if _, err := d.Detect(ctx, trialPicture()); err != nil {
		return fmt.Errorf("weights: they fail on a trial picture: %w", err)
	}
	if tooLarge {
		return errors.New("weights: they are too large: on a trial picture they give numbers that are not finite")
	}
	return nil
}

// watched notes products beyond mostProduct, and such as are no numbers.
type watched struct {
	block
	width    int // outputs
	tooLarge *bool
}

func (w watched) tile(dst []float32, dstStride int, src []float32, srcStride int) {
	w.block.tile(dst, dstStride, src, srcStride)
	for p := range w.pixels() {
		for _, v := range dst[p*dstStride:][:w.width] {
			if !(v >= -mostProduct && v <= mostProduct) { // so that NaN is caught
				*w.tooLarge = true
			}
		}
	}
}

// trialPicture is a small picture of yellow, black and white squares.
func trialPicture() image.Image {
	p := image.NewRGBA(image.Rect(0, 0, 512, 384))
	colours := []color.RGBA{{200, 180, 30, 255}, {0, 0, 0, 255}, {255, 255, 255, 255}}
	for y := range p.Rect.Dy() {
		for x := range p.Rect.Dx() {
			p.SetRGBA(x, y, colours[(x/24+y/24)%len(colours)])
		}
	}
	return p
}
