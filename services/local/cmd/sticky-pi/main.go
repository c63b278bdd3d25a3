// Command sticky-pi is local mode: the whole server in one process. `sh deploy.sh local` builds and runs it.
package main

import (
	"context"
	"os"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/services/kit/command"
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
	command.Main("sticky-pi", "The Sticky Pi server in one process, until a signal.", &options{})
}

// Run serves.
func (o *options) Run(ctx context.Context) error {
	log := logging.New(os.Stderr, logging.Options{Debug: o.Debug})
	return local.Run(ctx, local.Options{Port: o.Port, Bind: o.Bind, Data: o.Data, Demo: o.Demo, Out: os.Stdout, Log: log})
}
