// Package when reads dates as people write them on a command line: 2026-06-20, yesterday, 7 days ago. It imports nothing of
// this project but services/spi.
//
// It is our own since the libraries there are guess, 01/02/2026 among the rest, and give a moment where a day was meant:
// whether --until 2026-06-20 holds that day's evening must not be left to chance.
package when

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Span is what a text means: from From on, and before To. A text that names a moment has both the same; one that names a
// day, a week, a month or a year has its beginning and its end.
type Span struct{ From, To time.Time }

// Examples are for help texts and errors.
const Examples = "2026-06-20, '2026-06-20 21:33', 2026-06, today, yesterday, '7 days ago', '36 hours ago', 'last monday', 'last month'"

// most bounds a text that can be a date.
const most = 64

// Parse reads a text. now is the present; zone is where the texts without a zone of their own are meant, which says when a
// day begins, too. Capitals do not matter.
//
//   - moments: now, "36 hours ago" (minutes, hours), a date with a time (21:33 or 21:33:24), RFC 3339, and the protocol's
//     2026-06-20_21-33-24 and 2026-06-20T21:33:24Z, which are UTC in any zone;
//   - days: 2026-06-20, 20.6.2026, 20 June 2026, today, yesterday, "7 days ago" (days, weeks, months, years), a weekday with or
//     without "last" (the one before today);
//   - longer: 2026-06, June 2026, 2026, and this or last with week (from Monday), month or year.
func Parse(text string, now time.Time, zone *time.Location) (Span, error) {
	s := strings.ToLower(strings.Join(strings.Fields(text), " "))
	if len(s) > 0 && len(text) <= most {
		for _, read := range []func(string, time.Time, *time.Location) (Span, bool){absolute, relative, dayAndTime} {
			span, ok := read(s, now.In(zone), zone)
			if ok && span.From.Year() >= 1970 && span.To.Year() <= 9999 {
				return span, nil
			}
		}
	}
	if strings.Count(s, "/") == 2 {
		return Span{}, fmt.Errorf("%.64q may be one of two days: write the year first, as in 2026-06-20", text)
	}
	return Span{}, fmt.Errorf("%.64q is not a date: write it as in %s", text, Examples)
}

func moment(t time.Time) Span { return Span{t, t} }

// units are spans of so many years, months and days, by how a written date ends.
var units = []struct {
	layout              string
	years, months, days int
}{
	{"2006-1-2", 0, 0, 1}, {"2.1.2006", 0, 0, 1}, {"2 Jan 2006", 0, 0, 1}, {"2 January 2006", 0, 0, 1},
	{"2006-1", 0, 1, 0}, {"Jan 2006", 0, 1, 0}, {"January 2006", 0, 1, 0},
	{"2006", 1, 0, 0},
}

// absolute reads what does not depend on the present.
func absolute(s string, _ time.Time, zone *time.Location) (Span, bool) {
	upper := strings.ToUpper(s)
	if t, format, err := spi.ParseDatetime(upper); err == nil && format != nil {
		return moment(t), true
	}
	if t, err := time.Parse(time.RFC3339, upper); err == nil {
		return moment(t), true
	}
	for _, u := range units {
		if t, err := time.Parse(u.layout, s); err == nil {
			next := t.AddDate(u.years, u.months, u.days)
			return Span{beginning(t.Year(), t.Month(), t.Day(), zone), beginning(next.Year(), next.Month(), next.Day(), zone)}, true
		}
	}
	return Span{}, false
}

// beginning is when a day begins, which need not be one that the month has. Where clocks go forward at midnight, as in Chile
// and Egypt, that is 1:00, and time.Date names an hour of the day before.
func beginning(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if t.Hour() > 12 {
		_, before := t.Zone()
		_, after := t.Add(12 * time.Hour).Zone()
		t = t.Add(time.Duration(after-before) * time.Second)
	}
	return t
}

// relative reads what does.
func relative(s string, now time.Time, zone *time.Location) (Span, bool) {
	midnight := func(t time.Time, days int) time.Time {
		return beginning(t.Year(), t.Month(), t.Day()+days, zone)
	}
	day := func(t time.Time, days int) (Span, bool) {
		return Span{midnight(t, days), midnight(t, days+1)}, true
	}
	words := strings.Split(s, " ")
	last := len(words) == 2 && words[0] == "last"
	switch {
	case s == "now":
		return moment(now), true
	case s == "today":
		return day(now, 0)
	case s == "yesterday":
		return day(now, -1)
	case len(words) == 3 && words[2] == "ago":
		n, err := strconv.Atoi(words[0])
		if err != nil || n < 0 || n > 1e6 {
			return Span{}, false
		}
		switch strings.TrimSuffix(words[1], "s") {
		case "minute":
			return moment(now.Add(-time.Duration(n) * time.Minute)), true
		case "hour":
			return moment(now.Add(-time.Duration(n) * time.Hour)), true
		case "day":
			return day(now, -n)
		case "week":
			return day(now, -7*n)
		case "month":
			return day(monthsBefore(now, n), 0)
		case "year":
			return day(monthsBefore(now, 12*n), 0)
		}
	case last || len(words) == 2 && words[0] == "this":
		back := 0
		if last {
			back = 1
		}
		switch words[1] {
		case "week":
			monday := midnight(now, -(int(now.Weekday())+6)%7-7*back)
			return Span{monday, midnight(monday, 7)}, true
		case "month":
			month := now.Month() - time.Month(back)
			return Span{beginning(now.Year(), month, 1, zone), beginning(now.Year(), month+1, 1, zone)}, true
		case "year":
			year := now.Year() - back
			return Span{beginning(year, time.January, 1, zone), beginning(year+1, time.January, 1, zone)}, true
		}
	}
	if last {
		words = words[1:]
	}
	for d := time.Sunday; d <= time.Saturday && len(words) == 1; d++ {
		name := strings.ToLower(d.String())
		if words[0] == name || words[0] == name[:3] {
			return day(now, -(int(now.Weekday()-d)+6)%7-1)
		}
	}
	return Span{}, false
}

// monthsBefore is the same day of an earlier month, or that month's last day where it is shorter: a month before 31 March is
// the end of February, not 3 March.
func monthsBefore(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()-time.Month(n), 1, 0, 0, 0, 0, t.Location())
	return first.AddDate(0, 0, min(t.Day(), first.AddDate(0, 1, -1).Day())-1)
}

// dayAndTime reads a day and a time of it: 2026-06-20 21:33, yesterday 6:00, 2026-06-20T21:33.
func dayAndTime(s string, now time.Time, zone *time.Location) (Span, bool) {
	i := strings.LastIndexAny(s, " t")
	if i < 0 {
		return Span{}, false
	}
	clock, err := time.Parse("15:04", s[i+1:])
	if err != nil {
		if clock, err = time.Parse("15:04:05", s[i+1:]); err != nil {
			return Span{}, false
		}
	}
	for _, read := range []func(string, time.Time, *time.Location) (Span, bool){absolute, relative} {
		span, ok := read(strings.TrimSpace(s[:i]), now, zone)
		if !ok {
			continue
		}
		d := span.From
		if next := beginning(d.Year(), d.Month(), d.Day()+1, zone); !span.To.Equal(next) {
			return Span{}, false // not one day
		}
		return moment(time.Date(d.Year(), d.Month(), d.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, zone)), true
	}
	return Span{}, false
}
