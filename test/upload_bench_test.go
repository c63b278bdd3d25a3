package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/services/spi/upload"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// linkedCard makes a card of n images that are links to a few copies of one file, since a card of 20 GB would be written
// longer than it is read. Their names are those of fill's images.
func linkedCard(b *testing.B, file []byte, n int) string {
	b.Helper()
	dir := b.TempDir()
	const linksOfAFile = 20_000 // file systems bound them
	var copied string
	for i := range n {
		if i%linksOfAFile == 0 {
			copied = filepath.Join(dir, fmt.Sprintf(".copy-%d", i))
			if err := os.WriteFile(copied, file, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		device := fmt.Sprintf("%08x", 0x1000*(i%50+1))
		at := time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i/50) * 20 * time.Minute)
		folder := filepath.Join(dir, device)
		if i < 50 {
			if err := os.Mkdir(folder, 0o700); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.Link(copied, filepath.Join(folder, spitest.Name(device, at))); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// spiUpload runs the command, and gives its report with its CPU time and peak memory.
func spiUpload(b *testing.B, s *stack.Stack, journal, card string, args ...string) (r upload.Report, cpu time.Duration, peakMB float64) {
	b.Helper()
	cmd := exec.CommandContext(context.Background(), stack.Binary(b, "services/spi", "./cmd/spi"),
		append([]string{"upload", "--quiet", "--json", card}, args...)...)
	cmd.Env = append(os.Environ(), "SPI_HOST="+s.URL, "SPI_USER="+stack.AdminName, "SPI_PASSWORD="+stack.AdminPassword, "SPI_JOURNAL="+journal,
		"SPI_SETTINGS="+journal+".settings")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		b.Fatal(err)
	}
	state := cmd.ProcessState
	cpu = state.UserTime() + state.SystemTime()
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok && runtime.GOOS == "linux" {
		peakMB = float64(usage.Maxrss) / 1024
	}
	return r, cpu, peakMB
}

// BenchmarkUploadAgain is the run over a card that the server has: with an empty journal, which reads every file, and then
// without reading any.
func BenchmarkUploadAgain(b *testing.B) {
	for _, images := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(images), func(b *testing.B) {
			s := stack.Local(b, stack.Options{Quiet: true})
			file := spitest.JPEG(spitest.Photo{Width: 64, Height: 48})
			fill(b, s, images)
			if _, err := behind(b, s).ExecContext(context.Background(), "UPDATE images SET md5 = ?", md5Hex(file)); err != nil {
				b.Fatal(err)
			}
			card, journal := linkedCard(b, file, images), filepath.Join(b.TempDir(), "journal")
			for _, name := range []string{"first", "again"} {
				b.Run(name, func(b *testing.B) {
					var cpu time.Duration
					var peak float64
					n := 0
					for b.Loop() {
						if name == "first" {
							_ = os.Remove(journal)
						}
						r, used, mb := spiUpload(b, s, journal, card)
						if r.AlreadyThere != int64(images) || r.SentBytes != 0 {
							b.Fatalf("%+v", r)
						}
						cpu += used
						peak = max(peak, mb)
						n++
					}
					b.ReportMetric(cpu.Seconds()*1000/float64(n), "spi-cpu-ms/op")
					b.ReportMetric(peak, "spi-peak-MB")
				})
			}
		})
	}
}

// BenchmarkUploadCard compares the command with the server's own rate: that of as many callers who have the photographs in
// memory, know their md5 and do nothing but send them. The two take turns, since what else the machine does changes.
func BenchmarkUploadCard(b *testing.B) {
	const images, workers = 150, 8
	photo := spitest.JPEG(spitest.Photo{Generation: 1, Width: 2592, Height: 1944})
	sum := md5Hex(photo)
	eachForBench(b, func(b *testing.B, s *stack.Stack) {
		client, err := spi.New(s.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
		if err != nil {
			b.Fatal(err)
		}
		var next atomic.Int64 // minutes, so that no name comes twice
		name := func() string {
			return spitest.Name("0a5bb6f4", time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(next.Add(1))*time.Minute))
		}
		callers := func(b *testing.B) time.Duration {
			b.Helper()
			began := time.Now()
			var left atomic.Int64
			left.Store(images)
			var all sync.WaitGroup
			for range workers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						file := spi.FileOf(name(), photo)
						file.MD5, file.Size = sum, int64(len(photo))
						if _, err := client.PutImage(context.Background(), file); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			return time.Since(began)
		}
		onDisk := filepath.Join(b.TempDir(), "photo")
		if err := os.WriteFile(onDisk, photo, 0o600); err != nil {
			b.Fatal(err)
		}
		callers(b) // connections, caches
		var server, command, cpu, cpuOfAll, cpuOfCallers time.Duration
		processes := func() (used time.Duration) { // of the server, and of the callers, who are in this one
			pids := []int{s.PID(), os.Getpid()}
			if s.MariaDB != nil {
				pids = append(pids, s.MariaDB.PID(), s.S3.PID())
			}
			for _, pid := range pids {
				used += cpuOf(b, pid)
			}
			return used
		}
		var peak float64
		n := 0
		commands := func() {
			card := b.TempDir()
			for range images {
				if err := os.Link(onDisk, filepath.Join(card, name())); err != nil {
					b.Fatal(err)
				}
			}
			began, before := time.Now(), processes()
			r, used, mb := spiUpload(b, s, filepath.Join(b.TempDir(), "journal"), card, "--workers", strconv.Itoa(workers))
			command += time.Since(began)
			cpuOfAll += processes() - before + used
			if r.Uploaded != images {
				b.Fatalf("%+v", r)
			}
			n, cpu, peak = n+images, cpu+used, max(peak, mb)
		}
		for turn := 0; b.Loop(); turn++ {
			if turn%2 == 0 {
				commands()
			}
			before := processes()
			server += callers(b)
			cpuOfCallers += processes() - before
			if turn%2 == 1 {
				commands()
			}
		}
		b.ReportMetric(float64(n)/server.Seconds(), "server-images/s")
		b.ReportMetric(float64(n)/command.Seconds(), "spi-images/s")
		b.ReportMetric(server.Seconds()/command.Seconds(), "spi/server")
		// the same of the CPU time of client and server, which share the machine here
		b.ReportMetric(cpuOfCallers.Seconds()/cpuOfAll.Seconds(), "spi/server-by-cpu")
		b.ReportMetric(cpu.Seconds()*1000/float64(n), "spi-cpu-ms/image")
		b.ReportMetric(peak, "spi-peak-MB")
	})
}
