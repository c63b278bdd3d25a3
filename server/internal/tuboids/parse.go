package tuboids

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of what is uploaded. The first three are the widths of the database's columns, in characters.
const (
	maxID          = 100
	maxAlgoName    = 64
	maxAlgoVersion = 46
	maxInfo        = 64 << 10 // bytes of series_info
	maxLine        = 256      // bytes of a line of metadata
	maxShots       = 100_000
)

// ID is what a tuboid_id says: DEVICE.START.END.ALGOVERSION.NNNN.
type ID struct {
	Device      string // 8 hexadecimal digits, as written
	Start, End  time.Time
	AlgoVersion string // letters, digits, - and _
	Number      int    // NNNN, the tuboid's number in its series
}

// ParseID reads a tuboid_id. Its dates are in v1's form and its number has four digits, more only where four are too few:
// so that there is one name for a tuboid, and it is fit for the key of an object. CodeInvalid.
func ParseID(s string) (ID, error) {
	fields := []string{""}
	if len(s) <= maxID { // anything longer is wrong, and is not worth splitting
		fields = strings.Split(s, ".")
	}
	if len(fields) != 5 {
		return ID{}, badID(s, "it must have five fields with dots between them, and at most %d characters", maxID)
	}
	id := ID{Device: fields[0], AlgoVersion: fields[3]}
	if !isDevice(id.Device) {
		return ID{}, badID(s, "the device before the first dot must be 8 hexadecimal digits")
	}
	for i, at := range []*time.Time{&id.Start, &id.End} {
		t, format, err := spi.ParseDatetime(fields[1+i])
		// Writing it back refuses what time.Parse is lenient about.
		if err != nil || format == nil || *format != spi.DateV1 || spi.FormatDatetime(t, spi.DateV1) != fields[1+i] {
			return ID{}, badID(s, "%.30q must be a date and time, YYYY-MM-DD_HH-MM-SS", fields[1+i])
		}
		*at = t
	}
	if id.End.Before(id.Start) {
		return ID{}, badID(s, "the series ends before it starts")
	}
	if v := id.AlgoVersion; v == "" || len(v) > maxAlgoVersion || strings.ContainsFunc(v, isNotOfVersion) {
		return ID{}, badID(s, "the algorithm's version must have 1 to %d letters, digits, - and _", maxAlgoVersion)
	}
	n, err := strconv.ParseInt(fields[4], 10, 32)
	if err != nil || n < 0 || fmt.Sprintf("%04d", n) != fields[4] {
		return ID{}, badID(s, "the number after the last dot must have four digits, as 0028")
	}
	id.Number = int(n)
	return id, nil
}

func badID(s, format string, args ...any) error {
	return spi.Errorf(spi.CodeInvalid, "tuboid_id: %.120q is not the name of a tuboid: %s", s, fmt.Sprintf(format, args...))
}

func isNotOfVersion(r rune) bool {
	return r != '-' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
}

func isDevice(s string) bool {
	return len(s) == 8 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// Info is the series_info of an upload: the series that the tuboid belongs to.
type Info struct {
	Device            string
	Start, End        time.Time
	AlgoName          string
	AlgoVersion       string
	NTuboids, NImages int
	Format            *spi.DateFormat // of its dates; nil where they have no time
}

// ParseInfo reads a series_info, a JSON object; keys that are not its own are ignored. CodeInvalid.
func ParseInfo(text []byte) (Info, error) {
	if len(text) > maxInfo {
		return Info{}, badInfo("is longer than %d bytes", maxInfo)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return Info{}, badInfo("must be a JSON object")
	}
	f := infoFields{fields: fields}
	info := Info{
		Device: f.text("device", maxID), AlgoName: f.text("algo_name", maxAlgoName), AlgoVersion: f.text("algo_version", maxAlgoVersion),
		Start: f.datetime("start_datetime"), End: f.datetime("end_datetime"),
		NTuboids: f.number("n_tuboids", 1), NImages: f.number("n_images", 0), Format: f.format,
	}
	if f.err != nil {
		return Info{}, f.err
	}
	return info, nil
}

func badInfo(format string, args ...any) error {
	return spi.Errorf(spi.CodeInvalid, "series_info: %s", fmt.Sprintf(format, args...))
}

// infoFields reads the fields of a series_info; the first mistake is kept.
type infoFields struct {
	fields map[string]json.RawMessage
	format *spi.DateFormat
	err    error
}

func (f *infoFields) fail(name, format string, args ...any) {
	if f.err == nil {
		f.err = badInfo("%s %s", name, fmt.Sprintf(format, args...))
	}
}

func (f *infoFields) text(name string, most int) string {
	var s *string
	if err := json.Unmarshal(f.raw(name), &s); err != nil || s == nil {
		f.fail(name, "must be a string")
		return ""
	}
	switch {
	case *s == "":
		f.fail(name, "is empty")
	case utf8.RuneCountInString(*s) > most:
		f.fail(name, "is longer than %d characters", most)
	case strings.ContainsFunc(*s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		f.fail(name, "holds a character that is not printable")
	}
	return *s
}

func (f *infoFields) raw(name string) json.RawMessage {
	if raw, ok := f.fields[name]; ok {
		return raw
	}
	f.fail(name, "is missing")
	return json.RawMessage("null")
}

func (f *infoFields) datetime(name string) time.Time {
	s := f.text(name, maxID)
	if f.err != nil {
		return time.Time{}
	}
	t, format, err := spi.ParseDatetime(s)
	if err != nil {
		f.fail(name, "%v", err)
	}
	if f.format == nil {
		f.format = format
	}
	return t
}

// number gives a whole number, which may be written as 5.0.
func (f *infoFields) number(name string, least int) int {
	var n *float64
	if err := json.Unmarshal(f.raw(name), &n); err != nil || n == nil || *n != math.Trunc(*n) || *n < float64(least) || *n > math.MaxInt32 {
		f.fail(name, "must be a whole number from %d to %d", least, math.MaxInt32)
		return 0
	}
	return int(*n)
}

// Agrees fails unless the series_info is of the series that the name says. CodeInvalid.
func (i *Info) Agrees(id ID) error {
	for _, field := range []struct {
		name string
		same bool
	}{
		{"device", strings.EqualFold(i.Device, id.Device)},
		{"start_datetime", i.Start.Equal(id.Start)},
		{"end_datetime", i.End.Equal(id.End)},
		{"algo_version", i.AlgoVersion == id.AlgoVersion},
	} {
		if !field.same {
			return badInfo("%s is not that of the tuboid_id", field.name)
		}
	}
	return nil
}

// Shots is what the metadata of a tuboid says: on how many pictures it was seen, and from when to when.
type Shots struct {
	N           int
	First, Last time.Time
}

// ParseMetadata reads the lines of a tuboid, DEVICE.DATETIME,centre_real,centre_imag,scale, of which each must be of the
// series' device and time, both bounds included. CodeInvalid, naming the line.
func ParseMetadata(text []byte, series ID) (Shots, error) {
	var shots Shots
	for line := range bytes.Lines(text) {
		bad := func(format string, args ...any) error {
			return spi.Errorf(spi.CodeInvalid, "metadata: line %d: %s", shots.N+1, fmt.Sprintf(format, args...))
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > maxLine {
			return Shots{}, bad("is longer than %d bytes", maxLine)
		}
		fields := strings.Split(string(line), ",")
		if len(fields) != 4 {
			return Shots{}, bad("must have four fields with commas between them, DEVICE.DATETIME,centre_real,centre_imag,scale")
		}
		device, date, _ := strings.Cut(fields[0], ".")
		if !strings.EqualFold(device, series.Device) {
			return Shots{}, bad("%.20q is not the series' device, %s", device, series.Device)
		}
		at, _, err := spi.ParseDatetime(date)
		if err != nil {
			return Shots{}, bad("%v", err)
		}
		if at.Before(series.Start) || at.After(series.End) {
			return Shots{}, bad("%.20q lies outside the series", date)
		}
		for _, number := range fields[1:] {
			// ParseFloat also takes hexadecimal numbers and underscores.
			v, err := strconv.ParseFloat(number, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || strings.Trim(number, "0123456789+-.eE") != "" {
				return Shots{}, bad("%.40q is not a finite number", number)
			}
		}
		if shots.N == 0 || at.Before(shots.First) {
			shots.First = at
		}
		if at.After(shots.Last) {
			shots.Last = at
		}
		if shots.N++; shots.N > maxShots {
			return Shots{}, spi.Errorf(spi.CodeInvalid, "metadata: there are more than %d lines", maxShots)
		}
	}
	if shots.N == 0 {
		return Shots{}, spi.Errorf(spi.CodeInvalid, "metadata: there is no line: a tuboid has one shot at least")
	}
	return shots, nil
}
