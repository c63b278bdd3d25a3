package viewer

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

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
	for device, want := range map[string]string{fellOff: "Silent for 3 days", weak: "Battery 9 %", catches: "Well", longGone: "No image in this range"} {
		if got := eval[string](b, `[...document.querySelectorAll('.devices tbody tr')].find((r) => r.innerText.includes('`+device+`')).querySelector('.condition').innerText`); !strings.Contains(got, want) {
			t.Errorf("of %s it says %q, want %q", device, got, want)
		}
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
	want := [][]string{{catches + " +12"}, {fellOff + " 31 (0)", catches + " 17 (+12)", beside + " 8 (0)", weak + " 1 (0)"}}
	if fmt.Sprint(lists) != fmt.Sprint(want) {
		t.Errorf("the morning tells %q, want %q", lists, want)
	}
	night := eval[[]string](b, `[...document.querySelectorAll('.morning time')].map((t) => t.getAttribute('datetime'))`)
	if len(night) != 2 || !strings.Contains(night[0], "T18:00:00") || !strings.Contains(night[1], "T06:00:00") {
		t.Errorf("last night was %v", night)
	}
	b.do(chromedp.Click(`.morning ol a`))
	b.waitFor(`location.pathname === '/images'`)
	query := must(url.Parse(eval[string](b, `location.href`))).Query()
	if at := midnight(datetime(t, strings.TrimSuffix(night[1], ".000Z")+"Z").Time.Add(1)); query.Get("devices") != catches ||
		query.Get("zoom") != at.Add(-6*3600e9).Format("2006-01-02_15-04-05")+"~"+at.Add(6*3600e9).Format("2006-01-02_15-04-05") {
		t.Errorf("the link leads to %v", query)
	}
	b.quiet()
}

func TestTheMapShowsDevicesOfOnePlaceAndAsksNobodyElse(t *testing.T) {
	s := start(t)
	fillField(t, s)
	b := open(t, s, desktop)
	b.logIn("/devices?as=map", stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('.cluster').length === 4 && document.querySelector('.morning li') !== null`)
	if got := eval[string](b, `document.querySelector('.map-key').innerText`); !strings.Contains(got, "1 device without a position") {
		t.Errorf("the key says %q", got)
	}
	eval[bool](b, `(document.querySelector('.cluster[aria-label*="2 devices here"]').focus(), true)`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.waitFor(`document.querySelectorAll('.map-chosen li').length === 2`)
	if got := eval[string](b, `document.querySelector('.map-chosen').innerText`); !strings.Contains(got, catches) || !strings.Contains(got, beside) || !strings.Contains(got, "51.47800, 0.00000") || strings.Contains(got, "apart") {
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
