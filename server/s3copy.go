package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/s3blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/s3copy"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// CopyProgress is how far a copy of the bucket has come; any goroutine may look at it while the copy runs.
type CopyProgress = s3copy.Progress

// CopyOptions are those of [BackupS3] and [RestoreS3].
type CopyOptions struct {
	Dir      string                      // the backup's folder
	Workers  int                         // objects at a time; 0: a good number
	Fault    func(key string, err error) // is told of objects that could not be copied; one call at a time
	Progress *CopyProgress               // may be nil
}

// BackupS3 copies what is new or changed in the bucket into a folder.
func BackupS3(ctx context.Context, cfg S3, o CopyOptions) error {
	return copyS3(ctx, cfg, o, s3copy.Backup)
}

// RestoreS3 puts what the bucket lacks of a backup, or has otherwise, into the bucket.
func RestoreS3(ctx context.Context, cfg S3, o CopyOptions) error {
	return copyS3(ctx, cfg, o, s3copy.Restore)
}

func copyS3(ctx context.Context, cfg S3, o CopyOptions, do func(context.Context, s3copy.Config) error) error {
	bucket, err := openBucket(cfg)
	if err != nil {
		return err
	}
	defer bucket.Close()
	return do(ctx, s3copy.Config{Bucket: bucket, Dir: o.Dir, Workers: o.Workers, Fault: o.Fault, Progress: o.Progress})
}

func openBucket(cfg S3) (*s3blob.Store, error) {
	return s3blob.New(s3blob.Config{
		Endpoint: cfg.InternalURL, PublicURL: cfg.PublicURL, Region: cfg.Region, Bucket: cfg.Bucket,
		AccessKey: cfg.AccessKey, SecretKey: cfg.SecretKey,
	})
}

// maxSkew is how far the clocks of this machine and of S3 may differ: S3 itself refuses at 15 minutes.
const maxSkew = time.Minute

// CheckS3 says what is wrong with the way to S3: the clocks, the keys, the bucket. A bucket that is not there yet is none:
// the server makes it.
func CheckS3(ctx context.Context, cfg S3) error {
	if err := checkClock(ctx, cfg.InternalURL); err != nil {
		return err
	}
	bucket, err := openBucket(cfg)
	if err != nil {
		return err
	}
	defer bucket.Close()
	err = bucket.Ping(ctx)
	if err != nil && spi.CodeOf(err) != spi.CodeNotFound {
		return shown(err)
	}
	return nil
}

// checkClock compares this machine's clock with the date of an HTTP answer, whatever that says. A server that does not
// answer is no fault of the clock.
func checkClock(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return fmt.Errorf("the address of S3: %w", err)
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil // asking with the keys finds out more
	}
	_ = reply.Body.Close()
	theirs, err := http.ParseTime(reply.Header.Get("Date"))
	if err != nil {
		return nil // not every server sends its time
	}
	if off := time.Since(theirs); off.Abs() > maxSkew {
		return fmt.Errorf("the clock of this machine and that of S3 differ by %v: set both by NTP", off.Round(time.Second))
	}
	return nil
}
