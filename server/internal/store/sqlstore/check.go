package sqlstore

import (
	"database/sql"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// The lengths of MariaDB's columns, in characters. They are checked here, so that both databases refuse the same and the
// message names the field.
const (
	maxUsername      = 32
	maxEmail         = 64
	maxHash          = 128
	maxVersion       = 8
	maxDevice        = 8
	maxDeviceVersion = 8
	maxMD5           = 32
)

// isText says whether both databases can hold s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

type field struct {
	name  string
	value string
	most  int
}

// checkTexts names the first field that does not fit.
func checkTexts(table string, fields ...field) error {
	for _, f := range fields {
		if !isText(f.value) {
			return spi.Errorf(spi.CodeInvalid, "writing table %s: %s is not valid text", table, f.name)
		}
		if n := utf8.RuneCountInString(f.value); n > f.most {
			return spi.Errorf(spi.CodeInvalid, "writing table %s: %s has %d characters; at most %d are possible", table, f.name, n, f.most)
		}
	}
	return nil
}

func checkProvenance(table string, p store.Provenance) error {
	if y := p.DatetimeCreated.UTC().Year(); y < 1 || y > 9999 {
		return spi.Errorf(spi.CodeInvalid, "writing table %s: datetime_created is out of range", table)
	}
	return checkTexts(table, field{"api_version", p.APIVersion.V, maxVersion}, field{"api_user", p.APIUser.V, maxUsername})
}

func checkUser(u *store.User) error {
	if u.Username == "" {
		return spi.Errorf(spi.CodeInvalid, "writing table users: username is empty")
	}
	if err := checkTexts("users", field{"username", u.Username, maxUsername}, field{"email", u.Email.V, maxEmail},
		field{"password_hash", u.PasswordHash, maxHash}); err != nil {
		return err
	}
	return checkProvenance("users", u.Provenance)
}

func checkImage(i *store.Image) error {
	if err := checkTexts("images", field{"device", i.Device, maxDevice}, field{"md5", i.MD5, maxMD5},
		field{"device_version", i.DeviceVersion.V, maxDeviceVersion}); err != nil {
		return err
	}
	if i.Width < 0 || i.Width > math.MaxInt32 || i.Height < 0 || i.Height > math.MaxInt32 {
		return spi.Errorf(spi.CodeInvalid, "writing table images: %d x %d is no size of an image", i.Width, i.Height)
	}
	for _, f := range []struct {
		name  string
		value sql.Null[float64]
	}{
		{"alt", i.Alt}, {"lat", i.Lat}, {"lng", i.Lng}, {"temp", i.Temp}, {"hum", i.Hum},
		{"no_flash_shutter_speed", i.NoFlashShutterSpeed}, {"no_flash_exposure_time", i.NoFlashExposureTime},
		{"no_flash_bv", i.NoFlashBV}, {"no_flash_iso", i.NoFlashISO}, {"lum", i.Lum}, {"bat", i.Bat}, {"but", i.But},
	} {
		if f.value.Valid && (math.IsNaN(f.value.V) || math.IsInf(f.value.V, 0)) {
			return spi.Errorf(spi.CodeInvalid, "writing table images: %s is not a finite number", f.name)
		}
	}
	return checkProvenance("images", i.Provenance)
}

// fold makes ASCII letters small: names are compared without case, in both databases and here alike.
func fold(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// isPlain says whether a device's name holds ASCII letters and digits only. Of these, and of no others for certain, every
// database has the same order and the same idea of equality as [fold].
func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !('0' <= s[i] && s[i] <= '9' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}
