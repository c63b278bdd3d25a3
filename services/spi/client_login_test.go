package spi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func countNew(opened chan<- struct{}) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened <- struct{}{}
		}
	}
}

func TestASavedTokenRenewsItself(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "[]") })
	now := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	s.clock = func() time.Time { return now }
	type saved struct {
		Token   Token
		RenewAt time.Time
	}
	var kept []saved
	w := &waits{}
	c, err := New(s.URL, WithRetry(w.retry()), WithClock(func() time.Time { return now }),
		WithSavedToken(Token{Token: "old", Expiration: now.Add(time.Hour).Unix()}, now.Add(30*time.Minute), func(token Token, renewAt time.Time) {
			kept = append(kept, saved{token, renewAt})
		}))
	if err != nil {
		t.Fatal(err)
	}
	for _, passed := range []time.Duration{0, 29 * time.Minute, 2 * time.Minute, 20 * time.Hour, 2 * time.Hour} {
		now = now.Add(passed)
		if _, err := c.GetUsers(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "requests", s.requests(), []string{
		"/get_users old:", "/get_users old:", "/get_token old:", "/get_users t1:", "/get_users t1:", "/get_token t1:", "/get_users t2:",
	})
	first, second := time.Date(2026, 6, 20, 12, 31, 0, 0, time.UTC), time.Date(2026, 6, 21, 10, 31, 0, 0, time.UTC)
	const life = 24 * time.Hour / 10 * 9
	expect(t, "kept", kept, []saved{
		{Token{"t1", first.Add(24 * time.Hour).Unix()}, first.Add(life)}, {Token{"t2", second.Add(24 * time.Hour).Unix()}, second.Add(life)},
	})
}

func TestASavedTokenThatEndedIsUnauthorized(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		refuse(w, CodeUnauthorized, "the token is not valid (any more)")
	})
	c, err := New(s.URL, WithSavedToken(Token{Token: "old"}, time.Time{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetUsers(t.Context())
	expectCode(t, err, CodeUnauthorized)
	expect(t, "requests", s.requests(), []string{"/get_users old:"})
}

func TestClockAheadIsHowWrongThisClockIs(t *testing.T) {
	for _, wrong := range []time.Duration{0, 3 * time.Hour, -20 * time.Minute} {
		s := newServer(t, nil)
		server := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
		s.clock = func() time.Time { return server }
		c, _ := newClient(t, s, WithClock(func() time.Time { return server.Add(wrong) }))
		if ahead, known := c.ClockAhead(t.Context()); known {
			t.Errorf("before the log-in the clock is said to be %v ahead", ahead)
		}
		if _, err := c.GetToken(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ahead, known := c.ClockAhead(t.Context()); ahead != wrong || !known {
			t.Errorf("ahead by %v, %v; want %v", ahead, known, wrong)
		}
	}
}

func TestRootCAsAreWhomTheClientTrusts(t *testing.T) {
	requests := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		write(w, "[]")
	}))
	t.Cleanup(s.Close)
	w := &waits{}

	c, err := New(s.URL, WithToken("mine"), WithRetry(w.retry()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetUsers(t.Context())
	expectCode(t, err, CodeUnavailable)
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("the error is %v", err)
	}

	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	if c, err = New(s.URL, WithToken("mine"), WithRootCAs(pool)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetUsers(t.Context()); err != nil {
		t.Error(err)
	}
	expect(t, "requests", requests, 1)
	expect(t, "waits", len(w.all), 0)
}

func TestHTTPSToAPlainPortIsNotTriedAgain(t *testing.T) {
	s := newServer(t, nil)
	w := &waits{}
	c, err := New("https"+s.URL[len("http"):], WithToken("mine"), WithRetry(w.retry()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetUsers(t.Context())
	expectCode(t, err, CodeInvalid)
	var record tls.RecordHeaderError
	if !errors.Is(err, http.ErrSchemeMismatch) && !errors.As(err, &record) {
		t.Errorf("the error is %v", err)
	}
	expect(t, "waits", len(w.all), 0)
}

func TestAReplyThatNoAPIWouldGiveIsKnown(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, "<html>welcome</html>") }))
	t.Cleanup(s.Close)
	w := &waits{}
	c, err := New(s.URL, WithPassword("anna", "secret"), WithRetry(w.retry()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetToken(t.Context()); !errors.Is(err, ErrNoAPI) {
		t.Errorf("the error of a log-in is %v", err)
	}
	if c, err = New(s.URL, WithToken("mine"), WithRetry(w.retry())); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetUsers(t.Context()); !errors.Is(err, ErrNoAPI) {
		t.Errorf("the error of a list is %v", err)
	}
}
