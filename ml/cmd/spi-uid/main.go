// Command spi-uid is the detector worker, the Universal Insect Detector, and what is needed around it: looking at single
// files, scoring, and the bundle that holds the model. Its configuration comes from the environment; .env comments every
// variable.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/ml"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/onnx"
	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/command"
)

type commands struct {
	Run         runCmd           `cmd:"" help:"Annotate the server's images until a signal."`
	Detect      detectCmd        `cmd:"" help:"Find the insects on photographs."`
	Evaluate    evaluateCmd      `cmd:"" help:"Score the detector on a folder of annotated SVGs."`
	Plain       plainCmd         `cmd:"" help:"Rewrite annotated SVGs as the training reads them, and say what in them does not count."`
	Bundle      bundleCmd        `cmd:"" help:"Say which detector the bundle on the server gives, or push a new one."`
	Check       checkCmd         `cmd:"" help:"Say what this build can do; exit 1 where something that was built in is missing."`
	Healthcheck healthcheckCmd   `cmd:"" help:"Ask the worker on this machine whether it lives, or is ready to work; exit 1 if not."`
	Version     kong.VersionFlag `help:"Print the version."`
}

func main() {
	command.Main("spi-uid", "The insect detector of the Sticky Pi server.", &commands{})
}

type runCmd struct{}

func (runCmd) Run(ctx context.Context) error {
	cfg, log, err := command.Configure(ml.ConfigFrom)
	if err != nil {
		return err
	}
	limitMemory(containerLimit)
	collectOften()
	w, err := ml.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	return w.Run(ctx, func() { log.InfoContext(ctx, "ready", "version", buildinfo.Version) })
}

type checkCmd struct{}

// Run tries what a build may hold and a machine may lack.
func (checkCmd) Run() error {
	d, err := builtin.New()
	if err != nil {
		return err
	}
	fmt.Printf("builtin: %s, kernels %s\n", d.Version(), d.Kernels())
	switch version, err := onnx.Runtime(); {
	case errors.Is(err, onnx.ErrNotBuilt):
		fmt.Println("onnx:", err)
	case err != nil:
		return err
	default:
		fmt.Println("onnx: onnxruntime", version)
	}
	return nil
}

type healthcheckCmd struct {
	Ready bool `help:"Ask whether it is ready: the API answers it and takes its password, and there is a model to use."`
}

func (c healthcheckCmd) Run(ctx context.Context) error {
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	return command.Healthcheck(ctx, "METRICS_PORT", 8090, path)
}
