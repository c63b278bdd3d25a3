package spi

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Code says what kind of mistake an [Error] is. The server turns it into an HTTP status, the client back into a Code.
type Code string

// The codes of the protocol, with the HTTP status of each.
const (
	CodeInvalid          Code = "invalid"                // 400: the request is wrong; sending it again will not help
	CodeUnauthorized     Code = "unauthorized"           // 401: no, or wrong, credentials
	CodeForbidden        Code = "forbidden"              // 403: the user may not do this
	CodeNotFound         Code = "not_found"              // 404: no such path, or a parent that must exist does not
	CodeMethodNotAllowed Code = "method_not_allowed"     // 405
	CodeConflict         Code = "conflict"               // 409: it is there already, or differs from what is there
	CodeTooLarge         Code = "too_large"              // 413: the body is larger than the server takes
	CodeUnsupportedMedia Code = "unsupported_media_type" // 415: the body is not of the type that the endpoint takes
	CodeRateLimited      Code = "rate_limited"           // 429: too many failed log-ins, or as much under way as one user may have; wait and try again
	CodeInternal         Code = "internal"               // 500: a fault of the server's; the cause is in its log
	CodeUnavailable      Code = "unavailable"            // 503: the database or S3 is away; try again
)

var statusOf = map[Code]int{
	CodeInvalid:          http.StatusBadRequest,
	CodeUnauthorized:     http.StatusUnauthorized,
	CodeForbidden:        http.StatusForbidden,
	CodeNotFound:         http.StatusNotFound,
	CodeMethodNotAllowed: http.StatusMethodNotAllowed,
	CodeConflict:         http.StatusConflict,
	CodeTooLarge:         http.StatusRequestEntityTooLarge,
	CodeUnsupportedMedia: http.StatusUnsupportedMediaType,
	CodeRateLimited:      http.StatusTooManyRequests,
	CodeInternal:         http.StatusInternalServerError,
	CodeUnavailable:      http.StatusServiceUnavailable,
}

// Status is the HTTP status of the code; 500 for a code that is not of the protocol.
func (c Code) Status() int {
	if s, ok := statusOf[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// CodeOfStatus is the code for an HTTP status that is not 200. Statuses that the protocol does not name become
// [CodeInvalid] (4xx) or, as gateways answer them while a service is away, [CodeUnavailable] (502, 504) and [CodeInternal].
func CodeOfStatus(status int) Code {
	for c, s := range statusOf {
		if s == status {
			return c
		}
	}
	switch {
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return CodeUnavailable
	case status >= 400 && status < 500:
		return CodeInvalid
	}
	return CodeInternal
}

// Error is the one error type that crosses packages and the network. Message is safe to show to the client; the cause,
// found by [errors.Unwrap], is for the server's log alone and never sent.
type Error struct {
	Code    Code
	Message string
	// RetryAfter, where it is not zero, is how long to wait before trying again (the Retry-After header).
	RetryAfter time.Duration
	cause      error
}

// Error gives code, message and cause, for logs.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap gives the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Errorf makes an [Error] whose message is safe to show. It takes no %w: a cause goes through [Wrap], so that its text
// does not reach the client.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an [Error] with a cause that is logged and not sent.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
}

// CodeOf is the code of the first [Error] in err's chain; [CodeInternal] where there is none. It panics on nil.
func CodeOf(err error) Code {
	if err == nil {
		panic("spi.CodeOf(nil)")
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
