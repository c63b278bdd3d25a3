package spi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// stallsAfter is how long a download may stand still before its connection is given up.
const stallsAfter = time.Minute

// errStalled is the cause of a download that was given up.
var errStalled = errors.New("nothing came for a minute")

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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return &failure{err: Wrap(CodeInternal, err, "the server's link is no URL")}
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept-Encoding", "identity") // the size is that of the file
	reply, err := c.http.Do(req)
	if err != nil {
		return connectionFailure(ctx, "download", err)
	}
	defer discard(reply.Body)
	if reply.StatusCode != http.StatusOK {
		return c.storeFailure(reply, "download")
	}
	watchdog := time.AfterFunc(stallsAfter, func() { cancel(errStalled) })
	defer watchdog.Stop()
	body := &watched{r: reply.Body, seen: func() { watchdog.Reset(stallsAfter) }}
	err = read(body, reply.ContentLength)
	var wire *Error
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errStalled):
		return &failure{err: Wrap(CodeUnavailable, errStalled, "the download stood still"), again: true}
	case ctx.Err() != nil:
		return &failure{err: fmt.Errorf("download: %w", context.Cause(ctx))}
	case body.err != nil:
		return &failure{err: Wrap(CodeUnavailable, body.err, "the download broke off"), again: true}
	case errors.As(err, &wire) && wire.Code == CodeUnavailable:
		return &failure{err: err, again: true}
	}
	return &failure{err: err}
}

// watched tells of every read, and keeps the error of the last.
type watched struct {
	r    io.Reader
	seen func()
	err  error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.seen()
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}
