package viewer

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestNoPageIsWiderThanAPhone(t *testing.T) {
	s := start(t)
	fillAll(t, s)
	b := open(t, s, phone)
	b.logIn("/", stack.AdminName, stack.AdminPassword)
	for _, scene := range scenes {
		b.do(chromedp.Navigate(b.url + address(scene.path)))
		b.waitFor(scene.ready)
		if scene.then != nil {
			scene.then(b)
		}
		if out := eval[[]string](b, `document.documentElement.scrollWidth <= innerWidth ? [] : [...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 120))`); len(out) > 0 {
			t.Errorf("%s is wider than %d pixels: %q", scene.name, phone.width, out)
		}
	}

	// how many insects there are is seen without scrolling
	b.do(chromedp.Navigate(b.url + address("/data?{range}")))
	b.waitFor(`document.querySelectorAll('.data-table a').length > 0`)
	if right := eval[float64](b, `[...document.querySelectorAll('.data-table th')].find((h) => h.innerText.startsWith('Insects')).getBoundingClientRect().right`); right > float64(phone.width) {
		t.Errorf("the insects end at %v pixels of %d", right, phone.width)
	}

	// the header holds the number of images, and a large one beside the longest name of a zone too
	b.do(chromedp.Navigate(b.url + "/devices"))
	b.waitFor(`document.querySelector('.count')?.innerText.endsWith(' images')`)
	b.choose(`.top .zone select`, "America/North_Dakota/New_Salem")
	for _, n := range []string{"", "1,234,567 images"} {
		if got := eval[string](b, `(() => { const c = document.querySelector('.count'); if ('`+n+`') c.firstChild.data = '`+n+`'; return c.innerText && c.scrollWidth <= c.clientWidth ? '' : c.innerText + ' is cut' })()`); got != "" {
			t.Error(got)
		}
	}
	b.quiet()
}

func TestButtonsOfChartsAndPhotographsHaveVisibleWords(t *testing.T) {
	s := start(t)
	fillReal(t, s)
	for _, size := range []viewport{phone, desktop} {
		b := open(t, s, size)
		b.logIn("/images?"+realRange, stack.AdminName, stack.AdminPassword)
		b.waitFor(`document.querySelector('.panel .u-over') !== null`)
		wordless := func(of string) {
			t.Helper()
			if got := eval[[]string](b, `[...document.querySelectorAll('`+of+` button')].filter((e) => e.innerText.trim() === '' || e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel)`); len(got) > 0 {
				t.Errorf("%d pixels wide, only an icon or not all of the word is shown of %q", size.width, got)
			}
			if outside := eval[bool](b, `[...document.querySelectorAll('`+of+` button')].some((e) => e.getBoundingClientRect().right > innerWidth)`); outside {
				t.Errorf("%d pixels wide, some of %s are outside", size.width, of)
			}
		}
		wordless(".zoom-buttons")
		b.look("words-charts")
		b.do(chromedp.Navigate(b.url + "/images?" + realRange + "&image=" + realImage))
		b.waitFor(pictureShown)
		wordless(".image-controls")
		b.look("words-photograph")
		b.quiet()
	}
}
