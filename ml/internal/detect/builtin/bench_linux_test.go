package builtin

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/outlines"
)

// cpu is the time that this process has spent computing: on a busy machine, the one that counts.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs f, and reports CPU time a run and the process's peak of memory so far.
func measure(b *testing.B, f func()) {
	start := cpu(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric((cpu(b)-start).Seconds()/float64(b.N), "cpu-s/op")
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	if m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status); m != nil {
		kb, _ := strconv.Atoi(string(m[1]))
		b.ReportMetric(float64(kb)/1000, "peak-MB")
	}
}

// photographBytes is a photograph of a device.
func photographBytes(tb testing.TB) []byte {
	found, err := filepath.Glob("../../../../../shared/data/raw_images/*.jpg")
	if err != nil {
		tb.Fatal(err)
	}
	if len(found) == 0 {
		tb.Skip("../shared/data/raw_images has no photographs")
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func decode(tb testing.TB, data []byte) image.Image {
	p, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func BenchmarkDecode(b *testing.B) {
	data := photographBytes(b)
	measure(b, func() { decode(b, data) })
}

func BenchmarkHalve(b *testing.B) {
	p := decode(b, photographBytes(b))
	measure(b, func() {
		if _, err := halve(p); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkMaps is halving and the network.
func BenchmarkMaps(b *testing.B) {
	p := decode(b, photographBytes(b))
	for _, k := range allKernels() {
		b.Run(k.name, func(b *testing.B) {
			d, err := load(embedded, k)
			if err != nil {
				b.Fatal(err)
			}
			measure(b, func() {
				if _, err := d.look(b.Context(), p); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkOutlines(b *testing.B) {
	d, err := New()
	if err != nil {
		b.Fatal(err)
	}
	m, err := d.look(b.Context(), decode(b, photographBytes(b)))
	if err != nil {
		b.Fatal(err)
	}
	measure(b, func() {
		if _, err := outlines.Find(b.Context(), *m, d.params); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkPhotograph is everything, from the file's bytes to the outlines.
func BenchmarkPhotograph(b *testing.B) {
	data := photographBytes(b)
	for _, k := range allKernels() {
		b.Run(k.name, func(b *testing.B) {
			d, err := load(embedded, k)
			if err != nil {
				b.Fatal(err)
			}
			measure(b, func() {
				if _, err := d.Detect(b.Context(), decode(b, data)); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkKernels(b *testing.B) {
	for _, k := range allKernels() {
		for _, c := range []struct{ in, out int }{{24, 24}, {48, 48}, {72, 72}, {96, 96}} {
			b.Run(fmt.Sprintf("%s/%dx%d", k.name, c.in, c.out), func(b *testing.B) {
				w := make([]float32, c.in*c.out)
				for i := range w {
					w[i] = float32(i%7) * 0.1
				}
				m := k.matrix(w, c.out)
				src, dst := make([]float32, squares*c.in), make([]float32, squares*m.stride)
				start := cpu(b)
				for b.Loop() {
					m.mul(dst, squares, src, c.in)
				}
				b.ReportMetric(float64(c.in*c.out*squares)*float64(b.N)/float64((cpu(b)-start).Nanoseconds()), "GMAC/cpu-s")
			})
		}
	}
}
