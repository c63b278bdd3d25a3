package httpserve

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// RunWithin is Run with other limits of how slowly bodies may come.
func RunWithin(ctx context.Context, log *slog.Logger, l net.Listener, handler http.Handler, stall, patience time.Duration, pace int64) error {
	return run(ctx, log, l, handler, limits{stall: stall, patience: patience, pace: pace})
}

// Wait is how long the next bytes of a body are waited for, of which so many came in so long.
func Wait(came int64, waited time.Duration) time.Duration { return usual().wait(came, waited) }
