// Package exifmeta reads an image's metadata from its EXIF, as both generations of devices write it. It may import
// services/spi for the typed error, server/internal/store for the type of the metadata, and ingest/pyliteral.
//
// It reads the TIFF structure itself: of all the tags it needs two, and github.com/bep/imagemeta, which reads them all,
// takes the line feed out of UserComment, between the names and the values.
package exifmeta

import (
	"bytes"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/pyliteral"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// MaxDeviceVersion is the length of the longest device version, in characters.
const MaxDeviceVersion = 8

// Read reads the metadata from the TIFF structure of the Exif segment; nil is a file without one. Width and Height are
// left zero. CodeInvalid where neither generation's metadata is there, or what is there is wrong.
//
// A UserComment with the names of the second generation wins over a Make with the dictionary of the first. Numbers come as
// they are written: the sensors' marks of failure and coordinates out of range too. What is not finite is absent.
func Read(exif []byte) (store.ImageMetadata, error) {
	if exif == nil {
		return store.ImageMetadata{}, notFound("the JPEG has no EXIF")
	}
	t := readTags(exif)
	if names, values, ok := splitComment(t.userComment); ok {
		return readComment(names, values)
	}
	if text := strings.Trim(string(t.make), padding); strings.HasPrefix(text, "{") {
		return readMake(text)
	}
	return store.ImageMetadata{}, notFound("the EXIF holds no metadata of a Sticky Pi")
}

// padding is what may stand around a tag's text.
const padding = "\x00 \t\r\n"

func notFound(what string) error {
	return spi.Errorf(spi.CodeInvalid,
		"%s: looked for a Python dictionary in the tag Make and for lines of names (v,T,H,...) and values in the tag UserComment", what)
}

// field stores the value of one field.
type field func(m *store.ImageMetadata, value any) error

func number(of func(*store.ImageMetadata) *sql.Null[float64]) field {
	return func(m *store.ImageMetadata, value any) error {
		f, ok := toNumber(value)
		if !ok {
			return fmt.Errorf("%s is not a number", show(value))
		}
		*of(m) = sql.Null[float64]{}
		if !math.IsNaN(f) {
			*of(m) = sql.Null[float64]{V: f, Valid: true}
		}
		return nil
	}
}

// show makes a foreign value fit for an error message.
func show(value any) string { return fmt.Sprintf("%.40q", fmt.Sprint(value)) }

// toNumber gives a value as a number, NaN where it has none or one that is not finite.
func toNumber(value any) (f float64, ok bool) {
	switch v := value.(type) {
	case nil:
		return math.NaN(), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case float64:
		f = v
	case string:
		v = strings.TrimSpace(v)
		if v == "" {
			return math.NaN(), true
		}
		var err error
		if f, err = strconv.ParseFloat(v, 64); err != nil && !math.IsInf(f, 0) || strings.ContainsAny(v, "_xX") {
			return 0, false
		}
	case pyliteral.Tuple:
		return fraction(v)
	case pyliteral.List:
		return fraction(v)
	default:
		return 0, false
	}
	if math.IsInf(f, 0) {
		f = math.NaN()
	}
	return f, true
}

// fraction is the value of a pair, as EXIF's rational numbers are written.
func fraction(pair []any) (float64, bool) {
	if len(pair) != 2 {
		return 0, false
	}
	var part [2]float64
	for i, v := range pair {
		switch v := v.(type) {
		case float64:
			part[i] = v
		case nil:
			part[i] = math.NaN()
		default:
			return 0, false
		}
	}
	f := part[0] / part[1]
	if math.IsInf(f, 0) {
		f = math.NaN()
	}
	return f, true
}

func version(m *store.ImageMetadata, value any) error {
	s := ""
	switch v := value.(type) {
	case nil:
	case string:
		s = strings.TrimSpace(v)
	case float64:
		s = strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return fmt.Errorf("%s is not a text", show(value))
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s is not plain text", show(value))
	}
	if utf8.RuneCountInString(s) > MaxDeviceVersion {
		return fmt.Errorf("%s is longer than %d characters", show(value), MaxDeviceVersion)
	}
	m.DeviceVersion = sql.Null[string]{V: s, Valid: s != ""}
	return nil
}

var (
	lat         = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.Lat })
	lng         = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.Lng })
	alt         = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.Alt })
	temperature = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.Temp })
	humidity    = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.Hum })
	lum         = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.Lum })
	bat         = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.Bat })
	but         = number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.But })
)

// firstGeneration are the keys of the dictionary in Make. Others, "datetime" among them, are ignored.
var firstGeneration = map[string]field{
	"lat": lat, "lng": lng, "alt": alt, "temp": temperature, "hum": humidity, "lum": lum, "bat": bat, "but": but,
	"device_version":         version,
	"no_flash_exposure_time": number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.NoFlashExposureTime }),
	"no_flash_iso":           number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.NoFlashISO }),
	"no_flash_bv":            number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.NoFlashBV }),
	"no_flash_shutter_speed": number(func(m *store.ImageMetadata) *sql.Null[float64] { return &m.NoFlashShutterSpeed }),
}

// secondGeneration are the names in UserComment's first line. Others are ignored.
var secondGeneration = map[string]field{
	"v": version, "T": temperature, "H": humidity, "B": bat, "L": lum, "lat": lat, "lng": lng, "a": alt, "b": but,
	"l": func(*store.ImageMetadata, any) error { return nil }, // the time of the last synchronisation
}

func readMake(text string) (store.ImageMetadata, error) {
	value, err := pyliteral.Parse(text)
	if err != nil {
		return store.ImageMetadata{}, spi.Errorf(spi.CodeInvalid, "the EXIF tag Make is not a Python dictionary: %s", err)
	}
	dict, ok := value.(pyliteral.Dict)
	if !ok {
		return store.ImageMetadata{}, spi.Errorf(spi.CodeInvalid, "the EXIF tag Make is not a Python dictionary")
	}
	var m store.ImageMetadata
	for _, item := range dict {
		key, _ := item.Key.(string)
		set := firstGeneration[key]
		if set == nil {
			continue
		}
		if err := set(&m, item.Value); err != nil {
			return store.ImageMetadata{}, spi.Errorf(spi.CodeInvalid, "the EXIF tag Make: %s: %s", key, err)
		}
	}
	zero := sql.Null[float64]{Valid: true}
	if m.Lat == zero && m.Lng == zero && m.Alt == zero { // no GPS fix
		m.Lat, m.Lng, m.Alt = sql.Null[float64]{}, sql.Null[float64]{}, sql.Null[float64]{}
	}
	return m, nil
}

// characterCodes may stand before the text in UserComment (Exif 2.3, table 6): ASCII, undefined, and Unicode, after which
// some writers put UTF-8.
var characterCodes = []string{"ASCII\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00", "UNICODE\x00"}

// splitComment gives the lines of names and of values of a UserComment, and whether its first line is one of names.
// values is empty where there is no second line.
func splitComment(comment []byte) (names, values string, ok bool) {
	for _, code := range characterCodes {
		if text, found := bytes.CutPrefix(comment, []byte(code)); found {
			comment = text
			break
		}
	}
	names, values, _ = strings.Cut(strings.Trim(string(comment), padding), "\n")
	values, _, _ = strings.Cut(values, "\n")
	values = strings.TrimRight(values, "\r")
	// Three known names are no accident; a text that someone wrote there has none.
	known := 0
	for name := range strings.SplitSeq(names, ",") {
		if secondGeneration[strings.TrimSpace(name)] != nil {
			known++
		}
	}
	return names, values, known >= 3
}

func readComment(names, values string) (store.ImageMetadata, error) {
	fail := func(format string, args ...any) (store.ImageMetadata, error) {
		return store.ImageMetadata{}, spi.Errorf(spi.CodeInvalid, "the EXIF tag UserComment: "+format, args...)
	}
	ns := strings.Split(names, ",")
	if values == "" {
		return fail("it has a line of %d names, but no line of values", len(ns))
	}
	vs := strings.Split(values, ",")
	if len(ns) != len(vs) {
		return fail("it has %d names, but %d values", len(ns), len(vs))
	}
	var m store.ImageMetadata
	seen := make(map[string]bool, len(ns))
	for i, name := range ns {
		name = strings.TrimSpace(name)
		set := secondGeneration[name]
		if set == nil {
			continue
		}
		if seen[name] {
			return fail("it has the name %s twice", name)
		}
		seen[name] = true
		if err := set(&m, vs[i]); err != nil {
			return fail("%s: %s", name, err)
		}
	}
	return m, nil
}
