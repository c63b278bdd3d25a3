package s3blob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func putOf(body []byte) blob.Put {
	return blob.Put{ContentType: "image/jpeg", MD5: md5.Sum(body)}
}

func ifAbsent(body []byte) blob.Put {
	how := putOf(body)
	how.IfAbsent = true
	return how
}

// through gives a store that reaches the real server by way of fault, which may answer itself or pass on.
func through(t *testing.T, fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)) *Store {
	t.Helper()
	cfg := config(inProcess.S3Access)
	target, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	// The Host header stays as it came: it is signed.
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fault(w, r, pass) }))
	t.Cleanup(proxy.Close)
	cfg.Endpoint = proxy.URL
	cfg.Timeout = time.Minute
	return mustNew(t, cfg)
}

func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if code != "" {
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>of the store</Message></Error>", code)
	}
}

func TestErrorsOfTheStoreAreTyped(t *testing.T) {
	tests := []struct {
		name     string
		status   int
		s3       string
		want     spi.Code
		message  string
		attempts int64
	}{
		{"slow down", 503, "SlowDown", spi.CodeUnavailable, "does not answer; try again", 3},
		{"an internal error", 500, "InternalError", spi.CodeUnavailable, "does not answer; try again", 3},
		{"a gateway's 502", 502, "", spi.CodeUnavailable, "does not answer; try again", 3},
		{"too many requests", 429, "TooManyRequests", spi.CodeUnavailable, "does not answer; try again", 3},
		{"a body that came too slowly", 400, "RequestTimeout", spi.CodeUnavailable, "does not answer; try again", 3},
		{"a folder that cannot be made", 409, "ExistingObjectIsDirectory", spi.CodeUnavailable, "does not answer; try again", 3},
		{"a full disk", 507, "InsufficientStorage", spi.CodeUnavailable, "no room", 1},
		{"a quota", 403, "QuotaExceeded", spi.CodeUnavailable, "no room", 1},
		{"an unknown access key", 403, "InvalidAccessKeyId", spi.CodeUnavailable, "S3_ACCESS_KEY", 1},
		{"a wrong secret key", 403, "SignatureDoesNotMatch", spi.CodeUnavailable, "S3_PRIVATE_KEY", 1},
		{"no permission", 403, "AccessDenied", spi.CodeUnavailable, "S3_PRIVATE_KEY", 1},
		{"a clock that is wrong", 403, "RequestTimeTooSkewed", spi.CodeUnavailable, "clocks", 1},
		{"a failed condition", 412, "PreconditionFailed", spi.CodeConflict, "another is there", 1},
		{"conditional puts at once", 409, "ConditionalRequestConflict", spi.CodeConflict, "another is there", 1},
		{"a file in the place of a folder", 409, "ObjectParentIsFile", spi.CodeInternal, "refuses", 1},
		{"something not implemented", 501, "NotImplemented", spi.CodeInternal, "refuses", 1},
		{"a wrong region", 301, "PermanentRedirect", spi.CodeInternal, "refuses", 1},
		{"a bad request", 400, "InvalidRequest", spi.CodeInternal, "refuses", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var attempts atomic.Int64
			s := through(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				attempts.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				answer(w, tt.status, tt.s3)
			})
			body := []byte("body")
			err := s.Put(t.Context(), "k", body, putOf(body))
			wantError(t, err, tt.want, tt.message)
			if got := attempts.Load(); got != tt.attempts {
				t.Errorf("%d attempts, want %d", got, tt.attempts)
			}
		})
	}
}

func wantError(t *testing.T, err error, want spi.Code, message string) {
	t.Helper()
	var e *spi.Error
	if !errors.As(err, &e) {
		t.Errorf("error %v is not typed", err)
		return
	}
	if e.Code != want || !strings.Contains(e.Message, message) {
		t.Errorf("error %s %q, want %s with %q", e.Code, e.Message, want, message)
	}
	if strings.Contains(e.Message, "127.0.0.1") || strings.Contains(err.Error(), inProcess.SecretKey) {
		t.Errorf("the error tells too much: %v", err)
	}
	if errors.Unwrap(e) == nil {
		t.Errorf("the error has no cause for the log: %v", err)
	}
}

func TestAHiccupGoesUnnoticed(t *testing.T) {
	var n atomic.Int64
	s := through(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		switch n.Add(1) % 3 {
		case 1:
			answer(w, http.StatusServiceUnavailable, "SlowDown")
		case 2:
			panic(http.ErrAbortHandler) // cuts the connection
		default:
			pass.ServeHTTP(w, r)
		}
	})
	if err := s.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := []byte("body")
	if err := s.Put(t.Context(), "k", body, ifAbsent(body)); err != nil {
		t.Fatal(err)
	}
	r, _, err := s.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestAPutWhoseAnswerIsLostIsNoConflictWithItself(t *testing.T) {
	var lose atomic.Bool
	s := through(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut && lose.CompareAndSwap(true, false) {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		pass.ServeHTTP(w, r)
	})
	if err := s.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, two := []byte("one"), []byte("two")

	lose.Store(true)
	if err := s.Put(t.Context(), "k", one, ifAbsent(one)); err != nil {
		t.Errorf("IfAbsent: %v", err)
	}
	lose.Store(true)
	replace := putOf(two)
	sum := md5.Sum(one)
	replace.IfETag = hex.EncodeToString(sum[:])
	if err := s.Put(t.Context(), "k", two, replace); err != nil {
		t.Errorf("IfETag: %v", err)
	}
	lose.Store(true)
	if err := s.Put(t.Context(), "k", one, ifAbsent(one)); err == nil || spi.CodeOf(err) != spi.CodeConflict {
		t.Errorf("another's object: %v, want a conflict", err)
	}
}

func TestADeadServerIsUnavailable(t *testing.T) {
	port, err := ports.Free(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	refusing := config(inProcess.S3Access)
	refusing.Endpoint = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))

	silent := config(inProcess.S3Access)
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent.Endpoint = "http://" + l.Addr().String()
	silent.Timeout = 50 * time.Millisecond

	unknown := config(inProcess.S3Access)
	unknown.Endpoint = "http://s3.invalid"

	for name, cfg := range map[string]Config{"refused": refusing, "silent": silent, "no such host": unknown} {
		t.Run(name, func(t *testing.T) {
			s := mustNew(t, cfg)
			body := make([]byte, 100)
			_, headErr := s.Head(t.Context(), "k")
			_, _, getErr := s.Get(t.Context(), "k")
			var listErr error
			for _, err := range s.List(t.Context(), "") {
				listErr = err
			}
			for _, err := range []error{
				s.Ensure(t.Context()), s.Ping(t.Context()), s.Put(t.Context(), "k", body, putOf(body)), headErr, getErr,
				s.Delete(t.Context(), "k"), listErr,
			} {
				wantError(t, err, spi.CodeUnavailable, "the object store (S3) does not answer; try again")
			}
		})
	}
}

func TestWrongKeysAreTheOperatorsToMend(t *testing.T) {
	cfg := config(inProcess.S3Access)
	cfg.SecretKey = "wrong-secret-of-the-operator"
	for _, access := range []string{cfg.AccessKey, "unknown"} {
		cfg.AccessKey = access
		s := mustNew(t, cfg)
		body := []byte("x")
		t.Log(s.Put(t.Context(), "k", body, putOf(body)))
		for _, err := range []error{s.Ping(t.Context()), s.Ensure(t.Context()), s.Put(t.Context(), "k", body, putOf(body))} {
			wantError(t, err, spi.CodeUnavailable, "refuses this server's keys")
			if strings.Contains(err.Error(), cfg.SecretKey) {
				t.Errorf("the secret is in the error: %v", err)
			}
		}
	}
}

func TestAMissingBucketDoesNotLookLikeAMissingObject(t *testing.T) {
	s := mustNew(t, config(inProcess.S3Access))
	_, err := s.Head(t.Context(), "k")
	wantError(t, err, spi.CodeUnavailable, "lacks the bucket")
	_, _, err = s.Get(t.Context(), "k")
	wantError(t, err, spi.CodeUnavailable, "lacks the bucket")
	for _, err := range s.List(t.Context(), "") {
		wantError(t, err, spi.CodeUnavailable, "lacks the bucket")
	}
}

func TestABodyThatBreaksOffIsAnError(t *testing.T) {
	s := through(t, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(make([]byte, 500))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	r, _, err := s.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = io.ReadAll(r)
	wantError(t, err, spi.CodeUnavailable, "does not answer")
}

func TestAnObjectThatCannotBeDeletedIsAnError(t *testing.T) {
	for code, want := range map[string]spi.Code{
		"AccessDenied": spi.CodeUnavailable, "InternalError": spi.CodeUnavailable, "Other": spi.CodeInternal, "NoSuchKey": "",
	} {
		s := through(t, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprintf(w, "<DeleteResult><Error><Key>k</Key><Code>%s</Code><Message>of the store</Message></Error></DeleteResult>", code)
		})
		err := s.Delete(t.Context(), "k", "l")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", code, err)
		case want != "":
			wantError(t, err, want, "")
		}
	}
}

func TestAListThatBreaksOffEndsWithAnError(t *testing.T) {
	var n atomic.Int64
	s := through(t, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if n.Add(1) > 1 {
			answer(w, http.StatusForbidden, "AccessDenied")
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"+
			"<Contents><Key>k</Key><Size>1</Size></Contents></ListBucketResult>")
	})
	var keys []string
	var last error
	for o, err := range s.List(t.Context(), "") {
		if last != nil {
			t.Fatal("the walk goes on after an error")
		}
		if last = err; err == nil {
			keys = append(keys, o.Key)
		}
	}
	wantError(t, last, spi.CodeUnavailable, "keys")
	if diff := cmp.Diff([]string{"k"}, keys); diff != "" {
		t.Error(diff)
	}
}

func TestTheStoreComesBackWithItsServer(t *testing.T) {
	server := kittest.NewS3(t)
	s := mustNew(t, config(server.S3Access))
	body := []byte("before")
	if err := s.Put(t.Context(), "before", body, ifAbsent(body)); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := server.Stop(sig); err != nil {
			t.Fatal(err)
		}
		wantError(t, s.Ping(t.Context()), spi.CodeUnavailable, "does not answer")
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Head(t.Context(), "before"); err != nil {
			t.Errorf("after %v: %v", sig, err)
		}
		if err := s.Put(t.Context(), "after", body, putOf(body)); err != nil {
			t.Errorf("after %v: %v", sig, err)
		}
	}
}

// TestAServerKilledInTheMiddleOfAPutLeavesNoHalfObject holds versitygw to what ingest relies on.
func TestAServerKilledInTheMiddleOfAPutLeavesNoHalfObject(t *testing.T) {
	server := kittest.NewS3(t)
	direct := config(server.S3Access)
	whole := mustNew(t, direct)
	old, body := []byte("the old object"), bytes.Repeat([]byte("sticky"), 1<<20)
	if err := whole.Put(t.Context(), "old", old, putOf(old)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"new", "old"} {
		// A link that passes the first million bytes on and then stands still.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		half := make(chan struct{}, attempts)
		go func() {
			for {
				in, err := l.Accept()
				if err != nil {
					return
				}
				out, err := net.Dial("tcp", strings.TrimPrefix(direct.Endpoint, "http://"))
				if err == nil {
					_, _ = io.CopyN(out, in, 1_000_000)
					half <- struct{}{}
					_, _ = io.Copy(io.Discard, out) // until the server is gone
					_ = out.Close()
				}
				_ = in.Close()
			}
		}()
		cut := direct
		cut.Endpoint = "http://" + l.Addr().String()
		s := mustNew(t, cut)
		failed := make(chan error, 1)
		go func() { failed <- s.Put(context.Background(), key, body, putOf(body)) }()
		<-half
		if err := server.Stop(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		wantError(t, <-failed, spi.CodeUnavailable, "does not answer")
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{"old": string(old)}, contents(t, whole)); diff != "" {
		t.Errorf("objects after the kills (-want +got):\n%s", diff)
	}
	if err := whole.Put(t.Context(), "new", body, ifAbsent(body)); err != nil {
		t.Errorf("the next upload of the same: %v", err)
	}
}

func TestWhatWasAnsweredSurvivesAKillAndNothingIsTorn(t *testing.T) {
	server := kittest.NewS3(t)
	s := mustNew(t, config(server.S3Access))
	if err := s.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	answered := map[string]bool{}
	enough := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("w%d/%d", w, i)
				body := bytes.Repeat([]byte(key), 100_000)
				if s.Put(ctx, key, body, ifAbsent(body)) != nil {
					return
				}
				mu.Lock()
				if answered[key] = true; len(answered) == 40 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	if err := server.Stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cancel()
	wg.Wait()
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	there := contents(t, s)
	for key, got := range there {
		if got != strings.Repeat(key, 100_000) {
			t.Errorf("%s is torn: %d bytes", key, len(got))
		}
	}
	for key := range answered {
		if _, ok := there[key]; !ok {
			t.Errorf("%s was answered and is gone", key)
		}
	}
}

func contents(t *testing.T, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := s.Get(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			t.Fatal(err)
		}
		all[o.Key] = string(b)
	}
	return all
}

// TestAnotherClientReadsWhatWasStored keeps the store from agreeing with nothing but itself.
func TestAnotherClientReadsWhatWasStored(t *testing.T) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("needs the aws command; on Debian: apt-get install awscli")
	}
	server := kittest.SharedS3(t)
	cfg := config(server.S3Access)
	s := mustNew(t, cfg)
	key, body := "raw_images/5c173ff2/5c173ff2.2020-06-20_21-33-24.jpg", bytes.Repeat([]byte("\xff\xd8jpeg"), 400_000)
	if err := s.Put(t.Context(), key, body, putOf(body)); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []byte {
		cmd := exec.CommandContext(t.Context(), aws, append(args, "--endpoint-url", cfg.Endpoint)...)
		cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID="+cfg.AccessKey, "AWS_SECRET_ACCESS_KEY="+cfg.SecretKey,
			"AWS_DEFAULT_REGION="+cfg.Region, "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("aws %q: %v: %s", args, err, stderr.Bytes())
		}
		return out
	}
	if got := run("s3", "cp", "--quiet", "s3://"+cfg.Bucket+"/"+key, "-"); !bytes.Equal(got, body) {
		t.Errorf("aws s3 cp gives %d bytes that are not the %d stored", len(got), len(body))
	}
	head := strings.Fields(string(run("s3api", "head-object", "--bucket", cfg.Bucket, "--key", key, "--output", "text",
		"--query", "[ContentLength, ContentType, ETag]")))
	sum := md5.Sum(body)
	if diff := cmp.Diff([]string{fmt.Sprint(len(body)), "image/jpeg", `"` + hex.EncodeToString(sum[:]) + `"`}, head); diff != "" {
		t.Errorf("aws s3api head-object (-want +got):\n%s", diff)
	}
}
