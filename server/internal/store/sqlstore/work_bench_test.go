package sqlstore_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
)

// perOp runs fn as a benchmark and reports the CPU time of this process.
func perOp(b *testing.B, fn func()) {
	b.Helper()
	fn()
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		fn()
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

// BenchmarkLease asks for work over tables of growing size.
func BenchmarkLease(b *testing.B) {
	const devices = 50
	for name, open := range implementations {
		for _, size := range []int{10_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				if size > 100_000 && testing.Short() {
					b.Skip("fills a large table; run without -short")
				}
				s := open(b)
				fillImages(b, s, devices, size/devices)
				annotateAll(b, s, uidVersion, "{}", size+1)
				w := newWorker(b, s)
				r := uidRequest(w, uidVersion)
				began := time.Now()
				for calls := 1; ; calls++ {
					if n := len(leaseImages(b, s, r)); n != 0 {
						b.Fatalf("%d images leased, and all are annotated", n)
					}
					backlog, err := s.Backlog(context.Background(), "uid", workNow)
					if err != nil || len(backlog) != 1 || backlog[0].Waiting != 0 {
						b.Fatalf("backlog %+v, %v", backlog, err)
					}
					if calls > size/100_000+1 { // all are entered
						break
					}
				}
				b.Logf("finding that all are annotated: %v", time.Since(began))
				narrow := r
				narrow.Series = []store.Series{{Device: benchDevice(7), Start: benchStart, End: allImages.End}, {Device: "5c17%", Start: benchStart, End: benchStart.AddDate(0, 0, 7)}}
				b.Run("Idle", func(b *testing.B) { perOp(b, func() { leaseImages(b, s, r) }) })
				b.Run("IdleOfSomeDevices", func(b *testing.B) { perOp(b, func() { leaseImages(b, s, narrow) }) })

				// All wait for a later version.
				later := func(r store.LeaseRequest) store.LeaseRequest { r.AlgoVersion = "1700000000-x"; return r }
				began = time.Now()
				if n := len(leaseImages(b, s, later(r))); n != 64 {
					b.Fatalf("%d images leased", n)
				}
				b.Logf("the first lease of a later version: %v", time.Since(began))
				began = time.Now()
				backlog, err := s.Backlog(context.Background(), "uid", workNow)
				if err != nil || backlog[0].Waiting != int64(size-64) {
					b.Fatalf("backlog %+v, %v", backlog, err)
				}
				b.Logf("the backlog, most of which is not entered: %v", time.Since(began))
				for _, c := range []struct {
					name    string
					request store.LeaseRequest
				}{{"AllDevices", later(r)}, {"SomeDevices", later(narrow)}} {
					b.Run("64/"+c.name, func(b *testing.B) {
						perOp(b, func() {
							images := leaseImages(b, s, c.request)
							if len(images) != 64 {
								b.Skipf("%d images are left", len(images))
							}
						})
					})
				}
				for range size/100_000 + 1 { // all are entered
					leaseImages(b, s, r)
				}
				began = time.Now()
				if backlog, err = s.Backlog(context.Background(), "uid", workNow); err != nil || backlog[0].Waiting < int64(size)*9/10 {
					b.Fatalf("backlog %+v, %v", backlog, err)
				}
				b.Logf("the backlog, all of which is entered: %v", time.Since(began))
				b.Run("IdleOfTheOldVersion", func(b *testing.B) { perOp(b, func() { leaseImages(b, s, r) }) })
			})
		}
	}
}

// BenchmarkLeaseBesideAnotherQueue asks for the work of devices, by a pattern, of which there is none, beside an algorithm that
// nobody runs any more and that has much.
func BenchmarkLeaseBesideAnotherQueue(b *testing.B) {
	const devices = 50
	for name, open := range implementations {
		for _, size := range []int{10_000, 500_000} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				if size > 100_000 && testing.Short() {
					b.Skip("fills a large table; run without -short")
				}
				s := open(b)
				r := uidRequest(newWorker(b, s), uidVersion)
				leaseImages(b, s, r) // the algorithm is known before there are images
				fillImages(b, s, devices, size/devices)
				mustExec(b, writer(s), "INSERT INTO uid_intents (image_id, algorithm_id, device, datetime, best_time) SELECT id, 1000, device, datetime, -1 FROM images")
				waiting := storetest.Put(b, s, storetest.Image("ffffffff", benchStart)) // else nothing is looked for
				r.Series = []store.Series{{Device: "5c17%", Start: allImages.Start, End: allImages.End}}
				perOp(b, func() {
					if n := len(leaseImages(b, s, r)); n != 0 {
						b.Fatalf("%d images leased, and %s alone has one", n, waiting.Device)
					}
				})
			})
		}
	}
}

// BenchmarkAnswer stores annotations of leased images, one a call.
func BenchmarkAnswer(b *testing.B) {
	for name, open := range implementations {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			fillImages(b, s, 50, 1000)
			r := uidRequest(newWorker(b, s), uidVersion)
			var leased []store.Image
			perOp(b, func() {
				if len(leased) == 0 {
					if leased = leaseImages(b, s, r); len(leased) == 0 {
						b.Fatal("no images are left")
					}
				}
				n := storetest.Annotation(leased[0], "uid", uidVersion)
				leased = leased[1:]
				if _, err := s.AddAnnotations(context.Background(), []store.NewAnnotation{n}); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkAnnotations reads annotations as the two queries do. MB is the greatest heap in use meanwhile.
func BenchmarkAnnotations(b *testing.B) {
	const devices = 50
	for name, open := range implementations {
		for size, each := range map[int]int{400: 2000, 30_000: 200} {
			b.Run(fmt.Sprintf("%s/JSONOf%d", name, size), func(b *testing.B) {
				if size > 1000 && testing.Short() {
					b.Skip("fills a large table; run without -short")
				}
				s := open(b)
				fillImages(b, s, devices, each)
				annotateAll(b, s, uidVersion, strings.Repeat("7", size), devices*each+1)
				rows := func(n int) []store.Series {
					return []store.Series{{Device: "%", Start: benchStart, End: benchStart.Add(time.Duration(n/devices) * 20 * time.Minute)}}
				}
				var keys []store.ImageKey
				for i := range 1000 {
					keys = append(keys, store.ImageKey{Device: benchDevice(i % devices), Datetime: benchStart.Add(time.Duration(i/devices) * 20 * time.Minute)})
				}
				for _, what := range []string{"Metadata", "JSON"} {
					read := func(want int, query func(fn func(*store.Annotation) error) error) func(*testing.B) {
						return func(b *testing.B) {
							peak := uint64(0)
							perOp(b, func() {
								n := 0
								err := query(func(a *store.Annotation) error {
									if n++; n%1000 == 0 {
										var m runtime.MemStats
										runtime.ReadMemStats(&m)
										peak = max(peak, m.HeapInuse)
									}
									if len(a.JSON) != map[string]int{"JSON": size}[what] {
										return fmt.Errorf("%d bytes of JSON", len(a.JSON))
									}
									return nil
								})
								if err != nil || n != want {
									b.Fatalf("%d annotations, %v; want %d", n, err, want)
								}
							})
							b.ReportMetric(float64(peak)/1e6, "MB")
						}
					}
					with := what == "JSON"
					for n := 10_000; n <= devices*each; n *= 10 {
						b.Run(fmt.Sprintf("Series/%d/%s", n, what), read(n, func(fn func(*store.Annotation) error) error {
							return s.AnnotationSeries(context.Background(), rows(n), with, fn)
						}))
					}
					b.Run("Keys/1000/"+what, read(1000, func(fn func(*store.Annotation) error) error {
						return s.ImageAnnotations(context.Background(), keys, with, fn)
					}))
				}
			})
		}
	}
}
