package test

import (
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

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
			defer stop()
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
