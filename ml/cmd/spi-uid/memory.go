package main

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// containerLimit is where the kernel says how much memory a container may take.
const containerLimit = "/sys/fs/cgroup/memory.max"

// limitMemory lets the collector work harder before the container's limit ends the process, unless GOMEMLIMIT is set. The
// number of images at a time follows from it.
func limitMemory(path string) {
	const part = 0.85 // the rest is for what is not Go's
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	text, err := os.ReadFile(path) //nolint:gosec // the kernel's
	if err != nil {
		return // no container, or another kernel
	}
	if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
		debug.SetMemoryLimit(int64(float64(limit) * part))
	}
}

// collectOften lets the collector run when what it has left has grown by half, rather than by all, unless GOGC is set. There is little
// for it to look at, a few large pictures and maps an image, and what is not yet freed of them is most of the worker's memory.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
