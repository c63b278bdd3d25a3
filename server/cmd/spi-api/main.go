// Command spi-api is the API server of the production stack. Its configuration comes from the environment; .env comments
// every variable.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/server"
	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
)

type commands struct {
	Serve       serveCmd         `cmd:"" help:"Serve the API until a signal; brings the database up to date first."`
	Migrate     migrateCmd       `cmd:"" help:"Bring the database up to date and stop."`
	Pending     pendingCmd       `cmd:"" help:"Print whether the database waits for a migration: pending or none."`
	User        userCmd          `cmd:"" help:"Manage accounts from the server's own machine."`
	Fsck        fsckCmd          `cmd:"" help:"Hold the database and the object store against each other; exit 1 if faults remain."`
	S3Backup    s3BackupCmd      `cmd:"" name:"s3-backup" help:"Copy what is new or changed in the bucket into a folder."`
	S3Restore   s3RestoreCmd     `cmd:"" name:"s3-restore" help:"Put what the bucket lacks of a backup, or has otherwise, into the bucket."`
	S3Check     s3CheckCmd       `cmd:"" name:"s3-check" help:"Ask S3 whether it takes the keys, and compare the clocks; exit 1 if not."`
	Healthcheck healthcheckCmd   `cmd:"" help:"Ask the API on this machine whether it lives; exit 1 if not."`
	Version     kong.VersionFlag `help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cmd commands
	k := kong.Parse(&cmd, kong.Name("spi-api"), kong.Description("The API of the Sticky Pi server."),
		kong.Vars{"version": buildinfo.Version}, kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "spi-api:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing at the end
	}
}

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context) error {
	src := config.Load()
	cfg := server.ConfigFrom(src)
	log := newLog(src)
	if err := src.Err(); err != nil {
		return err
	}
	s, err := server.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "serving", "address", s.Addr().String(), "version", buildinfo.Version)
	return s.Run(ctx, func() { log.InfoContext(ctx, "ready") })
}

func newLog(src *config.Source) *slog.Logger {
	return logging.New(os.Stderr, logging.Options{Debug: src.Bool("DEBUG", false), JSON: true})
}

type migrateCmd struct{}

func (migrateCmd) Run(ctx context.Context) error {
	src := config.Load()
	cfg := server.Config{MariaDB: server.MariaDBFrom(src)}
	if err := src.Err(); err != nil {
		return err
	}
	return server.Migrate(ctx, cfg, newLog(src))
}

type fsckCmd struct {
	Deep          bool `help:"Read every object and check its md5: slow, and all of it crosses the network."`
	Repair        bool `help:"Make missing thumbnails again, and put the detectors' queue right."`
	DeleteObjects bool `help:"Delete the objects in the folders of images that no row speaks of and that are older than an hour."`
	DeleteRows    bool `help:"Delete the images whose photograph is gone, with their annotations."`
}

func (f fsckCmd) Run(ctx context.Context) error {
	src := config.Load()
	cfg := server.ConfigFrom(src)
	log := newLog(src)
	if err := src.Err(); err != nil {
		return err
	}
	options := server.FsckOptions{Deep: f.Deep, Repair: f.Repair, DeleteObjects: f.DeleteObjects, DeleteRows: f.DeleteRows}
	return server.Fsck(ctx, cfg, options, log, os.Stdout, os.Stderr)
}

type healthcheckCmd struct{}

func (healthcheckCmd) Run(ctx context.Context) error {
	src := config.Load()
	url := fmt.Sprintf("http://127.0.0.1:%d/healthz", src.Port("API_PORT", 8080))
	if err := src.Err(); err != nil {
		return err
	}
	return health.Ask(ctx, url)
}
