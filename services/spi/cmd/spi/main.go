// Command spi is the command-line client of a Sticky Pi server: it uploads cards of devices, lists and downloads images,
// and manages annotations, tuboids, labels, bundles, users and projects. docs/CLIENT.md is its handbook.
//
// Each command is a type with a method Run(ctx, *app). Results go to standard output, everything else to standard error.
// Of this project it may import services/spi and services/kit.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // --tz knows its zones on every system

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/spi/internal/when"
)

// commands is what can be typed.
type commands struct {
	globals

	Login  loginCmd  `cmd:"" group:"start" help:"Log in to a server; the other commands then know where to go."`
	Upload uploadCmd `cmd:"" group:"start" help:"Upload the images of a card or a folder; again at any time, it goes on where it ended."`
	Logout logoutCmd `cmd:"" group:"start" help:"Forget the log-in."`

	List     listCmd     `cmd:"" group:"images" help:"List images and what the sensors measured."`
	Download downloadCmd `cmd:"" group:"images" help:"Download images."`
	Devices  devicesCmd  `cmd:"" group:"images" help:"Show how each device does."`
	Delete   deleteCmd   `cmd:"" group:"images" help:"Delete images for good (admins)."`

	Annotations annotationsCmd `cmd:"" group:"insects" help:"What detectors found on images: get, put."`
	Tuboids     tuboidsCmd     `cmd:"" group:"insects" help:"Tracked insects: get, put."`
	Labels      labelsCmd      `cmd:"" group:"insects" help:"What insects tuboids show: get, put."`
	Backlog     backlogCmd     `cmd:"" group:"insects" help:"Show how much detectors have to do."`
	Failures    failuresCmd    `cmd:"" group:"insects" help:"Images that a detector could not work on; --retry tries again."`
	Bundle      bundleCmd      `cmd:"" group:"insects" help:"Machine learning bundles: list, pull, push."`

	Users    usersCmd    `cmd:"" group:"manage" help:"Accounts: list, add, reset, delete (admins)."`
	Projects projectsCmd `cmd:"" group:"manage" help:"Projects, their members and their series."`

	Version    versionCmd                `cmd:"" group:"self" help:"Print the version, as --version does."`
	Completion kongcompletion.Completion `cmd:"" group:"self" help:"Tell how to complete commands by the Tab key in bash, zsh or fish."`
}

const description = `The client of a Sticky Pi server. Begin with

  spi login https://api.YOUR-SERVER --user YOU
  spi upload FOLDER`

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main with its surroundings given; it returns the exit status.
func run(args []string, in *os.File, out, errs *os.File) int {
	ctx, stop := withSignals(context.Background())
	defer stop()

	var cmd commands
	parser, err := kong.New(&cmd,
		kong.Name("spi"), kong.Description(description), kong.Writers(out, errs),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "start", Title: "To begin with:"},
			{Key: "images", Title: "Images:"},
			{Key: "insects", Title: "What was found on them:"},
			{Key: "manage", Title: "People and projects:"},
			{Key: "self", Title: "About this program:"},
		}),
		kong.Vars{"version": buildinfo.Version, "dates": when.Examples},
	)
	if err != nil {
		panic(err) // the types above are wrong: every test sees it
	}
	kongcompletion.Register(parser)
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case len(args) == 1 && args[0] == "--version": // what people try first
		args = []string{"version"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errs, "spi: %s; 'spi %s' says more\n", printable(err.Error()), helpFor(err))
		return exitUsage
	}
	a := &app{globals: cmd.globals, in: in, out: out, errs: errs}
	for _, begins := range []string{"upload", "download", "bundle pu", "tuboids get"} {
		a.goesOn = a.goesOn || strings.HasPrefix(parsed.Command(), begins)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return a.exit(ctx, parsed.Run(a))
}

// helpFor is the help to read after a command line that is wrong.
func helpFor(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		if command := wrong.Context.Selected(); command != nil {
			return command.Path() + " --help"
		}
	}
	return "--help"
}

// errInterrupted is the cause of a context that ended by Ctrl-C or a signal.
var errInterrupted = errors.New("interrupted")

// withSignals gives a context that ends at the first Ctrl-C, SIGTERM or SIGHUP, so that a command can finish what it is at;
// the second ends the program.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
			signal.Stop(signals) // from now on they do what they do by themselves
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
