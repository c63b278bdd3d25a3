package stack

import (
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Worker is a detector worker's process.
type Worker struct {
	ReadyURL string // of its /readyz

	log    *lockedBuffer
	cmd    *exec.Cmd
	exited chan struct{}
	once   sync.Once
}

// StartWorker starts spi-uid for a stack, logged in as that user, and ends it with the test. The worker has a folder of its
// own for models, and takes links to S3 as they are.
func StartWorker(t testing.TB, s *Stack, user, password string, environ ...string) *Worker {
	t.Helper()
	port := strconv.Itoa(freePorts(t, 0))
	w := &Worker{ReadyURL: "http://127.0.0.1:" + port + "/readyz", log: &lockedBuffer{}, exited: make(chan struct{})}
	w.cmd = exec.Command(Binary(t, "ml", "./cmd/spi-uid"), "run") //nolint:noctx // it is ended by Stop
	w.cmd.Env = append(append(os.Environ(), "UID_API_URL="+s.URL, "UID_USER="+user, "UID_PASSWORD="+password,
		"UID_DATA="+t.TempDir(), "UID_WORKERS=2", "METRICS_PORT="+port, "S3_HOST="), environ...)
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = w.cmd.Wait() // how it ended is in the log
		close(w.exited)
	}()
	t.Cleanup(func() {
		w.Stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("log of the worker %s:\n%s", user, w.Log())
		}
	})
	return w
}

// Stop ends the process with the signal and waits until it is gone.
func (w *Worker) Stop(sig syscall.Signal) {
	w.once.Do(func() { _ = w.cmd.Process.Signal(sig) }) // it may be gone already
	<-w.exited
}

// Log is what the worker has printed so far.
func (w *Worker) Log() string { return w.log.String() }
