// Command spi-api is the API server of the production stack. Its configuration comes from the environment; .env comments
// every variable.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/server"
	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/command"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type commands struct {
	Serve       serveCmd         `cmd:"" help:"Serve the API until a signal; brings the database up to date first."`
	Migrate     migrateCmd       `cmd:"" help:"Bring the database up to date and stop."`
	Pending     pendingCmd       `cmd:"" help:"Print whether the database waits for a migration: pending or none."`
	User        userCmd          `cmd:"" help:"Manage accounts from the server's own machine."`
	Fsck        fsckCmd          `cmd:"" help:"Hold the database and the object store against each other; exit 1 if faults remain."`
	Forget      forgetCmd        `cmd:"" name:"forget-version" help:"Forget the newest version of a detector, to go back to an older one."`
	EndLeases   endLeasesCmd     `cmd:"" name:"end-leases" help:"Let images that detectors have leased wait again; mysql-restore does, for the leases in the backup."`
	S3Backup    s3BackupCmd      `cmd:"" name:"s3-backup" help:"Copy what is new or changed in the bucket into a folder."`
	S3Restore   s3RestoreCmd     `cmd:"" name:"s3-restore" help:"Put what the bucket lacks of a backup, or has otherwise, into the bucket."`
	S3Check     s3CheckCmd       `cmd:"" name:"s3-check" help:"Ask S3 whether it takes the keys, and compare the clocks; exit 1 if not."`
	Healthcheck healthcheckCmd   `cmd:"" help:"Ask the API on this machine whether it lives; exit 1 if not."`
	Version     kong.VersionFlag `help:"Print the version."`
}

func main() {
	command.Main("spi-api", "The API of the Sticky Pi server.", &commands{}, kong.Vars{"algorithm": spi.DetectorAlgorithm})
}

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context) error {
	cfg, log, err := command.Configure(server.ConfigFrom)
	if err != nil {
		return err
	}
	s, err := server.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "serving", "address", s.Addr().String(), "version", buildinfo.Version)
	return s.Run(ctx, func() { log.InfoContext(ctx, "ready") })
}

type migrateCmd struct{}

func (migrateCmd) Run(ctx context.Context) error {
	db, log, err := command.Configure(server.MariaDBFrom)
	if err != nil {
		return err
	}
	return server.Migrate(ctx, server.Config{MariaDB: db}, log)
}

type fsckCmd struct {
	Deep          bool `help:"Read every object and check its md5: slow, and all of it crosses the network."`
	Repair        bool `help:"Make missing thumbnails again, and put the detectors' queue right."`
	DeleteObjects bool `help:"Delete the objects in the folders of images that no row speaks of and that are older than an hour."`
	DeleteRows    bool `help:"Delete the images whose photograph is gone, with their annotations."`
}

func (f fsckCmd) Run(ctx context.Context) error {
	cfg, log, err := command.Configure(server.ConfigFrom)
	if err != nil {
		return err
	}
	options := server.FsckOptions{Deep: f.Deep, Repair: f.Repair, DeleteObjects: f.DeleteObjects, DeleteRows: f.DeleteRows}
	return server.Fsck(ctx, cfg, options, log, os.Stdout, os.Stderr)
}

type forgetCmd struct {
	Algorithm string `arg:"" optional:"" default:"${algorithm}" help:"The detector's algo_name (${default})."`
}

func (f forgetCmd) Run(ctx context.Context) error {
	cfg, _, err := command.Configure(server.ConfigFrom)
	if err != nil {
		return err
	}
	version, err := server.ForgetVersion(ctx, cfg, f.Algorithm, slog.New(slog.DiscardHandler))
	switch {
	case err != nil:
		return err
	case version == "":
		fmt.Fprintf(os.Stdout, "the newest version of %s was forgotten already, and none has asked for work since\n", f.Algorithm)
	default:
		fmt.Fprintf(os.Stdout, "version %s of %s is forgotten: images count by the next version that asks for work\n", version, f.Algorithm)
	}
	return nil
}

type endLeasesCmd struct{}

func (endLeasesCmd) Run(ctx context.Context) error {
	db, log, err := command.Configure(server.MariaDBFrom)
	if err != nil {
		return err
	}
	return server.EndLeases(ctx, server.Config{MariaDB: db}, log)
}

type healthcheckCmd struct{}

func (healthcheckCmd) Run(ctx context.Context) error {
	return command.Healthcheck(ctx, "API_PORT", 8080, "/healthz")
}
