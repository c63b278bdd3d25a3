package spi

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"
)

// server is a stand-in for faults that a real server cannot be made to show. It gives tokens t1, t2, ...; every other
// request is answered by answer, told how many there were before.
type server struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, n int)
	life   time.Duration // of a token
	clock  func() time.Time

	mu   sync.Mutex
	seen []string // "path user:password" of each request
	n    int
}

func newServer(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) *server {
	t.Helper()
	s := &server{answer: answer, life: 24 * time.Hour, clock: time.Now}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	s.mu.Lock()
	s.seen = append(s.seen, fmt.Sprintf("%s %s:%s", r.URL.Path, user, password))
	tokens := 0
	for _, line := range s.seen {
		if strings.HasPrefix(line, "/get_token ") {
			tokens++
		}
	}
	n := s.n
	if r.URL.Path != "/get_token" {
		s.n++
	}
	s.mu.Unlock()
	if r.URL.Path == "/get_token" {
		w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
		_, _ = fmt.Fprintf(w, `{"expiration":%d,"token":"t%d"}`, s.clock().Add(s.life).Unix(), tokens)
		return
	}
	s.answer(w, r, n)
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.seen...)
}

// waits notes the waits of a client instead of waiting.
type waits struct{ all []time.Duration }

func (w *waits) retry() Retry {
	return Retry{
		Attempts: 3,
		BackOff:  func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) },
		Wait: func(_ context.Context, d time.Duration) error {
			w.all = append(w.all, d)
			return nil
		},
	}
}

func newClient(t *testing.T, s *server, options ...Option) (*Client, *waits) {
	t.Helper()
	w := &waits{}
	c, err := New(s.URL, append([]Option{WithPassword("anna", "secret"), WithRetry(w.retry())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

func refuse(w http.ResponseWriter, code Code, message string) {
	w.Header().Set("X-Request-Id", "req-1")
	w.WriteHeader(code.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": code, "message": message}})
}

// drop ends the connection without a reply.
func drop(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func write(w http.ResponseWriter, text string) { _, _ = io.WriteString(w, text) }

const oneUser = `[{"api_user":null,"api_version":"3.0.0","can_write":true,"datetime_created":"2020-06-01T08:00:00Z",` +
	`"email":null,"id":2,"is_admin":false,"password_hash":"***********","username":"field1"}]`

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func expectCode(t *testing.T, err error, want Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("the error is %v, want code %s", err, want)
	}
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{
		"", "api.example.org", "api.example.org:443", "ftp://api.example.org", "https://", "https://anna:secret@api.example.org",
		"https://api.example.org/?a=b", "https://api.example.org/#top", "http://[", "/get_users",
	} {
		_, err := New(address)
		expectCode(t, err, CodeInvalid)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error %v shows the password", address, err)
		}
	}
}

func TestClientLogsInOnceAndGoesOnWithTheToken(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, oneUser) })
	c, _ := newClient(t, s)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			users, err := c.GetUsers(t.Context(), UserFilter{"username": "field%", "is_admin": false, "email": nil})
			if err != nil {
				t.Error(err)
				return
			}
			expect(t, "users", users, []User{{
				ID: 2, Username: "field1", CanWrite: true, PasswordHash: "***********",
				APIVersion: new("3.0.0"), DatetimeCreated: Datetime{time.Date(2020, 6, 1, 8, 0, 0, 0, time.UTC)},
			}})
		})
	}
	all.Wait()
	want := []string{"/get_token anna:secret"}
	for range 8 {
		want = append(want, "/get_users t1:")
	}
	expect(t, "requests", s.requests(), want)
}

func TestClientSendsWhatTheProtocolSays(t *testing.T) {
	type sent struct{ Method, Path, Type, Agent, Body string }
	var got []sent
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, sent{r.Method, r.URL.EscapedPath(), r.Header.Get("Content-Type"), r.UserAgent(), string(body)})
		write(w, "[]")
	})
	c, _ := newClient(t, s, WithUserAgent("tests"))
	when := Datetime{time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)}
	key := ImageKey{Device: "5c173ff2", Datetime: when}
	calls := []func() error{
		func() error { _, err := c.GetUsers(t.Context()); return err },
		func() error {
			_, err := c.PutUsers(t.Context(), NewUser{Username: "a", Password: "p", CanWrite: new(false)})
			return err
		},
		func() error { _, err := c.DeleteUsers(t.Context(), UserFilter{"id": 7}); return err },
		func() error { _, err := c.DeleteImages(t.Context(), key); return err },
		func() error { _, err := Collect(c.GetImages(t.Context(), ThumbnailMini, []ImageKey{key})); return err },
		func() error { _, err := Collect(c.GetImages(t.Context(), "../a?b", nil)); return err },
		func() error {
			_, err := Collect(c.GetImageSeries(t.Context(), FullImage, Series{Device: "%", Start: when, End: when}))
			return err
		},
	}
	for _, call := range calls {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	const keyText = `[{"device":"5c173ff2","datetime":"2020-06-20T21:33:24Z"}]`
	want := []sent{
		{"POST", "/get_users", "application/json", "tests", `[]`},
		{"POST", "/put_users", "application/json", "tests", `[{"username":"a","password":"p","can_write":false}]`},
		{"POST", "/delete_users", "application/json", "tests", `[{"id":7}]`},
		{"POST", "/delete_images", "application/json", "tests", keyText},
		{"POST", "/get_images/thumbnail-mini", "application/json", "tests", keyText},
		{"POST", "/get_images/..%2Fa%3Fb", "application/json", "tests", `[]`},
		{"POST", "/get_image_series/image", "application/json", "tests",
			`[{"device":"%","start_datetime":"2020-06-20T21:33:24Z","end_datetime":"2020-06-20T21:33:24Z"}]`},
	}
	expect(t, "requests", got, want)
}

func TestClientKeepsThePathOfTheAddress(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "[]") })
	for _, suffix := range []string{"/api", "/api/"} {
		c, err := New(s.URL+suffix, WithToken("mine"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetUsers(t.Context()); err != nil {
			t.Error(err)
		}
	}
	expect(t, "requests", s.requests(), []string{"/api/get_users mine:", "/api/get_users mine:"})
}

func TestClientRenewsATokenBeforeItEnds(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "[]") })
	serverTime := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.clock = func() time.Time { return serverTime }
	clientTime := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC) // a clock that is nine years slow
	c, _ := newClient(t, s, WithClock(func() time.Time { return clientTime }))
	for _, passed := range []time.Duration{0, 21 * time.Hour, time.Hour} {
		serverTime, clientTime = serverTime.Add(passed), clientTime.Add(passed)
		if _, err := c.GetUsers(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "requests", s.requests(), []string{
		"/get_token anna:secret", "/get_users t1:", "/get_users t1:", "/get_token anna:secret", "/get_users t2:",
	})
}

func TestClientLogsInAgainWhereATokenIsRefused(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if token, _, _ := r.BasicAuth(); token == "stale" {
			refuse(w, CodeUnauthorized, "the token is not valid (any more)")
			return
		}
		body, _ := io.ReadAll(r.Body)
		if string(body) != `[{"id":1}]` {
			t.Errorf("sent again with the body %q", body)
		}
		write(w, "[]")
	})
	c, waits := newClient(t, s, WithToken("stale"))
	if _, err := c.GetUsers(t.Context(), UserFilter{"id": 1}); err != nil {
		t.Error(err)
	}
	expect(t, "requests", s.requests(), []string{"/get_users stale:", "/get_token anna:secret", "/get_users t1:"})
	expect(t, "waits", len(waits.all), 0)
}

func TestClientGivesUpWhereTheNewTokenIsRefusedToo(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, CodeUnauthorized, "no") })
	c, _ := newClient(t, s)
	_, err := c.GetUsers(t.Context())
	expectCode(t, err, CodeUnauthorized)
	expect(t, "requests", s.requests(), []string{
		"/get_token anna:secret", "/get_users t1:", "/get_token anna:secret", "/get_users t2:",
	})
}

func TestClientWithATokenAloneDoesNotLogIn(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if token, _, _ := r.BasicAuth(); token == "mine" {
			refuse(w, CodeUnauthorized, "the token is not valid (any more)")
			return
		}
		write(w, "[]")
	})
	w := &waits{}
	c, err := New(s.URL, WithToken("mine"), WithRetry(w.retry()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetUsers(t.Context())
	expectCode(t, err, CodeUnauthorized)
	token, err := c.GetToken(t.Context())
	if err != nil || token.Token != "t1" {
		t.Errorf("GetToken gives %v, %v", token, err)
	}
	if _, err := c.GetUsers(t.Context()); err != nil {
		t.Error(err)
	}
	expect(t, "requests", s.requests(), []string{"/get_users mine:", "/get_token mine:", "/get_users t1:"})
}

func TestResetPasswordOfItselfGoesOnWithTheNewOne(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, oneUser) })
	c, _ := newClient(t, s)
	if _, err := c.ResetPassword(t.Context(), "Anna", "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ResetPassword(t.Context(), "field1", "other"); err != nil {
		t.Fatal(err)
	}
	expect(t, "requests", s.requests(), []string{
		"/get_token anna:secret", "/reset_password t1:", "/get_token anna:new", "/reset_password t2:",
	})
}

func TestClientSendsAgainWhatMayPass(t *testing.T) {
	status := func(status int, header string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(status)
		}
	}
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		fault func(http.ResponseWriter)
		wait  time.Duration
	}{
		{"dropped connection", drop, time.Second},
		{"429 with seconds", status(429, "30"), 30 * time.Second},
		{"429 with a date", status(429, now.Add(time.Minute).Format(http.TimeFormat)), time.Minute},
		{"429 with nonsense", status(429, "soon"), time.Second},
		{"502", status(502, ""), time.Second},
		{"503", status(503, ""), time.Second},
		{"503 with a shorter wait", status(503, "0"), time.Second},
		{"503 with a wait that is over", status(503, now.Add(-time.Minute).Format(http.TimeFormat)), time.Second},
		{"504", status(504, ""), time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request, n int) {
				if n < 2 {
					test.fault(w)
					return
				}
				write(w, oneUser)
			})
			c, waits := newClient(t, s, WithClock(func() time.Time { return now }), WithToken("t0"))
			users, err := c.GetUsers(t.Context())
			if err != nil || len(users) != 1 {
				t.Errorf("%d users, %v", len(users), err)
			}
			expect(t, "waits", waits.all, []time.Duration{test.wait, test.wait})
		})
	}
}

func TestClientStopsAfterTheLastAttempt(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		refuse(w, CodeUnavailable, fmt.Sprintf("the database is away (%d)", n))
	})
	c, waits := newClient(t, s)
	_, err := c.GetUsers(t.Context())
	expectCode(t, err, CodeUnavailable)
	if err == nil || !strings.Contains(err.Error(), "the database is away (2)") || !strings.Contains(err.Error(), "req-1") {
		t.Errorf("the error is %v, want the last one of the server with the request's id", err)
	}
	expect(t, "waits", len(waits.all), 2)
}

func TestClientDoesNotWaitLongerThanItMay(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Retry-After", "99999999999999999")
		refuse(w, CodeRateLimited, "wait")
	})
	c, waits := newClient(t, s)
	_, err := c.GetUsers(t.Context())
	expectCode(t, err, CodeRateLimited)
	var e *Error
	if !errors.As(err, &e) || e.RetryAfter < 24*time.Hour {
		t.Errorf("the error does not say how long to wait: %v", err)
	}
	expect(t, "waits", len(waits.all), 0)
}

func TestClientDoesNotSendAgainWhatCannotPass(t *testing.T) {
	for _, code := range []Code{
		CodeInvalid, CodeForbidden, CodeNotFound, CodeMethodNotAllowed, CodeConflict, CodeTooLarge, CodeUnsupportedMedia, CodeInternal,
	} {
		t.Run(string(code), func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, code, "no") })
			c, waits := newClient(t, s)
			_, err := c.GetUsers(t.Context())
			expectCode(t, err, code)
			expect(t, "requests", len(s.requests()), 2)
			expect(t, "waits", len(waits.all), 0)
		})
	}
}

func TestPutUsersIsNotSentAgainWhereItMayBeDone(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(http.ResponseWriter)
		sent  int
	}{
		{"dropped connection", drop, 1},
		{"504", func(w http.ResponseWriter) { w.WriteHeader(504) }, 1},
		{"503", func(w http.ResponseWriter) { w.WriteHeader(503) }, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { test.fault(w) })
			c, _ := newClient(t, s, WithToken("t0"))
			_, err := c.PutUsers(t.Context(), NewUser{Username: "a", Password: "p"})
			expectCode(t, err, CodeUnavailable)
			expect(t, "requests", len(s.requests()), test.sent)
		})
	}
}

func TestClientStopsWithItsContext(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(503) })
	ctx, cancel := context.WithCancel(t.Context())
	retry := Retry{Wait: func(ctx context.Context, _ time.Duration) error {
		cancel()
		return wait(ctx, time.Hour)
	}}
	c, _ := newClient(t, s, WithRetry(retry))
	if _, err := c.GetUsers(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("while it waits: %v", err)
	}
	if _, err := c.GetUsers(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("before it begins: %v", err)
	}
	if _, err := c.GetToken(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("log-in: %v", err)
	}
	if _, err := c.PutImage(ctx, FileOf("a", nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("upload: %v", err)
	}
}

func TestClientReadsErrorsOfOthersToo(t *testing.T) {
	for _, test := range []struct {
		name, location, body string
		status               int
		code                 Code
		message              string
	}{
		{"ours", "", `{"error":{"code":"conflict","message":"is there"}}`, 409, CodeConflict, "is there"},
		{"a code that we do not know", "", `{"error":{"code":"teapot","message":"is a pot"}}`, 418, CodeInvalid, "is a pot"},
		{"no body", "", "", 404, CodeNotFound, "the server answered 404 Not Found"},
		{"a page", "", "<html><h1>413</h1></html>", 413, CodeTooLarge, "the server answered 413 Request Entity Too Large"},
		{"a line", "", " out of\n\x00 paper ", 500, CodeInternal, "the server answered 500 Internal Server Error: out of ? paper"},
		{"JSON of another kind", "", `{"error":"no"}`, 400, CodeInvalid, `the server answered 400 Bad Request: {"error":"no"}`},
		{"a redirect", "https://elsewhere.example.org/get_users", "", 301, CodeInvalid,
			`the server sends us on to "https://elsewhere.example.org/get_users": use that address`},
		{"no content", "", "", 204, CodeInternal, "the server answered 204 No Content"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				if test.location != "" {
					w.Header().Set("Location", test.location)
				}
				w.WriteHeader(test.status)
				write(w, test.body)
			})
			c, _ := newClient(t, s)
			_, err := c.GetUsers(t.Context())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("the error is %v", err)
			}
			expect(t, "code", e.Code, test.code)
			expect(t, "message", e.Message, test.message)
			expect(t, "of a gateway", errors.Is(err, ErrGateway), strings.Contains(test.message, "the server "))
		})
	}
}

func TestClientReadsOnlyTheBeginningOfAnError(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		w.WriteHeader(500)
		for r.Context().Err() == nil { // without end
			if _, err := w.Write(bytes.Repeat([]byte("x"), 32<<10)); err != nil {
				return
			}
		}
	})
	c, _ := newClient(t, s)
	_, err := c.GetUsers(t.Context())
	expectCode(t, err, CodeInternal)
	if err != nil && len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func imageJSON(id int, device, md5 string) string {
	return fmt.Sprintf(`{"alt":null,"api_user":"anna","api_version":"3.0.0","bat":null,"but":null,"datetime":"2020-06-20T21:33:24Z",`+
		`"datetime_created":"2020-06-22T09:12:40Z","device":%q,"device_version":null,"height":1944,"hum":76.80000305175781,"id":%d,`+
		`"lat":null,"lng":null,"lum":null,"md5":%q,"no_flash_bv":null,"no_flash_exposure_time":null,"no_flash_iso":null,`+
		`"no_flash_shutter_speed":null,"temp":21.9,"url":"","width":2592}`, device, id, md5)
}

func TestGetImagesGivesImagesAsTheyCome(t *testing.T) {
	received := make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		write(w, "["+imageJSON(1, "5c173ff2", "m1"))
		_ = http.NewResponseController(w).Flush()
		<-received // the second image is not made before the client has the first
		write(w, ","+imageJSON(2, "5c173ff2", "m2")+"]")
	})
	c, _ := newClient(t, s)
	var ids []int64
	for image, err := range c.GetImages(t.Context(), Metadata, nil) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, image.ID)
		if image.ID == 1 {
			close(received)
		}
	}
	expect(t, "ids", ids, []int64{1, 2})
}

func TestGetImagesIsARequestEachRange(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		write(w, "["+imageJSON(1, "5c173ff2", "m1")+","+imageJSON(2, "5c173ff2", "m2")+"]")
	})
	c, _ := newClient(t, s, WithToken("t0"))
	images := c.GetImageSeries(t.Context(), Metadata)
	for range 2 {
		for image, err := range images {
			if err != nil || image.ID != 1 {
				t.Errorf("image %d, %v", image.ID, err)
			}
			break
		}
	}
	expect(t, "requests", len(s.requests()), 2)
}

func TestGetImagesSaysThatAReplyBrokeOff(t *testing.T) {
	first := imageJSON(1, "5c173ff2", "m1")
	for _, test := range []struct {
		name, reply string
		drop        bool
		images      int
	}{
		{"between images", "[" + first + ",", true, 1},
		{"after an image", "[" + first, false, 1},
		{"inside an image", "[" + first + "," + first[:100], true, 1},
		{"at its beginning", "", true, 0},
		{"not a list", `{"token":1}`, false, 0},
		{"a page", "<html>log in to this network</html>", false, 0},
		{"null", "null", false, 0},
		{"another type", `[{"id":"one"}]`, false, 0},
		{"an endless image", `[{"device":"` + strings.Repeat("5", 3*maxRow) + `"}]`, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				write(w, test.reply)
				if test.drop {
					_ = http.NewResponseController(w).Flush()
					drop(w)
				}
			})
			c, _ := newClient(t, s, WithToken("t0"))
			images, err := Collect(c.GetImages(t.Context(), Metadata, nil))
			expectCode(t, err, CodeUnavailable)
			expect(t, "images", len(images), test.images)
			expect(t, "requests", len(s.requests()), 1)
		})
	}
}

// card is a server that stores images in memory. before and after may fail a request of _put_new_images, told how many
// there were before: before it stores anything, or after.
type card struct {
	*server
	before, after func(w http.ResponseWriter, n int) (failed bool)

	// mu is held while a request is served, also one whose client has got its answer, or none, already
	mu    sync.Mutex
	md5s  map[string]string // by file name
	forms [][]string        // the names of the fields of each form
	tries int
}

func newCard(t *testing.T) *card {
	t.Helper()
	k := &card{md5s: map[string]string{}}
	pass := func(http.ResponseWriter, int) bool { return false }
	k.before, k.after = pass, pass
	k.server = newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if r.URL.Path == "/get_images/metadata" {
			k.find(t, w, r)
			return
		}
		k.put(t, w, r)
	})
	return k
}

func (k *card) find(t *testing.T, w http.ResponseWriter, r *http.Request) {
	t.Helper()
	var keys []ImageKey
	if err := json.NewDecoder(r.Body).Decode(&keys); err != nil {
		t.Error(err)
	}
	rows := []string{}
	for _, key := range keys {
		if sum, ok := k.md5s[key.Device+"."+FormatDatetime(key.Datetime.Time, DateV1)+".jpg"]; ok {
			rows = append(rows, imageJSON(7, strings.ToUpper(key.Device), sum))
		}
	}
	write(w, "["+strings.Join(rows, ",")+"]")
}

func (k *card) put(t *testing.T, w http.ResponseWriter, r *http.Request) {
	t.Helper()
	n := k.tries
	k.tries++
	if k.before(w, n) {
		return
	}
	if r.ContentLength <= 0 {
		t.Errorf("the form's length is %d", r.ContentLength)
	}
	form, err := r.MultipartReader()
	if err != nil {
		t.Error(err)
		return
	}
	var fields, rows []string
	sums := map[string]string{}
	failure := ""
	for {
		var part *multipart.Part
		if part, err = form.NextPart(); err != nil {
			break
		}
		name := part.FormName()
		fields = append(fields, name)
		data, err := io.ReadAll(part)
		if err != nil {
			t.Error(err)
			return
		}
		if file, ok := strings.CutSuffix(name, ".md5"); ok {
			sums[file] = string(data)
			continue
		}
		sum := sumOf(data)
		if sums[name] != sum {
			t.Errorf("%s: the form says md5 %q, the bytes have %q", name, sums[name], sum)
		}
		if _, there := k.md5s[name]; there && failure == "" {
			failure = name + " is there already"
		}
		if failure == "" {
			k.md5s[name] = sum
			device, _, _ := strings.Cut(name, ".")
			rows = append(rows, imageJSON(len(k.md5s), device, sum))
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	k.forms = append(k.forms, fields)
	switch {
	case k.after(w, n):
	case failure != "":
		refuse(w, CodeConflict, failure)
	default:
		write(w, "["+strings.Join(rows, ",")+"]")
	}
}

func sumOf(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

const (
	fileA = "5c173ff2.2020-06-20_21-33-24.jpg"
	fileB = "0a902d44.2020-06-20_21-33-24.jpg"
)

func md5Of(images []Image) []string {
	out := []string{}
	for _, image := range images {
		out = append(out, image.MD5)
	}
	return out
}

func TestPutImagesSendsFilesWithTheirChecksums(t *testing.T) {
	k := newCard(t)
	path := filepath.Join(t.TempDir(), fileB)
	large := bytes.Repeat([]byte("large"), 1<<20)
	if err := os.WriteFile(path, large, 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, k.server)
	images, err := c.PutImages(t.Context(), FileOf(fileA, []byte("a")), FileAt(path))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "images", md5Of(images), []string{sumOf([]byte("a")), sumOf(large)})
	k.mu.Lock()
	defer k.mu.Unlock()
	expect(t, "fields", k.forms, [][]string{{fileA + ".md5", fileA, fileB + ".md5", fileB}})
}

func TestPutImagesReadsAFileWhoseChecksumIsKnownOnlyToSendIt(t *testing.T) {
	k := newCard(t)
	c, _ := newClient(t, k.server)
	data, opened := []byte("a photograph"), 0
	file := File{Name: fileA, MD5: sumOf(data), Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
	image, err := c.PutImage(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "md5", image.MD5, sumOf(data))
	expect(t, "opened", opened, 1)
}

func TestPutImagesOfNoFilesSendsNothing(t *testing.T) {
	k := newCard(t)
	c, _ := newClient(t, k.server)
	images, err := c.PutImages(t.Context())
	if err != nil || len(images) != 0 {
		t.Errorf("%v, %v", images, err)
	}
	expect(t, "requests", len(k.requests()), 0)
}

func TestPutImagesTakesWhatIsStoredForUploaded(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	first := func(fault func(http.ResponseWriter)) func(http.ResponseWriter, int) bool {
		return func(w http.ResponseWriter, n int) bool {
			if n == 0 {
				fault(w)
			}
			return n == 0
		}
	}
	gatewayGaveUp := func(w http.ResponseWriter) { w.WriteHeader(504) }
	for _, test := range []struct {
		name    string
		prepare func(*card)
		forms   [][]string // that arrived whole
	}{
		{"the reply is lost", func(k *card) { k.after = first(drop) }, [][]string{{fileA, fileB}}},
		{"the gateway gave up", func(k *card) { k.after = first(gatewayGaveUp) }, [][]string{{fileA, fileB}}},
		{"the reply is cut", func(k *card) { k.after = first(func(w http.ResponseWriter) { write(w, "[") }) }, [][]string{{fileA, fileB}}},
		{"the request is lost", func(k *card) { k.before = first(drop) }, [][]string{{fileA, fileB}}},
		{"the server is away", func(k *card) { k.before = first(func(w http.ResponseWriter) { w.WriteHeader(503) }) }, [][]string{{fileA, fileB}}},
		{"the first file is there", func(k *card) { k.md5s[fileA] = sumOf(a) }, [][]string{{fileA, fileB}, {fileB}}},
		{"the second file is there", func(k *card) { k.md5s[fileB] = sumOf(b) }, [][]string{{fileA, fileB}}},
		{"the server stores them while it is asked again", func(k *card) {
			k.before = first(drop)
			k.after = func(w http.ResponseWriter, n int) bool {
				if n == 1 {
					refuse(w, CodeConflict, "is there already")
				}
				return n == 1
			}
		}, [][]string{{fileA, fileB}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newCard(t)
			test.prepare(k)
			c, _ := newClient(t, k.server)
			images, err := c.PutImages(t.Context(), FileOf(fileA, a), FileOf(fileB, b))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "images", md5Of(images), []string{sumOf(a), sumOf(b)})
			k.mu.Lock()
			defer k.mu.Unlock()
			expect(t, "stored", k.md5s, map[string]string{fileA: sumOf(a), fileB: sumOf(b)})
			got := [][]string{}
			for _, form := range k.forms {
				files := []string{}
				for _, field := range form {
					if !strings.HasSuffix(field, ".md5") {
						files = append(files, field)
					}
				}
				got = append(got, files)
			}
			expect(t, "forms", got, test.forms)
		})
	}
}

func TestPutImageDoesNotTakeOtherBytesForUploaded(t *testing.T) {
	k := newCard(t)
	k.md5s[fileA] = sumOf([]byte("other"))
	c, _ := newClient(t, k.server)
	_, err := c.PutImage(t.Context(), FileOf(fileA, []byte("a")))
	expectCode(t, err, CodeConflict)
	if err != nil && !strings.Contains(err.Error(), fileA) {
		t.Errorf("the error %v does not name the file", err)
	}
}

func TestPutImageGivesAConflictThatTheServerDoesNotExplain(t *testing.T) {
	k := newCard(t)
	k.before = func(w http.ResponseWriter, _ int) bool { refuse(w, CodeConflict, "no"); return true }
	c, _ := newClient(t, k.server)
	for _, name := range []string{fileA, "notes.txt", "%.2020-06-20_21-33-24.jpg"} {
		_, err := c.PutImage(t.Context(), FileOf(name, nil))
		expectCode(t, err, CodeConflict)
	}
}

func TestPutImageStopsAfterTheLastAttempt(t *testing.T) {
	k := newCard(t)
	k.before = func(w http.ResponseWriter, _ int) bool { w.WriteHeader(503); return true }
	c, waits := newClient(t, k.server)
	_, err := c.PutImage(t.Context(), FileOf(fileA, []byte("a")))
	expectCode(t, err, CodeUnavailable)
	k.mu.Lock()
	defer k.mu.Unlock()
	expect(t, "uploads", k.tries, 3)
	expect(t, "waits", len(waits.all), 2)
}

func TestPutImagesRefusesFilesThatItCannotSend(t *testing.T) {
	broken := errors.New("bad sector")
	opened := 0
	for _, test := range []struct {
		name  string
		files []File
		cause error
	}{
		{"twice", []File{FileOf(fileA, nil), FileOf(fileA, nil)}, nil},
		{"missing", []File{FileAt(filepath.Join(t.TempDir(), fileA))}, os.ErrNotExist},
		{"unreadable", []File{{Name: fileA, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("a"), faulty{broken})), nil
		}}}, broken},
		{"becomes unreadable", []File{{Name: fileA, Open: func() (io.ReadCloser, error) {
			if opened++; opened > 1 {
				return nil, broken
			}
			return io.NopCloser(strings.NewReader("abc")), nil
		}}}, broken},
		{"becomes shorter", []File{{Name: fileA, Open: func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(strings.NewReader(strings.Repeat("a", 100-opened))), nil
		}}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			opened = 0
			s := newServer(t, func(http.ResponseWriter, *http.Request, int) {})
			c, waits := newClient(t, s, WithToken("t0"))
			_, err := c.PutImages(t.Context(), test.files...)
			expectCode(t, err, CodeInvalid)
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("the error %v does not hold %v", err, test.cause)
			}
			expect(t, "waits", len(waits.all), 0)
		})
	}
}

// faulty is a reader that fails.
type faulty struct{ err error }

func (f faulty) Read([]byte) (int, error) { return 0, f.err }

func TestALongMessageIsCut(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.WriteHeader(http.StatusBadRequest)
		write(w, `{"error":{"code":"invalid","message":"`+strings.Repeat("ü", 20_000)+`"}}`)
	})
	c, _ := newClient(t, s)
	_, err := c.GetUsers(t.Context())
	expectCode(t, err, CodeInvalid)
	var wire *Error
	if !errors.As(err, &wire) || wire.Message != strings.Repeat("ü", maxMessage)+"..." {
		t.Errorf("the message has %d bytes", len(wire.Message))
	}
}
