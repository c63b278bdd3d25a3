package s3copy

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/s3blob"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := kittest.CloseSharedS3(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// newBucket gives a bucket of a real S3 server, and its folder on disk.
func newBucket(t *testing.T) (*s3blob.Store, string) {
	t.Helper()
	server := kittest.SharedS3(t)
	name := server.Bucket()
	store, err := s3blob.New(s3blob.Config{
		Endpoint: server.Endpoint, Region: server.Region, Bucket: name, AccessKey: server.AccessKey, SecretKey: server.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store, filepath.Join(server.ObjectsDir(), name)
}

func put(t *testing.T, b *s3blob.Store, key, contentType string, body []byte) {
	t.Helper()
	if err := b.Put(t.Context(), key, body, blob.Put{ContentType: contentType, MD5: md5.Sum(body)}); err != nil {
		t.Fatal(err)
	}
}

// planted fills a bucket with objects as the server has them.
func planted(t *testing.T, b *s3blob.Store) {
	t.Helper()
	for i := range 12 {
		name := fmt.Sprintf("raw_images/%02d/%02d.2024-05-01_10-00-00.jpg", i%3, i)
		put(t, b, name, "image/jpeg", bytes.Repeat([]byte{byte(i)}, 5000+i))
		put(t, b, name+".thumbnail", "image/jpeg", bytes.Repeat([]byte{byte(i), 1}, 100))
	}
	put(t, b, "ml/model-1/weights", "application/octet-stream", bytes.Repeat([]byte("weights "), 1<<18))
	put(t, b, "ml/model-1/labels näme.txt", "text/plain; charset=utf-8", []byte("a\tb\n"))
	put(t, b, "empty", "", nil)
}

// objects gives the md5 of the content, and the content type, of every object.
func objects(t *testing.T, b Bucket) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		body, _, contentType, err := b.Open(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		body.Close()
		sum := md5.Sum(content)
		all[o.Key] = hex.EncodeToString(sum[:]) + " " + contentType
	}
	return all
}

func wipe(t *testing.T, b *s3blob.Store) {
	t.Helper()
	var keys []string
	for o, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	if err := b.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	if left := objects(t, b); len(left) > 0 {
		t.Fatalf("the bucket still has %v", left)
	}
}

// copied runs a copy that must succeed, and says how many objects it copied.
func copied(t *testing.T, do func(context.Context, Config) error, b Bucket, dir string) int64 {
	t.Helper()
	var p Progress
	err := do(t.Context(), Config{Bucket: b, Dir: dir, Progress: &p, Fault: func(key string, err error) { t.Errorf("%s: %v", key, err) }})
	if err != nil {
		t.Fatal(err)
	}
	return p.Copied.Load()
}

func TestAWipedBucketIsRestoredAsItWas(t *testing.T) {
	b, _ := newBucket(t)
	planted(t, b)
	before := objects(t, b)
	dir := filepath.Join(t.TempDir(), "backup")
	if n := copied(t, Backup, b, dir); n != int64(len(before)) {
		t.Errorf("%d objects copied of %d", n, len(before))
	}
	wipe(t, b)
	if n := copied(t, Restore, b, dir); n != int64(len(before)) {
		t.Errorf("%d objects restored of %d", n, len(before))
	}
	if diff := cmp.Diff(before, objects(t, b)); diff != "" {
		t.Error(diff)
	}
	if n := copied(t, Restore, b, dir); n != 0 {
		t.Errorf("a second restore copied %d objects", n)
	}
}

func TestABackupGoesIntoAnotherBucket(t *testing.T) {
	from, _ := newBucket(t)
	planted(t, from)
	dir := t.TempDir()
	copied(t, Backup, from, dir)

	server := kittest.SharedS3(t)
	to, err := s3blob.New(s3blob.Config{
		Endpoint: server.Endpoint, Region: server.Region, Bucket: server.Bucket(), AccessKey: server.AccessKey, SecretKey: server.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	copied(t, Restore, to, dir) // makes the bucket
	if diff := cmp.Diff(objects(t, from), objects(t, to)); diff != "" {
		t.Error(diff)
	}
}

func TestASecondBackupCopiesOnlyWhatIsNewOrChanged(t *testing.T) {
	b, _ := newBucket(t)
	planted(t, b)
	dir := t.TempDir()
	copied(t, Backup, b, dir)
	if n := copied(t, Backup, b, dir); n != 0 {
		t.Errorf("nothing is new, and %d objects were copied", n)
	}
	put(t, b, "raw_images/00/new.jpg", "image/jpeg", []byte("new"))
	put(t, b, "ml/model-1/labels näme.txt", "text/plain", []byte("c\td\n")) // as long as it was
	if err := os.Remove(filepath.Join(dir, "objects/empty")); err != nil {
		t.Fatal(err)
	}
	if n := copied(t, Backup, b, dir); n != 3 {
		t.Errorf("%d objects copied, want the new, the changed and the lost one", n)
	}
	before := objects(t, b)
	wipe(t, b)
	copied(t, Restore, b, dir)
	if diff := cmp.Diff(before, objects(t, b)); diff != "" {
		t.Error(diff)
	}
}

// faulty is a bucket that fails as a test says.
type faulty struct {
	Bucket
	opened atomic.Int64
	open   func(n int64, key string, body io.ReadCloser) (io.ReadCloser, error) // the nth Open
	list   []blob.Info                                                          // in place of the real list, where not nil
}

func (f *faulty) Open(ctx context.Context, key string) (io.ReadCloser, blob.Info, string, error) {
	body, info, contentType, err := f.Bucket.Open(ctx, key)
	if err == nil && f.open != nil {
		body, err = f.open(f.opened.Add(1), key, body)
	}
	return body, info, contentType, err
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	if f.list == nil {
		return f.Bucket.List(ctx, prefix)
	}
	return func(yield func(blob.Info, error) bool) {
		for _, o := range f.list {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func TestAnInterruptedBackupGoesOn(t *testing.T) {
	b, _ := newBucket(t)
	planted(t, b)
	all := objects(t, b)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var p Progress
	interrupted := &faulty{Bucket: b, open: func(n int64, _ string, body io.ReadCloser) (io.ReadCloser, error) {
		if n == 8 {
			cancel()
		}
		return body, nil
	}}
	if err := Backup(ctx, Config{Bucket: interrupted, Dir: dir, Workers: 2, Progress: &p}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	first := p.Copied.Load()
	if first == 0 || first >= int64(len(all)) {
		t.Fatalf("%d objects were copied before the interruption", first)
	}
	// what a crash may leave: half an object under a temporary name, half a line in the sums
	if err := os.WriteFile(filepath.Join(dir, tmpDir, "HALF"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	sums, _ := filepath.Glob(filepath.Join(dir, sumsDir, "*.tsv"))
	f, err := os.OpenFile(sums[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("0123456789abcdef\t12")
	f.Close()

	if n := copied(t, Backup, b, dir); n != int64(len(all))-first {
		t.Errorf("%d objects copied, want the %d that were left", n, int64(len(all))-first)
	}
	if _, err := os.Stat(filepath.Join(dir, tmpDir, "HALF")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half an object is still there: %v", err)
	}
	wipe(t, b)
	copied(t, Restore, b, dir)
	if diff := cmp.Diff(all, objects(t, b)); diff != "" {
		t.Error(diff)
	}
}

type cut struct {
	io.Reader
	io.Closer
}

func TestBytesThatArriveChangedAreNotKept(t *testing.T) {
	b, _ := newBucket(t)
	put(t, b, "a/picture.jpg", "image/jpeg", []byte("the picture"))
	tests := []struct {
		name string
		body func(io.ReadCloser) io.ReadCloser
	}{
		{"cut short", func(r io.ReadCloser) io.ReadCloser { return cut{io.LimitReader(r, 5), r} }},
		{"changed", func(r io.ReadCloser) io.ReadCloser { return cut{strings.NewReader("tha picture"), r} }},
	}
	for _, tt := range tests {
		t.Run(tt.name+" once", func(t *testing.T) {
			dir := t.TempDir()
			bad := &faulty{Bucket: b, open: func(n int64, _ string, r io.ReadCloser) (io.ReadCloser, error) {
				if n == 1 {
					return tt.body(r), nil
				}
				return r, nil
			}}
			copied(t, Backup, bad, dir)
			if got, _ := os.ReadFile(filepath.Join(dir, "objects/a/picture.jpg")); string(got) != "the picture" {
				t.Errorf("the backup has %q", got)
			}
		})
	}
	t.Run("changed always", func(t *testing.T) {
		dir := t.TempDir()
		bad := &faulty{Bucket: b, open: func(_ int64, _ string, r io.ReadCloser) (io.ReadCloser, error) { return tests[1].body(r), nil }}
		var faults []string
		err := Backup(t.Context(), Config{Bucket: bad, Dir: dir, Fault: func(key string, _ error) { faults = append(faults, key) }})
		if !errors.Is(err, ErrFaults) || len(faults) != 1 {
			t.Errorf("error %v, faults %q", err, faults)
		}
		if _, err := os.Stat(filepath.Join(dir, "objects/a/picture.jpg")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the changed object is in the backup: %v", err)
		}
	})
}

func TestHostileKeysStayOutsideAndTheRestIsCopied(t *testing.T) {
	b, _ := newBucket(t)
	put(t, b, "good/picture.jpg", "image/jpeg", []byte("good"))
	above := t.TempDir()
	dir := filepath.Join(above, "backup")
	hostile := []string{
		"../escaped", "a/../../escaped", "/etc/escaped", "..", ".", "a//b", "a/./b", "nul\x00", "line\nend", "tab\tkey", "",
		strings.Repeat("x", 300), strings.Repeat("y/", 600) + "z", "bad\xffutf8", "folder/",
	}
	list := []blob.Info{{Key: "mark-of-a-folder/"}}
	for _, key := range hostile {
		list = append(list, blob.Info{Key: key, Size: 4, ETag: "x"})
	}
	for o, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	faults := map[string]bool{}
	err := Backup(t.Context(), Config{Bucket: &faulty{Bucket: b, list: list}, Dir: dir, Fault: func(key string, _ error) { faults[key] = true }})
	if !errors.Is(err, ErrFaults) {
		t.Errorf("error %v", err)
	}
	for _, key := range hostile {
		if !faults[key] {
			t.Errorf("%q is not reported", key)
		}
	}
	if entries, _ := os.ReadDir(above); len(entries) != 1 {
		t.Errorf("beside the backup there is %v", entries)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "objects/good/picture.jpg")); string(got) != "good" {
		t.Errorf("the good object is %q", got)
	}
}

func TestALinkInTheFolderLeadsNowhere(t *testing.T) {
	b, _ := newBucket(t)
	put(t, b, "out/picture.jpg", "image/jpeg", []byte("picture"))
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, objectsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, objectsDir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), Config{Bucket: b, Dir: dir}); err == nil {
		t.Error("no error")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("outside of the folder there is now %v", entries)
	}
}

func TestRestoreRefusesWhatTheBackupNoLongerHasWhole(t *testing.T) {
	b, _ := newBucket(t)
	planted(t, b)
	before := objects(t, b)
	dir := t.TempDir()
	copied(t, Backup, b, dir)
	rotten := filepath.Join(dir, "objects/raw_images/00/00.2024-05-01_10-00-00.jpg")
	content, err := os.ReadFile(rotten)
	if err != nil {
		t.Fatal(err)
	}
	content[7] ^= 1
	if err := os.WriteFile(rotten, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "objects/raw_images/01/01.2024-05-01_10-00-00.jpg"), 10); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "objects/empty")); err != nil {
		t.Fatal(err)
	}
	wipe(t, b)
	faults := map[string]string{}
	err = Restore(t.Context(), Config{Bucket: b, Dir: dir, Fault: func(key string, err error) { faults[key] = err.Error() }})
	if !errors.Is(err, ErrFaults) {
		t.Errorf("error %v", err)
	}
	want := maps.Clone(before)
	for key, why := range map[string]string{
		"raw_images/00/00.2024-05-01_10-00-00.jpg": "rotted",
		"raw_images/01/01.2024-05-01_10-00-00.jpg": "10 bytes",
		"empty": "lacks its file",
	} {
		delete(want, key)
		if !strings.Contains(faults[key], why) {
			t.Errorf("%s: %q, want %q", key, faults[key], why)
		}
	}
	if diff := cmp.Diff(want, objects(t, b)); diff != "" {
		t.Error(diff)
	}
	if err := Restore(t.Context(), Config{Bucket: b, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "is no backup") {
		t.Errorf("an empty folder gives %v", err)
	}
}

func TestABackupThatTheStoreLeavesGivesUp(t *testing.T) {
	b, _ := newBucket(t)
	put(t, b, "a", "", []byte("a"))
	away := &faulty{Bucket: b, open: func(_ int64, _ string, r io.ReadCloser) (io.ReadCloser, error) {
		r.Close()
		return nil, spi.Errorf(spi.CodeUnavailable, "away")
	}}
	err := Backup(t.Context(), Config{Bucket: away, Dir: t.TempDir()})
	if err == nil || errors.Is(err, ErrFaults) || !strings.Contains(err.Error(), "away") {
		t.Errorf("error %v", err)
	}
	if n := away.opened.Load(); n != attempts {
		t.Errorf("%d attempts", n)
	}
}

func TestTwoCopiesDoNotWorkInOneFolder(t *testing.T) {
	b, _ := newBucket(t)
	put(t, b, "a", "", []byte("a"))
	dir := t.TempDir()
	nested := &faulty{Bucket: b, open: func(_ int64, _ string, r io.ReadCloser) (io.ReadCloser, error) {
		if err := Backup(t.Context(), Config{Bucket: b, Dir: dir}); err == nil || !strings.Contains(err.Error(), "another copy") {
			t.Errorf("error %v", err)
		}
		return r, nil
	}}
	copied(t, Backup, nested, dir)
}
