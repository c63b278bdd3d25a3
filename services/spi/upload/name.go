package upload

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// earliest is the server's: a date before it is the clock of a device that was never set.
var earliest = time.Date(2019, time.November, 1, 0, 0, 0, 0, time.UTC)

// ParseName reads the name of an image's file, DEVICE.YYYY-MM-DD_HH-MM-SS.jpg, where DEVICE is 8 hexadecimal digits, the time
// is UTC, and the suffix may be jpg or jpeg in any case. The rules are the server's (docs/PROTOCOL.md). The error is for
// people.
func ParseName(name string) (spi.ImageKey, error) {
	const longest = len("01234567.2020-06-20_21-33-24.jpeg")
	bad := func(reason string) (spi.ImageKey, error) {
		return spi.ImageKey{}, fmt.Errorf("the name is not DEVICE.YYYY-MM-DD_HH-MM-SS.jpg: %s", reason)
	}
	fields := strings.Split(name, ".")
	if len(name) > longest || len(fields) != 3 {
		return bad("it must have three fields with dots between them")
	}
	device, date := fields[0], fields[1]
	if len(device) != 8 || strings.Trim(device, "0123456789abcdefABCDEF") != "" {
		return bad("the device before the first dot must be 8 hexadecimal digits")
	}
	if !isPicture(name) {
		return bad("it must end in .jpg")
	}
	t, format, err := spi.ParseDatetime(date)
	// writing it back refuses what time.Parse is lenient about
	if err != nil || format == nil || *format != spi.DateV1 || spi.FormatDatetime(t, spi.DateV1) != date {
		return bad("what is between the dots must be a date and time")
	}
	if t.Before(earliest) {
		return bad("its date is before " + earliest.Format(time.DateOnly) + ": the device's clock was not set")
	}
	return spi.ImageKey{Device: device, Datetime: spi.Datetime{Time: t}}, nil
}

// isPicture says whether a file calls itself a JPEG. Others on the card are none of our business.
func isPicture(name string) bool {
	suffix := strings.ToLower(filepath.Ext(name))
	return suffix == ".jpg" || suffix == ".jpeg"
}

// imageID is an image's device and time, in the form in which the server holds them to be the same. A run keeps one for each
// image that it met: a device as text would keep the file's whole path with it.
type imageID struct {
	device   uint32
	datetime int64 // seconds since the epoch
}

// idOf gives the id of a key; one with a device that is none, which only a server can name, is no file's.
func idOf(key spi.ImageKey) imageID {
	device, err := strconv.ParseUint(key.Device, 16, 32)
	if err != nil {
		return imageID{datetime: math.MinInt64}
	}
	return imageID{uint32(device), key.Datetime.Unix()}
}
