package tuboids

import (
	"bytes"
	"encoding/json"
	"errors"
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

// Shot is one picture of a tuboid: when it was taken, and which part of it the tile shows.
type Shot struct {
	At    time.Time
	X, Y  float64 // of the tile's centre, in pixels of the image
	Scale float64 // pixels of the tile for each of the image
}

// ParseMetadata reads the lines of a tuboid, DEVICE.DATETIME,centre_real,centre_imag,scale, of which each must be of the
// series' device and time, both bounds included. CodeInvalid, naming the line.
func ParseMetadata(text []byte, series ID) (Shots, error) {
	var shots Shots
	err := eachShot(text, series, func(s Shot) {
		if shots.N == 0 || s.At.Before(shots.First) {
			shots.First = s.At
		}
		if s.At.After(shots.Last) {
			shots.Last = s.At
		}
		shots.N++
	})
	if err != nil {
		return Shots{}, err
	}
	return shots, nil
}

// ParseShots is [ParseMetadata] that gives every shot, in the order of the tiles.
func ParseShots(text []byte, series ID) ([]Shot, error) {
	var shots []Shot
	if err := eachShot(text, series, func(s Shot) { shots = append(shots, s) }); err != nil {
		return nil, err
	}
	return shots, nil
}

func eachShot(text []byte, series ID, each func(Shot)) error {
	n := 0
	for line := range bytes.Lines(text) {
		if n++; n > maxShots {
			return spi.Errorf(spi.CodeInvalid, "metadata: there are more than %d lines", maxShots)
		}
		shot, err := parseShot(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), series)
		if err != nil {
			return spi.Wrap(spi.CodeInvalid, err, "metadata: line %d: %v", n, err)
		}
		each(shot)
	}
	if n == 0 {
		return spi.Errorf(spi.CodeInvalid, "metadata: there is no line: a tuboid has one shot at least")
	}
	return nil
}

func parseShot(line []byte, series ID) (shot Shot, err error) {
	if len(line) > maxLine {
		return shot, fmt.Errorf("is longer than %d bytes", maxLine)
	}
	fields := strings.Split(string(line), ",")
	if len(fields) != 4 {
		return shot, errors.New("must have four fields with commas between them, DEVICE.DATETIME,centre_real,centre_imag,scale")
	}
	device, date, _ := strings.Cut(fields[0], ".")
	if !strings.EqualFold(device, series.Device) {
		return shot, fmt.Errorf("%.20q is not the series' device, %s", device, series.Device)
	}
	if shot.At, _, err = spi.ParseDatetime(date); err != nil {
		return shot, err
	}
	if shot.At.Before(series.Start) || shot.At.After(series.End) {
		return shot, fmt.Errorf("%.20q lies outside the series", date)
	}
	for i, to := range []*float64{&shot.X, &shot.Y, &shot.Scale} {
		// ParseFloat also takes hexadecimal numbers and underscores.
		number := fields[1+i]
		*to, err = strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(*to) || math.IsInf(*to, 0) || strings.Trim(number, "0123456789+-.eE") != "" {
			return shot, fmt.Errorf("%.40q is not a finite number", number)
		}
	}
	return shot, nil
}
