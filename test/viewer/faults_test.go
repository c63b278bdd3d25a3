package viewer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// A wire lies between a viewer and the API: it can be cut, and it can hold requests back.
type wire struct {
	*httptest.Server
	mu      sync.Mutex
	cut     chan struct{} // closed: nothing passes
	held    chan struct{} // not nil: requests wait until it is closed
	refused map[string]int
}

func newWire(t testing.TB, api string) *wire {
	t.Helper()
	to, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{cut: make(chan struct{}), refused: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) } // as a connection that breaks
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		w.mu.Lock()
		cut, held := w.cut, w.held
		w.mu.Unlock()
		if held != nil && !strings.HasSuffix(r.URL.Path, "/events") {
			select {
			case <-held:
			case <-ctx.Done():
			}
		}
		select {
		case <-cut:
			w.mu.Lock()
			w.refused[r.URL.Path]++
			w.mu.Unlock()
			panic(http.ErrAbortHandler)
		default:
		}
		go func() {
			select {
			case <-cut:
				cancel()
			case <-ctx.Done():
			}
		}()
		proxy.ServeHTTP(rw, r.WithContext(ctx))
	}))
	t.Cleanup(func() {
		w.sever()
		w.Close()
	})
	return w
}

// sever ends what is under way, and lets nothing through.
func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.cut:
	default:
		close(w.cut)
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = make(chan struct{})
}

// hold keeps requests back until the function that it gives is called.
func (w *wire) hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = make(chan struct{})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		close(w.held)
		w.held = nil
	}
}

// refusals counts the requests for a path that were refused.
func (w *wire) refusals(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused[path]
}

// remote starts a viewer of its own, as production has it, that reaches the API by this address, and gives its own.
func remote(t testing.TB, s *stack.Stack, api string) string {
	t.Helper()
	port, err := ports.Free(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(stack.Binary(t, "services/webapp", "./cmd/spi-webapp"), "serve") //nolint:noctx // it is ended below
	cmd.Env = append(os.Environ(), "WEBAPP_PORT="+strconv.Itoa(port), "METRICS_PORT="+strconv.Itoa(port+1), "API_INTERNAL_URL="+api,
		"S3_HOST="+s.Bucket.Endpoint, "WEBAPP_SECRET=a secret of the tests", "DEVEL=true")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("log of the viewer:\n%s", log.String())
		}
	})
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for !answers(ctx, address+"/readyz") {
		select {
		case <-ctx.Done():
			t.Fatal("the viewer does not get ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
	return address
}

func answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

// openRemote logs in at a viewer behind a wire, with a page that shows n images.
func openRemote(t testing.TB, path string, n int) (*stack.Stack, *spi.Client, *wire, *tab) {
	t.Helper()
	s := start(t)
	c := client(t, s)
	series(t, c, device, june, n)
	w := newWire(t, s.URL)
	b := open(t, s, desktop)
	b.url = remote(t, s, w.URL)
	b.logIn(path, stack.AdminName, stack.AdminPassword)
	b.waitFor(countIs(n))
	b.waitFor(isLive)
	eval[bool](b, `window.notReloaded = true`)
	return s, c, w, b
}

func countIs(n int) string {
	return fmt.Sprintf(`document.querySelector('.count')?.innerText.startsWith('%d image')`, n)
}

const (
	isLive    = `document.querySelector('.live.on') !== null`
	saysAway  = `[...document.querySelectorAll('[role=alert]')].some((e) => e.innerText.includes('The API does not answer at the moment'))`
	saysFine  = `document.querySelector('[role=alert]') === null`
	untouched = `window.notReloaded === true`
)

func TestAnAPIThatIsAwayIsSaidAndThePageGoesOnByItself(t *testing.T) {
	_, _, w, b := openRemote(t, "/images?"+juneRange, 2)
	const drawn = `document.querySelector('.panel .u-over') !== null`
	b.waitFor(drawn)
	w.sever()
	b.do(chromedp.Click(`button[aria-label="Refresh"]`))
	b.waitFor(saysAway)
	b.waitFor(`!` + isLive)
	if !eval[bool](b, drawn) {
		t.Error("what was there is shown no more")
	}
	w.mend()
	b.waitFor(saysFine)
	b.waitFor(isLive)
	if !eval[bool](b, untouched) {
		t.Error("the page was loaded anew")
	}
}

// countAlarms counts from now on how often the page begins to tell of an error, and the most that it tells at a time.
func (b *tab) countAlarms() {
	b.Helper()
	eval[bool](b, `(() => { let last = 0; window.alarms = { begun: 0, most: 0 }; const count = () => {
		const now = document.querySelectorAll('[role=alert]').length
		if (now > 0 && last === 0) alarms.begun++
		alarms.most = Math.max(alarms.most, now)
		last = now
	}; count(); new MutationObserver(count).observe(document.body, { subtree: true, childList: true }); return true })()`)
}

// oneAlarm fails the test unless the page told of one error, once.
func (b *tab) oneAlarm() {
	b.Helper()
	if got := eval[string](b, `JSON.stringify(alarms)`); got != `{"begun":1,"most":1}` {
		b.Errorf("the page told of errors %s, want once, and of one at a time", got)
	}
}

func TestAServerThatEndsAndIsStartedAgainUnderAnOpenPageIsToldOnceAndThePageGoesOn(t *testing.T) {
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		viewer bool // ends with the API
		said   string
	}{
		{"the API, killed", syscall.SIGKILL, false, saysAway},
		{"the API, stopped", syscall.SIGTERM, false, saysAway},
		{"the viewer with it, killed", syscall.SIGKILL, true, `[...document.querySelectorAll('[role=alert]')].some((e) => e.innerText.includes('The server cannot be reached'))`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			series(t, client(t, s), device, june, 2)
			b := open(t, s, desktop)
			if !test.viewer {
				b.url = remote(t, s, s.URL)
			}
			b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
			b.waitFor(countIs(2) + ` && document.querySelector('.panel .u-over') !== null && ` + isLive)
			eval[bool](b, `window.notReloaded = true`)
			b.countAlarms()

			s.Stop(test.signal)
			b.waitFor(test.said + ` && !` + isLive) // by itself: nobody asked for anything
			b.do(chromedp.Click(`button[aria-label="Refresh"]`))
			b.waitFor(`document.querySelector('.scope-bar .turning') === null && document.querySelector('main .busy') === null`)
			if !eval[bool](b, `document.querySelector('.panel .u-over') !== null && `+test.said) {
				t.Error("what was there, or what went wrong, is shown no more")
			}
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			if err := s.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.waitFor(saysFine + ` && ` + isLive)
			series(t, client(t, s), "0a5bb6f4", june.Add(time.Hour), 1)
			b.waitFor(countIs(3) + ` && document.querySelectorAll('.panel').length === 2`)
			b.oneAlarm()
			if !eval[bool](b, untouched) {
				t.Error("the page was loaded anew")
			}
		})
	}
}

func TestImagesOfATimeWithoutConnectionAppear(t *testing.T) {
	_, c, w, b := openRemote(t, "/images?"+juneRange, 2)
	w.sever()
	for w.refusals("/v2/events") == 0 { // the browser gives a stream up that is refused
		select {
		case <-b.ctx.Done():
			t.Fatal("the stream is not asked for again")
		case <-time.After(50 * time.Millisecond):
		}
	}
	series(t, c, "0a5bb6f4", june.Add(time.Hour), 1)
	w.mend()
	b.waitFor(countIs(3) + ` && document.querySelectorAll('.panel').length === 2`)
	if !eval[bool](b, untouched) {
		t.Error("the page was loaded anew")
	}
}

func TestAPageInTheBackgroundHoldsNoStreamAndCatchesUpOnceItIsLookedAt(t *testing.T) {
	s := start(t)
	c := client(t, s)
	series(t, c, device, june, 2)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(countIs(2) + ` && ` + isLive)
	hidden := func(is bool) {
		eval[bool](b, fmt.Sprintf(`Object.defineProperty(document, 'hidden', { value: %t, configurable: true }), document.dispatchEvent(new Event('visibilitychange'))`, is))
	}
	before := b.asked("/v2/events")
	hidden(true)
	b.waitFor(`!` + isLive)
	series(t, c, "0a5bb6f4", june.Add(time.Hour), 1)
	if n := b.asked("/v2/events"); n != before {
		t.Errorf("in the background the page asked for %d streams", n-before)
	}
	hidden(false)
	b.waitFor(countIs(3) + ` && ` + isLive)
	b.quiet()
}

// held is what the browser holds for the page after it has thrown away what it can.
func (b *tab) held() (nodes, listeners float64) {
	b.Helper()
	call(b, heapprofiler.CollectGarbage, cdp.Empty{})
	for _, m := range call(b, performance.GetMetrics, cdp.Empty{}).Metrics {
		switch m.Name {
		case "Nodes":
			nodes = m.Value
		case "JSEventListeners":
			listeners = m.Value
		}
	}
	return nodes, listeners
}

func TestAPageThatStaysOpenDoesNotGrow(t *testing.T) {
	s := start(t)
	c := client(t, s)
	series(t, c, device, june, 12)
	series(t, c, "0a5bb6f4", june, 12)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('.panel .u-over').length === 2`)
	call(b, performance.Enable, performance.EnableParams{})
	refresh := func(times int) {
		for range times {
			before := b.asked("/v2/series")
			b.do(chromedp.Click(`button[aria-label="Refresh"]`))
			b.waitFor(`document.querySelectorAll('.panel .u-over').length === 2 && document.querySelector('.scope-bar .turning') === null`)
			for b.asked("/v2/series") == before {
				b.waitFor(`document.querySelectorAll('.panel .u-over').length === 2`)
			}
		}
	}
	refresh(5)
	nodes, listeners := b.held()
	refresh(40)
	moreNodes, moreListeners := b.held()
	// 40 refreshes make 80 charts of some 20 nodes and listeners each
	if moreNodes > nodes+400 || moreListeners > listeners+100 {
		t.Errorf("after 40 refreshes there are %v nodes and %v listeners, before %v and %v", moreNodes, moreListeners, nodes, listeners)
	}
	b.quiet()
}

func TestASlowAPIIsWaitedFor(t *testing.T) {
	_, _, w, b := openRemote(t, "/data?"+juneRange, 2)
	release := w.hold()
	b.do(chromedp.Click(`nav a[href^="/images"]`))
	b.waitFor(`document.querySelector('main .busy')?.innerText.includes('Loading the series')`)
	if !eval[bool](b, saysFine) {
		t.Error("a wait is called an error")
	}
	release()
	b.waitFor(`document.querySelector('.panel .u-over') !== null && document.querySelector('main .busy') === null`)

	// another range: what is drawn is still that of the first
	release = w.hold()
	b.press(`.scope-bar button`, `Last 28 days`)
	b.waitFor(`!location.search.includes('from=') && document.querySelector('main .busy')?.innerText.includes('Loading the series')`)
	release()
	b.waitFor(`document.querySelector('main .empty') !== null && document.querySelector('main .busy') === null`)
	b.quiet()
}

func TestALoadThatIsNeverAnsweredIsGivenUpAndTriedAgain(t *testing.T) {
	_, c, w, b := openRemote(t, "/images?"+juneRange, 2)
	// the two minutes pass in ten seconds
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `{ const set = setTimeout; window.setTimeout = (f, ms, ...args) => set(f, ms === 120000 ? 10000 : ms, ...args) }`,
	})
	b.do(chromedp.Navigate(b.url + "/images?" + juneRange))
	b.waitFor(countIs(2) + ` && document.querySelector('.panel .u-over') !== null && ` + isLive)
	eval[bool](b, `window.notReloaded = true`)
	release := w.hold()
	series(t, c, "0a5bb6f4", june.Add(time.Hour), 1) // which the page asks for by itself
	b.waitFor(`[...document.querySelectorAll('[role=alert]')].some((e) => e.innerText.includes('Nothing came from the server for two minutes'))`)
	b.look("hangs")
	if !eval[bool](b, `document.querySelector('.panel .u-over') !== null`) {
		t.Error("what was there is shown no more")
	}
	release()
	b.waitFor(countIs(3) + ` && document.querySelectorAll('.panel').length === 2 && ` + saysFine)
	if !eval[bool](b, untouched) {
		t.Error("the page was loaded anew")
	}
}

func TestAPageWhoseCodeOrStyleWasLostIsLoadedByItself(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 2)
	for _, lost := range []string{"users-*.js", "users-*.css"} {
		t.Run(lost, func(t *testing.T) {
			b := open(t, s, desktop)
			b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
			b.waitFor(`document.querySelector('.panel .u-over') !== null`)
			block := func(patterns ...*network.BlockPattern) {
				call(b, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: patterns})
			}
			const said = `document.querySelector('main [role=alert]')?.innerText.includes('This page could not be loaded')`
			styled := `document.querySelector('.users') !== null && [...document.styleSheets].some((s) => s.href?.includes('/users-'))`
			eval[bool](b, `window.notReloaded = true`)
			block(&network.BlockPattern{URLPattern: "*://*:*/assets/" + lost, Block: true})
			b.do(chromedp.Click(`nav a[href^="/users"]`))
			b.waitFor(said)
			block()
			b.waitFor(styled)
			if eval[bool](b, untouched) {
				t.Error("the page was not loaded anew")
			}
			// lost again, it is left to a button
			b.do(chromedp.Navigate(b.url + "/images?" + juneRange))
			b.waitFor(`document.querySelector('.panel .u-over') !== null`)
			call(b, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
			block(&network.BlockPattern{URLPattern: "*://*:*/assets/" + lost, Block: true})
			b.do(chromedp.Click(`nav a[href^="/users"]`))
			b.waitFor(said)
			b.look("lost-code")
			block()
			b.press(`main [role=alert] button`, `Try again`)
			b.waitFor(styled)
		})
	}
}

func TestAnImageThatCouldNotBeLoadedIsLoadedOnceTheAPIIsBack(t *testing.T) {
	_, _, w, b := openRemote(t, "/images?"+juneRange, 2)
	b.waitFor(`document.querySelector('.panel .u-over') !== null`)
	w.sever()
	x, y := b.pointAtImage()
	b.do(chromedp.MouseClickXY(x, y))
	b.waitFor(`document.querySelector('.image-view [role=alert]')?.innerText.includes('The API does not answer at the moment')`)
	w.mend()
	b.waitFor(`document.querySelector('.image-view .moved img')?.naturalWidth === 512 && ` + saysFine)
	if !eval[bool](b, untouched) {
		t.Error("the page was loaded anew")
	}
}

// walk goes to an address of the viewer without loading the page anew.
func (b *tab) walk(path string) {
	b.Helper()
	eval[bool](b, fmt.Sprintf(`(history.pushState(null, '', %q), dispatchEvent(new PopStateEvent('popstate')), true)`, path))
}

func TestWhatAPageCouldNotLoadIsLoadedOnceTheAPIIsBack(t *testing.T) {
	s := start(t)
	fillAll(t, s)
	w := newWire(t, s.URL)
	b := open(t, s, desktop)
	b.url = remote(t, s, w.URL)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	const tuboids, tuboid = "/tuboids?" + tuboidRange, "/tuboids?" + tuboidRange + "&tuboid=" + realTuboid
	list := `document.querySelectorAll('a.tuboid img').length === 2 && [...document.querySelectorAll('a.tuboid strong')].map((e) => e.innerText).sort().join() === 'Not identified,Tipulidae'`
	shown := `document.querySelector('.card .here') !== null && document.querySelector('.facts table') !== null`
	again := func(part string) string {
		return fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.innerText.includes('does not answer at the moment') && e.innerText.includes('Try again'))`, part)
	}
	images := [2]string{"/images?" + juneRange, `document.querySelector('h1') !== null && document.querySelector('main .busy') === null`}
	for _, test := range []struct {
		before           [2]string // an address, and what is there before the API is away
		path, said, back string
	}{
		{images, "/users", again(`main > [role=alert]`), `document.querySelector('.users') !== null`},
		{images, "/experiments", again(`main > [role=alert]`), `document.querySelector('.projects') !== null`},
		{[2]string{"/experiments", `document.querySelector('.projects') !== null`}, "/experiments?project=1", again(`section [role=alert]`), `document.querySelector('main .table-box') !== null`},
		{images, tuboids, again(`main > [role=alert]`), list},
		{images, tuboid, again(`.tuboid-view > [role=alert]`), shown},
		// its pictures' addresses are known with those of another of its series, and neither its shots nor its labels
		{[2]string{strings.Replace(tuboid, ".0034", ".0028", 1), `document.querySelector('.card .here') !== null`}, tuboid, again(`.tuboid-view figure [role=alert]`) + ` && ` + again(`.tuboid-view [role=alert]:has(+ .facts)`), shown},
	} {
		b.do(chromedp.Navigate(b.url + test.before[0]))
		b.waitFor(test.before[1] + ` && ` + saysFine + ` && ` + isLive)
		eval[bool](b, `window.notReloaded = true`)
		w.sever()
		b.walk(test.path)
		b.waitFor(test.said)
		w.mend()
		b.waitFor(test.back + ` && ` + saysFine)
		if !eval[bool](b, untouched) {
			t.Errorf("%s was loaded anew", test.path)
		}
	}
}

func TestANewImageFollowsTheOneThatIsOpen(t *testing.T) {
	s := start(t)
	c := client(t, s)
	now := time.Now().UTC().Truncate(time.Second)
	images := series(t, c, device, now.Add(-time.Hour), 2)
	b := open(t, s, desktop)
	b.logIn("/images?image="+name(images[1]), stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.metadata code') !== null && document.querySelector('button.neighbour[aria-label^="Next image"]').disabled`)
	b.waitFor(isLive)
	series(t, c, device, now.Add(-10*time.Minute), 1)
	b.waitFor(`!document.querySelector('button.neighbour[aria-label^="Next image"]').disabled`)
	b.quiet()
}

func TestAPageGoesOnAfterALogInInAnotherTab(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 2)
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(countIs(2) + ` && document.querySelector('.panel .u-over') !== null`)
	eval[bool](b, `window.notReloaded = true`)
	// what the log-in of another tab does: the browser has another session, and this page another one's proof
	logIn := `fetch('/session', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: %q, password: %q }) }).then((r) => r.ok)`
	again := func(user, password string) {
		t.Helper()
		if !run(b, chromedp.Evaluate[bool](fmt.Sprintf(logIn, user, password), chromedp.EvalAwaitPromise)) {
			t.Fatal("the log-in of the other tab fails")
		}
	}
	again(stack.AdminName, stack.AdminPassword)
	before := b.asked("/v2/series")
	b.do(chromedp.Click(`button[aria-label="Refresh"]`))
	b.waitFor(`document.querySelector('.scope-bar .turning') === null`)
	b.do(chromedp.Click(`nav a[href^="/data"]`))
	b.waitFor(`document.querySelectorAll('.data-table a').length === 2 && ` + saysFine)
	if b.asked("/v2/series") == before {
		t.Error("the series were not asked for again")
	}

	no := false
	if _, err := client(t, s).PutUsers(t.Context(), spi.NewUser{Username: "ana", Password: "a password of ana", CanWrite: &no}); err != nil {
		t.Fatal(err)
	}
	again("ana", "a password of ana")
	b.do(chromedp.Click(`nav a[href^="/images"]`))
	b.waitFor(`document.querySelector('.who').innerText === 'ana' && document.querySelector('.panel .u-over') !== null && ` + saysFine)
	if pages := eval[[]string](b, `[...document.querySelectorAll('nav a')].map((a) => a.innerText)`); strings.Contains(fmt.Sprint(pages), "Users") {
		t.Errorf("who may only read sees the pages %v", pages)
	}
	if !eval[bool](b, untouched) {
		t.Error("the page was loaded anew")
	}
}

func TestHostileAddressesLeadNowhere(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 1)
	b := open(t, s, desktop)
	b.logIn("//evil.example.net/?next=https://evil.example.net&"+juneRange, stack.AdminName, stack.AdminPassword)
	for _, path := range []string{
		"//evil.example.net/x?" + juneRange,
		"/\\evil.example.net/x?" + juneRange,
		"/javascript:alert(1)?" + juneRange,
		`/images?` + juneRange + `&devices="><img src=x onerror=alert(1)>&compare=__proto__&zoom=x~y&__proto__=1&constructor=2`,
		`/images?from=0000-01-01&to=9999-12-31&image=..%2F..%2Fx.2020-01-01_00-00-00`,
		`/data?from=1970-01-01&to=9999-12-30`,
		`/images?` + juneRange + `&zoom=2022-06-01_00-00-00~2022-06-01_00-00-01&image=` + device + `.9999-12-31_23-59-59`,
	} {
		b.do(chromedp.Navigate(b.url+path), chromedp.WaitVisible(`header.top`))
		b.waitFor(`document.querySelector('main h1') !== null`)
		// whatever the page is asked to do next, it stays here
		eval[bool](b, `document.querySelector('.scope-bar input[type=date]') === null || (document.querySelector('.scope-bar input[type=date]').dispatchEvent(new Event('change', { bubbles: true })), true)`)
		eval[bool](b, `[...document.querySelectorAll('.scope-bar button')].filter((e) => e.innerText.startsWith('Last ')).forEach((e) => e.click()), true`)
		b.waitFor(`!location.search.includes('from=')`)
		if at := eval[string](b, `location.origin`); at != b.url {
			t.Errorf("%s leads to %s", path, at)
		}
		if elsewhere := eval[[]string](b, `[...document.querySelectorAll('a')].map((a) => a.href).filter((h) => !h.startsWith(location.origin + '/'))`); len(elsewhere) > 0 {
			t.Errorf("%s: links to %v", path, elsewhere)
		}
	}
	for _, line := range b.console() {
		if !strings.Contains(line, "the server responded with a status of 400") { // a range that is too long is refused, and said so
			t.Errorf("the console says: %s", line)
		}
	}
}

// person is a browser without a screen: it keeps cookies and knows its proof.
type person struct {
	testing.TB
	http  *http.Client
	url   string
	proof string
}

func newPerson(t testing.TB, url string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{TB: t, http: &http.Client{Jar: jar}, url: url}
}

func (p *person) ask(method, path, body string, header ...string) (status int, text []byte) {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if p.proof != "" {
		r.Header.Set("X-CSRF-Token", p.proof)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	reply, err := p.http.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	if text, err = io.ReadAll(reply.Body); err != nil {
		p.Fatal(err)
	}
	return reply.StatusCode, text
}

func (p *person) logIn(user, password string) {
	p.Helper()
	body, err := json.Marshal(map[string]string{"username": user, "password": password})
	if err != nil {
		p.Fatal(err)
	}
	status, text := p.ask(http.MethodPost, "/session", string(body))
	var reply struct{ Proof string }
	if err := json.Unmarshal(text, &reply); err != nil || status != http.StatusOK {
		p.Fatalf("log-in: %d %s", status, text)
	}
	p.proof = reply.Proof
}

func (p *person) who() string {
	p.Helper()
	_, text := p.ask(http.MethodGet, "/session", "")
	var reply struct{ User, Role string }
	if err := json.Unmarshal(text, &reply); err != nil {
		p.Fatal(err)
	}
	return strings.TrimSpace(reply.User + " " + reply.Role)
}

func TestASessionThatWasPlantedIsNotTheOneThatLogsIn(t *testing.T) {
	s := start(t)
	fillPeople(t, s)
	attacker, victim := newPerson(t, s.ViewerURL), newPerson(t, s.ViewerURL)
	attacker.logIn("reader", userPassword)
	at, err := url.Parse(s.ViewerURL)
	if err != nil {
		t.Fatal(err)
	}
	planted := attacker.http.Jar.Cookies(at)
	victim.http.Jar.SetCookies(at, planted)
	if got := victim.who(); got != "reader read-only" {
		t.Fatalf("the planted session is %q", got)
	}
	victim.proof = ""
	victim.logIn(stack.AdminName, stack.AdminPassword)
	if got := attacker.who(); got != "" { // the log-in has ended the session that it replaced
		t.Errorf("with the log-in of the other the attacker is %q", got)
	}
	if now := victim.http.Jar.Cookies(at); len(now) != 1 || len(planted) != 1 || now[0].Value == planted[0].Value {
		t.Error("the planted cookie stays after the log-in")
	}
	if victim.proof == attacker.proof {
		t.Error("the attacker knows the proof")
	}
}

func TestWhatAReaderForgesIsRefused(t *testing.T) {
	s := start(t)
	fillPeople(t, s)
	image := series(t, client(t, s), device, june, 1)[0]
	state := func() string {
		t.Helper()
		users, err := client(t, s).GetUsers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		states, err := client(t, s).GetDevices(t.Context(), june, june.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for i := range states {
			states[i].Silence = 0 // seconds until now
		}
		projects, err := client(t, s).GetProjects(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal([]any{users, states, projects})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := state()
	p := newPerson(t, s.ViewerURL)
	p.logIn("reader", userPassword)
	for _, r := range [][2]string{
		{"put_users", `[{"username":"mallory","password":"a password of mallory","is_admin":true}]`},
		{"delete_users", `[{"username":"` + stack.AdminName + `"}]`},
		{"reset_password", `[{"username":"` + stack.AdminName + `","password":"a password of mallory"}]`},
		{"get_users", `[{"username":"%"}]`},
		{"delete_images", `[{"device":"` + device + `","datetime":"` + spi.FormatDatetime(image.Datetime.Time, spi.DateV2) + `"}]`},
		{"put_projects", `[{"name":"mine","description":"","notes":""}]`},
		{"get_token", ``},
	} {
		if status, text := p.ask(http.MethodPost, "/api/"+r[0], r[1]); status != http.StatusForbidden && status != http.StatusNotFound {
			t.Errorf("%s: %d %s", r[0], status, text)
		}
	}
	// in the name of somebody else, by headers that only the viewer may send
	if _, text := p.ask(http.MethodGet, "/api/v2/me", "", "Authorization", "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQtb2YtdGVzdHM="); !bytes.Contains(text, []byte(`"username":"reader"`)) {
		t.Errorf("with a header of an admin one is %s", text)
	}
	if after := state(); after != before {
		t.Errorf("something has changed: %s\nbefore: %s", after, before)
	}
}

func TestChartsThatTheServerHasNotWorkedOutYetAreAskedForAgain(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 2)
	api, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	const said = "the server has not yet worked out all of these days"
	var refused atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(api)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/series" && refused.Add(1) <= 2 {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":{"code":"unavailable","message":"`+said+`"}}`) // the page tells where it did not arrive
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(behind.Close)
	b := open(t, s, desktop)
	b.url = remote(t, s, behind.URL)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('[role=alert]')?.innerText.includes('` + strings.ToUpper(said[:1]) + said[1:] + `')`)
	b.waitFor(`document.querySelector('.panel .u-over') !== null && ` + saysFine)
}
