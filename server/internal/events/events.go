// Package events tells listeners what is stored, by whatever server: there is no bus between servers, so it asks the database
// for new ids, once a second while somebody listens, for all listeners of this server together. It may import store.
package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Source is where news come from.
type Source interface {
	NewestIDs(ctx context.Context) (image, annotation int64, err error)
	StoredImages(ctx context.Context, r store.StoredRange) ([]store.Stored, error)
	StoredAnnotations(ctx context.Context, r store.StoredRange) ([]store.Stored, error)
}

// Bounds.
const (
	MaxListeners   = 512
	MaxPerUser     = 32
	maxBehind      = 10_000 // events; who missed more is told to start anew
	rowsPerQuery   = 1000
	batchesWaiting = 64 // of a listener; who has more is dropped
)

// Ids are given when a row begins to be stored, and rows that began later may be there earlier. An id that is passed over is
// looked for again for as long as a transaction may reasonably take; what was rolled back never comes.
const (
	lateFor  = 30 * time.Second
	maxLate  = 1000 // ids that are looked for again, of each kind
	lookBack = 200  // ids before the newest that are looked at when the first listener comes
)

// Position is how far a listener has got: all with these ids or lower ones has been told.
type Position struct{ Image, Annotation int64 }

// String gives the form that [ParsePosition] reads.
func (p Position) String() string { return fmt.Sprintf("i%d-a%d", p.Image, p.Annotation) }

// ParsePosition reads a position. CodeInvalid.
func ParsePosition(s string) (p Position, err error) {
	if n, err := fmt.Sscanf(s, "i%d-a%d", &p.Image, &p.Annotation); n != 2 || err != nil || p.Image < 0 || p.Annotation < 0 || p.String() != s {
		return Position{}, spi.Errorf(spi.CodeInvalid, "%.40q is no position of events: send the id of an event as Last-Event-ID, or none", s)
	}
	return p, nil
}

// Event is something that was stored.
type Event struct {
	store.Stored
	Kind     spi.EventKind
	Position Position
}

// Batch is some events, which listeners share: they must not be changed. A listener's first batch holds none, but says where
// its events begin.
type Batch struct {
	Events []Event
	Begin  *Begin
}

// Begin is what was told to others before a listener came.
type Begin struct {
	Position Position // all up to here is there
	seen     Position // the newest ids that were seen
}

// Hub tells listeners. [Hub.Run] must run for it.
type Hub struct {
	source Source
	log    *slog.Logger
	every  time.Duration
	now    func() time.Time
	wake   chan struct{}

	mu        sync.Mutex
	closed    bool
	listeners map[*Listener]struct{}
	perUser   map[int64]int

	// Run's own
	feeds [2]feed // images, annotations
	begun bool
}

// feed is one kind of rows.
type feed struct {
	kind spi.EventKind
	find func(context.Context, store.StoredRange) ([]store.Stored, error)
	last int64               // the newest id that was seen
	late map[int64]time.Time // ids below it that are not there yet: until when they are looked for
}

// position is up to which id all is there or is not looked for any more.
func (f *feed) position() int64 {
	p := f.last
	for id := range f.late {
		p = min(p, id-1)
	}
	return p
}

// Listener is told what is stored from its making on, until [Listener.Close].
type Listener struct {
	// C gives the news. It is closed when the hub ends, and when the listener is too slow.
	C     <-chan Batch
	c     chan Batch
	ended chan struct{}
	hub   *Hub
	user  int64
	told  bool // its first batch was sent
}

// Ended is closed together with C, which may still hold batches then.
func (l *Listener) Ended() <-chan struct{} { return l.ended }

// New gives a hub that asks the source so often.
func New(source Source, log *slog.Logger, every time.Duration, now func() time.Time) *Hub {
	return &Hub{
		source: source, log: log, every: every, now: now, wake: make(chan struct{}, 1),
		listeners: make(map[*Listener]struct{}), perUser: make(map[int64]int),
		feeds: [2]feed{{kind: spi.ImageStored, find: source.StoredImages}, {kind: spi.ImageAnnotated, find: source.StoredAnnotations}},
	}
}

// Listen makes a listener for the user. CodeRateLimited where the user has too many, CodeUnavailable where there are too many
// in all, or the hub has ended.
func (h *Hub) Listen(user int64) (*Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, spi.Errorf(spi.CodeUnavailable, "the server is stopping: try again")
	case h.perUser[user] >= MaxPerUser:
		return nil, spi.Errorf(spi.CodeRateLimited, "this user listens %d times already: end one of these streams first", MaxPerUser)
	case len(h.listeners) >= MaxListeners:
		return nil, spi.Errorf(spi.CodeUnavailable, "%d streams of events are open already: try again later", MaxListeners)
	}
	c := make(chan Batch, batchesWaiting)
	l := &Listener{C: c, c: c, ended: make(chan struct{}), hub: h, user: user}
	h.listeners[l] = struct{}{}
	h.perUser[user]++
	select {
	case h.wake <- struct{}{}:
	default: // it is awake
	}
	return l, nil
}

// Close ends the listener. It may be called at any time, and more than once.
func (l *Listener) Close() {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.hub.drop(l)
}

// drop takes the listener out. The lock is held.
func (h *Hub) drop(l *Listener) {
	if _, there := h.listeners[l]; !there {
		return
	}
	delete(h.listeners, l)
	if h.perUser[l.user]--; h.perUser[l.user] == 0 {
		delete(h.perUser, l.user)
	}
	close(l.c)
	close(l.ended)
}

// Run tells the listeners until ctx ends; then it ends them all.
func (h *Hub) Run(ctx context.Context) {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.closed = true
		for l := range h.listeners {
			h.drop(l)
		}
	}()
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-tick.C:
		}
		h.mu.Lock()
		n := len(h.listeners)
		h.mu.Unlock()
		if n == 0 {
			h.begun = false
			continue
		}
		err := h.poll(ctx)
		if err != nil && !failing && ctx.Err() == nil { // once, not every second
			h.log.WarnContext(ctx, "asking for what is new failed", "error", err)
		}
		failing = err != nil
	}
}

// poll asks for what is new and tells it.
func (h *Hub) poll(ctx context.Context) error {
	image, annotation, err := h.source.NewestIDs(ctx)
	if err != nil {
		return err
	}
	newest := [2]int64{image, annotation}
	if !h.begun {
		for i := range h.feeds {
			f := &h.feeds[i]
			f.last, f.late = max(0, newest[i]-lookBack), make(map[int64]time.Time)
			if _, err := h.advance(ctx, f, newest[i]); err != nil {
				return err
			}
		}
		h.begun = true
	}
	for i := range h.feeds {
		for f := &h.feeds[i]; ; {
			before := f.last
			events, err := h.advance(ctx, f, newest[i])
			if err != nil {
				return err
			}
			h.tell(Batch{Events: events})
			if f.last >= newest[i] || f.last == before {
				break
			}
		}
	}
	h.welcome()
	return nil
}

// advance reads the next rows of a feed, up to the newest id, and those that are late.
func (h *Hub) advance(ctx context.Context, f *feed, newest int64) ([]Event, error) {
	now := h.now()
	newest = max(newest, f.last) // the newest row may have been deleted; its id is not given again
	var late []int64
	for id, until := range f.late {
		if now.After(until) {
			delete(f.late, id)
		} else {
			late = append(late, id)
		}
	}
	if f.last == newest && len(late) == 0 {
		return nil, nil
	}
	r := store.StoredRange{After: f.last, UpTo: newest, Limit: rowsPerQuery, IDs: late}
	found, err := f.find(ctx, r)
	if err != nil {
		return nil, err
	}
	upTo, inRange := newest, 0
	for _, one := range found {
		if one.ID > f.last {
			inRange++
		}
	}
	if inRange == rowsPerQuery {
		upTo = found[len(found)-1].ID
	}
	there := make(map[int64]bool, len(found))
	for _, one := range found {
		there[one.ID] = true
		delete(f.late, one.ID)
	}
	for id := upTo; id > f.last && len(f.late) < maxLate; id-- {
		if !there[id] {
			f.late[id] = now.Add(lateFor)
		}
		if upTo-id > 2*maxLate {
			break // a leap of the numbering
		}
	}
	f.last = upTo
	all := f.position()
	events := make([]Event, len(found))
	for i, one := range found {
		events[i] = Event{Stored: one, Kind: f.kind}
		events[i].Position = h.at(f, min(one.ID, all))
	}
	return events, nil
}

// at is the position that an event of that feed leads to.
func (h *Hub) at(f *feed, id int64) Position {
	p := h.position()
	if f.kind == spi.ImageStored {
		p.Image = id
	} else {
		p.Annotation = id
	}
	return p
}

func (h *Hub) position() Position { return Position{h.feeds[0].position(), h.feeds[1].position()} }

// tell sends a batch to those who were welcomed.
func (h *Hub) tell(b Batch) {
	if len(b.Events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if l.told {
			h.send(l, b)
		}
	}
}

// welcome tells new listeners where their events begin.
func (h *Hub) welcome() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if !l.told {
			l.told = true
			h.send(l, Batch{Begin: &Begin{h.position(), Position{h.feeds[0].last, h.feeds[1].last}}})
		}
	}
}

// send gives a batch to a listener, or drops it. The lock is held.
func (h *Hub) send(l *Listener, b Batch) {
	select {
	case l.c <- b:
	default:
		h.drop(l)
	}
}

// Missed calls fn with the events between a position and the listener's first one, or with a single one of the kind
// EventsSkipped where there are too many.
func (h *Hub) Missed(ctx context.Context, after Position, begin *Begin, fn func(Event) error) error {
	if max(0, begin.seen.Image-after.Image)+max(0, begin.seen.Annotation-after.Annotation) > maxBehind {
		return fn(Event{Kind: spi.EventsSkipped, Position: begin.Position})
	}
	at := after
	for _, kind := range []struct {
		name       spi.EventKind
		find       func(context.Context, store.StoredRange) ([]store.Stored, error)
		last, upTo int64
		all        int64
		at         *int64
	}{
		{spi.ImageStored, h.source.StoredImages, after.Image, begin.seen.Image, begin.Position.Image, &at.Image},
		{spi.ImageAnnotated, h.source.StoredAnnotations, after.Annotation, begin.seen.Annotation, begin.Position.Annotation, &at.Annotation},
	} {
		for last := kind.last; last < kind.upTo; {
			found, err := kind.find(ctx, store.StoredRange{After: last, UpTo: kind.upTo, Limit: rowsPerQuery})
			if err != nil {
				return err
			}
			for _, one := range found {
				last = one.ID
				*kind.at = min(one.ID, kind.all)
				if err := fn(Event{Stored: one, Kind: kind.name, Position: at}); err != nil {
					return err
				}
			}
			if len(found) < rowsPerQuery {
				break
			}
		}
	}
	return nil
}
