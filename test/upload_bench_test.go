package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
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
// memory, know their md5 and do nothing but send them. The two take turns, and the medians are compared, since what else the
// machine does changes, the writing of what was stored before among the rest. "shared" lets client and server share the
// machine, so that the client's md5 takes the server's time; "apart" gives each a core, as on two machines.
func BenchmarkUploadCard(b *testing.B) {
	photo := spitest.JPEG(spitest.Photo{Generation: 1, Width: 2592, Height: 1944})
	eachForBench(b, func(b *testing.B, s *stack.Stack) {
		card := newCardBench(b, s, photo)
		card.callers(b) // connections, caches
		b.Run("shared", card.compare)
		b.Run("apart", func(b *testing.B) {
			if runtime.NumCPU() < 2 {
				b.Skip("there is one core")
			}
			bind(b, card.servers, "0")
			bind(b, []int{os.Getpid()}, "1")
			defer bind(b, append(card.servers, os.Getpid()), fmt.Sprintf("0-%d", runtime.NumCPU()-1))
			card.compare(b)
		})
	})
}

// bind lets processes run on these cores alone, and those that they start.
func bind(b *testing.B, pids []int, cores string) {
	b.Helper()
	for _, pid := range pids {
		if out, err := exec.CommandContext(context.Background(), "taskset", "-a", "-c", "-p", cores, strconv.Itoa(pid)).CombinedOutput(); err != nil {
			b.Skipf("no core can be chosen: %v\n%s", err, out)
		}
	}
}

// cardBench uploads the same photograph under ever new names, in two ways.
type cardBench struct {
	stack   *stack.Stack
	servers []int // their processes
	client  *spi.Client
	photo   []byte
	onDisk  string
	next    atomic.Int64 // minutes, so that no name comes twice
}

const (
	cardImages  = 150
	cardWorkers = 8
)

func newCardBench(b *testing.B, s *stack.Stack, photo []byte) *cardBench {
	b.Helper()
	client, err := spi.New(s.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
	if err != nil {
		b.Fatal(err)
	}
	c := &cardBench{stack: s, servers: []int{s.PID()}, client: client, photo: photo, onDisk: filepath.Join(b.TempDir(), "photo")}
	if s.MariaDB != nil {
		c.servers = append(c.servers, s.MariaDB.PID(), s.S3.PID())
	}
	if err := os.WriteFile(c.onDisk, photo, 0o600); err != nil {
		b.Fatal(err)
	}
	return c
}

func (c *cardBench) name() string {
	return spitest.Name("0a5bb6f4", time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(c.next.Add(1))*time.Minute))
}

// cpu is that of the servers and of the callers, who are in this process.
func (c *cardBench) cpu(b *testing.B) (used time.Duration) {
	b.Helper()
	for _, pid := range append(c.servers, os.Getpid()) {
		used += cpuOf(b, pid)
	}
	return used
}

// callers sends the images from memory.
func (c *cardBench) callers(b *testing.B) (passed, cpu time.Duration) {
	b.Helper()
	sum := md5Hex(c.photo)
	began, before := time.Now(), c.cpu(b)
	var left atomic.Int64
	left.Store(cardImages)
	var all sync.WaitGroup
	for range cardWorkers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				file := spi.FileOf(c.name(), c.photo)
				file.MD5, file.Size = sum, int64(len(c.photo))
				if _, err := c.client.PutImage(context.Background(), file); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began), c.cpu(b) - before
}

// command sends them by spi upload. cpu is that of all, own the command's part of it.
func (c *cardBench) command(b *testing.B) (passed, cpu, own time.Duration, peakMB float64) {
	b.Helper()
	card := b.TempDir()
	for range cardImages {
		if err := os.Link(c.onDisk, filepath.Join(card, c.name())); err != nil {
			b.Fatal(err)
		}
	}
	began, before := time.Now(), c.cpu(b)
	r, own, peakMB := spiUpload(b, c.stack, filepath.Join(b.TempDir(), "journal"), card, "--workers", strconv.Itoa(cardWorkers))
	passed, cpu = time.Since(began), c.cpu(b)-before+own
	if r.Uploaded != cardImages {
		b.Fatalf("%+v", r)
	}
	return passed, cpu, own, peakMB
}

func (c *cardBench) compare(b *testing.B) {
	var wall, wallOfCallers []time.Duration // of each turn
	var cpu, own, cpuOfCallers time.Duration
	var peak float64
	commands := func() {
		passed, used, mine, mb := c.command(b)
		wall, cpu, own, peak = append(wall, passed), cpu+used, own+mine, max(peak, mb)
	}
	for turn := 0; b.Loop(); turn++ {
		if turn%2 == 0 {
			commands()
		}
		passed, used := c.callers(b)
		wallOfCallers, cpuOfCallers = append(wallOfCallers, passed), cpuOfCallers+used
		if turn%2 == 1 {
			commands()
		}
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return (all[(len(all)-1)/2] + all[len(all)/2]).Seconds() / 2
	}
	mine, server := median(wall), median(wallOfCallers)
	b.ReportMetric(cardImages/server, "server-images/s")
	b.ReportMetric(cardImages/mine, "spi-images/s")
	b.ReportMetric(server/mine, "spi/server")
	b.ReportMetric(cpuOfCallers.Seconds()/cpu.Seconds(), "spi/server-by-cpu") // of client and server together
	b.ReportMetric(own.Seconds()*1000/float64(cardImages*len(wall)), "spi-cpu-ms/image")
	b.ReportMetric(peak, "spi-peak-MB")
}
