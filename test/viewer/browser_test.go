package viewer

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// within bounds every wait for the page and for the browser's start: generous, since two cores may do much else.
const within = 3 * time.Minute

// A tab is one page in a browser of its own.
type tab struct {
	testing.TB
	ctx context.Context
	url string // of the viewer

	mu       sync.Mutex
	said     []string          // errors and warnings of the console, refusals of the content security policy among them
	requests []network.Request // that the page made
}

// viewport is the size of a window, in pixels.
type viewport struct{ width, height int }

var (
	desktop = viewport{1280, 860}
	phone   = viewport{390, 844}
)

// open starts a browser; the test is skipped where there is none, or where the pages were not built.
func open(t testing.TB, s *stack.Stack, size viewport) *tab {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		t.Skip("there is no Chromium: install it (on Debian: apt-get install chromium)")
	}
	built := filepath.Join(stack.Root(t), "services/webapp/web/dist/index.html")
	if _, err := os.Stat(built); err != nil {
		t.Skip("the viewer's pages were not built: Node.js with npm is missing ('sh deploy.sh test' builds them)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(size.width, size.height), chromedp.WSURLReadTimeout(within),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		// the tests ask nothing of the network but this machine
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{TB: t, ctx: ctx, url: s.ViewerURL}
	// the first call makes the browser, and it would end with a context of its own
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("listening to the browser: %v", err)
	}
	b.do(chromedp.EmulateViewport(int64(size.width), int64(size.height)))
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.said = append(b.said, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, *e.Request)
	}
}

// do runs actions and ends the test where one fails.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, within)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fatal(err)
	}
}

// run runs an action that gives something.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, within)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.fatal(err)
	}
	return v
}

// call sends a command to the browser itself.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.Helper()
	reply, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.fatal(err)
	}
	return reply
}

func (b *tab) fatal(err error) {
	b.Helper()
	body, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ''`)) // for the message alone
	b.Fatalf("%v; the console said %q; the page says:\n%s", err, b.console(), body)
}

// console is what the page complained of.
func (b *tab) console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.said...)
}

// asked counts the requests whose address holds the text.
func (b *tab) asked(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		if strings.Contains(r.URL, text) {
			n++
		}
	}
	return n
}

// quiet fails the test where the page complained of anything: a script, a style or a picture that was refused is told there.
func (b *tab) quiet() {
	b.Helper()
	for _, line := range b.console() {
		b.Errorf("the console says: %s", line)
	}
}

// waitFor waits until the expression is true on the page.
func (b *tab) waitFor(expression string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, within)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[any](expression, chromedp.WithPollingTimeout(within), chromedp.WithPollingInterval(50*time.Millisecond)))
		switch {
		case err == nil:
			return
		case ctx.Err() == nil && (strings.Contains(err.Error(), "Cannot find context") || strings.Contains(err.Error(), "target navigated")): // of the page that was left just now
		default:
			b.fatal(err)
		}
	}
}

// eval gives the value of an expression on the page.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	return run(b, chromedp.Evaluate[T](expression))
}

// logIn opens an address of the viewer, and logs in.
func (b *tab) logIn(path, user, password string) {
	b.Helper()
	b.do(chromedp.Navigate(b.url+path), chromedp.WaitVisible(`input[name=username]`))
	b.typeLogIn(user, password)
	b.do(chromedp.WaitVisible(`header.top`))
}

func (b *tab) typeLogIn(user, password string) {
	b.Helper()
	eval[bool](b, `document.querySelectorAll('.log-in input').forEach((i) => { i.value = '' }), true`)
	b.do(
		chromedp.SendKeys(`input[name=username]`, user), chromedp.SendKeys(`input[name=password]`, password),
		chromedp.Click(`button[type=submit]`),
	)
}

// pointAtImage moves the mouse along the first chart until it is at an image, and gives where that is.
func (b *tab) pointAtImage() (x, y float64) {
	b.Helper()
	r := eval[[4]float64](b, `(() => { const r = document.querySelector('.panel .u-over').getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom] })()`)
	y = (r[1] + r[3]) / 2
	for x = r[0] + 1; x < r[2]; x += 12 {
		b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
		if eval[bool](b, `document.querySelector('.hover-card') !== null`) {
			return x, y
		}
	}
	b.Fatal("there is no image on the first chart")
	return 0, 0
}
