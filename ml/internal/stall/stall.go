// Package stall ends downloads that make no progress. It imports nothing of this project.
package stall

import (
	"context"
	"errors"
	"io"
	"time"
)

// Err is why a download was ended.
var Err = errors.New("nothing came for too long")

// Download is one that is watched.
type Download struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	after  time.Duration
}

// Watch gives a context that ends with [Err] once nothing was read, from [Download.Reader], for that long.
func Watch(ctx context.Context, after time.Duration) (context.Context, *Download) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &Download{time.AfterFunc(after, func() { cancel(Err) }), cancel, after}
}

// Stop ends the watch, and the context.
func (d *Download) Stop() {
	d.timer.Stop()
	d.cancel(context.Canceled)
}

// Reader gives what r does, and notes it.
func (d *Download) Reader(r io.Reader) io.Reader { return &reader{r, d} }

type reader struct {
	io.Reader
	d *Download
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.d.timer.Reset(r.d.after)
	}
	return n, err
}
