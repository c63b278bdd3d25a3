package sqlstore

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

// A day's points are kept column by column, as differences in varints: some 12 bytes an image.
//
//	1 byte    dayFormat
//	uvarint   n, the number of images
//	n uvarint seconds since midnight, each less the one before
//	n varint  ids, each less the one before
//	columns   of the measures, Temperature to Longitude
//	uvarint   number of algorithms, each of them: uvarint length, name, column of its insects; of several, the first one's name
//	          is empty and stands for the newest annotation whosever it is
//
// A column is a byte 0 where all of its values are missing, or a byte 1 and n uvarints: 0 for a missing value, else 1 more than
// the zigzag-coded difference to the value before that is not missing.
//
// With another format comes a migration that empties device_days: who reads summaries alone does not see the format, and would
// take days for worked out that [Store.Points] has to read anew.
const dayFormat = 2

const (
	fixedMeasures = int(store.Insects)
	// Days of more images, or of more algorithms, are not kept but read anew.
	maxKeptImages     = store.MaxKeptImages
	maxKeptAlgorithms = 32
)

// anyAlgorithm stands for the newest annotation of an image, whichever algorithm made it.
const anyAlgorithm = ""

// dayPoints are the points of a day, with the insects of each algorithm, by its folded name, and of [anyAlgorithm], instead of
// those of one.
type dayPoints struct {
	points  []store.Point
	insects map[string][]int32
}

func (d *dayPoints) encode() []byte {
	if len(d.points) > maxKeptImages || len(d.insects) > maxKeptAlgorithms {
		return nil
	}
	b := make([]byte, 0, 16+14*len(d.points))
	b = append(b, dayFormat)
	b = binary.AppendUvarint(b, uint64(len(d.points)))
	if len(d.points) == 0 {
		return binary.AppendUvarint(b, 0)
	}
	at, id := int64(dayOf(d.points[0].At))*store.DaySeconds, int64(0)
	for i := range d.points {
		b = binary.AppendUvarint(b, uint64(d.points[i].At-at))
		at = d.points[i].At
	}
	for i := range d.points {
		b = binary.AppendVarint(b, d.points[i].ID-id)
		id = d.points[i].ID
	}
	for m := range fixedMeasures {
		b = appendColumn(b, len(d.points), func(i int) int32 { return d.points[i].Values[m] })
	}
	names := slices.Sorted(maps.Keys(d.insects))
	if len(names) == 2 && names[0] == anyAlgorithm { // of one algorithm alone, both are the same
		names = names[1:]
	}
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = appendColumn(b, len(d.points), func(i int) int32 { return d.insects[name][i] })
	}
	return b
}

func appendColumn(b []byte, n int, value func(int) int32) []byte {
	start, last := len(b), int64(0)
	b = append(b, 1)
	some := false
	for i := range n {
		v := value(i)
		if v == store.Missing {
			b = append(b, 0)
			continue
		}
		some = true
		d := int64(v) - last
		b = binary.AppendUvarint(b, uint64(d<<1)^uint64(d>>63)+1) // zigzag
		last = int64(v)
	}
	if !some {
		return append(b[:start], 0)
	}
	return b
}

var errDayCode = errors.New("what is kept of a day cannot be read")

// dayReader reads what encode made. What it reads comes from the database, which may hold anything.
type dayReader struct {
	b   []byte
	bad bool
}

func (r *dayReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *dayReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *dayReader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// column reads a column into the measure of the points.
func (r *dayReader) column(points []store.Point, m int) {
	switch r.byte() {
	case 0:
		for i := range points {
			points[i].Values[m] = store.Missing
		}
		return
	case 1:
	default:
		r.bad = true
		return
	}
	last := int64(0)
	for i := range points {
		code := r.uvarint()
		if code == 0 {
			points[i].Values[m] = store.Missing
			continue
		}
		code--
		last += int64(code>>1) ^ -int64(code&1) // zigzag
		if last <= math.MinInt32 || last > math.MaxInt32 {
			r.bad = true
			return
		}
		points[i].Values[m] = int32(last)
	}
}

// decodeDay reads a kept day into points, whose room it uses, with the insects of the algorithm.
func decodeDay(b []byte, day int, algorithm string, points []store.Point) ([]store.Point, error) {
	r := &dayReader{b: b}
	if r.byte() != dayFormat {
		return nil, errDayCode
	}
	n := r.uvarint()
	if n > maxKeptImages {
		return nil, errDayCode
	}
	points = slices.Grow(points[:0], int(n))[:n]
	at := int64(day) * store.DaySeconds
	for i := range points {
		at += int64(r.uvarint()) // looked at below
		points[i].At = at
		if at < int64(day)*store.DaySeconds || at >= int64(day+1)*store.DaySeconds {
			return nil, errDayCode
		}
	}
	id := int64(0)
	for i := range points {
		id += r.varint()
		points[i].ID = id
		points[i].Values[store.Insects] = store.Missing
	}
	if n > 0 {
		for m := range fixedMeasures {
			r.column(points, m)
		}
	}
	algorithms := r.uvarint()
	for range min(algorithms, maxKeptAlgorithms) {
		size := r.uvarint()
		if size > uint64(len(r.b)) {
			return nil, errDayCode
		}
		name := string(r.b[:size])
		r.b = r.b[size:]
		if name == algorithm || algorithm == anyAlgorithm && algorithms == 1 {
			r.column(points, int(store.Insects))
			break
		}
		r.skipColumn(len(points))
	}
	if r.bad {
		return nil, errDayCode
	}
	return points, nil
}

func (r *dayReader) skipColumn(n int) {
	if r.byte() == 0 {
		return
	}
	for range n {
		r.uvarint()
	}
}
