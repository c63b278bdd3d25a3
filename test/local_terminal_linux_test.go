package test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// openTerminal gives both ends of a terminal: the one that somebody sits at, and the one that programs have.
func openTerminal(t *testing.T) (seat, program *os.File) {
	t.Helper()
	seat, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be made: %v", err)
	}
	t.Cleanup(func() { _ = seat.Close() })
	fd := int(seat.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return seat, program
}

func TestOnATerminalLocalModeEndsWithWhereToLogIn(t *testing.T) {
	t.Parallel()
	seat, program := openTerminal(t)
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
