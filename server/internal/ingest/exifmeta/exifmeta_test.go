package exifmeta

import (
	"database/sql"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func f(v float64) sql.Null[float64] { return sql.Null[float64]{V: v, Valid: true} }

func s(v string) sql.Null[string] { return sql.Null[string]{V: v, Valid: true} }

var (
	first = store.ImageMetadata{
		Lat: f(-121.7552), Lng: f(49.243553), Alt: f(22), Temp: f(21.899999618530273), Hum: f(76.80000305175781),
		NoFlashExposureTime: f(0.023646), NoFlashISO: f(100), NoFlashBV: f(2.36), NoFlashShutterSpeed: f(5.40226),
	}
	firstText = "{'lng': 49.243553, 'lat': -121.7552, 'alt': 22.0, 'datetime': '2020-06-20 06:38:36', " +
		"'no_flash_exposure_time': (23646, 1000000), 'no_flash_iso': 100, 'no_flash_bv': (236, 100), " +
		"'no_flash_shutter_speed': (5402260, 1000000), 'temp': 21.899999618530273, 'hum': 76.80000305175781}"
	second = store.ImageMetadata{
		DeviceVersion: s("3.1.0"), Temp: f(20.6), Hum: f(42.6), Bat: f(72), Lum: f(1.2), Lat: f(49.26142), Lng: f(-123.25088),
		Alt: f(97.3), But: f(1),
	}
	secondText = "v,T,H,B,L,lat,lng,a,l,b\n3.1.0,20.6,42.6,72,1.20,49.26142,-123.25088,97.3,1652813182,1"
)

func TestReadTakesBothGenerations(t *testing.T) {
	const maker = "RaspberryPi"
	for name, test := range map[string]struct {
		maker, comment string
		want           store.ImageMetadata
	}{
		"the first":               {firstText, "", first},
		"the first, padded":       {" " + firstText + " \n\x00\x00", "", first},
		"the first, all it may":   {"{'device_version': '2.0', 'lum': 3, 'bat': 55.5, 'but': True}", "", store.ImageMetadata{DeviceVersion: s("2.0"), Lum: f(3), Bat: f(55.5), But: f(1)}},
		"the first, empty":        {"{}", "", store.ImageMetadata{}},
		"the second":              {maker, secondText, second},
		"the second wins":         {firstText, secondText, second},
		"the first, with a note":  {firstText, "a nice day, was it not", first},
		"the second, CRLF":        {maker, strings.ReplaceAll(secondText, "\n", "\r\n") + "\r\n", second},
		"the second, padded":      {maker, secondText + " \n\x00\x00\x00 ", second},
		"the second, blanks":      {maker, strings.ReplaceAll(secondText, ",", " , "), second},
		"the second, more lines":  {maker, secondText + "\nmore", second},
		"the second, no values":   {maker, "v,T,H,B,L,lat,lng,a,l,b\n,,,,,,,,,", store.ImageMetadata{}},
		"the second, some values": {maker, "T,v,H\n,3,", store.ImageMetadata{DeviceVersion: s("3")}},
		"unknown names":           {maker, "T,what,H,,B\n1,\xff\xfe,2,x,3", store.ImageMetadata{Temp: f(1), Hum: f(2), Bat: f(3)}},
		"unknown keys":            {"{'temp': 1, 'what': 'x', 'hum2': {}, 3: 4, ('a',): [], None: 5}", "", store.ImageMetadata{Temp: f(1)}},
		"the last of equal keys":  {"{'temp': 1, 'temp': None}", "", store.ImageMetadata{}},
		"no fix":                  {"{'lng': 0.0, 'lat': 0, 'alt': -0.0, 'temp': 0}", "", store.ImageMetadata{Temp: f(0)}},
		"on the equator":          {"{'lng': 1.0, 'lat': 0, 'alt': 0}", "", store.ImageMetadata{Lng: f(1), Lat: f(0), Alt: f(0)}},
		"failed sensors":          {maker, "T,H,v\n-300.5,-1,3.1.0", store.ImageMetadata{Temp: f(-300.5), Hum: f(-1), DeviceVersion: s("3.1.0")}},
		"fractions of nothing":    {"{'no_flash_bv': (1, 0), 'no_flash_iso': (0, 0), 'temp': (None, 1), 'hum': [1, 4]}", "", store.ImageMetadata{Hum: f(0.25)}},
		"what is not finite":      {"{'temp': nan, 'hum': -inf, 'lat': 1e999}", "", store.ImageMetadata{}},
		"what is not finite, 2":   {maker, "T,H,lat\nnan,-Inf,1e999", store.ImageMetadata{}},
		"numbers as text":         {"{'temp': ' 21.5 ', 'hum': ''}", "", store.ImageMetadata{Temp: f(21.5)}},
		"a version of 8":          {maker, "v,T,H\n12345é78,1,2", store.ImageMetadata{DeviceVersion: s("12345é78"), Temp: f(1), Hum: f(2)}},
		"a version as a number":   {"{'device_version': 3.5}", "", store.ImageMetadata{DeviceVersion: s("3.5")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(spitest.EXIF(test.maker, test.comment))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestReadRefusesWithTheReason(t *testing.T) {
	for name, test := range map[string]struct{ maker, comment, reason string }{
		"neither":               {"RaspberryPi", "", "tag Make"},
		"neither, but a text":   {"RaspberryPi", "a nice day, was it not", "UserComment"},
		"no literal":            {"{'temp': Fraction(1, 2)}", "", "Python dictionary"},
		"an open dictionary":    {"{'temp': 1", "", "Python dictionary"},
		"a set":                 {"{1, 2}", "", "Python dictionary"},
		"text for a number":     {"{'temp': 'warm'}", "", `temp: "warm"`},
		"a list for a number":   {"{'temp': [1, 2, 3]}", "", `temp: "[1 2 3]"`},
		"text in a fraction":    {"{'no_flash_bv': ('a', 'b')}", "", "no_flash_bv"},
		"a dict for a number":   {"{'hum': {'a': 1}}", "", "hum"},
		"hexadecimal":           {"{'hum': '0x10'}", "", `"0x10"`},
		"a long version":        {"{'device_version': '123456789'}", "", "8 characters"},
		"a NUL in the version":  {`{'device_version': 'a\0b'}`, "", "plain text"},
		"a list as the version": {"{'device_version': [1]}", "", "not a text"},
		"text for a number, 2":  {"", "v,T,H\n1,warm,2", `T: "warm"`},
		"a long version, 2":     {"", "v,T,H\n3.1.0.4.5,1,2", "8 characters"},
		"no UTF-8":              {"", "v,T,H\n\xff\xfe,1,2", "plain text"},
		"a control character":   {"", "v,T,H\n1\x1b[m,1,2", "plain text"},
		"a NUL":                 {"", "v,T,H\n1\x002,1,2", "plain text"},
		"too few values":        {"", "v,T,H\n1,2", "3 names, but 2 values"},
		"too many values":       {"", "v,T,H\n1,2,3,4", "3 names, but 4 values"},
		"no second line":        {"", "v,T,H", "no line of values"},
		"an empty second line":  {"", "v,T,H\n\n1,2,3", "no line of values"},
		"a name twice":          {"", "v,T,H,T\n1,2,3,4", "T twice"},
		"much text":             {"", "v,T,H\n1," + strings.Repeat("x", 60000) + ",3", `T: "xxxxxxxx`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(spitest.EXIF(test.maker, test.comment))
			if err == nil {
				t.Fatal("taken")
			}
			if spi.CodeOf(err) != spi.CodeInvalid || !strings.Contains(err.Error(), test.reason) || len(err.Error()) > 500 {
				t.Errorf("%v, which does not speak of %q", err, test.reason)
			}
		})
	}
}

// exif is a TIFF structure with the entries given, 12 bytes each, in its main directory, and values from byte 100 on.
func exif(order binary.AppendByteOrder, entries [][12]byte, values string) []byte {
	b := []byte("MM\x00\x2a")
	if order == binary.LittleEndian {
		b = []byte("II\x2a\x00")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = append(b, e[:]...)
	}
	b = append(b, make([]byte, 100-len(b))...)
	return append(b, values...)
}

func entry(order binary.AppendByteOrder, tag, typ uint16, count, value uint32) [12]byte {
	b := order.AppendUint16(nil, tag)
	b = order.AppendUint16(b, typ)
	b = order.AppendUint32(b, count)
	return [12]byte(order.AppendUint32(b, value))
}

func TestReadSurvivesHostileEXIF(t *testing.T) {
	be, le := binary.BigEndian, binary.LittleEndian
	type entries = [][12]byte
	const temp = "{'temp': 1}"
	for name, test := range map[string]struct {
		exif  []byte
		taken bool
	}{
		"empty":                   {[]byte{}, false},
		"a header":                {[]byte("MM\x00\x2a\x00\x00\x00\x08"), false},
		"no byte order":           {append([]byte("XX"), exif(be, entries{entry(be, tagMake, 2, 11, 100)}, temp)[2:]...), false},
		"both byte orders":        {exif(le, entries{entry(le, tagMake, 2, 11, 100)}, temp), true},
		"bytes for text":          {exif(be, entries{entry(be, tagMake, 7, 11, 100)}, temp), true},
		"the first of two":        {exif(be, entries{entry(be, tagMake, 2, 11, 100), entry(be, tagMake, 2, 5, 0)}, temp), true},
		"a value inside":          {exif(be, entries{entry(be, tagMake, 2, 2, 0x7b7d0000)}, ""), true},
		"a huge count":            {exif(be, entries{entry(be, tagMake, 2, math.MaxUint32, 100)}, temp), false},
		"a huge count of 8 bytes": {exif(be, entries{entry(be, tagMake, 5, math.MaxUint32, 100)}, temp), false},
		"a huge offset":           {exif(be, entries{entry(be, tagMake, 2, 11, math.MaxUint32)}, temp), false},
		"an offset that wraps":    {exif(be, entries{entry(be, tagMake, 2, 11, math.MaxUint32-5)}, temp), false},
		"one byte too many":       {exif(be, entries{entry(be, tagMake, 2, 12, 100)}, temp), false},
		"an unknown type":         {exif(be, entries{entry(be, tagMake, 99, 11, 100)}, temp), false},
		"of nothing":              {exif(be, entries{entry(be, tagMake, 2, 0, 100)}, temp), false},
		"a directory in itself":   {exif(be, entries{entry(be, tagExifIFD, 4, 1, 8), entry(be, tagMake, 2, 11, 100)}, temp), true},
		"a directory at no place": {exif(be, entries{entry(be, tagExifIFD, 4, 1, math.MaxUint32), entry(be, tagMake, 2, 11, 100)}, temp), true},
		"a comment in the main":   {exif(be, entries{entry(be, tagUserComment, 7, 11, 100)}, "v,T,H\n1,2,3"), true},
		"a directory cut off":     {exif(be, entries{entry(be, tagMake, 2, 11, 100)}, temp)[:20], false},
		"a directory without end": {slices.Concat([]byte("MM\x00\x2a\x00\x00\x00\x08\xff\xff"), make([]byte, 50)), false},
		"a directory far away":    {[]byte("MM\x00\x2a\xff\xff\xff\xff"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(test.exif); (err == nil) != test.taken {
				t.Errorf("taken: %v, error: %v", err == nil, err)
			}
		})
	}
	if _, err := Read(nil); err == nil || !strings.Contains(err.Error(), "no EXIF") {
		t.Errorf("no EXIF: %v", err)
	}
}

func TestReadGivesWhatTheTestPhotographsHold(t *testing.T) {
	for _, g := range []spitest.Generation{spitest.First, spitest.Second} {
		for seed := range uint64(50) {
			want := spitest.Metadata(g, seed)
			info, err := jpegfile.Check(spitest.JPEG(spitest.Photo{Generation: g, Seed: seed, Width: 8, Height: 8}))
			if err != nil {
				t.Fatal(err)
			}
			m, err := Read(info.EXIF)
			if err != nil {
				t.Fatal(err)
			}
			got := spi.Image{
				DeviceVersion: pointer(m.DeviceVersion), Alt: pointer(m.Alt), Lat: pointer(m.Lat), Lng: pointer(m.Lng), Temp: pointer(m.Temp),
				Hum: pointer(m.Hum), NoFlashShutterSpeed: pointer(m.NoFlashShutterSpeed), NoFlashExposureTime: pointer(m.NoFlashExposureTime),
				NoFlashBV: pointer(m.NoFlashBV), NoFlashISO: pointer(m.NoFlashISO), Lum: pointer(m.Lum), Bat: pointer(m.Bat), But: pointer(m.But),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("generation %d, seed %d: (-want +got)\n%s", g, seed, diff)
			}
		}
	}
}

func pointer[T any](v sql.Null[T]) *T {
	if !v.Valid {
		return nil
	}
	return &v.V
}

// realImages is the folder of photographs by real devices, beside the project.
const realImages = "../../../../../shared/data/raw_images"

func TestReadGivesWhatRealPhotographsHold(t *testing.T) {
	want := map[string]store.ImageMetadata{
		"0a5bb6f4.2020-06-20_20-19-15.jpg": {
			Temp: f(20.700000762939453), Hum: f(82), NoFlashExposureTime: f(0.12499), NoFlashISO: f(400), NoFlashBV: f(0.46), NoFlashShutterSpeed: f(3.000115),
		},
		"0a5bb6f4.2020-06-20_20-37-59.jpg": {
			Temp: f(21.799999237060547), Hum: f(77.30000305175781), NoFlashExposureTime: f(0.009182), NoFlashISO: f(100), NoFlashBV: f(2.83), NoFlashShutterSpeed: f(6.766976),
		},
		"1b74105a.2020-07-05_10-07-16.jpg": { // whose latitude and longitude the device swapped
			Lat: f(-121.7552), Lng: f(49.243553), Alt: f(22),
			Temp: f(10.300000190734863), Hum: f(97.5999984741211), NoFlashExposureTime: f(0.12499), NoFlashISO: f(400), NoFlashBV: f(0), NoFlashShutterSpeed: f(3.000115),
		},
		"5c173ff2.2020-06-20_21-33-24.jpg": {
			Temp: f(21.899999618530273), Hum: f(76.80000305175781), NoFlashExposureTime: f(0.023646), NoFlashISO: f(100), NoFlashBV: f(2.36), NoFlashShutterSpeed: f(5.40226),
		},
	}
	if _, err := os.Stat(realImages); err != nil {
		t.Skipf("no real photographs: %v", err)
	}
	for name, want := range want {
		file, err := os.ReadFile(filepath.Join(realImages, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := jpegfile.Check(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Width != 2592 || info.Height != 1944 {
			t.Errorf("%s: %d x %d", name, info.Width, info.Height)
		}
		got, err := Read(info.EXIF)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// checkSound fails where metadata or an error is not fit to be stored or shown.
func checkSound(t *testing.T, m store.ImageMetadata, err error) {
	t.Helper()
	if err != nil {
		if text := err.Error(); len(text) > 500 || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			t.Errorf("message %q", text)
		}
		return
	}
	if v := m.DeviceVersion.V; !utf8.ValidString(v) || strings.Contains(v, "\x00") || utf8.RuneCountInString(v) > MaxDeviceVersion {
		t.Errorf("version %q", v)
	}
	for _, n := range []sql.Null[float64]{
		m.Alt, m.Lat, m.Lng, m.Temp, m.Hum, m.NoFlashShutterSpeed, m.NoFlashExposureTime, m.NoFlashBV, m.NoFlashISO, m.Lum, m.Bat, m.But,
	} {
		if math.IsNaN(n.V) || math.IsInf(n.V, 0) {
			t.Errorf("%v", n)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(spitest.EXIF(firstText, ""))
	f.Add(spitest.EXIF("RaspberryPi", secondText))
	f.Add(spitest.EXIF(firstText, secondText))
	be := binary.BigEndian
	f.Add(exif(be, [][12]byte{entry(be, tagExifIFD, 4, 1, 8), entry(be, tagMake, 2, 11, 100)}, "{'temp': 1}"))
	f.Fuzz(func(t *testing.T, exif []byte) {
		m, err := Read(exif)
		checkSound(t, m, err)
	})
}

func FuzzMake(f *testing.F) {
	f.Add(firstText)
	f.Add(`{'device_version': 'a\x00\n', 'temp': (1, 0), 'lat': 0, 'lng': 0, 'alt': 0, 'but': True}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := readMake(text)
		checkSound(t, m, err)
	})
}

func FuzzUserComment(f *testing.F) {
	f.Add([]byte("ASCII\x00\x00\x00" + secondText))
	f.Add([]byte("UNICODE\x00v,T,H\r\n\xff,1,2\r\n"))
	f.Add([]byte("v,T,H\n,,"))
	f.Fuzz(func(t *testing.T, comment []byte) {
		if names, values, ok := splitComment(comment); ok {
			m, err := readComment(names, values)
			checkSound(t, m, err)
		}
	})
}
