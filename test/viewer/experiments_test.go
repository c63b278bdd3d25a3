package viewer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// controls are the words on what one can press on the page itself.
const controls = `[...document.querySelectorAll('main button')].map((b) => b.innerText.trim()).filter((t) => /New|Add|Delete|Let/.test(t)).sort().join()`

func TestASeriesOfAnExperimentOpensItsImages(t *testing.T) {
	s := start(t)
	fillReal(t, s)
	p := fillPeople(t, s)
	b := open(t, s, desktop)
	b.logIn("/experiments", "rita", userPassword)
	b.waitFor(`document.querySelectorAll('.projects tbody tr').length === 1`) // the other one is not hers
	b.do(chromedp.Click(`.projects tbody a`))
	b.waitFor(`document.querySelectorAll('.table-box tbody tr').length === 2`)
	if got := eval[string](b, `location.search`); got != fmt.Sprintf("?project=%d", p.ID) {
		t.Errorf("the address is %s", got)
	}
	if got := eval[string](b, `document.querySelector('.table-box').innerText`); !strings.Contains(got, "hedge") || !strings.Contains(got, "row 4") || !strings.Contains(got, "1.5") {
		t.Errorf("the series are %q", got)
	}
	links := eval[[]string](b, `[...document.querySelectorAll('.part-head a, .table-box tbody a')].map((a) => a.getAttribute('href'))`)
	want := []string{
		"/images?from=2020-06-19&to=2020-06-21&devices=0a5bb6f4,5c173ff2&zoom=2020-06-19_12-00-00~2020-06-22_00-00-00",
		"/images?from=2020-06-19&to=2020-06-21&devices=5c173ff2&zoom=2020-06-19_12-00-00~2020-06-21_06-00-00",
		"/images?from=2020-06-20&to=2020-06-21&devices=0a5bb6f4",
	}
	if fmt.Sprint(links) != fmt.Sprint(want) {
		t.Errorf("the links are %q, want %q", links, want)
	}
	b.do(chromedp.Click(`.part-head a`))
	b.waitFor(`location.pathname === '/images' && document.querySelector('.panel') !== null`)
	b.quiet()
}

func TestOnlyWhatTheLevelAllowsIsShown(t *testing.T) {
	s := start(t)
	p := fillPeople(t, s)
	address := fmt.Sprintf("/experiments?project=%d", p.ID)
	for _, test := range []struct{ user, password, list, one string }{
		{"reader", userPassword, "", ""}, // whatever the level
		{"rita", userPassword, "New experiment", "Add a series"},
		{stack.AdminName, stack.AdminPassword, "New experiment", "Add a series,Delete,Let somebody in"},
	} {
		b := open(t, s, desktop)
		b.logIn("/experiments", test.user, test.password)
		b.waitFor(`document.querySelector('.projects') !== null`)
		if got := eval[string](b, controls); got != test.list {
			t.Errorf("%s is shown %q beside the list, want %q", test.user, got, test.list)
		}
		b.do(chromedp.Navigate(b.url + address))
		b.waitFor(`document.querySelectorAll('.table-box tbody tr').length === 2 && document.querySelectorAll('.members li').length === 3`)
		if got := eval[string](b, controls); got != test.one {
			t.Errorf("%s is shown %q beside an experiment, want %q", test.user, got, test.one)
		}
		if got := eval[int](b, `document.querySelectorAll('.members select').length`); got != map[string]int{stack.AdminName: 3}[test.user] {
			t.Errorf("%s may change %d permissions", test.user, got)
		}
		b.quiet()
	}
}

func TestAnExperimentIsMadeFilledSharedAndDeleted(t *testing.T) {
	s := start(t)
	fillPeople(t, s)
	c := client(t, s)
	b := open(t, s, desktop)
	b.logIn("/experiments", "rita", userPassword)
	b.do(chromedp.WaitVisible(`.page-head .primary`), chromedp.Click(`.page-head .primary`), chromedp.WaitVisible(`dialog input[name=name]`))
	b.do(chromedp.SendKeys(`dialog input[name=name]`, "Hives_1 100%"), chromedp.Click(`dialog button[type=submit]`))
	b.waitFor(`document.querySelector('h1')?.innerText === 'Hives_1 100%' && location.search.includes('project=')`)

	b.press(`main button`, `Add a series`)
	b.do(chromedp.WaitVisible(`dialog input[name=device]`))
	b.do(chromedp.SendKeys(`dialog input[name=device]`, "5c173ff2"), chromedp.SendKeys(`dialog input[name="new name"]`, "hive"), chromedp.SendKeys(`dialog input[name="new value"]`, "12"))
	eval[bool](b, `(document.querySelector('dialog input[name=start]').value = '2020-06-21T12:30', document.querySelector('dialog input[name=end]').value = '2020-06-20T00:00', true)`)
	b.do(chromedp.Click(`dialog button[type=submit]`))
	b.waitFor(`document.querySelector('dialog [role=alert]')?.innerText.includes('The end is before the start.')`)
	eval[bool](b, `(document.querySelector('dialog input[name=end]').value = '2020-06-23T00:00', true)`)
	b.do(chromedp.Click(`dialog button[type=submit]`))
	b.waitFor(`document.querySelectorAll('.table-box tbody tr').length === 1`)
	projects, err := c.GetProjects(t.Context(), spi.ProjectFilter{"name": `Hives\_1 100\%`})
	if err != nil || len(projects) != 1 {
		t.Fatalf("%v, %v", projects, err)
	}
	rows, err := spi.Collect(c.GetProjectSeries(t.Context(), projects[0].ID))
	if err != nil || len(rows) != 1 || rows[0].Device != "5c173ff2" || fmt.Sprint(rows[0].Columns["hive"]) != "12" ||
		!rows[0].Start.Equal(datetime(t, "2020-06-21_12-30-00").Time) || !rows[0].End.Equal(datetime(t, "2020-06-23").Time) {
		t.Errorf("stored was %+v, %v", rows, err)
	}

	// another browser: the reader, who is let in by number
	reader := open(t, s, desktop)
	reader.logIn("/experiments", "reader", userPassword)
	reader.waitFor(`document.querySelectorAll('.projects tbody tr').length === 1`)
	users, err := c.GetUsers(t.Context(), spi.UserFilter{"username": "reader"})
	if err != nil || len(users) != 1 {
		t.Fatal(users, err)
	}
	b.press(`main button`, `Let somebody in`)
	b.do(chromedp.WaitVisible(`dialog input[name=user]`))
	b.do(chromedp.SendKeys(`dialog input[name=user]`, fmt.Sprint(users[0].ID)), chromedp.Click(`dialog button[type=submit]`))
	b.waitFor(`document.querySelectorAll('.members li').length === 2`)
	reader.do(chromedp.Reload())
	reader.waitFor(`document.querySelectorAll('.projects tbody tr').length === 2`)

	// she cannot lock herself out by a slip
	b.do(chromedp.SetValue(`.members li:first-child select`, "0"))
	eval[bool](b, `document.querySelector('.members li:first-child select').dispatchEvent(new Event('change', {bubbles: true}))`)
	b.waitFor(`document.querySelector('dialog')?.innerText.includes('This is yourself.')`)
	b.press(`dialog button`, `Cancel`)

	b.press(`main button`, `Delete`)
	b.do(chromedp.WaitVisible(`dialog .danger`), chromedp.Click(`dialog .danger`))
	b.waitFor(`document.querySelector('dialog') === null && document.querySelectorAll('.projects tbody tr').length === 1`)
	if left, err := c.GetProjects(t.Context()); err != nil || len(left) != 2 {
		t.Errorf("left are %v, %v", left, err)
	}
	b.quiet()
}
