package stack

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// Replica gives one more spi-api on the database and the S3 server of a production stack. The test starts it: Start, then
// WaitReady.
func Replica(t testing.TB, s *Stack) *Stack {
	t.Helper()
	ports := freePorts(t, 0, 1)
	r := &Stack{
		Kind: s.Kind, Bucket: s.Bucket, BucketName: s.BucketName, MariaDB: s.MariaDB, Database: s.Database, S3: s.S3,
		log: &lockedBuffer{}, later: true,
	}
	r.command = func() *exec.Cmd {
		cmd := s.command()
		// of a variable that is there twice the last one counts
		cmd.Env = append(cmd.Env, "API_PORT="+strconv.Itoa(ports), "METRICS_PORT="+strconv.Itoa(ports+1))
		return cmd
	}
	r.begin(t, ports, ports+1)
	return r
}

// Signal sends the server's process a signal and does not wait for what it does.
func (s *Stack) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Process.Signal(sig)
}

// WaitExit waits until the server's process has ended on its own or by a [Stack.Signal], and gives its exit status; -1
// where a signal ended it.
func (s *Stack) WaitExit(ctx context.Context) (status int, err error) {
	select {
	case <-s.Exited():
	case <-ctx.Done():
		return 0, fmt.Errorf("the server does not end: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.ProcessState.ExitCode(), nil
}
