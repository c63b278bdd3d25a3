// Package ingest turns an uploaded file into a stored image: it reads what the file's name and its EXIF say, proves that
// the JPEG is whole, makes the thumbnails, puts the objects and then the row. It never overwrites an image that is there.
//
// It may import services/spi, and of the server the interfaces of store and blob; it knows neither HTTP nor SQL nor S3. Its
// parts, each without any knowledge of the others, are exifmeta and pyliteral (the
// metadata) and thumbnail (the pictures).
package ingest

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's and S3's checksum, not a signature
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/exifmeta"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/thumbnail"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Thumbnailer decodes pictures. [thumbnail.Maker] is one.
type Thumbnailer interface {
	// Make decodes the whole file, which info describes, and gives both thumbnails of it as JPEGs. CodeInvalid where the
	// file is damaged or cut short; CodeUnavailable where ctx ends before it is the picture's turn.
	Make(ctx context.Context, file []byte, info jpegfile.Info) (thumbnail.Pair, error)
}

// Outcome says how the upload of a file ended, for the metrics.
type Outcome string

// The outcomes.
const (
	Stored      Outcome = "stored"
	BadName     Outcome = "bad_name"     // the file's name is not that of an image
	BadChecksum Outcome = "bad_checksum" // the bytes are not those that the client meant to send
	BadJPEG     Outcome = "bad_jpeg"     // not a whole JPEG, or of a kind or size that is not taken
	BadMetadata Outcome = "bad_metadata" // no, or wrong, metadata
	Duplicate   Outcome = "duplicate"    // an image of that device and time is there already
	Failed      Outcome = "failed"       // the database or the object store failed, or the client went away
)

// Outcomes lists every [Outcome].
var Outcomes = []Outcome{Stored, BadName, BadChecksum, BadJPEG, BadMetadata, Duplicate, Failed}

// Config says with what a [Service] works. Store, Blob and Thumbnailer must be there.
type Config struct {
	Store       store.Store
	Blob        blob.Store
	Thumbnailer Thumbnailer
	Clock       func() time.Time                   // time.Now where nil
	Logger      *slog.Logger                       // slog.Default() where nil
	Observe     func(outcome Outcome, fileLen int) // called once for every file, with its length in bytes; may be nil
}

// Service stores uploaded images. It is safe for concurrent use.
type Service struct{ c Config }

// New makes a service.
func New(c Config) *Service {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Observe == nil {
		c.Observe = func(Outcome, int) {}
	}
	return &Service{c}
}

// File is an uploaded file.
type File struct {
	Name string // as the client named it: DEVICE.YYYY-MM-DD_HH-MM-SS.jpg
	Data []byte // not changed, and not kept
	MD5  string // hexadecimal, as the client claims it; empty where it claims none
}

// finishWithin bounds what is still done for a client that has gone away after its image was put.
const finishWithin = time.Minute

// Put stores a file as the user's and gives its row. Once it has returned without an error the image is in the database
// and its three objects are in the object store. Every error is a *spi.Error whose message begins with the file's name:
// CodeInvalid where the file is wrong, CodeConflict where an image of that device and time is there already (which stays
// as it is), CodeUnavailable where the same file may be sent again.
func (s *Service) Put(ctx context.Context, file File, user string) (store.Image, error) {
	image, outcome, err := s.put(ctx, file, user)
	s.c.Observe(outcome, len(file.Data))
	if err != nil {
		return store.Image{}, about(file.Name, outcome, err)
	}
	return image, nil
}

func (s *Service) put(ctx context.Context, file File, user string) (store.Image, Outcome, error) {
	name, err := ParseName(file.Name)
	if err != nil {
		return store.Image{}, BadName, err
	}
	sum := md5.Sum(file.Data) //nolint:gosec // see the import
	if file.MD5 != "" && !strings.EqualFold(file.MD5, hex.EncodeToString(sum[:])) {
		return store.Image{}, BadChecksum, spi.Errorf(spi.CodeInvalid,
			"the md5 of the file as received is %x, the client said %.40q: send it again", sum, file.MD5)
	}
	info, err := jpegfile.Check(file.Data)
	if err != nil {
		return store.Image{}, BadJPEG, spi.Errorf(spi.CodeInvalid, "%v", err)
	}
	meta, err := exifmeta.Read(info.EXIF)
	if err != nil {
		return store.Image{}, BadMetadata, err
	}
	meta.Width, meta.Height = info.Width, info.Height
	image := store.Image{
		Device:        name.Device,
		Datetime:      name.Datetime,
		MD5:           hex.EncodeToString(sum[:]),
		ImageMetadata: meta,
		Provenance: store.Provenance{
			APIVersion: sql.Null[string]{V: spi.APIVersion, Valid: true},
			APIUser:    sql.Null[string]{V: user, Valid: true},
		},
	}

	// A look before the work: a client that sends a whole card again should cost little. What decides is the claim.
	if err := s.checkAbsent(ctx, &image); err != nil {
		return store.Image{}, outcomeOf(err), err
	}
	// The claim keeps others waiting, so the picture is decoded before it is taken.
	pair, err := s.c.Thumbnailer.Make(ctx, file.Data, info)
	if err != nil {
		if spi.CodeOf(err) == spi.CodeInvalid {
			return store.Image{}, BadJPEG, err
		}
		return store.Image{}, Failed, err
	}
	claim, err := s.c.Store.ClaimImage(ctx, image.Device, image.Datetime)
	if err != nil {
		if spi.CodeOf(err) == spi.CodeConflict {
			err = isThere(nil, &image)
		}
		return store.Image{}, outcomeOf(err), err
	}
	defer claim.Release()
	if err := s.putOriginal(ctx, &image, file.Data, sum); err != nil {
		return store.Image{}, outcomeOf(err), err
	}

	// From here on it is cheaper to finish than to leave an object without a row.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.putThumbnail(gctx, &image, spi.Thumbnail, pair.Thumbnail) })
	group.Go(func() error { return s.putThumbnail(gctx, &image, spi.ThumbnailMini, pair.Mini) })
	if err := group.Wait(); err != nil {
		return store.Image{}, Failed, err
	}
	image.DatetimeCreated = s.c.Clock().UTC().Truncate(time.Second)
	if err := claim.Commit(ctx, &image); err != nil {
		if spi.CodeOf(err) == spi.CodeConflict {
			err = isThere(nil, &image)
		}
		return store.Image{}, outcomeOf(err), err
	}
	return image, Stored, nil
}

const contentType = "image/jpeg"

// putOriginal puts the file under the claim.
func (s *Service) putOriginal(ctx context.Context, image *store.Image, data []byte, sum [md5.Size]byte) error {
	key := Key(image.Device, image.Datetime, spi.FullImage)
	return blob.PutClaimed(ctx, s.c.Blob, key, data, blob.Put{ContentType: contentType, MD5: sum}, func(ctx context.Context, left blob.Info) error {
		if err := s.checkAbsent(ctx, image); err != nil {
			return err
		}
		s.c.Logger.WarnContext(ctx, "replacing an object without a row, left by an upload that failed",
			"key", key, "size", left.Size, "etag", left.ETag, "modified", left.Modified)
		return nil
	})
}

func (s *Service) putThumbnail(ctx context.Context, image *store.Image, what spi.What, data []byte) error {
	return s.c.Blob.Put(ctx, Key(image.Device, image.Datetime, what), data,
		blob.Put{ContentType: contentType, MD5: md5.Sum(data)}) //nolint:gosec // see the import
}

// checkAbsent gives CodeConflict where the image has a row.
func (s *Service) checkAbsent(ctx context.Context, image *store.Image) error {
	key := store.ImageKey{Device: image.Device, Datetime: image.Datetime}
	return s.c.Store.Images(ctx, []store.ImageKey{key}, func(there *store.Image) error { return isThere(there, image) })
}

// isThere is the error for an image that is there already; there is its row where that is known.
func isThere(there, image *store.Image) error {
	which := ""
	switch {
	case there == nil:
	case there.MD5 == image.MD5:
		which = ", with the same bytes"
	default:
		which = ", with other bytes"
	}
	return spi.Errorf(spi.CodeConflict, "an image of device %s at %s is there already%s; nothing was overwritten",
		image.Device, spi.FormatDatetime(image.Datetime, spi.DateV1), which)
}

func outcomeOf(err error) Outcome {
	if spi.CodeOf(err) == spi.CodeConflict {
		return Duplicate
	}
	return Failed
}

// about puts the file's name before the error's message, where it is not in there already.
func about(file string, outcome Outcome, err error) error {
	var e *spi.Error
	if !errors.As(err, &e) {
		return spi.Wrap(spi.CodeInternal, err, "%s: the image could not be stored", quote(file))
	}
	if outcome == BadName {
		return e
	}
	named := spi.Wrap(e.Code, errors.Unwrap(e), "%s: %s", quote(file), e.Message)
	named.RetryAfter = e.RetryAfter
	return named
}

// quote makes a foreign file name safe to show: cut, and with everything escaped that is not plain text.
func quote(file string) string { return fmt.Sprintf("%.80q", file) }
