package ingest

import (
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// KeyPrefix is where all the pictures of devices are in the bucket.
const KeyPrefix = "raw_images/"

// AppendKey appends the key of one of an image's three objects: raw_images/DEVICE/DEVICE.DATETIME.jpg for
// [spi.FullImage], and the same with .thumbnail or .thumbnail-mini behind it for [spi.Thumbnail] and [spi.ThumbnailMini].
// device is as the image's row has it. It is on the path of every row of a reply: it does not allocate where dst has room.
// It panics on any other what: metadata has no object.
func AppendKey(dst []byte, device string, datetime time.Time, what spi.What) []byte {
	dst = append(dst, KeyPrefix...)
	dst = append(dst, device...)
	dst = append(dst, '/')
	dst = append(dst, device...)
	dst = append(dst, '.')
	dst = spi.AppendDatetime(dst, datetime, spi.DateV1)
	dst = append(dst, ".jpg"...)
	switch what {
	case spi.FullImage:
		return dst
	case spi.Thumbnail:
		return append(dst, ".thumbnail"...)
	case spi.ThumbnailMini:
		return append(dst, ".thumbnail-mini"...)
	}
	panic("ingest.AppendKey: no object for " + string(what))
}

// Key is [AppendKey] to a string.
func Key(device string, datetime time.Time, what spi.What) string {
	return string(AppendKey(nil, device, datetime, what))
}

// Keys gives the keys of all objects of an image: original, thumbnail, mini thumbnail.
func Keys(image *store.Image) []string {
	return []string{
		Key(image.Device, image.Datetime, spi.FullImage),
		Key(image.Device, image.Datetime, spi.Thumbnail),
		Key(image.Device, image.Datetime, spi.ThumbnailMini),
	}
}
