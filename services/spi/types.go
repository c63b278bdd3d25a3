package spi

import "math"

// APIVersion is written beside every row that this server makes (column api_version, at most 8 characters).
const APIVersion = "3.0.0"

// Token is the reply of get_token. Send it as the user name of HTTP Basic with an empty password, or as a Bearer token.
type Token struct {
	Token      string `json:"token"`
	Expiration int64  `json:"expiration"` // seconds since the epoch
}

// User is an account, as get_users, put_users, delete_users and reset_password give it.
type User struct {
	ID              int64    `json:"id"`
	Username        string   `json:"username"`
	Email           *string  `json:"email"`
	IsAdmin         bool     `json:"is_admin"`
	CanWrite        bool     `json:"can_write"`
	APIUser         *string  `json:"api_user"`
	APIVersion      *string  `json:"api_version"`
	DatetimeCreated Datetime `json:"datetime_created"`
	PasswordHash    string   `json:"password_hash"` // always asterisks
}

// NewUser is an account to make.
type NewUser struct {
	Username string  `json:"username"`
	Password string  `json:"password"`
	Email    *string `json:"email,omitempty"`
	IsAdmin  *bool   `json:"is_admin,omitempty"`  // default false
	CanWrite *bool   `json:"can_write,omitempty"` // default true
}

// ImageKey names one image: its device and the time it was taken. Device may be an SQL LIKE pattern.
type ImageKey struct {
	Device   string   `json:"device"`
	Datetime Datetime `json:"datetime"`
}

// Series names the images of devices from Start (included) to End (excluded). Device may be an SQL LIKE pattern.
type Series struct {
	Device string   `json:"device"`
	Start  Datetime `json:"start_datetime"`
	End    Datetime `json:"end_datetime"`
}

// Image is one photograph, as the image endpoints give it. Absent values are nil.
type Image struct {
	ID                  int64    `json:"id"`
	Device              string   `json:"device"`
	Datetime            Datetime `json:"datetime"`
	MD5                 string   `json:"md5"` // of the whole file, hexadecimal
	DeviceVersion       *string  `json:"device_version"`
	Width               int      `json:"width"`  // pixels
	Height              int      `json:"height"` // pixels
	Alt                 *float64 `json:"alt"`    // metres
	Lat                 *float64 `json:"lat"`    // degrees
	Lng                 *float64 `json:"lng"`    // degrees
	Temp                *float64 `json:"temp"`   // degrees Celsius; below -300: the sensor failed
	Hum                 *float64 `json:"hum"`    // relative humidity, %; below 0: the sensor failed
	NoFlashShutterSpeed *float64 `json:"no_flash_shutter_speed"`
	NoFlashExposureTime *float64 `json:"no_flash_exposure_time"` // seconds
	NoFlashBV           *float64 `json:"no_flash_bv"`            // EXIF brightness value
	NoFlashISO          *float64 `json:"no_flash_iso"`
	Lum                 *float64 `json:"lum"` // light intensity
	Bat                 *float64 `json:"bat"` // battery, 0 to 100 %
	But                 *float64 `json:"but"` // 1: the button was pressed
	DatetimeCreated     Datetime `json:"datetime_created"`
	APIVersion          *string  `json:"api_version"`
	APIUser             *string  `json:"api_user"`
	URL                 string   `json:"url,omitempty"` // presigned; empty for metadata
}

// Light is the light intensity at the image, as charts show it: Lum, which newer devices measure, or, of older ones,
// log10(1 + NoFlashBV) / NoFlashExposureTime; nil where neither is known.
func (i *Image) Light() *float64 {
	if i.Lum != nil || i.NoFlashBV == nil || i.NoFlashExposureTime == nil {
		return i.Lum
	}
	if v, ok := LightOf(*i.NoFlashBV, *i.NoFlashExposureTime); ok {
		return &v
	}
	return nil
}

// LightOf is the light intensity that an exposure without flash tells of; ok is false where it tells nothing.
func LightOf(brightness, seconds float64) (v float64, ok bool) {
	v = math.Log10(1+brightness) / seconds
	return v, !math.IsNaN(v) && !math.IsInf(v, 0)
}

// What is asked for beside an image's metadata: the last part of the path of get_images and get_image_series.
type What string

// The kinds of picture. The server also takes "thumbnail_mini".
const (
	Metadata      What = "metadata"
	FullImage     What = "image"
	SavedImage    What = "image-download" // the same; browsers save it as DEVICE.DATETIME.jpg
	Thumbnail     What = "thumbnail"      // a JPEG that fits 512 x 384
	ThumbnailMini What = "thumbnail-mini" // a JPEG that fits 128 x 96
)
