// Package builtin is the detector that always works: a small U-Net in Go, its weights embedded. ml/train trains it. It may
// import detect, detect/outlines and safetensors.
package builtin

import (
	"context"
	"crypto/md5" //nolint:gosec // names the weights, signs nothing
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/outlines"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/safetensors"
)

// Format is the kind of weights, as their metadata names it.
const Format = "sticky-pi-unet/1"

const (
	margin = 16 // pixels left of and above the photograph at half resolution, reflected, that the network sees
	pad    = 64 // the picture with its margins is a multiple of it
	// Pictures wider than maxTile are looked at in parts, so that memory does not grow with their width; it does not with their height.
	// What the network says of a pixel depends on 104 pixels around it; halo is no less.
	maxTile = 3072
	halo    = 128
)

//go:embed weights.safetensors
var embedded []byte

// Detector is the U-Net with its weights.
type Detector struct {
	network *network
	params  outlines.Params
	version string
	tile    int
}

// New gives the detector with the embedded weights.
func New() (*Detector, error) { return Load(embedded) }

// Load gives a detector with the weights of a safetensors file.
func Load(weights []byte) (*Detector, error) { return load(weights, fastest()) }

func load(weights []byte, k *kernels) (*Detector, error) {
	f, err := safetensors.Parse(weights)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	if got := f.Metadata["format"]; got != Format {
		return nil, fmt.Errorf("weights: format %q in the metadata, want %q", got, Format)
	}
	trained := f.Metadata["trained"]
	at, err := time.Parse("2006-01-02_15-04-05", trained)
	if err != nil || at.Unix() < 0 {
		return nil, fmt.Errorf("weights: trained %q in the metadata is no date YYYY-MM-DD_HH-MM-SS", trained)
	}
	if f.Metadata["postprocess"] == "" {
		return nil, errors.New("weights: no postprocess in the metadata")
	}
	params, err := outlines.ParseParams([]byte(f.Metadata["postprocess"]))
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	n, err := newNetwork(f.Tensors, k)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	sum := md5.Sum(weights) //nolint:gosec // as above
	return &Detector{network: n, params: params, version: fmt.Sprintf("%d-%s", at.Unix(), hex.EncodeToString(sum[:])), tile: maxTile}, nil
}

// Name is builtin.
func (d *Detector) Name() string { return "builtin" }

// Version is when the weights were trained, in seconds since the epoch, and the md5 of their file.
func (d *Detector) Version() string { return d.version }

// Kernels is the arithmetic in use: scalar, AVX2 or AVX-512.
func (d *Detector) Kernels() string { return d.network.kernels.name }

// Detect finds the insects of a photograph of up to MaxPixels, in one goroutine. It takes 50 MB for 5 megapixels, beside the
// photograph.
func (d *Detector) Detect(ctx context.Context, photograph image.Image) ([]detect.Insect, error) {
	origin := photograph.Bounds().Min
	m, err := d.look(ctx, photograph) // the photograph is not needed any more
	if err != nil {
		return nil, err
	}
	found, err := outlines.Find(ctx, *m, d.params)
	if err != nil {
		return nil, err
	}
	if origin != (image.Point{}) {
		for _, insect := range found {
			for i := range insect.Outline {
				insect.Outline[i] = insect.Outline[i].Add(origin)
			}
		}
	}
	return found, nil
}

// look makes the maps of a photograph.
func (d *Detector) look(ctx context.Context, photograph image.Image) (*outlines.Maps, error) {
	half, err := halve(photograph)
	if err != nil {
		return nil, err
	}
	m := &outlines.Maps{
		Width: half.w, Height: half.h, Photograph: photograph.Bounds().Size(), Scale: 2,
		FG: make([]float32, half.w*half.h), Core: make([]float32, half.w*half.h), Grey: half.grey(),
	}
	// Everything below is in pixels of the half picture with its margins.
	height := roundUp(half.h+margin, pad)
	for _, h := range split1D(roundUp(half.w+margin, pad), d.tile) {
		pixels := func(y int, row []float32) { half.row(h.from-margin, y-margin, row) }
		first, end := max(h.first, margin), min(h.end, margin+half.w)
		emit := func(y int, fg, core []float32) {
			if y < margin || y >= margin+half.h || first >= end {
				return
			}
			to := (y-margin)*half.w + first - margin
			copy(m.FG[to:], fg[first-h.from:end-h.from])
			copy(m.Core[to:], core[first-h.from:end-h.from])
		}
		if err := d.network.run(ctx, h.to-h.from, height, pixels, emit); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// part is a part of a picture's width: what counts, and what the network sees for it.
type part struct{ first, end, from, to int }

// split1D cuts a width into parts of at most limit; all numbers are multiples of pad.
func split1D(length, limit int) []part {
	n := (length + limit - 1) / limit
	step := roundUp((length+n-1)/n, pad)
	var parts []part
	for first := 0; first < length; first += step {
		end := min(first+step, length)
		parts = append(parts, part{first, end, max(0, first-halo), min(length, end+halo)})
	}
	return parts
}
