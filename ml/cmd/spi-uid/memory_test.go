package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestTheContainersMemoryBoundsTheCollector(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for _, tt := range []struct {
		text string
		own  int64 // GOMEMLIMIT, or before
		want int64
	}{
		{"2147483648\n", before, 1825361100},
		{"max\n", before, before},
		{"", before, before},
		{"2147483648\n", 1 << 30, 1 << 30},
	} {
		debug.SetMemoryLimit(tt.own)
		path := filepath.Join(t.TempDir(), "memory.max")
		if tt.text != "" {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		limitMemory(path)
		if got := debug.SetMemoryLimit(-1); got != tt.want {
			t.Errorf("%q with a limit of %d before: %d, want %d", tt.text, tt.own, got, tt.want)
		}
	}
}

func TestTheCollectorRunsOftenUnlessToldOtherwise(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for gogc, want := range map[string]int{"": 50, "off": 100, "200": 100} { // Go itself has read GOGC before
		t.Setenv("GOGC", gogc)
		debug.SetGCPercent(100)
		collectOften()
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("GOGC=%q: %d, want %d", gogc, got, want)
		}
	}
}
