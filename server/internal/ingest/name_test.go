package ingest

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func at(s string) time.Time {
	t, err := time.Parse(time.DateTime, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestParseNameTakesNamesAsDevicesWriteThem(t *testing.T) {
	for file, want := range map[string]Name{
		"5c173ff2.2020-06-20_21-33-24.jpg":  {"5c173ff2", at("2020-06-20 21:33:24")},
		"5C173FF2.2020-06-20_21-33-24.JPG":  {"5C173FF2", at("2020-06-20 21:33:24")},
		"01234567.2024-02-29_00-00-00.jpeg": {"01234567", at("2024-02-29 00:00:00")},
		"01234567.2024-02-29_00-00-00.JpEg": {"01234567", at("2024-02-29 00:00:00")},
		"abcdefAB.2019-11-01_00-00-00.jpg":  {"abcdefAB", at("2019-11-01 00:00:00")},
		"abcdefAB.9999-12-31_23-59-59.jpg":  {"abcdefAB", at("9999-12-31 23:59:59")},
	} {
		got, err := ParseName(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", file, diff)
		}
	}
}

func TestParseNameRefusesOthersWithTheReason(t *testing.T) {
	for file, reason := range map[string]string{
		"":                                  "three fields",
		"5c173ff2":                          "three fields",
		"a.b":                               "three fields",
		"5c173ff2.2020-06-20_21-33-24.jpg.": "three fields",
		"5c173ff2..2020-06-20_21-33-24.jpg": "three fields",
		"5c173ff2.2020-06-20_21-33-24.jpg.thumbnail": "three fields",
		strings.Repeat("a", 5000):                    "three fields",
		"5c173ff.2020-06-20_21-33-24.jpg":            "8 hexadecimal",
		"5c173ff22.2020-06-20_21-33-24.jpg":          "8 hexadecimal",
		"5c173ffg.2020-06-20_21-33-24.jpg":           "8 hexadecimal",
		"%c173ff2.2020-06-20_21-33-24.jpg":           "8 hexadecimal",
		"_c173ff2.2020-06-20_21-33-24.jpg":           "8 hexadecimal",
		"../../et.2020-06-20_21-33-24.jpg":           "three fields",
		"/c173ff2.2020-06-20_21-33-24.jpg":           "8 hexadecimal",
		"5c173\x00f2.2020-06-20_21-33-24.jpg":        "8 hexadecimal",
		"5c173fé.2020-06-20_21-33-24.jpg":            "8 hexadecimal",
		".2020-06-20_21-33-24.jpg":                   "8 hexadecimal",
		"5c173ff2.2020-06-20T21:33:24Z.jpg":          "date and time",
		"5c173ff2.2020-06-20.jpg":                    "date and time",
		"5c173ff2.2020-06-20_21-33-2.jpg":            "date and time",
		"5c173ff2.2020-06-31_21-33-24.jpg":           "date and time",
		"5c173ff2.2023-02-29_21-33-24.jpg":           "date and time",
		"5c173ff2.2020-06-20_24-00-00.jpg":           "date and time",
		"5c173ff2.2020-06-20_1-33-245.jpg":           "date and time",
		"5c173ff2.12020-6-20_21-33-24.jpg":           "date and time",
		"5c173ff2..jpg":                              "date and time",
		"5c173ff2.2019-10-31_23-59-59.jpg":           "before 2019-11-01",
		"5c173ff2.1970-01-01_00-00-00.jpg":           "before 2019-11-01",
		"5c173ff2.0000-01-01_00-00-00.jpg":           "before 2019-11-01",
		"5c173ff2.2020-06-20_21-33-24.png":           "end in .jpg",
		"5c173ff2.2020-06-20_21-33-24.":              "end in .jpg",
		"5c173ff2.2020-06-20_21-33-24.jpg\n":         "end in .jpg",
	} {
		_, err := ParseName(file)
		if err == nil {
			t.Errorf("%q is taken", file)
			continue
		}
		checkMessage(t, err)
		if spi.CodeOf(err) != spi.CodeInvalid || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, which does not speak of %q", file, err, reason)
		}
		if !strings.Contains(err.Error(), "5c173ff2.2020-06-20_21-33-24.jpg") {
			t.Errorf("%q: %v, which gives no example", file, err)
		}
	}
}

// checkMessage fails where an error's message is not fit to be shown: it may quote foreign bytes.
func checkMessage(t *testing.T, err error) {
	t.Helper()
	s := err.Error()
	if len(s) > 1000 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		t.Errorf("a message that is long or not plain text: %.1000q", s)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"5c173ff2.2020-06-20_21-33-24.jpg", "5C173FF2.2020-06-20_21-33-24.JPEG", "", "..", "5c173ff2.2020-06-20_1-33-245.jpg",
		"../../et.2020-06-20_21-33-24.jpg", "5c173ff2.2020-06-20_21-33-24.jpg\x00", "\xff\xfe.2020-06-20_21-33-24.jpg",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		name, err := ParseName(file)
		if err != nil {
			checkMessage(t, err)
			return
		}
		// What is taken can be made again from what was read, but for the suffix.
		want := strings.TrimPrefix(Key(name.Device, name.Datetime, spi.FullImage), KeyPrefix+name.Device+"/")
		i := strings.LastIndexByte(file, '.')
		if file[:i] != strings.TrimSuffix(want, ".jpg") {
			t.Errorf("%q became %q", file, want)
		}
	})
}

func TestKeys(t *testing.T) {
	image := &store.Image{Device: "5C173ff2", Datetime: at("2020-06-20 21:33:24")}
	want := []string{
		"raw_images/5C173ff2/5C173ff2.2020-06-20_21-33-24.jpg",
		"raw_images/5C173ff2/5C173ff2.2020-06-20_21-33-24.jpg.thumbnail",
		"raw_images/5C173ff2/5C173ff2.2020-06-20_21-33-24.jpg.thumbnail-mini",
	}
	if diff := cmp.Diff(want, Keys(image)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var room [128]byte
	allocs := testing.AllocsPerRun(100, func() {
		AppendKey(room[:0], image.Device, image.Datetime, spi.ThumbnailMini)
	})
	if allocs != 0 {
		t.Errorf("AppendKey allocates %v times", allocs)
	}
}
