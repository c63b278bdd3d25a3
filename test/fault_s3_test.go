package test

import (
	"net/http"
	"sync"
	"syscall"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestWithoutS3UploadsAre503AndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Own: true})
	c, l := newCaller(t, s), newLedger()
	earlier := takeShot(smallShot())
	r := c.put(t.Context(), earlier)
	wantStatus(t, "the first upload", r, http.StatusOK)
	l.note(earlier, r)

	faults := []struct {
		name       string
		begin, end func(t *testing.T)
	}{
		{"SIGKILL", stopS3(s, syscall.SIGKILL), startS3(s)},
		{"SIGTERM", stopS3(s, syscall.SIGTERM), startS3(s)},
		{"frozen", signalS3(s, syscall.SIGSTOP), signalS3(s, syscall.SIGCONT)},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			doomed := takeShot(smallShot())
			wantStatus(t, "the upload of the image to delete", c.put(t.Context(), doomed), http.StatusOK)
			stop := l.stream(t, c, 3)
			more := l.count(http.StatusOK) + 3
			awaitThat(t, "uploads are taken", func() (string, bool) { return "", l.count(http.StatusOK) >= more })
			fault.begin(t)
			var during []shot
			var uploads sync.WaitGroup
			for range 4 {
				sent := takeShot(smallShot())
				during = append(during, sent)
				uploads.Go(func() {
					r := c.put(t.Context(), sent)
					wantUnavailable(t, "an upload while S3 is away", r)
					l.note(sent, r)
				})
			}
			c.wantAway(t, "s3")
			if _, there := c.rows(t, spi.Metadata)[earlier.name()]; !there {
				t.Error("an earlier image is missing in the metadata while S3 is away")
			}
			wantStatus(t, "get_users while S3 is away", c.call(t.Context(), "/get_users", nil), http.StatusOK)
			wantUnavailable(t, "delete_images while S3 is away", c.delete(t.Context(), doomed))
			uploads.Wait()
			rows := c.rows(t, spi.Metadata)
			if _, there := rows[doomed.name()]; !there {
				t.Error("an image is gone whose deletion was refused")
			}
			for _, sent := range during {
				if _, there := rows[sent.name()]; there {
					t.Errorf("%s was refused and has a row", sent.name())
				}
			}

			fault.end(t)
			c.awaitReady(t)
			more = l.count(http.StatusOK) + 3
			awaitThat(t, "uploads are taken again", func() (string, bool) { return "", l.count(http.StatusOK) >= more })
			stop()
			// A frozen S3 may have deleted the objects after the server had given up: the deletion is finished by its repetition.
			wantStatus(t, "the deletion again", c.delete(t.Context(), doomed), http.StatusOK)
			r := c.put(t.Context(), doomed)
			wantStatus(t, "the upload of the deleted image", r, http.StatusOK)
			l.note(doomed, r)
			l.settle(t, c)
			l.check(t, c, false)
			l.wantStatuses(t, http.StatusOK, http.StatusConflict, http.StatusServiceUnavailable)
			stillRuns(t, s)
		})
	}
	l.check(t, c, true)
}

func stopS3(s *stack.Stack, sig syscall.Signal) func(*testing.T) {
	return func(t *testing.T) {
		if err := s.S3.Stop(sig); err != nil {
			t.Fatal(err)
		}
	}
}

func startS3(s *stack.Stack) func(*testing.T) {
	return func(t *testing.T) {
		if err := s.S3.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func signalS3(s *stack.Stack, sig syscall.Signal) func(*testing.T) {
	return func(t *testing.T) {
		if err := syscall.Kill(s.S3.PID(), sig); err != nil {
			t.Fatal(err)
		}
	}
}
