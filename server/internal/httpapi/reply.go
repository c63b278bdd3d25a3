package httpapi

import (
	"database/sql"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// flushFrom is how many bytes of a reply are gathered before they are sent. Until then a failure still gets a status of
// its own.
const flushFrom = 64 << 10

// list streams a reply, which is a JSON list. Rows are appended by hand: encoding/json takes several times as long for
// them, and replies hold up to a million.
type list struct {
	c      *gin.Context
	format spi.DateFormat
	buf    []byte
	rows   int
	hold   bool // until the reply is whole

	now    func() time.Time // nil: however slowly the client reads
	waited time.Duration    // for the client
	sent   int
}

// A client that reads a reply for which memory is held may take so long at first, and then has to take so many bytes a
// second, before they are compressed.
const (
	slowGrace = 30 * time.Second
	slowPace  = 16 << 10
)

// hurry ends the reply where the client reads it too slowly. One that takes nothing at all is ended by the HTTP server.
func (l *list) hurry(now func() time.Time) { l.now = now }

func newList(c *gin.Context, format spi.DateFormat) *list {
	return &list{c: c, format: format, buf: append(make([]byte, 0, flushFrom+4096), '[')}
}

// row gives the buffer to append one more row to; done takes it back.
func (l *list) row() []byte {
	if l.rows > 0 {
		l.buf = append(l.buf, ',')
	}
	l.rows++
	return l.buf
}

func (l *list) done(b []byte) error {
	l.buf = b
	if l.hold || len(l.buf) < flushFrom {
		return nil
	}
	return l.send()
}

func (l *list) send() error {
	if !l.c.Writer.Written() {
		l.c.Header("Content-Type", "application/json")
		l.c.Status(http.StatusOK)
	}
	for piece := range slices.Chunk(l.buf, flushFrom+4096) {
		if err := l.write(piece); err != nil {
			return err
		}
	}
	l.buf = l.buf[:0]
	return nil
}

func (l *list) write(b []byte) error {
	var began time.Time
	if l.now != nil {
		began = l.now()
	}
	if _, err := l.c.Writer.Write(b); err != nil {
		return spi.Wrap(spi.CodeUnavailable, err, "the client went away")
	}
	if l.now == nil {
		return nil
	}
	l.sent += len(b)
	if l.waited += l.now().Sub(began); l.waited > slowGrace+time.Duration(l.sent/slowPace)*time.Second {
		return spi.Errorf(spi.CodeUnavailable, "the client reads too slowly")
	}
	return nil
}

// end closes the list and sends what is left. The body is drained first: see [api.body].
func (l *list) end() error {
	l.buf = append(l.buf, ']')
	if !l.c.Writer.Written() {
		drain(l.c)
		l.c.Header("Content-Length", strconv.Itoa(len(l.buf)))
	}
	return l.send()
}

// The fields of an object are appended in the order of their names, as the protocol says.

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			q, err := json.Marshal(s)
			if err != nil { // strings always marshal
				panic(err)
			}
			return append(b, q...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendNullText(b []byte, s sql.Null[string]) []byte {
	if !s.Valid {
		return append(b, "null"...)
	}
	return appendText(b, s.V)
}

func appendNullNumber(b []byte, n sql.Null[float64]) []byte {
	if !n.Valid || math.IsNaN(n.V) || math.IsInf(n.V, 0) {
		return append(b, "null"...)
	}
	format := byte('f')
	if abs := math.Abs(n.V); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, n.V, format, -1, 64)
}

func appendTime(b []byte, t time.Time, f spi.DateFormat) []byte {
	b = append(b, '"')
	b = spi.AppendDatetime(b, t, f)
	return append(b, '"')
}

func appendBool(b []byte, v bool) []byte { return strconv.AppendBool(b, v) }

// appendImage appends an image. url is called for the value of its url; a nil url leaves the field out.
func appendImage(b []byte, m *store.Image, f spi.DateFormat, url func([]byte, *store.Image) []byte) []byte {
	b = append(b, `{"alt":`...)
	b = appendNullNumber(b, m.Alt)
	b = append(b, `,"api_user":`...)
	b = appendNullText(b, m.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, m.APIVersion)
	b = append(b, `,"bat":`...)
	b = appendNullNumber(b, m.Bat)
	b = append(b, `,"but":`...)
	b = appendNullNumber(b, m.But)
	b = append(b, `,"datetime":`...)
	b = appendTime(b, m.Datetime, f)
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, m.DatetimeCreated, f)
	b = append(b, `,"device":`...)
	b = appendText(b, m.Device)
	b = append(b, `,"device_version":`...)
	b = appendNullText(b, m.DeviceVersion)
	b = append(b, `,"height":`...)
	b = strconv.AppendInt(b, int64(m.Height), 10)
	b = append(b, `,"hum":`...)
	b = appendNullNumber(b, m.Hum)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, m.ID, 10)
	b = append(b, `,"lat":`...)
	b = appendNullNumber(b, m.Lat)
	b = append(b, `,"lng":`...)
	b = appendNullNumber(b, m.Lng)
	b = append(b, `,"lum":`...)
	b = appendNullNumber(b, m.Lum)
	b = append(b, `,"md5":`...)
	b = appendText(b, m.MD5)
	b = append(b, `,"no_flash_bv":`...)
	b = appendNullNumber(b, m.NoFlashBV)
	b = append(b, `,"no_flash_exposure_time":`...)
	b = appendNullNumber(b, m.NoFlashExposureTime)
	b = append(b, `,"no_flash_iso":`...)
	b = appendNullNumber(b, m.NoFlashISO)
	b = append(b, `,"no_flash_shutter_speed":`...)
	b = appendNullNumber(b, m.NoFlashShutterSpeed)
	b = append(b, `,"temp":`...)
	b = appendNullNumber(b, m.Temp)
	if url != nil {
		b = append(b, `,"url":`...)
		b = url(b, m)
	}
	b = append(b, `,"width":`...)
	b = strconv.AppendInt(b, int64(m.Width), 10)
	return append(b, '}')
}

// hiddenHash stands where the old server showed a password's hash.
const hiddenHash = "***********"

func appendUser(b []byte, u *store.User, f spi.DateFormat) []byte {
	b = append(b, `{"api_user":`...)
	b = appendNullText(b, u.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, u.APIVersion)
	b = append(b, `,"can_write":`...)
	b = appendBool(b, u.CanWrite)
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, u.DatetimeCreated, f)
	b = append(b, `,"email":`...)
	b = appendNullText(b, u.Email)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, u.ID, 10)
	b = append(b, `,"is_admin":`...)
	b = appendBool(b, u.IsAdmin)
	b = append(b, `,"password_hash":"`+hiddenHash+`","username":`...)
	b = appendText(b, u.Username)
	return append(b, '}')
}
