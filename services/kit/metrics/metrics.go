// Package metrics is the Prometheus side of a service: a registry with build and runtime information, the two request
// metrics that every service has, and the handler for the metrics listener, which is never the service's own port.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
)

// Unmatched is the endpoint label of requests that no route takes.
const Unmatched = "unmatched"

// NewRegistry gives a registry that already holds build information, the Go runtime and the process.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	b := buildinfo.Get()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": b.Version, "goversion": b.Go, "os": b.OS, "arch": b.Arch},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// HTTP counts requests and their time.
type HTTP struct {
	count   *prometheus.CounterVec
	latency *prometheus.HistogramVec
}

// NewHTTP registers request_count_total and request_latency_seconds.
func NewHTTP(r prometheus.Registerer) *HTTP {
	h := &HTTP{
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "request_count_total", Help: "Requests answered.",
		}, []string{"method", "endpoint", "http_status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "request_latency_seconds",
			Help:    "Time from a request's header to the end of its reply, but for streams of events, which last as long as somebody listens.",
			Buckets: []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10},
		}, []string{"endpoint"}),
	}
	r.MustRegister(h.count, h.latency)
	return h
}

// Observe notes one request. endpoint is the route's template, or empty where there is none. header is the reply's: of a
// stream of events, the time is the client's and says nothing of the server, so that it is counted alone.
func (h *HTTP) Observe(method, endpoint string, status int, header http.Header, took time.Duration) {
	if endpoint == "" {
		endpoint = Unmatched
	}
	h.count.WithLabelValues(methodLabel(method), endpoint, strconv.Itoa(status)).Inc()
	if !strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		h.latency.WithLabelValues(endpoint).Observe(took.Seconds())
	}
}

// methodLabel keeps made-up methods from making a time series each.
func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// Handler serves the registry at /metrics and nothing else.
func Handler(r *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r}))
	return mux
}
