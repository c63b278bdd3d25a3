package models_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/bundle"
)

// TestTheCopyIsNotReadAgainWhileItsDetectorIsInUse asks the kernel who opens the copy: its check reads all of it.
func TestTheCopyIsNotReadAgainWhileItsDetectorIsInUse(t *testing.T) {
	s := newSetting(t)
	s.shop.set(newer(t))
	s.refresh(t)
	copies, err := filepath.Glob(filepath.Join(s.dir, "model-*", filepath.FromSlash(bundle.WeightsKey)))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %v, %v", copies, err)
	}
	watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Skip("files cannot be watched here: ", err)
	}
	defer func() { _ = syscall.Close(watch) }()
	if _, err := syscall.InotifyAddWatch(watch, copies[0], syscall.IN_OPEN); err != nil {
		t.Skip("files cannot be watched here: ", err)
	}
	opened := func() bool {
		n, err := syscall.Read(watch, make([]byte, 4096))
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
		return n > 0
	}
	s.shop.away = true
	if s.refresh(t); opened() {
		t.Error("the copy was opened while its detector is in use")
	}
	s.start(t)
	if s.refresh(t); !opened() {
		t.Error("after a start, the copy was not opened")
	}
}
