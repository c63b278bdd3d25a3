package fsck

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag and the rows' checksum, not a signature
	"encoding/hex"
	"io"
	"iter"
	"strings"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// walk goes through the objects below a prefix, in the order of their keys, one ahead.
type walk struct {
	next func() (blob.Info, error, bool)
	stop func()
	head blob.Info
	ok   bool // head is an object; else there are no more
}

func (r *run) walk(ctx context.Context, prefix string) (*walk, error) {
	w := &walk{}
	w.next, w.stop = iter.Pull2(r.Blobs.List(ctx, prefix))
	return w, r.advance(w)
}

// advance goes on to the next object.
func (r *run) advance(w *walk) error {
	info, err, ok := w.next()
	if err != nil {
		return err
	}
	w.head, w.ok = info, ok
	if ok {
		r.progress.Objects++
		r.tell()
	}
	return nil
}

// sum reads an object, and gives the md5 of its bytes.
func (r *run) sum(ctx context.Context, key string) (string, error) {
	body, _, err := r.Blobs.Get(ctx, key)
	if err != nil {
		return "", err
	}
	defer body.Close()
	h := md5.New() //nolint:gosec // see the import
	n, err := io.Copy(h, body)
	r.progress.Bytes += n
	r.tell()
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// isMD5 says whether an ETag is one. Those of multipart uploads, which end in -N, are not.
func isMD5(etag string) bool {
	return len(etag) == 2*md5.Size && strings.Trim(strings.ToLower(etag), "0123456789abcdef") == ""
}

// damaged says whether the object's bytes are others than its ETag says.
func (r *run) damaged(ctx context.Context, o blob.Info) (bool, error) {
	if !isMD5(o.ETag) {
		return false, nil
	}
	sum, err := r.sum(ctx, o.Key)
	if err != nil {
		if spi.CodeOf(err) == spi.CodeNotFound { // deleted meanwhile
			return false, nil
		}
		return false, err
	}
	return !strings.EqualFold(sum, o.ETag), nil
}
