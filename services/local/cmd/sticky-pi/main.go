// Command sticky-pi is local mode: the whole server in one process. `sh deploy.sh local` builds and runs it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
	"github.com/sticky-pi/sticky-pi-server/services/local"
)

type options struct {
	Port    int              `default:"8080" help:"Port of the API; the viewer listens on port + 1, S3 on port + 2, metrics on port + 3."`
	Bind    string           `default:"127.0.0.1" help:"Address to listen on; 0.0.0.0 lets other machines in."`
	Data    string           `default:"./data" help:"Folder of everything that is kept, made where it is missing."`
	Demo    bool             `help:"Add a few days of generated images of three devices."`
	Debug   bool             `env:"DEBUG" help:"Log more."`
	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	kong.Parse(&o, kong.Name("sticky-pi"), kong.Description("The Sticky Pi server in one process, until a signal."),
		kong.Vars{"version": buildinfo.Version})
	log := logging.New(os.Stderr, logging.Options{Debug: o.Debug})
	err := local.Run(ctx, local.Options{Port: o.Port, Bind: o.Bind, Data: o.Data, Demo: o.Demo, Out: os.Stdout, Log: log})
	if err != nil {
		fmt.Fprintln(os.Stderr, "sticky-pi:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing at the end
	}
}
