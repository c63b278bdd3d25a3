// Package s3copy copies a bucket into a folder and back: only what is new or changed, several objects at a time, every one
// checked against its md5, in memory that does not grow with the bucket. A copy that is interrupted goes on where it stopped.
//
// It may import blob, services/kit and services/spi; the bucket is an interface of its own, as it needs more than the API does.
//
// A backup's folder holds
//
//	objects/KEY   the objects, under their keys
//	sums/*.tsv    a file for each folder of the bucket, named for the md5 of that folder's name, with a line for each object:
//	              md5, size, ETag, content type and key, with tabs between; of two lines for a key the later one holds
//	tmp/          objects under way
//
// Objects that are deleted from the bucket stay in the backup.
package s3copy

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag and Content-MD5 are md5: an integrity check, not a signature
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gofrs/flock"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const (
	objectsDir = "objects"
	sumsDir    = "sums"
	tmpDir     = "tmp"
	lockFile   = "lock"

	attempts   = 3
	firstPause = 500 * time.Millisecond

	// DefaultWorkers is how many objects are copied at a time where the configuration does not say.
	DefaultWorkers = 8
)

// Bucket is what copying needs of a bucket. Errors are as [blob.Store] says.
type Bucket interface {
	Ping(ctx context.Context) error
	Ensure(ctx context.Context) error
	List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error]
	Head(ctx context.Context, key string) (blob.Info, error)
	// Open opens an object; the caller closes it.
	Open(ctx context.Context, key string) (body io.ReadCloser, info blob.Info, contentType string, err error)
	// PutFrom stores size bytes from the beginning of r whole or not at all. Conditions are not used.
	PutFrom(ctx context.Context, key string, r io.ReadSeeker, size int64, how blob.Put) error
}

// Config says what to copy.
type Config struct {
	Bucket   Bucket
	Dir      string                      // the backup's folder
	Workers  int                         // objects at a time; DefaultWorkers where 0
	Fault    func(key string, err error) // is told of objects that could not be copied; one call at a time
	Progress *Progress                   // what has been done so far; nil: nobody looks
}

// Progress is counted while a copy runs; any goroutine may look.
type Progress struct {
	Total, TotalBytes   atomic.Int64 // of all there is to look at: growing until Counted
	Counted             atomic.Bool
	Seen, SeenBytes     atomic.Int64 // done with: copied, here already, or at fault
	Copied, CopiedBytes atomic.Int64
	Faults              atomic.Int64
}

// ErrFaults says that a copy came to its end, but not every object is copied.
var ErrFaults = errors.New("could not be copied")

// copier is a copy that runs.
type copier struct {
	Config
	root *os.Root
	sums *sums

	mu sync.Mutex // of Fault
}

// open opens the backup's folder for one copy at a time.
func open(cfg Config, create bool) (_ *copier, closeAll func() error, err error) {
	if cfg.Workers <= 0 {
		cfg.Workers = DefaultWorkers
	}
	if cfg.Progress == nil {
		cfg.Progress = &Progress{}
	}
	if create {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, nil, err
		}
	}
	// whatever a key looks like, or a link in the folder points to: nothing outside the folder is read or written
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()
	lock := flock.New(filepath.Join(cfg.Dir, lockFile), flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, nil, err
	}
	if !got {
		return nil, nil, fmt.Errorf("another copy works in %s: wait for its end", cfg.Dir)
	}
	if create {
		// what an interrupted copy left behind
		if err = root.RemoveAll(tmpDir); err != nil {
			return nil, nil, errors.Join(err, lock.Unlock())
		}
		for _, d := range []string{objectsDir, sumsDir, tmpDir} {
			if err = root.MkdirAll(d, 0o700); err != nil {
				return nil, nil, errors.Join(err, lock.Unlock())
			}
		}
	}
	c := &copier{Config: cfg, root: root, sums: newSums(root)}
	return c, func() error { return errors.Join(root.Close(), lock.Unlock()) }, nil
}

// fault notes that an object is not copied, unless nothing else can be copied either: then it gives the error back.
func (c *copier) fault(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil || fatal(err) {
		return fmt.Errorf("at %q: %w", key, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Progress.Faults.Add(1)
	if c.Fault != nil {
		c.Fault(key, err)
	}
	return nil
}

// fatal says whether an error would meet the next objects too.
func fatal(err error) bool {
	var e *spi.Error
	if errors.As(err, &e) {
		return e.Code == spi.CodeUnavailable
	}
	// a key that is a folder of another one, or too long for this file system, is a fault of that key alone
	for _, own := range []error{syscall.ENOTDIR, syscall.EISDIR, syscall.EEXIST, syscall.ENAMETOOLONG, errKey, errContent} {
		if errors.Is(err, own) {
			return false
		}
	}
	return true
}

var (
	errKey     = errors.New("not a key that this server gives: it is left out")
	errContent = errors.New("the content is not what it should be")
)

func contentError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errContent, fmt.Sprintf(format, args...))
}

// again repeats do, with pauses, while the object store is away or bytes arrive changed.
func again(ctx context.Context, do func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == attempts || ctx.Err() != nil || spi.CodeOf(err) != spi.CodeUnavailable && !errors.Is(err, errContent) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause *= 4
	}
}

// validKey says whether a key can be a path below the backup's folder: the rule of the server's own keys.
func validKey(key string) bool {
	if key == "" || len(key) > 1024 || !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return false
		}
	}
	return filepath.IsLocal(filepath.FromSlash(key))
}

// isMD5 says whether an ETag is the md5 of the object: it is not where it was uploaded in parts.
func isMD5(etag string) bool {
	return len(etag) == 2*md5.Size && !strings.ContainsFunc(etag, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) })
}
