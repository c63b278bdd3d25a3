package test

import (
	"bufio"
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// eventsOf gives the events of one device, each as soon as it comes, and a function that ends them.
func eventsOf(ctx context.Context, client *spi.Client, position, device string) (next func() (spi.Event, error, bool), stop func()) {
	return iter.Pull2(func(yield func(spi.Event, error) bool) {
		for e, err := range client.Events(ctx, position) {
			if (err != nil || e.Device == device || e.Kind == spi.EventsSkipped) && !yield(e, err) {
				return
			}
		}
	})
}

// listening opens a stream as plain HTTP does, and gives its lines once the server has begun.
func listening(t *testing.T, ctx context.Context, a *api, position string) (*http.Response, *bufio.Scanner) {
	t.Helper()
	req := a.request(http.MethodGet, "/v2/events", "", http.NoBody).WithContext(ctx)
	req.Header.Set("Accept-Encoding", "gzip")
	if position != "" {
		req.Header.Set("Last-Event-ID", position)
	}
	reply, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(reply.Body)
	if !lines.Scan() || lines.Text() != ":" {
		t.Fatalf("%d, first line %q", reply.StatusCode, lines.Text())
	}
	return reply, lines
}

// nextEvent reads up to the end of the next event of the device.
func nextEvent(t *testing.T, lines *bufio.Scanner, device string) string {
	t.Helper()
	var event []string
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, ":"):
		case line != "":
			event = append(event, line)
		default:
			if text := strings.Join(event, "\n"); strings.Contains(text, device) || strings.Contains(text, "reset") {
				return text
			}
			event = nil
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return ""
}

func eventContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), comesWithin) // of patience, for a server that is busy
	t.Cleanup(cancel)
	return ctx
}

// putUntilHeard stores photos until the stream has told of one: a stream begins a moment after its first line.
func putUntilHeard(t *testing.T, a *api, device string, next func() (spi.Event, error, bool)) spi.Event {
	t.Helper()
	heard := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 600 {
			select {
			case <-heard:
				return
			case <-time.After(200 * time.Millisecond):
			}
			a.put(small(device, noon.Add(time.Duration(i)*time.Second), 1))
		}
	}()
	e, err, _ := next()
	close(heard)
	<-done
	if err != nil || e.Kind != spi.ImageStored {
		t.Fatalf("%+v, %v", e, err)
	}
	return e
}

func TestEventsTellWhatIsStoredAndWhatWasMissed(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		ctx, device := eventContext(t), newDevice()
		client, err := spi.New(a.URL, spi.WithPassword(a.newUser(readOnly), userPassword))
		if err != nil {
			t.Fatal(err)
		}
		next, stop := eventsOf(ctx, client, "", device)
		putUntilHeard(t, a, device, next)
		// what comes after, in order
		p := small(device, noon.Add(24*time.Hour), 2)
		id := int64(a.put(p)[0]["id"].(float64))
		a.post("/put_uid_annotations", oneList(documentOf(p, "detector of "+device, version1, spi.DateV2, 3))).ok()
		var image spi.Event
		for image.ID != id {
			if image, err, _ = next(); err != nil {
				t.Fatal(err)
			}
		}
		annotation, err, _ := next()
		stop()
		if err != nil {
			t.Fatal(err)
		}
		position := image.Position
		image.Position = ""
		same(t, "image", spi.Event{Kind: spi.ImageStored, Device: device, Datetime: spi.Datetime{Time: p.at}, ID: id}, image)
		same(t, "annotation", spi.Event{
			Kind: spi.ImageAnnotated, Position: annotation.Position, Device: device, Datetime: spi.Datetime{Time: p.at}, ID: annotation.ID, ImageID: id,
			AlgoName: "detector of " + device, NObjects: 3,
		}, annotation)
		// missed meanwhile
		q := small(device, noon.Add(48*time.Hour), 3)
		missed := int64(a.put(q)[0]["id"].(float64))
		next, stop = eventsOf(ctx, client, position, device)
		defer stop()
		found := map[int64]bool{}
		for !found[missed] || !found[annotation.ID] {
			e, err, _ := next()
			if err != nil {
				t.Fatal(err)
			}
			if e.ID != annotation.ID || e.Kind == spi.ImageAnnotated {
				found[e.ID] = true
			}
		}
	})
}

func TestEventsAreAPlainStream(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		ctx, cancel := context.WithCancel(eventContext(t))
		defer cancel()
		device := newDevice()
		p := small(device, noon, 1)
		a.put(p)
		reply, lines := listening(t, ctx, a.as(bearer(a.token())), "i0-a0")
		for header, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": ""} {
			same(t, header, want, reply.Header.Get(header))
		}
		if text := nextEvent(t, lines, device); !strings.Contains(text, "\nevent: image\ndata: {\"datetime\":\"2021-05-04T12:00:00Z\",\"device\":\""+device) {
			t.Errorf("got %q", text)
		}
		cancel()
		for _, position := range []string{"x", "i1", "i-1-a1", "i1-a1x", "i1-a99999999999999999999"} {
			req := a.request(http.MethodGet, "/v2/events", "", http.NoBody)
			req.Header.Set("Last-Event-ID", position)
			a.mistaken().send(req).refused(http.StatusBadRequest, "Last-Event-ID")
		}
		a.as(nobody).get("/v2/events").refused(http.StatusUnauthorized)
	})
}

func TestAStreamSaysWhereItBegins(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		ctx, device := eventContext(t), newDevice()
		broken, end := context.WithCancel(ctx)
		_, lines := listening(t, broken, a, "")
		at, found := "", false
		for !found && lines.Scan() {
			at, found = strings.CutPrefix(lines.Text(), "id: ")
		}
		if !found {
			t.Fatalf("the stream ended: %v", lines.Err())
		}
		// broken off before anything was stored
		end()
		a.put(small(device, noon, 1))
		_, lines = listening(t, ctx, a, at)
		if text := nextEvent(t, lines, device); !strings.Contains(text, "event: image") {
			t.Errorf("got %q", text)
		}
	})
}

func TestAUserHasABoundedNumberOfStreams(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		ctx, cancel := context.WithCancel(eventContext(t))
		defer cancel()
		user := a.as(basic(a.newUser(readOnly), userPassword))
		for range 32 {
			listening(t, ctx, user, "")
		}
		user.get("/v2/events").refused(http.StatusTooManyRequests, "32")
		reply, _ := listening(t, ctx, a, "") // another user
		if err := reply.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsCrossReplicasAndStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	one := stack.Production(t, stack.Options{Later: true})
	two := stack.Replica(t, one)
	for _, s := range []*stack.Stack{one, two} {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a, b := newAPI(t, one), newAPI(t, two)
	ctx := eventContext(t)
	next, stop := eventsOf(ctx, adminClient(t, two), "", "0a0a0a0a")
	defer stop()
	putUntilHeard(t, a, "0a0a0a0a", next)
	// the stop does not wait for who listens
	_, lines := listening(t, ctx, b, "")
	two.Stop(syscall.SIGTERM)
	for lines.Scan() {
		if text := lines.Text(); strings.HasPrefix(text, "event: reset") {
			t.Error(text)
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	if log := two.Log(); strings.Contains(log, "requests in flight were cut") {
		t.Error("the stop waited for a stream")
	}
	// the client goes on with the server that comes back, where it was
	late := small("0a0a0a0a", noon.Add(24*time.Hour), 9)
	id := int64(a.put(late)[0]["id"].(float64))
	if err := two.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		e, err, _ := next()
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("the event never came")
			}
			t.Fatal(err)
		}
		if e.ID == id && e.Kind == spi.ImageStored {
			break
		}
	}
}

// TestStreamsEndWithTheLogIn waits for the server to look, which it does every 15 seconds.
func TestStreamsEndWithTheLogIn(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		ctx, cancel := context.WithCancel(eventContext(t))
		defer cancel()
		deleted, reset := a.newUser(readOnly), a.newUser(readOnly)
		token := bearer(a.as(basic(deleted, userPassword)).token())
		var streams []*bufio.Scanner
		for _, l := range []login{token, basic(deleted, userPassword), basic(reset, userPassword), bearer(a.as(basic(reset, userPassword)).token())} {
			_, lines := listening(t, ctx, a.as(l), "")
			streams = append(streams, lines)
		}
		_, stays := listening(t, ctx, a, "")
		a.call("/delete_users", row{"username": deleted}).ok()
		a.call("/reset_password", row{"username": reset, "password": "another " + userPassword}).ok()
		for i, lines := range streams {
			for lines.Scan() { // to its end
			}
			if err := lines.Err(); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
		}
		// the others have been told since then that the server is there
		for stays.Scan() && stays.Text() != ":" {
		}
		if stays.Text() != ":" {
			t.Fatalf("a stream ended whose user may listen: %v", stays.Err())
		}
	})
}
