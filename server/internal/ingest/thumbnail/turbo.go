//go:build cgo && turbojpeg

package thumbnail

/*
#cgo pkg-config: libturbojpeg
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#if defined(__has_include)
#if __has_include(<jconfig.h>)
#include <jconfig.h>
#endif
#endif

#define SPI_STRING_(x) #x
#define SPI_STRING(x) SPI_STRING_(x)
#ifdef LIBJPEG_TURBO_VERSION
#define SPI_VERSION SPI_STRING(LIBJPEG_TURBO_VERSION)
#else
#define SPI_VERSION ""
#endif
#ifdef WITH_SIMD
#define SPI_SIMD 1
#else
#define SPI_SIMD 0
#endif

// Each function makes its own handle and ends it on every path, so that nothing of C's memory outlives a call and no
// pointer to Go's memory is kept.

static int spi_header(const unsigned char *jpeg, unsigned long size, int *width, int *height, int *subsamp, int *colorspace) {
	tjhandle h = tjInitDecompress();
	if (h == NULL) return -1;
	int rc = tjDecompressHeader3(h, jpeg, size, width, height, subsamp, colorspace);
	tjDestroy(h);
	return rc;
}

static int spi_decode(const unsigned char *jpeg, unsigned long size, unsigned char *y, unsigned char *cb, unsigned char *cr,
		int width, int height, int ystride, int cstride) {
	tjhandle h = tjInitDecompress();
	if (h == NULL) return -1;
	unsigned char *planes[3] = { y, cb, cr };
	int strides[3] = { ystride, cstride, cstride };
	int rc = tjDecompressToYUVPlanes(h, jpeg, size, planes, width, strides, height, TJFLAG_STOPONWARNING);
	tjDestroy(h);
	return rc;
}

// spi_encode writes into out, of *size bytes, which must be what tjBufSize asks for.
static int spi_encode(const unsigned char *y, const unsigned char *cb, const unsigned char *cr, int width, int height,
		int ystride, int cstride, int subsamp, int quality, unsigned char *out, unsigned long *size, char *message, size_t room) {
	tjhandle h = tjInitCompress();
	if (h == NULL) return -1;
	const unsigned char *planes[3] = { y, cb, cr };
	int strides[3] = { ystride, cstride, cstride };
	int rc = tjCompressFromYUVPlanes(h, planes, width, strides, height, subsamp, &out, size, quality,
		TJFLAG_NOREALLOC | TJFLAG_ACCURATEDCT);
	if (rc != 0) {
		strncpy(message, tjGetErrorStr2(h), room - 1);
		message[room - 1] = 0;
	}
	tjDestroy(h);
	return rc;
}
*/
import "C"

import (
	"bytes"
	"errors"
	"unsafe"

	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
)

var best engine = turbo{}

// turbo is the engine of libjpeg-turbo, through the TurboJPEG API of 2.x, which 3.x has too.
type turbo struct{}

func (turbo) name() string {
	name := "libjpeg-turbo"
	if C.SPI_VERSION != "" {
		name += " " + C.SPI_VERSION
	}
	if C.SPI_SIMD == 1 {
		name += " (SIMD)"
	}
	return name
}

// decode lets libjpeg-turbo scale while it decodes, which skips most of the work behind the Huffman decoder. Where it has
// anything to say about the file, be it a warning, Go's decoder says what to make of it: what this engine refuses the other
// refuses too, for the same reason. That also takes care of the rare kinds of JPEG that have no planes here. It does not hold
// the other way round: damage that happens to be made of valid codes is seen by the one, the other or neither.
func (t turbo) decode(file []byte, info jpegfile.Info, width, height int) (*picture, error) {
	if p := t.scaled(file, info, width, height); p != nil {
		return p, nil
	}
	return pure{}.decode(file, info, width, height)
}

// scaled gives nil where libjpeg-turbo complains.
func (turbo) scaled(file []byte, info jpegfile.Info, width, height int) *picture {
	var w, h, subsamp, colorspace C.int
	jpeg, size := (*C.uchar)(unsafe.SliceData(file)), C.ulong(len(file))
	if C.spi_header(jpeg, size, &w, &h, &subsamp, &colorspace) != 0 {
		return nil
	}
	if int(w) != info.Width || int(h) != info.Height || colorspace != C.TJCS_YCbCr && colorspace != C.TJCS_GRAY {
		return nil
	}
	// The halves, quarters and eighths are those that have fast code.
	denominator := 8
	for denominator > 1 && (ceilDiv(info.Width, denominator) < width || ceilDiv(info.Height, denominator) < height) {
		denominator /= 2
	}
	w, h = C.int(ceilDiv(info.Width, denominator)), C.int(ceilDiv(info.Height, denominator))

	p := &picture{planes: make([]plane, info.Components)}
	var at [3]*C.uchar
	for i := range p.planes {
		// The size in memory is padded; what the plane shows is not.
		pw, ph := int(C.tjPlaneWidth(C.int(i), w, subsamp)), int(C.tjPlaneHeight(C.int(i), h, subsamp))
		if pw <= 0 || ph <= 0 {
			return nil
		}
		p.planes[i] = plane{make([]byte, pw*ph), pw, pw, ph}
		at[i] = (*C.uchar)(unsafe.SliceData(p.planes[i].pix))
	}
	p.planes[0].width, p.planes[0].height = int(w), int(h)
	cstride := 0
	if len(p.planes) == 3 {
		cstride = p.planes[1].stride
	}
	if C.spi_decode(jpeg, size, at[0], at[1], at[2], w, h, C.int(p.planes[0].stride), C.int(cstride)) != 0 {
		return nil
	}
	return p
}

func (turbo) encode(p *picture, quality int) ([]byte, error) {
	luma := &p.planes[0]
	subsamp, cstride := C.int(C.TJSAMP_GRAY), 0
	var cb, cr *C.uchar
	if len(p.planes) == 3 {
		subsamp, cstride = C.TJSAMP_420, p.planes[1].stride
		cb, cr = (*C.uchar)(unsafe.SliceData(p.planes[1].pix)), (*C.uchar)(unsafe.SliceData(p.planes[2].pix))
	}
	w, h := C.int(luma.width), C.int(luma.height)
	size := C.tjBufSize(w, h, subsamp)
	out := make([]byte, size)
	message := make([]byte, 200)
	if C.spi_encode((*C.uchar)(unsafe.SliceData(luma.pix)), cb, cr, w, h, C.int(luma.stride), C.int(cstride), subsamp,
		C.int(quality), (*C.uchar)(unsafe.SliceData(out)), &size, (*C.char)(unsafe.Pointer(unsafe.SliceData(message))),
		C.size_t(len(message))) != 0 {
		text, _, _ := bytes.Cut(message, []byte{0})
		return nil, errors.New("libjpeg-turbo: " + string(text))
	}
	return bytes.Clone(out[:size]), nil // out is many times as large
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
