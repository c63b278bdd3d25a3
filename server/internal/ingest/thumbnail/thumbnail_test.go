package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func check(t testing.TB, file []byte) jpegfile.Info {
	t.Helper()
	info, err := jpegfile.Check(file)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// jpegs has a picture of each kind.
const jpegs = "../../../../services/kit/jpegfile/testdata"

func testdata(t testing.TB, name string) ([]byte, jpegfile.Info) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(jpegs, name+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return file, check(t, file)
}

func decode(t testing.TB, file []byte) image.Image {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// eachEngine runs the test on every engine that is built in.
func eachEngine(t *testing.T, test func(t *testing.T, m *Maker)) {
	t.Helper()
	for _, e := range engines() {
		t.Run(e.name(), func(t *testing.T) { test(t, newMaker(e)) })
	}
}

func TestThumbnailsFitTheirBoxesAndKeepTheAspect(t *testing.T) {
	type size struct{ w, h int }
	for _, test := range []struct{ photo, thumbnail, mini size }{
		{size{2592, 1944}, size{512, 384}, size{128, 96}},
		{size{972, 1296}, size{288, 384}, size{72, 96}},
		{size{513, 385}, size{512, 384}, size{128, 96}},
		{size{512, 384}, size{512, 384}, size{128, 96}},
		{size{511, 383}, size{511, 383}, size{128, 96}},
		{size{1280, 720}, size{512, 288}, size{128, 72}},
		{size{1000, 10}, size{512, 5}, size{128, 1}},
		{size{10, 1000}, size{4, 384}, size{1, 96}},
		{size{3000, 1}, size{512, 1}, size{128, 1}},
		{size{1, 3000}, size{1, 384}, size{1, 96}},
		{size{101, 51}, size{101, 51}, size{101, 51}},
		{size{8, 8}, size{8, 8}, size{8, 8}},
		{size{1, 1}, size{1, 1}, size{1, 1}},
		{size{2, 1}, size{2, 1}, size{2, 1}},
		{size{1025, 769}, size{512, 384}, size{128, 96}},
	} {
		for _, grey := range []bool{false, true} {
			if grey && test.photo.w > 2000 && test.photo.h > 1000 {
				continue // it takes long, and shows nothing that the smaller ones do not
			}
			file := spitest.JPEG(spitest.Photo{Width: test.photo.w, Height: test.photo.h, Grey: grey})
			info := check(t, file)
			eachEngine(t, func(t *testing.T, m *Maker) {
				pair, err := m.Make(t.Context(), file, info)
				if err != nil {
					t.Fatalf("%v: %v", test.photo, err)
				}
				for _, picture := range []struct {
					file []byte
					want size
				}{{pair.Thumbnail, test.thumbnail}, {pair.Mini, test.mini}} {
					small := check(t, picture.file)
					if got := (size{small.Width, small.Height}); got != picture.want {
						t.Errorf("%v: became %v, not %v", test.photo, got, picture.want)
					}
					if (small.Components == 1) != grey {
						t.Errorf("%v: %d components", test.photo, small.Components)
					}
					decode(t, picture.file)
				}
			})
		}
	}
}

func TestThumbnailsLookLikeThePicture(t *testing.T) {
	photo := spitest.JPEG(spitest.Photo{Width: 1296, Height: 972, Seed: 5})
	files := map[string][]byte{"photo": photo, "portrait": spitest.JPEG(spitest.Photo{Width: 555, Height: 1110, Seed: 6}), "grey photo": spitest.JPEG(spitest.Photo{Width: 701, Height: 577, Grey: true})}
	for _, name := range []string{
		"baseline410", "baseline411", "baseline420", "baseline422", "baseline440", "baseline444", "rgb", "restart", "three-scans", "progressive",
		"grey", "grey-2x2", "progressive-grey",
	} {
		files[name], _ = testdata(t, name)
	}
	for name, file := range files {
		info := check(t, file)
		whole := decode(t, file)
		eachEngine(t, func(t *testing.T, m *Maker) {
			pair, err := m.Make(t.Context(), file, info)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, small := range [][]byte{pair.Thumbnail, pair.Mini} {
				if d := difference(whole, decode(t, small)); d > 4 {
					t.Errorf("%s: at %d bytes the colours are off by %.1f of 255", name, len(small), d)
				}
			}
		})
	}
}

// difference is the mean difference of the colours in a grid of 8 x 6 fields of two pictures.
func difference(a, b image.Image) float64 {
	const across, down = 8, 6
	sum := 0.0
	for y := range down {
		for x := range across {
			ma, mb := mean(a, x, y, across, down), mean(b, x, y, across, down)
			for i := range ma {
				sum += max(ma[i]-mb[i], mb[i]-ma[i])
			}
		}
	}
	return sum / (3 * across * down)
}

func mean(m image.Image, x, y, across, down int) (rgb [3]float64) {
	b := m.Bounds()
	x0, x1 := b.Dx()*x/across, b.Dx()*(x+1)/across
	y0, y1 := b.Dy()*y/down, b.Dy()*(y+1)/down
	n := 0.0
	for py := y0; py < y1; py++ {
		for px := x0; px < x1; px++ {
			c := color.RGBAModel.Convert(m.At(b.Min.X+px, b.Min.Y+py)).(color.RGBA)
			for i, v := range []uint8{c.R, c.G, c.B} {
				rgb[i] += float64(v)
			}
			n++
		}
	}
	for i := range rgb {
		rgb[i] /= max(n, 1)
	}
	return rgb
}

// coded gives where the coded data of the first scan begins and where the file's end marker is.
func coded(file []byte) (start, end int) {
	i := bytes.Index(file, []byte{0xff, 0xda})
	return i + 2 + int(file[i+2])<<8 + int(file[i+3]), len(file) - 2
}

func TestDamagedFilesAreRefused(t *testing.T) {
	photo := spitest.JPEG(spitest.Photo{Width: 1296, Height: 972, Seed: 7})
	small := spitest.JPEG(spitest.Photo{Width: 640, Height: 480})
	grey := spitest.JPEG(spitest.Photo{Width: 640, Height: 480, Grey: true})
	progressive, _ := testdata(t, "progressive")
	restart, _ := testdata(t, "restart")
	// No code consists of ones alone, and 0xff stands for itself with a zero behind it.
	ones := func(file []byte, at, n int) []byte {
		return slices.Concat(file[:at], bytes.Repeat([]byte{0xff, 0}, n), file[at+2*n:])
	}
	cut := func(file []byte, at int) []byte { return append(bytes.Clone(file[:at]), 0xff, 0xd9) }
	middle := func(file []byte) int {
		start, end := coded(file)
		return start + (end-start)/2
	}
	// at is a place where the bytes before and behind it do not become a marker by the cut
	at := func(file []byte, i int) int {
		for file[i-1] == 0xff || file[i] == 0xff {
			i++
		}
		return i
	}
	for name, file := range map[string][]byte{
		"cut in the middle, with an end": cut(small, at(small, middle(small))),
		"cut near the end":               cut(photo, at(photo, len(photo)-200)),
		"cut at the start":               cut(small, at(small, 10+first(coded(small)))),
		"grey and cut":                   cut(grey, at(grey, middle(grey))),
		"progressive and cut":            cut(progressive, at(progressive, len(progressive)-30)),
		"wrong codes in the middle":      ones(small, at(small, middle(small)), 20),
		"wrong codes in a large one":     ones(photo, at(photo, middle(photo)), 20),
		"wrong codes at the start":       ones(grey, at(grey, 4+first(coded(grey))), 20),
		"wrong restart markers":          bytes.ReplaceAll(restart, []byte{0xff, 0xd1}, []byte{0xff, 0xd5}),
	} {
		info := check(t, file)
		eachEngine(t, func(t *testing.T, m *Maker) {
			_, err := m.Make(t.Context(), file, info)
			if err == nil {
				t.Fatalf("%s: taken", name)
			}
			if spi.CodeOf(err) != spi.CodeInvalid || !strings.Contains(err.Error(), "damaged or cut short") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func first(a, _ int) int { return a }

func TestBytesTooManyAreHarmless(t *testing.T) {
	file := spitest.JPEG(spitest.Photo{Width: 640, Height: 480})
	for name, file := range map[string][]byte{
		"before the end marker": slices.Concat(file[:len(file)-2], []byte("abc"), file[len(file)-2:]),
		"behind the end marker": slices.Concat(file, []byte("abc")),
	} {
		info := check(t, file)
		eachEngine(t, func(t *testing.T, m *Maker) {
			if _, err := m.Make(t.Context(), file, info); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestWhatAwaitsItsTurnObeysItsContext(t *testing.T) {
	file := spitest.JPEG(spitest.Photo{Width: 8, Height: 8})
	info := check(t, file)
	m := newMaker(engines()[0])
	if err := m.memory.Acquire(t.Context(), maxMemory); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Make(ctx, file, info)
	if err == nil || spi.CodeOf(err) != spi.CodeUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("while others take all memory: %v", err)
	}
	m.memory.Release(maxMemory)
	if _, err := m.Make(t.Context(), file, info); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// counting is an engine that tells how many pictures and pixels are being decoded at a time.
type counting struct {
	engine
	mu               sync.Mutex
	now, most        int
	pixels, mostPixs int64
}

func (c *counting) decode(file []byte, info jpegfile.Info, w, h int) (*picture, error) {
	c.add(1, int64(info.Width)*int64(info.Height))
	defer c.add(-1, -int64(info.Width)*int64(info.Height))
	runtime.Gosched()
	return c.engine.decode(file, jpegfile.Info{Width: 8, Height: 8, Components: info.Components}, w, h)
}

func (c *counting) add(n int, pixels int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.pixels += pixels
	c.most, c.mostPixs = max(c.most, c.now), max(c.mostPixs, c.pixels)
}

func TestDecodingIsBoundedInPicturesAndPixels(t *testing.T) {
	file := spitest.JPEG(spitest.Photo{Width: 8, Height: 8})
	c := &counting{engine: pure{}}
	m := newMaker(c)
	var wg sync.WaitGroup
	for i := range 60 {
		info := jpegfile.Info{Width: 1000 + 100*i, Height: 6000, Components: 3, Progressive: i%3 == 0}
		wg.Go(func() {
			if _, err := m.Make(t.Context(), file, info); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c.most > runtime.GOMAXPROCS(0) || c.mostPixs > jpegfile.MaxPixels {
		t.Errorf("%d pictures and %d pixels at a time", c.most, c.mostPixs)
	}
}

func TestResizeKeepsAnEvenColour(t *testing.T) {
	for _, n := range []struct{ from, to int }{{1, 1}, {1, 2}, {2, 1}, {3, 2}, {2592, 512}, {1944, 384}, {65500, 384}, {100, 99}, {7, 7}, {5, 13}} {
		for _, v := range []byte{0, 1, 127, 254, 255} {
			p := plane{bytes.Repeat([]byte{v}, n.from*3), n.from, n.from, 3}
			got := p.resize(n.to, 2)
			for _, b := range got.pix {
				if b != v {
					t.Fatalf("%d to %d samples: %d became %d", n.from, n.to, v, b)
				}
			}
		}
	}
}

func FuzzMake(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(jpegs, "*.jpg"))
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	makers := make([]*Maker, 0, 2)
	for _, e := range engines() {
		makers = append(makers, newMaker(e))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		info, err := jpegfile.Check(file)
		if err != nil || info.Width*info.Height > 1_000_000 {
			return
		}
		for _, m := range makers {
			pair, err := m.Make(t.Context(), file, info)
			if err != nil {
				if spi.CodeOf(err) != spi.CodeInvalid {
					t.Errorf("%s: %v", m.Name(), err)
				}
				continue
			}
			for _, small := range [][]byte{pair.Thumbnail, pair.Mini} {
				if _, err := jpegfile.Check(small); err != nil {
					t.Errorf("%s: %v", m.Name(), err)
				}
			}
		}
	})
}

func BenchmarkMake(b *testing.B) {
	file := spitest.JPEG(spitest.Photo{Width: 2592, Height: 1944})
	info := check(b, file)
	for _, e := range engines() {
		m := newMaker(e)
		b.Run(e.name(), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Make(b.Context(), file, info); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestACornerIsWhatThePictureHasThere(t *testing.T) {
	// red, green and blue squares of 224 pixels, side by side
	colours := []color.RGBA{{200, 30, 30, 255}, {30, 200, 30, 255}, {30, 30, 200, 255}}
	tiles := image.NewRGBA(image.Rect(0, 0, 3*224, 224))
	for x := range 3 * 224 {
		for y := range 224 {
			tiles.Set(x, y, colours[x/224])
		}
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, tiles, nil); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ side, most, width, height int }{{224, 256, 224, 224}, {224, 100, 100, 100}, {500, 1000, 500, 224}, {1, 1, 1, 1}, {223, 224, 223, 223}} {
		eachEngine(t, func(t *testing.T, m *Maker) {
			got, err := m.Corner(t.Context(), file.Bytes(), check(t, file.Bytes()), test.side, test.most)
			if err != nil {
				t.Fatal(err)
			}
			corner := decode(t, got)
			if b := corner.Bounds(); b.Dx() != test.width || b.Dy() != test.height {
				t.Fatalf("%+v: it is %v", test, b)
			}
			for _, x := range []int{0, test.width / 3, test.width - 1} {
				want := colours[min(2, x*max(1, test.side)/max(test.width, 1)/224)]
				r, g, b, _ := corner.At(x, test.height/2).RGBA()
				for i, pair := range [][2]int{{int(r >> 8), int(want.R)}, {int(g >> 8), int(want.G)}, {int(b >> 8), int(want.B)}} {
					if d := pair[0] - pair[1]; d < -25 || d > 25 {
						t.Errorf("%+v: at %d, colour %d is %d, want about %d", test, x, i, pair[0], pair[1])
					}
				}
			}
		})
	}
	eachEngine(t, func(t *testing.T, m *Maker) {
		if _, err := m.Corner(t.Context(), file.Bytes()[:file.Len()/2], check(t, file.Bytes()), 224, 224); spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("half a file: %v", err)
		}
	})
}
