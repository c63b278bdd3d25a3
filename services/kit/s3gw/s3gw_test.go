package s3gw

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
)

func freeAddr(t *testing.T) string {
	t.Helper()
	port, err := ports.Free(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// quiet fails the test where something is written to the standard output until its end.
func quiet(t *testing.T) {
	t.Helper()
	stdout := os.Stdout
	f, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = f
	t.Cleanup(func() {
		os.Stdout = stdout
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if said, err := os.ReadFile(f.Name()); err != nil || len(said) > 0 {
			t.Errorf("on the standard output: %q (%v)", said, err)
		}
	})
}

func TestRunServesUntilTheContextIsDoneAndRestoresTheWorkingDirectory(t *testing.T) {
	quiet(t)
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// Twice: a server that has ended leaves room for the next, on the same data.
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		ready, done := make(chan struct{}), make(chan error, 1)
		cfg := Config{Addr: freeAddr(t), Dir: dir, AccessKey: "access", SecretKey: "secret", Ready: func() { close(ready) }}
		go func() { done <- Run(ctx, cfg) }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("Run ended: %v", err)
		}

		res, err := http.Get("http://" + cfg.Addr + DefaultHealthPath)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("health: %s", res.Status)
		}
		res, err = http.Get("http://" + cfg.Addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("a request without keys: %s, want 403", res.Status)
		}

		second := cfg
		second.Addr, second.Ready = freeAddr(t), nil
		if err := Run(ctx, second); !errors.Is(err, ErrRunning) {
			t.Errorf("a second Run: %v, want ErrRunning", err)
		}

		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run after its context was done: %v", err)
		}
		after, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		if after != before {
			t.Errorf("the working directory is %s afterwards, was %s", after, before)
		}
	}
}

func TestRunRefusesABusyAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Run(t.Context(), Config{Addr: l.Addr().String(), Dir: t.TempDir(), AccessKey: "access", SecretKey: "secret"})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run on a busy port: %v", err)
	}
}

func TestRunNamesWhatIsMissing(t *testing.T) {
	whole := Config{Addr: "127.0.0.1:1", Dir: "x", AccessKey: "a", SecretKey: "s"}
	for want, spoil := range map[string]func(*Config){
		"Addr":       func(c *Config) { c.Addr = "127.0.0.1:0" },
		"Dir":        func(c *Config) { c.Dir = "" },
		"SecretKey":  func(c *Config) { c.SecretKey = "" },
		"HealthPath": func(c *Config) { c.HealthPath = "health" },
	} {
		cfg := whole
		spoil(&cfg)
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}

func TestMetadataGoesWhereTheFileSystemKeepsIt(t *testing.T) {
	with := func(string) error { return nil }
	without := func(string) error { return syscall.EOPNOTSUPP }
	isSidecar := func(m meta.MetadataStorer) bool { _, ok := m.(meta.SideCar); return ok }

	dir := t.TempDir()
	objects, side := filepath.Join(dir, ObjectsDir), filepath.Join(dir, MetadataDir)
	if err := os.Mkdir(objects, 0o750); err != nil {
		t.Fatal(err)
	}
	if m, err := metadata(objects, side, with); err != nil || isSidecar(m) {
		t.Errorf("with extended attributes: %T, %v", m, err)
	}
	if _, err := os.Stat(side); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder for metadata was made without need: %v", err)
	}

	if m, err := metadata(objects, side, without); err != nil || !isSidecar(m) {
		t.Errorf("without extended attributes: %T, %v", m, err)
	}
	if m, err := metadata(objects, side, with); err != nil || !isSidecar(m) {
		t.Errorf("the first choice does not stay: %T, %v", m, err)
	}

	if err := os.Remove(side); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(objects, "bucket"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := metadata(objects, side, without); err == nil || !strings.Contains(err.Error(), "rsync -aX") {
		t.Errorf("objects that came without their attributes: %v", err)
	}

	if _, err := metadata(objects, side, func(string) error { return fs.ErrPermission }); err == nil || !strings.Contains(err.Error(), "owner and mode") {
		t.Errorf("a folder that cannot be written: %v", err)
	}

	// the container's case: the objects have a volume of their own, below a root that is read-only
	if err := os.Remove(filepath.Join(objects, "bucket")); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(dir, "nowhere") // even root cannot make a folder there
	if err := os.Symlink(filepath.Join(dir, "missing"), nowhere); err != nil {
		t.Fatal(err)
	}
	_, err := metadata(objects, filepath.Join(nowhere, MetadataDir), without)
	if err == nil || !strings.Contains(err.Error(), "keeps no extended attributes (operation not supported)") || !strings.Contains(err.Error(), "ext4") {
		t.Errorf("metadata without a place: %v", err)
	}
}

// overtaken has a deletion take an upload's folder away and another upload make it, when the object is about to get its name;
// that the second folder is gone too when versitygw looks, a link that leads nowhere stands for.
type overtaken struct {
	meta.XattrMeta
	folder string
}

func (o overtaken) StoreAttribute(f *os.File, bucket, object, attribute string, value []byte) error {
	if strings.HasPrefix(filepath.Join(bucket, object), o.folder+"/") {
		if err := errors.Join(os.RemoveAll(o.folder), os.Symlink("nowhere", o.folder)); err != nil {
			return err
		}
	}
	return o.XattrMeta.StoreAttribute(f, bucket, object, attribute, value)
}

func TestAnUploadThatStoresNothingIsNotAcknowledged(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		root := t.TempDir()
		t.Chdir(root)
		bucket, length := "bucket", int64(1)
		if err := os.MkdirAll(filepath.Join(bucket, posix.MetaTmpDir), 0o750); err != nil {
			t.Fatal(err)
		}
		back, err := posix.New(root, overtaken{folder: filepath.Join(bucket, "gone")}, posix.PosixOpts{})
		if err != nil {
			t.Fatal(err)
		}
		s := &synced{Posix: back, root: root, off: noSync}
		for key, want := range map[string]error{"there/1.jpg": nil, "gone/1.jpg": s3err.GetAPIError(s3err.ErrSlowDown)} {
			_, err := s.PutObject(t.Context(), s3response.PutObjectInput{
				Bucket: &bucket, Key: &key, ContentLength: &length, Body: strings.NewReader("x"),
			})
			if !errors.Is(err, want) {
				t.Errorf("%s, off %t: %v, want %v", key, noSync, err, want)
			}
		}
	}
}
