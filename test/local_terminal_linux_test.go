package test

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestOnATerminalLocalModeEndsWithWhereToLogIn(t *testing.T) {
	t.Parallel()
	seat, program, err := pty.Open()
	if err != nil {
		t.Skipf("no terminal can be made: %v", err)
	}
	defer func() { _ = seat.Close() }()
	seen := make(chan string)
	go func() {
		all, _ := io.ReadAll(seat) // it ends with an error, once no program has the terminal any more
		seen <- string(all)
	}()
	s := stack.Local(t, stack.Options{Quiet: true, Output: program, Environ: []string{"UID_WORKERS=1"}})
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	// requests, and a detector at work, which would all be in the log
	d := newDetected(t, s)
	d.upload(0, tinyPhotos(2)...)
	d.untilAnnotated(2)
	s.Stop(syscall.SIGTERM)
	lines := strings.Split(strings.TrimSpace(<-seen), "\r\n")
	if len(lines) < 2 {
		t.Fatalf("it says %q", lines)
	}
	ready, hint := lines[len(lines)-2], lines[len(lines)-1]
	if !strings.HasPrefix(ready, "ready: viewer "+s.ViewerURL) || !strings.HasSuffix(ready, s.Data+"/.secret.env") || !strings.Contains(hint, "Ctrl-C") {
		t.Errorf("the last lines are\n%s\n%s", ready, hint)
	}
	// where nobody looks on, all of it is kept
	quiet := stack.Local(t, stack.Options{Quiet: true})
	d = newDetected(t, quiet)
	d.annotations()
	d.until("the requests are in the log", func() bool { return strings.Contains(quiet.Log(), "msg=request") })
	if strings.Contains(quiet.Log(), "Ctrl-C") {
		t.Errorf("without a terminal it says\n%s", quiet.Log())
	}
}
