// Package blob is the interface to the object store: image files, thumbnails and, later, tuboids and ML bundles. It may
// import services/spi for the typed error. The S3 implementation is blob/s3blob; blob/blobtest is the suite that it passes.
package blob

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag and Content-MD5 are md5: an integrity check, not a signature
	"io"
	"iter"
	"time"
)

// Info describes a stored object.
type Info struct {
	Key      string
	Size     int64     // bytes
	ETag     string    // without quotes; the md5 in hexadecimal for objects put by Put or by a presigned POST
	Modified time.Time // UTC
}

// Put says how an object is put.
type Put struct {
	ContentType string
	MD5         [md5.Size]byte // of the body; CodeInternal, and no object, where what arrived has another
	IfAbsent    bool           // CodeConflict where the object is there already
	IfETag      string         // where not empty: CodeConflict unless the object there has this ETag
}

// Post says what a presigned POST lets somebody upload.
type Post struct {
	MaxSize int64         // bytes
	Life    time.Duration // how long it may be used; some stores end it sooner (versitygw: after an hour)
}

// PresignedPost is what a client needs to upload one object: a multipart form to URL with all Fields, and then the bytes as
// the field "file". The answer is 204.
type PresignedPost struct {
	URL    string
	Fields map[string]string
}

// Store is one bucket. Every error is a *spi.Error: CodeUnavailable where the object store does not answer or has no room,
// CodeNotFound, CodeConflict as said, CodeInternal for the rest. All methods are safe for concurrent use.
type Store interface {
	// Ensure makes the bucket where it is missing.
	Ensure(ctx context.Context) error
	// Ping asks whether the bucket can be reached with the keys.
	Ping(ctx context.Context) error
	// Put stores an object whole or not at all.
	Put(ctx context.Context, key string, body []byte, how Put) error
	// Head describes an object. CodeNotFound.
	Head(ctx context.Context, key string) (Info, error)
	// Get opens an object; the caller closes it. CodeNotFound.
	Get(ctx context.Context, key string) (io.ReadCloser, Info, error)
	// Delete removes the objects; one that is not there is no error.
	Delete(ctx context.Context, keys ...string) error
	// List walks the objects whose key begins with prefix, in order of the keys. The walk ends after an error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Folders walks the folders right below prefix, which ends in a slash, in the order of their bytes: what stands in keys
	// between prefix and the next slash. The walk ends after an error.
	Folders(ctx context.Context, prefix string) iter.Seq2[string, error]
	// AppendURL appends the presigned GET URL of an object (SigV4, public endpoint). It asks nobody, and gives the same
	// bytes for the same key within one signing window.
	AppendURL(dst []byte, key string) []byte
	// AppendSavingURL does the same, with a URL whose reply browsers save under the last part of the key, and do not show: the
	// header Content-Disposition is signed with it.
	AppendSavingURL(dst []byte, key string) []byte
	// PresignPost lets whoever has the result put the object of exactly that key, once or more often, without knowing the
	// store's keys (SigV4, public endpoint). It asks nobody. CodeInvalid for a key that cannot be one.
	PresignPost(key string, how Post) (PresignedPost, error)
}
