package spi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// readAll is what a caller of Fetch does.
func readAll(into *string) func(io.Reader, int64) error {
	return func(body io.Reader, size int64) error {
		text, err := io.ReadAll(body)
		*into = fmt.Sprintf("%s (%d)", text, size)
		return err
	}
}

func TestFetchBeginsAnewWhereADownloadBreaksOff(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if user, _, given := r.BasicAuth(); given {
			t.Errorf("the object store was told the log-in of %q", user)
		}
		w.Header().Set("Content-Length", "7")
		switch n {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			write(w, "pic")
			drop(w)
		default:
			write(w, "picture")
		}
	})
	c, waits := newClient(t, s)
	var got string
	if err := c.Fetch(t.Context(), s.URL+"/object?X-Amz-Signature=1", readAll(&got)); err != nil {
		t.Fatal(err)
	}
	expect(t, "file", got, "picture (7)")
	expect(t, "waits", len(waits.all), 2)
}

func TestFetchEndsByWhatTheReaderSays(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "picture") })
	c, waits := newClient(t, s)
	full := errors.New("the disk is full")
	err := c.Fetch(t.Context(), s.URL, func(io.Reader, int64) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("the error is %v", err)
	}
	expect(t, "waits", len(waits.all), 0)

	calls := 0
	err = c.Fetch(t.Context(), s.URL, func(body io.Reader, _ int64) error {
		if calls++; calls < 2 {
			return Errorf(CodeUnavailable, "a wrong checksum")
		}
		_, err := io.Copy(io.Discard, body)
		return err
	})
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v; a wrong checksum is another attempt", calls, err)
	}
}

func TestFetchDoesNotSendAgainWhatCannotPass(t *testing.T) {
	for status, code := range map[int]Code{404: CodeNotFound, 403: CodeUnavailable, 400: CodeInvalid} {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(status) })
		c, _ := newClient(t, s)
		err := c.Fetch(t.Context(), s.URL, func(io.Reader, int64) error { return nil })
		expectCode(t, err, code)
		expect(t, fmt.Sprint("requests after ", status), len(s.requests()), 1)
	}
	c, _ := newClient(t, newServer(t, nil))
	expectCode(t, c.Fetch(t.Context(), "http://[", nil), CodeInternal)
}

func TestFetchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		write(w, "pic")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c, _ := newClient(t, s)
	stop := errors.New("stopped by the user")
	err := c.Fetch(ctx, s.URL, func(body io.Reader, _ int64) error {
		_, err := io.ReadFull(body, make([]byte, 3))
		cancel(stop)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		return err
	})
	if !errors.Is(err, stop) {
		t.Errorf("the error is %v", err)
	}
}

// stalls is a transport whose first reply never ends.
type stalls struct{ requests int }

func (s *stalls) RoundTrip(r *http.Request) (*http.Response, error) {
	reply := &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, ContentLength: 7, Request: r}
	s.requests++
	if s.requests > 1 {
		reply.Body = io.NopCloser(bytes.NewReader([]byte("picture")))
		return reply, nil
	}
	reply.Body = io.NopCloser(readerFunc(func([]byte) (int, error) {
		<-r.Context().Done()
		return 0, r.Context().Err()
	}))
	return reply, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestFetchGivesUpADownloadThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &stalls{}
		c, err := New("http://api.example.org", WithHTTPClient(&http.Client{Transport: transport}))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var got string
		if err := c.Fetch(t.Context(), "http://s3.example.org/object", readAll(&got)); err != nil {
			t.Fatal(err)
		}
		expect(t, "file", got, "picture (7)")
		expect(t, "requests", transport.requests, 2)
		if passed := time.Since(began); passed < stallsAfter {
			t.Errorf("it was given up after %v", passed)
		}
	})
}

func TestARequestWhoseReplyStandsStillEnds(t *testing.T) {
	for name, status := range map[string]int{"a list": http.StatusOK, "an error": http.StatusBadRequest} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New("http://api.example.org", WithToken("mine"), WithHTTPClient(&http.Client{Transport: silent(status)}))
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = c.GetUsers(t.Context())
				if err == nil {
					t.Error("no error")
				}
				if passed := time.Since(began); passed < replyStallsAfter || passed > 2*replyStallsAfter {
					t.Errorf("it ended after %v, with %v", passed, err)
				}
			})
		})
	}
}

// silent is a transport whose replies have a status and nothing else.
type silent int

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(s), Header: http.Header{}, ContentLength: -1, Request: r,
		Body: io.NopCloser(readerFunc(func([]byte) (int, error) {
			<-r.Context().Done()
			return 0, r.Context().Err()
		}))}, nil
}

func TestAReaderMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &stalls{requests: 1}
		c, err := New("http://api.example.org", WithHTTPClient(&http.Client{Transport: transport}))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = c.Fetch(t.Context(), "http://s3.example.org/object", func(body io.Reader, size int64) error {
			time.Sleep(3 * stallsAfter)
			return readAll(&got)(body, size)
		})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "file", got, "picture (7)")
	})
}

func TestClientKeepsItsConnections(t *testing.T) {
	const workers = 16
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, oneUser) }))
	opened := make(chan struct{}, 1000)
	s.Config.ConnState = countNew(opened)
	s.Start()
	t.Cleanup(s.Close)
	c, err := New(s.URL, WithToken("mine"))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		done := make(chan error, workers)
		for range workers {
			go func() {
				_, err := c.GetUsers(t.Context())
				done <- err
			}()
		}
		for range workers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	// net/http may open one for a request that another connection then takes
	if n := len(opened); n > 2*workers {
		t.Errorf("%d connections for %d workers", n, workers)
	}
}
