package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const (
	idsPerQuery       = 1000
	datetimesPerQuery = 1000
	// imagesPerDeletion is how many images one transaction deletes: their objects are deleted meanwhile, and the rows stay
	// locked.
	imagesPerDeletion = 500
	// maxKeyed is how many rows the keys of one request may name: their ids are held, 8 bytes each.
	maxKeyed = 2_000_000
)

// checkKeyed refuses keys that name too many rows.
func (s *Store) checkKeyed(ids []int64) error {
	if len(ids) > s.maxKeyed {
		return spi.Errorf(spi.CodeInvalid, "these keys name more than %d rows: send fewer of them at a time, or ask for series", s.maxKeyed)
	}
	return nil
}

// Images calls fn with every image that one of the keys names, ordered by id.
func (s *Store) Images(ctx context.Context, keys []store.ImageKey, fn func(*store.Image) error) error {
	ids, err := s.imageIDs(ctx, keys)
	if err != nil {
		return s.fail(ctx, err, "reading", "table images")
	}
	p := pages.Get().(*page)
	defer p.free()
	for len(ids) > 0 {
		n := min(len(ids), idsPerQuery)
		err := p.fill(s.read.QueryContext(ctx, "SELECT "+imageColumns+" FROM images WHERE id IN ("+placeholders(n)+") ORDER BY id", anys(ids[:n])...))
		if err != nil {
			return s.fail(ctx, err, "reading", "table images")
		}
		ids = ids[n:]
		for i := range p.images {
			if err := fn(&p.images[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func anys[T any](values []T) []any {
	a := make([]any, len(values))
	for i, v := range values {
		a[i] = v
	}
	return a
}

// imageIDs finds the ids of the images that the keys name, sorted, each once. Only indexes are read.
func (s *Store) imageIDs(ctx context.Context, keys []store.ImageKey) ([]int64, error) {
	exact := make(map[string][]int64)               // device, folded: seconds
	patterns := make(map[int64]map[string]struct{}) // seconds: patterns
	for _, k := range keys {
		if k.Datetime.Nanosecond() != 0 {
			continue // rows hold whole seconds
		}
		at := k.Datetime.Unix()
		if store.IsPattern(k.Device) {
			if patterns[at] == nil {
				patterns[at] = make(map[string]struct{})
			}
			patterns[at][fold(k.Device)] = struct{}{}
		} else if isText(k.Device) {
			device := fold(k.Device)
			exact[device] = append(exact[device], at)
		}
	}
	if len(exact) > maxExactDevices {
		all, err := s.devices(ctx)
		if err != nil {
			return nil, err
		}
		there := make(map[string][]int64)
		for _, d := range all {
			if times, ok := exact[d]; ok {
				there[d] = times
			}
		}
		exact = there
	}
	ids, err := s.exactIDs(ctx, exact, nil)
	if err == nil {
		ids, err = s.patternIDs(ctx, patterns, ids)
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

func (s *Store) exactIDs(ctx context.Context, exact map[string][]int64, ids []int64) ([]int64, error) {
	var where strings.Builder
	var args []any
	terms, datetimes := 0, 0
	asked := make(map[string]bool) // the devices of the query
	flush := func() error {
		if terms == 0 {
			return nil
		}
		query := "SELECT id, device FROM images" + s.dialect.byDeviceTime + " WHERE " + where.String()
		err := s.eachRow(ctx, query, args, func(id int64, device string, _ time.Time) {
			// MariaDB also takes devices for equal that differ in accents or in spaces at the end.
			if asked[fold(device)] {
				ids = append(ids, id)
			}
		})
		where.Reset()
		clear(asked)
		args, terms, datetimes = args[:0], 0, 0
		return cmp.Or(err, s.checkKeyed(ids))
	}
	for _, device := range slices.Sorted(maps.Keys(exact)) {
		times := exact[device]
		slices.Sort(times)
		times = slices.Compact(times)
		for len(times) > 0 {
			n := min(len(times), datetimesPerQuery-datetimes)
			if terms > 0 {
				where.WriteString(" OR ")
			}
			where.WriteString("(device = ? AND datetime IN (" + placeholders(n) + "))")
			args = append(args, device)
			for _, at := range times[:n] {
				args = append(args, s.dialect.datetime(time.Unix(at, 0)))
			}
			asked[device] = true
			terms, datetimes, times = terms+1, datetimes+n, times[n:]
			if terms == s.dialect.termsPerQuery || datetimes == datetimesPerQuery {
				if err := flush(); err != nil {
					return nil, err
				}
			}
		}
	}
	return ids, flush()
}

func (s *Store) patternIDs(ctx context.Context, patterns map[int64]map[string]struct{}, ids []int64) ([]int64, error) {
	for times := range slices.Chunk(slices.Sorted(maps.Keys(patterns)), datetimesPerQuery) {
		args := make([]any, len(times))
		for i, at := range times {
			args[i] = s.dialect.datetime(time.Unix(at, 0))
		}
		query := "SELECT id, device, datetime FROM images" + s.dialect.byTimeDevice + " WHERE datetime IN (" + placeholders(len(times)) + ")"
		err := s.eachRow(ctx, query, args, func(id int64, device string, datetime time.Time) {
			for pattern := range patterns[datetime.Unix()] {
				if store.Like(pattern, device) {
					ids = append(ids, id)
					return
				}
			}
		})
		if err := cmp.Or(err, s.checkKeyed(ids)); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// eachRow runs a query of id, device and perhaps datetime.
func (s *Store) eachRow(ctx context.Context, query string, args []any, fn func(id int64, device string, datetime time.Time)) error {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	var id int64
	var device string
	var datetime time.Time
	places := []any{&intoInt64{&id}, &intoText{&device, make(interner)}, &intoTime{&datetime}}[:len(columns)]
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		fn(id, device, datetime)
	}
	return rows.Err()
}

// span is a time range of one device: start <= datetime < end, in seconds since the epoch.
type span struct {
	device     string // folded
	start, end int64
}

// ImageSeries calls fn with every image inside one of the series, ordered by device, then datetime.
func (s *Store) ImageSeries(ctx context.Context, series []store.Series, fn func(*store.Image) error) error {
	from := "SELECT " + imageColumns + " FROM images" + s.dialect.byDeviceTime + " WHERE "
	return s.seriesPages(ctx, series, from, func(images []store.Image) error {
		for i := range images {
			if err := fn(&images[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// seriesPages calls fn with the rows inside one of the series, page by page, ordered by device, then datetime. from is a
// query, up to its last condition, of the first of imageColumns; of rows of the same device and time, it may give but one.
func (s *Store) seriesPages(ctx context.Context, series []store.Series, from string, fn func([]store.Image) error) error {
	plan := newSeriesPlan(series)
	devices, err := s.seriesDevices(ctx, plan)
	if err != nil {
		return s.fail(ctx, err, "reading", "table images")
	}
	next, stop := iter.Pull(plan.spans(devices))
	defer stop()
	p := pages.Get().(*page)
	defer p.free()
	q := repeated{db: s.read, prepare: s.dialect.prepareRepeated}
	defer q.close()
	var batch []span // what the next query reads
	ahead, more := next()
	for {
		for more && len(batch) < s.dialect.termsPerQuery && mayJoin(batch, ahead) {
			batch = append(batch, ahead)
			ahead, more = next()
		}
		if len(batch) == 0 {
			return nil
		}
		query, args := s.spanQuery(from, batch)
		if err := p.fill(q.run(ctx, query, args)); err != nil {
			return s.fail(ctx, err, "reading", "table images")
		}
		whole := batch
		if batch, err = rest(batch, p.images); err != nil {
			return err
		}
		p.images = slices.DeleteFunc(p.images, func(i store.Image) bool { return !asksFor(whole, i.Device) })
		if err := fn(p.images); err != nil {
			return err
		}
		// A request of many empty spans, or of pages that are handed on from memory, must end too.
		if err := ctx.Err(); err != nil {
			return s.fail(ctx, err, "reading", "table images")
		}
	}
}

// repeated runs queries of which many in a row are the same but for their arguments.
type repeated struct {
	db      *sql.DB
	prepare bool
	query   string    // the last one
	stmt    *sql.Stmt // of it; nil where it ran but once
}

func (r *repeated) run(ctx context.Context, query string, args []any) (_ *sql.Rows, err error) {
	if !r.prepare || query != r.query {
		r.close()
		r.query = query
		return r.db.QueryContext(ctx, query, args...)
	}
	if r.stmt == nil {
		if r.stmt, err = r.db.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
	}
	return r.stmt.QueryContext(ctx, args...)
}

func (r *repeated) close() {
	if r.stmt != nil {
		_ = r.stmt.Close() // nothing was written by it
		r.stmt = nil
	}
}

// mayJoin says whether the span may be read together with the batch: the rows of several devices come in the order of the
// database's collation, which is known for plain names alone.
func mayJoin(batch []span, next span) bool {
	return len(batch) == 0 || batch[0].device == next.device || isPlain(batch[0].device) && isPlain(next.device)
}

// asksFor says whether the device is one of the batch. MariaDB also takes devices for equal that differ in accents or in
// spaces at the end.
func asksFor(batch []span, device string) bool {
	device = fold(device)
	if batch[0].device == device {
		return true
	}
	return slices.ContainsFunc(batch, func(b span) bool { return b.device == device })
}

// rest is what is left to read of the batch after the rows of a page.
func rest(batch []span, read []store.Image) ([]span, error) {
	if len(read) < pageRows {
		return nil, nil
	}
	last := &read[len(read)-1]
	device, at := fold(last.Device), last.Datetime.Unix()
	i := slices.IndexFunc(batch, func(b span) bool { return b.device == device && b.start <= at && at < b.end })
	if i < 0 && batch[0].device == batch[len(batch)-1].device {
		i = slices.IndexFunc(batch, func(b span) bool { return b.start <= at && at < b.end })
	}
	if i < 0 {
		return nil, spi.Errorf(spi.CodeInternal, "reading table images: device %q lies outside the ranges that were asked for", last.Device)
	}
	left := slices.Clone(batch[i:])
	left[0].start = at + 1
	if left[0].start >= left[0].end {
		left = left[1:]
	}
	return left, nil
}

// spanQuery reads a page of the batch's rows in the order of the unique index. The limit is no parameter: with one, SQLite plans
// the query anew each time that it is bound.
func (s *Store) spanQuery(from string, batch []span) (query string, args []any) {
	var b strings.Builder
	b.WriteString(from + "(")
	args = make([]any, 0, 3*len(batch)+1)
	for i, r := range batch {
		if i > 0 {
			b.WriteString(" OR ")
		}
		b.WriteString("(device = ? AND datetime >= ? AND datetime < ?)")
		args = append(args, r.device, s.dialect.datetime(time.Unix(r.start, 0)), s.dialect.datetime(time.Unix(r.end, 0)))
	}
	b.WriteString(") ORDER BY device, datetime LIMIT " + strconv.Itoa(pageRows))
	return b.String(), args
}

// maxExactDevices is up to how many devices are asked for by name without looking which of them there are.
const maxExactDevices = 256

// seriesDevices gives the devices, folded and sorted, that the plan may concern.
func (s *Store) seriesDevices(ctx context.Context, plan *seriesPlan) ([]string, error) {
	if len(plan.patterns) == 0 && len(plan.exact) <= maxExactDevices {
		return slices.Sorted(maps.Keys(plan.exact)), nil
	}
	all, err := s.devices(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(d string) bool { return !plan.concerns(d) }), nil
}

// devices gives all devices that have images, folded and sorted. Each costs one step down the unique index, however many
// images it has.
func (s *Store) devices(ctx context.Context) ([]string, error) {
	return s.devicesOf(ctx, "images", "image_id")
}

// devicesOf gives the devices of a table likewise, by an index that begins with device.
func (s *Store) devicesOf(ctx context.Context, table, index string) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, s.dialect.devices(table, index))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var devices []string
	for rows.Next() {
		var d string // one device, or many with a line feed each
		if err := rows.Scan(&d); err != nil {
			return nil, err
		}
		for one := range strings.Lines(d) {
			devices = append(devices, fold(strings.TrimSuffix(one, "\n")))
		}
	}
	slices.Sort(devices)
	return slices.Compact(devices), rows.Err()
}

// seriesPlan is a request's series, those of equal devices put together.
type seriesPlan struct {
	exact    map[string][]span // by device, folded; the spans lack it
	patterns []patternSpans
}

type patternSpans struct {
	pattern string
	spans   []span
}

func newSeriesPlan(series []store.Series) *seriesPlan {
	plan := &seriesPlan{exact: make(map[string][]span)}
	byPattern := make(map[string][]span)
	for _, one := range series {
		r := span{start: ceilSecond(one.Start), end: ceilSecond(one.End)}
		switch {
		case r.start >= r.end:
		case store.IsPattern(one.Device):
			p := fold(one.Device)
			byPattern[p] = append(byPattern[p], r)
		case isText(one.Device):
			d := fold(one.Device)
			plan.exact[d] = append(plan.exact[d], r)
		}
	}
	for d, spans := range plan.exact {
		plan.exact[d] = merge(spans)
	}
	for p, spans := range byPattern {
		plan.patterns = append(plan.patterns, patternSpans{p, merge(spans)})
	}
	return plan
}

// ceilSecond is the first whole second that is not before t: rows hold whole seconds, so t <= datetime is the same with it.
func ceilSecond(t time.Time) int64 {
	at := t.Unix()
	if t.Nanosecond() > 0 {
		at++
	}
	return at
}

// merge sorts spans of one device and joins those that overlap or touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	merged := spans[:0]
	for _, r := range spans {
		if n := len(merged); n > 0 && r.start <= merged[n-1].end {
			merged[n-1].end = max(merged[n-1].end, r.end)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

func (p *seriesPlan) concerns(device string) bool {
	if _, ok := p.exact[device]; ok {
		return true
	}
	return slices.ContainsFunc(p.patterns, func(ps patternSpans) bool { return store.Like(ps.pattern, device) })
}

// spans gives the merged spans, device by device: only one device's are in memory at a time.
func (p *seriesPlan) spans(devices []string) iter.Seq[span] {
	return func(yield func(span) bool) {
		var own []span
		for _, device := range devices {
			own = append(own[:0], p.exact[device]...)
			for _, ps := range p.patterns {
				if store.Like(ps.pattern, device) {
					own = append(own, ps.spans...)
				}
			}
			for _, r := range merge(own) {
				r.device = device
				if !yield(r) {
					return
				}
			}
		}
	}
}

// DeleteImages deletes the images that the keys name, with all that hangs on them.
func (s *Store) DeleteImages(ctx context.Context, keys []store.ImageKey, deleteObjects func(context.Context, []store.Image) error, deleted func(*store.Image) error) error {
	ids, err := s.imageIDs(ctx, keys)
	if err != nil {
		return s.fail(ctx, err, "reading", "table images")
	}
	p := pages.Get().(*page)
	defer p.free()
	for ids := range slices.Chunk(ids, imagesPerDeletion) {
		where, args := " FROM images WHERE id IN ("+placeholders(len(ids))+")", anys(ids)
		var callback error
		err := s.inTx(ctx, "deleting from", "table images", func(tx *sql.Tx) error {
			// The rows stay to be seen by others until the commit: an upload of one of them is refused meanwhile.
			if err := p.fill(tx.QueryContext(ctx, "SELECT "+imageColumns+where+" ORDER BY id"+s.dialect.forUpdate, args...)); err != nil {
				return err
			}
			if len(p.images) == 0 {
				return nil // another request has deleted them
			}
			if _, err := tx.ExecContext(ctx, "DELETE"+where, args...); err != nil {
				return err
			}
			if callback = deleteObjects(ctx, slices.Clone(p.images)); callback != nil {
				return errCallback
			}
			days := make([]deviceDay, len(p.images))
			for i := range p.images {
				days[i] = deviceDay{fold(p.images[i].Device), dayOf(p.images[i].Datetime.Unix())}
			}
			return s.touchDays(ctx, tx, days)
		})
		if callback != nil {
			return callback
		}
		if err != nil {
			return err
		}
		for i := range p.images {
			if err := deleted(&p.images[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// errCallback rolls a transaction back because the caller's function failed, whose own error is given back.
var errCallback = errors.New("the caller's function failed")
