package upload

import (
	"bytes"
	"crypto/md5"
	"image/jpeg"
	"slices"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

// scan gives the verdict on a file that comes in pieces of some size.
func scan(file []byte, piece int) Code {
	s := &jpegScan{}
	for part := range slices.Chunk(file, piece) {
		_, _ = s.Write(part) // it never fails
	}
	code, _ := s.verdict()
	return code
}

func TestOnlyWholePicturesPass(t *testing.T) {
	whole := spitest.JPEG(spitest.Photo{Generation: 2, Width: 64, Height: 48})
	for _, piece := range []int{1, 2, 3, 1000, len(whole) + 10} {
		for n := range whole {
			want := CodeTruncated
			if n == 0 {
				want = CodeEmpty
			}
			if got := scan(whole[:n], piece); got != want {
				t.Fatalf("the first %d of %d bytes, %d at a time: %q, want %q", n, len(whole), piece, got, want)
			}
		}
		for what, file := range map[string][]byte{
			"whole": whole, "with zeros behind it": append(slices.Clone(whole), make([]byte, 5000)...),
			"with fill bytes":      bytes.Replace(whole, []byte{0xff, 0xda}, []byte{0xff, 0xff, 0xff, 0xda}, 1),
			"damaged, not our job": append(slices.Clone(whole[:2]), 1, 2, 3),
		} {
			if got := scan(file, piece); got != "" {
				t.Errorf("%s, %d bytes at a time: %q", what, piece, got)
			}
		}
	}
	for what, file := range map[string][]byte{"a text": []byte("hello"), "a PNG": []byte("\x89PNG\r\n"), "zeros": make([]byte, 100)} {
		if got := scan(file, 7); got != CodeNotJPEG {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// FuzzJPEGScan: what a decoder takes is never held back here, and the pieces do not matter.
func FuzzJPEGScan(f *testing.F) {
	whole := spitest.JPEG(spitest.Photo{Width: 16, Height: 16})
	f.Add(whole, 3)
	f.Add(whole[:len(whole)-1], 1)
	f.Add(append(slices.Clone(whole), whole...), 100)
	f.Fuzz(func(t *testing.T, file []byte, piece int) {
		piece = 1 + max(piece, -piece-1)%4096
		got := scan(file, piece)
		if other := scan(file, len(file)+1); got != other {
			t.Errorf("%q in pieces of %d bytes, %q in one", got, piece, other)
		}
		if len(file) > 1<<16 || got == "" {
			return
		}
		if c, err := jpeg.DecodeConfig(bytes.NewReader(file)); err != nil || c.Width*c.Height > 1<<16 {
			return
		}
		if _, err := jpeg.Decode(bytes.NewReader(file)); err == nil {
			t.Errorf("%q of a picture that can be decoded", got)
		}
	})
}

// BenchmarkJPEGScan is what the scan costs beside the md5 of the same read.
func BenchmarkJPEGScan(b *testing.B) {
	file := spitest.JPEG(spitest.Photo{Width: 2592, Height: 1944})
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			if code := scan(file, 32<<10); code != "" {
				b.Fatal(code)
			}
		}
	})
	b.Run("md5", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			if sum := md5.Sum(file); sum == [16]byte{} {
				b.Fatal(sum)
			}
		}
	})
}
