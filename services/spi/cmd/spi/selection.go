package main

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/internal/when"
)

// zoneFlag says where dates are meant, on the command line and in tables.
type zoneFlag struct {
	TZ string `name:"tz" default:"UTC" env:"SPI_TZ" placeholder:"ZONE" help:"The time zone of dates given and shown: UTC, local, Europe/Zurich. Devices, file names, --json and --csv are always in UTC."`
}

func (z zoneFlag) zone() (*time.Location, error) {
	switch strings.ToLower(z.TZ) {
	case "utc", "":
		return time.UTC, nil
	case "local":
		return time.Local, nil
	}
	zone, err := time.LoadLocation(z.TZ)
	if err != nil {
		return nil, usagef("--tz: %q is not a time zone: write UTC, local or one as Europe/Zurich", z.TZ)
	}
	return zone, nil
}

// open is how commands begin that show moments.
func (z zoneFlag) open(a *app) (*spi.Client, *time.Location, error) {
	zone, err := z.zone()
	if err != nil {
		return nil, nil, err
	}
	client, err := a.client()
	return client, zone, err
}

// rangeFlags choose images, or what hangs on them, by time and device.
type rangeFlags struct {
	Since  string   `required:"" placeholder:"DATE" help:"From when on: ${dates}."`
	Until  string   `placeholder:"DATE" help:"Before when; a day, month or year is meant with all of it ('--until 2026-06-20' holds that day). Without it: no end."`
	Device []string `short:"d" placeholder:"PATTERN" help:"Which devices; * stands for any characters, ? for one. May be given several times. Without it: all."`
	zoneFlag
}

// open is how commands begin that look at a range.
func (r rangeFlags) open(a *app) (*spi.Client, []spi.Series, *time.Location, error) {
	series, zone, err := r.series(time.Now())
	if err != nil {
		return nil, nil, nil, err
	}
	client, err := a.client()
	return client, series, zone, err
}

// series gives what the flags choose, from Start (included) to End (excluded), one for each pattern of devices.
func (r rangeFlags) series(now time.Time) ([]spi.Series, *time.Location, error) {
	zone, err := r.zone()
	if err != nil {
		return nil, nil, err
	}
	since, err := when.Parse(r.Since, now, zone)
	if err != nil {
		return nil, nil, usagef("--since: %s", err)
	}
	end := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	if r.Until != "" {
		until, err := when.Parse(r.Until, now, zone)
		if err != nil {
			return nil, nil, usagef("--until: %s", err)
		}
		end = until.To
	}
	start := since.From.Truncate(time.Second)
	if !start.Before(end) {
		return nil, nil, usagef("the range is empty: --since begins at %s, --until ends at %s", stamp(start), stamp(end))
	}
	patterns := r.Device
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	all := make([]spi.Series, len(patterns))
	for i, p := range patterns {
		all[i] = spi.Series{Device: like(p), Start: spi.Datetime{Time: start.UTC()}, End: spi.Datetime{Time: end.UTC()}}
	}
	return all, zone, nil
}

// like makes an SQL LIKE pattern, as the protocol has them, of one as people write them.
func like(pattern string) string { return strings.NewReplacer("*", "%", "?", "_").Replace(pattern) }

// keyOf reads the name of an image, with a folder before it or without: DEVICE.YYYY-MM-DD_HH-MM-SS.jpg or without the
// suffix.
func keyOf(name string) (spi.ImageKey, error) {
	base := name[strings.LastIndexAny(name, `/\`)+1:]
	fields := strings.Split(base, ".")
	if len(fields) < 2 || !isDevice(fields[0]) {
		return spi.ImageKey{}, usagef("%q is not an image: write DEVICE.YYYY-MM-DD_HH-MM-SS", printable(name))
	}
	t, _, err := spi.ParseDatetime(fields[1])
	if err != nil {
		return spi.ImageKey{}, usagef("%q is not an image: %s", printable(name), err)
	}
	return spi.ImageKey{Device: fields[0], Datetime: spi.Datetime{Time: t}}, nil
}

// isDevice says whether a device's name, which may come from the server, is one: 8 hexadecimal digits. Then it is no pattern
// and harmless in a path.
func isDevice(s string) bool { return len(s) == 8 && isHex(s) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }

// counted counts the rows that pass.
func counted[T any](rows iter.Seq2[T, error], n *int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			if err == nil {
				*n++
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// showFound is [show] for what was found in series. It tells people, not programs, why there may be nothing to see.
func showFound[T any](a *app, f outputFlags, what string, series []spi.Series, rows iter.Seq2[T, error], columns ...column[T]) error {
	n := 0
	err := show(a, f, counted(rows, &n), columns...)
	if err != nil || n > 0 || f.JSON || f.CSV || a.Quiet {
		return err
	}
	until := ""
	if end := series[0].End.Time; end.Year() < 9999 {
		until = " until " + stamp(end)
	}
	a.remark("there are no %s since %s%s of these devices", what, stamp(series[0].Start.Time), until)
	return nil
}

// number writes a measured value for people.
func number(decimals int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", decimals, v) }
}
