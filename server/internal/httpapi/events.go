package httpapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/events"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// signOfLife is how often a stream of events says something, and looks whether its user still may listen.
const signOfLife = 15 * time.Second

// After the server was away, clients come back within these times, and not all at the same moment.
const (
	soonest = 2 * time.Second
	latest  = 10 * time.Second
)

// lastWords is how long a client may take for what is being written when its stream ends.
const lastWords = time.Second

// getEvents writes events as they come, until the client or the server ends.
func (a *api) getEvents(c *gin.Context, user *store.User) error {
	ctx := c.Request.Context()
	var after *events.Position
	if header := c.GetHeader("Last-Event-ID"); header != "" {
		p, err := events.ParsePosition(header)
		if err != nil {
			return err
		}
		after = &p
	}
	listener, err := a.Events.Listen(user.ID)
	if err != nil {
		return err
	}
	defer listener.Close()
	drain(c)
	c.Header("Content-Type", "text/event-stream")
	c.Header("Cache-Control", "no-store")
	c.Header("X-Accel-Buffering", "no")
	c.Header(gzhttp.HeaderNoCompression, "1") // its buffer would keep events back
	written := endWith(c, listener)
	defer written()
	s := &eventStream{c: c}
	retry := soonest + rand.N(latest-soonest) //nolint:gosec // no secret
	if err := s.send(fmt.Appendf(nil, ":\nretry: %d\n\n", retry.Milliseconds())); err != nil {
		return nil // the client went away: there is nobody to tell
	}
	alive := time.NewTicker(signOfLife)
	defer alive.Stop()
	for {
		select {
		case <-listener.Ended():
			return nil // what it still holds comes again, as the client says where it was
		default:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-alive.C:
			if !a.mayStill(ctx, c, user) {
				return nil
			}
			err = s.send([]byte(":\n\n"))
		case batch, open := <-listener.C:
			if !open {
				return nil
			}
			if batch.Begin != nil {
				err = a.begin(ctx, s, after, batch.Begin)
			} else {
				err = s.batch(batch)
			}
			if err == nil {
				err = s.send(s.buf)
			}
		}
		if err != nil {
			a.Log.DebugContext(ctx, "a stream of events ended", "error", err)
			return nil // the client comes again, and says where it was
		}
	}
}

// endWith ends what is being written soon after the listener: a client that takes nothing does not hold up the server's stop.
// done is called once nothing more is written.
func endWith(c *gin.Context, listener *events.Listener) (done func()) {
	over := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(written)
		select {
		case <-listener.Ended():
			// where that cannot be set, the HTTP server's own deadline ends it
			_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(lastWords))
		case <-over:
		}
	}()
	return func() {
		close(over)
		<-written
	}
}

// begin writes what was missed, and from where on events are told: a stream may break before its first event.
func (a *api) begin(ctx context.Context, s *eventStream, after *events.Position, begin *events.Begin) error {
	if after != nil {
		if err := a.Events.Missed(ctx, *after, begin, s.event); err != nil {
			return err
		}
	}
	s.buf = append(append(append(s.buf, "id: "...), begin.Position.String()...), "\n\n"...)
	return nil
}

// mayStill says whether the log-in still holds: a token ends, and so does everything of a user whose password is another or
// who is deleted. A database that is away ends nothing.
func (a *api) mayStill(ctx context.Context, c *gin.Context, user *store.User) bool {
	var now store.User
	var err error
	if _, password, basic := c.Request.BasicAuth(); basic && password != "" {
		// not the password again: that takes long
		if now, err = a.Store.UserByID(ctx, user.ID); err == nil && now.PasswordHash != user.PasswordHash {
			return false
		}
	} else {
		_, err = a.authenticate(c)
	}
	return err == nil || spi.CodeOf(err) == spi.CodeUnavailable
}

// eventStream writes events as https://html.spec.whatwg.org/multipage/server-sent-events.html says.
type eventStream struct {
	c   *gin.Context
	buf []byte
}

func (s *eventStream) send(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	_, err := s.c.Writer.Write(text)
	s.buf = s.buf[:0]
	if err == nil {
		err = http.NewResponseController(s.c.Writer).Flush()
	}
	return err
}

func (s *eventStream) batch(b events.Batch) error {
	for i := range b.Events {
		if err := s.event(b.Events[i]); err != nil {
			return err
		}
	}
	return nil
}

// event appends an event, and sends what has gathered once it is much.
func (s *eventStream) event(e events.Event) error {
	s.buf = appendEvent(s.buf, &e)
	if len(s.buf) < flushFrom {
		return nil
	}
	return s.send(s.buf)
}

func appendEvent(b []byte, e *events.Event) []byte {
	b = append(b, "id: "...)
	b = append(b, e.Position.String()...)
	b = append(b, "\nevent: "...)
	b = append(b, e.Kind...)
	b = append(b, "\ndata: {"...)
	if e.Kind == spi.EventsSkipped {
		return append(b, "}\n\n"...)
	}
	if e.Kind == spi.ImageAnnotated {
		b = append(b, `"algo_name":`...)
		b = appendText(b, e.AlgoName)
		b = append(b, ',')
	}
	b = append(b, `"datetime":`...)
	b = appendTime(b, e.Datetime, spi.DateV2)
	b = append(b, `,"device":`...)
	b = appendText(b, e.Device)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, e.ID, 10)
	if e.Kind == spi.ImageAnnotated {
		b = append(b, `,"image_id":`...)
		b = strconv.AppendInt(b, e.ImageID, 10)
		b = append(b, `,"n_objects":`...)
		b = strconv.AppendInt(b, int64(e.NObjects), 10)
	}
	return append(b, "}\n\n"...)
}
