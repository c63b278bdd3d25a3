package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

var _ store.Tuboids = (*Store)(nil)

// The lengths of MariaDB's columns of tuboids, series and labels, in characters.
const (
	maxTuboidID      = 100
	maxSeriesAlgo    = 64
	maxSeriesVersion = 46
	maxLabelAlgo     = 32
	maxLabelVersion  = 46
	maxLabelPattern  = 128
	maxLabelType     = 32
	maxLabelTaxon    = 32
)

const (
	seriesColumns = "s.id, s.device, s.start_datetime, s.end_datetime, s.algo_name, s.algo_version, s.n_tuboids, s.n_images, " +
		"s.datetime_created, s.api_version, s.api_user"
	tuboidColumns = "t.id, t.parent_series_id, t.tuboid_id, t.id_in_series, t.start_datetime, t.end_datetime, t.n_shots, " +
		"t.datetime_created, t.api_version, t.api_user, " + seriesColumns
	tuboidTables = " FROM tiled_tuboids t JOIN tuboid_series s ON s.id = t.parent_series_id "
	labelColumns = "id, parent_tuboid_id, algo_name, algo_version, label, pattern, type, `order`, family, genus, species, " +
		"datetime_created, api_version, api_user"
)

// rowReader reads rows of one kind: its places are bound once to its row.
type rowReader[T any] struct {
	row    T
	places []any
}

// all reads all rows and closes them.
func (r *rowReader[T]) all(rows *sql.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var read []T
	for rows.Next() {
		if err := rows.Scan(r.places...); err != nil {
			return nil, err
		}
		read = append(read, r.row)
	}
	return read, rows.Err()
}

func provenancePlaces(p *store.Provenance, in interner) []any {
	return []any{&intoTime{&p.DatetimeCreated}, &intoNullText{&p.APIVersion, in}, &intoNullText{&p.APIUser, in}}
}

func seriesPlaces(r *store.TuboidSeries, in interner) []any {
	return append([]any{
		&intoInt64{&r.ID}, &intoText{&r.Device, in}, &intoTime{&r.StartDatetime}, &intoTime{&r.EndDatetime},
		&intoText{&r.AlgoName, in}, &intoText{&r.AlgoVersion, in}, &intoInt{&r.NTuboids}, &intoInt{&r.NImages},
	}, provenancePlaces(&r.Provenance, in)...)
}

func newSeriesReader() *rowReader[store.TuboidSeries] {
	r := &rowReader[store.TuboidSeries]{}
	r.places = seriesPlaces(&r.row, make(interner))
	return r
}

func newTuboidReader() *rowReader[store.Tuboid] {
	r, in := &rowReader[store.Tuboid]{}, make(interner)
	t := &r.row
	r.places = append([]any{
		&intoInt64{&t.ID}, &intoInt64{&t.ParentSeriesID}, &intoText{&t.TuboidID, nil}, &intoInt{&t.IDInSeries},
		&intoTime{&t.StartDatetime}, &intoTime{&t.EndDatetime}, &intoInt{&t.NShots},
	}, provenancePlaces(&t.Provenance, in)...)
	r.places = append(r.places, seriesPlaces(&t.Series, in)...)
	return r
}

func newLabelReader() *rowReader[store.Label] {
	r, in := &rowReader[store.Label]{}, make(interner)
	l := &r.row
	r.places = append([]any{
		&intoInt64{&l.ID}, &intoInt64{&l.ParentTuboidID}, &intoText{&l.AlgoName, in}, &intoText{&l.AlgoVersion, in}, &intoInt{&l.Label},
		&intoText{&l.Pattern, in}, &intoText{&l.Type, in}, &intoNullText{&l.Order, in}, &intoNullText{&l.Family, in},
		&intoNullText{&l.Genus, in}, &intoNullText{&l.Species, in},
	}, provenancePlaces(&l.Provenance, in)...)
	return r
}

func checkTuboid(t *store.Tuboid) error {
	s := &t.Series
	if err := checkTexts("tuboid_series", field{"device", s.Device, maxDevice}, field{"algo_name", s.AlgoName, maxSeriesAlgo},
		field{"algo_version", s.AlgoVersion, maxSeriesVersion}); err != nil {
		return err
	}
	if err := checkTexts("tiled_tuboids", field{"tuboid_id", t.TuboidID, maxTuboidID}); err != nil {
		return err
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"n_tuboids", s.NTuboids}, {"n_images", s.NImages}, {"id_in_series", t.IDInSeries}, {"n_shots", t.NShots}} {
		if n.value < 0 || n.value > math.MaxInt32 {
			return spi.Errorf(spi.CodeInvalid, "writing table tiled_tuboids: %s is out of range", n.name)
		}
	}
	if err := checkYears("tiled_tuboids", s.StartDatetime, s.EndDatetime); err != nil {
		return err
	}
	if err := checkYears("tiled_tuboids", t.StartDatetime, t.EndDatetime); err != nil {
		return err
	}
	if err := checkProvenance("tuboid_series", s.Provenance); err != nil {
		return err
	}
	return checkProvenance("tiled_tuboids", t.Provenance)
}

// checkYears refuses what are no dates of MariaDB.
func checkYears(table string, start, end time.Time) error {
	for _, d := range []struct {
		name string
		at   time.Time
	}{{"start_datetime", start}, {"end_datetime", end}} {
		if y := d.at.UTC().Year(); y < 1 || y > 9999 {
			return spi.Errorf(spi.CodeInvalid, "writing table %s: %s is out of range", table, d.name)
		}
	}
	return nil
}

// tuboidClaim is the right to store tuboids of one series; see [claim].
type tuboidClaim struct {
	s      *Store
	series string    // that of the claim
	conn   *sql.Conn // nil in SQLite
	lock   string
	unlock func() // of the process's own lock
}

// claimedSeries names what a claim is on. The name of the algorithm is left out, as names of tuboids leave it out: two
// uploads of one tuboid wait for each other whatever they say of it.
func claimedSeries(s *store.TuboidSeries) string {
	return fold(s.Device) + "." + strconv.FormatInt(s.StartDatetime.Unix(), 10) + "." + strconv.FormatInt(s.EndDatetime.Unix(), 10) + "." + fold(s.AlgoVersion)
}

// ClaimTuboid waits for the sole right to store tuboids of t's series.
func (s *Store) ClaimTuboid(ctx context.Context, t *store.Tuboid) (store.TuboidClaim, error) {
	if err := checkTuboid(t); err != nil {
		return nil, err
	}
	c := &tuboidClaim{s: s, series: claimedSeries(&t.Series)}
	unlock, err := s.locks.lock(ctx, "tuboids."+c.series)
	if err != nil {
		return nil, s.fail(ctx, err, "claiming rows of", "table tiled_tuboids")
	}
	c.unlock = unlock
	if err := c.take(ctx, t); err != nil {
		c.Release()
		return nil, s.fail(ctx, err, "claiming rows of", "table tiled_tuboids")
	}
	return c, nil
}

// take takes the database's lock, where it has any, and looks whether there is room for the tuboid.
func (c *tuboidClaim) take(ctx context.Context, t *store.Tuboid) error {
	var db querier = c.s.read
	if c.s.claims != nil {
		conn, err := c.s.claims.Conn(ctx)
		if err != nil {
			return err
		}
		c.conn, c.lock, db = conn, c.s.dialect.tuboidsLockName(c.series), conn
		if err := getLock(ctx, conn, c.lock); err != nil {
			return err
		}
	}
	_, err := c.s.seriesFor(ctx, db, t, "")
	return err
}

// seriesFor gives the row of the tuboid's series; its id is 0 where there is none yet. CodeConflict where the tuboid cannot
// be stored.
func (s *Store) seriesFor(ctx context.Context, q querier, t *store.Tuboid, lock string) (store.TuboidSeries, error) {
	var series store.TuboidSeries
	all, err := newSeriesReader().all(q.QueryContext(ctx, "SELECT "+seriesColumns+" FROM tuboid_series s WHERE s.device = ? AND s.start_datetime = ? AND s.end_datetime = ?"+lock,
		t.Series.Device, s.dialect.datetime(t.Series.StartDatetime), s.dialect.datetime(t.Series.EndDatetime)))
	if err != nil {
		return series, err
	}
	for _, there := range all {
		if fold(there.Device) == fold(t.Series.Device) && fold(there.AlgoName) == fold(t.Series.AlgoName) && fold(there.AlgoVersion) == fold(t.Series.AlgoVersion) {
			series = there
		}
	}
	// After the series, whose lock others hold while they insert.
	same, err := scanIDs(q.QueryContext(ctx, "SELECT id FROM tiled_tuboids WHERE tuboid_id = ?", t.TuboidID))
	if err != nil {
		return series, err
	}
	if len(same) > 0 {
		return series, spi.Errorf(spi.CodeConflict, "the tuboid %s is there already", t.TuboidID)
	}
	if series.ID == 0 {
		return series, nil
	}
	if series.NTuboids != t.Series.NTuboids || series.NImages != t.Series.NImages {
		return series, spi.Errorf(spi.CodeConflict, "its series is there with n_tuboids %d and n_images %d, not %d and %d",
			series.NTuboids, series.NImages, t.Series.NTuboids, t.Series.NImages)
	}
	tuboids, err := scanIDs(q.QueryContext(ctx, "SELECT COUNT(*) FROM tiled_tuboids WHERE parent_series_id = ?", series.ID))
	if err != nil {
		return series, err
	}
	if tuboids[0] >= int64(series.NTuboids) {
		return series, spi.Errorf(spi.CodeConflict, "its series has all of its %d tuboids already", series.NTuboids)
	}
	return series, nil
}

// Commit inserts the tuboid, and its series where it is the first.
func (c *tuboidClaim) Commit(ctx context.Context, t *store.Tuboid) error {
	if claimedSeries(&t.Series) != c.series {
		return spi.Errorf(spi.CodeInternal, "writing table tiled_tuboids: the row is not of the series that was claimed")
	}
	if err := checkTuboid(t); err != nil {
		return err
	}
	s, datetime := c.s, c.s.dialect.datetime
	var db beginner = s.write
	if c.conn != nil {
		db = c.conn // where the claim is lost, so is the connection
	}
	added := *t
	err := s.inTxOn(ctx, db, "writing", "table tiled_tuboids", func(tx *sql.Tx) error {
		series, err := s.seriesFor(ctx, tx, t, s.dialect.forUpdate)
		if err != nil {
			return err
		}
		if series.ID == 0 {
			series = t.Series
			if series.ID, err = insert(ctx, tx, `INSERT INTO tuboid_series (device, start_datetime, end_datetime, algo_name, algo_version,
				n_tuboids, n_images, datetime_created, api_version, api_user) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				series.Device, datetime(series.StartDatetime), datetime(series.EndDatetime), series.AlgoName, series.AlgoVersion,
				series.NTuboids, series.NImages, datetime(series.DatetimeCreated), series.APIVersion, series.APIUser); err != nil {
				if isConflict(s, err) {
					return spi.Wrap(spi.CodeConflict, err, "its series is there under a name that differs in accents alone")
				}
				return err
			}
		}
		added.ParentSeriesID, added.Series = series.ID, series
		added.ID, err = insert(ctx, tx, `INSERT INTO tiled_tuboids (parent_series_id, tuboid_id, id_in_series, start_datetime, end_datetime,
			n_shots, datetime_created, api_version, api_user) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			series.ID, t.TuboidID, t.IDInSeries, datetime(t.StartDatetime), datetime(t.EndDatetime),
			t.NShots, datetime(t.DatetimeCreated), t.APIVersion, t.APIUser)
		if isConflict(s, err) {
			return spi.Wrap(spi.CodeConflict, err, "the tuboid %s is there already", t.TuboidID)
		}
		return err
	})
	if err == nil {
		*t = added
	}
	return err
}

// insert runs an INSERT of one row and gives its id.
func insert(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// Release ends the claim.
func (c *tuboidClaim) Release() {
	if c.conn != nil {
		releaseLock(c.conn, c.lock)
	}
	c.unlock()
}

// idsWhere gives the ids of a table's rows of which a column has one of the values, sorted. Only indexes are read.
func idsWhere(ctx context.Context, q querier, table, column string, values []int64) (ids []int64, err error) {
	for some := range slices.Chunk(values, idsPerQuery) {
		found, err := scanIDs(q.QueryContext(ctx, "SELECT id FROM "+table+" WHERE "+column+" IN ("+placeholders(len(some))+")", anys(some)...))
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// scanIDs reads rows of one whole number, and closes them.
func scanIDs(rows *sql.Rows, err error) (ids []int64, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var id int64
	for rows.Next() {
		if err := rows.Scan(&intoInt64{&id}); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// window is a time range, both bounds included, in seconds since the epoch.
type window struct{ start, end int64 }

// windows are the ranges of one device, by their start; the end of each is the latest of it and of those before it.
type windows []window

func newWindows(ranges []window) windows {
	w := slices.Clone(ranges)
	slices.SortFunc(w, func(a, b window) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(w); i++ {
		w[i].end = max(w[i].end, w[i-1].end)
	}
	return w
}

// hold says whether a series lies inside one of the ranges: of those that start early enough, one ends late enough.
func (w windows) hold(start, end int64) bool {
	after := sort.Search(len(w), func(i int) bool { return w[i].start > start })
	return after > 0 && end <= w[after-1].end
}

// joined gives the ranges without overlaps: a series that lies inside one of the ranges starts in one of these.
func (w windows) joined() []window {
	var all []window
	for _, one := range w {
		if n := len(all); n > 0 && one.start <= all[n-1].end {
			all[n-1].end = max(all[n-1].end, one.end)
		} else {
			all = append(all, one)
		}
	}
	return all
}

// tuboidPlan is a request's ranges by device.
type tuboidPlan struct {
	exact    map[string][]window // by device, folded
	patterns map[string][]window // by pattern, folded
}

func newTuboidPlan(series []store.Series) tuboidPlan {
	p := tuboidPlan{make(map[string][]window), make(map[string][]window)}
	for _, one := range series {
		r := window{ceilSecond(one.Start), one.End.Unix()}
		switch {
		case r.start > r.end:
		case store.IsPattern(one.Device):
			p.patterns[fold(one.Device)] = append(p.patterns[fold(one.Device)], r)
		case isText(one.Device):
			p.exact[fold(one.Device)] = append(p.exact[fold(one.Device)], r)
		}
	}
	return p
}

// of gives the ranges for a device, which is folded.
func (p tuboidPlan) of(device string) windows {
	own := slices.Clone(p.exact[device])
	for pattern, ranges := range p.patterns {
		if store.Like(pattern, device) {
			own = append(own, ranges...)
		}
	}
	return newWindows(own)
}

// tuboidTerms is how many ranges of devices one query for series of tuboids holds at most: it bounds how many are in memory.
const tuboidTerms = 16

// seriesWithin calls fn with the series that lie inside one of the given ones, some at a time, ordered by device, start and id.
// Only the range of the unique index is read in which they start.
func (s *Store) seriesWithin(ctx context.Context, given []store.Series, fn func([]store.TuboidSeries) error) error {
	plan := newTuboidPlan(given)
	if len(plan.exact) == 0 && len(plan.patterns) == 0 {
		return nil
	}
	var devices []string
	if len(plan.patterns) == 0 && len(plan.exact) <= maxExactDevices {
		devices = slices.Sorted(maps.Keys(plan.exact))
	} else {
		var err error
		if devices, err = s.devicesOf(ctx, "tuboid_series", "tiled_series_id"); err != nil {
			return s.fail(ctx, err, "reading", "table tuboid_series")
		}
	}
	asked := make(map[string]windows) // the devices of the next query
	var terms []span
	flush := func() error {
		if len(terms) == 0 {
			return nil
		}
		found, err := s.seriesStarting(ctx, terms)
		if err != nil {
			return s.fail(ctx, err, "reading", "table tuboid_series")
		}
		// MariaDB also takes devices for equal that differ in accents or in spaces at the end.
		found = slices.DeleteFunc(found, func(r store.TuboidSeries) bool {
			return !asked[fold(r.Device)].hold(r.StartDatetime.Unix(), r.EndDatetime.Unix())
		})
		terms = terms[:0]
		clear(asked)
		return fn(found)
	}
	for _, device := range devices {
		own := plan.of(device)
		for _, r := range own.joined() {
			asked[device] = own
			terms = append(terms, span{device, r.start, r.end})
			if len(terms) >= min(tuboidTerms, s.dialect.termsPerQuery) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// seriesStarting gives the series that start in one of the spans, whose ends are included, ordered by device, start and id.
func (s *Store) seriesStarting(ctx context.Context, spans []span) ([]store.TuboidSeries, error) {
	var where strings.Builder
	args := make([]any, 0, 3*len(spans))
	for i, r := range spans {
		if i > 0 {
			where.WriteString(" OR ")
		}
		where.WriteString("(s.device = ? AND s.start_datetime >= ? AND s.start_datetime <= ?)")
		args = append(args, r.device, s.dialect.datetime(time.Unix(r.start, 0)), s.dialect.datetime(time.Unix(r.end, 0)))
	}
	found, err := newSeriesReader().all(s.read.QueryContext(ctx,
		"SELECT "+seriesColumns+" FROM tuboid_series s"+s.dialect.useIndex("tiled_series_id")+" WHERE "+where.String(), args...))
	slices.SortFunc(found, func(a, b store.TuboidSeries) int {
		return cmp.Or(cmp.Compare(fold(a.Device), fold(b.Device)), a.StartDatetime.Compare(b.StartDatetime), cmp.Compare(a.ID, b.ID))
	})
	return found, err
}

// TuboidSeries calls fn with every tuboid of the series that lie inside one of the given ones.
func (s *Store) TuboidSeries(ctx context.Context, given []store.Series, fn func(*store.Tuboid) error) error {
	r := newTuboidReader()
	return s.seriesWithin(ctx, given, func(series []store.TuboidSeries) error { return s.tuboidsOf(ctx, r, series, fn) })
}

// tuboidsOf calls fn with the tuboids of the series, in the order of the series.
func (s *Store) tuboidsOf(ctx context.Context, r *rowReader[store.Tuboid], series []store.TuboidSeries, fn func(*store.Tuboid) error) error {
	for len(series) > 0 {
		// As many series as have a page's tuboids together, or one that has more of them.
		n, tuboids := 1, series[0].NTuboids
		for n < len(series) && n < idsPerQuery && tuboids+series[n].NTuboids <= pageRows {
			tuboids += series[n].NTuboids
			n++
		}
		var err error
		if n == 1 {
			err = s.tuboidsOfOne(ctx, r, series[0].ID, fn)
		} else {
			err = s.tuboidsOfSome(ctx, r, series[:n], fn)
		}
		if err != nil {
			return err
		}
		series = series[n:]
	}
	return nil
}

// tuboidsOfOne reads a series' tuboids page by page.
func (s *Store) tuboidsOfOne(ctx context.Context, r *rowReader[store.Tuboid], series int64, fn func(*store.Tuboid) error) error {
	where, args := "WHERE t.parent_series_id = ?", []any{series}
	for {
		read, err := r.all(s.read.QueryContext(ctx, "SELECT "+tuboidColumns+tuboidTables+where+" ORDER BY t.id_in_series, t.id LIMIT ?", append(args, pageRows)...))
		if err != nil {
			return s.fail(ctx, err, "reading", "table tiled_tuboids")
		}
		for i := range read {
			if err := fn(&read[i]); err != nil {
				return err
			}
		}
		if len(read) < pageRows {
			return nil
		}
		last := &read[len(read)-1]
		where = "WHERE t.parent_series_id = ? AND (t.id_in_series > ? OR t.id_in_series = ? AND t.id > ?)"
		args = []any{series, last.IDInSeries, last.IDInSeries, last.ID}
	}
}

// tuboidsOfSome reads the tuboids of series that have a page of them together.
func (s *Store) tuboidsOfSome(ctx context.Context, r *rowReader[store.Tuboid], series []store.TuboidSeries, fn func(*store.Tuboid) error) error {
	ids, place := make([]any, len(series)), make(map[int64]int, len(series))
	for i, one := range series {
		ids[i], place[one.ID] = one.ID, i
	}
	read, err := r.all(s.read.QueryContext(ctx, "SELECT "+tuboidColumns+tuboidTables+"WHERE t.parent_series_id IN ("+placeholders(len(ids))+")", ids...))
	if err != nil {
		return s.fail(ctx, err, "reading", "table tiled_tuboids")
	}
	slices.SortFunc(read, func(a, b store.Tuboid) int {
		return cmp.Or(cmp.Compare(place[a.ParentSeriesID], place[b.ParentSeriesID]), cmp.Compare(a.IDInSeries, b.IDInSeries), cmp.Compare(a.ID, b.ID))
	})
	for i := range read {
		if err := fn(&read[i]); err != nil {
			return err
		}
	}
	return nil
}

// DeleteTuboids deletes the series that lie inside one of the given ones, with their tuboids and labels.
func (s *Store) DeleteTuboids(ctx context.Context, given []store.Series, deleteObjects func(context.Context, store.TuboidSeries, []store.Tuboid) error, deleted func(*store.TuboidSeries) error) error {
	return s.seriesWithin(ctx, given, func(series []store.TuboidSeries) error {
		for i := range series {
			if err := s.deleteSeries(ctx, series[i].ID, deleteObjects, deleted); err != nil {
				return err
			}
		}
		return nil
	})
}

// deleteSeries deletes one series with its tuboids and labels; nothing where another request has done so.
func (s *Store) deleteSeries(ctx context.Context, id int64, deleteObjects func(context.Context, store.TuboidSeries, []store.Tuboid) error, deleted func(*store.TuboidSeries) error) error {
	var there []store.TuboidSeries
	var callback error
	err := s.inTx(ctx, "deleting from", "table tuboid_series", func(tx *sql.Tx) error {
		// The rows stay to be seen by others until the commit: an upload of one of the tuboids is refused meanwhile, and
		// one of another tuboid waits for the series' lock.
		var err error
		there, err = newSeriesReader().all(tx.QueryContext(ctx, "SELECT "+seriesColumns+" FROM tuboid_series s WHERE s.id = ?"+s.dialect.forUpdate, id))
		if err != nil || len(there) == 0 { // another request has deleted it
			return err
		}
		tuboids, err := newTuboidReader().all(tx.QueryContext(ctx,
			"SELECT "+tuboidColumns+tuboidTables+"WHERE t.parent_series_id = ? ORDER BY t.id_in_series, t.id", id))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM tuboid_series WHERE id = ?", id); err != nil {
			return err
		}
		if callback = deleteObjects(ctx, there[0], tuboids); callback != nil {
			return errCallback
		}
		return nil
	})
	switch {
	case callback != nil:
		return callback
	case err != nil:
		return err
	case len(there) == 0:
		return nil
	}
	return deleted(&there[0])
}

// TuboidsByName gives the tuboids of those names that are there, ordered by id.
func (s *Store) TuboidsByName(ctx context.Context, tuboidIDs []string) ([]store.Tuboid, error) {
	r := newTuboidReader()
	var found []store.Tuboid
	names := askedNames(tuboidIDs)
	for some := range slices.Chunk(names, idsPerQuery) {
		read, err := r.all(s.read.QueryContext(ctx, "SELECT "+tuboidColumns+tuboidTables+"WHERE t.tuboid_id IN ("+placeholders(len(some))+")", anys(some)...))
		if err != nil {
			return nil, s.fail(ctx, err, "reading", "table tiled_tuboids")
		}
		for i := range read {
			if isAsked(names, read[i].TuboidID) {
				found = append(found, read[i])
			}
		}
	}
	slices.SortFunc(found, func(a, b store.Tuboid) int { return cmp.Compare(a.ID, b.ID) })
	return found, nil
}

// askedNames gives the names of tuboids folded, sorted, each once: those that lock rows do so in one order.
func askedNames(tuboidIDs []string) []string {
	names := make([]string, 0, len(tuboidIDs))
	for _, id := range tuboidIDs {
		if isText(id) {
			names = append(names, fold(id))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isAsked says whether the name is one of askedNames. MariaDB also takes names for equal that differ in accents or in spaces at
// the end.
func isAsked(names []string, name string) bool {
	_, asked := slices.BinarySearch(names, fold(name))
	return asked
}

// namedTuboid is a tuboid's id and its name.
type namedTuboid struct {
	id   int64
	name string // folded
}

// namedTuboids gives the tuboids of those names that are there.
func (s *Store) namedTuboids(ctx context.Context, q querier, names []string, lock string) (found []namedTuboid, err error) {
	r := &rowReader[namedTuboid]{}
	r.places = []any{&intoInt64{&r.row.id}, &intoText{&r.row.name, nil}}
	for some := range slices.Chunk(names, idsPerQuery) {
		read, err := r.all(q.QueryContext(ctx, "SELECT id, tuboid_id FROM tiled_tuboids WHERE tuboid_id IN ("+placeholders(len(some))+")"+lock, anys(some)...))
		if err != nil {
			return nil, err
		}
		for _, one := range read {
			if one.name = fold(one.name); isAsked(names, one.name) {
				found = append(found, one)
			}
		}
	}
	return found, nil
}

func checkLabel(l *store.Label) error {
	if err := checkTexts("itc_labels", field{"algo_name", l.AlgoName, maxLabelAlgo}, field{"algo_version", l.AlgoVersion, maxLabelVersion},
		field{"pattern", l.Pattern, maxLabelPattern}, field{"type", l.Type, maxLabelType}, field{"order", l.Order.V, maxLabelTaxon},
		field{"family", l.Family.V, maxLabelTaxon}, field{"genus", l.Genus.V, maxLabelTaxon}, field{"species", l.Species.V, maxLabelTaxon}); err != nil {
		return err
	}
	if l.Label < math.MinInt32 || l.Label > math.MaxInt32 {
		return spi.Errorf(spi.CodeInvalid, "writing table itc_labels: label is out of range")
	}
	return checkProvenance("itc_labels", l.Provenance)
}

// AddLabels stores all of the labels or none.
func (s *Store) AddLabels(ctx context.Context, labels []store.NewLabel) ([]store.Label, error) {
	if len(labels) == 0 {
		return nil, nil
	}
	names := make([]string, len(labels))
	for i := range labels {
		if err := checkLabel(&labels[i].Label); err != nil {
			return nil, ofElement(i, err)
		}
		names[i] = labels[i].TuboidID
	}
	added := make([]store.Label, len(labels))
	err := s.inTx(ctx, "writing", "table itc_labels", func(tx *sql.Tx) error {
		// Locked, so that no tuboid goes before its label comes.
		tuboids, err := s.namedTuboids(ctx, tx, askedNames(names), s.dialect.forUpdate)
		if err != nil {
			return err
		}
		ids := make(map[string]int64, len(tuboids))
		for _, one := range tuboids {
			ids[one.name] = one.id
		}
		for i := range labels {
			l := labels[i].Label
			l.DatetimeCreated = l.DatetimeCreated.UTC().Truncate(time.Second)
			var there bool
			if l.ParentTuboidID, there = ids[fold(labels[i].TuboidID)]; !there {
				return spi.Errorf(spi.CodeNotFound, "element %d: there is no tuboid %.120q", i, labels[i].TuboidID)
			}
			l.ID, err = insert(ctx, tx, "INSERT INTO itc_labels (parent_tuboid_id, algo_name, algo_version, label, pattern, type, "+
				"`order`, family, genus, species, datetime_created, api_version, api_user) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				l.ParentTuboidID, l.AlgoName, l.AlgoVersion, l.Label, l.Pattern, l.Type,
				l.Order, l.Family, l.Genus, l.Species, s.dialect.datetime(l.DatetimeCreated), l.APIVersion, l.APIUser)
			if isConflict(s, err) {
				return spi.Wrap(spi.CodeConflict, err, "element %d: the tuboid %s has a label of algorithm %q, version %q, already",
					i, labels[i].TuboidID, l.AlgoName, l.AlgoVersion)
			}
			if err != nil {
				return err
			}
			added[i] = l
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// ofElement names the element of a request that an error is about.
func ofElement(i int, err error) error {
	var e *spi.Error
	if !errors.As(err, &e) {
		return err
	}
	return spi.Wrap(e.Code, errors.Unwrap(e), "element %d: %s", i, e.Message)
}

// Labels calls fn with every label of those tuboids, ordered by id.
func (s *Store) Labels(ctx context.Context, tuboidIDs []string, fn func(*store.Label) error) error {
	tuboids, err := s.namedTuboids(ctx, s.read, askedNames(tuboidIDs), "")
	if err != nil {
		return s.fail(ctx, err, "reading", "table tiled_tuboids")
	}
	parents := make([]int64, len(tuboids))
	for i, one := range tuboids {
		parents[i] = one.id
	}
	ids, err := idsWhere(ctx, s.read, "itc_labels", "parent_tuboid_id", parents)
	if err != nil {
		return s.fail(ctx, err, "reading", "table itc_labels")
	}
	return eachByID(ctx, s, newLabelReader(), "itc_labels", labelColumns, ids, fn)
}

// eachByID calls fn with the rows of those ids, which are sorted; no connection is held meanwhile.
func eachByID[T any](ctx context.Context, s *Store, r *rowReader[T], table, columns string, ids []int64, fn func(*T) error) error {
	for some := range slices.Chunk(ids, idsPerQuery) {
		read, err := r.all(s.read.QueryContext(ctx, "SELECT "+columns+" FROM "+table+" WHERE id IN ("+placeholders(len(some))+") ORDER BY id", anys(some)...))
		if err != nil {
			return s.fail(ctx, err, "reading", "table "+table)
		}
		for i := range read {
			if err := fn(&read[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
