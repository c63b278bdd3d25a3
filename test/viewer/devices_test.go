package viewer

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// rowsOfDevices are the devices of the table, from above.
const rowsOfDevices = `[...document.querySelectorAll('.devices tbody th code')].map((e) => e.innerText)`

// allDevices is true once all that the page tells of devices is there.
const allDevices = `document.querySelectorAll('.devices tbody tr').length === 6 && document.querySelector('.morning li') !== null`

func TestASilentDeviceStandsFirstAndTheOrderIsInTheAddress(t *testing.T) {
	s := start(t)
	fillField(t, s)
	b := open(t, s, desktop)
	b.logIn("/devices", stack.AdminName, stack.AdminPassword)
	b.waitFor(allDevices)
	if got, want := eval[[]string](b, rowsOfDevices), []string{fellOff, weak, catches, beside, nowhere, longGone}; !slices.Equal(got[:2], want[:2]) || got[5] != longGone {
		t.Errorf("the devices stand as %v, want %v", got, want)
	}
	for device, want := range map[string]string{fellOff: "Silent for 3 days", weak: "Battery 9 %", catches: "Well", longGone: "No image for 50 days"} {
		if got := eval[string](b, `[...document.querySelectorAll('.devices tbody tr')].find((r) => r.innerText.includes('`+device+`')).querySelector('.condition').innerText`); !strings.Contains(got, want) {
			t.Errorf("of %s it says %q, want %q", device, got, want)
		}
	}
	if got := eval[[]string](b, theNotes); len(got) != 1 || !strings.HasPrefix(got[0], "No detector has asked for images here yet") {
		t.Errorf("where none ever asked, it says %q", got)
	}
	b.press(`.sort`, `Device`)
	b.waitFor(`location.search.includes('sort=device')`)
	want := []string{catches, beside, fellOff, weak, nowhere, longGone}
	if got := eval[[]string](b, rowsOfDevices); !slices.Equal(got, want) {
		t.Errorf("by name they stand as %v, want %v", got, want)
	}
	b.press(`.choice button`, `Silent`)
	b.waitFor(`location.search.includes('show=silent')`)
	b.do(chromedp.Reload())
	b.waitFor(`document.querySelectorAll('.devices tbody tr').length === 1`)
	if got := eval[[]string](b, rowsOfDevices); !slices.Equal(got, []string{fellOff}) {
		t.Errorf("silent are %v", got)
	}
	b.do(chromedp.Click(`.devices tbody th a`))
	b.waitFor(`location.pathname === '/images' && document.querySelectorAll('.panel').length === 1`)
	if got := eval[string](b, `new URLSearchParams(location.search).get('devices')`); got != fellOff {
		t.Errorf("the images are those of %q", got)
	}
	b.quiet()
}

func TestTheMorningTellsWhatCameAndWhichTrapsAreFull(t *testing.T) {
	s := start(t)
	fillField(t, s)
	b := open(t, s, desktop)
	b.logIn("/devices", stack.AdminName, stack.AdminPassword)
	b.waitFor(allDevices)
	lists := eval[[][]string](b, `[...document.querySelectorAll('.morning ol')].map((l) => [...l.children].map((i) => i.innerText.replace(/\s+/g, ' ')))`)
	changed := eval[string](b, `document.querySelector('.morning .changed time').innerText`)
	want := [][]string{
		{catches + " +12", beside + " 0 card changed " + changed},
		{fellOff + " 31 (0)", catches + " 17 (+12)", beside + " 8 (0) card changed " + changed, weak + " 1 (0)"},
	}
	if fmt.Sprint(lists) != fmt.Sprint(want) {
		t.Errorf("the morning tells %q, want %q", lists, want)
	}
	told := eval[string](b, `document.querySelector('.morning section').innerText.replace(/\s+/g, ' ')`)
	for _, says := range []string{"12 insects on 3 traps", "Night of ", "(sunset to sunrise)", " °C", "2 traps not counted: "} {
		if !strings.Contains(told, says) {
			t.Errorf("of last night it says %q, without %q", told, says)
		}
	}
	night := eval[[]string](b, `[...document.querySelectorAll('.morning section:first-child > p time')].map((t) => t.getAttribute('datetime'))`)
	if len(night) != 2 {
		t.Fatalf("last night was %v", night)
	}
	sunset, sunrise := instant(t, night[0]), instant(t, night[1])
	if middle := midnight(time.Now()); !sunset.Before(middle) || !sunrise.After(middle) {
		t.Errorf("last night was %v, and %v is at its middle", night, middle)
	}
	b.do(chromedp.Click(`.morning ol a`))
	b.waitFor(`location.pathname === '/images'`)
	query := must(url.Parse(eval[string](b, `location.href`))).Query()
	if want := sunset.Format("2006-01-02_15-04-05") + "~" + sunrise.Add(999*time.Millisecond).Format("2006-01-02_15-04-05"); query.Get("devices") != catches || query.Get("zoom") != want {
		t.Errorf("the link leads to %v, not to %s", query, want)
	}
	b.quiet()
}

// instant reads the datetime of a time element.
func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// cellOf is what a device's row says under a heading.
func cellOf(b *tab, device, head string) string {
	b.Helper()
	return eval[string](b, fmt.Sprintf(`(() => {
		const i = [...document.querySelectorAll('.devices thead th')].findIndex((h) => h.innerText.trim().startsWith(%q))
		return [...document.querySelectorAll('.devices tbody tr')].find((r) => r.innerText.includes(%q)).children[i].innerText.replace(/\s+/g, ' ').trim()
	})()`, head, device))
}

func TestWhatDevicesCaughtInTheRangeCanBeCheckedAndSaved(t *testing.T) {
	s := start(t)
	fillField(t, s)
	b := open(t, s, desktop)
	b.logIn("/devices?sort=-caught", stack.AdminName, stack.AdminPassword)
	b.waitFor(allDevices)
	if got := eval[[]string](b, rowsOfDevices); got[0] != catches {
		t.Errorf("most was caught by %v", got)
	}
	for device, want := range map[string]string{catches: "+12 by night", fellOff: "0 by night", nowhere: "– by night", longGone: "–"} {
		if got := cellOf(b, device, "Caught"); got != want {
			t.Errorf("%s caught %q, want %q", device, got, want)
		}
	}
	if got := cellOf(b, beside, "Caught"); !strings.HasPrefix(got, "0 card changed ") {
		t.Errorf("%s caught %q", beside, got)
	}
	how := eval[string](b, `[...document.querySelectorAll('.devices tbody tr')].find((r) => r.innerText.includes('`+beside+`')).querySelector('.caught').title`)
	if !strings.HasPrefix(how, "28 on ") || !strings.Contains(how, "\nCard changed\n8 on ") {
		t.Errorf("it was reckoned %q", how)
	}
	// what is saved
	lines := b.saved(`.filters button`, `Catches`)
	if len(lines) != 7 || !strings.HasPrefix(lines[0], "device,images,") || !strings.HasPrefix(lines[1], catches+",48,") {
		t.Errorf("saved was %q", lines)
	}
	b.quiet()
}

func TestARangeThatIsOverAlarmsNobodyAndTellsOfItself(t *testing.T) {
	s := start(t)
	fillField(t, s)
	day := func(ago int) string { return time.Now().UTC().AddDate(0, 0, -ago).Format("2006-01-02") }
	b := open(t, s, desktop)
	b.logIn("/devices?from="+day(52)+"&to="+day(2)+"&show=silent", stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('.devices tbody tr').length === 6 && !document.querySelector('.morning.waiting')`)
	if got := eval[string](b, `document.querySelector('.filters .choice').innerText`); strings.Contains(got, "Silent") || strings.Contains(got, "Well") {
		t.Errorf("the conditions are %q", got)
	}
	if got := cellOf(b, longGone, "Condition"); got != "Images on 1 of 51 days" {
		t.Errorf("the condition of %s is %q", longGone, got)
	}
	if got := cellOf(b, nowhere, "Condition"); got != "No image in this range" {
		t.Errorf("the condition of %s is %q", nowhere, got)
	}
	if got := cellOf(b, catches, "Battery"); got != "–" { // it belongs to today's image
		t.Errorf("the battery of %s is %q", catches, got)
	}
	if got := cellOf(b, longGone, "Battery"); got != "50 %" {
		t.Errorf("the battery of %s is %q", longGone, got)
	}
	if got := cellOf(b, catches, "Last image"); !strings.Contains(got, "newest of all ") {
		t.Errorf("the last image of %s is %q", catches, got)
	}
	b.quiet()
}

func TestTheMapShowsDevicesOfOnePlaceAndAsksNobodyElse(t *testing.T) {
	s := start(t)
	fillField(t, s)
	b := open(t, s, desktop)
	b.logIn("/devices?as=map", stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('.cluster').length === 4 && document.querySelector('.morning li') !== null`)
	if got := eval[string](b, `document.querySelector('.map-key').innerText`); !strings.Contains(got, "1 device without a usable position: "+nowhere) {
		t.Errorf("the key says %q", got)
	}
	eval[bool](b, `(document.querySelector('.cluster[aria-label*="2 devices here"]').focus(), true)`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.waitFor(`document.querySelectorAll('.map-chosen li').length === 2`)
	if got := eval[string](b, `document.querySelector('.map-chosen').innerText`); !strings.Contains(got, catches) || !strings.Contains(got, beside) || !strings.Contains(got, "51.47800, ") || strings.Contains(got, "apart") {
		t.Errorf("at the place stands %q", got)
	}
	scale := eval[string](b, `document.querySelector('.scale').textContent`)
	b.do(chromedp.Click(`button[aria-label="Closer (+)"]`))
	b.waitFor(`location.search.includes('at=') && document.querySelector('.scale').textContent !== '` + scale + `'`)
	b.do(chromedp.Reload())
	b.waitFor(`document.querySelectorAll('.map-chosen li').length === 2`) // the place and what was chosen stand in the address
	b.mu.Lock()
	for _, r := range b.requests {
		if !strings.HasPrefix(r.URL, "http://127.0.0.1:") && !strings.HasPrefix(r.URL, "data:") {
			t.Errorf("the page asked %s", r.URL)
		}
	}
	b.mu.Unlock()
	b.quiet()
}

// saved presses a button that saves a file, and gives its lines.
func (b *tab) saved(selector, text string) []string {
	b.Helper()
	eval[bool](b, `(() => {
		delete window.saved
		URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text }); return 'data:,' }
		return true
	})()`)
	b.press(selector, text)
	b.waitFor(`window.saved !== undefined`)
	return strings.Split(strings.TrimSuffix(eval[string](b, `window.saved`), "\r\n"), "\r\n")
}

// fillNights uploads what a device at Greenwich took in 26 nights of June 2022, at dusk, midnight and dawn; each night has one
// insect more than the one before came in. There are no images of the fifth night, the tenth is not annotated, and on the fifteenth
// the card was changed at midnight.
func fillNights(t testing.TB, s *stack.Stack, device string) {
	t.Helper()
	c := client(t, s)
	f := func(v float64) *float64 { return &v }
	insects := 1
	for night := 1; night <= 26; night++ {
		if night == 5 {
			continue
		}
		dusk := time.Date(2022, 6, night, 20, 30, 0, 0, time.UTC)
		for _, after := range []time.Duration{0, 210 * time.Minute, 7 * time.Hour} {
			at := dusk.Add(after)
			photo := spitest.Photo{Generation: spitest.Second, Width: 64, Height: 48, Seed: uint64(at.Unix()), Quality: 70, //nolint:gosec // after 1970
				Metadata: spi.Image{Temp: f(16 - after.Hours()), Hum: f(60), Lat: f(51.4780), Lng: f(0.001)}}
			image, err := c.PutImage(t.Context(), spi.FileOf(spitest.Name(device, at), spitest.JPEG(photo)))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case night == 15 && after == 210*time.Minute:
				insects = 1
			case after > 210*time.Minute:
				insects += night
			}
			if night != 10 {
				squares := make([]spi.Contour, insects)
				for i := range squares {
					squares[i] = square(2*i, 2, 2)
				}
				annotate(t, c, image, squares...)
			}
		}
	}
}

func TestCatchesOfEachNightAreShownWithWhatTheyRestOnAndSaved(t *testing.T) {
	s := start(t)
	const device, other = "1a2b3c09", "1a2b3c0a"
	fillNights(t, s, device)
	fillNights(t, s, other)
	for _, size := range []viewport{desktop, phone} {
		b := open(t, s, size)
		b.logIn("/devices?from=2022-05-20&to=2022-06-30", stack.AdminName, stack.AdminPassword)
		b.waitFor(`document.querySelectorAll('.devices tbody tr').length === 2 && document.querySelector('.morning li') !== null`) // nothing moves any more
		b.press(`.devices td a`, `by night`)
		b.waitFor(`location.search.includes('nights=` + device + `') && document.querySelectorAll('.nights tbody tr').length === 26`)
		rows := eval[[]string](b, `[...document.querySelectorAll('.nights tbody tr')].map((r) => r.innerText.replace(/\s+/g, ' ').trim())`)
		for i, want := range map[int]string{
			0:       "26 to 27 Jun +26 ",
			25:      "1 to 2 Jun +1 3 1 → 2 9 to 16",
			26 - 5:  "5 to 6 Jun no images 0 – –",
			26 - 10: "10 to 11 Jun not looked at by the detector yet 0 of 3 – 9 to 16",
			26 - 15: "15 to 16 Jun +15 card changed 16 Jun 00:00 ",
		} {
			if !strings.HasPrefix(rows[i], want) {
				t.Errorf("row %d is %q, want %q", i, rows[i], want)
			}
		}
		const want = "+336 in 24 nights 2 nights not counted: no images (1), not looked at by the detector yet (1)"
		if got := eval[string](b, `document.querySelector('.night-sum p').innerText`); got != want {
			t.Errorf("in all it is %q, want %q", got, want)
		}
		b.look("nights")
		lines := b.saved(`.nights-view button`, `CSV`)
		if len(lines) != 27 || !strings.HasPrefix(lines[1], device+",2022-06-01,2022-06-01T20:") || !strings.HasSuffix(lines[1], ",yes,1,,3,3,1,2,,9,16") {
			t.Errorf("saved was %q", lines)
		}
		b.do(chromedp.KeyEvent(kb.Escape))
		b.waitFor(`document.querySelector('.nights-view') === null && !location.search.includes('nights')`)
		if lines := b.saved(`.filters button`, `Nights`); len(lines) != 1+2*26 || !strings.HasPrefix(lines[52], other+",2022-06-26,") {
			t.Errorf("of all devices, saved was %q", lines)
		}
		b.quiet()
	}
}

func TestNightsAreSavedToTheEndWhileImagesArriveThatReorderTheDevices(t *testing.T) {
	s := start(t)
	c := client(t, s)
	const first, second = "1a2b3c0b", "1a2b3c0c"
	series(t, c, first, june.Add(5*time.Hour), 2) // in the night there
	series(t, c, second, june.Add(6*time.Hour), 2)
	b := open(t, s, desktop)
	b.logIn("/devices?"+juneRange, stack.AdminName, stack.AdminPassword)
	are := func(one, other string) string {
		return fmt.Sprintf(`%s.join() === '%s,%s'`, rowsOfDevices, one, other)
	}
	b.waitFor(are(first, second) + ` && document.querySelector('main').innerText.includes('No insect was found') && ` + isLive) // nothing moves any more
	eval[bool](b, `(() => {
		URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text }); return 'data:,' }
		const held = new Promise((done) => { window.release = done })
		const send = window.fetch
		window.fetch = async (path, options) => {
			if (String(options?.body).includes('"width":4000')) await held
			return send(path, options)
		}
		return true
	})()`)
	b.press(`.filters button`, `Nights`)
	const stops = `[...document.querySelectorAll('.filters button')].some((e) => e.innerText.includes('Stop (0 of 2)'))`
	b.waitFor(stops)
	series(t, c, first, june.Add(8*time.Hour), 1)
	b.waitFor(are(second, first))
	if !eval[bool](b, stops) {
		t.Error("it has stopped")
	}
	eval[bool](b, `(window.release(), true)`)
	b.waitFor(`window.saved !== undefined`)
	if got := eval[string](b, `window.saved`); !strings.Contains(got, "\n"+first+",2022-05-31,") || !strings.Contains(got, "\n"+second+",2022-05-31,") {
		t.Errorf("saved was %q", got)
	}
	b.quiet()
}
