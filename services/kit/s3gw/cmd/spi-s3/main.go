// Command spi-s3 is the local S3 server of the production stack: package s3gw as a process. A folder that `versitygw posix`
// has written to works as it is, mounted at DATA/objects.
//
//	spi-s3 serve        run until a signal
//	spi-s3 healthcheck  ask the server on this machine whether it lives; exit 1 if not
//
// Its configuration comes from the environment: S3_ACCESS_KEY, S3_PRIVATE_KEY, S3_REGION, and S3_DATA, the folder (/data).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
	"github.com/sticky-pi/sticky-pi-server/services/kit/s3gw"
)

// port is versitygw's own; the other services know it.
const port = "7070"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "spi-s3:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing at the end
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 1 {
		switch args[0] {
		case "serve":
			return serve(ctx)
		case "healthcheck":
			return health.Ask(ctx, "http://127.0.0.1:"+port+s3gw.DefaultHealthPath)
		case "--version":
			_, err := fmt.Fprintln(stdout, buildinfo.Version)
			return err
		}
	}
	return errors.New("usage: spi-s3 serve | healthcheck | --version")
}

func serve(ctx context.Context) error {
	src := config.Load()
	cfg := s3gw.Config{
		Addr:      ":" + port,
		Dir:       src.String("S3_DATA", "/data"),
		AccessKey: src.Required("S3_ACCESS_KEY", "the access key that clients sign with"),
		SecretKey: src.Required("S3_PRIVATE_KEY", "the secret key that clients sign with"),
		Region:    src.String("S3_REGION", "us-east-1"),
	}
	log := logging.New(os.Stderr, logging.Options{Debug: src.Bool("DEBUG", false), JSON: true})
	if err := src.Err(); err != nil {
		return err
	}
	cfg.Ready = func() {
		log.InfoContext(ctx, "ready", slog.String("address", cfg.Addr), slog.String("folder", cfg.Dir), slog.String("version", buildinfo.Version))
	}
	return s3gw.Run(ctx, cfg)
}
