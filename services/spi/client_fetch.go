package spi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/readfault"
)

// How long an object's download, and a reply of the API, which may have to look for its rows, may stand still before the
// connection is given up.
const (
	stallsAfter      = time.Minute
	replyStallsAfter = 2 * time.Minute
)

// errStalled is the cause of a reply that was given up.
var errStalled = errors.New("nothing came for too long")

// roundTrip sends a request. The reply's body fails with errStalled once its server sends nothing for so long while somebody
// reads; closing it is a must.
func (c *Client) roundTrip(req *http.Request, stalls time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	reply, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	watchdog := time.AfterFunc(stalls, func() { cancel(errStalled) })
	watchdog.Stop()
	reply.Body = &watched{body: reply.Body, ctx: ctx, cancel: cancel, watchdog: watchdog, stalls: stalls}
	return reply, nil
}

// watched is the body of a reply.
type watched struct {
	body     io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	watchdog *time.Timer
	stalls   time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.watchdog.Reset(w.stalls)
	n, err := w.body.Read(p)
	w.watchdog.Stop()
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(w.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (w *watched) Close() error {
	w.watchdog.Stop()
	defer w.cancel(nil)
	return w.body.Close()
}

// Fetch downloads what a presigned URL of a reply leads to, such as [Image.URL]. read is called for each attempt, with the
// bytes from their beginning and their number, -1 where that is not known; what an earlier attempt gave is void. Where the
// connection breaks or stands still for a minute, another attempt is made, as [Retry] says. An error of read's own ends it
// and is given as it is; one that is [CodeUnavailable], such as a wrong checksum, is another attempt too.
//
// CodeNotFound where the object is not there; CodeUnavailable where the URL is too old: the same image asked for again has
// a new one.
func (c *Client) Fetch(ctx context.Context, url string, read func(body io.Reader, size int64) error) error {
	attempts := c.retry.begin()
	for {
		failed := c.fetchOnce(ctx, url, read)
		if failed == nil {
			return nil
		}
		if !failed.again {
			return failed.err
		}
		if err := attempts.next(ctx, failed.err); err != nil {
			return err
		}
	}
}

func (c *Client) fetchOnce(ctx context.Context, url string, read func(io.Reader, int64) error) *failure {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return &failure{err: Wrap(CodeInternal, err, "the server's link is no URL")}
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept-Encoding", "identity") // the size is that of the file
	reply, err := c.roundTrip(req, stallsAfter)
	if err != nil {
		return connectionFailure(ctx, "download", err)
	}
	defer discard(reply.Body)
	if reply.StatusCode != http.StatusOK {
		return c.storeFailure(reply, "download")
	}
	body := &readfault.Reader{Reader: reply.Body}
	err = read(body, reply.ContentLength)
	var wire *Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &failure{err: fmt.Errorf("download: %w", context.Cause(ctx))}
	case body.Err != nil:
		return &failure{err: Wrap(CodeUnavailable, body.Err, "the download broke off"), again: true}
	case errors.As(err, &wire) && wire.Code == CodeUnavailable:
		return &failure{err: err, again: true}
	}
	return &failure{err: err}
}
