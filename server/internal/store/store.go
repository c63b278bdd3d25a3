// Package store holds the server's domain rows and the interface behind which they are kept. It knows no SQL dialect and
// no HTTP; it may import services/spi for the typed error. The implementation is store/sqlstore; store/storetest is the
// suite that every implementation passes.
package store

import (
	"context"
	"database/sql"
	"time"
)

// Provenance says when, by which version and by whom a row was made. Rows of the old stack may lack the last two.
type Provenance struct {
	DatetimeCreated time.Time
	APIVersion      sql.Null[string]
	APIUser         sql.Null[string]
}

// User is an account. The effective role is derived by package auth.
type User struct {
	ID           int64
	Username     string
	Email        sql.Null[string]
	PasswordHash string // argon2id, or sha512-crypt of the old stack
	IsAdmin      bool
	CanWrite     bool
	Provenance
}

// Image is one photograph. (Device, Datetime) is unique, the device compared without case.
type Image struct {
	ID       int64
	Device   string    // 8 hexadecimal digits, as the device writes them
	Datetime time.Time // UTC, whole seconds
	MD5      string    // of the whole file, 32 lower-case hexadecimal digits
	ImageMetadata
	Provenance
}

// ImageMetadata is what is read from the file itself.
type ImageMetadata struct {
	DeviceVersion       sql.Null[string]
	Width, Height       int // pixels
	Alt                 sql.Null[float64]
	Lat, Lng            sql.Null[float64] // degrees, as they come: some devices of the first generation swap them
	Temp                sql.Null[float64] // degrees Celsius; below -300: the sensor failed
	Hum                 sql.Null[float64] // relative humidity, %; below 0: the sensor failed
	NoFlashShutterSpeed sql.Null[float64]
	NoFlashExposureTime sql.Null[float64] // seconds
	NoFlashBV           sql.Null[float64]
	NoFlashISO          sql.Null[float64]
	Lum                 sql.Null[float64]
	Bat                 sql.Null[float64] // %
	But                 sql.Null[float64] // 0 or 1
}

// ImageKey names images: those of the devices that match the LIKE pattern (see [Like]), taken at that time.
type ImageKey struct {
	Device   string
	Datetime time.Time
}

// Series names the images of the devices that match the LIKE pattern (see [Like]) with Start <= datetime < End.
type Series struct {
	Device     string
	Start, End time.Time
}

// Store keeps users and images, and what the interfaces that it embeds say. Every error is a *spi.Error: CodeUnavailable where the database does not answer (the
// caller may try again), CodeConflict, CodeNotFound or CodeInvalid as said, CodeInternal for the rest. All methods are safe
// for concurrent use, and several servers may use one database at once.
type Store interface {
	Annotations
	Work
	Tuboids
	Projects
	Views

	// Ping asks the database for a sign of life.
	Ping(ctx context.Context) error

	// UserByName finds the account with exactly that name, compared without case, never as a pattern. CodeNotFound.
	UserByName(ctx context.Context, username string) (User, error)
	// UserByID finds an account. CodeNotFound.
	UserByID(ctx context.Context, id int64) (User, error)
	// Users gives the accounts for which match is true, ordered by id. A nil match takes all.
	Users(ctx context.Context, match func(*User) bool) ([]User, error)
	// AddUsers makes all of the accounts or none, and gives them with their ids. CodeConflict, naming it and, of several
	// accounts, which of them has it, for a name or e-mail address that is there already or twice among them.
	AddUsers(ctx context.Context, users []User) ([]User, error)
	// DeleteUsers deletes the accounts for which match is true and gives them, ordered by id: all or none. CodeForbidden
	// where the account keep is among them, or where no admin (IsAdmin and CanWrite) would be left.
	DeleteUsers(ctx context.Context, match func(*User) bool, keep int64) ([]User, error)
	// SetPasswordHash replaces the account's hash. CodeNotFound.
	SetPasswordHash(ctx context.Context, id int64, hash string) error
	// SwapPasswordHash replaces the hash only where it still is old, and says whether it did: the upgrade of an old hash
	// at log-in must not undo a password reset, nor a second upgrade end the tokens that hang on the first.
	SwapPasswordHash(ctx context.Context, id int64, old, hash string) (swapped bool, err error)

	// ClaimImage gives the caller the sole right, among all servers on this database, to store the image of that device
	// and time. It waits for another's claim to end, as long as ctx allows. CodeConflict where the row is there already.
	// A claim dies with the process or the database connection that holds it; its Commit fails then.
	ClaimImage(ctx context.Context, device string, datetime time.Time) (Claim, error)
	// Images calls fn with every image that one of the keys names, once each, ordered by id. fn may keep the Image's
	// values but not the pointer. An error of fn ends it and is given back as it is.
	Images(ctx context.Context, keys []ImageKey, fn func(*Image) error) error
	// ImageSeries calls fn with every image inside one of the series, once each, ordered by device, then datetime.
	// Memory does not grow with the number of rows, nor the time with that of the rows outside. fn as in Images.
	ImageSeries(ctx context.Context, series []Series, fn func(*Image) error) error
	// DeleteImages deletes the images that the keys name, with all that hangs on them, in batches. For each batch, before
	// the deletion is committed, it calls deleteObjects with the images; where that fails, the batch's rows stay and its
	// error is given back. After each commit it calls deleted with each image.
	DeleteImages(ctx context.Context, keys []ImageKey, deleteObjects func(context.Context, []Image) error, deleted func(*Image) error) error
}

// Claim is the sole right to store one image: see [Store.ClaimImage].
type Claim interface {
	// Commit inserts the row, whose device (without case) and datetime must be the claim's, and sets its ID. It fails with
	// CodeConflict where the row is there, and with CodeUnavailable where the claim was lost.
	Commit(ctx context.Context, image *Image) error
	// Release ends the claim. It is to be called once, after Commit too, and does not fail.
	Release()
}
