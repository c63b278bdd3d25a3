package viewer

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// clickInto clicks on the first part of what the selector finds, as one does before typing.
func (b *tab) clickInto(selector string) {
	b.Helper()
	p := eval[[2]float64](b, `(() => { const r = document.querySelector(`+"`"+selector+"`"+`).getBoundingClientRect(); return [r.x + 14, r.y + r.height / 2] })()`)
	b.do(chromedp.MouseClickXY(p[0], p[1]))
}

func TestADateIsTypedWithoutBeingTakenHalfway(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 2)
	b := open(t, s, desktop)
	b.logIn("/images", stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('main .empty') !== null`)
	const from, to = `.scope-bar label:nth-of-type(1) input`, `.scope-bar label:nth-of-type(2) input`
	b.clickInto(from)
	for _, key := range "0601202" {
		b.do(chromedp.KeyEvent(string(key)))
		if at := eval[string](b, `location.search`); at != "" {
			t.Fatalf("after the key %c the address says %s", key, at)
		}
	}
	b.do(chromedp.KeyEvent("2"))
	b.waitFor(`location.search.startsWith('?from=2022-06-01&to=')`)
	b.clickInto(to)
	b.do(chromedp.KeyEvent("06022022"))
	b.waitFor(`location.search === '?` + juneRange + `' && document.querySelector('.panel .u-over') !== null`)

	// the month alone, and Enter
	b.clickInto(from)
	b.do(chromedp.KeyEvent("05"), chromedp.KeyEvent(kb.Enter))
	b.waitFor(`location.search.startsWith('?from=2022-05-01&')`)
	// what cannot be is said, and nothing is taken
	b.clickInto(from)
	b.do(chromedp.KeyEvent("07"), chromedp.KeyEvent(kb.Enter))
	b.waitFor(`document.querySelector('.notice')?.innerText === 'From is after To.'`)
	b.clickInto(from)
	b.do(chromedp.KeyEvent("06011999"), chromedp.KeyEvent(kb.Enter))
	b.waitFor(`document.querySelector('.notice')?.innerText === 'There are no images from before 2019.'`)
	if at := eval[string](b, `location.search`); !strings.HasPrefix(at, "?from=2022-05-01&to=2022-06-02") {
		t.Errorf("the address says %s", at)
	}
	b.clickInto(from)
	b.do(chromedp.KeyEvent("06012022"))
	b.waitFor(`document.querySelector('.notice') === null && location.search === '?` + juneRange + `'`)
	b.quiet()
}

func TestWhereThereAreNoImagesThePageLeadsToThem(t *testing.T) {
	s := start(t)
	c := client(t, s)
	series(t, c, device, june, 2)
	series(t, c, "0a5bb6f4", june.Add(-90*24*time.Hour), 1)
	b := open(t, s, desktop)
	b.logIn("/", stack.AdminName, stack.AdminPassword)
	for _, page := range []string{"/images", "/data"} {
		b.do(chromedp.Navigate(b.url + page))
		b.waitFor(`document.querySelector('main .empty')?.innerText.includes('The newest of 2 devices is of 2022-06-01.')`)
		b.press(`main .empty button`, `Show the 28 days`)
		b.waitFor(`location.search === '?from=2022-05-05&to=2022-06-01' && ` + countIs(2))
	}
	b.do(chromedp.Navigate(b.url + "/images"))
	b.press(`main .empty button`, `Show all images`)
	b.waitFor(`location.search === '?from=2022-03-03&to=2022-06-01' && ` + countIs(3))
	b.do(chromedp.SetValue(`.scope-bar select`, "week"))
	eval[bool](b, `document.querySelector('.scope-bar select').dispatchEvent(new Event('change', {bubbles: true}))`)
	b.waitFor(countIs(0))

	b.do(chromedp.Navigate(b.url + "/images?" + juneRange + "&devices=ffffffff"))
	b.waitFor(`document.querySelector('.notice')?.innerText.includes('ffffffff is not known here.')`)
	b.press(`.notice button`, `All devices`)
	b.waitFor(countIs(2) + ` && document.querySelector('.notice') === null`)
	b.do(chromedp.Navigate(b.url + "/images?from=banana"))
	b.waitFor(`document.querySelector('.notice')?.innerText.includes('cannot be read')`)
	b.do(chromedp.Navigate(b.url + "/images?from=2022-06-02&to=2022-06-01"))
	b.waitFor(countIs(2))
	b.quiet()
}

// TestAllImagesOfManyDevicesAreLookedForInPartsThatOneMayStop has more devices than one request of ten years may have.
func TestAllImagesOfManyDevicesAreLookedForInPartsThatOneMayStop(t *testing.T) {
	const devices, atOnce = 140, 136
	_, c, w, b := openRemote(t, "/data?"+juneRange, 1)
	var uploads errgroup.Group
	uploads.SetLimit(4)
	for n := range devices - 1 {
		uploads.Go(func() error {
			photo := spitest.Photo{Generation: spitest.Second, Width: 64, Height: 48, Seed: uint64(n), Quality: 70} //nolint:gosec // small
			_, err := c.PutImage(t.Context(), spi.FileOf(spitest.Name(fmt.Sprintf("%08x", n), june.AddDate(0, 0, -n)), spitest.JPEG(photo)))
			return err
		})
	}
	if err := uploads.Wait(); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Click(`button[aria-label="Refresh"]`))
	b.waitFor(countIs(2)) // of the two days
	all := func() {
		t.Helper()
		eval[bool](b, `(() => { const s = document.querySelector('.scope-bar select'); s.value = 'all'; return s.dispatchEvent(new Event('change', {bubbles: true})) })()`)
	}
	release := sync.OnceFunc(w.hold())
	defer release() // or the wire would wait for what it holds
	all()
	b.waitFor(`[...document.querySelectorAll('.scope-bar button')].some((e) => e.innerText.includes('Stop'))`)
	b.look("finding")
	b.press(`.scope-bar button`, `Stop looking (0 of `)
	b.waitFor(`!document.querySelector('.scope-bar select').disabled && ![...document.querySelectorAll('.scope-bar button')].some((e) => e.innerText.includes('Stop'))`)
	release()
	if at := eval[string](b, `location.search`); at != "?"+juneRange {
		t.Errorf("who stopped is taken to %s", at)
	}
	before := b.asked("v2/devices")
	all()
	b.waitFor(countIs(devices) + ` && location.search.includes('from=` + june.AddDate(0, 0, 2-devices).Format(time.DateOnly) + `&to=2022-06-01')`)
	// one for the names, some for ten years, and one for the range that was found
	if n, want := b.asked("v2/devices")-before, 1+(devices+atOnce-1)/atOnce+1; n < want {
		t.Errorf("%d requests, want %d at least", n, want)
	}
	b.quiet()
}

func TestWhatIsBeingChosenOnAChartIsShaded(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 20)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.panel .u-over') !== null`)
	r := eval[[4]float64](b, `(() => { const r = document.querySelector('.panel .u-over').getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()`)
	y := r[1] + r[3]/2
	b.do(
		chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, r[0]+100, y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, r[0]+200, y, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, r[0]+300, y, chromedp.ButtonLeft),
	)
	const shade = `(() => { const r = document.querySelector('.panel .band').getBoundingClientRect(); return [r.x, r.width, r.height] })()`
	if got := eval[[3]float64](b, shade); got != [3]float64{r[0] + 100, 200, r[3]} {
		t.Errorf("shaded are %v; the chart is at %v", got, r)
	}
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, r[0]+300, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	b.waitFor(`location.search.includes('zoom=') && document.querySelector('.panel .band').getBoundingClientRect().width === 0`)
	b.quiet()
}

func TestTheSpaceBarPlaysAnImageThatWasOpenedByItsAddress(t *testing.T) {
	s := start(t)
	images := series(t, client(t, s), device, june, 3)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange+"&image="+name(images[0]), stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.metadata') !== null && !document.querySelector('button.neighbour[aria-label^="Next image"]').disabled`)
	b.do(chromedp.KeyEvent(" "))
	b.waitFor(`location.search.includes('image=` + name(images[2]) + `') && document.querySelector('.image-view') !== null`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.waitFor(`document.querySelector('.image-view') === null`)
	b.quiet()
}

func TestWhatArrivesDoesNotEndALoadInFlight(t *testing.T) {
	s := start(t)
	c := client(t, s)
	series(t, c, device, june, 2)
	for newer, page := range []string{"images", "devices"} { // and how many images there are of the last four weeks
		b := open(t, s, desktop)
		b.logIn("/"+page+"?from=2022-05-01&to=2022-05-02", stack.AdminName, stack.AdminPassword)
		b.waitFor(`document.querySelector('.live.on') && document.querySelector('main .empty, .devices tbody tr')`)
		// from now on a series is answered when the test says so
		b.do(chromedp.Evaluate[chromedp.Void](`(() => {
			const ask = fetch
			window.held = []
			window.fetch = (path, options) => path.includes('v2/series') ? new Promise((done) => held.push({ signal: options.signal, answer: () => done(ask(path, options)) })) : ask(path, options)
		})()`))
		b.press(`.scope-bar button`, `Last 28 days`)
		b.waitFor(`held.length > 0 && ` + countIs(newer))
		n := eval[int](b, `held.length`)
		series(t, c, device, time.Now().UTC().Truncate(20*time.Minute).Add(-time.Duration(len(page))*time.Hour), 1)
		b.waitFor(countIs(newer + 1))
		if got, ended := eval[int](b, `held.length`), eval[bool](b, `held.some((h) => h.signal.aborted)`); got != n || ended {
			t.Errorf("%s: after %d requests for the series an image came, then there were %d; one was ended: %v", page, n, got, ended)
		}
		b.do(chromedp.Evaluate[chromedp.Void](`held.forEach((h) => h.answer())`))
		b.waitFor(fmt.Sprintf(`held.length === %d`, 2*n))
		b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`held.slice(%d).forEach((h) => h.answer())`, n)))
		b.waitFor(`document.querySelector('.panel, .morning:not(.waiting)')`)
		if got := eval[int](b, `held.length`); got != 2*n {
			t.Errorf("%s: the series is asked for %d times, want %d", page, got, 2*n)
		}
		b.quiet()
	}
}

func TestAPartThatComesLateIsNotDrawnForOtherDevices(t *testing.T) {
	s := start(t)
	c := client(t, s)
	const other = "5c173ff3"
	series(t, c, device, june, 72)
	series(t, c, other, june, 72)
	b := open(t, s, desktop)
	b.logIn("/images?from=2022-05-25&to=2022-06-07", stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('.panel').length === 2`)
	// from now on the whole of the one device is said to be thinned, so that a part of it is asked for, which is answered when the test says so
	b.do(chromedp.Evaluate[chromedp.Void](`(() => {
		const ask = fetch
		window.held = []
		window.fetch = async (path, options) => {
			if (!path.includes('v2/series')) return ask(path, options)
			const { devices, start } = JSON.parse(options.body)
			const part = !start.startsWith('2022-05-25')
			if (part) await new Promise((done) => held.push({ signal: options.signal, answer: done }))
			const series = await (await ask(path, options)).json()
			if (!part && devices[0] === '` + device + `') for (const s of series) s.images++
			return Response.json(series)
		}
	})()`))
	choose := func(device string) {
		t.Helper()
		b.do(chromedp.Evaluate[chromedp.Void](`(() => {
			const to = new URL(location.href)
			to.searchParams.set('devices', '` + device + `')
			to.searchParams.set('zoom', '2022-06-01_00-00-00~2022-06-02_00-00-00')
			history.pushState(null, '', to)
			dispatchEvent(new PopStateEvent('popstate'))
		})()`))
	}
	choose(device)
	b.waitFor(`held.length === 1`)
	choose(other)
	b.waitFor(`document.querySelector('.panel').innerText.includes('` + other + `')`)
	if !eval[bool](b, `held[0].signal.aborted`) {
		t.Error("the chart of another device is shown, and a part of the first is still waited for, which would take its place")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`held[0].answer()`))
	b.quiet()
}
