package spi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// Deltas are whole numbers that cross the wire as differences: the first as it is, each further one less the one before.
type Deltas []int64

// UnmarshalJSON adds the differences up.
func (d *Deltas) UnmarshalJSON(b []byte) error {
	var numbers []int64
	if err := json.Unmarshal(b, &numbers); err != nil {
		return fmt.Errorf("differences must be a list of whole numbers: %w", err)
	}
	for i := 1; i < len(numbers); i++ {
		numbers[i] += numbers[i-1]
	}
	*d = numbers
	return nil
}

// MarshalJSON writes the differences.
func (d Deltas) MarshalJSON() ([]byte, error) {
	numbers := make([]int64, len(d))
	last := int64(0)
	for i, n := range d {
		numbers[i], last = n-last, n
	}
	return json.Marshal(numbers)
}

// GetPlot gives the values of images to draw, a device at a time, ordered by device; devices without images in the range
// are left out. See [Client.GetImages] for the sequence.
func (c *Client) GetPlot(ctx context.Context, r PlotRequest) iter.Seq2[Plot, error] {
	return streamOf[Plot](ctx, c, request{endpoint: "v2/series"}, r)
}

// longestRow bounds, in bytes, one device of a reply: 4,000 pixels with some points each.
func (Plot) longestRow() int64 { return 16 << 20 }

// GetDevices gives how each device does that ever sent an image and matches one of the LIKE patterns, or all where there is
// none, ordered by device. The range is widened to whole UTC days; a zero start or end stands for the last 28 days.
func (c *Client) GetDevices(ctx context.Context, start, end time.Time, devices ...string) ([]DeviceState, error) {
	query := url.Values{"device": devices}
	if !start.IsZero() {
		query.Set("start", FormatDatetime(start, DateV2))
	}
	if !end.IsZero() {
		query.Set("end", FormatDatetime(end, DateV2))
	}
	all, err := Collect(streamOf[DeviceState](ctx, c, request{method: http.MethodGet, endpoint: "v2/devices", query: query}, nil))
	if err != nil {
		return nil, err
	}
	return all, nil
}

// GetProgress tells how far each algorithm is that ever asked for work, ordered by name; as of a minute ago at most.
func (c *Client) GetProgress(ctx context.Context) ([]Progress, error) {
	return Collect(streamOf[Progress](ctx, c, request{method: http.MethodGet, endpoint: "v2/progress"}, nil))
}

// GetShots gives the pictures of a tuboid, in the order of its tiles. CodeNotFound where there is no such tuboid.
func (c *Client) GetShots(ctx context.Context, tuboidID string) ([]Shot, error) {
	return Collect(streamOf[Shot](ctx, c, request{method: http.MethodGet, endpoint: "v2/tuboid_shots", query: url.Values{"tuboid_id": {tuboidID}}}, nil))
}

// GetMe says who the client is logged in as: only admins may ask for users.
func (c *Client) GetMe(ctx context.Context) (Me, error) {
	reply, err := c.do(ctx, request{method: http.MethodGet, endpoint: "v2/me"})
	if err != nil {
		return Me{}, err
	}
	defer discard(reply.Body)
	var me Me
	err = json.NewDecoder(io.LimitReader(reply.Body, maxErrorBody)).Decode(&me)
	switch {
	case err != nil && ctx.Err() != nil:
		return Me{}, fmt.Errorf("v2/me: %w", context.Cause(ctx))
	case err != nil || me.Username == "":
		return Me{}, Wrap(CodeUnavailable, errors.Join(ErrNoAPI, err), "the reply names no user: is this the address of a Sticky Pi API?")
	}
	return me, nil
}

// eventSilence is how long the server may say nothing at all before the connection counts as dead: it sends a sign of life
// every 15 seconds.
const eventSilence = time.Minute

// maxEventLine bounds, in bytes, a line of a stream of events.
const maxEventLine = 64 << 10

var errSilence = errors.New("the server fell silent")

// Events gives what the server stores from now on or, where position is not empty, from the event of that [Event.Position]
// on. Where the stream breaks off it is opened again, and goes on where it was: an event may come twice, none is left out,
// or EventsSkipped says so. It ends with an error: that of the context; that of a server that refuses; or that of the last
// attempt where the stream could not be opened as many times in a row as [Retry] allows.
func (c *Client) Events(ctx context.Context, position string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var tries *attempts // since the last stream that gave something
		for {
			alive, stopped := false, false
			failed := c.eventStream(ctx, position, func(e Event) bool {
				position = e.Position
				stopped = e.Kind != "" && !yield(e, nil)
				return !stopped
			}, func() { alive = true })
			switch {
			case stopped:
				return
			case ctx.Err() != nil:
				yield(Event{}, fmt.Errorf("v2/events: %w", context.Cause(ctx)))
				return
			case !failed.again:
				yield(Event{}, failed.err)
				return
			}
			if alive || tries == nil {
				tries = c.retry.begin()
			}
			if err := tries.next(ctx, failed.err); err != nil {
				yield(Event{}, err)
				return
			}
		}
	}
}

// eventStream opens the stream once and reads it to its end, which is always a failure, but where each says false: see
// readEvents for its events. alive is called with each line.
func (c *Client) eventStream(ctx context.Context, position string, each func(Event) bool, alive func()) *failure {
	within, end := context.WithCancelCause(ctx)
	defer end(nil)
	header := http.Header{"Accept": {"text/event-stream"}}
	if position != "" {
		header.Set("Last-Event-ID", position)
	}
	reply, failed := c.authorized(within, request{method: http.MethodGet, endpoint: "v2/events", header: header})
	if failed != nil {
		return failed
	}
	defer func() { _ = reply.Body.Close() }() // nothing that was read depends on it
	if kind, _, err := mime.ParseMediaType(reply.Header.Get("Content-Type")); kind != "text/event-stream" {
		return &failure{err: Wrap(CodeUnavailable, errors.Join(ErrNoAPI, err), "the reply is not a stream of events: is this the address of a Sticky Pi API?")}
	}
	silence := time.AfterFunc(eventSilence, func() { end(errSilence) })
	defer silence.Stop()
	for e, err := range readEvents(reply.Body, func() { silence.Reset(eventSilence); alive() }) {
		if err != nil {
			return &failure{err: err, again: true}
		}
		if !each(e) {
			return nil
		}
	}
	return &failure{err: Errorf(CodeUnavailable, "the stream of events ended"), again: true}
}

// readEvents reads server-sent events as the server writes them; line is called for each line. An event without a Kind only
// says how far the stream has got: that is how it begins, and what is left of the kinds that a later server may have.
// Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
func readEvents(r io.Reader, line func()) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(nil, maxEventLine)
		var kind, id string
		var data []byte
		for in.Scan() {
			line()
			name, value, _ := bytes.Cut(in.Bytes(), []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(name) {
			case "event":
				kind = string(value)
			case "id":
				id = string(value)
			case "data":
				data = append(data[:0], value...)
			}
			if len(in.Bytes()) > 0 {
				continue
			}
			e := Event{Position: id}
			switch EventKind(kind) {
			case ImageStored, ImageAnnotated, EventsSkipped:
				e.Kind = EventKind(kind)
				if err := json.Unmarshal(data, &e); err != nil {
					yield(Event{}, Wrap(CodeUnavailable, err, "the server sent an event that is none"))
					return
				}
			}
			kind, data = "", data[:0]
			if e.Kind == "" && id == "" {
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield(Event{}, Wrap(CodeUnavailable, err, "the stream of events broke off"))
		}
	}
}
