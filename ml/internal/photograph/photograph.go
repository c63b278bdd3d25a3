// Package photograph gets photographs for detectors: it fetches them from the object store and decodes them, both within
// bounds, since their bytes are anybody's. It may import stall, kit/jpegfile and services/spi.
package photograph

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/stall"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of one photograph. The server takes files of 100 MB and 50 megapixels.
const (
	MaxBytes  = 100 << 20
	MaxPixels = 60_000_000
)

// fetchTries and fetchPause are how often a photograph is asked for, and the first pause in between, before the object
// store counts as away.
const (
	fetchTries = 3
	fetchPause = 300 * time.Millisecond
)

// stallAfter ends a download that makes no progress.
const stallAfter = time.Minute

// maxScans bounds the time that decoding takes, which nothing can break off: every scan of a progressive JPEG visits every
// block, however few bytes it has. Usual are 10; the server takes 64.
const maxScans = 100

// ErrNotServed is in the chain of the error where the store answers, and does not give the photograph: the store's fault if
// it gives no other, else the photograph's.
var ErrNotServed = errors.New("not served")

// Reason is the kind of what is wrong with a photograph: few, for metrics.
type Reason string

// The reasons.
const (
	Gone       Reason = "gone"       // the object is not there
	TooLarge   Reason = "too_large"  // more bytes or pixels than the bounds
	WrongMD5   Reason = "wrong_md5"  // other bytes than were uploaded
	Unreadable Reason = "unreadable" // no JPEG that can be decoded
	NoLink     Reason = "no_link"    // the server gave no URL that can be used
)

// Reasons are all of them.
var Reasons = []Reason{Gone, TooLarge, WrongMD5, Unreadable, NoLink}

// Error is what is wrong with one photograph; asking again will not mend it.
type Error struct {
	Reason  Reason
	Message string // for people
}

func (e *Error) Error() string { return e.Message }

func failure(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// Fetch gets a photograph by its presigned URL and checks its md5. An [*Error] is the photograph's fault; spi.CodeUnavailable
// means that the object store is away, or, with [ErrNotServed], refuses the link, or breaks off, after a few tries.
func Fetch(ctx context.Context, client *http.Client, link, wantMD5 string) ([]byte, error) {
	if u, err := url.Parse(link); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, failure(NoLink, "the server's link to the photograph is no URL")
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = fetchPause
	return backoff.Retry(ctx, func() ([]byte, error) {
		data, err := fetchOnce(ctx, client, link, wantMD5)
		var final *Error
		if errors.As(err, &final) {
			err = backoff.Permanent(err)
		}
		return data, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(fetchTries))
}

func fetchOnce(ctx context.Context, client *http.Client, link, wantMD5 string) ([]byte, error) {
	asking, progress := stall.Watch(ctx, stallAfter)
	defer progress.Stop()
	req, err := http.NewRequestWithContext(asking, http.MethodGet, link, nil)
	if err != nil {
		return nil, failure(NoLink, "the server's link to the photograph is no URL")
	}
	reply, err := client.Do(req)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer func() { _ = reply.Body.Close() }()
	switch reply.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, failure(Gone, "the photograph is not in the object store (it answered %s)", reply.Status)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, spi.Errorf(spi.CodeUnavailable, "the object store answered %s", reply.Status)
	default: // 403 too: keys or clocks may be wrong
		return nil, spi.Wrap(spi.CodeUnavailable, ErrNotServed, "the object store answered %s to a presigned link", reply.Status)
	}
	if reply.ContentLength > MaxBytes {
		return nil, failure(TooLarge, "the photograph has %d bytes, and %d are the most", reply.ContentLength, MaxBytes)
	}
	var b bytes.Buffer
	if reply.ContentLength > 0 {
		b.Grow(int(reply.ContentLength) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(progress.Reader(io.LimitReader(reply.Body, MaxBytes+1))); err != nil {
		if ctx.Err() != nil {
			return nil, unavailable(ctx, err)
		}
		return nil, spi.Wrap(spi.CodeUnavailable, errors.Join(ErrNotServed, err), "the object store broke off after %d bytes", b.Len())
	}
	if b.Len() > MaxBytes {
		return nil, failure(TooLarge, "the photograph has more than %d bytes", MaxBytes)
	}
	sum := md5.Sum(b.Bytes()) //nolint:gosec // see the import
	if got := hex.EncodeToString(sum[:]); !strings.EqualFold(got, wantMD5) {
		return nil, failure(WrongMD5, "the object has md5 %s, and the photograph %.32s: it was damaged or replaced", got, wantMD5)
	}
	return b.Bytes(), nil
}

// unavailable says that the store could not be talked to. The URL is left out of it: it is a key to the photograph.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("fetching a photograph: %w", context.Cause(ctx))
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return spi.Wrap(spi.CodeUnavailable, err, "the connection to the object store failed")
}

// Weigh gives the bytes that [Decode] holds at most, by what the file's markers say. Its errors are [*Error].
func Weigh(data []byte) (int64, error) {
	header, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return 0, failure(Unreadable, "the file is no JPEG: %v", err)
	}
	if int64(header.Width)*int64(header.Height) > MaxPixels {
		return 0, failure(TooLarge, "the photograph has %d x %d pixels, and %d megapixels are the most", header.Width, header.Height, MaxPixels/1_000_000)
	}
	// within the pictures' data these two bytes do not occur
	if n := bytes.Count(data, []byte{0xff, 0xda}); n > maxScans {
		return 0, failure(Unreadable, "the JPEG has %d scans, and %d are the most", n, maxScans)
	}
	info, err := jpegfile.CheckWithin(data, MaxPixels)
	if err != nil {
		// of a kind that the server does not take, and the old one did: the worst is assumed
		info = jpegfile.Info{Width: header.Width, Height: header.Height, Components: 4, Progressive: true, Copied: true}
	}
	return info.Bytes(), nil
}

// Decode decodes a JPEG of at most [MaxPixels]. A 5 megapixel photograph takes about 0.1 s of one core, a fraction of what a
// detector takes. Its errors are [*Error].
func Decode(data []byte) (image.Image, error) {
	if _, err := Weigh(data); err != nil {
		return nil, err
	}
	photo, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, failure(Unreadable, "the JPEG cannot be decoded: %v", err)
	}
	return photo, nil
}
