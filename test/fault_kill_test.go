package test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// killSeed chooses the moments of the kills. The same seed gives the same pauses, if not the same order of events.
const killSeed = 20230501

func TestAKilledServerLosesNoAcknowledgedImageAndKeepsNoHalfOne(t *testing.T) {
	const (
		kills   = 10 // of each kind
		clients = 6
	)
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		random := rand.New(rand.NewPCG(killSeed, 0))
		t.Logf("seed %d", killSeed)
		c, l := newCaller(t, s), newLedger()
		lost := 0
		for range kills {
			stop := l.stream(t, c, clients)
			time.Sleep(time.Duration(random.Int64N(int64(400 * time.Millisecond))))
			s.Stop(syscall.SIGKILL)
			stop()
			c.http.CloseIdleConnections()
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			if err := s.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			rows := l.check(t, c, false)
			for name := range l.open {
				if _, there := rows[name]; there {
					lost++
				}
			}
			l.settle(t, c)
			if t.Failed() {
				t.FailNow()
			}
		}
		l.check(t, c, true)
		l.wantStatuses(t, 0, http.StatusOK, http.StatusConflict)
		t.Logf("%d images; answers by status: %v; %d were stored without an answer", len(l.acknowledged), l.statuses, lost)
	})
}

// A deletion removes the objects before the rows, so that it can be repeated: until then a row may have lost its objects.
func TestADeletionThatAKillCutsShortIsFinishedByItsRepetition(t *testing.T) {
	const (
		kills  = 3 // of each kind
		images = 30
	)
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		random := rand.New(rand.NewPCG(killSeed, 1))
		t.Logf("seed %d", killSeed)
		c, l := newCaller(t, s), newLedger()
		var shots []shot
		for range images {
			shots = append(shots, takeShot(smallShot()))
		}
		for range kills {
			for _, sent := range shots {
				r := c.put(t.Context(), sent)
				wantStatus(t, "an upload of what is not there, or not any more", r, http.StatusOK)
				l.note(sent, r)
			}
			l.check(t, c, true)
			deleted := make(chan struct{})
			go func() {
				defer close(deleted)
				for _, sent := range shots {
					if r := c.delete(context.WithoutCancel(t.Context()), sent); r.status == 0 {
						return
					}
				}
			}()
			time.Sleep(time.Duration(random.Int64N(int64(120 * time.Millisecond))))
			s.Stop(syscall.SIGKILL)
			<-deleted
			c.http.CloseIdleConnections()
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			if err := s.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d of %d rows were left", len(c.rows(t, spi.Metadata)), images)
			wantStatus(t, "the deletion again", c.delete(t.Context(), shots...), http.StatusOK)
			if rows := c.rows(t, spi.Metadata); len(rows) > 0 {
				t.Errorf("%d rows are left of what was deleted", len(rows))
			}
		}
	})
}
