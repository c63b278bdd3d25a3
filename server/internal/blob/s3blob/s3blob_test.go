package s3blob

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/blobtest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/s3gw/s3gwtest"
)

var inProcess *s3gwtest.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	var err error
	if inProcess, err = s3gwtest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	for _, err := range []error{inProcess.Close(), kittest.CloseSharedS3()} {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

func config(a kittest.S3Access) Config {
	return Config{
		Endpoint: a.Endpoint, Region: a.Region, AccessKey: a.AccessKey, SecretKey: a.SecretKey, Bucket: a.Bucket(),
	}
}

func mustNew(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestStoreOnTheEmbeddedServer(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return mustNew(t, config(inProcess.S3Access)) })
}

func TestStoreOnAVersityGWProcess(t *testing.T) {
	server := kittest.SharedS3(t)
	blobtest.Run(t, func(t *testing.T) blob.Store { return mustNew(t, config(server.S3Access)) })
}

func TestStoreOnAFileSystemWithoutExtendedAttributes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "metadata"), 0o750); err != nil {
		t.Fatal(err)
	}
	server, err := kittest.StartS3(t.Context(), dir)
	if errors.Is(err, kittest.ErrNoVersityGW) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	blobtest.Run(t, func(t *testing.T) blob.Store { return mustNew(t, config(server.S3Access)) })
	if entries, err := os.ReadDir(filepath.Join(dir, "metadata")); err != nil || len(entries) == 0 {
		t.Errorf("no metadata beside the objects: %v", err)
	}
}
