package httpapi

import (
	"database/sql"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/server/internal/plot"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const (
	usualDays  = 28
	maxDays    = 3660
	recent     = 24      // images of a device that are looked at for what is known last
	dayBytes   = 128     // about what a day of a device takes of the memory, and
	lineBytes  = 2 * 800 // a line of the reply, which grows by doubling, and
	countBytes = 2 * 6   // each of its numbers of images
	// Images whose times are read for a request, of days that changed: a second's work.
	maxTimes   = 1_000_000
	daySeconds = store.DaySeconds
)

// devicesQuery is what is asked of /v2/devices.
type devicesQuery struct {
	first, end int // days since 1970-01-01
	patterns   []string
	format     spi.DateFormat // of the reply's dates
}

func readDevicesQuery(query url.Values, now time.Time) (q devicesQuery, err error) {
	for name, values := range query {
		switch {
		case name == "device":
		case name != "start" && name != "end":
			return q, spi.Errorf(spi.CodeInvalid, "%.40q is not a parameter of this request: those are start, end and device", name)
		case len(values) > 1:
			return q, spi.Errorf(spi.CodeInvalid, "%s: is given more than once", name)
		}
	}
	date := func(name string, def time.Time) time.Time {
		if !query.Has(name) {
			return def
		}
		t, format, failed := spi.ParseDatetime(query.Get(name))
		if failed != nil && err == nil {
			err = spi.Errorf(spi.CodeInvalid, "%s: %v", name, failed)
		}
		if format != nil {
			q.format = *format
		}
		return t
	}
	// start's format, where it has one, goes before end's
	q.format = spi.DateV2
	end := date("end", now)
	start := date("start", end.AddDate(0, 0, -usualDays))
	if err != nil {
		return q, err
	}
	q.first, q.end = floorDay(start.Unix()), floorDay(end.Unix()-1)+1
	switch {
	case !start.Before(end):
		return q, spi.Errorf(spi.CodeInvalid, "end: must be later than start")
	case q.end-q.first > maxDays:
		return q, spi.Errorf(spi.CodeInvalid, "the range has %d days: ask for at most %d", q.end-q.first, maxDays)
	}
	q.patterns = query["device"]
	if len(q.patterns) > maxPatterns {
		return q, spi.Errorf(spi.CodeInvalid, "device: is given more than %d times", maxPatterns)
	}
	if len(q.patterns) == 0 {
		q.patterns = []string{"%"}
	}
	return q, nil
}

// floorDay is the UTC day of a time.
func floorDay(at int64) int {
	day := at / daySeconds
	if at%daySeconds < 0 {
		day--
	}
	return int(day)
}

// deviceState is what a line of the reply is made of.
type deviceState struct {
	device  string
	regular plot.Regularity
	newest  []store.Image // the newest first
}

// getDevices holds the reply until it is whole: of too many days that changed it is told by a status.
func (a *api) getDevices(c *gin.Context, user *store.User) error {
	now := a.Now().UTC()
	q, err := readDevicesQuery(c.Request.URL.Query(), now)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	devices, err := a.Views.DevicesLike(ctx, q.patterns)
	if err != nil {
		return err
	}
	days := q.end - q.first
	bytes := maxDevicesAtOnce*days*dayBytes + len(devices)*(lineBytes+days*countBytes)
	if bytes > userPlotBytes {
		return spi.Errorf(spi.CodeInvalid, "%d days of %d devices are more than one reply may hold: ask for a shorter range, or fewer devices", days, len(devices))
	}
	done, err := a.plots.take(ctx, user.ID, bytes)
	if err != nil {
		return err
	}
	defer done()
	effort := store.NewEffort(maxTimes, 0)
	l := newList(c, q.format)
	l.hold = true
	l.hurry(a.Now)
	for len(devices) > 0 {
		some := devices[:min(len(devices), maxDevicesAtOnce)]
		devices = devices[len(some):]
		states := make([]deviceState, len(some))
		g, within := errgroup.WithContext(ctx)
		for i, device := range some {
			g.Go(func() (err error) {
				states[i].device = device
				var days []store.DaySummary
				if err := a.Views.DaySummaries(within, device, q.first, q.end, effort, func(d store.DaySummary) { days = append(days, d) }); err != nil {
					return err
				}
				states[i].regular = plot.RegularityOf(days, q.first, q.end)
				states[i].newest, err = a.Views.NewestImages(within, device, recent)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i := range states {
			if len(states[i].newest) == 0 {
				continue // deleted meanwhile
			}
			if err := l.done(appendDevice(l.row(), &states[i], now, q.format)); err != nil {
				return err
			}
		}
	}
	return l.end()
}

// known gives the newest value that is there and makes sense.
func known(images []store.Image, value func(*store.Image) sql.Null[float64], sense func(float64) bool) sql.Null[float64] {
	for i := range images {
		if v := value(&images[i]); v.Valid && sense(v.V) {
			return v
		}
	}
	return sql.Null[float64]{}
}

// clockAhead is by how many seconds at least the device's clock was ahead when it took the images: they cannot be stored
// before they are taken.
func clockAhead(images []store.Image) (seconds int64) {
	for i := range images {
		seconds = max(seconds, images[i].Datetime.Unix()-images[i].DatetimeCreated.Unix())
	}
	return seconds
}

func appendDevice(b []byte, s *deviceState, now time.Time, f spi.DateFormat) []byte {
	last := &s.newest[0]
	always := func(float64) bool { return true }
	number := func(name string, v sql.Null[float64]) {
		b = append(b, name...)
		b = appendNullNumber(b, v)
	}
	whole := func(name string, v int64) {
		b = append(b, name...)
		b = strconv.AppendInt(b, v, 10)
	}
	interval := sql.Null[float64]{V: float64(s.regular.Interval), Valid: s.regular.Interval > 0}
	number(`{"alt":`, known(s.newest, func(i *store.Image) sql.Null[float64] { return i.Alt }, always))
	number(`,"battery":`, known(s.newest, func(i *store.Image) sql.Null[float64] { return i.Bat }, always))
	whole(`,"clock_ahead":`, clockAhead(s.newest))
	b = append(b, `,"device":`...)
	b = appendText(b, s.device)
	b = append(b, `,"device_version":`...)
	b = appendNullText(b, last.DeviceVersion)
	number(`,"expected_per_day":`, sql.Null[float64]{V: daySeconds / max(1, interval.V), Valid: interval.Valid})
	whole(`,"gaps":`, int64(s.regular.Gaps))
	number(`,"humidity":`, known(s.newest, func(i *store.Image) sql.Null[float64] { return i.Hum }, func(v float64) bool { return v >= 0 }))
	whole(`,"images":`, int64(s.regular.Images))
	b = append(b, `,"images_per_day":[`...)
	for i, n := range s.regular.PerDay {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	number(`],"interval":`, interval)
	b = append(b, `,"last_datetime":`...)
	b = appendTime(b, last.Datetime, f)
	whole(`,"last_id":`, last.ID)
	number(`,"lat":`, known(s.newest, func(i *store.Image) sql.Null[float64] { return i.Lat }, always))
	number(`,"lng":`, known(s.newest, func(i *store.Image) sql.Null[float64] { return i.Lng }, always))
	whole(`,"longest_gap":`, s.regular.Longest)
	whole(`,"silence":`, now.Unix()-last.Datetime.Unix())
	number(`,"temperature":`, known(s.newest, func(i *store.Image) sql.Null[float64] { return i.Temp }, func(v float64) bool { return v >= -300 }))
	whole(`,"upload_delay":`, last.DatetimeCreated.Unix()-last.Datetime.Unix())
	return append(b, '}')
}
