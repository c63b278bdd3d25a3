// Package ml is the detector worker, the Universal Insect Detector: it finds the insects on photographs and sends their
// outlines to the API. [New] and [Worker.Run] are all that other modules may use of it.
package ml

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/bundle"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/models"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/worker"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/httpserve"
	"github.com/sticky-pi/sticky-pi-server/services/kit/metrics"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Defaults of [Config].
const (
	DefaultIdleMax = 30 * time.Second
	DefaultGrace   = 6 * time.Second
	DefaultRefresh = 3 * time.Minute
)

// bytesAnImage is about what one image in flight takes at most: with it, and GOMEMLIMIT, the number of images is chosen.
const bytesAnImage = 300 << 20

// headersWithin is how long the API or the object store may take to begin an answer.
const headersWithin = 2 * time.Minute

// Config is the configuration of the worker.
type Config struct {
	API                string // base URL of the API
	Username, Password string
	// S3Public is the URL that presigned links are for, and S3Internal where that server is reached from here; empty where
	// the links work as they are.
	S3Public, S3Internal string
	Data                 string // folder of the bundle's copies; empty: no bundle, the builtin detector alone
	Workers              int    // images at a time; 0: one a core, as far as memory allows
	MetricsListen        string // address of the metrics listener; empty: none
	// Metrics is where the metrics go in a process that shows its own; nil: to a registry that the listener shows.
	Metrics      prometheus.Registerer
	IdleMax      time.Duration
	RefreshEvery time.Duration // how often a newer model is looked for
	Grace        time.Duration // that images in flight get at the end; a little more may pass until Run returns
}

// APIFrom reads where the API is and how to log in: all that talking to it needs.
func APIFrom(src *config.Source) Config {
	cfg := Config{
		API:      src.URL("UID_API_URL", fmt.Sprintf("http://spi_api:%d", src.Port("API_PORT", 8080))),
		Username: src.String("UID_USER", "spi_uid"),
		Password: src.Required("UID_PASSWORD", "the password of the detector's user"),
	}
	host := src.Expanded("S3_HOST", "")
	if host == "" {
		return cfg
	}
	// as the API has it: see server.S3From
	inside := ""
	if root, ok := src.Lookup("ROOT_DOMAIN_NAME"); ok && host == "s3."+root {
		inside = "http://spi_s3:7070"
	}
	cfg.S3Public, cfg.S3Internal = host, src.URL("S3_INTERNAL_URL", inside)
	return cfg
}

// ConfigFrom reads the configuration of the production worker. What is wrong is noted in the source.
func ConfigFrom(src *config.Source) Config {
	cfg := APIFrom(src)
	cfg.Data = src.String("UID_DATA", "/data")
	cfg.Workers = src.Int("UID_WORKERS", 0)
	if cfg.Workers < 0 {
		src.Fail("UID_WORKERS", "is below 0: set it to the number of images to work on at a time, or leave it out for one a core")
	}
	cfg.MetricsListen = fmt.Sprintf(":%d", src.Port("METRICS_PORT", 8090))
	return cfg
}

// Worker is the detector worker, wired.
type Worker struct {
	log     *slog.Logger
	http    *http.Client
	loop    *worker.Worker
	metrics net.Listener // nil: none
	reg     *prometheus.Registry
	health  http.Handler
}

// New wires the worker, loads the builtin detector and opens the metrics listener. It does not talk to the API yet.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Worker, error) {
	client, h, err := Client(cfg)
	if err != nil {
		return nil, err
	}
	reg := metrics.NewRegistry()
	own := cfg.Metrics
	if own == nil {
		own = reg
	}
	m, err := models.New(models.Config{Folder: folder(cfg, client, h), Log: log, Metrics: own})
	if err != nil {
		return nil, err
	}
	images := cfg.Workers
	if images == 0 {
		images = imagesAtATime(runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1))
	}
	w := &Worker{log: log, http: h, reg: reg, loop: worker.New(worker.Config{
		API: client, HTTP: h, Models: m, Workers: images, Metrics: worker.NewMetrics(own), Log: log,
		IdleMax: orElse(cfg.IdleMax, DefaultIdleMax), RefreshEvery: orElse(cfg.RefreshEvery, DefaultRefresh), Grace: orElse(cfg.Grace, DefaultGrace),
	})}
	w.health = health.New(time.Now, map[string]health.Probe{"api": w.loop.Ping, "model": w.loop.PingModel})
	if cfg.MetricsListen != "" {
		if w.metrics, err = httpserve.Listen(ctx, cfg.MetricsListen); err != nil {
			return nil, err
		}
	}
	log.InfoContext(ctx, "worker", "api", cfg.API, "images_at_a_time", images)
	return w, nil
}

func orElse(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// imagesAtATime is one a core, as far as the memory goes.
func imagesAtATime(cores int, memory int64) int {
	if memory == math.MaxInt64 { // no limit
		return cores
	}
	return max(1, min(cores, int(memory/bytesAnImage)))
}

func folder(cfg Config, client *spi.Client, h *http.Client) *bundle.Folder {
	if cfg.Data == "" {
		return nil
	}
	return &bundle.Folder{API: client, HTTP: h, Dir: cfg.Data}
}

// Client gives a client of the API, and one for presigned links.
func Client(cfg Config) (*spi.Client, *http.Client, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, nil, errors.New("the default HTTP transport was replaced")
	}
	transport = transport.Clone()
	transport.ResponseHeaderTimeout = headersWithin
	transport.MaxIdleConnsPerHost = 16
	// Links work as they are: a redirect could lead anywhere on this network.
	h := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if cfg.S3Internal != "" {
		inside, err := url.Parse(cfg.S3Internal)
		if err != nil {
			return nil, nil, fmt.Errorf("S3_INTERNAL_URL: %w", err)
		}
		h.Transport = &insideDoor{public: hostOf(cfg.S3Public), inside: inside, next: transport}
	}
	client, err := spi.New(cfg.API, spi.WithPassword(cfg.Username, cfg.Password), spi.WithHTTPClient(h))
	return client, h, err
}

// hostOf gives HOST:PORT of what may also be a URL.
func hostOf(s string) string {
	if u, err := url.Parse(s); err == nil && strings.Contains(s, "://") {
		return u.Host
	}
	return s
}

// insideDoor sends what goes to the public address of S3 to its inner one. The request's host stays the public one, which
// presigned links are signed for: S3 verifies them as if they had come by the gateway.
type insideDoor struct {
	public string
	inside *url.URL
	next   http.RoundTripper
}

func (d *insideDoor) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != d.public {
		return d.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	if r.Host == "" {
		r.Host = d.public
	}
	r.URL.Scheme, r.URL.Host = d.inside.Scheme, d.inside.Host
	return d.next.RoundTrip(r)
}

// CloseIdleConnections makes the client's method of that name work.
func (d *insideDoor) CloseIdleConnections() {
	(&http.Client{Transport: d.next}).CloseIdleConnections()
}

// MetricsAddr is the address of the metrics listener, or nil.
func (w *Worker) MetricsAddr() net.Addr {
	if w.metrics == nil {
		return nil
	}
	return w.metrics.Addr()
}

// Run works until ctx is done and what is in flight is finished or given back, within ten seconds. ready, where it is not
// nil, is called at its beginning: the API may be away, and is waited for.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	g, ctx := errgroup.WithContext(ctx)
	if w.metrics != nil {
		g.Go(func() error { return httpserve.Run(ctx, w.log, w.metrics, w.handler()) })
	}
	g.Go(func() error {
		w.loop.Run(ctx)
		w.http.CloseIdleConnections() // a server in the same process would wait for them
		return nil
	})
	if ready != nil {
		ready()
	}
	return g.Wait()
}

// handler serves /metrics, /healthz (the process lives) and /readyz (the API answers it, and there is a model to use).
func (w *Worker) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(w.reg))
	mux.Handle("GET /readyz", w.health)
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) })
	return mux
}
