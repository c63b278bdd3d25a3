package upload

import (
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func TestNamesAreReadAsTheServerReadsThem(t *testing.T) {
	for name, want := range map[string]string{ // "": it is one
		"5c173ff2.2020-06-20_21-33-24.jpg":                    "",
		"ABCDEFab.2019-11-01_00-00-00.JPEG":                   "",
		"5c173ff2.2099-01-01_00-00-00.jpg":                    "", // a clock that runs wrong
		"5c173ff2.2020-06-20T21:33:24Z.jpg":                   "date and time",
		"5c173ff2.2020-06-20.jpg":                             "date and time",
		"5c173ff2.2020-6-20_21-33-240.jpg":                    "date and time",
		"5c173ff2.2020-02-30_21-33-24.jpg":                    "date and time",
		"5c173ff2.2019-10-31_23-59-59.jpg":                    "not set",
		"5c173ff.2020-06-20_21-33-24.jpg":                     "8 hexadecimal",
		"5c173ffg.2020-06-20_21-33-24.jpg":                    "8 hexadecimal",
		"%%%%%%%%.2020-06-20_21-33-24.jpg":                    "8 hexadecimal",
		"5c173ff2.2020-06-20_21-33-24.png":                    ".jpg",
		"5c173ff2.2020-06-20_21-33-24":                        "three fields",
		"5c173ff2.2020-06-20_21-33-24.copy.jpg":               "three fields",
		"":                                                    "three fields",
		strings.Repeat("a", 100) + ".2020-06-20_21-33-24.jpg": "three fields",
	} {
		key, err := ParseName(name)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", name, err)
		case want == "":
			device, rest, _ := strings.Cut(name, ".")
			if key.Device != device || !strings.HasPrefix(rest, spi.FormatDatetime(key.Datetime.Time, spi.DateV1)) {
				t.Errorf("%q: %v", name, key)
			}
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("5c173ff2.2020-06-20_21-33-24.jpg")
	f.Add("5c173ff2.2020-06-20_21-33-24.JPEG")
	f.Add("..jpg")
	f.Fuzz(func(t *testing.T, name string) {
		key, err := ParseName(name)
		if err != nil {
			return
		}
		back := spitest.Name(key.Device, key.Datetime.Time)
		if back[:len(back)-len("jpg")] != name[:len(back)-len("jpg")] || key.Datetime.Before(time.Date(2019, 11, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%q was read as %v", name, key)
		}
	})
}
