package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// What viewers draw comes from device_days, which keeps the images of a device and UTC day in one row, some 12 bytes each: a
// million rows of images and their annotations take several seconds to read, the same as 14,000 days a fraction of one.
//
// A day's row says which version of the day it was made of. Whoever changes a day's images or annotations counts its version
// up in the same transaction ([Store.touchDays]); whoever reads it looks whether both are the same and, if not, reads the
// images and keeps what came of it, as long as the version still is the one from before that reading. So what is kept is
// never older than the tables, whatever server writes, and nobody waits for it. A day without a row has version 0.
//
// Rows of days that have no images any more are deleted. What a slow reader still holds of such a day must not come back as
// if it were new: a row begins with a version at random, and is kept only as long as the last image that was read is there.

const (
	summariesPerPage = 1000
	daysPerPage      = 64
	// keepBytes is about how much a statement that keeps days holds.
	keepBytes = 256 << 10
	// keepWithin bounds the time that a reader spends on keeping what it has worked out.
	keepWithin = 2 * time.Second
	// daysKeptAtOnce is how many days of one device are worked out before the same days of the next one: a month of 500 devices'
	// images and annotations fit into the memory of a small database.
	daysKeptAtOnce = 31
	// daysPerTouch bounds a statement that counts up versions.
	daysPerTouch = 500
)

// keptColumns are the columns of device_days that hold for one version.
var keptColumns = []string{"kept", "images", "first_at", "last_at", "step", "gaps", "longest", "points"}

// dayOf is the UTC day of a time, both since 1970-01-01.
func dayOf(at int64) int {
	day := at / store.DaySeconds
	if at%store.DaySeconds < 0 {
		day--
	}
	return int(day)
}

// deviceDay names a row of device_days.
type deviceDay struct {
	device string // folded
	day    int
}

// touchDays notes that images or annotations of those days change. It is the last that a transaction does: the rows stay
// locked until its end, and others wait for them.
func (s *Store) touchDays(ctx context.Context, tx *sql.Tx, days []deviceDay) error {
	// In the same order in all transactions.
	slices.SortFunc(days, func(a, b deviceDay) int { return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.day, b.day)) })
	for chunk := range slices.Chunk(slices.Compact(days), daysPerTouch) {
		args := make([]any, 0, 2*len(chunk))
		for _, d := range chunk {
			args = append(args, d.device, d.day)
		}
		one := "(?, ?, " + strconv.FormatInt(1+rand.Int64N(math.MaxInt64/2), 10) + ")" //nolint:gosec // no secret
		query := "INSERT INTO device_days (device, day, version) VALUES " + strings.Repeat(one+",", len(chunk)-1) + one + s.dialect.touchDay
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// dayRow is a row of device_days.
type dayRow struct {
	store.DaySummary
	version int64
	kept    sql.Null[int64]
	points  []byte // as they are kept; nil where they are not
}

// fresh says whether what is kept still holds, and can be read by this server.
func (r *dayRow) fresh() bool {
	return r.kept.Valid && r.kept.V == r.version && (len(r.points) == 0 || r.points[0] == dayFormat)
}

// dayRows reads the first of the device's rows, with points or without.
func (s *Store) dayRows(ctx context.Context, device string, first, end int, points bool) ([]dayRow, error) {
	columns, index, limit := "day, version, kept, images, first_at, last_at, step, gaps, longest", s.dialect.useIndex("day_summary"), summariesPerPage
	if points {
		columns, index, limit = columns+", points", s.dialect.useIndex("PRIMARY"), daysPerPage
	}
	rows, err := s.read.QueryContext(ctx, "SELECT "+columns+" FROM device_days"+index+" WHERE device = ? AND day >= ? AND day < ? ORDER BY day LIMIT ?",
		device, first, end, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []dayRow
	var r dayRow
	places := []any{&intoInt{&r.Day}, &intoInt64{&r.version}, &intoNullInt{&r.kept}, &intoInt{&r.Images}, &intoInt64{&r.FirstAt}, &intoInt64{&r.LastAt},
		&intoInt{&r.Step}, &intoInt{&r.Gaps}, &intoInt{&r.Longest}}
	if points {
		places = append(places, &r.points)
	}
	for rows.Next() {
		r = dayRow{}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// lifetime gives the days of the device's first and last image, the latter plus 1; both are 0 where there are none.
func (s *Store) lifetime(ctx context.Context, device string) (first, end int, err error) {
	if !isText(device) {
		return 0, 0, nil
	}
	one := "(SELECT datetime FROM images" + s.dialect.byDeviceTime + " WHERE device = ? ORDER BY datetime"
	var born, last sql.Null[time.Time]
	err = s.read.QueryRowContext(ctx, "SELECT "+one+" LIMIT 1), "+one+" DESC LIMIT 1)", device, device).Scan(&intoNullTime{&born}, &intoNullTime{&last})
	if err != nil || !born.Valid || !last.Valid {
		return 0, 0, err
	}
	return dayOf(born.V.Unix()), dayOf(last.V.Unix()) + 1, nil
}

// aDay is one day with images, as it is handed on.
type aDay struct {
	store.DaySummary
	kept    []byte // its points as they are kept, of that version, or
	version int64
	raw     *dayPoints // as they were read just now
}

// daysWanted is what is wanted of days.
type daysWanted int

const (
	summaries daysWanted = iota // days that changed are looked at by the times of their images alone, and not kept
	workedOut                   // days that changed are worked out and kept, and nothing is handed on but summaries
	allPoints                   // likewise, with points
)

// days calls fn with the device's days from first to before end that have images, in order.
func (s *Store) days(ctx context.Context, device string, first, end int, want daysWanted, effort *store.Effort, fn func(*aDay) error) error {
	born, gone, err := s.lifetime(ctx, device)
	if err != nil {
		return s.fail(ctx, err, "reading", "table images")
	}
	return s.allDays(ctx, device, max(first, born), min(end, gone), want, effort, fn)
}

// allDays is days for any range, the days before the device's first image and after its last included.
func (s *Store) allDays(ctx context.Context, device string, first, end int, want daysWanted, effort *store.Effort, fn func(*aDay) error) error {
	k := &dayKeeper{s: s, device: device, want: want, effort: effort}
	err := k.days(ctx, first, end, fn)
	k.flush(ctx) // whatever ended it: who comes next gets further
	return err
}

func (k *dayKeeper) days(ctx context.Context, first, end int, fn func(*aDay) error) error {
	s, device, points := k.s, k.device, k.want == allPoints
	for from := first; from < end; {
		rows, err := s.dayRows(ctx, device, from, end, points)
		if err != nil {
			return s.fail(ctx, err, "reading", "table device_days")
		}
		upTo := end
		if n := len(rows); points && n == daysPerPage || n == summariesPerPage {
			upTo = rows[n-1].Day + 1
		}
		k.versions = make(map[int]int64)
		for i := range rows {
			r := &rows[i]
			if !r.fresh() || points && r.Images > 0 && r.points == nil {
				k.versions[r.Day] = r.version
				if r.fresh() {
					k.versions[r.Day] = tooLargeToKeep
				}
				continue
			}
			if err := k.read(ctx, from, r.Day, fn); err != nil {
				return err
			}
			from = r.Day + 1
			if r.Images == 0 {
				continue
			}
			if k.want == workedOut && r.Images > maxKeptImages {
				if err := k.effort.Large(r.Images); err != nil {
					return err
				}
			}
			if err := fn(&aDay{DaySummary: r.DaySummary, kept: r.points, version: r.version}); err != nil {
				return err
			}
		}
		if err := k.read(ctx, from, upTo, fn); err != nil {
			return err
		}
		from = upTo
	}
	return nil
}

// tooLargeToKeep stands for the version of a day whose row says all that it is to say.
const tooLargeToKeep = -1

// pointColumns are those of imageColumns that make a point, with what stands between them.
var pointColumns, _, _ = strings.Cut(imageColumns, ", but,")

// dayKeeper reads days of a device from its images and keeps them.
type dayKeeper struct {
	s        *Store
	device   string
	want     daysWanted
	effort   *store.Effort
	versions map[int]int64 // of the days of the page, as they were before the images are read; none where they have no row
	// what is to be kept
	args    []any
	n, size int
	last    []int64 // the last image of each of these days
}

// timeColumns are those of imageColumns that a day's summary is made of. The unique index holds them all.
const timeColumns = "id, device, datetime"

// read calls fn with the days from first to before end, one at a time, and keeps them.
func (k *dayKeeper) read(ctx context.Context, first, end int, fn func(*aDay) error) error {
	if first >= end {
		return nil
	}
	day := dayPoints{insects: make(map[string][]int32)}
	at := 0 // whose points these are
	next := first
	finish := func() error {
		if len(day.points) == 0 {
			return nil
		}
		k.empty(ctx, next, at)
		next = at + 1
		d := &aDay{DaySummary: store.SummaryOf(at, day.points), raw: &day}
		if k.want != summaries {
			k.keep(ctx, d.DaySummary, day.encode(), day.points[len(day.points)-1].ID)
		}
		err := fn(d)
		day = dayPoints{points: day.points[:0], insects: make(map[string][]int32)}
		return err
	}
	series := []store.Series{{Device: store.LikeExactly(k.device), Start: timeOfDay(first), End: timeOfDay(end)}}
	columns := pointColumns
	if k.want == summaries {
		columns = timeColumns
	}
	from := "SELECT " + columns + " FROM images" + k.s.dialect.byDeviceTime + " WHERE "
	err := k.s.seriesPages(ctx, series, from, func(images []store.Image) error {
		if err := k.effort.Changed(len(images)); err != nil {
			return err
		}
		var counts map[int64][]count
		if k.want != summaries {
			var err error
			if counts, err = k.s.newestCounts(ctx, images); err != nil {
				return err
			}
		}
		for i := range images {
			p := store.PointOf(&images[i])
			if d := dayOf(p.At); d != at {
				if err := finish(); err != nil {
					return err
				}
				at = d
			}
			day.add(p, counts[p.ID])
		}
		return nil
	})
	if err == nil {
		err = finish()
	}
	if err == nil {
		k.empty(ctx, next, end)
	}
	return err
}

func timeOfDay(day int) time.Time { return time.Unix(int64(day)*store.DaySeconds, 0).UTC() }

// add adds a point and what the algorithms found on its image.
func (d *dayPoints) add(p store.Point, counts []count) {
	for name, column := range d.insects {
		d.insects[name] = append(column, store.Missing)
	}
	for _, c := range counts {
		column, there := d.insects[c.algorithm]
		if !there {
			column = slices.Repeat([]int32{store.Missing}, len(d.points)+1)
			d.insects[c.algorithm] = column
		}
		column[len(d.points)] = c.objects
	}
	d.points = append(d.points, p)
}

// empty keeps that the days that had images once have none any more.
func (k *dayKeeper) empty(ctx context.Context, first, end int) {
	if k.want == summaries {
		return
	}
	for day := range k.versions {
		if first <= day && day < end {
			k.keep(ctx, store.DaySummary{Day: day}, nil, 0)
		}
	}
}

// keep notes a day that is to be kept. last is the id of its last image; 0 where it has none.
func (k *dayKeeper) keep(ctx context.Context, d store.DaySummary, points []byte, last int64) {
	var blob any
	if points != nil {
		blob = points
	}
	version := k.versions[d.Day]
	if version == tooLargeToKeep {
		return
	}
	if last > 0 {
		k.last = append(k.last, last)
	}
	k.args = append(k.args, k.device, d.Day, version, version, d.Images, d.FirstAt, d.LastAt, d.Step, d.Gaps, d.Longest, blob)
	k.n, k.size = k.n+1, k.size+len(points)
	if k.n == daysPerPage || k.size >= keepBytes {
		k.flush(ctx)
	}
}

// errGone says that images of a day were deleted since they were read.
var errGone = errors.New("images are gone")

// flush stores what is to be kept. That is for the next reader's sake: if it cannot be done at once, it is left; and it is
// done also where this reader has gone away meanwhile.
func (k *dayKeeper) flush(ctx context.Context) {
	if k.n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
	defer cancel()
	const one = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	d := &k.s.dialect
	query := d.insertNoWait + " INTO device_days (device, day, version, kept, images, first_at, last_at, step, gaps, longest, points) VALUES " +
		strings.Repeat(one+",", k.n-1) + one + d.keepDay
	err := k.s.tryTx(ctx, k.s.write, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, query, k.args...); err != nil || len(k.last) == 0 {
			return err
		}
		// The rows are locked now: whoever deletes images of these days from here on counts their versions up afterwards.
		var there int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM images WHERE id IN ("+placeholders(len(k.last))+")", anys(k.last)...).Scan(&there)
		if err == nil && there < len(k.last) {
			err = errGone
		}
		return err
	})
	if err != nil {
		k.s.log.DebugContext(ctx, "days are not kept", "device", k.device, "days", k.n, "error", err)
	}
	k.args, k.last, k.n, k.size = k.args[:0], k.last[:0], 0, 0
}

// count is how many objects the newest annotation of an algorithm has.
type count struct {
	algorithm string // folded
	time, id  int64  // of the annotation
	objects   int32
}

// newestCounts gives, by the image's id, the newest annotation of each algorithm, and of [anyAlgorithm].
func (s *Store) newestCounts(ctx context.Context, images []store.Image) (map[int64][]count, error) {
	counts := make(map[int64][]count)
	for chunk := range slices.Chunk(images, annotationIDs) {
		ids := make([]int64, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].ID
		}
		r := newAnnotationReader(s, false)
		found, _, err := r.read(ctx, s.dialect.useIndex("annotation_id")+" WHERE parent_image_id", ids)
		if err != nil {
			return nil, s.fail(ctx, err, "reading", "table uid_annotations")
		}
		for i := range found {
			a := &found[i]
			for _, algorithm := range []string{anyAlgorithm, fold(a.AlgoName)} {
				c := count{algorithm, spi.VersionTime(a.AlgoVersion), a.ID, int32(a.NObjects)}
				of := counts[a.ParentImageID]
				j := slices.IndexFunc(of, func(o count) bool { return o.algorithm == c.algorithm })
				switch {
				case j < 0:
					counts[a.ParentImageID] = append(of, c)
				case cmp.Or(cmp.Compare(c.time, of[j].time), cmp.Compare(c.id, of[j].id)) > 0:
					of[j] = c
				}
			}
		}
	}
	return counts, nil
}

// DevicesLike gives the devices that match one of the patterns.
func (s *Store) DevicesLike(ctx context.Context, patterns []string) ([]string, error) {
	devices, err := s.devices(ctx)
	if err != nil {
		return nil, s.fail(ctx, err, "reading", "table images")
	}
	return slices.DeleteFunc(devices, func(device string) bool {
		return !slices.ContainsFunc(patterns, func(p string) bool { return store.Like(p, device) })
	}), nil
}

// Points calls fn with a point for each image of the device.
func (s *Store) Points(ctx context.Context, device string, start, end time.Time, algoName string, fn func(*store.Point)) error {
	from, to := ceilSecond(start), ceilSecond(end)
	if from >= to {
		return nil
	}
	device, algorithm := fold(device), fold(algoName)
	var points []store.Point
	var each func(d *aDay) error
	each = func(d *aDay) error {
		if d.raw != nil {
			points = append(points[:0], d.raw.points...)
			for i, n := range d.raw.insects[algorithm] {
				points[i].Values[store.Insects] = n
			}
		} else {
			var err error
			if points, err = decodeDay(d.kept, d.Day, algorithm, points); err != nil {
				s.log.WarnContext(ctx, "a day is read anew", "device", device, "day", d.Day, "error", err)
				k := &dayKeeper{s: s, device: device, want: allPoints, versions: map[int]int64{d.Day: d.version}}
				err = k.read(ctx, d.Day, d.Day+1, each)
				k.flush(ctx)
				return err
			}
		}
		for i := range points {
			if p := &points[i]; from <= p.At && p.At < to {
				fn(p)
			}
		}
		return nil
	}
	return s.days(ctx, device, dayOf(from), dayOf(to-1)+1, allPoints, nil, each)
}

// WorkOut works out the days of the range that changed.
func (s *Store) WorkOut(ctx context.Context, device string, start, end time.Time, effort *store.Effort) error {
	from, to := ceilSecond(start), ceilSecond(end)
	if from >= to {
		return nil
	}
	return s.days(ctx, fold(device), dayOf(from), dayOf(to-1)+1, workedOut, effort, ignoreDay)
}

func ignoreDay(*aDay) error { return nil }

// DaySummaries calls fn with the days that have images.
func (s *Store) DaySummaries(ctx context.Context, device string, first, end int, effort *store.Effort, fn func(store.DaySummary)) error {
	return s.days(ctx, fold(device), first, end, summaries, effort, func(d *aDay) error {
		fn(d.DaySummary)
		return nil
	})
}

// KeepDays works out the days that changed, and forgets those without images.
func (s *Store) KeepDays(ctx context.Context, first, end int, between func() error) error {
	devices, err := s.devices(ctx)
	if err != nil {
		return s.fail(ctx, err, "reading", "table images")
	}
	known, err := s.devicesOf(ctx, "device_days", "PRIMARY")
	if err != nil {
		return s.fail(ctx, err, "reading", "table device_days")
	}
	devices = append(devices, known...)
	slices.Sort(devices)
	devices = slices.Compact(devices)
	// not as the other servers, which would do the same work at the same time
	rand.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] }) //nolint:gosec // no secret
	lives := make([]dayRange, len(devices))
	var all dayRange
	for i, device := range devices {
		l, err := s.keptRange(ctx, device)
		if err != nil {
			return err
		}
		if l.first, l.end = max(l.first, first), min(l.end, end); l.first >= l.end {
			continue
		}
		if lives[i] = l; all.first >= all.end {
			all = l
		}
		all.first, all.end = min(all.first, l.first), max(all.end, l.end)
	}
	// What all devices stored at about the same time lies side by side in the tables, the newest first: device by device, each of
	// their pages would be read from the disk for every device anew.
	ends := make([]int, len(devices)) // what is left of each device ends before this
	for i := range lives {
		ends[i] = lives[i].end
	}
	for to := all.end; to > all.first; to -= daysKeptAtOnce {
		for i, device := range devices {
			from, to := max(lives[i].first, to-daysKeptAtOnce), min(ends[i], to)
			if from >= to {
				continue
			}
			found := false
			err := s.allDays(ctx, device, from, to, workedOut, nil, func(*aDay) error {
				found = true
				return nil
			})
			if err == nil && !found { // images decades apart, as of a clock that was wrong once, are not looked for month by month
				ends[i], err = s.endBefore(ctx, device, from)
			}
			if err != nil {
				return err
			}
			if err := between(); err != nil {
				return err
			}
		}
	}
	for i, device := range devices {
		if err := s.forgetDays(ctx, device, lives[i].first, lives[i].end); err != nil {
			return err
		}
	}
	return nil
}

// dayRange is the days from first to before end.
type dayRange struct{ first, end int }

// keptRange gives the days from the device's first image to its last, and those before and after that have rows, whose images were
// deleted.
func (s *Store) keptRange(ctx context.Context, device string) (r dayRange, err error) {
	if r.first, r.end, err = s.lifetime(ctx, device); err != nil {
		return r, s.fail(ctx, err, "reading", "table images")
	}
	var oldest, newest sql.Null[int64]
	err = s.read.QueryRowContext(ctx, "SELECT MIN(day), MAX(day) FROM device_days WHERE device = ?", device).Scan(&intoNullInt{&oldest}, &intoNullInt{&newest})
	if err != nil {
		return r, s.fail(ctx, err, "reading", "table device_days")
	}
	if oldest.Valid && newest.Valid {
		from, to := int(oldest.V), int(newest.V)+1
		if r.first < r.end {
			from, to = min(from, r.first), max(to, r.end)
		}
		r = dayRange{from, to}
	}
	return r, nil
}

// endBefore gives the day after the device's last one before that day with images or a row.
func (s *Store) endBefore(ctx context.Context, device string, day int) (int, error) {
	var at sql.Null[time.Time]
	var row sql.Null[int64]
	err := s.read.QueryRowContext(ctx, "SELECT (SELECT datetime FROM images"+s.dialect.byDeviceTime+` WHERE device = ? AND datetime < ? ORDER BY datetime DESC LIMIT 1),
		(SELECT MAX(day) FROM device_days WHERE device = ? AND day < ?)`, device, s.dialect.datetime(timeOfDay(day)), device, day).Scan(&intoNullTime{&at}, &intoNullInt{&row})
	if err != nil {
		return 0, s.fail(ctx, err, "reading", "table images")
	}
	end := math.MinInt
	if at.Valid {
		end = dayOf(at.V.Unix()) + 1
	}
	if row.Valid {
		end = max(end, int(row.V)+1)
	}
	return end, nil
}

// forgetDays deletes the rows of days that are known to have no images. A row that somebody holds or changed stays until the
// next time.
func (s *Store) forgetDays(ctx context.Context, device string, first, end int) error {
	const noImages = "images = 0 AND kept = version"
	for first < end {
		days, err := s.emptyDays(ctx, "SELECT day FROM device_days"+s.dialect.useIndex("day_summary")+" WHERE device = ? AND day >= ? AND day < ? AND "+noImages+
			" ORDER BY day LIMIT ?", device, first, end, daysPerTouch)
		if err != nil {
			return s.fail(ctx, err, "reading", "table device_days")
		}
		if len(days) == 0 {
			return nil
		}
		err = s.tryTx(ctx, s.write, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, s.dialect.deleteDays+" WHERE device = ? AND day IN ("+placeholders(len(days))+") AND "+noImages, append([]any{device}, anys(days)...)...)
			return err
		})
		if err != nil {
			s.log.DebugContext(ctx, "days without images are not forgotten", "device", device, "days", len(days), "error", err)
		}
		first = int(days[len(days)-1]) + 1
	}
	return nil
}

func (s *Store) emptyDays(ctx context.Context, query string, args ...any) (days []int64, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var day int64
		if err := rows.Scan(&intoInt64{&day}); err != nil {
			return nil, err
		}
		days = append(days, day)
	}
	return days, rows.Err()
}

// NewestImages gives the device's newest images, the newest first.
func (s *Store) NewestImages(ctx context.Context, device string, n int) ([]store.Image, error) {
	if !isText(device) {
		return nil, nil
	}
	p := pages.Get().(*page)
	defer p.free()
	err := p.fill(s.read.QueryContext(ctx, "SELECT "+imageColumns+" FROM images"+s.dialect.byDeviceTime+
		" WHERE device = ? ORDER BY datetime DESC LIMIT ?", fold(device), n))
	if err != nil {
		return nil, s.fail(ctx, err, "reading", "table images")
	}
	return slices.Clone(p.images), nil
}

// NewestIDs gives the greatest ids of images and of annotations.
func (s *Store) NewestIDs(ctx context.Context) (image, annotation int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT (SELECT COALESCE(MAX(id), 0) FROM images), (SELECT COALESCE(MAX(id), 0) FROM uid_annotations)").Scan(&image, &annotation)
	return image, annotation, s.fail(ctx, err, "reading", "tables images and uid_annotations")
}

// StoredImages gives the images in the range.
func (s *Store) StoredImages(ctx context.Context, r store.StoredRange) ([]store.Stored, error) {
	return s.stored(ctx, r, "id, device, datetime, 0, '', 0", "images", "id")
}

// StoredAnnotations gives the annotations in the range.
func (s *Store) StoredAnnotations(ctx context.Context, r store.StoredRange) ([]store.Stored, error) {
	return s.stored(ctx, r, "a.id, device, datetime, a.parent_image_id, a.algo_name, a.n_objects",
		"uid_annotations a JOIN images ON images.id = a.parent_image_id", "a.id")
}

// stored reads rows by the id: the one range first, then the single ones.
func (s *Store) stored(ctx context.Context, r store.StoredRange, columns, table, id string) (found []store.Stored, err error) {
	read := func(where string, args ...any) error {
		rows, err := s.read.QueryContext(ctx, "SELECT "+columns+" FROM "+table+" WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var one store.Stored
		in := make(interner)
		places := []any{&intoInt64{&one.ID}, &intoText{&one.Device, in}, &intoTime{&one.Datetime}, &intoInt64{&one.ImageID},
			&intoText{&one.AlgoName, in}, &intoInt{&one.NObjects}}
		for rows.Next() {
			if err := rows.Scan(places...); err != nil {
				return err
			}
			found = append(found, one)
		}
		return rows.Err()
	}
	if len(r.IDs) > 0 {
		err = read(id+" IN ("+placeholders(len(r.IDs))+")", anys(r.IDs)...)
	}
	if err == nil && r.After < r.UpTo {
		err = read(id+" > ? AND "+id+" <= ? ORDER BY "+id+" LIMIT ?", r.After, r.UpTo, r.Limit)
	}
	slices.SortFunc(found, func(a, b store.Stored) int { return cmp.Compare(a.ID, b.ID) })
	return found, s.fail(ctx, err, "reading", "tables images and uid_annotations")
}
