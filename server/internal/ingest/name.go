package ingest

import (
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// earliest is the day on which the first device was switched on; a date before it is a clock that was never set.
var earliest = time.Date(2019, time.November, 1, 0, 0, 0, 0, time.UTC)

// Name is what the name of an uploaded file says.
type Name struct {
	Device   string    // 8 hexadecimal digits, as written
	Datetime time.Time // UTC, whole seconds
}

// ParseName reads a file name DEVICE.YYYY-MM-DD_HH-MM-SS.jpg, the only form in which devices name their pictures. The
// suffix may be jpg or jpeg in any case. The time is UTC; one in the future is taken, for a device whose clock runs wrong
// must not lose its pictures. CodeInvalid.
func ParseName(file string) (Name, error) {
	// Anything longer is wrong, and is not worth splitting.
	const longest = len("01234567.2020-06-20_21-33-24.jpeg")
	fields := []string{""}
	if len(file) <= longest {
		fields = strings.Split(file, ".")
	}
	if len(fields) != 3 {
		return Name{}, badName(file, "it must have three fields with dots between them")
	}
	device, date, suffix := fields[0], fields[1], fields[2]
	if !isDevice(device) {
		return Name{}, badName(file, "the device before the first dot must be 8 hexadecimal digits")
	}
	if s := strings.ToLower(suffix); s != "jpg" && s != "jpeg" {
		return Name{}, badName(file, "it must end in .jpg")
	}
	t, format, err := spi.ParseDatetime(date)
	// Writing it back refuses what time.Parse is lenient about.
	if err != nil || format == nil || *format != spi.DateV1 || spi.FormatDatetime(t, spi.DateV1) != date {
		return Name{}, badName(file, "what is between the dots must be a date and time, YYYY-MM-DD_HH-MM-SS")
	}
	if t.Before(earliest) {
		return Name{}, badName(file, "its date is before "+earliest.Format(time.DateOnly)+": the device's clock was not set")
	}
	return Name{Device: device, Datetime: t}, nil
}

func badName(file, reason string) error {
	return spi.Errorf(spi.CodeInvalid, "%s is not the name of an image: %s, as in 5c173ff2.2020-06-20_21-33-24.jpg", quote(file), reason)
}

func isDevice(s string) bool {
	if len(s) != 8 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
