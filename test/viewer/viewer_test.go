package viewer

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// device is the one that the tests fill.
const device = "5c173ff2"

// series uploads n photographs, one every 20 minutes from start on, and gives them.
func series(t testing.TB, c *spi.Client, device string, start time.Time, n int) []spi.Image {
	t.Helper()
	images := make([]spi.Image, n)
	for i := range images {
		at := start.Add(time.Duration(i) * 20 * time.Minute)
		image, err := c.PutImage(t.Context(), spi.FileOf(spitest.Name(device, at), spitest.JPEG(spitest.Photo{
			Generation: spitest.Second, Width: 640, Height: 480, Seed: uint64(i), Quality: 80, //nolint:gosec // small
		})))
		if err != nil {
			t.Fatal(err)
		}
		images[i] = image
	}
	return images
}

func name(i spi.Image) string {
	return i.Device + "." + spi.FormatDatetime(i.Datetime.Time, spi.DateV1)
}

var june = time.Date(2022, 6, 1, 0, 0, 0, 0, time.UTC)

const juneRange = "from=2022-06-01&to=2022-06-02"

func TestAWrongPasswordIsToldAndTheAddressStays(t *testing.T) {
	s := start(t)
	b := open(t, s, desktop)
	b.do(chromedp.Navigate(b.url+"/devices?"+juneRange), chromedp.WaitVisible(`input[name=username]`))
	b.typeLogIn(stack.AdminName, "not the password")
	b.waitFor(`document.querySelector('[role=alert]')?.innerText.includes('The user name or the password is wrong.')`)
	b.typeLogIn(stack.AdminName, stack.AdminPassword)
	b.do(chromedp.WaitVisible(`header.top`))
	if at := eval[string](b, `location.pathname + location.search`); at != "/devices?"+juneRange {
		t.Errorf("after the log-in one is at %s", at)
	}
	if stored := eval[string](b, `document.cookie + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})`); strings.Contains(stored, "session") || strings.Contains(stored, "token") {
		t.Errorf("a script can read %s", stored)
	}
	b.do(chromedp.Click(`button[aria-label="Log out"]`), chromedp.WaitVisible(`input[name=username]`))
	b.do(chromedp.Reload(), chromedp.WaitVisible(`input[name=username]`))
}

func TestTheDefaultRangeIsTheLastFourWeeks(t *testing.T) {
	s := start(t)
	c := client(t, s)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	series(t, c, device, today.Add(-27*24*time.Hour), 1)
	series(t, c, device, today.Add(-28*24*time.Hour), 1) // a day too old
	b := open(t, s, desktop)
	b.logIn("/", stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.count').innerText === '1 image in scope'`)
	got := eval[[]string](b, `[...document.querySelectorAll('.scope-bar input[type=date]')].map((i) => i.value)`)
	want := []string{today.Add(-27 * 24 * time.Hour).Format(time.DateOnly), today.Format(time.DateOnly)}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the range is %v, want %v", got, want)
	}
	b.quiet()
}

func TestHoverShowsTheVeryImageAndAClickOpensIt(t *testing.T) {
	s := start(t)
	c := client(t, s)
	images := series(t, c, device, june, 6)
	annotate(t, c, images[0], square(10, 10, 20), square(100, 100, 20), square(300, 100, 20))
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.panel .u-over') !== null`)
	x, y := b.pointAtImage() // from the left: the first one
	b.waitFor(`document.querySelector('.hover-card img')?.naturalWidth === 128`)
	card := eval[string](b, `document.querySelector('.hover-card').innerText`)
	first := images[0]
	for _, want := range []string{
		device, first.Datetime.Format(time.DateTime), fmt.Sprintf("%.1f °C", *first.Temp), fmt.Sprintf("%.1f %%", *first.Hum), "Insects\n3",
	} {
		if !strings.Contains(card, want) {
			t.Errorf("the card lacks %q: %q", want, card)
		}
	}
	b.do(chromedp.MouseClickXY(x, y))
	b.waitFor(`document.querySelector('.image-view .moved img')?.naturalWidth === 512`)
	if at := eval[string](b, `new URLSearchParams(location.search).get('image')`); at != name(first) {
		t.Errorf("the address names the image %s, want %s", at, name(first))
	}
	if n := b.asked("/v2/series"); n != 1 {
		t.Errorf("the series was asked for %d times", n)
	}
	b.quiet()
}

func TestTheImageIsWalkedByKeysAndPlays(t *testing.T) {
	s := start(t)
	images := series(t, client(t, s), device, june, 5)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange+"&image="+name(images[1]), stack.AdminName, stack.AdminPassword)
	shows := func(i int) {
		t.Helper()
		b.waitFor(`new URLSearchParams(location.search).get('image') === '` + name(images[i]) + `' && document.querySelector('.metadata code')?.innerText === '` +
			fmt.Sprint(images[i].ID) + `'`)
	}
	shows(1)
	b.waitFor(`!document.querySelector('button.neighbour[aria-label^="Next image"]').disabled`) // its neighbours are known
	if got := eval[[]string](b, `[...document.querySelectorAll('.neighbour')].map((e) => e.innerText.trim())`); !slices.Equal(got, []string{"20 min earlier", "20 min later"}) {
		t.Errorf("the images beside it are %q", got)
	}
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	shows(2)
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	shows(1)
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	shows(0)
	if !eval[bool](b, `document.querySelector('button.neighbour[aria-label^="Previous image"]').disabled`) {
		t.Error("there is something before the first image")
	}
	b.do(chromedp.Click(`button[aria-label="Play (space)"]`))
	shows(4) // it plays to the end
	b.waitFor(`document.querySelector('button[aria-label="Play (space)"]') !== null`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.waitFor(`document.querySelector('.image-view') === null && !location.search.includes('image=')`)
	b.quiet()
}

func TestContoursStandWhereTheDetectorPutThem(t *testing.T) {
	s := start(t)
	fillReal(t, s)
	b := open(t, s, desktop)
	b.logIn("/images?"+realRange+"&image="+realImage, stack.AdminName, stack.AdminPassword)
	b.waitFor(pictureShown)
	frame := eval[[4]float64](b, `(() => { const r = document.querySelector('.frame').getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()`)
	at := func(shot image.Image, x, y int) color.RGBA { // in pixels of the original
		px, py := int(frame[0]+float64(x)*frame[2]/2592), int(frame[1]+float64(y)*frame[3]/1944)
		for dx := -1; dx <= 1; dx++ { // the line is thin
			for dy := -1; dy <= 1; dy++ {
				if c, ok := shot.At(px+dx, py+dy).(color.RGBA); ok && blue(c) {
					return c
				}
			}
		}
		r, g, bl, _ := shot.At(px, py).RGBA()
		return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(bl >> 8), 255} //nolint:gosec // 8 bits
	}
	check := func(shown bool) {
		t.Helper()
		shot, err := png.Decode(bytes.NewReader(run(b, chromedp.CaptureScreenshot())))
		if err != nil {
			t.Fatal(err)
		}
		rgba := image.NewRGBA(shot.Bounds())
		for y := range rgba.Rect.Dy() {
			for x := range rgba.Rect.Dx() {
				rgba.Set(x, y, shot.At(x, y))
			}
		}
		// the squares of fillReal: edges are blue, insides are not
		for _, p := range [][2]int{{400, 400}, {600, 400}, {500, 300}, {500, 500}, {1200, 1050}, {1500, 1050}, {1350, 900}, {1350, 1200}} {
			if c := at(rgba, p[0], p[1]); blue(c) != shown {
				t.Errorf("at %v of the original there is %v; contours shown: %v", p, c, shown)
			}
		}
		for _, p := range [][2]int{{500, 400}, {1350, 1050}, {800, 400}, {300, 400}} {
			if c := at(rgba, p[0], p[1]); blue(c) {
				t.Errorf("at %v of the original, where nothing was found, there is %v", p, c)
			}
		}
	}
	check(true)
	b.do(chromedp.KeyEvent("c"))
	b.waitFor(`document.querySelector('.outlines') === null`)
	check(false)
	b.quiet()
}

func blue(c color.RGBA) bool { return c.B > 150 && c.R < 110 && c.G < 110 }

func TestAnOutlineIsPointedAtByMouseFingerKeysAndList(t *testing.T) {
	s := start(t)
	fillReal(t, s) // which finds two squares
	for _, size := range []viewport{phone, desktop} {
		b := open(t, s, size)
		b.logIn("/images?"+realRange+"&image="+realImage, stack.AdminName, stack.AdminPassword)
		b.waitFor(pictureShown)
		at := func(x, y int) (float64, float64) { // in pixels of the original
			t.Helper()
			p := eval[[2]float64](b, fmt.Sprintf(`(() => { const r = document.querySelector('.moved').getBoundingClientRect(); return [r.x + r.width * %d / 2592, r.y + r.height * %d / 1944] })()`, x, y))
			return p[0], p[1]
		}
		told := func(want string) { // beside the outline, which lies in sight
			t.Helper()
			b.waitFor(`(document.querySelector('.told-text')?.innerText ?? '') === '` + want + `' && document.querySelectorAll('.outlines .told').length === ` + map[bool]string{true: "0", false: "1"}[want == ""])
		}
		listed := func(want string) {
			t.Helper()
			b.waitFor(`document.querySelector('.image-controls select').selectedOptions[0].innerText === '` + want + `'`)
		}
		const first, second = `1: 200 × 200 px`, `2: 300 × 300 px`
		told("")
		listed("2 insects")
		x, y := at(500, 400)
		if size == phone {
			call(b, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchStart, TouchPoints: []*input.TouchPoint{{X: x, Y: y}}})
			call(b, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchEnd, TouchPoints: []*input.TouchPoint{}})
		} else {
			b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
			told(first)
			listed("2 insects") // it is not chosen yet
			b.do(chromedp.KeyEvent("nn"))
			listed(second)
			told(second) // though the pointer rests on the first
			nowhereX, nowhereY := at(2000, 1000)
			b.do(chromedp.MouseClickXY(nowhereX, nowhereY))
			told("")
			b.do(chromedp.MouseClickXY(x, y), chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, nowhereX, nowhereY))
		}
		told(first)
		listed(first)
		b.look("outline-told")
		b.do(chromedp.KeyEvent("n"))
		told(second)
		listed(second)
		b.do(chromedp.KeyEvent("n"))
		told(first)
		b.do(chromedp.KeyEvent("p"))
		told(second)
		b.do(chromedp.KeyEvent("n"))
		told(first)
		// closer, around the middle, where the first is not in sight; a key brings it there
		b.do(chromedp.KeyEvent("1"), chromedp.KeyEvent("++"))
		b.waitFor(`document.querySelector('.told-text') === null`)
		listed(first)
		b.do(chromedp.KeyEvent("p"), chromedp.KeyEvent("n"))
		told(first)
		b.waitFor(`(() => { const f = document.querySelector('.frame').getBoundingClientRect(), o = document.querySelector('.outlines .told').getBoundingClientRect(), x = o.x + o.width / 2, y = o.y + o.height / 2
			return x > f.left && x < f.right && y > f.top && y < f.bottom })()`)
		b.look("outline-told-closer")
		b.do(chromedp.KeyEvent("0"), chromedp.Focus(`.image-controls select`), chromedp.KeyEvent(kb.ArrowDown))
		told(second)
		if at := eval[string](b, `new URLSearchParams(location.search).get('image')`); at != realImage {
			t.Errorf("an arrow in the list went to the image %s", at)
		}
		b.press(`.image-controls button`, "Previous image")
		b.waitFor(`!location.search.includes('` + realImage + `') && document.querySelectorAll('.outlines path').length === 4`)
		told("")
		listed("2 insects")
		b.quiet()
	}
}

func TestAPhotographIsZoomedToItsPixelsAndNotFarBeyond(t *testing.T) {
	s := start(t)
	fillReal(t, s)
	for _, size := range []viewport{phone, desktop} {
		b := open(t, s, size)
		b.logIn("/images?"+realRange+"&image="+realImage, stack.AdminName, stack.AdminPassword)
		b.waitFor(pictureShown)
		const width = `document.querySelector('.moved').getBoundingClientRect().width`
		const zoom = `document.querySelector('.image-zoom output').innerText`
		const whole = `Math.abs(` + width + ` - document.querySelector('.frame').clientWidth) < 0.5`
		shows := func(percent int) {
			t.Helper()
			b.waitFor(fmt.Sprintf(`%s === '%d\u00a0%%' && Math.abs(%s - %d) < 2`, zoom, percent, width, 2592*percent/100))
		}
		b.waitFor(whole + ` && parseInt(` + zoom + `) === Math.round(100 * ` + width + ` / 2592)`)
		b.do(chromedp.KeyEvent("1"))
		shows(100)
		b.waitFor(`document.querySelector('.image-zoom [aria-pressed=true]') !== null`)
		b.do(chromedp.KeyEvent("+"))
		shows(150)
		b.look("zoom-150")
		b.do(chromedp.Evaluate[chromedp.Void](`(() => {
			const frame = document.querySelector('.frame'), r = frame.getBoundingClientRect()
			for (let i = 0; i < 20; i++) frame.dispatchEvent(new WheelEvent('wheel', { deltaY: -300, clientX: r.x + r.width / 3, clientY: r.y + r.height / 3, cancelable: true }))
		})()`))
		shows(800)
		b.look("zoom-800")
		b.do(chromedp.KeyEvent("-"))
		b.waitFor(zoom + ` === '533\u00a0%'`)
		b.press(`.image-zoom button`, "Zoom in")
		shows(800) // the button is off now, and the keys still work
		b.do(chromedp.KeyEvent("0"))
		b.waitFor(whole)
		b.press(`.image-zoom button`, "1:1")
		shows(100)
		b.press(`.image-zoom button`, "Whole image")
		b.waitFor(whole)
		b.do(chromedp.KeyEvent(kb.ArrowLeft))
		b.waitFor(`!location.search.includes('` + realImage + `')`)
		b.quiet()
	}
}

func TestADragZoomsAndTheAddressGivesTheSameView(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 20)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.panel .u-over') !== null`)
	r := eval[[4]float64](b, `(() => { const r = document.querySelector('.panel .u-over').getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()`)
	from, to, y := r[0]+r[2]/4, r[0]+r[2]/2, r[1]+r[3]/2
	b.do(
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, from, y),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, from, y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, (from+to)/2, y, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, to, y, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, to, y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
	)
	b.waitFor(`location.search.includes('zoom=')`)
	address := eval[string](b, `location.href`)
	zoom := strings.Split(must(url.Parse(address)).Query().Get("zoom"), "~")
	for i, want := range []time.Time{june.Add(12 * time.Hour), june.Add(24 * time.Hour)} { // a quarter and a half of two days
		got, _, err := spi.ParseDatetime(zoom[i])
		if err != nil || got.Sub(want).Abs() > 10*time.Minute {
			t.Errorf("zoom %v, want about %s", zoom, want)
		}
	}
	slider := func() string {
		return eval[string](b, `document.querySelector('.range-slider .middle').getAttribute('aria-valuetext')`)
	}
	before := slider()
	b.do(chromedp.Navigate(address))
	b.waitFor(`document.querySelector('.range-slider') !== null`)
	if after := slider(); after != before {
		t.Errorf("the address shows %q, and not %q", after, before)
	}
	b.do(chromedp.Click(`.zoom-buttons button:last-child`))
	b.waitFor(`!location.search.includes('zoom=')`)
	b.quiet()
}

func must(u *url.URL, err error) *url.URL {
	if err != nil {
		panic(err)
	}
	return u
}

func TestNewImagesAppearWithoutAReload(t *testing.T) {
	s := start(t)
	c := client(t, s)
	series(t, c, device, june, 2)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.count').innerText === '2 images in scope'`)
	b.waitFor(`performance.getEntriesByType('resource').length > 0`)
	eval[bool](b, `window.notReloaded = true`)
	series(t, c, "0a5bb6f4", june.Add(time.Hour), 1)
	b.waitFor(`document.querySelector('.count').innerText === '3 images in scope' && document.querySelectorAll('.panel').length === 2`)
	if !eval[bool](b, `window.notReloaded === true`) {
		t.Error("the page was loaded anew")
	}
	b.quiet()
}

func TestTheTableOfTheScopeIsDownloaded(t *testing.T) {
	s := start(t)
	c := client(t, s)
	images := series(t, c, device, june, 4)
	annotate(t, c, images[2], square(10, 10, 20))
	b := open(t, s, desktop)
	b.logIn("/data?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('a[href^="/data.csv?"]') !== null`)
	text := run(b, chromedp.Evaluate[string](`fetch('/data.csv.gz?start=2022-06-01&end=2022-06-02').then((r) => new Response(r.body.pipeThrough(new DecompressionStream('gzip'))).text())`, chromedp.EvalAwaitPromise))
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines:\n%s", len(lines), text)
	}
	want := fmt.Sprintf("%d,%s,%s,", images[2].ID, device, spi.FormatDatetime(images[2].Datetime.Time, spi.DateV2))
	column := slices.Index(strings.Split(lines[0], ","), "n_insects")
	if !strings.HasPrefix(lines[3], want) || strings.Split(lines[3], ",")[column] != "1" || strings.Split(lines[2], ",")[column] != "" {
		t.Errorf("lines %q and %q, want %s... with 1 insect, and one without", lines[3], lines[2], want)
	}
	plain := run(b, chromedp.Evaluate[string](`fetch(document.querySelector('a[href^="/data.csv?"]').href).then((r) => r.text())`, chromedp.EvalAwaitPromise))
	if first, _, _ := strings.Cut(plain, "\n"); first != lines[0] {
		t.Errorf("the plain table begins with %q, want %q", first, lines[0])
	}
}

func TestASessionOutlivesARestartAndEndsWithThePassword(t *testing.T) {
	s := start(t)
	c := client(t, s)
	no := false
	if _, err := c.PutUsers(t.Context(), spi.NewUser{Username: "ana", Password: "a password of ana", CanWrite: &no}); err != nil {
		t.Fatal(err)
	}
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, "ana", "a password of ana")
	pages := eval[[]string](b, `[...document.querySelectorAll('nav a')].map((a) => a.innerText)`)
	if strings.Contains(fmt.Sprint(pages), "Users") || !strings.Contains(fmt.Sprint(pages), "Devices") {
		t.Errorf("who may only read sees the pages %v", pages)
	}

	s.Stop(syscall.SIGTERM)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Reload(), chromedp.WaitVisible(`header.top`))

	if _, err := client(t, s).ResetPassword(t.Context(), "ana", "another password"); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Click(`button[aria-label="Refresh"]`), chromedp.WaitVisible(`input[name=username]`))
	b.waitFor(`document.querySelector('.log-in').innerText.includes('Your session is over')`)
	b.typeLogIn("ana", "another password")
	b.do(chromedp.WaitVisible(`header.top`))
	if at := eval[string](b, `location.pathname + location.search`); at != "/images?"+juneRange {
		t.Errorf("after the log-in one is at %s", at)
	}
}

func TestALongTableIsLoadedAsItIsScrolled(t *testing.T) {
	s := start(t)
	c := client(t, s)
	series(t, c, device, june, 70)
	last := series(t, c, "f00df00d", june.Add(24*time.Hour), 70)[69]
	b := open(t, s, desktop)
	b.logIn("/data?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('.data-table a').length >= 20`)
	if n := eval[int](b, `Number(document.querySelector('.data-table table').getAttribute('aria-rowcount'))`); n != 141 {
		t.Errorf("%d rows, want 140 and the head", n)
	}
	before := b.asked("/get_image_series/")
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('.data-table').scrollTo(0, 1e6)`))
	b.waitFor(`[...document.querySelectorAll('.data-table tbody tr:not(.space)')].at(-1).innerText.includes('` + last.MD5 + `')`)
	if after := b.asked("/get_image_series/"); before != 1 || after != 2 {
		t.Errorf("%d requests for the beginning, %d in all: want one for each day in sight", before, after)
	}
	b.do(chromedp.Click(`.data-table tbody tr:last-child a`))
	b.waitFor(`location.search.includes('image=` + name(last) + `') && document.querySelector('.image-view') !== null`)
	b.quiet()
}

func TestAPhotographIsSavedUnderItsName(t *testing.T) {
	s := start(t)
	fillReal(t, s)
	b := open(t, s, desktop)
	folder := t.TempDir()
	call(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder})
	b.logIn("/images?"+realRange+"&image="+realImage, stack.AdminName, stack.AdminPassword)
	b.press(`.image-controls a`, `Save`)
	file := filepath.Join(folder, realImage+".jpg")
	original, err := os.ReadFile(filepath.Join(stack.SharedData(t, "raw_images"), realImage+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for {
		saved, err := os.ReadFile(file)
		if bytes.Equal(saved, original) {
			break
		}
		select {
		case <-b.ctx.Done():
			t.Fatalf("the photograph is not saved: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if !eval[bool](b, `document.querySelector('.image-view') !== null`) {
		t.Error("the page was left")
	}
	b.look("image-saved")
	b.quiet()
}

func TestAQuestionMarkTellsTheKeysWhereverOneIsButInAField(t *testing.T) {
	s := start(t)
	fillReal(t, s)
	for _, size := range []viewport{desktop, phone} {
		b := open(t, s, size)
		b.logIn("/devices?"+realRange, stack.AdminName, stack.AdminPassword)
		b.do(chromedp.WaitVisible(`.filters input[type=search]`))
		b.do(chromedp.SendKeys(`.filters input[type=search]`, "?"))
		b.waitFor(`location.search.includes('find=')`)
		if eval[bool](b, `document.querySelector('dialog') !== null`) {
			t.Error("what is typed into a field opens the keys")
		}
		b.do(chromedp.Navigate(b.url + "/images?" + realRange + "&image=" + realImage))
		b.waitFor(pictureShown)
		b.do(chromedp.KeyEvent("?"))
		b.waitFor(`document.querySelector('dialog.help')?.innerText.includes('Page Up, Page Down')`)
		b.look("help")
		b.do(chromedp.KeyEvent(kb.Escape))
		b.waitFor(`document.querySelector('dialog.help') === null && document.querySelector('.image-view') !== null`)
		b.look("outlines")
		b.do(chromedp.KeyEvent(kb.Escape))
		b.waitFor(`document.querySelector('.image-view') === null`)
		if size == phone {
			b.press(`.top button`, `Menu`)
			b.press(`nav button`, `Keys and numbers`)
		} else {
			b.press(`.top button`, `Keys and numbers`)
		}
		b.waitFor(`document.querySelector('dialog.help') !== null`)
		b.quiet()
	}
}
