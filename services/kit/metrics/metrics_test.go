package metrics_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/metrics"
)

func scrape(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	b, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Code, string(b)
}

func TestRequestsAreCountedByRouteTemplate(t *testing.T) {
	reg := metrics.NewRegistry()
	m := metrics.NewHTTP(reg)
	m.Observe("POST", "/get_images/:what", 200, nil, 30*time.Millisecond)
	m.Observe("POST", "/get_images/:what", 200, nil, 3*time.Second)
	m.Observe("BREW", "", 404, nil, time.Millisecond)
	status, text := scrape(t, metrics.Handler(reg), "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	for _, line := range []string{
		`request_count_total{endpoint="/get_images/:what",http_status="200",method="POST"} 2`,
		`request_count_total{endpoint="unmatched",http_status="404",method="other"} 1`,
		`request_latency_seconds_bucket{endpoint="/get_images/:what",le="0.025"} 0`,
		`request_latency_seconds_bucket{endpoint="/get_images/:what",le="0.05"} 1`,
		`request_latency_seconds_bucket{endpoint="/get_images/:what",le="2.5"} 1`,
		`request_latency_seconds_bucket{endpoint="/get_images/:what",le="5"} 2`,
		`request_latency_seconds_count{endpoint="/get_images/:what"} 2`,
		"go_goroutines ", "process_resident_memory_bytes ", "build_info{",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	if n := strings.Count(text, `request_latency_seconds_bucket{endpoint="/get_images/:what"`); n != 15 {
		t.Errorf("%d buckets, not 14 and +Inf", n)
	}
}

func TestStreamsOfEventsAreCountedWithoutTheirTime(t *testing.T) {
	reg := metrics.NewRegistry()
	m := metrics.NewHTTP(reg)
	m.Observe("GET", "/v2/events", 200, http.Header{"Content-Type": {"text/event-stream"}}, time.Hour)
	m.Observe("GET", "/v2/events", 429, http.Header{"Content-Type": {"application/json"}}, time.Millisecond)
	_, text := scrape(t, metrics.Handler(reg), "/metrics")
	for _, line := range []string{
		`request_count_total{endpoint="/v2/events",http_status="200",method="GET"} 1`,
		`request_latency_seconds_bucket{endpoint="/v2/events",le="0.005"} 1`,
		`request_latency_seconds_count{endpoint="/v2/events"} 1`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}

func TestTheMetricsListenerServesNothingElse(t *testing.T) {
	if status, _ := scrape(t, metrics.Handler(metrics.NewRegistry()), "/"); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
}
