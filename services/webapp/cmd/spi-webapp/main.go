// Command spi-webapp is the web viewer of the production stack. Its configuration comes from the environment; .env comments
// every variable.
package main

import (
	"context"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/command"
	"github.com/sticky-pi/sticky-pi-server/services/webapp"
)

type commands struct {
	Serve       serveCmd         `cmd:"" help:"Serve the viewer until a signal."`
	Healthcheck healthcheckCmd   `cmd:"" help:"Ask the viewer on this machine whether it lives; exit 1 if not."`
	Version     kong.VersionFlag `help:"Print the version."`
}

func main() {
	command.Main("spi-webapp", "The web viewer of the Sticky Pi server.", &commands{})
}

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context) error {
	cfg, log, err := command.Configure(webapp.ConfigFrom)
	if err != nil {
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
	return command.Healthcheck(ctx, "WEBAPP_PORT", 8081, "/healthz")
}
