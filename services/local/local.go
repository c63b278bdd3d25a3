// Package local runs the whole Sticky Pi server in one process, without Docker or a database server: the API on SQLite, the
// viewer, the detector worker, and an S3 server over a folder. The code is production's; only what lies behind the store's and the object store's
// interfaces differs. It wires the services' exported packages and holds no logic of theirs.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/ml"
	"github.com/sticky-pi/sticky-pi-server/server"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/kit/httpserve"
	"github.com/sticky-pi/sticky-pi-server/services/kit/s3gw"
	"github.com/sticky-pi/sticky-pi-server/services/local/internal/demo"
	"github.com/sticky-pi/sticky-pi-server/services/webapp"
)

// Options are local mode's settings.
type Options struct {
	Port int    // of the API; the viewer takes the next one, S3 the one after, then metrics
	Bind string // address to listen on
	Data string // folder of everything that is kept
	Demo bool   // fill it with generated images
	Out  io.Writer
	Log  *slog.Logger
	// Quiet says that the log has warnings and errors alone, before somebody's eyes: what else there is to know is said on Out.
	Quiet bool
}

// Offsets of the other services' ports from the API's.
const (
	viewerOffset  = 1
	s3Offset      = 2
	metricsOffset = 3
)

// Files and folders below the data folder.
const (
	secretsFile  = ".secret.env"
	lockFile     = ".lock"
	databaseFile = "sticky-pi.db"
	objectsDir   = "s3"
	modelsDir    = "uid"
)

// private is the mode of the database's files.
const private = 0o600

// The detector leaves the machine to its user: an image at a time, and not long at the end. It looks for work more often than
// in production, where many would ask.
const (
	detectorImages  = 1
	detectorIdle    = 10 * time.Second
	detectorRefresh = 30 * time.Second
	detectorGrace   = 2 * time.Second
)

// Run serves until ctx is done. It prints one line that begins with "ready" to o.Out when everything can be used; where o.Quiet is
// set, others follow.
func Run(ctx context.Context, o Options) (err error) {
	if o.Port < 1 || o.Port+metricsOffset > 65535 {
		return fmt.Errorf("--port %d: choose a port from 1 to %d; the %d after it are used too", o.Port, 65535-metricsOffset, metricsOffset)
	}
	// S3 changes the working directory, so that every path is made absolute first.
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return fmt.Errorf("--data %s: %w", o.Data, err)
	}
	if err := os.MkdirAll(data, 0o750); err != nil {
		return fmt.Errorf("--data: the folder cannot be made (%w): choose one that you may write to", err)
	}
	lock := flock.New(filepath.Join(data, lockFile), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("--data: %w: choose a folder that you may write to", err)
	}
	if !locked {
		return fmt.Errorf("--data %s: another local server is using it: stop that one, or choose another folder", data)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()

	secrets := filepath.Join(data, secretsFile)
	if err := makeSecrets(secrets); err != nil {
		return err
	}
	src := config.Load(secrets)
	s3Address := net.JoinHostPort(o.Bind, strconv.Itoa(o.Port+s3Offset))
	s3URL := src.URL("S3_HOST", "http://"+net.JoinHostPort(reachable(o.Bind), strconv.Itoa(o.Port+s3Offset)))
	cfg := server.Config{
		Listen:        net.JoinHostPort(o.Bind, strconv.Itoa(o.Port)),
		MetricsListen: net.JoinHostPort(o.Bind, strconv.Itoa(o.Port+metricsOffset)),
		SQLite:        filepath.Join(data, databaseFile),
		Secret:        src.Secret("SECRET_API_KEY", "a long random string", server.MinPassword),
		// the viewer asks in the name of browsers, and their failed log-ins count by their own addresses
		TrustedProxies: append(src.CIDRs("TRUSTED_PROXIES"), addressOf(loopbackOf(o.Bind))...),
		S3: server.S3{
			InternalURL: "http://" + net.JoinHostPort(loopbackOf(o.Bind), strconv.Itoa(o.Port+s3Offset)), PublicURL: s3URL,
			Region:    src.String("S3_REGION", "us-east-1"),
			Bucket:    src.String("S3_BUCKET_NAME", "sticky-pi"),
			AccessKey: src.Required("S3_ACCESS_KEY", "the access key of the S3 server"),
			SecretKey: src.Required("S3_PRIVATE_KEY", "the secret key of the S3 server"),
		},
		Accounts: []server.Account{
			{Username: src.String("API_ADMIN_NAME", "admin"), Password: src.Secret("API_ADMIN_PASSWORD", "the first admin's password", server.MinPassword)},
			{Username: src.String("UID_USER", "spi_uid"), Password: src.Secret("UID_PASSWORD", "the password of the detector's user", server.MinPassword)},
		},
	}
	images := src.Int("UID_WORKERS", detectorImages)
	if images < 0 {
		src.Fail("UID_WORKERS", "is below 0: set it to the number of images that the detector works on at a time, or to 0 for no detector")
	}
	if err := src.Err(); err != nil {
		return err
	}
	// It holds the passwords' hashes; what SQLite puts beside it gets its mode.
	if err := makePrivate(cfg.SQLite); err != nil {
		return fmt.Errorf("--data: the database cannot be made for its owner alone (%w): choose a folder of your own", err)
	}
	api, err := server.New(ctx, cfg, o.Log)
	if err != nil {
		return err
	}
	viewer, err := webapp.New(ctx, webapp.Config{
		Listen: net.JoinHostPort(o.Bind, strconv.Itoa(o.Port+viewerOffset)),
		APIURL: "http://" + net.JoinHostPort(loopbackOf(o.Bind), strconv.Itoa(o.Port)), S3URL: s3URL,
		Secret: cfg.Secret, TrustedProxies: src.CIDRs("TRUSTED_PROXIES"),
	}, o.Log)
	if err != nil {
		return err
	}
	var worker *ml.Worker
	if images > 0 {
		if worker, err = ml.New(ctx, ml.Config{
			API: "http://" + net.JoinHostPort(loopbackOf(o.Bind), strconv.Itoa(o.Port)), Username: cfg.Accounts[1].Username, Password: cfg.Accounts[1].Password,
			S3Public: cfg.S3.PublicURL, S3Internal: cfg.S3.InternalURL, Data: filepath.Join(data, modelsDir), Workers: images,
			Metrics: api.Metrics(), IdleMax: detectorIdle, RefreshEvery: detectorRefresh, Grace: detectorGrace,
		}, o.Log.With("part", "detector")); err != nil {
			return err
		}
	}
	return run(ctx, o, cfg, api, viewer, worker, s3gw.Config{
		Addr: s3Address, Dir: filepath.Join(data, objectsDir), AccessKey: cfg.S3.AccessKey, SecretKey: cfg.S3.SecretKey, Region: cfg.S3.Region,
	}, secrets)
}

// makePrivate makes an empty file where there is none, and keeps others from the database that is there: older programs made it
// for everybody to read, and what SQLite left beside it at a crash.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, private) //nolint:gosec // in the data folder
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Mode().Perm()&^private != 0 {
			err = os.Chmod(name, private)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run serves all. S3 outlives the API, whose last uploads need it, and the API outlives the worker, which gives back what it
// has not finished.
func run(ctx context.Context, o Options, cfg server.Config, api *server.Server, viewer *webapp.Server, worker *ml.Worker, s3 s3gw.Config, secrets string) error {
	s3ctx, stopS3 := context.WithCancel(context.WithoutCancel(ctx))
	defer stopS3()
	apiCtx, stopAPI := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAPI()
	ready := make(chan struct{})
	var g errgroup.Group
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g.Go(func() error {
		defer stop() // without S3 there is nothing to serve
		err := s3gw.Run(s3ctx, s3)
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "listen" {
			return httpserve.CannotListen(s3.Addr, err)
		}
		return err
	})
	g.Go(func() error {
		defer stop()
		return viewer.Run(ctx, nil)
	})
	g.Go(func() error {
		defer stopAPI()
		select {
		case <-ready:
		case <-ctx.Done():
		}
		if worker != nil && ctx.Err() == nil {
			return worker.Run(ctx, nil)
		}
		<-ctx.Done()
		return nil
	})
	g.Go(func() error {
		defer stop()
		defer stopS3()
		return api.Run(apiCtx, func() {
			close(ready)
			admin := cfg.Accounts[0]
			_, _ = fmt.Fprintf(o.Out, "ready: viewer http://%s API http://%s S3 %s metrics http://%s/metrics, admin %q, password: API_ADMIN_PASSWORD in %s\n",
				viewer.Addr(), api.Addr(), cfg.S3.PublicURL, api.MetricsAddr(), admin.Username, secrets)
			if o.Quiet {
				hint := "Ctrl-C stops it. From here on, warnings alone are shown; with --debug, every request."
				if o.Demo {
					hint += " The demonstration's images are being made."
				}
				_, _ = fmt.Fprintln(o.Out, hint)
			}
			if !o.Demo {
				return
			}
			g.Go(func() error {
				url := "http://" + net.JoinHostPort(loopbackOf(o.Bind), strconv.Itoa(o.Port))
				if err := demo.Fill(ctx, o.Log, url, admin.Username, admin.Password, time.Now()); err != nil && ctx.Err() == nil {
					o.Log.ErrorContext(ctx, "the demonstration is not complete; start again with --demo to go on", "error", err)
				}
				return nil // the server itself is well
			})
		})
	})
	return g.Wait()
}

// loopbackOf is where a server bound to the address is reached from this machine.
func loopbackOf(bind string) string {
	if ip := net.ParseIP(bind); ip != nil && ip.IsUnspecified() {
		if ip.To4() != nil {
			return "127.0.0.1"
		}
		return "::1"
	}
	return bind
}

// addressOf gives the host as an address, and nothing where it is a name.
func addressOf(host string) []string {
	if net.ParseIP(host) == nil {
		return nil
	}
	return []string{host}
}

// reachable is where others reach a server bound to the address: for "all addresses" the first of this machine's own that
// is not loopback. S3_HOST overrides it.
func reachable(bind string) string {
	if ip := net.ParseIP(bind); ip == nil || !ip.IsUnspecified() {
		return bind
	}
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
				return n.IP.String()
			}
		}
	}
	return loopbackOf(bind)
}
