package s3blob

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const (
	codeNoSuchBucket = "NoSuchBucket"
	codeNoSuchKey    = "NoSuchKey"
)

// kinds are the S3 errors that need more than a look at the HTTP status. The codes are those of
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and of versitygw's s3err.
var kinds = map[string]kind{
	codeNoSuchKey:    missing,
	codeNoSuchBucket: noBucket,

	"PreconditionFailed":         conflict,
	"ConditionalRequestConflict": conflict,

	"QuotaExceeded":       full, // versitygw; a 403
	"InsufficientStorage": full, // versitygw; a 507
	"XMinioStorageFull":   full,

	"XAdminUserNotFound":   keys,  // versitygw, of an access key that it does not know; a 404
	"RequestTimeTooSkewed": clock, // a 403
	"RequestTimeout":       away,  // a 400: the body came too slowly
	// versitygw, a 409, where it cannot make an object's folder: a deletion removes it as it gets empty, or the disk is full
	"ExistingObjectIsDirectory": away,
	"BadDigest":                 digest,

	// Of single objects in a deletion, where there is no status to go by.
	"AccessDenied":       keys,
	"InternalError":      away,
	"ServiceUnavailable": away,
	"SlowDown":           away,
}

// errPrecondition is the answer to a put whose condition does not hold.
var errPrecondition = &smithy.GenericAPIError{Code: "PreconditionFailed", Message: "the object itself says so; the answer was lost"}

// cutOff says whether the store ended the connection while it was sent something.
func cutOff(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

type kind int

const (
	refused kind = iota // the request is wrong, which is a fault of this program
	missing
	conflict
	away // no answer, or one that says 'not now': the only kind that another attempt may mend
	noBucket
	full
	keys
	clock
	digest
)

// explain makes the typed error of a failed attempt to do what, and says whether another attempt makes sense. The message
// may be read by clients: it holds no address and nothing of the keys. ctx is the caller's.
func explain(ctx context.Context, what string, err error) (e *spi.Error, again bool) {
	if ctx.Err() != nil {
		return spi.Wrap(spi.CodeUnavailable, errors.Join(ctx.Err(), err), "gave up trying to %s", what), false
	}
	switch kindOf(err) {
	case missing:
		return spi.Wrap(spi.CodeNotFound, err, "cannot %s: it is not there", what), false
	case conflict:
		return spi.Wrap(spi.CodeConflict, err, "cannot %s: another is there", what), false
	case away:
		return spi.Wrap(spi.CodeUnavailable, err, "the object store (S3) does not answer; try again"), true
	case noBucket:
		return spi.Wrap(spi.CodeUnavailable, err, "the object store (S3) lacks the bucket; tell the operator"), false
	case full:
		return spi.Wrap(spi.CodeUnavailable, err, "the object store (S3) has no room left; tell the operator"), false
	case keys:
		return spi.Wrap(spi.CodeUnavailable, err,
			"the object store (S3) refuses this server's keys; tell the operator (S3_ACCESS_KEY, S3_PRIVATE_KEY)"), false
	case clock:
		return spi.Wrap(spi.CodeUnavailable, err,
			"the clocks of this server and of the object store (S3) differ; tell the operator"), false
	case digest:
		return spi.Wrap(spi.CodeInternal, err, "cannot %s: it does not match its md5", what), false
	default:
		return spi.Wrap(spi.CodeInternal, err, "the object store (S3) refuses to %s", what), false
	}
}

func kindOf(err error) kind {
	if k, ok := kinds[apiCode(err)]; ok {
		return k
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() != 0 { // 0: the SDK's error for no answer
		return kindOfStatus(response.HTTPStatusCode())
	}
	var send *smithyhttp.RequestSendError
	var network net.Error
	if errors.As(err, &send) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) {
		return away
	}
	return refused
}

func kindOfStatus(status int) kind {
	switch {
	case status == http.StatusNotFound:
		return missing
	case status == http.StatusPreconditionFailed:
		return conflict
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return keys
	case status == http.StatusInsufficientStorage:
		return full
	case status == http.StatusTooManyRequests, status >= 500 && status != http.StatusNotImplemented:
		return away
	}
	return refused
}

// apiCode is the S3 code of an error; empty where it has none.
func apiCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// deleteError is what S3 says of one object in the answer, a 200, to the deletion of many.
type deleteError struct{ in types.Error }

var _ smithy.APIError = (*deleteError)(nil)

func (e *deleteError) Error() string {
	return "deleting " + aws.ToString(e.in.Key) + ": " + e.ErrorCode() + ": " + e.ErrorMessage()
}

func (e *deleteError) ErrorCode() string             { return aws.ToString(e.in.Code) }
func (e *deleteError) ErrorMessage() string          { return aws.ToString(e.in.Message) }
func (e *deleteError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

func notFound(key string) *spi.Error {
	return spi.Errorf(spi.CodeNotFound, "no object can have the key %q", key)
}
