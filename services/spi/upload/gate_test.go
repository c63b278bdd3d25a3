package upload

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// clock is set by those who wait for it.
type clock struct{ t time.Time }

func newTimedGate(most int, giveUp time.Duration) (*gate, *clock) {
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	g := newGate(most, giveUp, time.Second)
	g.now = func() time.Time { return c.t }
	g.wait = func(_ context.Context, d time.Duration) error {
		c.t = c.t.Add(d)
		return nil
	}
	return g, c
}

func TestTheLineDecidesHowManyUploadsAreSentAtATime(t *testing.T) {
	g, _ := newTimedGate(8, time.Hour)
	limits := []int{g.limit}
	step := func(do func()) {
		do()
		limits = append(limits, g.limit)
	}
	for range 8 {
		step(func() { g.took(time.Second) })
	}
	step(func() { g.took(30 * time.Second) })
	step(func() { g.took(2 * time.Minute) })
	away := spi.Errorf(spi.CodeUnavailable, "away")
	step(func() { g.failed(away) })
	step(func() { g.failed(away) }) // those that were on their way at the same fault
	for range 5 {
		step(func() {
			if err := g.clear(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.failed(away)
		})
	}
	step(func() { g.took(time.Second) })
	expect(t, "at a time", limits, []int{2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 7, 3, 3, 1, 1, 1, 1, 1, 2})
}

func TestTheServerIsLeftAloneForLongerAndLonger(t *testing.T) {
	g, c := newTimedGate(8, time.Hour)
	began := c.t
	attempts := 0
	for {
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.leave()
		attempts++
		if _, over := g.failed(spi.Errorf(spi.CodeUnavailable, "away")); over {
			break
		}
	}
	if passed := c.t.Sub(began); passed < time.Hour || passed > time.Hour+2*time.Minute {
		t.Errorf("gave up after %s", passed)
	}
	if attempts < 40 || attempts > 200 {
		t.Errorf("%d attempts in an hour", attempts)
	}
	g.succeeded()
	if _, over := g.failed(spi.Errorf(spi.CodeUnavailable, "away")); over {
		t.Error("a success does not count")
	}
}

func TestWhatTheServerAsksForIsWaitedFor(t *testing.T) {
	g, _ := newTimedGate(8, time.Hour)
	busy := spi.Errorf(spi.CodeRateLimited, "too many")
	busy.RetryAfter = 7 * time.Minute
	if pause, over := g.failed(busy); over || pause != busy.RetryAfter {
		t.Errorf("waits for %s", pause)
	}
	busy.RetryAfter = 100 * time.Hour
	if err := g.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pause, over := g.failed(busy); over || pause > time.Hour {
		t.Errorf("waits for %s, which is longer than it may", pause)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	g := newGate(1, time.Hour, time.Hour)
	if err := g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	for name, prepare := range map[string]func(){
		"for a place":    func() {},
		"for the server": func() { g.failed(spi.Errorf(spi.CodeUnavailable, "away")) },
	} {
		prepare()
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { ended <- g.enter(ctx) }()
		cancel(cause)
		if err := <-ended; !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
