package viewer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// tileAt is where the large tile's picture lies: columns and rows to the left and above.
const tileAt = `(() => { const i = document.querySelector('.tuboid-view figure .tile img'); return i && i.complete && i.naturalWidth ? [i.style.left, i.style.top, i.style.width, i.style.height].join() : '' })()`

func TestTuboidsShowTheirShotsOneAfterTheOther(t *testing.T) {
	s := start(t)
	names := fillTuboids(t, s)
	lines := metadataOf(t, names[1])
	b := open(t, s, desktop)
	b.logIn("/tuboids?"+tuboidRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('a.tuboid img').length === 2 && [...document.querySelectorAll('a.tuboid img')].every((i) => i.naturalWidth === 224)`)
	if n := b.asked("tuboid.jpg"); n != 0 {
		t.Errorf("the list asked for %d whole pictures", n)
	}
	b.waitFor(`[...document.querySelectorAll('a.tuboid strong')].map((e) => e.innerText).sort().join() === 'Not identified,Tipulidae'`)

	b.press(`a.tuboid`, `Tipulidae`)
	b.waitFor(tileAt + ` === '0%,0%,400%,300%'`)
	if got := eval[string](b, `new URLSearchParams(location.search).get('tuboid')`); got != names[1] {
		t.Errorf("the address names the tuboid %q", got)
	}
	shows := func(shot int) {
		t.Helper()
		b.waitFor(fmt.Sprintf(`%s === '%d%%,%d%%,400%%,300%%'`, tileAt, -100*(shot%4), -100*(shot/4)))
		at := datetime(t, strings.Split(lines[shot][0], ".")[1])
		b.waitFor(`document.querySelector('.tuboid-view figcaption').innerText.includes('` + fmt.Sprintf("Shot %d of 11, %s", shot+1, at.Format("2006-01-02 15:04:05")) + `')`)
	}
	shows(0)
	for range 5 {
		b.do(chromedp.KeyEvent(kb.ArrowRight))
	}
	shows(5)
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	shows(4)

	// the frame lies on the card where the shot was cut out
	b.waitFor(`document.querySelector('.card .here') !== null`)
	got := eval[[4]float64](b, `(() => { const c = document.querySelector('.card').getBoundingClientRect(), h = document.querySelector('.here').getBoundingClientRect(); return [(h.x + h.width / 2 - c.x) / c.width, (h.y + h.height / 2 - c.y) / c.height, h.width / c.width, h.height / c.height] })()`)
	number := func(i int) float64 {
		v, err := strconv.ParseFloat(lines[4][i], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	side := 224 / number(3)
	for i, want := range []float64{number(1) / 2592, number(2) / 1944, side / 2592, side / 1944} {
		if math.Abs(got[i]-want) > 0.01 {
			t.Errorf("the frame is at %v of the card; the number at %d should be %.3f", got, i, want)
		}
	}

	// the same address shows the same shot
	b.waitFor(`location.search.includes('shot=5')`)
	b.do(chromedp.Reload())
	shows(4)
	if got := eval[string](b, `document.querySelector('.facts').innerText`); !strings.Contains(got, "Diptera") || !strings.Contains(got, "sticky-pi-itc") || !strings.Contains(got, names[1]) {
		t.Errorf("it is said of it: %q", got)
	}
	b.do(chromedp.SetValue(`.shot-controls select`, "4"))
	eval[bool](b, `document.querySelector('.shot-controls select').dispatchEvent(new Event('change', {bubbles: true}))`)
	b.do(chromedp.Click(`button[aria-label="Play (space)"]`))
	b.waitFor(`document.querySelector('.tuboid-view figcaption').innerText.includes('Shot 1 of')`) // it plays to the end, and begins anew
	b.do(chromedp.Click(`button[aria-label="Pause (space)"]`))

	b.do(chromedp.KeyEvent(kb.PageDown))
	b.waitFor(`document.querySelector('.tuboid-view h2').innerText.includes('0028') && ` + tileAt + ` === '0%,0%,400%,1000%'`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.waitFor(`document.querySelector('.tuboid-view') === null && !location.search.includes('tuboid=')`)
	b.quiet()
}

func TestTuboidsAreFoundByTheirLabel(t *testing.T) {
	s := start(t)
	names := fillTuboids(t, s)
	b := open(t, s, phone)
	b.logIn("/tuboids?"+tuboidRange+"&label=dipt", stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('a.tuboid').length === 1 && document.querySelector('a.tuboid').innerText.includes('Tipulidae')`)
	b.do(chromedp.Navigate(b.url + "/tuboids?" + tuboidRange + "&label=Lepidoptera"))
	b.waitFor(`document.querySelector('.empty')?.innerText === 'No tuboid has such a label.'`)
	// what is not there, and what is no name at all
	for _, id := range []string{names[0][:len(names[0])-4] + "0999", "x"} {
		b.do(chromedp.Navigate(b.url + "/tuboids?" + tuboidRange + "&tuboid=" + id))
		b.waitFor(`document.querySelector('.tuboid-view [role=alert]')?.innerText.includes('There is no such tuboid')`)
	}
	// a range that the series is not in: its own address shows it all the same
	b.do(chromedp.Navigate(b.url + "/tuboids?" + juneRange + "&tuboid=" + names[0]))
	b.waitFor(`document.querySelectorAll('.small-shots button').length === 37`)
}

func TestATuboidWithoutAThumbnailIsCutOutOfItsPicture(t *testing.T) {
	s := start(t)
	fillTuboids(t, s)
	b := open(t, s, desktop)
	call(b, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: []*network.BlockPattern{{URLPattern: "*://*:*/api/v2/tuboid_tile*", Block: true}}})
	b.logIn("/tuboids?"+tuboidRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('a.tuboid img').length === 2 && [...document.querySelectorAll('a.tuboid img')].every((i) => i.naturalWidth === 896)`)
}
