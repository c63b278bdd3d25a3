// Package onnx is a detector that runs other segmentation models, through onnxruntime. Without the build tag onnx, or
// without the library, [Open] says so. It may import detect and detect/outlines.
package onnx

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
)

// LibraryVariable names the environment variable that says where onnxruntime's shared library is.
const LibraryVariable = "ONNXRUNTIME_LIB"

// ErrNotBuilt is what Open says in a program without onnxruntime.
var ErrNotBuilt = errors.New("this program was built without onnxruntime (build tag onnx, with cgo)")

// session is a loaded model. It may be used by several goroutines.
type session interface {
	run(ctx context.Context, input tensor) ([]tensor, error)
	Close() error
}

// Detector is a model.
type Detector struct {
	config  Config
	session session
	version string
}

// trialWithin is how long a model may take for the trial picture, a twenty-fifth of a photograph.
const trialWithin = time.Minute

// Open loads a model, and tries it on a small picture: one that cannot be used is known before it is used. version is
// TIMESTAMP-MD5.
func Open(ctx context.Context, path string, cfg Config, version string) (*Detector, error) {
	s, err := open(path, cfg.Input.Name, cfg.Output.outputNames())
	if err != nil {
		return nil, err
	}
	d := &Detector{config: cfg, session: s, version: version}
	ctx, cancel := context.WithTimeout(ctx, trialWithin)
	defer cancel()
	if _, err := d.Detect(ctx, card()); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("the model fails on a trial picture: %w", err)
	}
	return d, nil
}

// card is a small picture of a yellow card.
func card() image.Image {
	p := image.NewRGBA(image.Rect(0, 0, 512, 384))
	for i := range p.Rect.Dx() * p.Rect.Dy() {
		p.SetRGBA(i%p.Rect.Dx(), i/p.Rect.Dx(), color.RGBA{200, 180, 30, 255})
	}
	return p
}

// Name is onnx.
func (d *Detector) Name() string { return "onnx" }

// Version is when the model was pushed to its bundle, and its md5.
func (d *Detector) Version() string { return d.version }

// Close frees the model. Nobody may use it then.
func (d *Detector) Close() error { return d.session.Close() }

// Detect finds the insects of a photograph.
func (d *Detector) Detect(ctx context.Context, photograph image.Image) ([]detect.Insect, error) {
	input, err := d.config.Input.show(photograph)
	if err != nil {
		return nil, err
	}
	answers, err := d.session.run(ctx, input.tensor)
	if err != nil {
		return nil, err
	}
	found, err := d.config.insects(ctx, input, answers)
	if err != nil {
		return nil, err
	}
	if origin := photograph.Bounds().Min; origin != (image.Point{}) {
		for _, insect := range found {
			for i := range insect.Outline {
				insect.Outline[i] = insect.Outline[i].Add(origin)
			}
		}
	}
	return found, nil
}
