// Command spi-webapp is the web viewer of the production stack. Its configuration comes from the environment; .env comments
// every variable.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
	"github.com/sticky-pi/sticky-pi-server/services/webapp"
)

type commands struct {
	Serve       serveCmd         `cmd:"" help:"Serve the viewer until a signal."`
	Healthcheck healthcheckCmd   `cmd:"" help:"Ask the viewer on this machine whether it lives; exit 1 if not."`
	Version     kong.VersionFlag `help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cmd commands
	k := kong.Parse(&cmd, kong.Name("spi-webapp"), kong.Description("The web viewer of the Sticky Pi server."),
		kong.Vars{"version": buildinfo.Version}, kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "spi-webapp:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing at the end
	}
}

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context) error {
	src := config.Load()
	cfg := webapp.ConfigFrom(src)
	log := logging.New(os.Stderr, logging.Options{Debug: src.Bool("DEBUG", false), JSON: true})
	if err := src.Err(); err != nil {
		return err
	}
	s, err := webapp.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "serving", "address", s.Addr().String(), "version", buildinfo.Version)
	return s.Run(ctx, func() { log.InfoContext(ctx, "ready") })
}

type healthcheckCmd struct{}

func (healthcheckCmd) Run(ctx context.Context) error {
	src := config.Load()
	url := fmt.Sprintf("http://127.0.0.1:%d/healthz", src.Port("WEBAPP_PORT", 8081))
	if err := src.Err(); err != nil {
		return err
	}
	return health.Ask(ctx, url)
}
