package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/evaluate"
)

type evaluateCmd struct {
	model
	Dir  string   `arg:"" help:"Folder of SVGs: an embedded photograph and a path for each insect." type:"existingdir"`
	Only []string `help:"Score only these, by file names without .svg, separated by commas."`
	SVG  string   `help:"Write what was found to this folder: the photographs with the outlines." type:"existingdir"`
	JSON bool     `help:"Print the scores as JSON."`
}

func (c evaluateCmd) Run(ctx context.Context) error {
	d, err := c.open(ctx)
	if err != nil {
		return err
	}
	report, err := evaluate.Dir(ctx, d, c.Dir, evaluate.Options{Only: c.Only, SVG: c.SVG}, os.Stderr)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(report)
	}
	return report.WriteText(os.Stdout)
}
