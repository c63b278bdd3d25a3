package s3blob

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Open is Get that tells the object's content type too: copies of the bucket keep it.
func (s *Store) Open(ctx context.Context, key string) (_ io.ReadCloser, _ blob.Info, contentType string, _ error) {
	if !validKey(key) {
		return nil, blob.Info{}, "", notFound(key)
	}
	var out *s3.GetObjectOutput
	err := s.do(ctx, "read the object "+key, 0, func(ctx context.Context) (err error) {
		out, err = s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
		return err
	})
	if err != nil {
		return nil, blob.Info{}, "", err
	}
	body := &reader{ctx: ctx, key: key, body: out.Body}
	return body, info(key, out.ContentLength, out.ETag, out.LastModified), aws.ToString(out.ContentType), nil
}

// PutFrom is Put of size bytes that are too many for memory, from the beginning of r: models of detectors have gigabytes. It
// knows no conditions, and one request can carry 5 GB.
func (s *Store) PutFrom(ctx context.Context, key string, r io.ReadSeeker, size int64, how blob.Put) error {
	if !validKey(key) || how.IfAbsent || how.IfETag != "" {
		return spi.Errorf(spi.CodeInternal, "%q cannot be put so", key)
	}
	in := s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, ContentLength: &size,
		ContentMD5: aws.String(base64.StdEncoding.EncodeToString(how.MD5[:])),
	}
	if how.ContentType != "" {
		in.ContentType = &how.ContentType
	}
	limit := s.timeout + time.Duration(size/slowestLink)*time.Second
	var out *s3.PutObjectOutput
	err := s.do(ctx, "store the object "+key, limit, func(ctx context.Context) (err error) {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return err
		}
		again := in
		again.Body = r
		out, err = s.client.PutObject(ctx, &again, unsignedPayload)
		return err
	})
	if err != nil {
		return err
	}
	if isMD5(out) && strings.Trim(aws.ToString(out.ETag), `"`) != hex.EncodeToString(how.MD5[:]) {
		return spi.Errorf(spi.CodeInternal, "the object %s does not have the md5 that it was put with", key)
	}
	return nil
}
