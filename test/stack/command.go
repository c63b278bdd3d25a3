package stack

import (
	"context"
	"errors"
	"os/exec"
	"testing"
)

// Run runs another command of a production stack's program, such as "fsck", with the server's environment, and gives its
// exit status and what it printed.
func (s *Stack) Run(ctx context.Context, t testing.TB, args ...string) (status int, output string) {
	t.Helper()
	serve := s.command()
	cmd := exec.CommandContext(ctx, serve.Path, args...)
	cmd.Env = serve.Env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}
