// Package httpserve runs an HTTP server as every service does: bounded headers, time-outs that follow progress rather than
// size, and a stop that lets requests in flight finish.
package httpserve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Limits of every server.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute // longer than nginx keeps its upstream connections (60 s), so that it never writes to a closed one
	maxHeaderBytes = 64 << 10
	// Grace is how long requests in flight may take to finish once the server is told to stop.
	Grace = 30 * time.Second
)

// limits bound how slowly bodies may come: a phone on a bad line passes, somebody who holds connections open does not.
type limits struct {
	// stall is how long a connection may make no progress at all while a body is read or written.
	stall time.Duration
	// patience is how long a request's body may be waited for in all, and for each pace bytes of it that came a second more.
	patience time.Duration
	pace     int64
}

// usual are the limits of every server. A device on a slow mobile network, at 2 kB a second, is four times as fast as it must be.
func usual() limits { return limits{stall: 60 * time.Second, patience: 5 * time.Minute, pace: 512} }

// Run serves handler on the listener until ctx is done, then closes the listener, waits up to [Grace] for requests in
// flight and gives nil. It owns the listener.
func Run(ctx context.Context, log *slog.Logger, l net.Listener, handler http.Handler) error {
	return run(ctx, log, l, handler, usual())
}

func run(ctx context.Context, log *slog.Logger, l net.Listener, handler http.Handler, of limits) error {
	srv := &http.Server{
		Handler:           progress(handler, of),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// Requests live on while the server stops: their context must not end with ctx.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), Grace)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		log.WarnContext(ctx, "requests in flight were cut at the stop", "address", l.Addr().String(), "grace", Grace)
		err = srv.Close()
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serving on %s: %w", l.Addr(), served))
	}
	return err
}

// progress sets read and write deadlines that move on as bytes do.
func progress(next http.Handler, of limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		// the last request on this connection may have left a deadline behind
		_ = rc.SetWriteDeadline(time.Time{})
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{ReadCloser: r.Body, rc: rc, limits: of}
			// net/http itself reads what a handler leaves
			_ = rc.SetReadDeadline(time.Now().Add(of.stall))
		}
		pw := &writer{ResponseWriter: w, rc: rc, stall: of.stall}
		// what net/http still has in its buffer is written after the handler has returned
		defer func() { _ = rc.SetWriteDeadline(time.Now().Add(of.stall)) }()
		next.ServeHTTP(pw, r)
	})
}

type body struct {
	io.ReadCloser
	rc     *http.ResponseController
	limits limits
	waited time.Duration // for the client
	came   int64         // bytes
	err    error         // that ended it
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	began := time.Now()
	_ = b.rc.SetReadDeadline(began.Add(b.limits.wait(b.came, b.waited)))
	n, err := b.ReadCloser.Read(p)
	b.waited += time.Since(began)
	b.came += int64(n)
	b.err = err
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		// A deadline left standing would end the request's context while the reply is made, or that of the connection's next
		// request where this body is read late: net/http goes on reading the connection to notice a client that hangs up. One
		// that has passed stays: net/http itself reads what is left of the body before it sends the reply.
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// wait is how long the next bytes of a body may be waited for, of which so many came in so long. It is negative where the body
// came too slowly.
func (l limits) wait(came int64, waited time.Duration) time.Duration {
	return min(l.stall, l.patience+time.Duration(came/l.pace)*time.Second-waited)
}

type writer struct {
	http.ResponseWriter
	rc    *http.ResponseController
	stall time.Duration
}

func (w *writer) Write(p []byte) (int, error) {
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.stall))
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what lies below.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what is buffered.
func (w *writer) Flush() { _ = w.rc.Flush() }

// Listen opens a TCP listener; port 0 takes a free one. The error names the address and what to do.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, CannotListen(address, err)
	}
	return l, nil
}

// CannotListen makes an error of listening name the address and what to do.
func CannotListen(address string, err error) error {
	mend := "stop what uses the port, or choose another"
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		mend = "this machine has no such address: choose one that it has"
	case errors.Is(err, syscall.EACCES):
		mend = "choose a port above 1023: those below are not for every user"
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("cannot listen on %s (%w): %s", address, err, mend)
}
