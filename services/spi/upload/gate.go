package upload

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// gate lets through as many uploads at a time as the line bears, and none while the server is away. It begins with two. An
// upload that went fast makes room for one more; a slow one takes one away, since on a thin line ten files at a time arrive
// ten times as late, if the line holds that long; a fault halves them, down to one that tries whether the server is back.
type gate struct {
	most   int           // at a time
	giveUp time.Duration // without success
	now    func() time.Time
	wait   func(ctx context.Context, d time.Duration) error

	mu           sync.Mutex
	limit        int
	inside       int
	changed      chan struct{} // closed and replaced when somebody may go on
	pauseUntil   time.Time
	failingSince time.Time // zero: the last attempt was a success
	pauses       *backoff.ExponentialBackOff
}

// What a fast and a slow upload are.
const (
	fastUpload = 20 * time.Second
	slowUpload = time.Minute
)

func newGate(most int, giveUp, pause time.Duration) *gate {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = pause, time.Minute
	return &gate{
		most: most, giveUp: giveUp, now: time.Now, wait: sleep, limit: min(2, most), changed: make(chan struct{}), pauses: pauses,
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter waits until an upload may begin; leave must follow. The error is the context's.
func (g *gate) enter(ctx context.Context) error {
	for {
		if err := g.clear(ctx); err != nil {
			return err
		}
		g.mu.Lock()
		if g.inside < g.limit && !g.now().Before(g.pauseUntil) {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.wake()
}

// wake is called with the lock.
func (g *gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// clear waits until the pause after a fault is over.
func (g *gate) clear(ctx context.Context) error {
	for {
		g.mu.Lock()
		pause := g.pauseUntil.Sub(g.now())
		g.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if pause <= 0 {
			return nil
		}
		if err := g.wait(ctx, pause); err != nil {
			return err
		}
	}
}

// succeeded notes that the server did something.
func (g *gate) succeeded() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failingSince, g.pauseUntil = time.Time{}, time.Time{}
	g.pauses.Reset()
	g.wake()
}

// took notes how long an upload that succeeded took.
func (g *gate) took(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case d <= fastUpload:
		g.limit = min(g.limit+1, g.most)
	case d >= slowUpload:
		g.limit = max(g.limit-1, 1)
	}
	g.wake()
}

// failed notes a fault that may pass: the server is left alone for a while. Uploads that were begun before that and fail too
// are the same fault. over is true where there was no success for too long.
func (g *gate) failed(err error) (pause time.Duration, over bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if g.failingSince.IsZero() {
		g.failingSince = now
	}
	if now.Sub(g.failingSince) >= g.giveUp {
		return 0, true
	}
	if now.Before(g.pauseUntil) {
		return g.pauseUntil.Sub(now), false
	}
	g.limit = max(g.limit/2, 1)
	pause = g.pauses.NextBackOff()
	var e *spi.Error
	if errors.As(err, &e) {
		pause = max(pause, e.RetryAfter)
	}
	pause = min(pause, max(time.Second, g.giveUp-now.Sub(g.failingSince)))
	g.pauseUntil = now.Add(pause)
	return pause, false
}
