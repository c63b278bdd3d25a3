package test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// keepAsking queries with several clients at once until the returned function is called, which gives how often each status was
// answered.
func keepAsking(t *testing.T, c *caller, clients int) (count func(status int) int, stop func() map[int]int) {
	t.Helper()
	stopped, wg := make(chan struct{}), sync.WaitGroup{}
	var mu sync.Mutex
	statuses := map[int]int{}
	for range clients {
		wg.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
				}
				r := c.series(context.WithoutCancel(t.Context()), spi.Thumbnail)
				mu.Lock()
				statuses[r.status]++
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	end := sync.OnceFunc(func() {
		close(stopped)
		wg.Wait()
	})
	t.Cleanup(end)
	count = func(status int) int {
		mu.Lock()
		defer mu.Unlock()
		return statuses[status]
	}
	stop = func() map[int]int {
		end()
		return statuses
	}
	return count, stop
}

func TestWithoutMariaDBEverythingIs503AndRecoversWithoutARestart(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Own: true})
	c, l := newCaller(t, s), newLedger()
	faults := []struct {
		name       string
		begin, end func(t *testing.T)
	}{
		{
			"SIGKILL",
			func(*testing.T) { s.MariaDB.Stop(syscall.SIGKILL) },
			func(t *testing.T) {
				if err := s.MariaDB.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
		},
		{"frozen", signalMariaDB(s, syscall.SIGSTOP), signalMariaDB(s, syscall.SIGCONT)},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			stop := l.stream(t, c, 4)
			answered, stopAsking := keepAsking(t, c, 2)
			uploads, queries := l.count(http.StatusOK)+3, answered(http.StatusOK)+3
			awaitThat(t, "requests are answered", func() (string, bool) {
				return "", l.count(http.StatusOK) >= uploads && answered(http.StatusOK) >= queries
			})
			fault.begin(t)
			var calls sync.WaitGroup
			refused := l.count(http.StatusServiceUnavailable) + 1
			calls.Go(func() {
				wantUnavailable(t, "get_token without the database", c.post(t.Context(), "/get_token", "", nil))
			})
			calls.Go(func() {
				wantUnavailable(t, "an upload without the database", c.put(t.Context(), takeShot(smallShot())))
			})
			c.wantAway(t, "database")
			calls.Wait()
			awaitThat(t, "uploads and queries are answered by 503", func() (string, bool) {
				u, q := l.count(http.StatusServiceUnavailable), answered(http.StatusServiceUnavailable)
				return fmt.Sprintf("%d uploads, %d queries", u, q), u >= refused && q >= 1
			})

			fault.end(t)
			c.awaitReady(t)
			uploads, queries = l.count(http.StatusOK)+3, answered(http.StatusOK)+3
			awaitThat(t, "requests are answered again", func() (string, bool) {
				return "", l.count(http.StatusOK) >= uploads && answered(http.StatusOK) >= queries
			})
			stop()
			for status, n := range stopAsking() {
				if status != http.StatusOK && status != http.StatusServiceUnavailable {
					t.Errorf("%d queries were answered by %d", n, status)
				}
			}
			l.settle(t, c)
			l.check(t, c, false)
			l.wantStatuses(t, http.StatusOK, http.StatusConflict, http.StatusServiceUnavailable)
			stillRuns(t, s)
		})
	}
	t.Run("frozen for a moment", func(t *testing.T) {
		stop := l.stream(t, c, 4)
		refused := l.count(http.StatusServiceUnavailable)
		for range 3 {
			more := l.count(http.StatusOK) + 3
			awaitThat(t, "uploads are taken", func() (string, bool) { return "", l.count(http.StatusOK) >= more })
			signalMariaDB(s, syscall.SIGSTOP)(t)
			time.Sleep(300 * time.Millisecond)
			signalMariaDB(s, syscall.SIGCONT)(t)
		}
		stop()
		if n := l.count(http.StatusServiceUnavailable) - refused; n > 0 {
			t.Errorf("%d uploads were refused: a moment is to go unnoticed", n)
		}
	})
	l.check(t, c, true)
}

func signalMariaDB(s *stack.Stack, sig syscall.Signal) func(*testing.T) {
	return func(t *testing.T) {
		if err := syscall.Kill(s.MariaDB.PID(), sig); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheServerStartsBeforeItsDatabaseAndItsS3(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Own: true, Later: true})
	s.MariaDB.Stop(syscall.SIGTERM)
	if err := s.S3.Stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := &caller{url: s.URL, user: stack.AdminName, password: stack.AdminPassword, http: &http.Client{Timeout: answersWithin}}
	t.Cleanup(c.http.CloseIdleConnections)
	awaitThat(t, "the server lives", func() (string, bool) {
		r := c.get(t.Context(), s.URL+"/healthz")
		return r.String(), r.status == http.StatusOK
	})
	image := takeShot(smallShot())
	wantUnavailable(t, "get_token", c.post(t.Context(), "/get_token", "", nil))
	wantUnavailable(t, "an upload", c.put(t.Context(), image))
	c.wantAway(t, "database")
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, s, 20*time.Second)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}

	if err := s.MariaDB.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "users are told", func() (string, bool) {
		r := c.call(t.Context(), "/get_users", nil)
		return r.String(), r.status == http.StatusOK
	})
	wantUnavailable(t, "an upload without S3", c.put(t.Context(), image))
	c.wantAway(t, "s3")
	if rows := c.rows(t, spi.Metadata); len(rows) != 0 {
		t.Errorf("%d rows, of images that were refused", len(rows))
	}

	if err := s.S3.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitReady(t)
	l, r := newLedger(), c.put(t.Context(), image)
	wantStatus(t, "an upload with everything there", r, http.StatusOK)
	l.note(image, r)
	l.check(t, c, true)
	stillRuns(t, s)
}
