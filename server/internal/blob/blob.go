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
	// AppendURL appends the presigned GET URL of an object (SigV4, public endpoint). It asks nobody, and gives the same
	// bytes for the same key within one signing window.
	AppendURL(dst []byte, key string) []byte
}
