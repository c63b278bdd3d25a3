// Command sticky-pi is local mode: the whole server in one process. `sh deploy.sh local` builds and runs it.
package main

import (
	"context"
	"os"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/sticky-pi/sticky-pi-server/services/kit/command"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
	"github.com/sticky-pi/sticky-pi-server/services/local"
)

type options struct {
	Port    int              `default:"8080" help:"Port of the API; the viewer listens on port + 1, S3 on port + 2, metrics on port + 3."`
	Bind    string           `default:"127.0.0.1" help:"Address to listen on; 0.0.0.0 lets other machines in."`
	Data    string           `default:"./data" help:"Folder of everything that is kept, made where it is missing."`
	Demo    bool             `help:"Add a few days of generated images of three devices."`
	Debug   bool             `env:"DEBUG" help:"Log more, on a terminal too, where else warnings and errors alone are shown."`
	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	command.Main("sticky-pi", "The Sticky Pi server in one process, until a signal.", &options{})
}

// Run serves.
func (o *options) Run(ctx context.Context) error {
	// a line for each request would carry away the one that says where to log in
	quiet := term.IsTerminal(int(os.Stderr.Fd())) && !o.Debug
	log := logging.New(os.Stderr, logging.Options{Debug: o.Debug, Quiet: quiet})
	return local.Run(ctx, local.Options{Port: o.Port, Bind: o.Bind, Data: o.Data, Demo: o.Demo, Out: os.Stdout, Log: log, Quiet: quiet})
}
