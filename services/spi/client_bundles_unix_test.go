//go:build unix

package spi

import (
	"path/filepath"
	"syscall"
	"testing"
)

func TestAPushDoesNotWaitForAPipeInItsFolder(t *testing.T) {
	b := newBundleStore(t)
	dir := writeFiles(t, map[string]string{"config/config.yaml": "a: 1\n"})
	if err := syscall.Mkfifo(filepath.Join(dir, "config", "pipe.txt"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, b.server)
	pushed, err := c.PushBundle(t.Context(), "uid", dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "what was pushed", pushed, []string{"config/config.yaml"})
}
