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
	for device, want := range map[string]string{catches: "+12", fellOff: "0", nowhere: "–", longGone: "–"} {
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
	eval[bool](b, `(() => {
		URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text }); return 'data:,' }
		return true
	})()`)
	b.press(`.filters button`, `Catches`)
	b.waitFor(`window.saved !== undefined`)
	lines := strings.Split(strings.TrimSpace(eval[string](b, `window.saved`)), "\r\n")
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
