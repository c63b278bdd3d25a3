package jpegfile_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckTakesTheKindsThatDecode(t *testing.T) {
	colour := jpegfile.Info{Width: 61, Height: 43, Components: 3, Scans: 1}
	grey := jpegfile.Info{Width: 61, Height: 43, Components: 1, Scans: 1}
	copied := colour
	copied.Copied = true
	with := func(i jpegfile.Info, progressive bool, scans int) jpegfile.Info {
		i.Progressive, i.Scans = progressive, scans
		return i
	}
	for name, want := range map[string]jpegfile.Info{
		"baseline410.jpg": colour, "baseline411.jpg": colour, "baseline420.jpg": colour, "baseline422.jpg": colour,
		"baseline440.jpg": colour, "baseline444.jpg": colour, "rgb.jpg": copied, "restart.jpg": colour,
		"three-scans.jpg": with(colour, false, 3), "progressive.jpg": with(colour, true, 10),
		"grey.jpg": grey, "grey-2x2.jpg": grey, "progressive-grey.jpg": with(grey, true, 6),
	} {
		got, err := jpegfile.Check(read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestCheckFindsTheEXIF(t *testing.T) {
	exif := []byte("II*\x00\x08\x00\x00\x00\x00\x00")
	file := read(t, "baseline420.jpg")
	// An APP1 segment may also hold XMP, and only the first Exif segment counts.
	segment := slices.Concat([]byte{0xff, 0xe1, 0, byte(8 + len(exif))}, []byte("Exif\x00\x00"), exif)
	other := slices.Concat([]byte{0xff, 0xe1, 0, 10}, []byte("Exif\x00\x00MM"))
	file = slices.Concat(file[:2], []byte("\xff\xe1\x00\x08http:/"), segment, other, file[2:])
	got, err := jpegfile.Check(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.EXIF, exif) {
		t.Errorf("found %q", got.EXIF)
	}
}

func TestCheckLeavesOutFillBytesAndWhatFollowsTheEnd(t *testing.T) {
	file := read(t, "baseline420.jpg")
	file = slices.Concat(file[:2], []byte("\xff\xff\xff"), file[2:len(file)-2], []byte("\xff\xff\xff"), file[len(file)-2:], []byte("more"))
	if _, err := jpegfile.Check(file); err != nil {
		t.Error(err)
	}
}

// patch gives the file with the bytes behind the first marker, counted from the marker's length, replaced.
func patch(file []byte, marker byte, at int, with ...byte) []byte {
	file = bytes.Clone(file)
	i := bytes.Index(file, []byte{0xff, marker})
	copy(file[i+2+at:], with)
	return file
}

// without leaves out the segments with that marker.
func without(file []byte, marker byte) []byte {
	out := bytes.Clone(file)
	for {
		i := bytes.Index(out, []byte{0xff, marker})
		if i < 0 {
			return out
		}
		out = slices.Delete(out, i, i+2+int(out[i+2])<<8+int(out[i+3]))
	}
}

func TestCheckRefusesOthersWithTheReason(t *testing.T) {
	good := read(t, "baseline420.jpg")
	three := read(t, "three-scans.jpg")
	progressive := read(t, "progressive.jpg")
	lastScan := bytes.LastIndex(three, []byte{0xff, 0xda})
	frame := bytes.Index(good, []byte{0xff, 0xc0})
	scan := bytes.Index(progressive, []byte{0xff, 0xda})
	oneScan := append(bytes.Clone(progressive[scan:scan+2+12]), 0x12, 0x34)
	tests := map[string]struct {
		file   []byte
		reason string
	}{
		"nothing":                {nil, "empty"},
		"a PNG":                  {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "PNG"},
		"text":                   {[]byte("no picture at all"), `"no pictu"`},
		"the start alone":        {good[:2], "cut short"},
		"half of it":             {good[:len(good)/2], "cut short"},
		"all but the end":        {good[:len(good)-2], "cut short"},
		"all but one byte":       {good[:len(good)-1], "cut short"},
		"the end at once":        {[]byte("\xff\xd8\xff\xd9"), "no picture"},
		"no scan":                {append(bytes.Clone(good[:frame+19]), 0xff, 0xd9), "lacks some"},
		"a scan missing":         {append(bytes.Clone(three[:lastScan]), 0xff, 0xd9), "lacks some"},
		"a scan twice":           {slices.Concat(three[:len(three)-2], three[lastScan:]), "twice"},
		"no Huffman tables":      {without(good, 0xc4), "tables"},
		"no quantisation tables": {without(good, 0xdb), "tables"},
		"a scan before a frame":  {slices.Concat(good[:2], oneScan, good[2:]), "before the frame"},
		"an unknown component":   {patch(good, 0xda, 3, 77), "component that is not there"},
		"a scan of none":         {patch(good, 0xda, 2, 0), "scan header"},
		"a scan of four":         {patch(good, 0xda, 2, 4), "scan header"},
		"scans without end":      {slices.Concat(progressive[:scan], bytes.Repeat(oneScan, 5000), progressive[scan:]), "more than 64 scans"},
		"two frames":             {slices.Concat(good[:frame], good[frame:frame+19], good[frame:]), "two frame headers"},
		"12 bits":                {patch(good, 0xc0, 2, 12), "12 bits"},
		"no height":              {patch(good, 0xc0, 3, 0, 0), "61 x 0"},
		"no width":               {patch(good, 0xc0, 5, 0, 0), "0 x 43"},
		"60,000 x 60,000":        {patch(good, 0xc0, 3, 0xea, 0x60, 0xea, 0x60), "60000 x 60000"},
		"just too large":         {patch(good, 0xc0, 3, 0x1b, 0x9f, 0x1b, 0xa0), "7072 x 7071"},
		"four components":        {read(t, "cmyk.jpg"), "4 components"},
		"two components":         {patch(patch(good, 0xc0, 7, 2), 0xc0, 0, 0, 14), "2 components"},
		"a frame cut":            {patch(good, 0xc0, 0, 0, 5), "frame header of the wrong length"},
		"equal components":       {patch(good, 0xc0, 11, 1), "one name"},
		"sampling of 3":          {patch(good, 0xc0, 9, 0x31), "sampling"},
		"sampling of 0":          {patch(good, 0xc0, 9, 0x00), "sampling"},
		"a grey sampling of 3":   {patch(read(t, "grey.jpg"), 0xc0, 9, 0x13), "sampling"},
		"chroma finer than luma": {patch(good, 0xc0, 9, 0x11, 0, 2, 0x22, 1, 3, 0x22), "sampling"},
		"unlike chroma":          {patch(good, 0xc0, 9, 0x22, 0, 2, 0x22, 1, 3, 0x11), "sampling"},
		"arithmetic coding":      {read(t, "arithmetic.jpg"), "arithmetic"},
		"lossless":               {patch(good, 0xc0, -1, 0xc3), "lossless"},
		"a second start":         {slices.Concat(good[:2], good), "second time"},
		"a restart outside":      {slices.Concat(good[:2], []byte{0xff, 0xd0}, good[2:]), "restart"},
		"no marker":              {slices.Concat(good[:2], []byte{1, 2}, good[2:]), "no marker"},
		"an unknown marker":      {slices.Concat(good[:2], []byte{0xff, 0x02}, good[2:]), "0x2"},
		"a stuffed zero":         {slices.Concat(good[:2], []byte{0xff, 0x00}, good[2:]), "0x0"},
		"a length of 1":          {slices.Concat(good[:2], []byte{0xff, 0xfe, 0, 1}, good[2:]), "impossible length"},
		"a length beyond":        {slices.Concat(good[:2], []byte{0xff, 0xfe, 0xff, 0xff}, good[2:]), "cut short"},
		"segments without end":   {slices.Concat(good[:2], bytes.Repeat([]byte{0xff, 0xfe, 0, 2}, 2000), good[2:]), "1000 segments"},
		"a scan without end":     {append(bytes.Clone(good[:len(good)-2]), bytes.Repeat([]byte{0xff}, 50)...), "cut short"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := jpegfile.Check(test.file)
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%v, which does not speak of %q", err, test.reason)
			}
		})
	}
}

func TestBytesAreOfTheSamplesAndOfTheCoefficients(t *testing.T) {
	for name, want := range map[string]int64{"grey.jpg": 61 * 43, "baseline420.jpg": 61 * 43 * 3, "progressive-grey.jpg": 61 * 43 * 5, "progressive.jpg": 61 * 43 * 15, "rgb.jpg": 61 * 43 * (3 + 4)} {
		info, err := jpegfile.Check(read(t, name))
		if err != nil || info.Bytes() != want {
			t.Errorf("%s: %d bytes, %v; want %d", name, info.Bytes(), err, want)
		}
	}
	// Adobe's segment may say behind the frame's header too that colours are not transformed
	file := read(t, "baseline444.jpg")
	scan := bytes.Index(file, []byte{0xff, 0xda})
	for transform, want := range []int64{61 * 43 * (3 + 4), 61 * 43 * 3} {
		segment := append([]byte("\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"), byte(transform))
		info, err := jpegfile.Check(slices.Concat(file[:scan], segment, file[scan:]))
		if err != nil || info.Bytes() != want {
			t.Errorf("Adobe's transform %d: %d bytes, %v; want %d", transform, info.Bytes(), err, want)
		}
	}
}

func TestCheckTakesExactlyTheLargestSize(t *testing.T) {
	file := patch(read(t, "baseline420.jpg"), 0xc0, 3, 0x13, 0x88, 0x27, 0x10) // 10,000 x 5,000
	if info, err := jpegfile.Check(file); err != nil || info.Width*info.Height != jpegfile.MaxPixels {
		t.Error(info, err)
	}
}

func FuzzCheck(f *testing.F) {
	names, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		info, err := jpegfile.Check(file)
		if err != nil {
			if s := err.Error(); len(s) > 500 || !utf8.ValidString(s) {
				t.Errorf("message %q", s)
			}
			return
		}
		if info.Width < 1 || info.Height < 1 || info.Width*info.Height > jpegfile.MaxPixels || info.Scans < 1 ||
			info.Scans > jpegfile.MaxScans || info.Components != 1 && info.Components != 3 {
			t.Errorf("%+v", info)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 2592, 1944)), nil); err != nil {
		b.Fatal(err)
	}
	file := photo.Bytes()
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := jpegfile.Check(file); err != nil {
			b.Fatal(err)
		}
	}
}
