package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// The queue of detectors. uid_algorithms holds every algorithm that ever asked for work; uid_intents a row for each image
// and algorithm that has something to do. What always holds, whatever dies when:
//
//	an image whose id is not below its algorithm's backfill_below has an annotation of the algorithm's newest version
//	(or a later one), or a row in uid_intents; never both.
//
// It is kept by locks that the transactions of MariaDB hold until they end; SQLite has one writer. Those who store images or
// annotations share the row of uid_gate; those who make an algorithm or a version known hold it alone before they look for
// the greatest id: so every image with a smaller id is there to be seen, and every later one gets its row from its upload.
// Those who store annotations share their algorithm's row in uid_algorithms; a backfill holds it alone: so an annotation is
// seen by the backfill, or sees the row that the backfill has made. Leases take rows of uid_intents without waiting.

// States of an intent. A suspect waits too: its last lease ended unanswered, maybe because the image ended the program that
// looked at it, so that it is leased alone the next time.
const (
	waiting = iota
	leased
	failed
	suspect
	leasedAlone
)

// endedAlone is the reason of the failure that the end of such a lease is.
const endedAlone = "the worker that had this image alone did not answer within the lease: looking at it may have ended the program (out of memory, a fault of a library)"

// noVersion is the timestamp of what has none, as [spi.VersionTime] gives it: below those of all versions.
const noVersion = -1

const (
	// maxReason, in characters, bounds what is kept of a failure's reason.
	maxReason = 1000
	// backfillChunk is how many images one transaction looks at; annotations of the algorithm wait for it.
	backfillChunk = 2000
	// backfillMost is how many images one request for work looks at before it answers with what there is: about a second's.
	backfillMost = 100_000
	// intentsPerUpdate bounds the rows that one statement changes.
	intentsPerUpdate = 500
)

type algorithm struct {
	id      int64
	name    string
	version string
	time    int64 // of the newest version that asked for work
	below   int64 // images with a smaller id are not entered yet
}

const algorithmColumns = "id, name, version, version_time, backfill_below"

func (a *algorithm) places() []any { return []any{&a.id, &a.name, &a.version, &a.time, &a.below} }

// passGate shares the gate until the transaction ends, and gives the number of algorithms that are known.
func (s *Store) passGate(ctx context.Context, tx *sql.Tx) (algorithms int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT algorithms FROM uid_gate WHERE id = 1"+s.dialect.forShare).Scan(&algorithms)
	return algorithms, err
}

// enterImage makes the rows of a new image, in its own transaction, which has passed the gate.
func (s *Store) enterImage(ctx context.Context, tx *sql.Tx, id int64, i *store.Image) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO uid_intents (image_id, algorithm_id, device, datetime, best_time)
		SELECT ?, id, ?, ?, ? FROM uid_algorithms`, id, i.Device, s.dialect.datetime(i.Datetime), noVersion)
	return err
}

// endLeases lets the images that those users have leased wait again.
func (s *Store) endLeases(ctx context.Context, tx *sql.Tx, users []any) error {
	_, err := tx.ExecContext(ctx, "UPDATE uid_intents"+s.dialect.useIndex("intent_lease")+" SET "+unleased+" WHERE lease_until IS NOT NULL AND lease_user IN ("+placeholders(len(users))+")", users...)
	return err
}

// EndLeases lets all leased images wait again. What was leased alone stays a suspect: it has not been answered for.
func (s *Store) EndLeases(ctx context.Context) error {
	return s.inTx(ctx, "writing", "table uid_intents", func(tx *sql.Tx) error {
		// state is read before it is set: MariaDB sets one column after the other
		_, err := tx.ExecContext(ctx, "UPDATE uid_intents"+s.dialect.useIndex("intent_lease")+" SET state = CASE state WHEN ? THEN ? ELSE ? END, "+noLease+
			" WHERE lease_until IS NOT NULL", leasedAlone, suspect, waiting)
		return err
	})
}

const (
	noLease  = "lease_user = NULL, lease_until = NULL, lease_time = NULL"
	unleased = "state = 0, " + noLease
)

// knownAlgorithm finds an algorithm by its name; ok is false where it never asked for work.
func (s *Store) knownAlgorithm(ctx context.Context, db rowQuerier, name, lock string) (a algorithm, ok bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT "+algorithmColumns+" FROM uid_algorithms WHERE name = ?"+lock, name).Scan(a.places()...)
	if errors.Is(err, sql.ErrNoRows) {
		return algorithm{}, false, nil
	}
	return a, err == nil, err
}

// maxAlgorithms bounds the algorithms of a server: every upload is entered for each.
const maxAlgorithms = 64

// algorithm finds an algorithm, and makes it or its version known where they are not.
func (s *Store) algorithm(ctx context.Context, name, version string) (a algorithm, err error) {
	asked, known := spi.VersionTime(version), false
	if a, known, err = s.knownAlgorithm(ctx, s.read, name, ""); err != nil || known && a.time >= asked {
		return a, s.fail(ctx, err, "reading", "table uid_algorithms")
	}
	err = s.inTx(ctx, "writing", "table uid_algorithms", func(tx *sql.Tx) error {
		var gate, newest int64
		if err := tx.QueryRowContext(ctx, "SELECT algorithms FROM uid_gate WHERE id = 1"+s.dialect.forUpdate).Scan(&gate); err != nil {
			return err
		}
		if a, known, err = s.knownAlgorithm(ctx, tx, name, s.dialect.forUpdate); err != nil || known && a.time >= asked {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM images").Scan(&newest); err != nil {
			return err
		}
		a.version, a.time, a.below = version, asked, newest+1
		if known {
			_, err := tx.ExecContext(ctx, "UPDATE uid_algorithms SET version = ?, version_time = ?, backfill_below = ? WHERE id = ?", a.version, a.time, a.below, a.id)
			return err
		}
		if gate >= maxAlgorithms {
			return spi.Errorf(spi.CodeConflict, "there are %d algorithms already, and each costs something at every upload: use the name of one", maxAlgorithms)
		}
		a.name = name
		result, err := tx.ExecContext(ctx, "INSERT INTO uid_algorithms (name, version, version_time, backfill_below) VALUES (?, ?, ?, ?)", a.name, a.version, a.time, a.below)
		if err != nil {
			return err
		}
		if a.id, err = result.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE uid_gate SET algorithms = algorithms + 1 WHERE id = 1")
		return err
	})
	return a, err
}

// forgotten is the version of an algorithm that has none: every image is as if annotated by it or a later one, and every version
// that asks for work is newer.
const forgotten = ""

// ForgetVersion forgets the newest version of an algorithm, then takes out of the queue what nothing is to be done for.
func (s *Store) ForgetVersion(ctx context.Context, algoName string) (version string, err error) {
	known := false
	err = s.inTx(ctx, "writing", "table uid_algorithms", func(tx *sql.Tx) error {
		var a algorithm
		if a, known, err = s.knownAlgorithm(ctx, tx, algoName, s.dialect.forUpdate); err != nil || !known {
			return err
		}
		version = a.version
		_, err = tx.ExecContext(ctx, "UPDATE uid_algorithms SET version = ?, version_time = ?, backfill_below = 0 WHERE id = ?", forgotten, noVersion, a.id)
		return err
	})
	if err == nil && !known {
		err = spi.Errorf(spi.CodeNotFound, "no detector called %.64q ever asked for work", algoName)
	}
	for left := true; left && err == nil; {
		err = s.inTx(ctx, "writing", "table uid_intents", func(tx *sql.Tx) error {
			left, err = s.removeDone(ctx, tx, algoName)
			return err
		})
	}
	return version, err
}

// removeDone takes some images out of the queue that the algorithm's version, which may be another one by now, has nothing to
// do for, and says whether there may be more.
func (s *Store) removeDone(ctx context.Context, tx *sql.Tx, algoName string) (more bool, err error) {
	a, known, err := s.knownAlgorithm(ctx, tx, algoName, s.dialect.forUpdate)
	if err != nil || !known {
		return false, err
	}
	done, err := int64s(ctx, tx, "SELECT image_id FROM uid_intents"+s.dialect.useIndex("intent_order")+
		" WHERE algorithm_id = ? AND state IN (0, 1, 2, 3, 4) AND best_time >= ? LIMIT ?", a.id, a.time, backfillChunk)
	if err != nil {
		return false, err
	}
	for chunk := range slices.Chunk(done, intentsPerUpdate) {
		if _, err := tx.ExecContext(ctx, s.dialect.deleteIntents+" WHERE image_id IN ("+placeholders(len(chunk))+") AND algorithm_id = ?", append(anys(chunk), a.id)...); err != nil {
			return false, err
		}
	}
	return len(done) == backfillChunk, nil
}

// LeaseImages leases images to a worker.
func (s *Store) LeaseImages(ctx context.Context, r store.LeaseRequest) ([]store.Image, error) {
	if err := checkAlgorithm("uid_algorithms", r.AlgoName, r.AlgoVersion); err != nil {
		return nil, err
	}
	asked := spi.VersionTime(r.AlgoVersion)
	if asked < 0 {
		return nil, spi.Errorf(spi.CodeInvalid, "leasing images: algo_version %q does not begin with a timestamp", r.AlgoVersion)
	}
	if r.Until.Unix() <= r.Now.Unix() {
		return nil, spi.Errorf(spi.CodeInvalid, "leasing images: the lease would be over before it begins")
	}
	if r.Limit <= 0 || len(r.Series) == 0 {
		return nil, nil
	}
	a, err := s.algorithm(ctx, r.AlgoName, r.AlgoVersion)
	if err != nil {
		return nil, err
	}
	l := &leasing{s: s, request: r, algorithm: a, asked: asked, from: waiting, to: leased}
	if r.Suspect {
		if err := s.releaseEnded(ctx, &a, &r); err != nil {
			return nil, err
		}
		l.request.Limit, l.from, l.to = 1, suspect, leasedAlone
		err := l.lease(ctx)
		return l.images, s.fail(ctx, err, "leasing", "table uid_intents")
	}
	for looked := 0; ; {
		if err = l.lease(ctx); err != nil || len(l.images) >= r.Limit {
			break
		}
		// Images that are not entered yet are, until there is something that may be leased.
		entered := 0
		for entered == 0 && l.algorithm.below > 0 && looked < backfillMost && err == nil {
			entered, err = s.backfill(ctx, &l.algorithm)
			looked += backfillChunk
		}
		if entered == 0 || err != nil {
			break
		}
	}
	if err != nil && len(l.images) > 0 {
		// What is leased must reach the worker, or nobody works on it until the lease has ended.
		s.log.WarnContext(ctx, "leasing images ended early", "algorithm", r.AlgoName, "leased", len(l.images), "error", err)
		err = nil
	}
	return l.images, s.fail(ctx, err, "leasing", "table uid_intents")
}

// releaseEnded lets images wait again whose lease has ended, as suspects. To those that were leased alone it is a failure.
// Rows that others have locked are left to the next request.
func (s *Store) releaseEnded(ctx context.Context, a *algorithm, r *store.LeaseRequest) error {
	for {
		ended, err := int64s(ctx, s.read, "SELECT image_id FROM uid_intents"+s.dialect.useIndex("intent_lease")+
			" WHERE lease_until <= ? AND algorithm_id = ? LIMIT ?", r.Now.Unix(), a.id, intentsPerUpdate)
		if err != nil || len(ended) == 0 {
			return s.fail(ctx, err, "reading", "table uid_intents")
		}
		released := 0
		err = s.inTx(ctx, "writing", "table uid_intents", func(tx *sql.Tx) error {
			alone, err := s.lockIntents(ctx, tx, a.id, ended, "state = ? AND lease_until <= ?", leasedAlone, r.Now.Unix())
			if err != nil {
				return err
			}
			// MariaDB sets one column after the other, SQLite all at once: none is read after it was set.
			if err := s.updateIntents(ctx, tx, a.id, alone, `state = CASE WHEN failures + 1 >= ? THEN 2 ELSE 3 END, failures = failures + 1,
				failed_version = CASE WHEN lease_time = ? THEN ? ELSE CAST(lease_time AS CHAR) END, failed_reason = ?, failed_datetime = ?,
				failed_user = (SELECT username FROM users WHERE id = lease_user), `+noLease,
				r.MaxFailures, a.time, a.version, endedAlone, s.dialect.datetime(r.Now.UTC().Truncate(time.Second))); err != nil {
				return err
			}
			others, err := s.lockIntents(ctx, tx, a.id, ended, "lease_until <= ?", r.Now.Unix())
			if err != nil {
				return err
			}
			released = len(alone) + len(others)
			return s.updateIntents(ctx, tx, a.id, others, "state = 3, "+noLease)
		})
		if err != nil || released < intentsPerUpdate {
			return err
		}
	}
}

// int64s runs a query of one column of whole numbers.
func int64s(ctx context.Context, db querier, query string, args ...any) (found []int64, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one int64
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// lockIntents locks those of the images' rows that meet the condition and that nobody else has locked, and gives the images.
func (s *Store) lockIntents(ctx context.Context, tx *sql.Tx, algorithm int64, images []int64, condition string, args ...any) ([]int64, error) {
	all := append(append(anys(images), algorithm), args...)
	return int64s(ctx, tx, "SELECT image_id FROM uid_intents"+s.dialect.intentsByID+" WHERE image_id IN ("+placeholders(len(images))+
		") AND algorithm_id = ? AND "+condition+s.dialect.skipLocked, all...)
}

// updateIntents changes the images' rows.
func (s *Store) updateIntents(ctx context.Context, tx *sql.Tx, algorithm int64, images []int64, set string, args ...any) error {
	for chunk := range slices.Chunk(images, intentsPerUpdate) {
		all := append(append(slices.Clone(args), anys(chunk)...), algorithm)
		if _, err := tx.ExecContext(ctx, s.dialect.updateIntents+set+" WHERE image_id IN ("+placeholders(len(chunk))+") AND algorithm_id = ?", all...); err != nil {
			return err
		}
	}
	return nil
}

// leasing is one request for work.
type leasing struct {
	s         *Store
	request   store.LeaseRequest
	algorithm algorithm
	asked     int64 // the version's timestamp
	from, to  int   // states of an image, before and after
	spans     []span
	planned   bool
	images    []store.Image // leased so far
}

type candidate struct{ id, at int64 }

// lease leases what waits, until there is enough.
func (l *leasing) lease(ctx context.Context) error {
	s := l.s
	for best := int64(noVersion - 1); len(l.images) < l.request.Limit; {
		// The images with the oldest annotations come first, those without any before them.
		err := s.read.QueryRowContext(ctx, "SELECT best_time FROM uid_intents"+s.dialect.useIndex("intent_order")+
			" WHERE algorithm_id = ? AND state = ? AND best_time > ? AND best_time < ? ORDER BY best_time LIMIT 1",
			l.algorithm.id, l.from, best, l.asked).Scan(&best)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.plan(ctx); err != nil {
			return err
		}
		last := candidate{math.MaxInt64, math.MaxInt64}
		for len(l.images) < l.request.Limit {
			n := l.request.Limit - len(l.images)
			found, err := l.candidates(ctx, best, last, n)
			if err != nil {
				return err
			}
			if len(found) > 0 {
				if err := l.take(ctx, best, found); err != nil {
					return err
				}
			}
			if len(found) < n {
				break
			}
			// Others may have taken what was found: go on behind it.
			last = found[len(found)-1]
		}
	}
	return nil
}

// plan finds the spans of time that are asked for, per device; a span without a device is of all.
func (l *leasing) plan(ctx context.Context) error {
	if l.planned {
		return nil
	}
	plan := newSeriesPlan(l.request.Series)
	l.planned = true
	if len(plan.exact) == 0 && len(plan.patterns) == 1 && plan.patterns[0].pattern == "%" {
		l.spans = plan.patterns[0].spans
		return nil
	}
	devices, err := l.s.seriesDevices(ctx, plan)
	if err != nil {
		return err
	}
	l.spans = slices.Collect(plan.spans(devices))
	return nil
}

// candidates gives up to n images that wait, were annotated in the version of timestamp best and come behind the last one:
// newest first. Nothing is locked.
func (l *leasing) candidates(ctx context.Context, best int64, last candidate, n int) (found []candidate, err error) {
	s := l.s
	for spans := range slices.Chunk(l.spans, s.dialect.termsPerQuery) {
		var query strings.Builder
		var args []any
		for _, r := range spans {
			if r.start > last.at {
				continue
			}
			if query.Len() > 0 {
				query.WriteString(" UNION ALL ")
			}
			index, device, end := "intent_order", "", r.end
			if r.device != "" {
				index, device = "intent_device_order", "device = ? AND "
				args = append(args, r.device)
			}
			more := ""
			if last.at < r.end { // those of the very time of the last one come by their ids
				end, more = last.at+1, " AND (datetime < ? OR image_id < ?)"
			}
			query.WriteString("SELECT * FROM (SELECT image_id, datetime FROM uid_intents" + s.dialect.useIndex(index) + " WHERE " + device +
				"algorithm_id = ? AND state = ? AND best_time = ? AND datetime >= ? AND datetime < ?" + more)
			args = append(args, l.algorithm.id, l.from, best, s.dialect.datetime(time.Unix(r.start, 0)), s.dialect.datetime(time.Unix(end, 0)))
			if more != "" {
				args = append(args, s.dialect.datetime(time.Unix(last.at, 0)), last.id)
			}
			query.WriteString(" ORDER BY datetime DESC, image_id DESC LIMIT ?) AS part")
			args = append(args, n)
		}
		if query.Len() == 0 {
			continue
		}
		if found, err = appendCandidates(ctx, s.read, found, query.String(), args); err != nil {
			return nil, err
		}
		if len(found) > 16*n { // a bound of memory, for series without number
			found = newest(found, n)
		}
	}
	return newest(found, n), nil
}

func appendCandidates(ctx context.Context, db querier, found []candidate, query string, args []any) ([]candidate, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var id int64
	var at time.Time
	places := []any{&intoInt64{&id}, &intoTime{&at}}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		found = append(found, candidate{id, at.Unix()})
	}
	return found, rows.Err()
}

// newest gives the first n in the order of leases.
func newest(found []candidate, n int) []candidate {
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.id, a.id)) })
	return found[:min(n, len(found))]
}

// take leases those of the candidates that still wait and that nobody else is about to take.
func (l *leasing) take(ctx context.Context, best int64, candidates []candidate) error {
	s, r := l.s, &l.request
	ids, place := make([]int64, len(candidates)), make(map[int64]int, len(candidates))
	for i, c := range candidates {
		ids[i], place[c.id] = c.id, i
	}
	p := pages.Get().(*page)
	defer p.free()
	err := s.inTx(ctx, "leasing", "table uid_intents", func(tx *sql.Tx) error {
		p.images = p.images[:0]
		// The account is locked, so that its deletion ends this lease too.
		var user int64
		err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE id = ?"+s.dialect.forShare, r.UserID).Scan(&user)
		if errors.Is(err, sql.ErrNoRows) {
			return spi.Errorf(spi.CodeNotFound, "there is no user with id %d", r.UserID)
		}
		if err != nil {
			return err
		}
		locked, err := s.lockIntents(ctx, tx, l.algorithm.id, ids, "state = ? AND best_time = ?", l.from, best)
		if err != nil || len(locked) == 0 {
			return err
		}
		if err := s.updateIntents(ctx, tx, l.algorithm.id, locked, "state = ?, lease_user = ?, lease_until = ?, lease_time = ?",
			l.to, r.UserID, r.Until.Unix(), l.asked); err != nil {
			return err
		}
		return p.fill(tx.QueryContext(ctx, "SELECT "+imageColumns+" FROM images WHERE id IN ("+placeholders(len(locked))+")", anys(locked)...))
	})
	if err != nil {
		return err
	}
	slices.SortFunc(p.images, func(a, b store.Image) int { return cmp.Compare(place[a.ID], place[b.ID]) })
	l.images = append(l.images, p.images...)
	return nil
}

// entry is what is known of an image and an algorithm.
type entry struct {
	id       int64
	device   string
	datetime time.Time
	best     int64 // timestamp of the newest version with an annotation
	intent   bool  // there is a row in uid_intents, with the values below
	noted    int64 // its best_time
	until    sql.Null[int64]
	user     sql.Null[int64]

	userThere bool
}

// entries reads the images with from <= id < to.
func (s *Store) entries(ctx context.Context, tx *sql.Tx, a *algorithm, from, to int64) (found []entry, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT i.id, i.device, i.datetime, a.algo_version, q.best_time, q.lease_until, q.lease_user, u.id IS NOT NULL
		FROM images i`+s.dialect.useIndex("PRIMARY")+`
		LEFT JOIN uid_annotations a ON a.parent_image_id = i.id AND a.algo_name = ?`+s.dialect.anyCase+`
		LEFT JOIN uid_intents q ON q.image_id = i.id AND q.algorithm_id = ?
		LEFT JOIN users u ON u.id = q.lease_user
		WHERE i.id >= ? AND i.id < ? ORDER BY i.id`, a.name, a.id, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	in := make(interner)
	var e entry
	var version sql.Null[string]
	var noted sql.Null[int64]
	for rows.Next() {
		if err := rows.Scan(&e.id, &intoText{&e.device, in}, &intoTime{&e.datetime}, &intoNullText{&version, in}, &noted, &e.until, &e.user, &intoBool{&e.userThere}); err != nil {
			return nil, err
		}
		e.best, e.intent, e.noted = noVersion, noted.Valid, noted.V
		if version.Valid {
			e.best = spi.VersionTime(version.V)
		}
		if n := len(found); n > 0 && found[n-1].id == e.id { // another version's annotation
			found[n-1].best = max(found[n-1].best, e.best)
		} else {
			found = append(found, e)
		}
	}
	return found, rows.Err()
}

// chunkBelow gives the least id of the images of the chunk below an id; 0 where there is none below the chunk.
func chunkBelow(ctx context.Context, tx *sql.Tx, id int64) (least int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT id FROM images WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?", id, backfillChunk-1).Scan(&least)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return least, err
}

// backfill enters a chunk of the images that are not entered yet, newest first, and says how many of them have something to
// do. Where one of them is just being deleted, it leaves that to the next request.
func (s *Store) backfill(ctx context.Context, a *algorithm) (entered int, err error) {
	err = s.inTx(ctx, "writing", "table uid_intents", func(tx *sql.Tx) error {
		entered = 0
		known, _, err := s.knownAlgorithm(ctx, tx, a.name, s.dialect.forUpdate)
		if err != nil || known.below == 0 {
			*a = known
			return err
		}
		from, err := chunkBelow(ctx, tx, known.below)
		if err != nil {
			return err
		}
		chunk, err := s.entries(ctx, tx, &known, from, known.below)
		if err != nil {
			return err
		}
		chunk = slices.DeleteFunc(chunk, func(e entry) bool { return e.intent || e.best >= known.time })
		if err := s.enter(ctx, tx, known.id, chunk); err != nil {
			return err
		}
		known.below, entered = from, len(chunk)
		if _, err := tx.ExecContext(ctx, "UPDATE uid_algorithms SET backfill_below = ? WHERE id = ?", known.below, known.id); err != nil {
			return err
		}
		*a = known
		return nil
	})
	if err != nil && s.isLocked(err) {
		return 0, nil
	}
	return entered, err
}

// isLocked says whether the rows were locked by another's transaction.
func (s *Store) isLocked(err error) bool {
	return s.dialect.classify(err).locked
}

// enter makes the rows of images that have something to do. It does not wait for images that are being deleted: that may
// take long.
func (s *Store) enter(ctx context.Context, tx *sql.Tx, algorithm int64, entries []entry) error {
	for chunk := range slices.Chunk(entries, intentsPerUpdate) {
		args := make([]any, 0, 5*len(chunk))
		for _, e := range chunk {
			args = append(args, e.id, algorithm, e.device, s.dialect.datetime(e.datetime), e.best)
		}
		values := strings.Repeat("(?, ?, ?, ?, ?), ", len(chunk))
		if _, err := tx.ExecContext(ctx, s.dialect.insertIgnore+" INTO uid_intents (image_id, algorithm_id, device, datetime, best_time) VALUES "+
			values[:len(values)-2], args...); err != nil {
			return err
		}
	}
	return nil
}

// noteAnnotations brings the queue up to date with new annotations, in their transaction.
func (s *Store) noteAnnotations(ctx context.Context, tx *sql.Tx, added []store.Annotation) error {
	if known, err := s.passGate(ctx, tx); err != nil || known == 0 {
		return err
	}
	type version struct {
		name string
		time int64
	}
	images := make(map[version][]int64)
	var versions []version
	for i := range added {
		v := version{fold(added[i].AlgoName), spi.VersionTime(added[i].AlgoVersion)}
		if images[v] == nil {
			versions = append(versions, v)
		}
		images[v] = append(images[v], added[i].ParentImageID)
	}
	// In the same order in all transactions.
	slices.SortFunc(versions, func(a, b version) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.time, b.time)) })
	for _, v := range versions {
		a, known, err := s.knownAlgorithm(ctx, tx, v.name, s.dialect.forShare)
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		slices.Sort(images[v])
		for chunk := range slices.Chunk(images[v], intentsPerUpdate) {
			if err := s.noteVersion(ctx, tx, &a, v.time, chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteVersion notes that the images have an annotation of the version with that timestamp.
func (s *Store) noteVersion(ctx context.Context, tx *sql.Tx, a *algorithm, version int64, images []int64) error {
	where, args := " WHERE image_id IN ("+placeholders(len(images))+") AND algorithm_id = ?", append(anys(images), a.id)
	if version >= a.time {
		_, err := tx.ExecContext(ctx, s.dialect.deleteIntents+where, args...)
		return err
	}
	if _, err := tx.ExecContext(ctx, s.dialect.updateIntents+"best_time = ?"+where+" AND best_time < ?", append(append([]any{version}, args...), version)...); err != nil {
		return err
	}
	// A lease for a later version goes on.
	_, err := tx.ExecContext(ctx, s.dialect.updateIntents+unleased+where+" AND lease_time <= ?", append(args, version)...)
	return err
}

// AddFailure notes a failure, and ends the lease of who reports it.
func (s *Store) AddFailure(ctx context.Context, f store.Failure, maxFailures int) (store.Failure, error) {
	if err := checkAlgorithm("uid_intents", f.AlgoName, f.AlgoVersion); err != nil {
		return f, err
	}
	if err := checkTexts("uid_intents", field{"reason", f.Reason, maxReason}, field{"api_user", f.APIUser.V, maxUsername}); err != nil {
		return f, err
	}
	f.DatetimeLast = f.DatetimeLast.UTC().Truncate(time.Second)
	if y := f.DatetimeLast.Year(); y < 1 || y > 9999 {
		return f, spi.Errorf(spi.CodeInvalid, "writing table uid_intents: the failure's time is out of range")
	}
	err := s.inTx(ctx, "writing", "table uid_intents", func(tx *sql.Tx) error {
		f.Failures = 0
		image, _, err := s.imageAt(ctx, tx, f.Device, f.Datetime)
		if err != nil {
			return err
		}
		if image == 0 {
			return spi.Errorf(spi.CodeNotFound, "there is no image of device %.16q at %s", f.Device, spi.FormatDatetime(f.Datetime, spi.DateV2))
		}
		a, known, err := s.knownAlgorithm(ctx, tx, f.AlgoName, "")
		if err != nil || !known {
			return err
		}
		var state int
		var holder, leaseTime sql.Null[int64]
		err = tx.QueryRowContext(ctx, "SELECT state, failures, lease_user, lease_time FROM uid_intents WHERE image_id = ? AND algorithm_id = ?"+s.dialect.forUpdate,
			image, a.id).Scan(&state, &f.Failures, &holder, &leaseTime)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // nothing to do
		}
		if err != nil {
			return err
		}
		if f.GivenBack {
			return s.giveBack(ctx, tx, &f, image, a.id, state, holder, leaseTime)
		}
		f.Failures++
		set := "failures = ?, failed_version = ?, failed_reason = ?, failed_datetime = ?, failed_user = ?"
		ends, err := s.endsLease(ctx, tx, &f, holder, leaseTime)
		switch {
		case err != nil:
			return err
		case !ends:
		case f.Failures >= maxFailures || state == failed:
			set += ", state = 2, " + noLease
		default:
			set += ", " + unleased
		}
		return s.updateIntents(ctx, tx, a.id, []int64{image}, set, f.Failures, f.AlgoVersion, f.Reason, s.dialect.datetime(f.DatetimeLast), f.APIUser)
	})
	return f, err
}

// giveBack lets an image that its worker has not tried wait again. A suspect is none any more: leased alone again and again, one
// that the object store does not serve would look like a store that serves nothing.
func (s *Store) giveBack(ctx context.Context, tx *sql.Tx, f *store.Failure, image, algorithm int64, state int, holder, leaseTime sql.Null[int64]) error {
	if state == waiting || state == failed {
		return nil
	}
	ends, err := s.endsLease(ctx, tx, f, holder, leaseTime)
	if err != nil || !ends {
		return err
	}
	return s.updateIntents(ctx, tx, algorithm, []int64{image}, unleased)
}

// endsLease says whether a failure ends the image's lease, if there is any: a worker that is late may report what another
// has been given meanwhile.
func (s *Store) endsLease(ctx context.Context, tx *sql.Tx, f *store.Failure, holder, leaseTime sql.Null[int64]) (bool, error) {
	if !holder.Valid {
		return true, nil
	}
	if spi.VersionTime(f.AlgoVersion) < leaseTime.V {
		return false, nil
	}
	if !f.APIUser.Valid {
		return true, nil
	}
	var name string
	err := tx.QueryRowContext(ctx, "SELECT username FROM users WHERE id = ?", holder.V).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	return fold(name) == fold(f.APIUser.V), err
}

// failedImage is a failure, with the key of its row.
type failedImage struct {
	store.Failure
	image, algorithm int64
}

// Failures calls fn with the images that failed too often, ordered by device, datetime, algorithm.
func (s *Store) Failures(ctx context.Context, series []store.Series, algoName string, fn func(*store.Failure) error) error {
	return s.failures(ctx, series, algoName, func(page []failedImage) error {
		for i := range page {
			if err := fn(&page[i].Failure); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) failures(ctx context.Context, series []store.Series, algoName string, fn func([]failedImage) error) error {
	of, err := s.algorithms(ctx, algoName)
	if err != nil || len(of) == 0 {
		return err
	}
	only := ""
	if algoName != "" {
		only = " AND algorithm_id = " + strconv.FormatInt(of[0].id, 10)
	}
	// The index has the rows of one image side by side: what a page has of its last image is enough.
	from := "SELECT image_id, device, datetime FROM uid_intents" + s.dialect.useIndex("intent_device") + " WHERE state = 2" + only + " AND "
	return s.seriesPages(ctx, series, from, func(images []store.Image) error {
		images = slices.CompactFunc(images, func(a, b store.Image) bool { return a.ID == b.ID })
		for chunk := range slices.Chunk(images, intentsPerUpdate) {
			page, err := s.failuresOf(ctx, of, chunk, only)
			if err != nil {
				return s.fail(ctx, err, "reading", "table uid_intents")
			}
			if err := fn(page); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) failuresOf(ctx context.Context, of []algorithm, images []store.Image, only string) (found []failedImage, err error) {
	place := make(map[int64]int, len(images))
	ids := make([]any, len(images))
	for i := range images {
		place[images[i].ID], ids[i] = i, images[i].ID
	}
	rank := make(map[int64]int, len(of))
	for i := range of {
		rank[of[i].id] = i
	}
	rows, err := s.read.QueryContext(ctx, "SELECT image_id, algorithm_id, device, datetime, failed_version, failures, failed_reason, failed_datetime, failed_user FROM uid_intents"+
		s.dialect.intentsByID+" WHERE image_id IN ("+placeholders(len(ids))+") AND state = 2"+only, ids...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f failedImage
		if err := rows.Scan(&f.image, &f.algorithm, &f.Device, &intoTime{&f.Datetime}, &f.AlgoVersion, &f.Failures, &f.Reason,
			&intoTime{&f.DatetimeLast}, &f.APIUser); err != nil {
			return nil, err
		}
		if i, ok := rank[f.algorithm]; ok {
			f.AlgoName = of[i].name
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b failedImage) int {
		return cmp.Or(cmp.Compare(place[a.image], place[b.image]), cmp.Compare(rank[a.algorithm], rank[b.algorithm]))
	})
	return found, rows.Err()
}

// algorithms gives the algorithm of that name, or all that are known, ordered by name.
func (s *Store) algorithms(ctx context.Context, name string) (found []algorithm, err error) {
	where, args := "", []any(nil)
	if name != "" {
		if !isText(name) {
			return nil, nil
		}
		where, args = " WHERE name = ?", []any{name}
	}
	rows, err := s.read.QueryContext(ctx, "SELECT "+algorithmColumns+" FROM uid_algorithms"+where, args...)
	if err != nil {
		return nil, s.fail(ctx, err, "reading", "table uid_algorithms")
	}
	defer rows.Close()
	for rows.Next() {
		var a algorithm
		if err := rows.Scan(a.places()...); err != nil {
			return nil, s.fail(ctx, err, "reading", "table uid_algorithms")
		}
		found = append(found, a)
	}
	slices.SortFunc(found, func(a, b algorithm) int { return strings.Compare(fold(a.name), fold(b.name)) })
	return found, s.fail(ctx, rows.Err(), "reading", "table uid_algorithms")
}

// RetryFailures lets those images wait again, their failures forgotten.
func (s *Store) RetryFailures(ctx context.Context, series []store.Series, algoName string, fn func(*store.Failure) error) error {
	return s.failures(ctx, series, algoName, func(page []failedImage) error {
		images := make(map[int64][]int64)
		for _, f := range page {
			images[f.algorithm] = append(images[f.algorithm], f.image)
		}
		done := make(map[[2]int64]bool)
		err := s.inTx(ctx, "writing", "table uid_intents", func(tx *sql.Tx) error {
			clear(done)
			for _, algorithm := range slices.Sorted(maps.Keys(images)) { // in the same order in all transactions
				ids := slices.Sorted(slices.Values(images[algorithm]))
				resting, err := int64s(ctx, tx, "SELECT image_id FROM uid_intents"+s.dialect.intentsByID+" WHERE image_id IN ("+placeholders(len(ids))+
					") AND algorithm_id = ? AND state = ?"+s.dialect.forUpdate, append(anys(ids), algorithm, failed)...)
				if err != nil {
					return err
				}
				if err := s.updateIntents(ctx, tx, algorithm, resting, `state = 0, failures = 0, failed_version = NULL, failed_reason = NULL,
					failed_datetime = NULL, failed_user = NULL`); err != nil {
					return err
				}
				for _, id := range resting {
					done[[2]int64{id, algorithm}] = true
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := range page {
			if f := &page[i]; done[[2]int64{f.image, f.algorithm}] {
				if err := fn(&f.Failure); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
