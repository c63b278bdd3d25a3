package stack

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var shared struct {
	sync.Mutex
	stacks  []*Stack
	folders []string
}

// SharedEach runs the test on one stack of each kind that all tests of the process share, since starting one takes
// seconds. The first test that needs a kind starts it, and Close ends it. Tests use devices and users of their own, and
// leave the server running.
func SharedEach(t *testing.T, test func(t *testing.T, s *Stack)) {
	t.Helper()
	for _, k := range []struct {
		name  string
		start func(testing.TB, Options) *Stack
	}{{"production", Production}, {"local", Local}} {
		t.Run(k.name, func(t *testing.T) {
			s := sharedStack(t, k.name, k.start)
			from := len(s.Log())
			t.Cleanup(func() {
				log := s.Log()[from:]
				if strings.Contains(log, raceReport) {
					t.Error("the server has a data race")
				}
				if t.Failed() {
					t.Logf("log of the server during the test:\n%s", log)
				}
			})
			test(t, s)
		})
	}
}

// raceReport is how the race detector begins what it has to say.
const raceReport = "WARNING: DATA RACE"

func sharedStack(t *testing.T, kind string, start func(testing.TB, Options) *Stack) *Stack {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	for _, s := range shared.stacks {
		if s.Kind == kind {
			return s
		}
	}
	folder, err := os.MkdirTemp("", "sticky-pi-stack-")
	if err != nil {
		t.Fatal(err)
	}
	shared.folders = append(shared.folders, folder)
	s := start(t, Options{shared: folder})
	shared.stacks = append(shared.stacks, s)
	return s
}

// closeShared ends the shared stacks. A server that ended before, on its own, is an error: whatever broke it was a test's.
func closeShared() error {
	shared.Lock()
	defer shared.Unlock()
	var errs []error
	for _, s := range shared.stacks {
		select {
		case <-s.Exited():
			errs = append(errs, fmt.Errorf("the shared %s server ended before the tests did; its log:\n%s", s.Kind, s.Log()))
		default:
		}
		s.Stop(syscall.SIGTERM)
	}
	for _, folder := range shared.folders {
		errs = append(errs, os.RemoveAll(folder))
	}
	shared.stacks, shared.folders = nil, nil
	return errors.Join(errs...)
}
