//go:build cgo && turbojpeg

package thumbnail

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func engines() []engine { return []engine{pure{}, turbo{}} }

func TestLibjpegTurboIsTheBestEngine(t *testing.T) {
	if name := New().Name(); !strings.HasPrefix(name, "libjpeg-turbo") {
		t.Error(name)
	}
}

// Where libjpeg-turbo complains Go decodes, which would hide it from the other tests that it complains of everything.
func TestLibjpegTurboItselfDecodesTheKindsThatDevicesSend(t *testing.T) {
	for _, name := range []string{
		"baseline420", "baseline422", "baseline440", "baseline444", "baseline411", "grey", "grey-2x2", "progressive", "progressive-grey", "restart", "three-scans",
	} {
		file, info := testdata(t, name)
		if (turbo{}).scaled(file, info, 61, 43) == nil {
			t.Errorf("%s was left to Go's decoder", name)
		}
	}
	for _, p := range []spitest.Photo{{Width: 2592, Height: 1944}, {Width: 1500, Height: 2000}, {Width: 1, Height: 1}, {Width: 2001, Height: 1499, Grey: true}} {
		file := spitest.JPEG(p)
		info, err := jpegfile.Check(file)
		if err != nil {
			t.Fatal(err)
		}
		w, h := fit(p.Width, p.Height, Width, Height)
		got := turbo{}.scaled(file, info, w, h)
		if got == nil {
			t.Errorf("%d x %d was left to Go's decoder", p.Width, p.Height)
			continue
		}
		if g := got.planes[0]; g.width < w || g.height < h || g.width > 2*w+1 && g.width < p.Width {
			t.Errorf("%d x %d was scaled to %d x %d for %d x %d", p.Width, p.Height, g.width, g.height, w, h)
		}
	}
}

// C's memory is none of Go's business: it is seen in the size of the process alone. A handle that is not ended takes some
// hundred kilobytes with what it holds of a progressive picture.
func TestLibjpegTurboLeaksNothing(t *testing.T) {
	file, info := testdata(t, "progressive")
	broken := append(append([]byte{}, file[:len(file)-60]...), 0xff, 0xd9)
	once := func() {
		p := turbo{}.scaled(file, info, 61, 43)
		if p == nil {
			t.Fatal("it does not decode")
		}
		if _, err := (turbo{}).encode(p.resize(61, 43), 85); err != nil {
			t.Fatal(err)
		}
		if (turbo{}).scaled(broken, info, 61, 43) != nil {
			t.Fatal("a broken file decodes")
		}
	}
	for range 200 {
		once()
	}
	before := resident(t)
	for range 2000 {
		once()
	}
	if grown := resident(t) - before; grown > 32<<20 {
		t.Errorf("the process grew by %d bytes", grown)
	}
}

// resident is the memory of this process, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, ok := 0, false
	for i, field := range strings.Fields(string(b)) {
		if i == 1 {
			for _, c := range field {
				pages = pages*10 + int(c-'0')
			}
			ok = pages > 0 && pages < math.MaxInt32
		}
	}
	if !ok {
		t.Skipf("cannot read %q", b)
	}
	return pages * os.Getpagesize()
}
