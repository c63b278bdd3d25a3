package s3copy

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's checksum
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/kit/progress"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Restore puts the objects of a backup that the bucket lacks, or has otherwise, into the bucket, which it makes where it is
// missing. Objects that only the bucket has stay. Its errors are those of [Backup].
func Restore(ctx context.Context, cfg Config) (err error) {
	c, done, err := open(cfg, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if st, err := c.root.Stat(objectsDir); err != nil || !st.IsDir() {
		return fmt.Errorf("%s is no backup of a bucket: it has no folder %s", cfg.Dir, objectsDir)
	}
	if err := c.Bucket.Ensure(ctx); err != nil {
		return err
	}

	stop := c.count(ctx, func(ctx context.Context, each func(int64)) error {
		return c.files(ctx, func(_ string, size int64) error {
			each(size)
			return nil
		})
	})
	defer stop()

	type file struct {
		key  string
		size int64
	}
	g, workersCtx := errgroup.WithContext(ctx)
	jobs := make(chan file)
	g.Go(func() error {
		defer close(jobs)
		return c.files(workersCtx, func(key string, size int64) error {
			select {
			case jobs <- file{key, size}:
				return nil
			case <-workersCtx.Done():
				return workersCtx.Err()
			}
		})
	})
	for range c.Workers {
		g.Go(func() error {
			for f := range jobs {
				if err := again(workersCtx, func() error { return c.put(workersCtx, f.key, f.size) }); err != nil {
					if err := c.fault(workersCtx, f.key, err); err != nil {
						return err
					}
				}
				c.seen(f.size)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := c.missing(ctx); err != nil {
		return err
	}
	if n := c.Progress.Faults.Load(); n > 0 {
		return fmt.Errorf("%s %w", progress.Count(n, "object", "objects"), ErrFaults)
	}
	return nil
}

// put brings one object into the bucket, unless it is there.
func (c *copier) put(ctx context.Context, key string, size int64) error {
	if !validKey(key) {
		return errKey
	}
	e, known, err := c.sums.get(key)
	if err != nil {
		return err
	}
	if known && e.size != size {
		return contentError("the backup's file has %d bytes, and %d are noted", size, e.size)
	}
	f, err := c.root.Open(objectsDir + "/" + key)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if !known {
		// whole, as it has its name, but the backup was interrupted before it was noted
		if e, err = measure(f, key); err != nil {
			return err
		}
	}
	there, err := c.Bucket.Head(ctx, key)
	if err == nil && there.Size == size && (there.ETag == e.md5 || e.etag != "" && there.ETag == e.etag) {
		return nil
	}
	if err != nil && spi.CodeOf(err) != spi.CodeNotFound {
		return err
	}
	how := blob.Put{ContentType: e.contentType}
	if _, err := hex.Decode(how.MD5[:], []byte(e.md5)); err != nil {
		return err
	}
	if known { // the store would find it out too, but some only after they have replaced the object
		now, err := measure(f, key)
		if err != nil {
			return err
		}
		if now.md5 != e.md5 {
			return contentError("the backup's file has the md5 %s, and %s is noted: it has rotted", now.md5, e.md5)
		}
	}
	if err := c.Bucket.PutFrom(ctx, key, f, size, how); err != nil {
		return err
	}
	c.copied(size)
	return nil
}

func measure(f io.ReadSeeker, key string) (entry, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return entry{}, err
	}
	sum := md5.New() //nolint:gosec // S3's checksum
	n, err := io.Copy(sum, f)
	return entry{key: key, md5: hex.EncodeToString(sum.Sum(nil)), size: n}, err
}

// missing reports the objects that are noted, but whose files are gone from the backup.
func (c *copier) missing(ctx context.Context) error {
	return fs.WalkDir(c.root.FS(), sumsDir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		keys := map[string]bool{}
		if err := c.sums.read(name, func(e entry) { keys[e.key] = true }); err != nil {
			return err
		}
		for key := range keys {
			_, err := c.root.Stat(objectsDir + "/" + key)
			if err == nil {
				continue
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = contentError("the backup lacks its file")
			}
			if err := c.fault(ctx, key, err); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}
