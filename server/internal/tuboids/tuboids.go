// Package tuboids turns an uploaded tuboid into a stored one: it reads what its name, its series_info and its metadata say,
// checks that they agree and that the pictures are whole, puts the three objects and then the row. It never overwrites a
// tuboid that is there.
//
// It may import services/spi, kit/jpegfile, of the server the interfaces of store and blob; it knows neither HTTP nor
// SQL nor S3.
package tuboids

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's and S3's checksum, not a signature
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// maxPixels bounds a tuboid's pictures. They are tiles of 224 x 224, one a shot: an insect that sticks to its card for two
// weeks has more than [jpegfile.MaxPixels]. Nothing of them is decoded here.
const maxPixels = 1 << 30

// Config says with what a [Service] works. Store and Blob must be there.
type Config struct {
	Store  store.Tuboids
	Blob   blob.Store
	Clock  func() time.Time // time.Now where nil
	Logger *slog.Logger     // slog.Default() where nil
}

// Service stores uploaded tuboids. It is safe for concurrent use.
type Service struct{ c Config }

// New makes a service.
func New(c Config) *Service {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Service{c}
}

// Upload is a tuboid as it was sent. Its bytes are not changed, and not kept.
type Upload struct {
	TuboidID string
	Info     Info
	Metadata []byte
	Tuboid   []byte // JPEG
	Context  []byte // JPEG
}

// finishWithin bounds what is still done for a client that has gone away after the first object was put.
const finishWithin = time.Minute

// Put stores a tuboid as the user's and gives its row. Once it has returned without an error the row is in the database and
// the three objects are in the object store. Every error is a *spi.Error: CodeInvalid where the upload is wrong, CodeConflict
// where the tuboid is there already (which stays as it is), where its series is full or is there with other numbers,
// CodeUnavailable where the same may be sent again.
func (s *Service) Put(ctx context.Context, u Upload, user string) (store.Tuboid, error) {
	t, err := row(u)
	if err != nil {
		return store.Tuboid{}, err
	}
	t.Provenance = store.Provenance{
		DatetimeCreated: s.c.Clock().UTC().Truncate(time.Second),
		APIVersion:      sql.Null[string]{V: spi.APIVersion, Valid: true},
		APIUser:         sql.Null[string]{V: user, Valid: true},
	}
	t.Series.Provenance = t.Provenance

	claim, err := s.c.Store.ClaimTuboid(ctx, &t)
	if err != nil {
		return store.Tuboid{}, about(u.TuboidID, err)
	}
	defer claim.Release()
	if err := s.putObject(ctx, &t, Picture, u.Tuboid); err != nil {
		return store.Tuboid{}, about(u.TuboidID, err)
	}
	// From here on it is cheaper to finish than to leave an object without a row.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	if err := s.putObject(ctx, &t, Context, u.Context); err != nil {
		return store.Tuboid{}, about(u.TuboidID, err)
	}
	if err := s.putObject(ctx, &t, Metadata, u.Metadata); err != nil {
		return store.Tuboid{}, about(u.TuboidID, err)
	}
	if err := claim.Commit(ctx, &t); err != nil {
		return store.Tuboid{}, about(u.TuboidID, err)
	}
	return t, nil
}

// row checks an upload and makes its row.
func row(u Upload) (store.Tuboid, error) {
	id, err := ParseID(u.TuboidID)
	if err != nil {
		return store.Tuboid{}, err
	}
	if err := u.Info.Agrees(id); err != nil {
		return store.Tuboid{}, about(u.TuboidID, err)
	}
	shots, err := ParseMetadata(u.Metadata, id)
	if err != nil {
		return store.Tuboid{}, about(u.TuboidID, err)
	}
	for _, picture := range []struct {
		name string
		data []byte
	}{{"tuboid", u.Tuboid}, {"context", u.Context}} {
		if _, err := jpegfile.CheckWithin(picture.data, maxPixels); err != nil {
			return store.Tuboid{}, about(u.TuboidID, about(picture.name, spi.Errorf(spi.CodeInvalid, "%v", err)))
		}
	}
	return store.Tuboid{
		TuboidID: u.TuboidID, IDInSeries: id.Number, StartDatetime: shots.First, EndDatetime: shots.Last, NShots: shots.N,
		Series: store.TuboidSeries{
			Device: id.Device, StartDatetime: id.Start, EndDatetime: id.End, AlgoName: u.Info.AlgoName, AlgoVersion: id.AlgoVersion,
			NTuboids: u.Info.NTuboids, NImages: u.Info.NImages,
		},
	}, nil
}

// putObject puts an object where none is, or where one lies that no row speaks of: the caller holds the claim, so that it can
// only have been left by an upload that did not end well.
func (s *Service) putObject(ctx context.Context, t *store.Tuboid, part Part, data []byte) error {
	key := Key(t.TuboidID, part)
	how := blob.Put{ContentType: part.contentType(), MD5: md5.Sum(data)} //nolint:gosec // see the import
	return blob.PutClaimed(ctx, s.c.Blob, key, data, how, func(ctx context.Context, left blob.Info) error {
		there, err := s.c.Store.TuboidsByName(ctx, []string{t.TuboidID})
		if err != nil {
			return err
		}
		if len(there) > 0 {
			return spi.Errorf(spi.CodeConflict, "the tuboid is there already; nothing was overwritten")
		}
		s.c.Logger.WarnContext(ctx, "replacing an object without a row, left by an upload that failed",
			"key", key, "size", left.Size, "etag", left.ETag, "modified", left.Modified)
		return nil
	})
}

// about puts what an error is about before its message.
func about(what string, err error) error {
	var e *spi.Error
	if !errors.As(err, &e) {
		return spi.Wrap(spi.CodeInternal, err, "%s: the tuboid could not be stored", what)
	}
	named := spi.Wrap(e.Code, errors.Unwrap(e), "%s: %s", what, e.Message)
	named.RetryAfter = e.RetryAfter
	return named
}
