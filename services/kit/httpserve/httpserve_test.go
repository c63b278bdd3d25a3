package httpserve_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/httpserve"
)

// start serves h and gives the URL, the function that tells it to stop, and the channel of Run's error.
func start(t *testing.T, h http.HandlerFunc) (string, context.CancelFunc, <-chan error) {
	t.Helper()
	l, err := httpserve.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- httpserve.Run(ctx, slog.New(slog.DiscardHandler), l, h) }()
	t.Cleanup(stop)
	return "http://" + l.Addr().String(), stop, done
}

func post(t *testing.T, url, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return http.DefaultClient.Do(req)
}

func TestRequestsInFlightFinishAtTheStop(t *testing.T) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	url, stop, done := start(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		close(inside)
		<-goOn
		if err == nil && r.Context().Err() == nil {
			_, _ = w.Write(b)
		}
	})
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		reply, err := post(t, url, "whole")
		if err != nil {
			got <- answer{"", err}
			return
		}
		b, err := io.ReadAll(reply.Body)
		_ = reply.Body.Close()
		got <- answer{string(b), err}
	}()
	<-inside
	stop()
	// a new connection is refused once the listener is closed; the old request is still being worked on
	host := strings.TrimPrefix(url, "http://")
	var d net.Dialer
	for {
		c, err := d.DialContext(t.Context(), "tcp", host)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(goOn)
	if a := <-got; a.err != nil || a.text != "whole" {
		t.Errorf("got %q, %v", a.text, a.err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAConnectionIsUsedAgainAfterABodyWasRead(t *testing.T) {
	url, _, _ := start(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	for _, body := range []string{"one", "two", ""} {
		reply, err := post(t, url, body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(reply.Body)
		_ = reply.Body.Close()
		if err != nil || string(b) != body {
			t.Errorf("got %q, %v", b, err)
		}
	}
}

// bounded is a listener whose connections tell of each read whether it has a deadline.
type bounded struct {
	net.Listener
	reads chan bool
}

func (b bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	return &boundedConn{Conn: c, reads: b.reads}, err
}

type boundedConn struct {
	net.Conn
	reads chan bool
	has   atomic.Bool
}

func (c *boundedConn) SetReadDeadline(t time.Time) error {
	c.has.Store(!t.IsZero())
	return c.Conn.SetReadDeadline(t)
}

func (c *boundedConn) Read(p []byte) (int, error) {
	c.reads <- c.has.Load()
	return c.Conn.Read(p)
}

func TestABodyThatNobodyReadsIsNotWaitedForWithoutEnd(t *testing.T) {
	for name, length := range map[string]int{"a short reply": 5, "a long reply, whose beginning net/http sends when it has read the body": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			l, err := httpserve.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			reads := make(chan bool, 10)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- httpserve.Run(ctx, slog.New(slog.DiscardHandler), bounded{l, reads}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write(make([]byte, length))
				}))
			}()
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			for _, what := range []string{"header", "body"} {
				if !<-reads {
					t.Errorf("the %s is read without a deadline", what)
				}
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABodyIsWaitedForAsLongAsItComes(t *testing.T) {
	const photograph = 2 << 20
	for name, test := range map[string]struct {
		bytes int64         // that come at a time ...
		every time.Duration // ... so often
		whole int64         // bytes of the body
		taken bool
	}{
		"a photograph at 2 kB a second":             {2000, time.Second, photograph, true},
		"at 600 bytes a second":                     {600, time.Second, photograph, true},
		"at 2 kB a second, after a break each time": {110_000, 55 * time.Second, photograph, true},
		"a short body that comes at the last":       {100, 59 * time.Second, 100, true},
		"nothing for more than a minute":            {photograph / 2, 61 * time.Second, photograph, false},
		"a byte a minute":                           {1, 59 * time.Second, photograph, false},
		"a byte a minute, of few":                   {1, 59 * time.Second, 6, false},
		"a byte a second":                           {1, time.Second, photograph, false},
		"400 bytes a second":                        {400, time.Second, photograph, false},
	} {
		came, waited, taken := int64(0), time.Duration(0), true
		for came < test.whole && taken {
			taken = httpserve.Wait(came, waited) >= test.every
			came, waited = came+test.bytes, waited+test.every
		}
		if taken != test.taken {
			t.Errorf("%s: taken: %v, want %v; %d bytes came in %s", name, taken, test.taken, came, waited)
		}
	}
}

func TestASlowClientIsAnsweredAndLosesItsConnection(t *testing.T) {
	for name, test := range map[string]struct {
		stall, patience time.Duration
		more            bool // comes byte by byte; else nothing does
	}{
		"silent":     {50 * time.Millisecond, time.Hour, false},
		"a trickler": {time.Hour, 50 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := httpserve.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done, failed := make(chan error, 1), make(chan error, 2)
			go func() {
				done <- httpserve.RunWithin(ctx, slog.New(slog.DiscardHandler), l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for range 2 { // what is left of the body is read before an error is sent
						_, err := io.Copy(io.Discard, r.Body)
						failed <- err
					}
					w.WriteHeader(http.StatusBadRequest)
				}), test.stall, test.patience, 1<<20)
			}()
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\nbegun"); err != nil {
				t.Fatal(err)
			}
			var sending sync.WaitGroup
			if test.more {
				sending.Go(func() {
					for err := error(nil); err == nil; time.Sleep(5 * time.Millisecond) {
						_, err = io.WriteString(c, "x")
					}
				})
			}
			_ = c.SetReadDeadline(time.Now().Add(2 * time.Minute)) // so that a server that never answers fails the test
			reply, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if reply.StatusCode != http.StatusBadRequest || !reply.Close {
				t.Errorf("status %d, closes: %v", reply.StatusCode, reply.Close)
			}
			for range 2 {
				if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the body ended with %v", err)
				}
			}
			_, err = io.Copy(io.Discard, c)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
			_ = c.Close()
			sending.Wait()
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestABodyThatIsReadLateDoesNotEndTheNextRequest has a body read after its request is over, as a reverse proxy's transport may
// where the reply came first.
func TestABodyThatIsReadLateDoesNotEndTheNextRequest(t *testing.T) {
	const stall = 20 * time.Millisecond
	l, err := httpserve.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var first io.Reader
	go func() {
		done <- httpserve.RunWithin(ctx, slog.New(slog.DiscardHandler), l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if first == nil {
				first = r.Body
				return
			}
			if _, err := first.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("read late: %v", err)
			}
			select {
			case <-r.Context().Done():
				t.Error("the next request of the connection was ended")
			case <-time.After(10 * stall):
			}
		}), stall, time.Hour, 1<<20)
	}()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	replies := bufio.NewReader(c)
	for _, request := range []string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		reply, err := http.ReadResponse(replies, nil)
		if err != nil {
			t.Fatal(err)
		}
		if reply.StatusCode != http.StatusOK {
			t.Errorf("status %d", reply.StatusCode)
		}
	}
	_ = c.Close()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListenNamesTheAddressThatIsTaken(t *testing.T) {
	l, err := httpserve.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = httpserve.Listen(t.Context(), l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("got %v", err)
	}
	const elsewhere = "192.0.2.1:8080" // an address for documentation, which no machine has
	if _, err = httpserve.Listen(t.Context(), elsewhere); err == nil || !strings.Contains(err.Error(), elsewhere) || !strings.Contains(err.Error(), "no such address") {
		t.Errorf("got %v", err)
	}
}
