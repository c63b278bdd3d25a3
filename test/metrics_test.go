package test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

// metrics are the samples of a server, by name and labels as they are written.
type metrics map[string]float64

func (a *api) metrics() metrics {
	a.t.Helper()
	m := metrics{}
	for line := range strings.Lines(string(fetch(a.t, a.MetricsURL))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndex(line, " ")
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			a.t.Fatalf("metrics: %q: %v", line, err)
		}
		m[line[:i]] = value
	}
	return m
}

// since gives what has changed since before.
func (m metrics) since(before metrics, prefix string) metrics {
	changed := metrics{}
	for name, value := range m {
		if d := value - before[name]; d != 0 && strings.HasPrefix(name, prefix) {
			changed[name] = d
		}
	}
	return changed
}

func TestMetricsCountRequestsByRoute(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		a = a.mistaken()
		a.token() // so that the log-in is remembered
		before := a.metrics()
		a.post("/get_images/metadata", "").ok()
		a.post("/get_images/image", "").ok()
		a.post("/get_images/poster", "")
		a.as(nobody).post("/get_users", "")
		a.send(a.request(http.MethodGet, "/get_token", "", http.NoBody))
		a.send(a.request("BREW", "/coffee", "", http.NoBody))
		a.post("/"+newDevice(), "")
		a.get("/healthz").ok()
		after := a.metrics()
		// streams of earlier tests, whose ends the server may notice only now
		for name := range after {
			if strings.Contains(name, `{endpoint="/v2/events"`) {
				delete(after, name)
			}
		}
		same(t, "requests", metrics{
			`request_count_total{endpoint="/get_images/:what",http_status="200",method="POST"}`: 2,
			`request_count_total{endpoint="/get_images/:what",http_status="400",method="POST"}`: 1,
			`request_count_total{endpoint="/get_users",http_status="401",method="POST"}`:        1,
			`request_count_total{endpoint="unmatched",http_status="405",method="GET"}`:          1,
			`request_count_total{endpoint="unmatched",http_status="404",method="other"}`:        1,
			`request_count_total{endpoint="unmatched",http_status="404",method="POST"}`:         1,
			`request_count_total{endpoint="/healthz",http_status="200",method="GET"}`:           1,
		}, after.since(before, "request_count_total"))
		same(t, "latencies", metrics{
			`request_latency_seconds_count{endpoint="/get_images/:what"}`: 3, `request_latency_seconds_count{endpoint="/get_users"}`: 1,
			`request_latency_seconds_count{endpoint="unmatched"}`: 3, `request_latency_seconds_count{endpoint="/healthz"}`: 1,
		}, after.since(before, "request_latency_seconds_count"))

		var buckets []string
		for name := range after {
			if rest, ok := strings.CutPrefix(name, `request_latency_seconds_bucket{endpoint="/get_images/:what",le="`); ok {
				buckets = append(buckets, strings.TrimSuffix(rest, `"}`))
			}
		}
		slices.Sort(buckets)
		want := strings.Fields("0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf")
		slices.Sort(want)
		same(t, "buckets", want, buckets)
	})
}

func TestMetricsCountImagesAndTheReasonsOfFailures(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		device := newDevice()
		good, other := small(device, noon, 1), small(device, noon, 2)
		before := a.metrics()
		a.put(good)
		a.upload(v1(good.name(), good.data)).refused(http.StatusConflict)
		a.upload(v1(other.name(), other.data)).refused(http.StatusConflict)
		a.upload(v1("image.jpg", good.data)).refused(http.StatusBadRequest)
		cut, bare := small(newDevice(), noon, 3), small(newDevice(), noon, 4)
		a.upload(v1(cut.name(), cut.data[:len(cut.data)/2])).refused(http.StatusBadRequest)
		a.upload(v1(bare.name(), spitest.Picture(spitest.Photo{Width: 64, Height: 48}))).refused(http.StatusBadRequest)
		a.upload(v1(bare.name(), bare.data), field{name: bare.name() + ".md5", data: []byte(strings.Repeat("0", 32))}).refused(http.StatusBadRequest)
		same(t, "images", metrics{
			"images_received_total": 1, "images_received_bytes_total": float64(len(good.data)),
			`images_failed_total{reason="duplicate"}`: 2, `images_failed_total{reason="bad_name"}`: 1, `images_failed_total{reason="bad_jpeg"}`: 1,
			`images_failed_total{reason="bad_metadata"}`: 1, `images_failed_total{reason="bad_checksum"}`: 1,
		}, a.metrics().since(before, "images_"))
	})
}

func TestMetricsTellOfTheProcessAndTheDatabase(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		m := a.metrics()
		for _, name := range []string{
			"go_sql_open_connections", "go_sql_max_open_connections", "go_sql_wait_count_total", "go_goroutines", "process_resident_memory_bytes", `images_failed_total{reason="failed"}`,
		} {
			there := false
			for sample := range m {
				there = there || sample == name || strings.HasPrefix(sample, name+"{")
			}
			if !there {
				t.Errorf("there is no %s", name)
			}
		}
		builds := slices.DeleteFunc(slices.Collect(maps.Keys(m)), func(name string) bool { return !strings.HasPrefix(name, "build_info{") })
		if len(builds) != 1 || m[builds[0]] != 1 || !strings.Contains(builds[0], `version="`) || !strings.Contains(builds[0], `goversion="go`) {
			t.Errorf("build_info is %v", builds)
		}
		a.mistaken().get("/metrics").refused(http.StatusNotFound) // on the API's own port
	})
}
