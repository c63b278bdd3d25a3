package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/events"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// silence is a source in which nothing is ever stored.
type silence struct{}

func (silence) NewestIDs(context.Context) (image, annotation int64, err error) { return 0, 0, nil }
func (silence) StoredImages(context.Context, store.StoredRange) ([]store.Stored, error) {
	return nil, nil
}
func (silence) StoredAnnotations(context.Context, store.StoredRange) ([]store.Stored, error) {
	return nil, nil
}

// listen runs the endpoint to its end.
func listen(ctx context.Context, hub *events.Hub, w http.ResponseWriter) error {
	gin.SetMode(gin.TestMode)
	log := slog.New(slog.DiscardHandler)
	c, _ := gin.CreateTestContext(w)
	c.Request = httptest.NewRequestWithContext(ctx, http.MethodGet, "/v2/events", http.NoBody)
	a := &api{Config: Config{Events: hub, Log: log, Now: time.Now}}
	return a.getEvents(c, &store.User{ID: 1})
}

func TestBrowsersAreToldToComeBackAtDifferentTimes(t *testing.T) {
	hub := events.New(silence{}, slog.New(slog.DiscardHandler), time.Hour, time.Now)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	begin := regexp.MustCompile(`\A:\nretry: (\d+)\n\n`)
	told := map[int]bool{}
	for range 10 {
		recorder := httptest.NewRecorder()
		if err := listen(gone, hub, recorder); err != nil {
			t.Fatal(err)
		}
		found := begin.FindStringSubmatch(recorder.Body.String())
		if found == nil {
			t.Fatalf("the stream begins with %q", recorder.Body)
		}
		retry, err := strconv.Atoi(found[1])
		if err != nil || retry < 2_000 || retry >= 10_000 {
			t.Errorf("retry after %d ms, %v", retry, err)
		}
		told[retry] = true
	}
	if len(told) < 2 {
		t.Errorf("all are told %v", told)
	}
}

// accounts are one user, or nobody while the database is away.
type accounts struct {
	user store.User
	away bool
}

func (a *accounts) UserByID(context.Context, int64) (store.User, error) {
	if a.away {
		return store.User{}, spi.Errorf(spi.CodeUnavailable, "the database does not answer")
	}
	return a.user, nil
}

func (a *accounts) UserByName(ctx context.Context, _ string) (store.User, error) {
	return a.UserByID(ctx, 0)
}

func (a *accounts) Users(context.Context, func(*store.User) bool) ([]store.User, error) {
	return nil, nil
}

func (a *accounts) SwapPasswordHash(context.Context, int64, string, string) (bool, error) {
	return false, nil
}

func TestWhoListensMayDoSoUntilTheTokenEnds(t *testing.T) {
	now := time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)
	of := &accounts{user: store.User{ID: 7, Username: "anna", PasswordHash: "hash"}}
	users, err := auth.New(of, "a secret of the tests", slog.New(slog.DiscardHandler), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	a := &api{Config: Config{Auth: users}}
	token := users.Token(&of.user).Token
	as := map[string]func(*http.Request){
		"bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) },
		"basic":  func(r *http.Request) { r.SetBasicAuth(token, "") },
	}
	for _, test := range []struct {
		after time.Duration
		away  bool
		hash  string
		may   bool
	}{
		{0, false, "hash", true},
		{auth.TokenLife - time.Second, false, "hash", true},
		{auth.TokenLife - time.Second, true, "hash", true},
		{auth.TokenLife - time.Second, false, "another", false},
		{auth.TokenLife, false, "hash", false},
		{auth.TokenLife, true, "hash", false},
	} {
		now = time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC).Add(test.after)
		of.away, of.user.PasswordHash = test.away, test.hash
		for name, sign := range as {
			gin.SetMode(gin.TestMode)
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/events", http.NoBody)
			sign(c.Request)
			if may := a.mayStill(t.Context(), c, &store.User{ID: 7, PasswordHash: "hash"}); may != test.may {
				t.Errorf("%s, %+v: %v", name, test, may)
			}
		}
	}
}

// stuck is a client that takes the beginning and nothing more, until a deadline.
type stuck struct {
	*httptest.ResponseRecorder
	waiting, deadline chan struct{}
	wait, end         func()
	begun             bool
}

func newStuck() *stuck {
	s := &stuck{ResponseRecorder: httptest.NewRecorder(), waiting: make(chan struct{}), deadline: make(chan struct{})}
	s.wait, s.end = sync.OnceFunc(func() { close(s.waiting) }), sync.OnceFunc(func() { close(s.deadline) })
	return s
}

func (s *stuck) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		return s.ResponseRecorder.Write(b)
	}
	s.wait()
	<-s.deadline
	return 0, os.ErrDeadlineExceeded
}

func (s *stuck) SetWriteDeadline(time.Time) error {
	s.end()
	return nil
}

func TestAStopDoesNotWaitForAClientThatTakesNothing(t *testing.T) {
	hub := events.New(silence{}, slog.New(slog.DiscardHandler), time.Millisecond, time.Now)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { hub.Run(ctx) })
	client := newStuck()
	running.Go(func() {
		if err := listen(t.Context(), hub, client); err != nil {
			t.Error(err)
		}
	})
	<-client.waiting
	stop()
	running.Wait()
}
