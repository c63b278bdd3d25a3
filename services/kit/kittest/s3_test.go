//go:build unix

package kittest

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

func TestTheVersityGWOfTheTestsIsTheOneOfGoMod(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`github\.com/versity/versitygw (v\S+)`).FindSubmatch(mod)
	if m == nil || string(m[1]) != VersityGWVersion {
		t.Errorf("go.mod requires versitygw %q, VersityGWVersion is %s", m, VersityGWVersion)
	}
}

func TestS3StopsAndStartsOnTheSameAddress(t *testing.T) {
	s := NewS3(t)
	health := func() error {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		res, err := c.Get(s.Endpoint + s3HealthPath)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := health(); err != nil {
			t.Fatalf("running: %v", err)
		}
		pid := s.PID()
		if err := s.Stop(sig); err != nil {
			t.Fatalf("Stop(%v): %v", sig, err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("after %v the process is there: %v", sig, err)
		}
		if err := health(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("stopped by %v: %v", sig, err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatalf("Start after %v: %v", sig, err)
		}
	}
}

func TestAMissingVersityGWIsNamed(t *testing.T) {
	t.Setenv(VersityGWVariable, filepath.Join(t.TempDir(), "missing"))
	if _, err := VersityGW(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("VersityGW: %v", err)
	}
}
