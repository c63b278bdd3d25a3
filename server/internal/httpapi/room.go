package httpapi

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of the memory that plots take, and so do lists of devices, until their client has read them.
const (
	plotBytes     = 128 << 20     // of all requests together
	userPlotBytes = plotBytes / 4 // of those of one user
	plotPatience  = 10 * time.Second
)

// plotRoom is what plots may take of the memory: of each user a part, so that who reads slowly keeps out nobody but himself.
type plotRoom struct {
	all *semaphore.Weighted

	mu    sync.Mutex
	users map[int64]*userRoom
}

type userRoom struct {
	bytes    *semaphore.Weighted
	requests int // that hold some of it, or wait for it
}

func newPlotRoom() *plotRoom {
	return &plotRoom{all: semaphore.NewWeighted(plotBytes), users: make(map[int64]*userRoom)}
}

// take waits for so many bytes, at most userPlotBytes; the returned function gives them back. CodeRateLimited where the user's
// other requests hold them, CodeUnavailable where everybody's do.
func (p *plotRoom) take(ctx context.Context, user int64, bytes int) (done func(), err error) {
	return p.takeWithin(ctx, plotPatience, user, bytes)
}

// takeWithin is take with another patience; 0 waits for nothing.
func (p *plotRoom) takeWithin(ctx context.Context, patience time.Duration, user int64, bytes int) (done func(), err error) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	own := p.enter(user)
	if err := acquire(within, own.bytes, bytes); err != nil {
		p.leave(user)
		refused := spi.Wrap(spi.CodeRateLimited, err, "this user has as many plots under way as one may have: read those first, or ask for fewer pixels and variables")
		refused.RetryAfter = plotPatience
		return nil, refused
	}
	if err := acquire(within, p.all, bytes); err != nil {
		own.bytes.Release(int64(bytes))
		p.leave(user)
		return nil, spi.Wrap(spi.CodeUnavailable, err, "the server is busy with other plots: try again, or ask for fewer pixels and variables")
	}
	return func() {
		p.all.Release(int64(bytes))
		own.bytes.Release(int64(bytes))
		p.leave(user)
	}, nil
}

// acquire waits only where it must.
func acquire(ctx context.Context, s *semaphore.Weighted, bytes int) error {
	if s.TryAcquire(int64(bytes)) {
		return nil
	}
	return s.Acquire(ctx, int64(bytes))
}

func (p *plotRoom) enter(user int64) *userRoom {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.users[user]
	if own == nil {
		own = &userRoom{bytes: semaphore.NewWeighted(userPlotBytes)}
		p.users[user] = own
	}
	own.requests++
	return own
}

func (p *plotRoom) leave(user int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users[user].requests--; p.users[user].requests == 0 {
		delete(p.users, user)
	}
}
