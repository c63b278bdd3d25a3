package ui_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/metrics"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/front"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/session"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/ui"
)

// An upstream stands for the API where its faults and what it is asked matter; the real one is in module test.
type upstream struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*http.Request
	body  []string
	role  string // of everybody
	reply http.HandlerFunc
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{role: "admin"}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.asked, u.body = append(u.asked, r), append(u.body, string(body))
		u.mu.Unlock()
		refuse := func(status int, code, message string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, code, message)
		}
		name, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/healthz":
		case r.URL.Path == "/get_token" && name == "anna" && password == "right":
			fmt.Fprintf(w, `{"token":"token-of-anna","expiration":%d}`, time.Now().Add(24*time.Hour).Unix())
		case r.URL.Path == "/get_token" && password == "often":
			w.Header().Set("Retry-After", "7")
			refuse(429, "rate_limited", "too many failed log-ins: wait 7 s")
		case r.URL.Path == "/get_token":
			refuse(401, "unauthorized", "wrong")
		case r.URL.Path == "/v2/me":
			fmt.Fprintf(w, `{"id":1,"role":%q,"username":"Anna"}`, u.role)
		case r.URL.Path == "/get_users" && u.role != "admin":
			refuse(403, "forbidden", "not you")
		case u.reply != nil:
			u.reply(w, r)
		default:
			fmt.Fprint(w, `[]`)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) last() (*http.Request, string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked[len(u.asked)-1], u.body[len(u.body)-1]
}

// A viewer is the handler with a browser's cookie jar, by hand.
type viewer struct {
	http.Handler
	t      *testing.T
	cookie *http.Cookie
	proof  string
	stop   chan struct{}
}

func newViewer(t *testing.T, api *upstream, https bool) *viewer {
	t.Helper()
	return newLoggingViewer(t, api, https, slog.DiscardHandler)
}

func newLoggingViewer(t *testing.T, api *upstream, https bool, log slog.Handler) *viewer {
	t.Helper()
	sessions, err := session.New("a secret of the tests", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	files, err := front.New(fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{t: t, stop: make(chan struct{})}
	v.Handler, err = ui.New(ui.Config{
		API: address, Transport: &http.Transport{DisableCompression: true}, Sessions: sessions, Files: files,
		S3: &url.URL{Scheme: "https", Host: "s3.example.org"}, HTTPS: https, TrustedProxies: []string{"192.0.2.1"},
		Ready:    health.New(time.Now, map[string]health.Probe{"api": func(context.Context) error { return errors.New("does not answer") }}),
		Requests: metrics.NewHTTP(prometheus.NewRegistry()), Log: slog.New(log), Now: time.Now, Stopping: v.stop,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *viewer) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	if v.proof != "" {
		r.Header.Set("X-CSRF-Token", v.proof)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge > 0 {
			v.cookie = c
		}
	}
	return w
}

func (v *viewer) logIn() {
	v.t.Helper()
	w := v.ask(http.MethodPost, "/session", `{"username":"anna","password":"right"}`)
	var reply struct{ Proof string }
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != 200 || v.cookie == nil {
		v.t.Fatalf("log-in: %d %s", w.Code, w.Body)
	}
	v.proof = reply.Proof
}

func TestTheCookieIsOutOfReachOfScriptsAndOtherSites(t *testing.T) {
	for _, https := range []bool{true, false} {
		v := newViewer(t, newUpstream(t), https)
		v.logIn()
		c := v.cookie
		name := map[bool]string{true: "__Host-sticky-pi-session", false: "sticky-pi-session"}[https]
		if c.Name != name || !c.HttpOnly || c.Secure != https || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge > 24*3600 {
			t.Errorf("https %v: %+v", https, c)
		}
		if strings.Contains(c.Value, "token-of-anna") {
			t.Error("the cookie shows the token")
		}
	}
}

func TestALogInSaysWhyItFails(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	for _, tt := range []struct {
		body, kind string
		status     int
		want       string
	}{
		{`{"username":"anna","password":"wrong"}`, "application/json", 401, "the user name or the password is wrong"},
		{`{"username":"nobody","password":"right"}`, "application/json", 401, "the user name or the password is wrong"},
		{`{"username":"anna","password":"often"}`, "application/json", 429, "too many failed log-ins: wait 7 s"},
		{`{"username":"anna","password":""}`, "application/json", 400, "fill in both user name and password"},
		{`{"username":"token-of-anna"}`, "application/json", 400, "fill in both user name and password"},
		{`{"username":`, "application/json", 400, "the log-in cannot be read: send username and password"},
		{`{"username":"` + strings.Repeat("a", 5000) + `","password":"x"}`, "application/json", 400, "the log-in cannot be read: send username and password"},
		{`username=anna&password=right`, "application/x-www-form-urlencoded", 415, "a log-in is sent as application/json"},
		{`{"username":"anna","password":"right"}`, "text/plain", 415, "a log-in is sent as application/json"},
	} {
		w := v.ask(http.MethodPost, "/session", tt.body, "Content-Type", tt.kind)
		var got struct{ Error struct{ Message string } }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != tt.status || got.Error.Message != tt.want {
			t.Errorf("%.60s: %d %s", tt.body, w.Code, w.Body)
		}
		if v.cookie != nil {
			t.Fatalf("%.60s: there is a cookie", tt.body)
		}
		if tt.status == 429 && w.Header().Get("Retry-After") != "7" {
			t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
		}
	}
}

func TestTheRoleIsWhatTheAPIAllows(t *testing.T) {
	for _, role := range []string{"admin", "read-write", "read-only"} {
		api := newUpstream(t)
		api.role = role
		v := newViewer(t, api, true)
		v.logIn()
		var got struct{ User, Role string }
		if err := json.Unmarshal(v.ask(http.MethodGet, "/session", "").Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Role != role {
			t.Errorf("%s is told %q", role, got.Role)
		}
	}
}

func TestALogInBeginsANewSession(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	v.logIn()
	first := *v.cookie
	proof := v.proof
	v.logIn() // with the first one's cookie
	if v.cookie.Value == first.Value || v.proof == proof {
		t.Error("the session of before the log-in goes on")
	}
}

func TestALogInEndsTheSessionThatItReplaces(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	v.logIn()
	old, other := *v, newViewer(t, newUpstream(t), true) // a copy of the cookie; another browser
	other.Handler = v.Handler
	other.logIn()
	if w := v.ask(http.MethodPost, "/session", `{"username":"anna","password":"wrong"}`); w.Code != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", w.Code)
	}
	if w := old.ask(http.MethodPost, "/api/v2/series", "{}"); w.Code != http.StatusOK {
		t.Errorf("after a log-in that failed: %d %s", w.Code, w.Body)
	}
	v.logIn()
	if w := old.ask(http.MethodPost, "/api/v2/series", "{}"); w.Code != http.StatusUnauthorized {
		t.Errorf("the old session: %d %s", w.Code, w.Body)
	}
	for name, one := range map[string]*viewer{"the new session": v, "the other browser's": other} {
		if w := one.ask(http.MethodPost, "/api/v2/series", "{}"); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestLogOutEndsTheSessionForACopyOfItsCookieToo(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	v.logIn()
	w := v.ask(http.MethodDelete, "/session", "")
	if w.Code != http.StatusNoContent || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Fatalf("log-out: %d, Set-Cookie %q", w.Code, w.Header().Get("Set-Cookie"))
	}
	if w := v.ask(http.MethodPost, "/api/v2/series", "{}"); w.Code != http.StatusUnauthorized {
		t.Errorf("the old cookie: %d %s", w.Code, w.Body)
	}
	var got struct{ User *string }
	if err := json.Unmarshal(v.ask(http.MethodGet, "/session", "").Body.Bytes(), &got); err != nil || got.User != nil {
		t.Errorf("there is a session of %v (%v)", got.User, err)
	}
}

func TestWritesOfOtherSitesAreRefused(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	v.logIn()
	proof := v.proof
	for _, tt := range []struct {
		name   string
		proof  string
		header []string
		status int
	}{
		{"the page itself", proof, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"a program with the session", proof, nil, 200},
		{"no proof", "", []string{"Sec-Fetch-Site", "same-origin"}, 403},
		{"a wrong proof", "x" + proof, []string{"Sec-Fetch-Site", "same-origin"}, 403},
		{"another site", proof, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another host of the domain", proof, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"an old browser on another site", proof, []string{"Origin", "https://evil.example.net"}, 403},
		{"an old browser on the page", proof, []string{"Origin", "http://example.com"}, 200},
	} {
		v.proof = tt.proof
		if w := v.ask(http.MethodPost, "/api/get_users", "[]", tt.header...); w.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
	v.proof = ""
	if w := v.ask(http.MethodPost, "/session", `{"username":"anna","password":"right"}`, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("a log-in by another site: %d", w.Code)
	}
	if w := v.ask(http.MethodDelete, "/session", ""); w.Code != 403 {
		t.Errorf("a log-out without proof: %d", w.Code)
	}
}

func TestOnlyWhatPagesNeedGoesThrough(t *testing.T) {
	api := newUpstream(t)
	v := newViewer(t, api, true)
	v.logIn()
	before := len(api.asked)
	for _, path := range []string{
		"/api/_put_new_images", "/api/delete_images", "/api/get_token", "/api/put_itc_labels", "/api/_get_ml_bundle_upload_links", "/api/",
		"/api/get_images/everything", "/api/get_images/metadata/", "/api/get_images/../get_token", "/api//get_token", "/api/v2/series/x", "/api/%67et_token",
	} {
		if w := v.ask(http.MethodPost, path, "[]"); w.Code < 400 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := v.ask(http.MethodGet, "/api/get_users", ""); w.Code < 400 {
		t.Errorf("GET of an endpoint that is posted to: %d", w.Code)
	}
	if n := len(api.asked) - before; n != 0 {
		t.Errorf("the API was asked %d times", n)
	}
	if w := v.ask(http.MethodPost, "/api/get_images/thumbnail", `[{"device":"5c173ff2"}]`); w.Code != 200 {
		t.Fatalf("an endpoint that is needed: %d", w.Code)
	}
	if r, body := api.last(); r.URL.Path != "/get_images/thumbnail" || body != `[{"device":"5c173ff2"}]` {
		t.Errorf("the API was asked for %s with %s", r.URL, body)
	}
}

func TestTheAPIGetsTheTokenAndTheClientsAddressAndNothingElseOfTheBrowser(t *testing.T) {
	api := newUpstream(t)
	v := newViewer(t, api, true)
	v.logIn()
	if r, _ := api.last(); r.Header.Get("X-Forwarded-For") != "192.0.2.1" {
		t.Errorf("log-in for %q", r.Header.Get("X-Forwarded-For"))
	}
	v.ask(http.MethodPost, "/api/get_users", "[]", "X-Forwarded-For", "203.0.113.9", "Authorization", "Basic eDp5", "X-Evil", "1", "Accept-Encoding", "gzip",
		"X-Request-Id", "from-the-gateway", "Connection", "X-Evil")
	r, _ := api.last()
	got := map[string]string{}
	for name := range r.Header {
		got[name] = r.Header.Get(name)
	}
	delete(got, "Content-Length")
	want := map[string]string{
		"Authorization": "Bearer token-of-anna", "X-Forwarded-For": "203.0.113.9", "Content-Type": "application/json",
		"Accept-Encoding": "gzip", "X-Request-Id": "from-the-gateway", "User-Agent": "sticky-pi-viewer/" + spi.APIVersion,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyWhatTheAPISaysMayBeKeptIsKept(t *testing.T) {
	api := newUpstream(t)
	v := newViewer(t, api, true)
	v.logIn()
	for _, test := range []struct {
		path, said string
		status     int
		want       []string
	}{
		{"v2/tuboid_tile", "private, max-age=86400", 200, []string{"private, max-age=86400"}},
		{"v2/tuboid_tile", "private, max-age=86400", 304, []string{"private, max-age=86400"}},
		{"v2/tuboid_tile", "", 503, []string{"no-store"}},
		{"v2/devices", "", 200, []string{"no-store"}},
		{"v2/devices", "", 302, []string{"no-store"}}, // which the viewer refuses itself
	} {
		api.reply = func(w http.ResponseWriter, _ *http.Request) {
			if test.said != "" {
				w.Header().Set("Cache-Control", test.said)
			}
			w.WriteHeader(test.status)
		}
		if got := v.ask(http.MethodGet, "/api/"+test.path, "").Header().Values("Cache-Control"); !slices.Equal(got, test.want) {
			t.Errorf("%s, %d: %q, want %q", test.path, test.status, got, test.want)
		}
	}
}

func TestABrowserCannotChooseTheAddressThatItsFailedLogInsCountFor(t *testing.T) {
	api := newUpstream(t)
	v := newViewer(t, api, true)
	for _, tt := range []struct {
		name, from string
		header     [2]string
		want       string
	}{
		{"at the viewer itself", "198.51.100.7:4000", [2]string{"X-Forwarded-For", "203.0.113.9"}, "198.51.100.7"},
		{"by another header", "198.51.100.7:4000", [2]string{"X-Real-Ip", "203.0.113.9"}, "198.51.100.7"},
		{"before what the proxy adds", "192.0.2.1:4000", [2]string{"X-Forwarded-For", "203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{"as the proxy", "192.0.2.1:4000", [2]string{"X-Forwarded-For", "192.0.2.1, 198.51.100.7"}, "198.51.100.7"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/session", strings.NewReader(`{"username":"anna","password":"wrong"}`))
		r.RemoteAddr = tt.from
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(tt.header[0], tt.header[1])
		v.ServeHTTP(httptest.NewRecorder(), r)
		if asked, _ := api.last(); asked.URL.Path != "/get_token" || asked.Header.Get("X-Forwarded-For") != tt.want || asked.Header.Get("X-Real-Ip") != "" {
			t.Errorf("%s: the API is told %q of %s", tt.name, asked.Header.Values("X-Forwarded-For"), asked.URL.Path)
		}
	}
}

func TestRepliesPassWithoutTheAPIsOwnHeaders(t *testing.T) {
	api := newUpstream(t)
	api.reply = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`) // a browser would open a log-in of its own
		w.Header().Set("Set-Cookie", "evil=1")
		w.Header().Set("Content-Security-Policy", "default-src *")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":{"code":"unauthorized","message":"the token is over"}}`)
	}
	v := newViewer(t, api, true)
	v.logIn()
	w := v.ask(http.MethodPost, "/api/v2/series", "{}")
	h := w.Header()
	if w.Code != 401 || h.Get("WWW-Authenticate") != "" || h.Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), "the token is over") {
		t.Errorf("%d %v %s", w.Code, h, w.Body)
	}
	if c := strings.Join(h.Values("Set-Cookie"), ";"); strings.Contains(c, "evil") || !strings.Contains(c, "Max-Age=0") {
		t.Errorf("cookies: %s", c)
	}
	if len(h.Values("Content-Security-Policy")) != 1 || strings.Contains(h.Get("Content-Security-Policy"), "*") {
		t.Errorf("policy: %v", h.Values("Content-Security-Policy"))
	}
}

func TestAnAPIThatDoesNotAnswerIsSaidSo(t *testing.T) {
	api := newUpstream(t)
	v := newViewer(t, api, true)
	v.logIn()
	api.reply = func(w http.ResponseWriter, _ *http.Request) {
		http.Redirect(w, httptest.NewRequest("GET", "/", nil), "https://evil.example.net/", http.StatusFound)
	}
	if w := v.ask(http.MethodPost, "/api/v2/series", "{}"); w.Code != 503 || w.Header().Get("Location") != "" {
		t.Errorf("a redirect: %d to %q", w.Code, w.Header().Get("Location"))
	}
	api.Close()
	w := v.ask(http.MethodPost, "/api/v2/series", "{}")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "the API does not answer at the moment: try again") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := v.ask(http.MethodGet, "/healthz", ""); w.Code != 200 {
		t.Errorf("the viewer itself: %d", w.Code)
	}
	if w := v.ask(http.MethodGet, "/readyz", ""); w.Code != 503 {
		t.Errorf("readyz: %d", w.Code)
	}
}

func TestAReplyThatBreaksOffIsToldInTheServersOwnLog(t *testing.T) {
	api := newUpstream(t)
	api.reply = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	var log bytes.Buffer
	v := newLoggingViewer(t, api, false, slog.NewJSONHandler(&log, nil))
	v.logIn()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the browser thinks that it has the whole reply")
			}
		}()
		ctx := context.WithValue(t.Context(), http.ServerContextKey, &http.Server{ReadHeaderTimeout: time.Second}) // as within a server
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v2/series", strings.NewReader("{}"))
		r.AddCookie(v.cookie)
		r.Header.Set("X-CSRF-Token", v.proof)
		v.ServeHTTP(httptest.NewRecorder(), r)
	}()
	if !strings.Contains(log.String(), "unexpected EOF") {
		t.Errorf("the log says nothing of it:\n%s", log.String())
	}
}

func TestARequestIsBounded(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	v.logIn()
	if w := v.ask(http.MethodPost, "/api/get_users", strings.Repeat(" ", 5<<20)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("5 MB: %d %s", w.Code, w.Body)
	}
}

func TestEveryReplyHasTheHeadersThatKeepBrowsersSafe(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	for _, path := range []string{"/", "/images", "/session", "/api/nothing", "/nothing.js", "/healthz"} {
		h := v.ask(http.MethodGet, path, "").Header()
		want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https://s3.example.org; connect-src 'self'; " +
			"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
		if got := h.Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: policy %q", path, got)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") != "no-referrer" ||
			h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestNothingRedirects(t *testing.T) {
	v := newViewer(t, newUpstream(t), true)
	for _, path := range []string{"/images/", "//evil.example.net", "/?next=https://evil.example.net", "/%2f%2fevil.example.net", "/session/", "/\\evil.example.net"} {
		if w := v.ask(http.MethodGet, path, ""); w.Header().Get("Location") != "" || w.Code/100 == 3 {
			t.Errorf("%s: %d to %q", path, w.Code, w.Header().Get("Location"))
		}
	}
}

func TestAStreamPassesAsItComesAndEnds(t *testing.T) {
	for name, end := range map[string]func(*viewer){
		"with the server": func(v *viewer) { close(v.stop) },
		"at log-out": func(v *viewer) {
			if w := v.ask(http.MethodDelete, "/session", ""); w.Code != http.StatusNoContent {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		},
		"at a new log-in": func(v *viewer) { v.logIn() },
	} {
		t.Run(name, func(t *testing.T) {
			api := newUpstream(t)
			ended := make(chan struct{})
			api.reply = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "event: image\ndata: {}\n\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				close(ended)
			}
			v := newViewer(t, api, false)
			v.logIn()
			server := httptest.NewServer(v)
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v2/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.AddCookie(v.cookie)
			reply, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Body.Close()
			first := make([]byte, len("event: image\n"))
			if _, err := io.ReadFull(reply.Body, first); err != nil || string(first) != "event: image\n" {
				t.Fatalf("%q, %v", first, err)
			}
			end(v)
			<-ended // or the test's own time ends
			_, _ = io.Copy(io.Discard, reply.Body)
		})
	}
}

func TestTheTableHoldsTheImagesInScope(t *testing.T) {
	api := newUpstream(t)
	api.reply = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/devices":
			if got := r.URL.Query()["device"]; !cmp.Equal(got, []string{"5c173ff2", "0a5bb6f4"}) {
				t.Errorf("devices %q", got)
			}
			fmt.Fprint(w, `[{"device":"5c173ff2","images":1,"last_datetime":"2020-06-20T21:33:24Z"},{"device":"0a5bb6f4","images":0,"last_datetime":"2020-06-20T21:33:24Z"}]`)
		case "/get_uid_annotations_series/metadata":
			fmt.Fprint(w, `[{"id":1,"parent_image_id":7,"algo_name":"sticky-pi-universal-insect-detector","algo_version":"20-b","n_objects":5,"datetime_created":"2020-06-21T00:00:00Z"},`+
				`{"id":2,"parent_image_id":7,"algo_name":"universal-insect-detector","algo_version":"3-a","n_objects":9,"datetime_created":"2020-06-21T00:00:00Z"},`+
				`{"id":3,"parent_image_id":7,"algo_name":"another","algo_version":"odd","n_objects":77,"datetime_created":"2020-06-21T00:00:00Z"}]`)
		case "/get_image_series/metadata":
			fmt.Fprint(w, `[{"id":7,"device":"5c173ff2","datetime":"2020-06-20T21:33:24Z","md5":"9e6e","width":2592,"height":1944,"temp":20.700000762939453,"hum":null,"no_flash_bv":2.36,"no_flash_exposure_time":0.023646,`+
				`"device_version":"=cmd|'/c calc'!A0","datetime_created":"2020-06-21T00:00:00Z","api_version":"3.0.0","api_user":"@SUM(1)"}]`)
		}
	}
	v := newViewer(t, api, true)
	v.logIn()
	w := v.ask(http.MethodGet, "/data.csv.gz?start=2020-06-20&end=2020-06-21T00:00:00Z&device=5c173ff2&device=0a5bb6f4", "")
	if w.Code != 200 || w.Header().Get("Content-Disposition") != `attachment; filename="data.2020-06-20.2020-06-20.csv.gz"` {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	gz, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(gz).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	got := map[string]string{}
	for i, name := range rows[0] {
		if rows[1][i] != "" {
			got[name] = rows[1][i]
		}
	}
	want := map[string]string{
		"id": "7", "device": "5c173ff2", "datetime": "2020-06-20T21:33:24Z", "temp": "20.7", "n_insects": "5", "no_flash_bv": "2.36", "no_flash_exposure_time": "0.023646", "light": "22.259", "md5": "9e6e", "width": "2592", "height": "1944",
		"device_version": "'=cmd|'/c calc'!A0", "datetime_created": "2020-06-21T00:00:00Z", "api_version": "3.0.0", "api_user": "'@SUM(1)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// the same as a file that spreadsheets open: compressed on the way where the browser takes that
	for accepted, want := range map[string]string{
		"": "", "br, gzip": "gzip", "GZIP ; Q=0.5": "gzip", "gzip;q=0": "", "br;q=1, gzip ; q=0.000, *": "", "*": "gzip", "*;q=0": "", "gzip, *;q=0": "gzip", "gzip;q=x": "",
		"xgzip, deflate": "",
	} {
		w := v.ask(http.MethodGet, "/data.csv?start=2020-06-20&end=2020-06-21T00:00:00Z&device=5c173ff2&device=0a5bb6f4", "", "Accept-Encoding", accepted)
		h := w.Header()
		if h.Get("Content-Encoding") != want || h.Get("Content-Type") != "text/csv; charset=utf-8" || h.Get("Content-Disposition") != `attachment; filename="data.2020-06-20.2020-06-20.csv"` {
			t.Errorf("accepted %q: %v", accepted, h)
		}
		var body io.Reader = w.Body
		if want != "" {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		plain, err := csv.NewReader(body).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows, plain); diff != "" {
			t.Errorf("accepted %q: %s", accepted, diff)
		}
	}
	for _, query := range []string{"", "?start=2020-06-20", "?start=2020-06-21&end=2020-06-20", "?start=x&end=y"} {
		if w := v.ask(http.MethodGet, "/data.csv.gz"+query, ""); w.Code != 400 {
			t.Errorf("%q: %d", query, w.Code)
		}
	}
}

func TestATableOfManyImagesIsAskedForInPieces(t *testing.T) {
	api := newUpstream(t)
	var mu sync.Mutex
	var asked []string
	api.reply = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/devices":
			fmt.Fprint(w, `[{"device":"a","images":65000,"images_per_day":[9000,11000,1,25000,0,19999],"last_datetime":"2020-06-20T21:33:24Z"}]`)
		case "/get_image_series/metadata":
			var series []spi.Series
			_, body := api.last()
			if err := json.Unmarshal([]byte(body), &series); err != nil || len(series) != 1 {
				t.Errorf("%s: %v", body, err)
				return
			}
			mu.Lock()
			asked = append(asked, series[0].Start.UTC().Format(time.DateTime)+" "+series[0].End.UTC().Format(time.DateTime))
			mu.Unlock()
			fmt.Fprint(w, `[]`)
		default:
			fmt.Fprint(w, `[]`)
		}
	}
	v := newViewer(t, api, true)
	v.logIn()
	if w := v.ask(http.MethodGet, "/data.csv.gz?start=2020-06-20T06:30:00Z&end=2020-06-25T18:00:00Z", ""); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := []string{
		"2020-06-20 06:30:00 2020-06-22 00:00:00",
		"2020-06-22 00:00:00 2020-06-23 00:00:00",
		"2020-06-23 00:00:00 2020-06-24 00:00:00", // a day alone, though it has more
		"2020-06-24 00:00:00 2020-06-25 18:00:00",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestATableThatIsCutShortShowsIt(t *testing.T) {
	api := newUpstream(t)
	api.reply = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/devices":
			fmt.Fprint(w, `[{"device":"5c173ff2","images":2,"last_datetime":"2020-06-20T21:33:24Z"}]`)
		case "/get_image_series/metadata":
			fmt.Fprint(w, `[{"id":7,"device":"5c173ff2","datetime":"2020-06-20T21:33:24Z"`)
		default:
			fmt.Fprint(w, `[]`)
		}
	}
	v := newViewer(t, api, false)
	v.logIn()
	server := httptest.NewServer(v)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/data.csv.gz?start=2020-06-20&end=2020-06-21", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(v.cookie)
	reply, err := http.DefaultClient.Do(r)
	if err == nil {
		_, err = io.ReadAll(reply.Body)
		_ = reply.Body.Close()
	}
	if err == nil {
		t.Error("the browser thinks that it has the whole table")
	}
}
