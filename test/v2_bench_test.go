package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// BenchmarkViews asks for what a viewer draws of 50 devices, with an annotation each. Their values are as random as no weather
// is, so that the size sent is the greatest; the first times, when nothing is worked out yet, are logged.
func BenchmarkViews(b *testing.B) {
	for _, images := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(images), func(b *testing.B) {
			if images > 100_000 && testing.Short() {
				b.Skip("fills a large table; run without -short")
			}
			eachForBench(b, func(b *testing.B, s *stack.Stack) {
				start, end := fill(b, s, images)
				db := behind(b, s)
				random := "(ABS(RANDOM() % 1000000) / 1000000.0)"
				if s.MariaDB != nil {
					random = "RAND()"
				}
				for at := 0; at < images; at += 10_000 {
					for _, query := range []string{
						`UPDATE images SET temp = ROUND(8 + 24 * ` + random + `, 1), hum = ROUND(30 + 70 * ` + random + `, 1),
							no_flash_bv = ROUND(3 * ` + random + `, 2), no_flash_exposure_time = ROUND(0.005 + 0.12 * ` + random + `, 6)
							WHERE id > ? AND id <= ?`,
						`INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created, api_version, api_user)
							SELECT id, '` + spi.DetectorAlgorithm + `', '1598113346-ad2cd78dfaca12821046dfb8994724d5', FLOOR(40 * ` + random + `), '{}', datetime_created, '3.0.0', 'spi_uid'
							FROM images WHERE id > ? AND id <= ?`,
					} {
						if _, err := db.ExecContext(context.Background(), query, at, at+10_000); err != nil {
							b.Fatal(err)
						}
					}
				}
				span := fmt.Sprintf(`"start":"%s","end":"%s"`, spi.FormatDatetime(start, spi.DateV2), spi.FormatDatetime(end, spi.DateV2))
				body := `{` + span + `,"variables":["temperature","humidity","light","insects"],"width":1000}`
				devices := "/v2/devices?start=" + spi.FormatDatetime(start, spi.DateV2) + "&end=" + spi.FormatDatetime(end, spi.DateV2)
				newest := strings.Replace(body, spi.FormatDatetime(start, spi.DateV2), spi.FormatDatetime(end.AddDate(0, 0, -28), spi.DateV2), 1)
				for _, first := range []struct{ name, method, path, body string }{
					{"devices", http.MethodGet, devices, ""},
					{"series of the last 28 days", http.MethodPost, "/v2/series", newest},
					{"series", http.MethodPost, "/v2/series", body},
				} {
					before, tries, longest := cpuOf(b, s.PID()), 0, time.Duration(0)
					for status := 0; status != http.StatusOK; tries++ {
						began := time.Now()
						if status, _ = view(b, s, first.method, first.path, first.body); status != http.StatusOK && status != http.StatusServiceUnavailable {
							b.Fatal(status)
						}
						longest = max(longest, time.Since(began))
					}
					b.Logf("%s: the first time, %s: %d requests, the longest %v; of the API %v CPU in all",
						s.Kind, first.name, tries, longest.Round(time.Millisecond), cpuOf(b, s.PID())-before)
				}
				for _, c := range []struct{ name, method, path, body string }{
					{"series", http.MethodPost, "/v2/series", body},
					{"series/insects", http.MethodPost, "/v2/series", `{` + span + `,"variables":["insects"],"width":1000}`},
					{"devices", http.MethodGet, devices, ""},
				} {
					b.Run(c.name, func(b *testing.B) {
						var size int64
						measure(b, s, func() { size = get(b, s, c.method, c.path, c.body) })
						b.ReportMetric(float64(size)/1e6, "sent-MB")
					})
				}
			})
		})
	}
}

// get asks as a browser does, and gives the size of the compressed reply.
func get(b *testing.B, s *stack.Stack, method, path, body string) int64 {
	b.Helper()
	status, size := view(b, s, method, path, body)
	if status != http.StatusOK {
		b.Fatalf("%s: %d", path, status)
	}
	return size
}

func view(b *testing.B, s *stack.Stack, method, path, body string) (status int, size int64) {
	b.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.SetBasicAuth(stack.AdminName, stack.AdminPassword)
	req.Header.Set("Accept-Encoding", "gzip")
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	if size, err = io.Copy(io.Discard, reply.Body); err != nil {
		b.Fatalf("%s: %v", path, err)
	}
	return reply.StatusCode, size
}
