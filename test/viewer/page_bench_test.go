package viewer

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	_ "modernc.org/sqlite" // local mode's database

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// fillDevices puts n images of 50 devices, one every 20 minutes, and an annotation each into local mode's database, behind the
// API's back. Their values are as random as no weather is, so that lines are as jagged and replies as large as can be. It
// gives the last day.
func fillDevices(b *testing.B, s *stack.Stack, n int) (last time.Time) {
	b.Helper()
	const devices, batch = 50, 50_000
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Data, "sticky-pi.db")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const random = "(ABS(RANDOM() % 1000000) / 1000000.0)"
	for at := 0; at < n; at += batch {
		for _, query := range []string{
			`INSERT INTO images (id, device, datetime, md5, width, height, alt, lat, lng, temp, hum, no_flash_bv, no_flash_exposure_time, datetime_created, api_version, api_user)
				WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
				SELECT i + 1, printf('%08x', 4096 * (i % ` + fmt.Sprint(devices) + ` + 1)), ?3 + i / ` + fmt.Sprint(devices) + ` * 1200, '9e6e908d9c29d332b511f8d5121857f8', 2592, 1944, 97.3, 49.26142, -123.25088,
					ROUND(8 + 24 * ` + random + `, 1), ROUND(30 + 70 * ` + random + `, 1), ROUND(3 * ` + random + `, 2), ROUND(0.005 + 0.12 * ` + random + `, 6), ?3 + i / ` + fmt.Sprint(devices) + ` * 1200, '3.0.0', 'admin' FROM n`,
			`INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created, api_version, api_user)
				SELECT id, '` + spi.DetectorAlgorithm + `', '1598113346-ad2cd78dfaca12821046dfb8994724d5', FLOOR(40 * ` + random + `), '{}', ?3, '3.0.0', 'spi_uid' FROM images WHERE id > ?1 AND id <= ?2`,
		} {
			if _, err := db.ExecContext(b.Context(), query, at, min(n, at+batch), firstDay.Unix()); err != nil {
				b.Fatal(err)
			}
		}
	}
	return firstDay.Add(time.Duration((n-1)/devices) * 20 * time.Minute).Truncate(24 * time.Hour)
}

var firstDay = time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)

// opened is what a page tells of its own loading, in milliseconds since it was asked for, and bytes.
type opened struct{ Asked, There, Drawn, Sent float64 }

// BenchmarkImagesPage opens the page of many images, and moves through them. Times beside the CPU's are the wall's.
func BenchmarkImagesPage(b *testing.B) {
	for _, images := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(images), func(b *testing.B) {
			s := start(b)
			last := fillDevices(b, s, images)
			t := open(b, s, desktop)
			call(t, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
			call(t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
				new MutationObserver((_, o) => { if (document.querySelector('.panel .u-over')) { o.disconnect(); requestAnimationFrame(() => setTimeout(() => { window.drawnAt = performance.now() })) } })
					.observe(document, { subtree: true, childList: true })`})
			address := "/images?from=" + firstDay.Format(time.DateOnly) + "&to=" + last.Format(time.DateOnly)
			began := time.Now()
			// which works the days out
			for c, tries := client(b, s), 0; ; tries++ {
				_, err := spi.Collect(c.GetPlot(b.Context(), spi.PlotRequest{
					Start: spi.Datetime{Time: firstDay}, End: spi.Datetime{Time: last.Add(24 * time.Hour)}, Variables: []spi.Variable{spi.Temperature},
				}))
				if err == nil {
					break
				}
				if tries == 20 {
					b.Fatal(err)
				}
			}
			b.Logf("the first series: %v", time.Since(began).Round(time.Millisecond))
			t.logIn("/users", stack.AdminName, stack.AdminPassword)

			b.Run("open", func(b *testing.B) {
				t.TB = b
				var sum opened
				var cpu, heap float64
				n := 0.0
				for b.Loop() {
					t.do(chromedp.Navigate(t.url + address))
					t.waitFor(`window.drawnAt > 0 && document.querySelector('main .busy') === null`)
					o := eval[opened](t, `(() => { const r = performance.getEntriesByType('resource').find((r) => r.name.endsWith('/v2/series'));
						return { Asked: r.startTime, There: r.responseEnd, Drawn: window.drawnAt, Sent: r.encodedBodySize } })()`)
					sum = opened{sum.Asked + o.Asked, sum.There + o.There, sum.Drawn + o.Drawn, sum.Sent + o.Sent}
					cpu += t.metric("TaskDuration") * 1000 // of this page alone: it begins with the document
					call(t, heapprofiler.CollectGarbage, cdp.Empty{})
					heap += t.metric("JSHeapUsedSize")
					n++
				}
				b.ReportMetric(sum.Asked/n, "asked-ms")
				b.ReportMetric(sum.There/n, "there-ms")
				b.ReportMetric(sum.Drawn/n, "drawn-ms")
				b.ReportMetric(sum.Sent/n/1e6, "sent-MB")
				b.ReportMetric(cpu/n, "main-cpu-ms")
				b.ReportMetric(heap/n/1e6, "heap-MB")
			})
			for _, window := range []struct {
				name   string
				length time.Duration
			}{{"half", last.Sub(firstDay) / 2}, {"day", 24 * time.Hour}} {
				b.Run("pan/"+window.name, func(b *testing.B) {
					t.TB = b
					middle := firstDay.Add(last.Sub(firstDay) / 2)
					t.do(chromedp.Navigate(t.url + address + "&zoom=" + spi.FormatDatetime(middle.Add(-window.length/2), spi.DateV1) + "~" + spi.FormatDatetime(middle.Add(window.length/2), spi.DateV1)))
					t.waitFor(`window.drawnAt > 0 && document.querySelector('main .busy') === null`)
					t.do(chromedp.Sleep(2 * time.Second)) // what is zoomed in on is asked for more finely, where there is more
					var cpu float64
					var frames []float64
					for b.Loop() {
						before := t.metric("TaskDuration")
						frames = append(frames, run(t, chromedp.Evaluate[[]float64](panning, chromedp.EvalAwaitPromise))...)
						cpu += t.metric("TaskDuration") - before
					}
					b.ReportMetric(cpu*1000/float64(len(frames)), "main-cpu-ms/frame")
					slices.Sort(frames)
					b.ReportMetric(frames[len(frames)/2], "frame-ms")
					b.ReportMetric(frames[len(frames)*95/100], "slow-frame-ms")
				})
			}
			t.TB = b
			t.quiet()
		})
	}
}

// panning moves the charts by some pixels with every frame, there and back, and gives the time from frame to frame, in
// milliseconds: of 240 frames, or of ten seconds.
const panning = `new Promise((done) => {
	const chart = document.querySelector('.panel .u-over'), frames = [], begun = performance.now()
	let last = 0
	requestAnimationFrame(function step(now) {
		if (last) frames.push(now - last)
		last = now
		if (frames.length === 240 || now - begun > 10000) return done(frames)
		chart.dispatchEvent(new WheelEvent('wheel', { shiftKey: true, deltaY: frames.length % 80 < 40 ? 5 : -5, bubbles: true, cancelable: true }))
		requestAnimationFrame(step)
	})
})`

// metric is one of the browser's own figures about the page.
func (b *tab) metric(name string) float64 {
	b.Helper()
	for _, m := range call(b, performance.GetMetrics, cdp.Empty{}).Metrics {
		if m.Name == name {
			return m.Value
		}
	}
	b.Fatalf("the browser has no figure %s", name)
	return 0
}
