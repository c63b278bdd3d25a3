package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
)

// fillAnnotations gives every image an annotation, past the interface.
func fillAnnotations(t testing.TB, s *sqlstore.Store) {
	t.Helper()
	db, created := s.DB(), "'2024-01-01'"
	if w, ok := s.Pools()["write"]; ok {
		db, created = w, "0"
	}
	_, err := db.Exec(`INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created)
		SELECT id, 'sticky-pi-universal-insect-detector', '1598113346-ad2cd78dfaca12821046dfb8994724d5', id % 40, ?, `+created+` FROM images`,
		strings.Repeat("x", 400))
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkPoints reads the points of 50 devices, two devices at a time, from days that are kept and from days that are not.
func BenchmarkPoints(b *testing.B) {
	const devices = 50
	for name, open := range implementations {
		for _, images := range []int{100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", name, images), func(b *testing.B) {
				if images > 100_000 && testing.Short() {
					b.Skip("fills a large table; run without -short")
				}
				s := open(b)
				each := images / devices
				fillImages(b, s, devices, each)
				fillAnnotations(b, s)
				end := benchStart.Add(time.Duration(each) * 20 * time.Minute)
				read := func(want int) {
					var wg sync.WaitGroup
					for half := range 2 {
						wg.Go(func() {
							n, insects := 0, 0
							for i := half; i < devices; i += 2 {
								err := s.Points(context.Background(), benchDevice(i), benchStart, end, "sticky-pi-universal-insect-detector", func(p *store.Point) {
									n++
									if p.Values[store.Insects] != store.Missing {
										insects++
									}
								})
								if err != nil {
									b.Error(err)
								}
							}
							if n != want/2 || insects != want/2 {
								b.Errorf("%d points, %d with insects, want %d", n, insects, want/2)
							}
						})
					}
					wg.Wait()
				}
				first, before := time.Now(), cpu(b)
				read(images)
				b.Logf("not kept yet: %v, of this process %v CPU", time.Since(first).Round(time.Millisecond), (cpu(b) - before).Round(time.Millisecond))
				b.Run("Kept", func(b *testing.B) {
					before := cpu(b)
					for b.Loop() {
						read(images)
					}
					b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
				})
				b.Run("Summaries", func(b *testing.B) {
					before := cpu(b)
					for b.Loop() {
						n := 0
						for i := range devices {
							if err := s.DaySummaries(context.Background(), benchDevice(i), 0, 100_000, nil, func(d store.DaySummary) { n += d.Images }); err != nil {
								b.Fatal(err)
							}
						}
						if n != images {
							b.Fatalf("%d images", n)
						}
					}
					b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
				})
			})
		}
	}
}
