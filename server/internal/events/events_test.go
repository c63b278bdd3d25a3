package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/events"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// table is a source whose rows a test lets be seen in any order, as transactions do.
type table struct {
	mu                  sync.Mutex
	images, annotations []int64
	err                 error
}

func (s *table) add(ids *[]int64, more ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*ids = append(*ids, more...)
	slices.Sort(*ids)
}

func (s *table) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func newest(ids []int64) int64 {
	if len(ids) == 0 {
		return 0
	}
	return ids[len(ids)-1]
}

func (s *table) NewestIDs(context.Context) (image, annotation int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return newest(s.images), newest(s.annotations), s.err
}

func (s *table) StoredImages(_ context.Context, r store.StoredRange) ([]store.Stored, error) {
	return s.find(&s.images, r)
}

func (s *table) StoredAnnotations(_ context.Context, r store.StoredRange) ([]store.Stored, error) {
	return s.find(&s.annotations, r)
}

func (s *table) find(ids *[]int64, r store.StoredRange) (found []store.Stored, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, id := range *ids {
		inRange := r.After < id && id <= r.UpTo && n < r.Limit
		if inRange {
			n++
		}
		if inRange || slices.Contains(r.IDs, id) {
			found = append(found, store.Stored{ID: id})
		}
	}
	return found, s.err
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func running(t *testing.T, s *table) (*events.Hub, *clock, context.CancelFunc) {
	t.Helper()
	c := &clock{now: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)}
	h := events.New(s, slog.New(slog.DiscardHandler), time.Millisecond, c.Now)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return h, c, cancel
}

// next gives the next batch; a hub that tells nothing is ended by the test's own time limit.
func next(t *testing.T, l *events.Listener) events.Batch {
	t.Helper()
	select {
	case b, open := <-l.C:
		if !open {
			t.Fatal("the listener was ended")
		}
		return b
	case <-time.After(time.Minute):
		t.Fatal("nothing is told")
	}
	return events.Batch{}
}

func listen(t *testing.T, h *events.Hub) (*events.Listener, *events.Begin) {
	t.Helper()
	l, err := h.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	b := next(t, l)
	if b.Begin == nil || b.Events != nil {
		t.Fatalf("first batch %+v", b)
	}
	return l, b.Begin
}

// told gathers the next n events as text.
func told(t *testing.T, l *events.Listener, n int) (all []string) {
	t.Helper()
	for len(all) < n {
		for _, e := range next(t, l).Events {
			all = append(all, fmt.Sprintf("%s %d at %s", e.Kind, e.ID, e.Position))
		}
	}
	return all
}

func equal(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNewRowsAreTold(t *testing.T) {
	s := &table{images: []int64{1, 2, 3}}
	h, _, _ := running(t, s)
	l, begin := listen(t, h)
	equal(t, events.Position{Image: 3}, begin.Position)
	s.add(&s.images, 4)
	equal(t, []string{"image 4 at i4-a0"}, told(t, l, 1))
	s.add(&s.annotations, 1, 2)
	equal(t, []string{"annotation 1 at i4-a1", "annotation 2 at i4-a2"}, told(t, l, 2))
	other, begin := listen(t, h)
	equal(t, events.Position{Image: 4, Annotation: 2}, begin.Position)
	s.add(&s.images, 5)
	equal(t, []string{"image 5 at i5-a2"}, told(t, l, 1))
	equal(t, []string{"image 5 at i5-a2"}, told(t, other, 1))
}

func TestARowThatIsSeenLateIsTold(t *testing.T) {
	s := &table{images: []int64{1, 2, 5}} // 3 and 4 are being stored as the first listener comes
	h, clock, _ := running(t, s)
	l, begin := listen(t, h)
	equal(t, events.Position{Image: 2}, begin.Position)
	s.add(&s.images, 7)
	equal(t, []string{"image 7 at i2-a0"}, told(t, l, 1))
	s.add(&s.images, 3)
	equal(t, []string{"image 3 at i3-a0"}, told(t, l, 1))
	// 4 and 6 were rolled back: nobody waits for them for ever
	clock.move(time.Minute)
	s.add(&s.images, 8)
	equal(t, []string{"image 8 at i8-a0"}, told(t, l, 1))
}

func TestWhatWasMissedIsTold(t *testing.T) {
	s := &table{}
	for id := range int64(2500) {
		s.add(&s.images, id+1)
	}
	s.add(&s.annotations, 1, 2, 3)
	h, _, _ := running(t, s)
	_, begin := listen(t, h)
	var got []int64
	var kinds []spi.EventKind
	if err := h.Missed(t.Context(), events.Position{Image: 100, Annotation: 1}, begin, func(e events.Event) error {
		got, kinds = append(got, e.ID), append(kinds, e.Kind)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2402 || got[0] != 101 || got[2399] != 2500 || got[2400] != 2 || kinds[2399] != spi.ImageStored || kinds[2400] != spi.ImageAnnotated {
		t.Errorf("%d events, from %d", len(got), got[0])
	}
	// from elsewhere, or nothing at all
	if err := h.Missed(t.Context(), events.Position{Image: 9000, Annotation: 9000}, begin, func(e events.Event) error {
		return fmt.Errorf("told of %v", e)
	}); err != nil {
		t.Error(err)
	}
	stop := errors.New("enough")
	if err := h.Missed(t.Context(), events.Position{}, begin, func(events.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestWhoMissedTooMuchStartsAnew(t *testing.T) {
	s := &table{images: []int64{1, 20_000}}
	h, _, _ := running(t, s)
	_, begin := listen(t, h)
	var got []spi.EventKind
	if err := h.Missed(t.Context(), events.Position{Image: 1}, begin, func(e events.Event) error { got = append(got, e.Kind); return nil }); err != nil {
		t.Fatal(err)
	}
	equal(t, []spi.EventKind{spi.EventsSkipped}, got)
}

func TestALeapOfTheNumberingIsNotLookedInto(t *testing.T) {
	s := &table{images: []int64{1}}
	h, _, _ := running(t, s)
	l, _ := listen(t, h)
	s.add(&s.images, 1<<40)
	if got := told(t, l, 1); got[0][:20] != "image 1099511627776 " {
		t.Errorf("got %v", got)
	}
}

func TestManyRowsAreToldInOrder(t *testing.T) {
	s := &table{images: []int64{1}}
	h, _, _ := running(t, s)
	l, _ := listen(t, h)
	var want, got []int64
	for id := int64(2); id < 5000; id++ {
		want = append(want, id)
	}
	s.add(&s.images, want...)
	for len(got) < len(want) {
		for _, e := range next(t, l).Events {
			got = append(got, e.ID)
		}
	}
	equal(t, want, got)
}

func TestASlowListenerIsDroppedAndTheOthersAreNot(t *testing.T) {
	s := &table{images: []int64{1}}
	h, _, _ := running(t, s)
	slow, _ := listen(t, h)
	quick, _ := listen(t, h)
	for id := int64(2); id < 200; id++ {
		s.add(&s.images, id)
		told(t, quick, 1)
	}
	n := 0
	for range slow.C { // ends: it was dropped
		n++
	}
	if n == 0 || n > 64 {
		t.Errorf("%d batches waited for the slow one", n)
	}
}

func TestListenersAreBounded(t *testing.T) {
	h, _, cancel := running(t, &table{})
	var mine []*events.Listener
	for range events.MaxPerUser {
		l, err := h.Listen(7)
		if err != nil {
			t.Fatal(err)
		}
		mine = append(mine, l)
	}
	refused := func(user int64, want spi.Code) {
		t.Helper()
		l, err := h.Listen(user)
		if err == nil || spi.CodeOf(err) != want {
			t.Errorf("%v, %v, want %s", l, err, want)
		}
	}
	refused(7, spi.CodeRateLimited)
	mine[0].Close()
	mine[0].Close()
	if l, err := h.Listen(7); err != nil {
		t.Error(err)
	} else {
		mine[0] = l
	}
	refused(7, spi.CodeRateLimited)
	for user := int64(100); ; user++ {
		if _, err := h.Listen(user); err != nil {
			if want := int64(100 + events.MaxListeners - events.MaxPerUser); user != want {
				t.Errorf("%d users, want %d", user, want)
			}
			break
		}
	}
	refused(8, spi.CodeUnavailable)
	cancel()
	for range mine[0].C { // ends with the hub
	}
	refused(9, spi.CodeUnavailable)
}

func TestAFailingDatabaseEndsNothing(t *testing.T) {
	s := &table{images: []int64{1}}
	h, _, _ := running(t, s)
	l, _ := listen(t, h)
	s.fail(errors.New("away"))
	s.add(&s.images, 2)
	other, err := h.Listen(2)
	if err != nil {
		t.Fatal(err)
	}
	s.fail(nil)
	equal(t, []string{"image 2 at i2-a0"}, told(t, l, 1))
	if b := next(t, other); b.Begin == nil {
		t.Errorf("got %+v", b)
	}
}

func TestALaterListenerBeginsAtWhatIsThere(t *testing.T) {
	s := &table{images: []int64{1}}
	h, _, _ := running(t, s)
	l, _ := listen(t, h)
	l.Close()
	// the next listener begins anew, at what is there by then
	s.add(&s.images, 2, 3)
	_, begin := listen(t, h)
	if begin.Position.Image != 3 {
		t.Errorf("begins at %v", begin.Position)
	}
}

func TestPositions(t *testing.T) {
	for _, p := range []events.Position{{}, {Image: 1, Annotation: 2}, {Image: 1<<63 - 1, Annotation: 1<<63 - 1}} {
		if got, err := events.ParsePosition(p.String()); err != nil || got != p {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	for _, s := range []string{"", "i", "i1", "i1-a", "i-1-a1", "i1-a-1", "i1-a1 ", " i1-a1", "i01-a1", "i+1-a1", "i1-a9223372036854775808", "i1-a1-i1", "I1-A1"} {
		if got, err := events.ParsePosition(s); err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"i1-a2", "i-a", "i0-a0", "i1-a1\n", "i٣-a1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := events.ParsePosition(s); err == nil && p.String() != s {
			t.Errorf("%q is read as %v", s, p)
		}
	})
}
