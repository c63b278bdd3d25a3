package test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// rawUpload is an upload over a connection that the test reads, writes and closes as it likes.
type rawUpload struct {
	*net.TCPConn
	id   string // under which the server logs it
	body []byte
}

// dialUpload connects and sends the header of an upload, with more lines, and not the body.
func (c *caller) dialUpload(t *testing.T, s shot, more string) *rawUpload {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	contentType, body := s.form()
	req, err := c.request(t.Context(), "/_put_new_images", contentType, nil)
	if err != nil {
		t.Fatal(err)
	}
	u := &rawUpload{TCPConn: conn.(*net.TCPConn), id: rand.Text(), body: body}
	var header bytes.Buffer
	fmt.Fprintf(&header, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nX-Request-Id: %s\r\n%s",
		req.URL.Path, req.URL.Host, len(body), u.id, more)
	if err := req.Header.Write(&header); err != nil {
		t.Fatal(err)
	}
	header.WriteString("\r\n")
	u.send(t, header.Bytes())
	return u
}

func (u *rawUpload) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := u.Write(b); err != nil {
		t.Fatal(err)
	}
}

// awaitReading returns when the server begins to read the body.
func (u *rawUpload) awaitReading() error {
	line, err := bufio.NewReaderSize(u, 16).ReadString('\n')
	if err == nil && !strings.Contains(line, " 100 ") {
		err = fmt.Errorf("the server says %q instead of reading the body", line)
	}
	return err
}

// hangUp closes the connection, abruptly as a lost one or in order, and waits until the server is through with the request.
func (u *rawUpload) hangUp(t *testing.T, s *stack.Stack, abruptly bool) {
	t.Helper()
	if abruptly {
		if err := u.SetLinger(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "the server has logged the request's end", func() (string, bool) {
		return "", logged(s, u.id, "/_put_new_images", "took")
	})
}

func TestClientsThatHangUpOrDawdle(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		c, l := newCaller(t, s), newLedger()
		t.Run("in the middle of the file: nothing is stored", func(t *testing.T) { hangUpWithin(t, s, c, l) })
		t.Run("after the file: all or nothing is stored", func(t *testing.T) { hangUpAfter(t, s, c, l) })
		t.Run("a byte at a time: others are served", func(t *testing.T) { dawdle(t, c, l) })
		l.check(t, c, true)
		t.Run("idle: the server ends at once when it is told to", func(t *testing.T) { stopIdle(t, s) })
	})
}

func hangUpWithin(t *testing.T, s *stack.Stack, c *caller, l *ledger) {
	var shots []shot
	for _, picture := range [][]byte{smallShot(), largeShot()} {
		for _, abruptly := range []bool{false, true} {
			sent := takeShot(picture)
			shots = append(shots, sent)
			u := c.dialUpload(t, sent, "")
			u.send(t, u.body[:len(u.body)/2])
			u.hangUp(t, s, abruptly)
		}
	}
	rows := c.rows(t, spi.Metadata)
	for _, sent := range shots {
		if _, there := rows[sent.name()]; there {
			t.Errorf("%s has a row and half of it was sent", sent.name())
		}
		r := c.put(t.Context(), sent)
		wantStatus(t, "the whole file", r, http.StatusOK)
		l.note(sent, r)
	}
	l.check(t, c, false)
}

func hangUpAfter(t *testing.T, s *stack.Stack, c *caller, l *ledger) {
	for i := range 24 {
		picture := smallShot()
		if i%4 == 0 {
			picture = largeShot()
		}
		sent := takeShot(picture)
		u := c.dialUpload(t, sent, "")
		u.send(t, u.body)
		time.Sleep(time.Duration(i) * 2 * time.Millisecond) // another step of the upload each time
		u.hangUp(t, s, i%2 == 0)
		l.note(sent, faultReply{})
	}
	rows, stored := l.check(t, c, false), 0
	for name := range l.open {
		if _, there := rows[name]; there {
			stored++
		}
	}
	t.Logf("%d of %d were stored", stored, len(l.open))
	l.settle(t, c)
	l.check(t, c, false)
	l.wantStatuses(t, 0, http.StatusOK, http.StatusConflict)
}

func dawdle(t *testing.T, c *caller, l *ledger) {
	const slow = 64 // twice as many as may be kept in memory, or stored, at a time
	var begun atomic.Int64
	var clients sync.WaitGroup
	stop := make(chan struct{})
	end := sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	defer end()
	for range slow {
		u := c.dialUpload(t, takeShot(smallShot()), "Expect: 100-continue\r\n")
		clients.Go(func() {
			if u.awaitReading() == nil {
				begun.Add(1)
			}
		})
		clients.Go(func() {
			defer u.Close()
			for i := range u.body {
				if _, err := u.Write(u.body[i:][:1]); err != nil {
					t.Errorf("the server does not take byte %d of a slow upload: %v", i, err)
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	awaitThat(t, "all slow uploads are being read", func() (string, bool) {
		n := begun.Load()
		return fmt.Sprint(n), n == slow
	})
	for range 5 {
		wantStatus(t, "get_token", c.post(t.Context(), "/get_token", "", nil), http.StatusOK)
		wantStatus(t, "get_image_series", c.series(t.Context(), spi.FullImage), http.StatusOK)
		c.awaitReady(t)
	}
	c.as(t, stack.AdminName, stack.AdminPassword)
	for _, when := range []string{"beside", "after"} {
		sent := takeShot(smallShot())
		r := c.put(t.Context(), sent)
		wantStatus(t, "an upload "+when+" the slow ones", r, http.StatusOK)
		l.note(sent, r)
		end()
	}
}

// stopIdle tells a server to stop that has open connections and nothing to do.
func stopIdle(t *testing.T, s *stack.Stack) {
	newCaller(t, s)
	silent, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// less than the grace that requests in flight have
	wantExit(t, s, 20*time.Second)
}
