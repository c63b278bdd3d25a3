package sqlstore

import (
	"database/sql"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

// Reading rows is where the server spends its time: a reply may hold a million. The scanners below take what the two
// drivers give without reflection, into one row whose places are bound once, and keep one copy of texts that repeat.

// imageColumns are the columns of images, in the order of [imageRow]'s places.
const imageColumns = "id, device, datetime, md5, device_version, width, height, alt, lat, lng, temp, hum, " +
	"no_flash_shutter_speed, no_flash_exposure_time, no_flash_bv, no_flash_iso, lum, bat, but, datetime_created, api_version, api_user"

const userColumns = "id, username, email, password_hash, is_admin, can_write, datetime_created, api_version, api_user"

// interner keeps one copy of each text. Devices, versions and users are few; what is not must not fill the memory.
type interner map[string]string

const maxInterned = 4096

func (in interner) text(b []byte) string {
	if s, ok := in[string(b)]; ok {
		return s
	}
	if len(in) >= maxInterned {
		clear(in)
	}
	s := string(b)
	in[s] = s
	return s
}

func (in interner) keep(s string) string {
	if kept, ok := in[s]; ok {
		return kept
	}
	if len(in) >= maxInterned {
		clear(in)
	}
	in[s] = s
	return s
}

type intoText struct {
	p  *string
	in interner // nil: do not intern
}

func (t intoText) Scan(src any) error {
	switch v := src.(type) {
	case []byte:
		if t.in != nil {
			*t.p = t.in.text(v)
		} else {
			*t.p = string(v)
		}
	case string:
		if t.in != nil {
			v = t.in.keep(v)
		}
		*t.p = v
	default:
		return unexpected(src, "text")
	}
	return nil
}

type intoNullText struct {
	p  *sql.Null[string]
	in interner
}

func (t intoNullText) Scan(src any) error {
	if src == nil {
		*t.p = sql.Null[string]{}
		return nil
	}
	t.p.Valid = true
	return intoText{&t.p.V, t.in}.Scan(src)
}

type intoInt64 struct{ p *int64 }

func (t intoInt64) Scan(src any) (err error) {
	switch v := src.(type) {
	case int64:
		*t.p = v
	case []byte:
		*t.p, err = strconv.ParseInt(string(v), 10, 64)
	default:
		err = unexpected(src, "a whole number")
	}
	return err
}

type intoNullInt struct{ p *sql.Null[int64] }

func (t intoNullInt) Scan(src any) error {
	*t.p = sql.Null[int64]{}
	if src == nil {
		return nil
	}
	t.p.Valid = true
	return intoInt64{&t.p.V}.Scan(src)
}

type intoInt struct{ p *int }

func (t intoInt) Scan(src any) error {
	var v int64
	err := intoInt64{&v}.Scan(src)
	*t.p = int(v)
	return err
}

// intoBool takes NULL for false: only a database that is not migrated has it.
type intoBool struct{ p *bool }

func (t intoBool) Scan(src any) error {
	var v int64
	if src == nil {
		*t.p = false
		return nil
	}
	err := intoInt64{&v}.Scan(src)
	*t.p = v != 0
	return err
}

type intoNullFloat struct{ p *sql.Null[float64] }

func (t intoNullFloat) Scan(src any) (err error) {
	t.p.Valid = true
	switch v := src.(type) {
	case nil:
		*t.p = sql.Null[float64]{}
	case float64:
		t.p.V = v
	case int64:
		t.p.V = float64(v)
	case []byte:
		t.p.V, err = strconv.ParseFloat(string(v), 64)
	default:
		err = unexpected(src, "a number")
	}
	return err
}

type intoTime struct{ p *time.Time }

func (t intoTime) Scan(src any) error {
	switch v := src.(type) {
	case time.Time:
		*t.p = v
	case int64:
		*t.p = time.Unix(v, 0).UTC()
	default:
		return unexpected(src, "a time")
	}
	return nil
}

type intoNullTime struct{ p *sql.Null[time.Time] }

func (t intoNullTime) Scan(src any) error {
	*t.p = sql.Null[time.Time]{}
	if src == nil {
		return nil
	}
	t.p.Valid = true
	return intoTime{&t.p.V}.Scan(src)
}

func unexpected(src any, want string) error {
	return fmt.Errorf("the database gave %T, not %s", src, want)
}

// page is a buffer of rows that have been read and not yet handed on.
type page struct {
	row    store.Image // the places of the scanners
	places []any
	images []store.Image
}

// pageRows is the number of rows read at once: enough that the round trips do not count, and about 1 MB.
const pageRows = 2000

var pages = sync.Pool{New: func() any { return newPage() }}

func newPage() *page {
	p := &page{images: make([]store.Image, 0, pageRows)}
	in := make(interner)
	r := &p.row
	p.places = []any{
		&intoInt64{&r.ID}, &intoText{&r.Device, in}, &intoTime{&r.Datetime}, &intoText{&r.MD5, nil},
		&intoNullText{&r.DeviceVersion, in}, &intoInt{&r.Width}, &intoInt{&r.Height},
		&intoNullFloat{&r.Alt}, &intoNullFloat{&r.Lat}, &intoNullFloat{&r.Lng}, &intoNullFloat{&r.Temp}, &intoNullFloat{&r.Hum},
		&intoNullFloat{&r.NoFlashShutterSpeed}, &intoNullFloat{&r.NoFlashExposureTime}, &intoNullFloat{&r.NoFlashBV},
		&intoNullFloat{&r.NoFlashISO}, &intoNullFloat{&r.Lum}, &intoNullFloat{&r.Bat}, &intoNullFloat{&r.But},
		&intoTime{&r.DatetimeCreated}, &intoNullText{&r.APIVersion, in}, &intoNullText{&r.APIUser, in},
	}
	return p
}

// fill reads all rows, of the first of imageColumns, into the page, and closes them.
func (p *page) fill(rows *sql.Rows, err error) error {
	p.images = p.images[:0]
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(p.places[:len(columns)]...); err != nil {
			return err
		}
		p.images = append(p.images, p.row)
	}
	return rows.Err()
}

// free gives the page back for the next request.
func (p *page) free() {
	clear(p.images)
	pages.Put(p)
}

func scanUser(scan func(...any) error) (u store.User, err error) {
	err = scan(&intoInt64{&u.ID}, &intoText{&u.Username, nil}, &intoNullText{&u.Email, nil}, &intoText{&u.PasswordHash, nil},
		&intoBool{&u.IsAdmin}, &intoBool{&u.CanWrite}, &intoTime{&u.DatetimeCreated}, &intoNullText{&u.APIVersion, nil},
		&intoNullText{&u.APIUser, nil})
	return u, err
}
