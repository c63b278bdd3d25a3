package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/photograph"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Stages of an image's way.
const (
	stageFetch  = "fetch"
	stageDecode = "decode"
	stageDetect = "detect"
	stagePut    = "put"
)

// Reasons of failures, beside those of package photograph.
const (
	reasonDetector  = "detector"
	reasonPanic     = "panic"
	reasonRefused   = "refused"    // by the API
	reasonNotServed = "not_served" // by the object store, which serves others
)

// Metrics are the worker's.
type Metrics struct {
	images, insects prometheus.Counter
	failures        *prometheus.CounterVec
	seconds         *prometheus.HistogramVec
	todo            *prometheus.GaugeVec
	detector        *prometheus.GaugeVec
}

// NewMetrics registers the worker's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		images:   prometheus.NewCounter(prometheus.CounterOpts{Name: "uid_images_total", Help: "Images annotated."}),
		insects:  prometheus.NewCounter(prometheus.CounterOpts{Name: "uid_insects_total", Help: "Insects found on them."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "uid_failures_total", Help: "Images that could not be annotated, by reason."}, []string{"reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "uid_stage_seconds", Help: "Time that an image takes, by stage.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 3, 5, 7.5, 10, 20, 60},
		}, []string{"stage"}),
		todo: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "uid_backlog_images", Help: "Images on the server that wait, are leased to a worker, or have failed too often; asked every few minutes.",
		}, []string{"state"}),
		detector: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "uid_detector_info", Help: "Always 1; the labels say which detector is in use.",
		}, []string{"kind", "algo_version"}),
	}
	r.MustRegister(m.images, m.insects, m.failures, m.seconds, m.todo, m.detector)
	for _, reason := range photograph.Reasons {
		m.failures.WithLabelValues(string(reason))
	}
	for _, reason := range []string{reasonDetector, reasonPanic, reasonRefused, reasonNotServed} {
		m.failures.WithLabelValues(reason)
	}
	return m
}

// stage notes how long a stage took that began then, and gives the beginning of the next.
func (m *Metrics) stage(name string, began time.Time) time.Time {
	now := time.Now()
	m.seconds.WithLabelValues(name).Observe(now.Sub(began).Seconds())
	return now
}

func (m *Metrics) done(insects int) {
	m.images.Inc()
	m.insects.Add(float64(insects))
}

func (m *Metrics) failed(reason string) { m.failures.WithLabelValues(reason).Inc() }

func (m *Metrics) using(d detect.Detector) {
	m.detector.Reset()
	m.detector.WithLabelValues(d.Name(), d.Version()).Set(1)
}

func (m *Metrics) backlog(b spi.Backlog) {
	m.todo.WithLabelValues("waiting").Set(float64(b.Waiting))
	m.todo.WithLabelValues("leased").Set(float64(b.Leased))
	m.todo.WithLabelValues("failed").Set(float64(b.Failed))
}
