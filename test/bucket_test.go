package test

import (
	"crypto/md5" //nolint:gosec // the protocol's checksum
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func md5Hex(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// bucket looks at the objects behind the API's back.
type bucket struct {
	t    *testing.T
	s3   *s3.Client
	name string
}

func bucketOf(t *testing.T, s *stack.Stack) *bucket {
	t.Helper()
	return &bucket{t: t, name: s.BucketName, s3: s3.New(s3.Options{
		BaseEndpoint: aws.String(s.Bucket.Endpoint), Region: s.Bucket.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.Bucket.AccessKey, s.Bucket.SecretKey, ""),
	})}
}

// object is what there is under a key.
type object struct {
	Key, MD5, ETag string
	Modified       time.Time
	Size           int
}

// keysOf are those of an image's objects: original, thumbnail, mini thumbnail.
func keysOf(device string, at time.Time) []string {
	key := "raw_images/" + device + "/" + device + "." + spi.FormatDatetime(at, spi.DateV1) + ".jpg"
	return []string{key, key + ".thumbnail", key + ".thumbnail-mini"}
}

// objects gives those of an image; there are none for keys that are not there.
func (b *bucket) objects(device string, at time.Time) []object {
	b.t.Helper()
	var found []object
	for _, key := range keysOf(device, at) {
		out, err := b.s3.GetObject(b.t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: aws.String(key)})
		var none *types.NoSuchKey
		if errors.As(err, &none) {
			continue
		}
		if err != nil {
			b.t.Fatal(err)
		}
		data, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		found = append(found, object{
			Key: key, MD5: md5Hex(data), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified), Size: len(data),
		})
	}
	return found
}

// below gives the keys that begin with the prefix.
func (b *bucket) below(prefix string) []string {
	b.t.Helper()
	out, err := b.s3.ListObjectsV2(b.t.Context(), &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(prefix)})
	if err != nil {
		b.t.Fatal(err)
	}
	keys := make([]string, len(out.Contents))
	for i, o := range out.Contents {
		keys[i] = aws.ToString(o.Key)
	}
	return keys
}

// nothingOf fails the test where there is an object of a device, in any case.
func (b *bucket) nothingOf(device string) {
	b.t.Helper()
	for _, d := range []string{device, strings.ToUpper(device)} {
		if keys := b.below("raw_images/" + d + "/"); len(keys) > 0 {
			b.t.Errorf("there are objects: %v", keys)
		}
	}
}

// fetch gets a presigned URL as a browser would.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", url, res.Status, data)
	}
	return data
}
