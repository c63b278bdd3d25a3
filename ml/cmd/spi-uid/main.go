// Command spi-uid is the detector worker, the Universal Insect Detector, and what is needed around it: looking at single
// files, scoring, and the bundle that holds the model. Its configuration comes from the environment; .env comments every
// variable.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/ml"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/onnx"
	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
)

type commands struct {
	Run         runCmd           `cmd:"" help:"Annotate the server's images until a signal."`
	Detect      detectCmd        `cmd:"" help:"Find the insects on photographs."`
	Evaluate    evaluateCmd      `cmd:"" help:"Score the detector on a folder of annotated SVGs."`
	Bundle      bundleCmd        `cmd:"" help:"Say which detector the bundle on the server gives, or push a new one."`
	Check       checkCmd         `cmd:"" help:"Say what this build can do; exit 1 where something that was built in is missing."`
	Healthcheck healthcheckCmd   `cmd:"" help:"Ask the worker on this machine whether it lives; exit 1 if not."`
	Version     kong.VersionFlag `help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cmd commands
	k := kong.Parse(&cmd, kong.Name("spi-uid"), kong.Description("The insect detector of the Sticky Pi server."),
		kong.Vars{"version": buildinfo.Version}, kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "spi-uid:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing at the end
	}
}

type runCmd struct{}

func (runCmd) Run(ctx context.Context) error {
	src := config.Load()
	cfg := ml.ConfigFrom(src)
	log := logging.New(os.Stderr, logging.Options{Debug: src.Bool("DEBUG", false), JSON: true})
	if err := src.Err(); err != nil {
		return err
	}
	limitMemory(containerLimit)
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

type healthcheckCmd struct{}

func (healthcheckCmd) Run(ctx context.Context) error {
	src := config.Load()
	url := fmt.Sprintf("http://127.0.0.1:%d/healthz", src.Port("METRICS_PORT", 8090))
	if err := src.Err(); err != nil {
		return err
	}
	return health.Ask(ctx, url)
}
