// Package spitest makes photographs as Sticky Pi devices write them: JPEGs of a yellow card with EXIF metadata of the first
// or the second generation. Tests of every module use it, and the demonstration of local mode. It may import services/spi.
//
// The same [Photo] gives the same bytes in every build with one version of Go.
package spitest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Generation is that of the device: it says how the metadata is written.
type Generation int

// The generations.
const (
	First  Generation = 1 // 2020: a Python dictionary in the EXIF tag Make
	Second Generation = 2 // 2022: lines of names and values in the EXIF tag UserComment
)

// Photo says what photograph to make. The zero value is a small one of the first generation.
type Photo struct {
	Generation    Generation // First where zero
	Width, Height int        // pixels; 648 x 486 where zero. Devices make 2592 x 1944, of about 2 MB
	Seed          uint64     // another seed, another picture
	Quality       int        // of the JPEG, 1 to 100; 96 where zero, which gives files as large as the devices'
	Grey          bool       // a JPEG with one component
	// Metadata is what the EXIF says, in the fields from DeviceVersion on that the generation knows; nil is an absent value.
	// Where nothing at all is set, it is made up from the seed.
	Metadata spi.Image
}

// Name is the file name of a photograph: DEVICE.YYYY-MM-DD_HH-MM-SS.jpg.
func Name(device string, datetime time.Time) string {
	return device + "." + spi.FormatDatetime(datetime, spi.DateV1) + ".jpg"
}

// JPEG gives the file that a device would send.
func JPEG(p Photo) []byte {
	m := p.Metadata
	if m == (spi.Image{}) {
		m = Metadata(p.Generation, p.Seed)
	}
	exif := EXIF(MakeTag(m), "")
	if p.Generation == Second {
		exif = EXIF("RaspberryPi", UserComment(m))
	}
	return WithEXIF(Picture(p), exif)
}

// Metadata makes up plausible values for a device of that generation.
func Metadata(g Generation, seed uint64) spi.Image {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // made-up weather, no secret
	upTo := func(low, high float64, digits int) *float64 {
		f := low + r.Float64()*(high-low)
		scale := math.Pow10(digits)
		f = math.Round(f*scale) / scale
		return &f
	}
	m := spi.Image{
		Lat: upTo(49.2, 49.3, 5), Lng: upTo(-123.3, -123.2, 5), Alt: upTo(1, 120, 1),
		Temp: upTo(8, 32, 1), Hum: upTo(30, 100, 1),
	}
	if g == Second {
		version := "3.1.0"
		m.DeviceVersion = &version
		m.Lum, m.Bat, m.But = upTo(0, 100, 2), upTo(20, 100, 0), upTo(0, 1, 0)
		return m
	}
	m.NoFlashExposureTime, m.NoFlashISO = upTo(0.005, 0.125, 6), upTo(100, 400, 0)
	m.NoFlashBV, m.NoFlashShutterSpeed = upTo(0, 3, 2), upTo(3, 7, 6)
	return m
}

// MakeTag gives the text of the EXIF tag Make as the first generation writes it.
func MakeTag(m spi.Image) string {
	zero := 0.0
	lng, lat, alt := m.Lng, m.Lat, m.Alt
	if lng == nil && lat == nil && alt == nil {
		lng, lat, alt = &zero, &zero, &zero // no GPS fix
	}
	var b strings.Builder
	add := func(key, value string) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "'%s': %s", key, value)
	}
	number := func(key string, v *float64) {
		if v != nil {
			add(key, pythonFloat(*v))
		}
	}
	pair := func(key string, v *float64, denominator int) {
		if v != nil {
			add(key, fmt.Sprintf("(%.0f, %d)", *v*float64(denominator), denominator))
		}
	}
	if m.DeviceVersion != nil {
		add("device_version", "'"+*m.DeviceVersion+"'")
	}
	number("lng", lng)
	number("lat", lat)
	number("alt", alt)
	add("datetime", "'2020-06-20 06:38:36'")
	pair("no_flash_exposure_time", m.NoFlashExposureTime, 1_000_000)
	if m.NoFlashISO != nil {
		add("no_flash_iso", strconv.FormatFloat(*m.NoFlashISO, 'f', -1, 64))
	}
	pair("no_flash_bv", m.NoFlashBV, 100)
	pair("no_flash_shutter_speed", m.NoFlashShutterSpeed, 1_000_000)
	number("temp", m.Temp)
	number("hum", m.Hum)
	number("lum", m.Lum)
	number("bat", m.Bat)
	number("but", m.But)
	return "{" + b.String() + "}"
}

// pythonFloat writes a float as Python's repr does, for the sizes that occur here.
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// UserComment gives the text of the EXIF tag UserComment as the second generation writes it.
func UserComment(m spi.Image) string {
	text := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'f', -1, 64)
	}
	version := ""
	if m.DeviceVersion != nil {
		version = *m.DeviceVersion
	}
	return "v,T,H,B,L,lat,lng,a,l,b\n" + strings.Join([]string{
		version, text(m.Temp), text(m.Hum), text(m.Bat), text(m.Lum), text(m.Lat), text(m.Lng), text(m.Alt),
		"1652813182", text(m.But),
	}, ",")
}

// EXIF gives a TIFF structure with the two tags; an empty UserComment is left out, and in its place there is a MakerNote
// with a text that has nothing to do with anything, as in the pictures of the first generation.
func EXIF(maker, userComment string) []byte {
	const (
		tagMake, tagExifIFD, tagMakerNote, tagUserComment = 0x010f, 0x8769, 0x927c, 0x9286
		ascii, long, undefined                            = 2, 4, 7
		header, directory, entry                          = 8, 6, 12 // bytes: of the header, of a directory without entries, of one
	)
	tag, value := uint16(tagUserComment), "ASCII\x00\x00\x00"+userComment
	if userComment == "" {
		tag, value = tagMakerNote, "ev=-1 mlux=-1 exp=9985 ag=256 focus=255 gain_r=1.000 gain_b=1.000"
	}
	maker += "\x00"
	order := binary.BigEndian
	const exifAt = header + directory + 2*entry
	data := exifAt + directory + entry // where the values go that do not fit their entries
	var values []byte
	add := func(b []byte, tag, typ uint16, value string) []byte {
		b = order.AppendUint16(b, tag)
		b = order.AppendUint16(b, typ)
		b = order.AppendUint32(b, uint32(len(value)))
		if len(value) <= 4 {
			return append(b, (value + "\x00\x00\x00\x00")[:4]...)
		}
		b = order.AppendUint32(b, uint32(data+len(values)))
		values = append(values, value...)
		return b
	}
	b := []byte("MM\x00\x2a\x00\x00\x00\x08")
	b = order.AppendUint16(b, 2)
	b = add(b, tagMake, ascii, maker)
	b = order.AppendUint16(b, tagExifIFD)
	b = order.AppendUint16(b, long)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint32(b, exifAt)
	b = order.AppendUint32(b, 0) // no further directory
	b = order.AppendUint16(b, 1)
	b = add(b, tag, undefined, value)
	b = order.AppendUint32(b, 0)
	return append(b, values...)
}

// WithEXIF puts an Exif segment with the TIFF structure at the start of a JPEG. It panics where that is too long for one.
func WithEXIF(file, exif []byte) []byte {
	n := 2 + 6 + len(exif)
	if n > math.MaxUint16 {
		panic("spitest.WithEXIF: too long for a segment")
	}
	out := make([]byte, 0, len(file)+n+2)
	out = append(out, file[:2]...)
	out = append(out, 0xff, 0xe1, byte(n>>8), byte(n))
	out = append(out, "Exif\x00\x00"...)
	out = append(out, exif...)
	return append(out, file[2:]...)
}

// Progressive gives a grey progressive JPEG in three components of full resolution: of all kinds the one that takes most memory to
// decode, and few bytes.
func Progressive(width, height int) []byte {
	segment := func(marker byte, payload ...byte) []byte {
		n := len(payload) + 2
		return append([]byte{0xff, marker, byte(n >> 8), byte(n)}, payload...)
	}
	quantisation := append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)
	// one code, 0, which says that a block is as bright as the one before
	huffman := append([]byte{0x00, 1}, make([]byte, 15+1)...)
	blocks := 3 * ((width + 7) / 8) * ((height + 7) / 8)
	return slices.Concat([]byte{0xff, 0xd8},
		segment(0xdb, quantisation...), segment(0xc4, huffman...),
		segment(0xc2, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0),
		segment(0xda, 3, 1, 0, 2, 0, 3, 0, 0, 0, 0),
		make([]byte, (blocks+7)/8), []byte{0xff, 0xd9})
}

// Picture gives the JPEG without EXIF: a yellow card, unevenly lit, with the noise of a small sensor and some dark specks.
func Picture(p Photo) []byte {
	if p.Width == 0 || p.Height == 0 {
		p.Width, p.Height = 648, 486
	}
	if p.Quality == 0 {
		p.Quality = 96
	}
	var b bytes.Buffer
	var m image.Image = card(p)
	if p.Grey {
		c := card(p)
		m = &image.Gray{Pix: c.Y, Stride: c.YStride, Rect: c.Rect}
	}
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: p.Quality}); err != nil {
		panic(err) // a buffer takes everything, and the size is for the caller to get right
	}
	return b.Bytes()
}

func card(p Photo) *image.YCbCr {
	r := rand.New(rand.NewPCG(p.Seed, 2)) //nolint:gosec // noise, no secret
	m := image.NewYCbCr(image.Rect(0, 0, p.Width, p.Height), image.YCbCrSubsampleRatio420)
	fill := func(pix []byte, stride int, middle, light float64, noise uint64) {
		rows := len(pix) / stride
		for y := range rows {
			row := pix[y*stride:][:stride]
			dy := (float64(y) - float64(rows)/2) / float64(rows)
			var bits uint64
			for x := range row {
				if x%8 == 0 {
					bits = r.Uint64()
				}
				dx := (float64(x) - float64(stride)/2) / float64(stride)
				// The sum of two draws is nearer to a sensor's noise than one.
				n := (bits&15)*noise/15 + (bits>>4&15)*noise/15
				bits >>= 8
				row[x] = byte(middle - light*(dx*dx+dy*dy) + float64(n) - float64(noise))
			}
		}
	}
	fill(m.Y, m.YStride, 175, 70, 11)
	fill(m.Cb, m.CStride, 58, -20, 1)
	fill(m.Cr, m.CStride, 118, 4, 1)
	small := max(1, min(p.Width, p.Height)/60)
	for range 12 {
		cx, cy, radius := r.IntN(p.Width), r.IntN(p.Height), 1+r.IntN(small)
		for y := max(0, cy-radius); y < min(p.Height, cy+radius); y++ {
			for x := max(0, cx-radius); x < min(p.Width, cx+radius); x++ {
				if dx, dy := x-cx, y-cy; dx*dx+dy*dy < radius*radius {
					m.Y[m.YOffset(x, y)] = byte(25 + r.IntN(20))
					m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = 122, 130
				}
			}
		}
	}
	return m
}
