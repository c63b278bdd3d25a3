package ui

import (
	"context"
	"errors"
	"math"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type errorBody struct {
	code       spi.Code
	message    string
	retryAfter int // seconds; 0: not said
}

// failure is what a browser is told of an error.
func failure(err error) (status int, body errorBody) {
	var e *spi.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = spi.Wrap(spi.CodeUnavailable, err, "it took too long: try again")
	default:
		e = spi.Wrap(spi.CodeInternal, err, "the viewer failed; its log has the cause under this request's id")
	}
	return e.Code.Status(), errorBody{code: e.Code, message: e.Message, retryAfter: int(math.Ceil(e.RetryAfter.Seconds()))}
}
