package when

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
)

// now is a Wednesday, 00:30 of the 24th in Zurich, still the 23rd in UTC.
var now = time.Date(2026, 6, 23, 22, 30, 15, 0, time.UTC)

func zurich(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func utc(text string) time.Time {
	t, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ text, from, to string }{
		{"2026-06-20", "2026-06-20 00:00:00", "2026-06-21 00:00:00"},
		{"2026-6-3", "2026-06-03 00:00:00", "2026-06-04 00:00:00"},
		{"20.6.2026", "2026-06-20 00:00:00", "2026-06-21 00:00:00"},
		{"20 June 2026", "2026-06-20 00:00:00", "2026-06-21 00:00:00"},
		{"3 DEC 2025", "2025-12-03 00:00:00", "2025-12-04 00:00:00"},
		{"2026-06", "2026-06-01 00:00:00", "2026-07-01 00:00:00"},
		{"december 2025", "2025-12-01 00:00:00", "2026-01-01 00:00:00"},
		{"2026", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},

		{"2026-06-20 21:33", "2026-06-20 21:33:00", ""},
		{"2026-06-20T21:33", "2026-06-20 21:33:00", ""},
		{"2026-06-20 21:33:24", "2026-06-20 21:33:24", ""},
		{"2026-06-20_21-33-24", "2026-06-20 21:33:24", ""},
		{"2026-06-20T21:33:24Z", "2026-06-20 21:33:24", ""},
		{"2026-06-20T21:33:24+02:00", "2026-06-20 19:33:24", ""},
		{"yesterday 6:05", "2026-06-22 06:05:00", ""},
		{"last monday 23:59", "2026-06-22 23:59:00", ""},

		{" Now ", "2026-06-23 22:30:15", ""},
		{"36 hours ago", "2026-06-22 10:30:15", ""},
		{"1 minute  ago", "2026-06-23 22:29:15", ""},
		{"today", "2026-06-23 00:00:00", "2026-06-24 00:00:00"},
		{"YESTERDAY", "2026-06-22 00:00:00", "2026-06-23 00:00:00"},
		{"7 days ago", "2026-06-16 00:00:00", "2026-06-17 00:00:00"},
		{"0 days ago", "2026-06-23 00:00:00", "2026-06-24 00:00:00"},
		{"2 weeks ago", "2026-06-09 00:00:00", "2026-06-10 00:00:00"},
		{"1 month ago", "2026-05-23 00:00:00", "2026-05-24 00:00:00"},
		{"2 years ago", "2024-06-23 00:00:00", "2024-06-24 00:00:00"},
		{"last monday", "2026-06-22 00:00:00", "2026-06-23 00:00:00"},
		{"last tuesday", "2026-06-16 00:00:00", "2026-06-17 00:00:00"}, // today is one
		{"wednesday", "2026-06-17 00:00:00", "2026-06-18 00:00:00"},
		{"last sun", "2026-06-21 00:00:00", "2026-06-22 00:00:00"},
		{"this week", "2026-06-22 00:00:00", "2026-06-29 00:00:00"},
		{"last week", "2026-06-15 00:00:00", "2026-06-22 00:00:00"},
		{"last month", "2026-05-01 00:00:00", "2026-06-01 00:00:00"},
		{"this year", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
	} {
		t.Run(test.text, func(t *testing.T) {
			want := moment(utc(test.from))
			if test.to != "" {
				want.To = utc(test.to)
			}
			got, err := Parse(test.text, now, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, Span{got.From.UTC(), got.To.UTC()}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMonthAgoIsADayOfTheMonthBefore(t *testing.T) {
	for _, test := range []struct{ now, text, from string }{
		{"2026-03-31", "1 month ago", "2026-02-28"},
		{"2024-03-31", "1 month ago", "2024-02-29"},
		{"2026-03-31", "2 months ago", "2026-01-31"},
		{"2026-12-31", "13 months ago", "2025-11-30"},
		{"2026-01-15", "1 month ago", "2025-12-15"},
		{"2024-02-29", "1 year ago", "2023-02-28"},
		{"2024-02-29", "4 years ago", "2020-02-29"},
	} {
		got, err := Parse(test.text, utc(test.now+" 12:00:00"), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(utc(test.from+" 00:00:00"), got.From); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", test.text, test.now, diff)
		}
	}
}

func TestDaysBeginWhereTheZoneSays(t *testing.T) {
	for _, test := range []struct{ text, from, to string }{
		{"today", "2026-06-23 22:00:00", "2026-06-24 22:00:00"},
		{"2026-01-15", "2026-01-14 23:00:00", "2026-01-15 23:00:00"},
		{"2026-03-29", "2026-03-28 23:00:00", "2026-03-29 22:00:00"}, // summer begins: 23 hours
		{"2026-10-25", "2026-10-24 22:00:00", "2026-10-25 23:00:00"}, // and ends: 25
		{"2026-10-25 12:00", "2026-10-25 11:00:00", "2026-10-25 11:00:00"},
		{"2026-06-20_21-33-24", "2026-06-20 21:33:24", "2026-06-20 21:33:24"},
		{"last monday", "2026-06-21 22:00:00", "2026-06-22 22:00:00"},
	} {
		got, err := Parse(test.text, now, zurich(t))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Span{utc(test.from), utc(test.to)}, Span{got.From.UTC(), got.To.UTC()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestADayWithoutMidnightBeginsAtOne(t *testing.T) {
	santiago, err := time.LoadLocation("America/Santiago") // 4 hours behind; 3 from 6 September 2026, 0:00, on
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 9, 6, 12, 0, 0, 0, santiago)
	for _, test := range []struct{ text, from, to string }{
		{"2026-09-05", "2026-09-05 04:00:00", "2026-09-06 04:00:00"},
		{"2026-09-06", "2026-09-06 04:00:00", "2026-09-07 03:00:00"},
		{"today", "2026-09-06 04:00:00", "2026-09-07 03:00:00"},
		{"yesterday", "2026-09-05 04:00:00", "2026-09-06 04:00:00"},
		{"2026-09-06 12:00", "2026-09-06 15:00:00", "2026-09-06 15:00:00"},
		{"2026-09", "2026-09-01 04:00:00", "2026-10-01 03:00:00"},
		{"last month", "2026-08-01 04:00:00", "2026-09-01 04:00:00"},
	} {
		got, err := Parse(test.text, noon, santiago)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Span{utc(test.from), utc(test.to)}, Span{got.From.UTC(), got.To.UTC()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestParseRefusesWhatItWouldHaveToGuess(t *testing.T) {
	for _, text := range []string{
		"", " ", "06/20/2026", "20/06/2026", "soon", "2026-13-01", "2026-02-30", "2026-06-20 25:00", "-3 days ago", "3 fortnights ago",
		"99999999999999999999 days ago", "1000000 days ago", "last", "this monday", "ago", "1 days", "1969-12-31", "10000-01-01", "last month 12:00",
		"2026-06-20 21:33 21:33", strings.Repeat(" ", 70) + "today",
	} {
		if span, err := Parse(text, now, time.UTC); err == nil {
			t.Errorf("%q was read as %v", text, span)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"2026-06-20", "2026-06-20 21:33", "7 days ago", "last monday", "last month", "yesterday 6:00", "2026-06-20_21-33-24"} {
		f.Add(text)
	}
	zone := zurich(f)
	f.Fuzz(func(t *testing.T, text string) {
		span, err := Parse(text, now, zone)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 600 {
				t.Errorf("the error is not one line: %q", err)
			}
			return
		}
		if span.To.Before(span.From) {
			t.Errorf("%q ends before it begins: %v", text, span)
		}
		// what it means can be said in the protocol's own words, which mean the same
		again, err := Parse(span.From.UTC().Format("2006-01-02T15:04:05Z"), now, zone)
		if err != nil || !again.From.Equal(span.From.Truncate(time.Second)) {
			t.Errorf("%q begins at %v, read again as %v, %v", text, span.From, again.From, err)
		}
	})
}
