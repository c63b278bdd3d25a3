//go:build unix

package kittest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
)

// VersityGWVersion is the version of versitygw that StartS3 builds where none is installed. A test holds it to go.mod.
const VersityGWVersion = "v1.8.0"

// VersityGWVariable names the environment variable with the path of the versitygw binary to test with.
const VersityGWVariable = "STICKY_PI_VERSITYGW"

// s3Timeout bounds a start or a stop, which take a fraction of a second where the machine does little else.
const s3Timeout = 5 * time.Minute

const s3HealthPath = "/_health"

// ErrNoVersityGW says that versitygw is not installed and could not be built.
var ErrNoVersityGW = errors.New("kittest: no versitygw")

// S3Access is how to reach an S3 server of a test, in process or not.
type S3Access struct {
	Endpoint  string // http://127.0.0.1:PORT
	Region    string
	AccessKey string
	SecretKey string
}

// Bucket gives the name of a bucket that no other test uses. It does not make the bucket.
func (S3Access) Bucket() string { return "test-" + strings.ToLower(rand.Text()) }

// S3 is a versitygw process on a free loopback port, with a folder of its own. Stop and Start make faults; the data, the
// port and the keys stay the same until Close.
type S3 struct {
	S3Access

	dir     string
	ownDir  bool
	sidecar bool
	addr    string
	binary  string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// StartS3 starts a versitygw process on the data in dir, laid out as s3gw does it: objects, and metadata where the file
// system has no extended attributes or that folder is there already. An empty dir is a temporary folder that Close removes.
// A TestMain may call it; tests have it easier with [SharedS3] and [NewS3]. ctx bounds the start alone, which may build
// versitygw (a minute, once a machine).
func StartS3(ctx context.Context, dir string) (*S3, error) {
	binary, err := VersityGW(ctx)
	if err != nil {
		return nil, err
	}
	s := &S3{
		S3Access: S3Access{Region: "us-east-1", AccessKey: "test-access", SecretKey: "test-" + rand.Text()},
		dir:      dir, ownDir: dir == "", binary: binary,
	}
	if s.ownDir {
		if s.dir, err = os.MkdirTemp("", "sticky-pi-s3-"); err != nil {
			return nil, fmt.Errorf("kittest: %w", err)
		}
	}
	if _, err := os.Stat(s.metadataDir()); err == nil {
		s.sidecar = true
	}
	// Another process may take the port between the choice and the start.
	for range 3 {
		var port int
		if port, err = ports.Free(ctx, 0); err != nil {
			break
		}
		s.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		s.Endpoint = "http://" + s.addr
		if err = s.Start(ctx); err == nil {
			return s, nil
		}
		if strings.Contains(err.Error(), "xattr check failed") {
			s.sidecar = true
		}
	}
	return nil, errors.Join(err, s.Close())
}

var sharedS3 struct {
	sync.Mutex
	server *S3
}

// SharedS3 gives the versitygw process that all tests of this process share, and starts it for the first. Tests take a
// bucket of their own ([S3Access.Bucket]) and leave the server running; those that stop it take [NewS3]. It skips the test
// where there is no versitygw to be had. The package's TestMain ends it with [CloseSharedS3].
func SharedS3(t testing.TB) *S3 {
	t.Helper()
	sharedS3.Lock()
	defer sharedS3.Unlock()
	if sharedS3.server == nil {
		sharedS3.server = startOrSkip(t)
	}
	return sharedS3.server
}

// CloseSharedS3 ends the shared server, if one was started. A TestMain calls it after m.Run.
func CloseSharedS3() error {
	sharedS3.Lock()
	defer sharedS3.Unlock()
	if sharedS3.server == nil {
		return nil
	}
	err := sharedS3.server.Close()
	sharedS3.server = nil
	return err
}

// NewS3 is a server of the test's own, closed at its end, for tests that stop it. It skips the test where there is no
// versitygw to be had.
func NewS3(t testing.TB) *S3 {
	t.Helper()
	s := startOrSkip(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func startOrSkip(t testing.TB) *S3 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s, err := StartS3(ctx, "")
	switch {
	case errors.Is(err, ErrNoVersityGW):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return s
}

// ObjectsDir is the folder that holds a folder for each bucket.
func (s *S3) ObjectsDir() string { return filepath.Join(s.dir, "objects") }

func (s *S3) metadataDir() string { return filepath.Join(s.dir, "metadata") }

// PID is the server's process, 0 while it is stopped: tests freeze it with SIGSTOP.
func (s *S3) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Start starts the process again after Stop, and waits until it answers.
func (s *S3) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return errors.New("kittest: versitygw runs already")
	}
	args := []string{"--port", s.addr, "--health", s3HealthPath, "--keep-alive", "--quiet", "--region", s.Region, "posix"}
	folders := []string{s.ObjectsDir()}
	if s.sidecar {
		args, folders = append(args, "--sidecar", s.metadataDir()), append(folders, s.metadataDir())
	}
	for _, d := range folders {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return fmt.Errorf("kittest: %w", err)
		}
	}
	cmd := exec.Command(s.binary, append(args, s.ObjectsDir())...) //nolint:gosec // the binary that the developer named
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	var out bytes.Buffer // read after the process has ended
	cmd.Stdout, cmd.Stderr = &out, &out
	exited := make(chan struct{})
	if err := startTied(cmd, func() { close(exited) }); err != nil {
		return fmt.Errorf("kittest: versitygw: %w", err)
	}
	s.cmd, s.exited = cmd, exited

	if err := s.waitReady(ctx); err != nil {
		_ = s.stop(syscall.SIGKILL)
		return fmt.Errorf("kittest: versitygw did not come up: %w: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

func (s *S3) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s3Timeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+s3HealthPath, nil)
		if err != nil {
			return err
		}
		req.Close = true
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.exited:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the process with SIGTERM, as an operator does, or SIGKILL, as a power cut does, and waits until it is gone.
// Stopping a stopped one does nothing.
func (s *S3) Stop(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(sig)
}

func (s *S3) stop(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-s.exited:
	case <-time.After(s3Timeout):
		err = errors.Join(err, fmt.Errorf("kittest: versitygw did not end on %v", sig), s.cmd.Process.Kill())
		<-s.exited
	}
	s.cmd = nil
	return err
}

// Close ends the process and removes the temporary folder.
func (s *S3) Close() error {
	err := s.Stop(syscall.SIGKILL)
	if s.ownDir {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// VersityGW gives the path of a versitygw binary: the one that VersityGWVariable names, else the one on the PATH, else one
// that is built with `go install` into the user's cache folder, once.
func VersityGW(ctx context.Context) (string, error) {
	if path := os.Getenv(VersityGWVariable); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("kittest: %s: %w", VersityGWVariable, err)
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("versitygw"); err == nil {
		return filepath.Abs(path)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w, and nowhere to build it (%w): set %s to a binary", ErrNoVersityGW, err, VersityGWVariable)
	}
	dir := filepath.Join(cache, "sticky-pi", "versitygw-"+VersityGWVersion)
	binary := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := buildVersityGW(ctx, dir, binary); err != nil {
		return "", fmt.Errorf("%w, and it cannot be built (%w): set %s to a binary", ErrNoVersityGW, err, VersityGWVariable)
	}
	return binary, nil
}

func buildVersityGW(ctx context.Context, dir, binary string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	// `go test ./...` runs packages at once: one builds, the others wait for it.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in the cache folder
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(binary); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	// Not from this module's go.mod: the command needs many modules that nothing else here does.
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/versity/versitygw/cmd/versitygw@"+VersityGWVersion)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "GOBIN="+tmp, "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return os.Rename(filepath.Join(tmp, "versitygw"), binary)
}
