package spi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseDatetimeReadsEveryForm(t *testing.T) {
	v1, v2 := DateV1, DateV2
	when := time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)
	for _, test := range []struct {
		in     string
		want   time.Time
		format *DateFormat
	}{
		{"2020-06-20_21-33-24", when, &v1},
		{"2020-06-20T21:33:24Z", when, &v2},
		{"2020-06-20", when.Truncate(24 * time.Hour), nil},
		{"2020-02-29_00-00-00", time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC), &v1},
		{"0001-01-01T00:00:00Z", time.Time{}, &v2},
		{"9999-12-31_23-59-59", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), &v1},
	} {
		t.Run(test.in, func(t *testing.T) {
			got, format, err := ParseDatetime(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("time (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.format, format); diff != "" {
				t.Errorf("format (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDatetimeRefusesWhatIsNoDate(t *testing.T) {
	for _, in := range []string{
		"", "now", "2020-06-20 21:33:24", "2020-06-20T21:33:24", "2020-06-20T21:33:24+00:00", "2020-06-20T21-33-24Z",
		"2020-06-20_21:33:24", "2020-06-20_21-33-24Z", "2020-06-31_00-00-00", "2021-02-29", "2020-06-20_24-00-00",
		"2020-06-20_21-33-60", "2020-6-20_21-33-244", "2020-06-20T1:33:24.5Z", "2020-06-20_1-33-24.5", "20-06-20",
		"2020-06-20\n", strings.Repeat("2", 1000),
	} {
		if got, _, err := ParseDatetime(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		} else if len(err.Error()) > 250 {
			t.Errorf("%q gives a message of %d bytes", in, len(err.Error()))
		}
	}
}

func TestAppendDatetimeWritesUTC(t *testing.T) {
	west := time.FixedZone("west", -7*3600)
	when := time.Date(2020, 6, 20, 21, 33, 24, 999_999_999, west)
	for format, want := range map[DateFormat]string{DateV1: "2020-06-21_04-33-24", DateV2: "2020-06-21T04:33:24Z"} {
		if got := string(AppendDatetime([]byte("at "), when, format)); got != "at "+want {
			t.Errorf("AppendDatetime gives %q, want %q after what was there", got, want)
		}
		if got := FormatDatetime(when, format); got != want {
			t.Errorf("FormatDatetime gives %q, want %q", got, want)
		}
	}
}

func TestAppendDatetimeDoesNotAllocate(t *testing.T) {
	b, when := make([]byte, 0, 64), time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)
	if n := testing.AllocsPerRun(100, func() { b = AppendDatetime(b[:0], when, DateV2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDatetimeInJSON(t *testing.T) {
	type object struct{ At Datetime }
	for in, want := range map[string]string{
		`{"At":"2020-06-20_21-33-24"}`:  `{"At":"2020-06-20T21:33:24Z"}`,
		`{"At":"2020-06-20T21:33:24Z"}`: `{"At":"2020-06-20T21:33:24Z"}`,
		`{"At":"2020-06-20"}`:           `{"At":"2020-06-20T00:00:00Z"}`,
		`{"At":null}`:                   `{"At":null}`,
	} {
		var o object
		if err := json.Unmarshal([]byte(in), &o); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		got, err := json.Marshal(o)
		if err != nil || string(got) != want {
			t.Errorf("%s is written as %s (%v), want %s", in, got, err, want)
		}
	}
	for _, in := range []string{`{"At":1592688804}`, `{"At":""}`, `{"At":"soon"}`, `{"At":["2020-06-20"]}`, `{"At":true}`} {
		if err := json.Unmarshal([]byte(in), &object{}); err == nil {
			t.Errorf("%s was read", in)
		}
	}
}

// FuzzParseDatetime: what has a format is written back as it was; what has none is a day.
func FuzzParseDatetime(f *testing.F) {
	for _, seed := range []string{"2020-06-20_21-33-24", "2020-06-20T21:33:24Z", "2020-06-20", "2020-06-20_1-33-24.5", "0000-01-01_00-00-00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, format, err := ParseDatetime(in)
		switch {
		case err != nil:
		case format != nil:
			if back := FormatDatetime(got, *format); back != in {
				t.Errorf("%q is written back as %q", in, back)
			}
		case got.Format(time.DateOnly) != in:
			t.Errorf("%q is the day %v", in, got)
		}
	})
}

// FuzzAppendDatetime: both formats are as time.Format writes them, whatever the zone and the year, and are read back to the
// same second.
func FuzzAppendDatetime(f *testing.F) {
	f.Add(int64(1592688804), int64(0), 0)
	f.Add(int64(-62135596800), int64(999_999_999), 3600)
	f.Add(int64(253402300799), int64(1), -43200)
	f.Add(int64(253402300800), int64(0), 0)
	f.Add(int64(-62167219201), int64(0), 0)
	f.Fuzz(func(t *testing.T, seconds, nanos int64, offset int) {
		const reach = 1 << 40 // 34,000 years, on both sides of those with four digits
		when := time.Unix(seconds%reach, nanos).In(time.FixedZone("zone", offset%86400))
		for _, format := range []DateFormat{DateV1, DateV2} {
			got := FormatDatetime(when, format)
			if want := when.UTC().Format(format.layout()); got != want {
				t.Errorf("%v is written as %q, want %q", when, got, want)
			}
			if year := when.UTC().Year(); year < 0 || year > 9999 {
				continue
			}
			back, read, err := ParseDatetime(got)
			if err != nil || read == nil || *read != format || !back.Equal(when.Truncate(time.Second)) {
				t.Errorf("%v: %q is read as %v, %v, %v", when, got, back, read, err)
			}
		}
	})
}
