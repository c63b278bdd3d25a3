// Package s3blob keeps objects in one bucket of an S3 server (AWS, versitygw, and others that honour conditional puts).
//
// It may import the AWS SDK, blob and services/spi. Only the package that wires the server names it; everything else uses
// the interface [blob.Store].
package s3blob

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const (
	attempts    = 3
	firstPause  = 100 * time.Millisecond // before the second attempt, on average; the next is twice that
	retryWithin = 2 * time.Second        // no attempt begins later than this after the first
	dialTimeout = 2 * time.Second
	idlePerHost = 64
	slowestLink = 256 << 10 // bytes a second: what the time for sending a body is reckoned with
	deleteBatch = 1000      // S3's limit for one request
	maxKey      = 1024      // bytes, S3's limit
)

// Store is a bucket of an S3 server; see [blob.Store].
type Store struct {
	client  *s3.Client
	links   *http.Transport
	bucket  string
	region  string
	timeout time.Duration
	urls    presigner
}

var _ blob.Store = (*Store)(nil)

// New checks the configuration and makes a Store. It sends nothing: a server that is away stops nothing from starting.
func New(cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	endpoint, err := baseURL(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	public, err := baseURL(cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	links := transport(cfg.Timeout)
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint.String()),
		UsePathStyle: true,
		Region:       cfg.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, ""),
		HTTPClient:   &http.Client{Transport: links, CheckRedirect: noRedirect},
		// The Store repeats requests itself: it has to know whether a put was sent twice.
		Retryer: aws.NopRetryer{},
		Logger:  logging.Nop{},
		// Put makes its own checksum; what the SDK would send by itself, trailers, stores other than AWS refuse.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// No Expect: 100-continue, which costs every image a round trip to spare the body of the rare conflict.
		ContinueHeaderThresholdBytes: -1,
	})
	return &Store{
		client: client, links: links, bucket: cfg.Bucket, region: cfg.Region, timeout: cfg.Timeout,
		urls: presigner{
			base:      public.String() + "/" + cfg.Bucket + "/",
			canonical: http.MethodGet + "\n/" + cfg.Bucket + "/",
			host:      public.Host,
			region:    cfg.Region,
			accessKey: cfg.AccessKey,
			secretKey: cfg.SecretKey,
			window:    cfg.Window,
			now:       cfg.Now,
		},
	}, nil
}

// Close gives the idle connections back, without which a server that is shut down waits for them. Requests under way go on.
func (s *Store) Close() { s.links.CloseIdleConnections() }

func transport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: timeout,
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       time.Minute,
		DisableCompression:    true, // JPEGs; and an object is to arrive as it is stored
	}
}

// noRedirect hands a redirect to the caller as the error that it is: S3 redirects where the region or the endpoint is wrong.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Ensure makes the bucket where it is missing. It looks first: the keys may have no right to make one.
func (s *Store) Ensure(ctx context.Context) error {
	err := s.Ping(ctx)
	if err == nil || spi.CodeOf(err) != spi.CodeNotFound {
		return err
	}
	in := &s3.CreateBucketInput{Bucket: &s.bucket}
	if s.region != DefaultRegion { // which AWS takes no constraint for
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(s.region),
		}
	}
	err = s.do(ctx, "make the bucket", s.timeout, func(ctx context.Context) error {
		_, err := s.client.CreateBucket(ctx, in)
		return err
	})
	if apiCode(err) == "BucketAlreadyOwnedByYou" { // another replica was faster
		return nil
	}
	return err
}

// Ping asks whether the bucket can be reached with the keys. CodeNotFound where there is no such bucket.
func (s *Store) Ping(ctx context.Context) error {
	err := s.do(ctx, "look for the bucket", s.timeout, func(ctx context.Context) error {
		_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket})
		return err
	})
	if err != nil && spi.CodeOf(err) == spi.CodeNotFound {
		err = s.confirm(ctx)
	}
	if apiCode(err) == codeNoSuchBucket {
		return spi.Wrap(spi.CodeNotFound, err, "the object store (S3) has no bucket %s", s.bucket)
	}
	return err
}

// confirm finds out what a 404 to a HEAD means: that has no body to say what is missing, and versitygw answers so for an
// access key that it does not know, too. Taken for a missing object, that would let fsck repair what is not broken. It
// lists a folder that is not there, which is cheap, and gives nil where the bucket is there and the keys are right.
func (s *Store) confirm(ctx context.Context) error {
	return s.do(ctx, "list nothing", s.timeout, func(ctx context.Context) error {
		_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
			Bucket: &s.bucket, Prefix: aws.String("no-such-folder/"), MaxKeys: aws.Int32(1),
		})
		return err
	})
}

// Put stores an object whole or not at all, in one request and never as a multipart upload, whose ETag would not be the md5.
// A missing bucket is made.
func (s *Store) Put(ctx context.Context, key string, body []byte, how blob.Put) error {
	if !validKey(key) {
		return spi.Errorf(spi.CodeInternal, "%q cannot be the key of an object", key)
	}
	if how.IfAbsent && how.IfETag != "" {
		return spi.Errorf(spi.CodeInternal, "a put can depend on one condition, not two")
	}
	sent, err := s.put(ctx, key, body, how)
	if apiCode(err) == codeNoSuchBucket {
		if err := s.Ensure(ctx); err != nil {
			return err
		}
		sent, err = s.put(ctx, key, body, how)
	}
	if err == nil {
		return nil
	}
	// An object that is to be replaced and is gone is not the one that was meant.
	if how.IfETag != "" && spi.CodeOf(err) == spi.CodeNotFound {
		err = spi.Wrap(spi.CodeConflict, err, "the object %s is gone", key)
	}
	// Of a put that was sent again, the first sending may have been stored and its answer lost. Then the conflict is with
	// ourselves.
	if sent > 1 && spi.CodeOf(err) == spi.CodeConflict {
		if there, headErr := s.Head(ctx, key); headErr == nil && there.ETag == hex.EncodeToString(how.MD5[:]) {
			return nil
		}
	}
	return err
}

// put says how often it sent the object.
func (s *Store) put(ctx context.Context, key string, body []byte, how blob.Put) (sent int, err error) {
	// The store checks the body against this sum. Content-MD5 would do as well, but versitygw then makes a second md5 beside
	// the ETag's, a third of all that it does for an image.
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))
	in := s3.PutObjectInput{
		Bucket:        &s.bucket,
		Key:           &key,
		ChecksumCRC32: aws.String(base64.StdEncoding.EncodeToString(sum)),
	}
	if how.ContentType != "" {
		in.ContentType = &how.ContentType
	}
	if how.IfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	if how.IfETag != "" {
		in.IfMatch = aws.String(`"` + how.IfETag + `"`)
	}
	limit := s.timeout + time.Duration(len(body))*time.Second/slowestLink
	wrong := false
	err = s.do(ctx, "store the object "+key, limit, func(ctx context.Context) error {
		sent++
		again := in
		again.Body = bytes.NewReader(body)
		out, err := s.client.PutObject(ctx, &again, unsignedPayload)
		if err == nil {
			wrong = isMD5(out) && strings.Trim(aws.ToString(out.ETag), `"`) != hex.EncodeToString(how.MD5[:])
		}
		if cutOff(err) && s.refuses(ctx, key, how) {
			sent++ // and it may be what was just sent that is there
			return errors.Join(errPrecondition, err)
		}
		return err
	})
	if err == nil && wrong {
		err = spi.Errorf(spi.CodeInternal, "the object %s does not have the md5 that it was put with", key)
		err = errors.Join(err, s.Delete(ctx, key))
	}
	return sent, err
}

// refuses says whether the condition of a put does not hold. A store that knows before it has read the body, as versitygw does,
// answers and closes the connection: what is still being sent resets it, and the answer is lost, each time.
func (s *Store) refuses(ctx context.Context, key string, how blob.Put) bool {
	if !how.IfAbsent && how.IfETag == "" {
		return false
	}
	there, err := s.Head(ctx, key)
	if err != nil {
		return how.IfETag != "" && spi.CodeOf(err) == spi.CodeNotFound
	}
	return how.IfAbsent || there.ETag != how.IfETag
}

// isMD5 says whether the ETag of what was put is its md5: it is not where the store encrypts with a key of its own.
func isMD5(out *s3.PutObjectOutput) bool {
	return out.SSECustomerAlgorithm == nil &&
		(out.ServerSideEncryption == "" || out.ServerSideEncryption == types.ServerSideEncryptionAes256)
}

// unsignedPayload spares both sides a SHA-256 of the body: its md5 is in a signed header.
func unsignedPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// Head describes an object.
func (s *Store) Head(ctx context.Context, key string) (blob.Info, error) {
	if !validKey(key) {
		return blob.Info{}, notFound(key)
	}
	var out *s3.HeadObjectOutput
	err := s.do(ctx, "look at the object "+key, s.timeout, func(ctx context.Context) (err error) {
		out, err = s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
		return err
	})
	if err != nil && spi.CodeOf(err) == spi.CodeNotFound {
		if why := s.confirm(ctx); why != nil {
			err = why
		}
	}
	if err != nil {
		return blob.Info{}, err
	}
	return info(key, out.ContentLength, out.ETag, out.LastModified), nil
}

// Get opens an object; the caller closes it. ctx bounds the reading too.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, blob.Info, error) {
	if !validKey(key) {
		return nil, blob.Info{}, notFound(key)
	}
	var out *s3.GetObjectOutput
	// No limit for the attempt, which would end the body: the transport bounds the wait for the head of the answer.
	err := s.do(ctx, "read the object "+key, 0, func(ctx context.Context) (err error) {
		out, err = s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
		return err
	})
	if err != nil {
		return nil, blob.Info{}, err
	}
	return &reader{ctx: ctx, key: key, body: out.Body}, info(key, out.ContentLength, out.ETag, out.LastModified), nil
}

// reader gives typed errors.
type reader struct {
	ctx  context.Context //nolint:containedctx // of the Get that the reading is a part of
	key  string
	body io.ReadCloser
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && err != io.EOF { // bare, as io.Reader promises
		e, _ := explain(r.ctx, "read the object "+r.key, err)
		return n, e
	}
	return n, err
}

func (r *reader) Close() error { return r.body.Close() }

// Delete removes the objects, a thousand a request. After an error those of later requests are still there.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	ids := make([]types.ObjectIdentifier, 0, min(len(keys), deleteBatch))
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		in := &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}}
		err := s.do(ctx, "delete objects", s.timeout, func(ctx context.Context) error {
			out, err := s.client.DeleteObjects(ctx, in)
			if err != nil {
				return err
			}
			for _, e := range out.Errors {
				if aws.ToString(e.Code) != codeNoSuchKey {
					return &deleteError{e}
				}
			}
			return nil
		})
		ids = ids[:0]
		return err
	}
	for _, key := range keys {
		if !validKey(key) { // so there is none
			continue
		}
		ids = append(ids, types.ObjectIdentifier{Key: aws.String(key)})
		if len(ids) == deleteBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// List walks the objects whose key begins with prefix, a thousand a request.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		in := s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix}
		for {
			var out *s3.ListObjectsV2Output
			err := s.do(ctx, "list the objects "+prefix+"*", s.timeout, func(ctx context.Context) (err error) {
				out, err = s.client.ListObjectsV2(ctx, &in)
				return err
			})
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			for _, o := range out.Contents {
				if !yield(info(aws.ToString(o.Key), o.Size, o.ETag, o.LastModified), nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) || out.NextContinuationToken == nil {
				return
			}
			in.ContinuationToken = out.NextContinuationToken
		}
	}
}

// Folders walks the folders right below prefix, a thousand a request.
func (s *Store) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix, Delimiter: aws.String("/")}
		for {
			var out *s3.ListObjectsV2Output
			err := s.do(ctx, "list the folders of "+prefix, s.timeout, func(ctx context.Context) (err error) {
				out, err = s.client.ListObjectsV2(ctx, &in)
				return err
			})
			if err != nil {
				yield("", err)
				return
			}
			for _, f := range out.CommonPrefixes {
				if !yield(strings.TrimSuffix(strings.TrimPrefix(aws.ToString(f.Prefix), prefix), "/"), nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) || out.NextContinuationToken == nil {
				return
			}
			in.ContinuationToken = out.NextContinuationToken
		}
	}
}

// AppendURL appends the presigned GET URL of an object; see [blob.Store].
func (s *Store) AppendURL(dst []byte, key string) []byte { return s.urls.appendURL(dst, key, "") }

// AppendSavingURL appends the presigned URL by which browsers save an object; see [blob.Store].
func (s *Store) AppendSavingURL(dst []byte, key string) []byte {
	return s.urls.appendURL(dst, key, "&response-content-disposition="+escapeQuery(attachment(key)))
}

// PresignPost signs the upload of one object; see [blob.Store].
func (s *Store) PresignPost(key string, how blob.Post) (blob.PresignedPost, error) {
	// S3 puts the name of the client's file in the place of ${filename}.
	if !validKey(key) || strings.Contains(key, "${filename}") {
		return blob.PresignedPost{}, spi.Errorf(spi.CodeInvalid, "%.80q cannot be the key of an object", key)
	}
	return s.urls.post(s.bucket, key, how)
}

// do asks up to three times within a few seconds, so that a hiccup goes unnoticed and a dead server is soon known.
// limit bounds each attempt; 0 leaves that to ctx.
func (s *Store) do(ctx context.Context, what string, limit time.Duration, ask func(context.Context) error) error {
	begin, pause := time.Now(), firstPause
	for n := 1; ; n++ {
		err := attempt(ctx, limit, ask)
		if err == nil {
			return nil
		}
		e, again := explain(ctx, what, err)
		if !again || n == attempts || time.Since(begin)+pause > retryWithin {
			return e
		}
		select {
		case <-ctx.Done():
			return e
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // spreads the replicas, hides nothing
		}
		pause *= 2
	}
}

func attempt(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return ask(ctx)
}

func info(key string, size *int64, etag *string, modified *time.Time) blob.Info {
	return blob.Info{
		Key: key, Size: aws.ToInt64(size), ETag: strings.Trim(aws.ToString(etag), `"`), Modified: aws.ToTime(modified).UTC(),
	}
}

// validKey is stricter than S3: what a store over a file system cannot hold, or a list in XML cannot tell, is no key of ours.
func validKey(key string) bool {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, isControl) {
		return false
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return false
		}
	}
	return true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
