package viewer

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

var (
	screenshots = flag.String("screenshots", "", "the folder that TestScreenshots writes pictures of every page to")
	running     = flag.String("viewer", "", "the address of a running viewer to take them of, in the place of one of the test's own; its admin's password is VIEWER_PASSWORD")
	pictured    = flag.String("image", realImage, "the image to take pictures of, DEVICE.DATETIME")
	only        = flag.String("only", "", "the name of the one page to take")
)

// scenes are what there is to look at: an address, and what has to be there before the picture is taken.
var scenes = []struct {
	name, path, ready string
	then              func(b *tab)
}{
	{"images", "/images?{range}", `document.querySelectorAll('.panel .u-over').length > 0`, nil},
	{"compare", "/images?{range}&compare=temperature", `document.querySelector('.compare .u-over')`, nil},
	{"images-hover", "/images?{range}", `document.querySelectorAll('.panel .u-over').length > 0`, func(b *tab) {
		b.pointAtImage()
		b.waitFor(`document.querySelector('.hover-card img')?.complete`)
	}},
	{"image", "/images?{range}&image={image}", pictureShown, nil},
	{"image-full", "/images?{range}&image={image}", pictureShown, func(b *tab) {
		b.do(chromedp.Click(`button[aria-label="Full resolution"]`))
		b.waitFor(`document.querySelectorAll('.moved img').length === 2 && document.querySelector('.stage-note') === null`)
	}},
	{"devices", "/devices", `document.querySelector('.devices tbody tr') && document.querySelector('.morning li')`, nil},
	{"devices-map", "/devices?as=map", `document.querySelector('.cluster') && document.querySelector('.morning li')`, func(b *tab) {
		b.press(`.cluster .touch`, ``)
		b.waitFor(`document.querySelector('.map-chosen')`)
	}},
	{"data", "/data?{range}", `document.querySelectorAll(".data-table a").length > 0 && document.querySelectorAll(".data-table a").length === document.querySelectorAll(".data-table tbody tr").length`, nil},
	{"tuboids", "/tuboids?" + tuboidRange, `document.querySelector('a.tuboid img')?.naturalWidth > 0 && !document.querySelector('main').innerText.includes('…')`, nil},
	{"tuboid", "/tuboids?" + tuboidRange + "&tuboid=" + realTuboid + "&shot=3", `document.querySelector('.card .here') && document.querySelector('.facts table')`, nil},
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
	s := &stack.Stack{ViewerURL: *running}
	password := cmp.Or(os.Getenv("VIEWER_PASSWORD"), stack.AdminPassword)
	if *running == "" {
		s = start(t)
		fillAll(t, s)
	}
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
			b.logIn("/", stack.AdminName, password)
			for _, scene := range scenes {
				if *only != "" && *only != scene.name {
					continue
				}
				b.do(chromedp.Navigate(b.url + strings.Replace(address(scene.path), realImage, *pictured, 1)))
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

func (b *tab) picture(path string) {
	b.Helper()
	if err := os.WriteFile(path, run(b, chromedp.CaptureScreenshot()), 0o644); err != nil {
		b.Fatal(err)
	}
}
