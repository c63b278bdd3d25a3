package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/s3blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/fsck"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/thumbnail"
	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
)

// FsckOptions say how far [Fsck] goes.
type FsckOptions struct {
	Deep          bool // read every byte of every object
	Repair        bool // make thumbnails again, put the detectors' queue right
	DeleteObjects bool // delete objects of images that no row speaks of and that are older than an hour
	DeleteRows    bool // delete images whose photograph is gone
}

// fsckPause is how often Fsck says how far it has come.
const fsckPause = 5 * time.Second

// Fsck holds the database and the object store of a server against each other. It writes a line to out for each fault, and
// to progress how far it has come, every few seconds. Servers may run meanwhile; the database must be up to date. Faults that
// remain are an error.
func Fsck(ctx context.Context, cfg Config, o FsckOptions, log *slog.Logger, out, progress io.Writer) (err error) {
	db, err := openDatabase(cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	blobs, err := s3blob.New(s3blob.Config{
		Endpoint: cfg.S3.InternalURL, PublicURL: cfg.S3.PublicURL, Region: cfg.S3.Region, Bucket: cfg.S3.Bucket,
		AccessKey: cfg.S3.AccessKey, SecretKey: cfg.S3.SecretKey,
	})
	if err != nil {
		return err
	}
	defer blobs.Close()
	if err := errors.Join(db.Ping(ctx), blobs.Ping(ctx)); err != nil {
		return err
	}

	var mu sync.Mutex
	var now fsck.Progress
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(fsckPause):
				mu.Lock()
				p := now
				mu.Unlock()
				fmt.Fprintln(progress, describe(p, o.Deep))
			}
		}
	})
	result, err := fsck.Run(ctx, fsck.Config{
		Options: fsck.Options{Deep: o.Deep, Repair: o.Repair, DeleteObjects: o.DeleteObjects, DeleteRows: o.DeleteRows},
		Store:   db, Tuboids: db, Work: db, Blobs: blobs, Thumbnailer: thumbnail.New(),
		Fault: func(f fsck.Fault) { fmt.Fprintln(out, f) },
		Progress: func(p fsck.Progress) {
			mu.Lock()
			defer mu.Unlock()
			now = p
		},
	})
	close(stop)
	wg.Wait()
	if err != nil {
		return fmt.Errorf("gave up at %s: %w", describe(result, o.Deep), err)
	}
	fmt.Fprintln(out, summary(result))
	if left := result.Faults - result.Mended; left > 0 {
		return errors.New(kitprogress.Count(left, "fault remains", "faults remain"))
	}
	return nil
}

// summary is what Fsck came to.
func summary(p fsck.Progress) string {
	s := fmt.Sprintf("%s, %s and %s: %s, %d mended", kitprogress.Count(p.Images, "image", "images"), kitprogress.Count(p.Tuboids, "tuboid", "tuboids"),
		kitprogress.Count(p.Objects, "object", "objects"), kitprogress.Count(p.Faults, "fault", "faults"), p.Mended)
	if p.TooYoungToSay > 0 {
		s += "; " + kitprogress.Count(p.TooYoungToSay, "object without a row is younger than an hour and may be an upload under way",
			"objects without a row are younger than an hour and may be uploads under way")
	}
	return s
}

func describe(p fsck.Progress, deep bool) string {
	s := fmt.Sprintf("%s %s: %s, %s, %s", p.Stage, p.At, kitprogress.Count(p.Images, "image", "images"), kitprogress.Count(p.Tuboids, "tuboid", "tuboids"),
		kitprogress.Count(p.Objects, "object", "objects"))
	if deep {
		s += fmt.Sprintf(", %d MB read", p.Bytes>>20)
	}
	return s + ", " + kitprogress.Count(p.Faults, "fault", "faults")
}
