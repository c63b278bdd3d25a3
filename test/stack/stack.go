// Package stack starts the whole server for the tests of module test, as its users do: as processes. There are two kinds,
// on which every end-to-end test runs: production's (spi-api on MariaDB and a versitygw process) and local mode's (one
// process on SQLite and the embedded S3).
package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
)

// Admin's name and password, and those of the detector's user, in every stack.
const (
	AdminName     = "admin"
	AdminPassword = "admin-password-of-tests"
	UIDName       = "spi_uid"
	UIDPassword   = "uid-password-of-tests"
)

// startWithin bounds the wait for a process to be ready: generous, since two cores run many tests at once.
const startWithin = 5 * time.Minute

// Stack is a running server.
type Stack struct {
	Kind       string // "production" or "local"
	URL        string // of the API
	ViewerURL  string // empty in production
	MetricsURL string
	Bucket     kittest.S3Access // for looking at the objects behind the API's back
	BucketName string

	MariaDB  *kittest.MariaDB // nil in local mode
	Database kittest.Database // zero in local mode
	S3       *kittest.S3      // nil in local mode

	shared bool // with all tests of the process: see SharedEach
	later  bool
	Data   string // local mode's folder, empty in production

	command func() *exec.Cmd
	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
	log     *lockedBuffer
	output  *os.File // nil: log
}

// Options change how a stack is started.
type Options struct {
	Quiet    bool                                    // without debug lines in the log, for benchmarks
	Own      bool                                    // servers of its own, which the test may stop
	Environ  []string                                // more variables, NAME=value
	Database func(t testing.TB, db kittest.Database) // fills the database before the API starts (production only)
	Data     string                                  // the folder to keep everything in (local mode only); a temporary one where empty
	Later    bool                                    // the test starts it: Start, then WaitReady
	Output   *os.File                                // what it prints goes there (local mode only); to Log where nil

	shared string // folder of a stack that outlives the test
}

// Production starts spi-api on MariaDB and versitygw; the test is skipped where one of them is missing.
func Production(t testing.TB, o Options) *Stack {
	t.Helper()
	s := &Stack{Kind: "production", log: &lockedBuffer{}, shared: o.shared != ""}
	if o.Own {
		s.MariaDB, s.S3 = kittest.NewMariaDB(t), kittest.NewS3(t)
	} else {
		s.MariaDB, s.S3 = kittest.SharedMariaDB(t), kittest.SharedS3(t)
	}
	var err error
	if s.Database, err = s.MariaDB.NewDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.Database != nil {
		o.Database(t, s.Database)
	}
	s.Bucket = s.S3.S3Access
	s.BucketName = "test-" + strings.ToLower(strings.ReplaceAll(s.Database.Name, "_", "-"))
	ports := freePorts(t, 0, 1)
	environ := append([]string{
		"API_PORT=" + strconv.Itoa(ports), "METRICS_PORT=" + strconv.Itoa(ports+1),
		"MYSQL_HOST=" + s.Database.Host, "MYSQL_PORT=" + strconv.Itoa(s.Database.Port), "MYSQL_DATABASE=" + s.Database.Name,
		"MYSQL_USER=" + s.Database.User, "MYSQL_PASSWORD=" + s.Database.Password,
		"S3_HOST=" + s.Bucket.Endpoint, "S3_REGION=" + s.Bucket.Region, "S3_BUCKET_NAME=" + s.BucketName,
		"S3_ACCESS_KEY=" + s.Bucket.AccessKey, "S3_PRIVATE_KEY=" + s.Bucket.SecretKey,
		"DEBUG=" + strconv.FormatBool(!o.Quiet),
	}, append(secrets(), o.Environ...)...)
	binary := Binary(t, "server", "./cmd/spi-api")
	s.command = func() *exec.Cmd {
		cmd := exec.Command(binary, "serve") //nolint:noctx // it outlives the call and is ended by Stop
		cmd.Env = append(os.Environ(), environ...)
		return cmd
	}
	s.later = o.Later
	s.begin(t, ports, ports+1)
	return s
}

// Local starts sticky-pi.
func Local(t testing.TB, o Options) *Stack {
	t.Helper()
	s := &Stack{Kind: "local", log: &lockedBuffer{}, output: o.Output, BucketName: "sticky-pi", shared: o.shared != ""}
	port := freePorts(t, 0, 1, 2, 3)
	data := o.shared
	if data == "" {
		data = o.Data
	}
	if data == "" {
		data = t.TempDir()
	}
	s.Data = data
	s.ViewerURL = fmt.Sprintf("http://127.0.0.1:%d", port+1)
	s.Bucket = kittest.S3Access{
		Endpoint: fmt.Sprintf("http://127.0.0.1:%d", port+2), Region: "us-east-1", AccessKey: "access-of-tests", SecretKey: "secret-of-tests",
	}
	environ := append([]string{
		"S3_ACCESS_KEY=" + s.Bucket.AccessKey, "S3_PRIVATE_KEY=" + s.Bucket.SecretKey, "DEBUG=" + strconv.FormatBool(!o.Quiet),
		"UID_WORKERS=0", // most tests want the queue for themselves
	}, append(secrets(), o.Environ...)...)
	binary := Binary(t, "services/local", "./cmd/sticky-pi")
	s.command = func() *exec.Cmd {
		cmd := exec.Command(binary, "--port", strconv.Itoa(port), "--data", data) //nolint:noctx // as above
		cmd.Env = append(os.Environ(), environ...)
		return cmd
	}
	s.later = o.Later
	s.begin(t, port, port+3)
	return s
}

// Each runs the test on both kinds.
func Each(t *testing.T, o Options, test func(t *testing.T, s *Stack)) {
	t.Helper()
	t.Run("production", func(t *testing.T) { test(t, Production(t, o)) })
	t.Run("local", func(t *testing.T) { test(t, Local(t, o)) })
}

func secrets() []string {
	return []string{
		"SECRET_API_KEY=signing-key-of-tests", "API_ADMIN_NAME=" + AdminName, "API_ADMIN_PASSWORD=" + AdminPassword,
		"UID_USER=" + UIDName, "UID_PASSWORD=" + UIDPassword,
	}
}

func (s *Stack) begin(t testing.TB, port, metrics int) {
	t.Helper()
	s.URL = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.MetricsURL = fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics)
	if !s.shared {
		t.Cleanup(func() {
			s.Stop(syscall.SIGTERM)
			if t.Failed() {
				t.Logf("log of the server:\n%s", s.Log())
			}
		})
	}
	if s.later {
		return
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(t.Context()); err != nil {
		s.Stop(syscall.SIGKILL)
		t.Fatalf("%v; log of the server:\n%s", err, s.Log())
	}
}

// Start starts the server's process again after Stop, and does not wait for it.
func (s *Stack) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if s.output != nil {
		cmd.Stdout, cmd.Stderr = s.output, s.output
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in the log; Stop and WaitReady look at exited
		close(exited)
	}()
	s.process, s.exited = cmd, exited
	return nil
}

// Stop ends the server's process with the signal and waits until it is gone.
func (s *Stack) Stop(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(sig) // it may be gone already
	<-s.exited
	s.process = nil
}

// PID is the server's process, 0 while it is stopped.
func (s *Stack) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.Process.Pid
}

// Exited is closed when the process that runs now has ended.
func (s *Stack) Exited() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exited
}

// Log is what the server has printed so far.
func (s *Stack) Log() string { return s.log.String() }

// WaitReady waits until /readyz says that everything can be used.
func (s *Stack) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	exited := s.Exited()
	for {
		if s.readyz(ctx) {
			return nil
		}
		select {
		case <-exited:
			return errors.New("the server ended")
		case <-ctx.Done():
			return errors.New("the server did not get ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Stack) readyz(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

var (
	buildMu sync.Mutex
	built   = map[string]string{}
	buildIn string
)

// Binary builds a command of the module in that folder of the project, once for the test process, with the race detector
// and the libjpeg-turbo thumbnailer where the tests have them.
func Binary(t testing.TB, module, pkg string) string {
	t.Helper()
	buildMu.Lock()
	defer buildMu.Unlock()
	if path, ok := built[module+pkg]; ok {
		return path
	}
	if buildIn == "" {
		var err error
		if buildIn, err = os.MkdirTemp("", "sticky-pi-binaries-"); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(buildIn, filepath.Base(pkg))
	args := []string{"build", "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	if turbojpeg {
		args = append(args, "-tags", "turbojpeg")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, pkg)...)
	cmd.Dir = filepath.Join(Root(t), filepath.FromSlash(module))
	if runtime.GOARCH == "amd64" {
		// as deploy.sh builds them: under the race detector the network in plain Go takes a minute for a photograph
		cmd.Env = append(cmd.Environ(), "GOEXPERIMENT=simd")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	built[module+pkg] = path
	return path
}

// Root is the project's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.work above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

// SharedData is the path of a file or folder of the real data beside the project. It skips the test where that is not there.
func SharedData(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), "..", "shared", "data", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs the real data beside the project: %v", err)
	}
	return path
}

// Close ends what the test process shares and removes the binaries. A TestMain calls it after m.Run.
func Close() error {
	return errors.Join(closeShared(), kittest.CloseSharedMariaDB(), kittest.CloseSharedS3(), os.RemoveAll(buildIn))
}

func freePorts(t testing.TB, offsets ...int) int {
	t.Helper()
	p, err := ports.Free(t.Context(), offsets...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
