package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
)

type plainCmd struct {
	Files []string `arg:"" help:"Annotated photographs: SVG files."`
	Out   string   `help:"The folder for the new files; none that is there is replaced." required:"" type:"existingdir"`
}

// Run gives drawings of people the form that ml/train reads: no groups that were moved, no curves. A drawing with arcs fails, as everywhere.
func (c plainCmd) Run(ctx context.Context) error {
	return each(ctx, c.Files, c.file)
}

func (c plainCmd) file(path string) error {
	annotated, err := svg.ReadFile(path)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s: %d insects", path, len(annotated.Outlines))
	if w := annotated.Warning(); w != "" {
		line += "; " + w
	}
	if err := svg.Create(filepath.Join(c.Out, filepath.Base(path)), annotated.JPEG, annotated.Size, annotated.Outlines); err != nil {
		return err
	}
	fmt.Println(line)
	return nil
}
