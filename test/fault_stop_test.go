package test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // the driver of local mode's database

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// manyRows is how many rows of images it takes for a reply that fits no buffers of sockets: about 20 MB.
const manyRows = 20_000

// addRows adds rows, without objects, to the server's database behind its back, while it is stopped.
func addRows(t *testing.T, s *stack.Stack, data string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "sticky-pi.db"))
	first := fmt.Sprint(time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
	datetime := first + " + 60 * i"
	if s.Kind == "production" {
		cfg := mysql.NewConfig()
		cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(s.Database.Host, fmt.Sprint(s.Database.Port))
		cfg.User, cfg.Passwd, cfg.DBName = s.Database.User, s.Database.Password, s.Database.Name
		cfg.Params = map[string]string{"max_recursive_iterations": "1000000", "time_zone": "'+00:00'"}
		db, err = sql.Open("mysql", cfg.FormatDSN())
		datetime = "FROM_UNIXTIME(" + datetime + ")"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	query := strings.NewReplacer("AT", datetime, "MANY", fmt.Sprint(manyRows)).Replace(`
		INSERT INTO images (device, datetime, md5, width, height, datetime_created)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < MANY)
		SELECT '0a0b0c0d', AT, '00000000000000000000000000000000', 2592, 1944, AT FROM n`)
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// slowBody gives the first half of a body, and the rest once it is released.
type slowBody struct {
	first, rest io.Reader
	release     <-chan struct{}
}

func newSlowBody(body []byte, release <-chan struct{}) *slowBody {
	half := len(body) / 2
	return &slowBody{bytes.NewReader(body[:half]), bytes.NewReader(body[half:]), release}
}

func (b *slowBody) Read(p []byte) (int, error) {
	if n, err := b.first.Read(p); err == nil {
		return n, nil
	}
	<-b.release
	return b.rest.Read(p)
}

// begin sends a request whose body comes in two halves, and returns when the server is reading it.
func (c *caller) begin(t *testing.T, s shot, release <-chan struct{}) (answer <-chan faultReply) {
	t.Helper()
	contentType, body := s.form()
	reading := make(chan struct{})
	ctx := httptrace.WithClientTrace(context.WithoutCancel(t.Context()), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	req, err := c.request(ctx, "/_put_new_images", contentType, newSlowBody(body, release))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Expect", "100-continue")
	done := make(chan faultReply, 1)
	go func() { done <- c.do(req, nil) }()
	select {
	case <-reading:
	case r := <-done:
		t.Fatalf("the server did not wait for the body: %v", r)
	}
	return done
}

// patient is a client that waits for "100 Continue" and takes what it reads in small pieces.
func patient() *http.Client {
	return &http.Client{Timeout: answersWithin, Transport: &http.Transport{
		ExpectContinueTimeout: answersWithin,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
			}
			return conn, err
		},
	}}
}

func TestAStopFinishesTheRequestsInFlight(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	stack.Each(t, stack.Options{Data: data}, func(t *testing.T, s *stack.Stack) {
		s.Stop(syscall.SIGTERM)
		addRows(t, s, data)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		idle := newCaller(t, s) // its connection stays open
		c := &caller{url: s.URL, user: idle.user, http: patient()}
		t.Cleanup(c.http.CloseIdleConnections)

		release := make(chan struct{})
		let := sync.OnceFunc(func() { close(release) })
		defer let()
		l := newLedger()
		shots := []shot{takeShot(smallShot()), takeShot(smallShot()), takeShot(largeShot())}
		var uploads []<-chan faultReply
		for _, sent := range shots {
			uploads = append(uploads, c.begin(t, sent, release))
		}
		req, err := c.request(t.Context(), "/get_image_series/image", "application/json", strings.NewReader(
			`[{"device": "0a0b0c0d", "start_datetime": "2022-01-01", "end_datetime": "2023-01-01"}]`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "identity") // compressed it would fit the buffers
		series, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer series.Body.Close()

		if err := s.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		awaitThat(t, "new connections are refused", func() (string, bool) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			if err == nil {
				_ = conn.Close()
			}
			return fmt.Sprint(err), err != nil
		})
		stillRuns(t, s)
		let()
		for i, answer := range uploads {
			r := <-answer
			wantStatus(t, "an upload in flight at the stop", r, http.StatusOK)
			l.note(shots[i], r)
		}
		body, err := io.ReadAll(series.Body)
		if err != nil {
			t.Fatalf("a series in flight at the stop broke after %d bytes: %v", len(body), err)
		}
		if rows := jsonAs[[]spi.Image](t, body); len(rows) != manyRows || series.StatusCode != http.StatusOK {
			t.Errorf("a series in flight at the stop: %d, %d rows, want %d", series.StatusCode, len(rows), manyRows)
		}
		wantExit(t, s, answersWithin)

		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.check(t, idle, true)
	})
}

// wantExit fails unless the server, which was told to stop, ends by itself and says that all is well.
func wantExit(t *testing.T, s *stack.Stack, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if status, err := s.WaitExit(ctx); err != nil || status != 0 {
		t.Errorf("exit status %d, %v; want 0", status, err)
	}
}
