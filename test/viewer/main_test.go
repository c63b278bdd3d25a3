// Package viewer tests the web viewer as people use it: in Chromium, on a whole local server, with photographs as devices
// take them.
package viewer

import (
	"fmt"
	"os"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stack.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
