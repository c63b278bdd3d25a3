package s3blob

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
)

// BenchmarkPut stores images of 2.1 MB, and gives the CPU time that each side spends on one. The embedded server, which
// waits for the disk, shares the process with the client.
func BenchmarkPut(b *testing.B) {
	b.Run("process", func(b *testing.B) {
		server := kittest.SharedS3(b)
		benchmarkPut(b, server.S3Access, func() time.Duration { return processCPU(b, server.PID()) })
	})
	b.Run("embedded", func(b *testing.B) {
		benchmarkPut(b, inProcess.S3Access, func() time.Duration { return 0 })
	})
}

func benchmarkPut(b *testing.B, to kittest.S3Access, serverCPU func() time.Duration) {
	s := mustNew(b, config(to))
	if err := s.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("JPEG"), 2_100_000/4)
	how := ifAbsent(body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	n, client, server := 0, ownCPU(b), serverCPU()
	for b.Loop() {
		if err := s.Put(b.Context(), fmt.Sprintf("raw_images/5c173ff2/%d.jpg", n), body, how); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric((ownCPU(b)-client).Seconds()*1000/float64(n), "own-cpu-ms/op")
	b.ReportMetric((serverCPU()-server).Seconds()*1000/float64(n), "server-cpu-ms/op")
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processCPU is the user and system time of another process, from proc(5), in steps of 10 ms.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip(err)
	}
	// The name, in brackets, may hold spaces; utime and stime are the 14th and 15th fields, the name is the 2nd.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
