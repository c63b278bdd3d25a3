// Package detect says what a detector of insects is: an image goes in, outlines come out. Its implementations live in the
// packages below it and know nothing of the worker, the API or files.
package detect

import (
	"context"
	"image"
)

// Insect is one insect found on a photograph.
type Insect struct {
	Outline []image.Point // a closed polygon without its first point repeated, in pixels of the photograph
	Score   float64       // 0 to 1
}

// Detector finds insects. It may be used by several goroutines; each call then costs its own memory.
type Detector interface {
	// Name is the kind of the detector: builtin, onnx.
	Name() string
	// Version is the annotations' algo_version: TIMESTAMP-MD5 of the weights.
	Version() string
	// Detect finds the insects of a photograph of any size. It obeys ctx between the steps of its work.
	Detect(ctx context.Context, photograph image.Image) ([]Insect, error)
}
