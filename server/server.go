// Package server is the API of the Sticky Pi server: the one exported package of this module. [New] wires the parts
// together, [Server.Run] serves until it is told to stop. Only here and in cmd are the implementations of the store and of
// the object store named.
package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/s3blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/events"
	"github.com/sticky-pi/sticky-pi-server/server/internal/httpapi"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/thumbnail"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/server/internal/tuboids"
	"github.com/sticky-pi/sticky-pi-server/server/internal/work"
	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/httpserve"
	"github.com/sticky-pi/sticky-pi-server/services/kit/metrics"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// startQuietly is how long the start may take before the listener answers that the server is starting: a client that comes
// with the start of a healthy server waits a moment instead of seeing a 503.
const startQuietly = 5 * time.Second

const (
	// askForNews is how often the database is asked for what other servers stored, while somebody listens.
	askForNews = time.Second
	// keepDays is how often the days are worked out that changed and that nobody asked for.
	keepDays = 10 * time.Minute
	// The newest days are worked out first, since they are what most viewers ask for, and those older than a year last.
	newestDays = 31
	newerDays  = 366
)

// database is the store with what only its owner does.
type database interface {
	store.Store
	store.Annotations
	store.Work
	store.Tuboids
	store.Projects
	store.Views
	Migrate(ctx context.Context) error
	Pending(ctx context.Context) (bool, error)
	Pools() map[string]*sql.DB
	Close() error
}

// Server is the API, wired. Its listeners are open from [New] on.
type Server struct {
	cfg     Config
	log     *slog.Logger
	db      database
	blobs   *s3blob.Store
	auth    *auth.Authenticator
	events  *events.Hub
	api     net.Listener
	metrics net.Listener // nil: none
	reg     *prometheus.Registry

	handler atomic.Pointer[http.Handler]
	full    http.Handler
}

// New wires the server and opens its listeners. It does not talk to the database or to S3 yet.
func New(ctx context.Context, cfg Config, log *slog.Logger) (_ *Server, err error) {
	s := &Server{cfg: cfg, log: log, reg: metrics.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.db, err = openDatabase(cfg, log); err != nil {
		return nil, err
	}
	if s.blobs, err = s3blob.New(s3blob.Config{
		Endpoint: cfg.S3.InternalURL, PublicURL: cfg.S3.PublicURL, Region: cfg.S3.Region, Bucket: cfg.S3.Bucket,
		AccessKey: cfg.S3.AccessKey, SecretKey: cfg.S3.SecretKey,
	}); err != nil {
		return nil, err
	}
	if s.auth, err = auth.New(s.db, cfg.Secret, log, time.Now); err != nil {
		return nil, err
	}
	thumbnails := thumbnail.New()
	log.InfoContext(ctx, "thumbnails", "made_by", thumbnails.Name())
	for name, pool := range s.db.Pools() {
		s.reg.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	s.events = events.New(s.db, log, askForNews, time.Now)
	api := httpapi.Config{
		Store: s.db, Annotations: s.db, Work: work.New(s.db, log, time.Now), Blobs: s.blobs, Auth: s.auth,
		Ingest: ingest.New(ingest.Config{
			Store: s.db, Blob: s.blobs, Thumbnailer: thumbnails, Logger: log, Observe: observeImages(s.reg),
		}),
		Corners: thumbnails, Tuboids: s.db, Projects: s.db, Views: s.db, Events: s.events, TuboidIngest: tuboids.New(tuboids.Config{Store: s.db, Blob: s.blobs, Logger: log}),
		Requests: metrics.NewHTTP(s.reg),
		Ready: health.New(time.Now, map[string]health.Probe{
			"database": func(ctx context.Context) error { return shown(s.db.Ping(ctx)) },
			"s3":       func(ctx context.Context) error { return shown(s.blobs.Ping(ctx)) },
		}),
		Log: log, Now: time.Now, TrustedProxies: cfg.TrustedProxies,
	}
	if s.full, err = httpapi.New(api); err != nil {
		return nil, err
	}
	starting, err := httpapi.Starting(api)
	if err != nil {
		return nil, err
	}
	s.handler.Store(&starting)
	if s.api, err = httpserve.Listen(ctx, cfg.Listen); err != nil {
		return nil, err
	}
	if cfg.MetricsListen != "" {
		if s.metrics, err = httpserve.Listen(ctx, cfg.MetricsListen); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// shown gives the part of an error that is safe to show to anybody.
func shown(err error) error {
	var e *spi.Error
	if errors.As(err, &e) {
		return errors.New(e.Message)
	}
	return err
}

func openDatabase(cfg Config, log *slog.Logger) (database, error) {
	if cfg.SQLite != "" {
		return sqlstore.OpenSQLite(cfg.SQLite, log)
	}
	return sqlstore.OpenMariaDB(sqlstore.MariaDBConfig{
		Host: cfg.MariaDB.Host, Port: cfg.MariaDB.Port, User: cfg.MariaDB.User, Password: cfg.MariaDB.Password,
		Database: cfg.MariaDB.Database, MaxConns: cfg.MariaDB.MaxConnections, Logger: log,
	})
}

// observeImages registers the counters of uploaded images.
func observeImages(r prometheus.Registerer) func(ingest.Outcome, int) {
	received := prometheus.NewCounter(prometheus.CounterOpts{Name: "images_received_total", Help: "Images stored."})
	size := prometheus.NewCounter(prometheus.CounterOpts{Name: "images_received_bytes_total", Help: "Bytes of the images stored."})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "images_failed_total", Help: "Uploaded files that were not stored, by reason.",
	}, []string{"reason"})
	r.MustRegister(received, size, failed)
	for _, o := range ingest.Outcomes {
		if o != ingest.Stored {
			failed.WithLabelValues(string(o))
		}
	}
	return func(o ingest.Outcome, fileLen int) {
		if o == ingest.Stored {
			received.Inc()
			size.Add(float64(fileLen))
			return
		}
		failed.WithLabelValues(string(o)).Inc()
	}
}

// Addr is the address of the API's listener.
func (s *Server) Addr() net.Addr { return s.api.Addr() }

// MetricsAddr is the address of the metrics listener, or nil.
func (s *Server) MetricsAddr() net.Addr {
	if s.metrics == nil {
		return nil
	}
	return s.metrics.Addr()
}

// Metrics is where another part of the process registers what the metrics listener is to show, too.
func (s *Server) Metrics() prometheus.Registerer { return s.reg }

// Run brings the database up to date, makes the first users and the bucket, and serves until ctx is done and the requests
// in flight are finished. ready, where it is not nil, is called once everything can be used. While the database is away it
// answers 503 and goes on trying; it gives up only on what trying again cannot mend.
func (s *Server) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	g, ctx := errgroup.WithContext(ctx)
	if s.metrics != nil {
		l := s.metrics
		g.Go(func() error { return httpserve.Run(ctx, s.log, l, metrics.Handler(s.reg)) })
	}
	started := make(chan struct{})
	g.Go(func() error { s.events.Run(ctx); return nil })
	g.Go(func() error {
		select {
		case <-started:
			s.keepDays(ctx)
		case <-ctx.Done():
		}
		return nil
	})
	g.Go(func() error {
		if err := s.start(ctx); err != nil {
			return err
		}
		s.handler.Store(&s.full)
		close(started)
		s.makeBucket(ctx)
		if ready != nil && ctx.Err() == nil {
			ready()
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-started:
		case <-time.After(startQuietly):
		case <-ctx.Done():
		}
		return httpserve.Run(ctx, s.log, s.api, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			(*s.handler.Load()).ServeHTTP(w, r)
		}))
	})
	return g.Wait()
}

// start makes the database usable. It gives nil too when ctx ends first.
func (s *Server) start(ctx context.Context) error {
	err := retry(ctx, s.log, "database", func() error {
		err := s.db.Migrate(ctx)
		if err == nil {
			err = s.makeAccounts(ctx)
		}
		if err != nil && spi.CodeOf(err) != spi.CodeUnavailable {
			err = backoff.Permanent(err)
		}
		return err
	})
	if err == nil || ctx.Err() != nil {
		return nil //nolint:nilerr // told to stop meanwhile: that is no failure
	}
	return fmt.Errorf("preparing the database: %w", err)
}

// makeBucket goes on until the bucket is there: uploads answer 503 as long as S3 is away, everything else works.
func (s *Server) makeBucket(ctx context.Context) {
	_ = retry(ctx, s.log, "bucket", func() error { return s.blobs.Ensure(ctx) }) // ends in success, or with ctx
}

// keepDays works the days out that viewers will ask for, now and then, so that the first of them does not wait: after an
// upgrade those are all. The newest it works out at once, and all others in a third of its time, so that they slow nobody
// down. It stops where the database fails until the next time.
func (s *Server) keepDays(ctx context.Context) {
	for rest := 0; ctx.Err() == nil; {
		today := int(time.Now().Unix() / store.DaySeconds)
		for _, days := range [][2]int{{today - newestDays, math.MaxInt32}, {today - newerDays, today - newestDays}, {math.MinInt32, today - newerDays}} {
			began := time.Now()
			err := s.db.KeepDays(ctx, days[0], days[1], func() error {
				pause(ctx, time.Duration(rest)*time.Since(began))
				began = time.Now()
				return ctx.Err()
			})
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "working out the days of devices failed; some are done as they are asked for", "error", err)
				break
			}
			rest = 2
		}
		pause(ctx, keepDays)
	}
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// retry tries again, with pauses up to ten seconds, until do succeeds, fails for good, or ctx ends.
func retry(ctx context.Context, log *slog.Logger, what string, do func() error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = 200 * time.Millisecond
	pauses.MaxInterval = 10 * time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, do() }, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, pause time.Duration) {
			log.WarnContext(ctx, "waiting for a part of the server", "part", what, "error", err, "again_in", pause.Round(time.Millisecond))
		}))
	return err
}

// makeAccounts makes the configured users that are missing. It never changes one that is there.
func (s *Server) makeAccounts(ctx context.Context) error {
	for _, account := range s.cfg.Accounts {
		_, err := s.db.UserByName(ctx, account.Username)
		if err == nil {
			continue
		}
		if spi.CodeOf(err) != spi.CodeNotFound {
			return err
		}
		hash, err := s.auth.HashPassword(ctx, account.Password)
		if err != nil {
			return err
		}
		_, err = s.db.AddUsers(ctx, []store.User{{
			Username: account.Username, PasswordHash: hash, IsAdmin: true, CanWrite: true,
			Provenance: store.Provenance{
				DatetimeCreated: time.Now().UTC().Truncate(time.Second),
				APIVersion:      sql.Null[string]{V: spi.APIVersion, Valid: true},
			},
		}})
		switch {
		case err == nil:
			s.log.InfoContext(ctx, "user made", "user", account.Username)
		case spi.CodeOf(err) == spi.CodeConflict: // another replica was faster
		default:
			return err
		}
	}
	return nil
}

func (s *Server) close() error {
	var errs []error
	for _, l := range []net.Listener{s.api, s.metrics} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.blobs != nil {
		s.blobs.Close() // an S3 server that is told to stop waits for the connections it still has
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// Migrate brings a database up to date and returns.
func Migrate(ctx context.Context, cfg Config, log *slog.Logger) error {
	db, err := openDatabase(cfg, log)
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}
