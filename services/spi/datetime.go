package spi

import (
	"encoding/json"
	"fmt"
	"time"
)

// DateFormat is one of the two forms in which datetimes cross the wire. Both are UTC with a resolution of one second.
type DateFormat uint8

// The formats. The zero value is the newer one, which replies use when a request holds no date.
const (
	DateV2 DateFormat = iota // 2020-06-20T21:33:24Z
	DateV1                   // 2020-06-20_21-33-24
)

// Layouts of the two formats and of a date without a time, as [time.Parse] takes them.
const (
	layoutV1  = "2006-01-02_15-04-05"
	layoutV2  = "2006-01-02T15:04:05Z"
	layoutDay = "2006-01-02"
)

func (f DateFormat) layout() string {
	if f == DateV1 {
		return layoutV1
	}
	return layoutV2
}

// ParseDatetime reads a datetime in any form that the protocol allows: v1, v2 or YYYY-MM-DD (midnight). format is nil for
// the last, which belongs to neither generation.
func ParseDatetime(s string) (t time.Time, format *DateFormat, err error) {
	f := DateV2
	switch len(s) {
	case len(layoutV1):
		f = DateV1
		fallthrough
	case len(layoutV2):
		if t, err = time.Parse(f.layout(), s); err == nil {
			return t, &f, nil
		}
	case len(layoutDay):
		if t, err = time.Parse(layoutDay, s); err == nil {
			return t, nil, nil
		}
	}
	return time.Time{}, nil, fmt.Errorf("%.40q is not a date: write YYYY-MM-DD_HH-MM-SS, YYYY-MM-DDTHH:MM:SSZ or YYYY-MM-DD (UTC)", s)
}

// AppendDatetime appends t in format f. It is on the path of every row of a reply, hence written by hand.
func AppendDatetime(b []byte, t time.Time, f DateFormat) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, f.layout())
	}
	b = append(b, byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-')
	b = append(b, byte('0'+int(month)/10), byte('0'+int(month)%10), '-', byte('0'+day/10), byte('0'+day%10))
	date, clock := byte('T'), byte(':')
	if f == DateV1 {
		date, clock = '_', '-'
	}
	b = append(b, date, byte('0'+hour/10), byte('0'+hour%10), clock, byte('0'+minute/10), byte('0'+minute%10), clock,
		byte('0'+second/10), byte('0'+second%10))
	if f == DateV2 {
		b = append(b, 'Z')
	}
	return b
}

// FormatDatetime is [AppendDatetime] to a string.
func FormatDatetime(t time.Time, f DateFormat) string {
	return string(AppendDatetime(make([]byte, 0, len(layoutV2)), t, f))
}

// Datetime is a UTC time that is read from any of the protocol's forms and written as v2.
type Datetime struct{ time.Time }

// UnmarshalJSON reads a JSON string in any of the protocol's date forms; null leaves the zero time.
func (d *Datetime) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		d.Time = time.Time{}
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a date must be a string: %w", err)
	}
	t, _, err := ParseDatetime(s)
	d.Time = t
	return err
}

// MarshalJSON writes v2's form, and null for the zero time, which no photograph has.
func (d Datetime) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	b := append(make([]byte, 0, len(layoutV2)+2), '"')
	return append(AppendDatetime(b, d.Time, DateV2), '"'), nil
}
