package viewer

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

var (
	screenshots = flag.String("screenshots", "", "the folder that TestScreenshots writes pictures of every page to")
	running     = flag.String("viewer", "", "the address of a running demonstration, to take the pictures of docs/screenshots of it; its admin's password is VIEWER_PASSWORD")
	only        = flag.String("only", "", "the name of the one page to take")
)

// scenes are what there is to look at: an address, and what has to be there before the picture is taken.
var scenes = []struct {
	name, path, ready string
	then              func(b *tab)
}{
	{"images", "/images?{range}", `document.querySelectorAll('.panel .u-over').length > 0`, nil},
	{"compare", "/images?{range}&compare=temperature", `document.querySelector('.compare .u-over')`, nil},
	{"compare-insects", "/images?{range}&compare=insects", `document.querySelector('.compare .u-over')`, nil},
	{"images-hover", "/images?{range}", `document.querySelectorAll('.panel .u-over').length > 0`, func(b *tab) {
		b.pointAtImage()
		b.waitFor(`document.querySelector('.hover-card img')?.complete`)
	}},
	{"image", "/images?{range}&image={image}", pictureShown, nil},
	{"image-full", "/images?{range}&image={image}", pictureShown, func(b *tab) {
		b.do(chromedp.KeyEvent("1"))
		b.waitFor(`document.querySelectorAll('.moved img').length === 2 && document.querySelector('.stage-note') === null`)
	}},
	{"devices", "/devices", `document.querySelector('.devices tbody tr') && document.querySelector('.morning li')`, nil},
	{"nights", "/devices?nights=" + beside, `document.querySelector('.nights tbody tr')`, nil},
	{"devices-map", "/devices?as=map", `document.querySelector('.cluster') && document.querySelector('.morning li')`, func(b *tab) {
		b.press(`.cluster .touch`, ``)
		b.waitFor(`document.querySelector('.map-chosen')`)
	}},
	{"data", "/data?{range}", `document.querySelectorAll(".data-table a").length > 0 && document.querySelectorAll(".data-table a").length === document.querySelectorAll(".data-table tbody tr").length`, nil},
	{"tuboids", "/tuboids?" + tuboidRange, `document.querySelector('a.tuboid img')?.naturalWidth > 0 && !document.querySelector('main').innerText.includes('…')`, nil},
	{"tuboid", "/tuboids?" + tuboidRange + "&tuboid=" + realTuboid + "&shot=3", `document.querySelector('.card .here') && document.querySelector('.facts table')`, nil},
	{"help", "/data?{range}", `document.querySelectorAll('.data-table a').length > 0`, func(b *tab) {
		b.do(chromedp.KeyEvent("?"))
		b.waitFor(`document.querySelector('dialog.help')`)
	}},
	{"experiments", "/experiments", `document.querySelector('.projects')`, nil},
	{"experiment", "/experiments?project=1", `document.querySelector('.table-box') && document.querySelector('.members li')`, nil},
	{"experiment-add", "/experiments?project=1", `document.querySelector('.table-box') && document.querySelector('.members li')`, func(b *tab) {
		b.press(`main button`, `Add a series`)
		b.waitFor(`document.querySelector('dialog')`)
	}},
	{"users", "/users", `document.querySelector('.users')`, nil},
	{"users-add", "/users", `document.querySelector('.users')`, func(b *tab) {
		b.do(chromedp.Click(`.page-head .primary`))
		b.waitFor(`document.querySelector('dialog')`)
	}},
	{"users-delete", "/users", `document.querySelector('.users')`, func(b *tab) {
		b.do(chromedp.Click(`button[aria-label="Delete reader"]`))
		b.waitFor(`document.querySelector('dialog')`)
	}},
}

const pictureShown = `document.querySelector('.moved img')?.naturalWidth > 0 && document.querySelector('.metadata') && document.querySelectorAll('.outlines path').length > 0`

// TestScreenshots is for people: `sh deploy.sh screenshots DIR` takes pictures of every page, dark and light, large and small.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("pictures are for people to look at: 'sh deploy.sh screenshots DIR' takes them")
	}
	if err := os.MkdirAll(*screenshots, 0o750); err != nil {
		t.Fatal(err)
	}
	if *running != "" {
		pictureDemo(t)
		return
	}
	s := start(t)
	fillAll(t, s)
	for _, size := range []struct {
		name string
		viewport
	}{{"desktop", desktop}, {"phone", phone}} {
		for _, theme := range []string{"light", "dark"} {
			b := open(t, s, size.viewport)
			call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
			if *only == "" || *only == "log-in" {
				b.do(chromedp.Navigate(b.url), chromedp.WaitVisible(`input[name=username]`))
				b.picture(filepath.Join(*screenshots, "log-in."+size.name+"."+theme+".png"))
			}
			b.logIn("/", stack.AdminName, stack.AdminPassword)
			for _, scene := range scenes {
				if *only != "" && *only != scene.name {
					continue
				}
				b.do(chromedp.Navigate(b.url + address(scene.path)))
				b.waitFor(scene.ready)
				if scene.then != nil {
					scene.then(b)
				}
				b.do(chromedp.Sleep(400 * time.Millisecond)) // pictures fade in, charts settle
				b.picture(filepath.Join(*screenshots, scene.name+"."+size.name+"."+theme+".png"))
			}
			b.quiet()
		}
	}
}

// pictureDemo takes the few pictures of docs/screenshots: of the demonstration of local mode, whose photographs are generated.
func pictureDemo(t *testing.T) {
	now := time.Now().UTC()
	days := "from=" + now.Add(-72*time.Hour).Format(time.DateOnly) + "&to=" + now.Format(time.DateOnly)
	const drawn = `document.querySelectorAll('.panel .u-over').length === 3 && document.querySelector('main .busy') === null`
	var image string // of the fullest card
	for _, p := range []struct {
		name  string
		size  viewport
		theme string
		path  string
		ready string
		then  func(b *tab)
	}{
		{"images", desktop, "light", "/images?" + days, drawn, func(b *tab) {
			image = run(b, chromedp.Evaluate[string](`(async () => {
				const reply = await fetch('/session'), { proof } = await reply.json()
				const series = await (await fetch('/api/v2/series', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': proof },
					body: JSON.stringify({ start: '`+now.Add(-72*time.Hour).Format(time.RFC3339)+`', end: '`+now.Format(time.RFC3339)+`', variables: ['insects'], width: 4000 }) })).json()
				let best = { n: -1 }
				for (const s of series) { let t = 0; s.values.insects.forEach((n, i) => { t += s.time[i]; if (n > best.n) best = { n, name: s.device + '.' + new Date(t * 1000).toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-') } }) }
				return best.name
			})()`, chromedp.EvalAwaitPromise))
			p := eval[[2]float64](b, `(() => { const r = document.querySelectorAll('.panel .u-over')[1].getBoundingClientRect(); return [r.x + r.width * 0.55, r.y + r.height / 2] })()`)
			b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, p[0], p[1]))
			b.waitFor(`document.querySelector('.hover-card img')?.complete`)
		}},
		{"image", desktop, "light", "/images?" + days + "&image=", pictureShown, nil},
		{"devices", desktop, "dark", "/devices?" + days, `document.querySelector('.devices tbody tr') && document.querySelector('.morning li')`, nil},
		{"images-phone", phone, "dark", "/images?" + days, drawn, nil},
		{"image-phone", phone, "light", "/images?" + days + "&image=", pictureShown, nil},
	} {
		b := open(t, &stack.Stack{ViewerURL: *running}, p.size)
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: p.theme}}})
		if strings.HasSuffix(p.path, "&image=") {
			p.path += image
		}
		b.logIn(p.path, stack.AdminName, os.Getenv("VIEWER_PASSWORD"))
		b.waitFor(p.ready)
		if p.then != nil {
			p.then(b)
		}
		b.do(chromedp.Sleep(400 * time.Millisecond))
		shot := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: new(int64(82))})
		if err := os.WriteFile(filepath.Join(*screenshots, p.name+".webp"), shot.Data, 0o644); err != nil {
			t.Fatal(err)
		}
		b.quiet()
	}
}

// look takes pictures of what a test has on the page, light and dark, where somebody wants to see them.
func (b *tab) look(name string) {
	b.Helper()
	if *screenshots == "" {
		return
	}
	width := eval[int](b, `innerWidth`)
	for _, theme := range []string{"light", "dark"} {
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
		b.do(chromedp.Sleep(400 * time.Millisecond)) // pictures fade in, charts settle
		b.picture(filepath.Join(*screenshots, fmt.Sprintf("%s.%d.%s.png", name, width, theme)))
	}
}

func (b *tab) picture(path string) {
	b.Helper()
	if err := os.WriteFile(path, run(b, chromedp.CaptureScreenshot()), 0o644); err != nil {
		b.Fatal(err)
	}
}
