package s3copy

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's checksum
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/kit/progress"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Backup copies the objects that the backup lacks, or has otherwise, into cfg.Dir, which it makes where it is missing. It
// gives [ErrFaults] where single objects could not be copied, and another error where it had to give up; a later Backup into
// the same folder goes on from there.
func Backup(ctx context.Context, cfg Config) (err error) {
	if err := cfg.Bucket.Ping(ctx); err != nil {
		return err
	}
	c, done, err := open(cfg, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()

	stop := c.count(ctx, func(ctx context.Context, each func(size int64)) error {
		for o, err := range c.Bucket.List(ctx, "") {
			if err != nil {
				return err
			}
			each(o.Size)
		}
		return nil
	})
	defer stop()

	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan blob.Info)
	g.Go(func() error {
		defer close(jobs)
		for o, err := range c.Bucket.List(ctx, "") {
			if err != nil {
				return err
			}
			if err := c.consider(ctx, o, jobs); err != nil {
				return err
			}
		}
		return nil
	})
	for range c.Workers {
		g.Go(func() error {
			for o := range jobs {
				if err := c.fetch(ctx, o); err != nil {
					if err := c.fault(ctx, o.Key, err); err != nil {
						return err
					}
				}
				c.seen(o.Size)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if n := c.Progress.Faults.Load(); n > 0 {
		return fmt.Errorf("%s %w", progress.Count(n, "object", "objects"), ErrFaults)
	}
	return nil
}

// consider hands an object on that is not in the backup yet.
func (c *copier) consider(ctx context.Context, o blob.Info, jobs chan<- blob.Info) error {
	if strings.HasSuffix(o.Key, "/") && o.Size == 0 { // the mark of a folder, as other tools make them
		c.seen(0)
		return nil
	}
	if !validKey(o.Key) {
		c.seen(o.Size)
		return c.fault(ctx, o.Key, errKey)
	}
	here, err := c.has(o)
	if err != nil {
		return err
	}
	if here {
		c.seen(o.Size)
		return nil
	}
	select {
	case jobs <- o:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// has says whether the backup holds the object as it is in the bucket.
func (c *copier) has(o blob.Info) (bool, error) {
	e, ok, err := c.sums.get(o.Key)
	if err != nil || !ok || e.size != o.Size || e.etag != plain(o.ETag) {
		return false, err
	}
	st, err := c.root.Stat(objectsDir + "/" + o.Key)
	return err == nil && st.Mode().IsRegular() && st.Size() == o.Size, nil
}

// fetch copies one object, under a temporary name until it is whole.
func (c *copier) fetch(ctx context.Context, o blob.Info) error {
	tmp := tmpDir + "/" + rand.Text()
	defer func() { _ = c.root.Remove(tmp) }()
	var e entry
	err := again(ctx, func() (err error) {
		e, err = c.download(ctx, o.Key, tmp)
		return err
	})
	if err != nil && spi.CodeOf(err) == spi.CodeNotFound {
		return nil // deleted since it was listed
	}
	if err != nil {
		return err
	}
	name := objectsDir + "/" + o.Key
	if err := c.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	if err := c.root.Rename(tmp, name); err != nil {
		return err
	}
	// after the object, so that what is noted is there
	if err := c.sums.add(e); err != nil {
		return err
	}
	c.copied(e.size)
	return nil
}

func (c *copier) download(ctx context.Context, key, tmp string) (entry, error) {
	body, info, contentType, err := c.Bucket.Open(ctx, key)
	if err != nil {
		return entry{}, err
	}
	defer body.Close()
	f, err := c.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return entry{}, err
	}
	sum := md5.New() //nolint:gosec // S3's checksum
	n, err := io.Copy(io.MultiWriter(f, sum), body)
	if err == nil {
		err = f.Sync() // a power cut must not leave a name without its content
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return entry{}, err
	}
	e := entry{key: key, md5: hex.EncodeToString(sum.Sum(nil)), size: n, etag: info.ETag, contentType: contentType}
	switch {
	case n != info.Size:
		return e, contentError("%d bytes arrived of %d", n, info.Size)
	case isMD5(info.ETag) && info.ETag != e.md5:
		return e, contentError("its md5 is %s, and its ETag %s", e.md5, info.ETag)
	}
	return e, nil
}

func (c *copier) seen(size int64) {
	c.Progress.SeenBytes.Add(size)
	c.Progress.Seen.Add(1)
}

func (c *copier) copied(size int64) {
	c.Progress.CopiedBytes.Add(size)
	c.Progress.Copied.Add(1)
}

// count adds up what there is beside the copying, for whoever watches, until stop is called.
func (c *copier) count(ctx context.Context, walk func(ctx context.Context, each func(size int64)) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := walk(ctx, func(size int64) {
			c.Progress.Total.Add(1)
			c.Progress.TotalBytes.Add(size)
		})
		c.Progress.Counted.Store(err == nil)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// files walks the objects of a backup.
func (c *copier) files(ctx context.Context, found func(key string, size int64) error) error {
	return fs.WalkDir(c.root.FS(), objectsDir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !d.Type().IsRegular():
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		return found(strings.TrimPrefix(name, objectsDir+"/"), st.Size())
	})
}
