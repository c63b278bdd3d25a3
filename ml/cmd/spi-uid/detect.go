package main

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/photograph"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/worker"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// model is which detector a command uses: the builtin one, or what a flag names.
type model struct {
	Weights string `help:"Other weights of the builtin network: a .safetensors file." type:"existingfile" xor:"model"`
	Bundle  string `help:"The model in this folder, laid out as the bundle (config/config.yaml, output/...)." type:"existingdir" xor:"model"`
}

func (m model) open(ctx context.Context) (detect.Detector, error) {
	switch {
	case m.Bundle != "":
		found, err := modelIn(m.Bundle)
		if err != nil {
			return nil, err
		}
		return usable(ctx, found)
	case m.Weights != "":
		weights, err := os.ReadFile(m.Weights)
		if err != nil {
			return nil, err
		}
		return builtin.Open(ctx, weights)
	}
	return builtin.New()
}

type detectCmd struct {
	model
	Files []string `arg:"" help:"Photographs: JPEG files."`
	JSON  bool     `help:"Print a line of JSON for each file, as put_uid_annotations takes it." xor:"form"`
	SVG   bool     `help:"Write FILE.svg beside each file: the photograph with the outlines." xor:"form"`
}

func (c detectCmd) Run(ctx context.Context) error {
	d, err := c.open(ctx)
	if err != nil {
		return err
	}
	return each(ctx, c.Files, func(file string) error { return c.file(ctx, d, file) })
}

// each does something with each file, and goes on after one that fails.
func each(ctx context.Context, files []string, do func(file string) error) error {
	failed := 0
	for _, file := range files {
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
		if err := do(file); err != nil {
			fmt.Fprintf(os.Stderr, "spi-uid: %s: %v\n", file, err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files failed", failed, len(files))
	}
	return nil
}

func (c detectCmd) file(ctx context.Context, d detect.Detector, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > photograph.MaxBytes {
		return fmt.Errorf("it is larger than %d MB", photograph.MaxBytes>>20)
	}
	data, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	began := time.Now()
	picture, err := photograph.Decode(data)
	if err != nil {
		return err
	}
	insects, err := d.Detect(ctx, picture)
	if err != nil {
		return err
	}
	took := time.Since(began)
	switch {
	case c.JSON:
		sum := md5.Sum(data) //nolint:gosec // see the import
		photo := spi.Image{MD5: hex.EncodeToString(sum[:])}
		photo.Device, photo.Datetime.Time = keyOf(path)
		return json.NewEncoder(os.Stdout).Encode(worker.Document(photo, d.Version(), insects))
	case c.SVG:
		outlines := make([]svg.Outline, len(insects))
		for i, insect := range insects {
			outlines[i] = svg.Polygon(insect.Outline)
		}
		drawing := strings.TrimSuffix(path, filepath.Ext(path)) + ".svg"
		if err := svg.Create(drawing, data, picture.Bounds().Size(), outlines); err != nil {
			return err
		}
		path = drawing
	}
	fmt.Printf("%s: %d insects, %.2f s\n", path, len(insects), took.Seconds())
	return nil
}

// keyOf reads DEVICE.DATETIME.jpg; of another name there is no time.
func keyOf(path string) (device string, at time.Time) {
	parts := strings.Split(filepath.Base(path), ".")
	if len(parts) < 2 {
		return parts[0], time.Time{}
	}
	at, _, err := spi.ParseDatetime(parts[1])
	if err != nil {
		return parts[0], time.Time{}
	}
	return parts[0], at
}
