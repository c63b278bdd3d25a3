// Package webapp is the web viewer: sessions, the front end's files and a way through to the API. [New] wires the parts,
// [Server.Run] serves until it is told to stop. It reaches data only through the API. This is all that other modules may use.
package webapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/httpserve"
	"github.com/sticky-pi/sticky-pi-server/services/kit/metrics"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/front"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/session"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/ui"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/web"
)

// apiBeginsWithin is how long the API may take to begin its reply.
const apiBeginsWithin = 2 * time.Minute

// Server is the viewer, wired. Its listeners are open from [New] on.
type Server struct {
	log       *slog.Logger
	handler   http.Handler
	listener  net.Listener
	metrics   net.Listener // nil: none
	reg       *prometheus.Registry
	transport *http.Transport
	stopping  chan struct{}
	built     bool
}

// New wires the viewer and opens its listeners. It does not talk to the API yet.
func New(ctx context.Context, cfg Config, log *slog.Logger) (_ *Server, err error) {
	s := &Server{log: log, reg: metrics.NewRegistry(), stopping: make(chan struct{}), transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		ResponseHeaderTimeout: apiBeginsWithin,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		DisableCompression:    true, // what the browser understands passes as it is
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	api, err := origin("the API's address", cfg.APIURL)
	if err != nil {
		return nil, err
	}
	s3, err := origin("the S3 server's address", cfg.S3URL)
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(cfg.Secret, time.Now)
	if err != nil {
		return nil, err
	}
	files, err := front.New(web.Built(), web.Missing())
	if err != nil {
		return nil, err
	}
	if s.built = files.Built(); !s.built {
		log.WarnContext(ctx, "the viewer's pages were not built: install Node.js 20.19 or newer with npm, and build again")
	}
	if s.handler, err = ui.New(ui.Config{
		API: api, Transport: s.transport, Sessions: sessions, Files: files, S3: s3, HTTPS: cfg.HTTPS, TrustedProxies: cfg.TrustedProxies,
		Ready: health.New(time.Now, map[string]health.Probe{"api": func(ctx context.Context) error {
			if health.Ask(ctx, api.JoinPath("healthz").String()) != nil {
				return errors.New("does not answer")
			}
			return nil
		}}),
		Requests: metrics.NewHTTP(s.reg), Log: log, Now: time.Now, Stopping: s.stopping,
	}); err != nil {
		return nil, err
	}
	if s.listener, err = httpserve.Listen(ctx, cfg.Listen); err != nil {
		return nil, err
	}
	if cfg.MetricsListen != "" {
		if s.metrics, err = httpserve.Listen(ctx, cfg.MetricsListen); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// origin reads an address of scheme and host. Its text goes into a header: nothing else may stand in it.
func origin(what, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, fmt.Errorf("%s is %q: write it as http://HOST:PORT or https://HOST", what, address)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Addr is the address of the viewer's listener.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Built says whether the pages are there: without Node.js at build time there is only one that says so.
func (s *Server) Built() bool { return s.built }

// Run serves until ctx is done and the requests in flight are finished. ready, where it is not nil, is called once pages
// can be loaded; whether the API answers is /readyz's matter.
func (s *Server) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		close(s.stopping)
		return nil
	})
	if s.metrics != nil {
		g.Go(func() error { return httpserve.Run(ctx, s.log, s.metrics, metrics.Handler(s.reg)) })
	}
	g.Go(func() error { return httpserve.Run(ctx, s.log, s.listener, s.handler) })
	if ready != nil {
		ready()
	}
	return g.Wait()
}

func (s *Server) close() error {
	var errs []error
	for _, l := range []net.Listener{s.listener, s.metrics} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.transport.CloseIdleConnections()
	return errors.Join(errs...)
}
