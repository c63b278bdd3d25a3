// Package jpegfile reads what the markers of a JPEG file say, before anything is decoded: that it is one, that it is whole,
// of a kind that every decoder of this server takes, and of a size that is worth decoding. It finds the EXIF segment.
//
// It imports nothing of this project: the server's and the detector's decoding are bounded with it. The format is ITU-T T.81 (sections B.1 and B.2), and Exif 2.3 (4.5.4) for
// the APP1 segment.
package jpegfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits. A file beyond them is refused.
const (
	MaxPixels = 50_000_000
	// MaxScans bounds the time that a progressive picture takes: every scan visits every block, however few bytes it has.
	// Encoders make about ten.
	MaxScans = 64
	// maxSegments bounds the walk over files that are nothing but headers. A picture has about ten.
	maxSegments = 1000
)

// Info is what the markers say.
type Info struct {
	Width, Height int  // pixels
	Components    int  // 1: grey, 3: colour
	Progressive   bool // every coefficient must be held in memory until the last scan
	Copied        bool // image/jpeg copies the whole at the end, as it does where the components are not luma and chroma
	Scans         int
	EXIF          []byte // the TIFF structure of the first Exif segment, inside the file's bytes; nil where there is none
}

// Bytes is the most that a decoder holds of the picture at a time: its samples, with the colours at full resolution, and beside them
// of a progressive one the coefficients, of four bytes, and the copy of one that is copied, of four bytes a pixel.
func (i Info) Bytes() int64 {
	pixels := int64(i.Width) * int64(i.Height)
	n := pixels * int64(i.Components)
	if i.Progressive {
		n *= 5
	}
	if i.Copied {
		n += 4 * pixels
	}
	return n
}

// Markers, by their second byte (T.81, table B.1).
const (
	sof0  = 0xc0
	sof1  = 0xc1
	sof2  = 0xc2
	dht   = 0xc4
	rst0  = 0xd0
	rst7  = 0xd7
	soi   = 0xd8
	eoi   = 0xd9
	sos   = 0xda
	dqt   = 0xdb
	dri   = 0xdd
	app0  = 0xe0
	app1  = 0xe1
	app14 = 0xee
	app15 = 0xef
	com   = 0xfe
)

var exifHeader = []byte("Exif\x00\x00")

// Check walks over the markers from the first to the last. The error is for whoever made the file: it is not a whole
// JPEG with Huffman coding, 8 bits a sample, one or three components and at most [MaxPixels]. It does not look at the
// coded data itself: only decoding shows whether that is sound. What follows the end marker is not looked at either, as
// no decoder does.
func Check(file []byte) (Info, error) { return CheckWithin(file, MaxPixels) }

// CheckWithin is [Check] with another limit on the pixels, for files that are not decoded here.
func CheckWithin(file []byte, maxPixels int) (Info, error) {
	if err := checkKind(file); err != nil {
		return Info{}, err
	}
	w := walker{file: file, at: 2, maxPixels: maxPixels}
	for range maxSegments {
		marker, err := w.marker()
		if err != nil {
			return Info{}, err
		}
		switch {
		case marker == eoi:
			w.info.Copied = w.info.Components == 3 && (w.rgb || string(w.ids[:]) == "RGB")
			return w.info, w.finish()
		case marker == sof0, marker == sof1, marker == sof2:
			err = w.frame(marker)
		case marker == sos:
			err = w.scan()
		case marker == app1:
			err = w.app1()
		case marker == app14:
			err = w.app14()
		case marker == dht, marker == dqt:
			w.tables[marker&1] = true
			_, err = w.segment()
		case marker == dri, marker == com, app0 <= marker && marker <= app15:
			_, err = w.segment()
		default:
			err = unsupported(marker)
		}
		if err != nil {
			return Info{}, err
		}
	}
	return Info{}, invalid("the JPEG has more than %d segments", maxSegments)
}

func checkKind(file []byte) error {
	const start = "\xff\xd8"
	switch {
	case len(file) == 0:
		return invalid("the file is empty")
	case bytes.HasPrefix(file, []byte(start)):
		return nil
	case bytes.HasPrefix(file, []byte("\x89PNG")):
		return invalid("the file is a PNG, not a JPEG")
	}
	return invalid("the file is not a JPEG: it begins with %q, not with %q", file[:min(len(file), 8)], start)
}

func unsupported(marker byte) error {
	switch {
	case marker == 0xc3, 0xc5 <= marker && marker <= 0xc7:
		return invalid("the JPEG is lossless or hierarchical; only baseline and progressive ones are taken")
	case 0xc9 <= marker && marker <= 0xcf:
		return invalid("the JPEG has arithmetic coding; only Huffman coding is taken")
	case marker == soi:
		return invalid("the JPEG is damaged: it begins a second time")
	case rst0 <= marker && marker <= rst7:
		return invalid("the JPEG is damaged: a restart marker stands where a segment should begin")
	}
	return invalid("the JPEG is damaged or of an unknown kind: there is a marker %#x in it", marker)
}

func invalid(format string, args ...any) error { return fmt.Errorf(format, args...) }

var errCut = errors.New("the JPEG is cut short")

type walker struct {
	file      []byte
	at        int // <= len(file)
	maxPixels int
	info      Info
	ids       [3]byte // of the components
	rgb       bool    // Adobe's segment says so of them
	scanned   [3]bool
	tables    [2]bool // whether there were Huffman tables (dht is even) and quantisation tables (dqt is odd)
}

// marker reads the next marker and any fill bytes before it.
func (w *walker) marker() (byte, error) {
	if w.at >= len(w.file) {
		return 0, errCut
	}
	if w.file[w.at] != 0xff {
		return 0, invalid("the JPEG is damaged: no marker where the next segment should begin")
	}
	for ; w.at < len(w.file); w.at++ {
		if b := w.file[w.at]; b != 0xff {
			w.at++
			return b, nil
		}
	}
	return 0, errCut
}

// segment gives the payload of the segment whose marker was just read.
func (w *walker) segment() ([]byte, error) {
	rest := w.file[w.at:]
	if len(rest) < 2 {
		return nil, errCut
	}
	n := int(binary.BigEndian.Uint16(rest))
	switch {
	case n < 2:
		return nil, invalid("the JPEG is damaged: a segment of impossible length")
	case n > len(rest):
		return nil, errCut
	}
	w.at += n
	return rest[2:n], nil
}

func (w *walker) app1() error {
	p, err := w.segment()
	if err == nil && w.info.EXIF == nil {
		if tiff, ok := bytes.CutPrefix(p, exifHeader); ok {
			w.info.EXIF = tiff
		}
	}
	return err
}

// app14 takes note of Adobe's segment where it says that the components are red, green and blue.
func (w *walker) app14() error {
	p, err := w.segment()
	if len(p) >= 12 && bytes.HasPrefix(p, []byte("Adobe")) && p[11] == 0 {
		w.rgb = true
	}
	return err
}

// frame reads the frame header (T.81, B.2.2).
func (w *walker) frame(marker byte) error {
	p, err := w.segment()
	if err != nil {
		return err
	}
	if w.info.Components != 0 {
		return invalid("the JPEG is damaged: it has two frame headers")
	}
	if len(p) < 6 || len(p) != 6+3*int(p[5]) {
		return invalid("the JPEG is damaged: a frame header of the wrong length")
	}
	height, width, n := int(binary.BigEndian.Uint16(p[1:])), int(binary.BigEndian.Uint16(p[3:])), int(p[5])
	switch {
	case p[0] != 8:
		return invalid("the JPEG has %d bits a sample; only 8 are taken", p[0])
	case n != 1 && n != 3:
		return invalid("the JPEG has %d components; only 1 (grey) and 3 (colour) are taken", n)
	case width == 0 || height == 0:
		return invalid("the JPEG's header says %d x %d pixels", width, height)
	case int64(width)*int64(height) > int64(w.maxPixels): // more than an int of 32 bits holds
		return invalid("the JPEG has %d x %d pixels; at most %d megapixels are taken", width, height, w.maxPixels/1_000_000)
	}
	w.info.Width, w.info.Height, w.info.Components, w.info.Progressive = width, height, n, marker == sof2
	for i := range n {
		c := p[6+3*i:]
		w.ids[i] = c[0]
		if bytes.IndexByte(w.ids[:i], c[0]) >= 0 {
			return invalid("the JPEG is damaged: two components with one name")
		}
	}
	if n == 1 {
		return checkSampling(p[7], p[7], p[7])
	}
	return checkSampling(p[7], p[10], p[13])
}

// checkSampling takes the sampling factors (horizontal in the upper half, vertical in the lower) that all decoders here
// know: luma whole, both chroma components alike and at 1, 1/2 or 1/4 of it across and 1 or 1/2 down.
func checkSampling(y, cb, cr byte) error {
	yh, yv, ch, cv := y>>4, y&15, cb>>4, cb&15
	known := func(f byte) bool { return f == 1 || f == 2 || f == 4 }
	if !known(yh) || !known(yv) || !known(ch) || !known(cv) || yv == 4 || cb != cr || yh%ch != 0 || yv%cv != 0 {
		return invalid("the JPEG has sampling factors %#x, %#x, %#x, which are not taken", y, cb, cr)
	}
	return nil
}

// scan reads a scan's header (T.81, B.2.3) and goes to the marker behind its coded data.
func (w *walker) scan() error {
	p, err := w.segment()
	if err != nil {
		return err
	}
	n := w.info.Components
	switch {
	case n == 0:
		return invalid("the JPEG is damaged: a scan before the frame header")
	case w.tables != [2]bool{true, true}: // for which decoders put in different ones of their own
		return invalid("the JPEG is damaged: a scan before the Huffman and quantisation tables")
	}
	if w.info.Scans++; w.info.Scans > MaxScans {
		return invalid("the JPEG has more than %d scans", MaxScans)
	}
	if len(p) < 1 || len(p) != 4+2*int(p[0]) || p[0] < 1 || int(p[0]) > n {
		return invalid("the JPEG is damaged: a scan header of the wrong length")
	}
	for i := range int(p[0]) {
		c := bytes.IndexByte(w.ids[:n], p[1+2*i])
		if c < 0 {
			return invalid("the JPEG is damaged: a scan of a component that is not there")
		}
		if w.scanned[c] && !w.info.Progressive {
			return invalid("the JPEG is damaged: a component is there twice")
		}
		w.scanned[c] = true
	}
	for {
		i := bytes.IndexByte(w.file[w.at:], 0xff)
		if i < 0 || w.at+i+1 >= len(w.file) {
			w.at = len(w.file)
			return errCut
		}
		w.at += i
		switch b := w.file[w.at+1]; {
		case b == 0, rst0 <= b && b <= rst7:
			w.at += 2
		case b == 0xff: // a fill byte, before what is either of these or a marker
			w.at++
		default:
			return nil
		}
	}
}

func (w *walker) finish() error {
	if w.info.Components == 0 {
		return invalid("the JPEG holds no picture")
	}
	for i := range w.info.Components {
		if !w.scanned[i] {
			return invalid("the JPEG is cut short: it lacks some of its components")
		}
	}
	return nil
}
