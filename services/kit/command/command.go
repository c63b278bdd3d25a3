// Package command is what the mains of all services share: arguments, signals, how an error ends them, and how a
// configuration and its log come from the environment.
package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
)

// Main parses the program's arguments into commands, a pointer to what kong takes, and runs the one that is chosen. Its Run
// method may take a context, which a signal ends. An error is a line on the standard error, and exit status 1.
func Main(name, description string, commands any, options ...kong.Option) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	options = append(options, kong.Name(name), kong.Description(description),
		kong.Vars{"version": buildinfo.Version}, kong.BindTo(ctx, (*context.Context)(nil)))
	if err := kong.Parse(commands, options...).Run(); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing at the end
	}
}

// Configure reads a service's configuration from the environment, and makes the log for it. All that is wrong is one error.
func Configure[C any](from func(*config.Source) C) (C, *slog.Logger, error) {
	src := config.Load()
	cfg := from(src)
	log := logging.New(os.Stderr, logging.Options{Debug: src.Bool("DEBUG", false), JSON: true})
	return cfg, log, src.Err()
}

// Healthcheck asks the service on this machine whether it lives (path /healthz), or is ready (/readyz); variable holds its port,
// where it is not the usual one.
func Healthcheck(ctx context.Context, variable string, usual int, path string) error {
	src := config.Load()
	url := fmt.Sprintf("http://127.0.0.1:%d%s", src.Port(variable, usual), path)
	if err := src.Err(); err != nil {
		return err
	}
	return health.Ask(ctx, url)
}
