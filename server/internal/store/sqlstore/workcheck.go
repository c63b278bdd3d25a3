package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Backlog counts what there is to do, per algorithm. Images that wait are counted in their index; those that are not entered
// yet, while there are any, by looking at images and annotations, as many as a request may.
func (s *Store) Backlog(ctx context.Context, algoName string, now time.Time) ([]store.Backlog, error) {
	known, err := s.algorithms(ctx, algoName)
	if err != nil {
		return nil, err
	}
	var all []store.Backlog
	for i := range known {
		if known[i].version == forgotten {
			continue
		}
		b := store.Backlog{AlgoName: known[i].name, AlgoVersion: known[i].version}
		err := s.countIntents(ctx, &known[i], now, &b)
		if err == nil && known[i].below > 0 {
			err = s.countMissing(ctx, &known[i], now, &b)
		}
		if err != nil {
			return nil, s.fail(ctx, err, "reading", "table uid_intents")
		}
		all = append(all, b)
	}
	return all, nil
}

// older notes a time at which a waiting image was taken.
func older(b *store.Backlog, at time.Time) {
	if !b.OldestWaiting.Valid || at.Before(b.OldestWaiting.V) {
		b.OldestWaiting = sql.Null[time.Time]{V: at, Valid: true}
	}
}

func (s *Store) countIntents(ctx context.Context, a *algorithm, now time.Time, b *store.Backlog) error {
	err := s.eachCount(ctx, func(state int, n int64, oldest time.Time) {
		switch state {
		case waiting, suspect:
			b.Waiting += n
			older(b, oldest)
		case leased, leasedAlone:
			b.Leased += n
		case failed:
			b.Failed = n
		}
	}, "SELECT state, COUNT(*), MIN(datetime) FROM uid_intents"+s.dialect.useIndex("intent_order")+" WHERE algorithm_id = ? GROUP BY state", a.id)
	if err != nil || b.Leased == 0 {
		return err
	}
	// Those whose lease has ended wait, whether or not somebody has asked for work since.
	return s.eachCount(ctx, func(_ int, n int64, oldest time.Time) {
		n = min(n, b.Leased) // the two queries see the table at different times
		b.Leased -= n
		b.Waiting += n
		older(b, oldest)
	}, "SELECT state, COUNT(*), MIN(datetime) FROM uid_intents"+s.dialect.useIndex("intent_lease")+
		" WHERE lease_until <= ? AND algorithm_id = ? GROUP BY state", now.Unix(), a.id)
}

func (s *Store) eachCount(ctx context.Context, fn func(state int, n int64, oldest time.Time), query string, args ...any) error {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var state int
		var n int64
		var oldest time.Time
		if err := rows.Scan(&state, &n, &intoTime{&oldest}); err != nil {
			return err
		}
		fn(state, n, oldest)
	}
	return rows.Err()
}

// CheckWork compares the queue with images, annotations and users.
func (s *Store) CheckWork(ctx context.Context, endedBefore time.Time, repair bool, report func(store.WorkFault) error) error {
	known, err := s.algorithms(ctx, "")
	if err != nil {
		return err
	}
	for i := range known {
		for from := int64(0); from >= 0; {
			var faults []store.WorkFault
			next := from
			err := s.inTx(ctx, "checking", "table uid_intents", func(tx *sql.Tx) (err error) {
				faults, next, err = s.checkChunk(ctx, tx, known[i].name, from, endedBefore, repair)
				return err
			})
			if err != nil {
				return err
			}
			from = next
			for _, f := range faults {
				if err := report(f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// faultOf says what is wrong with the entry; "" where nothing is.
func faultOf(e *entry, a *algorithm, endedBefore time.Time) (store.WorkFaultKind, string) {
	switch {
	case a.version == forgotten:
		return "", "" // nothing is to be done, whatever is in the queue
	case !e.intent && e.best < a.time && e.id >= a.below:
		return store.WorkStranded, "neither annotated by version " + a.version + " nor in the queue"
	case !e.intent:
		return "", ""
	case e.best >= a.time:
		return store.WorkDone, "annotated by version " + a.version + " or a later one, and still in the queue"
	case e.best != e.noted:
		return store.WorkStale, fmt.Sprintf("the queue has it as annotated at %d, its annotations at %d (-1: none)", e.noted, e.best)
	case e.until.Valid && !e.userThere:
		return store.WorkLease, fmt.Sprintf("leased to user %d, who is not there", e.user.V)
	case e.until.Valid && e.until.V < endedBefore.Unix():
		return store.WorkLease, "its lease ended at " + spi.FormatDatetime(time.Unix(e.until.V, 0), spi.DateV2)
	}
	return "", ""
}

// checkChunk looks at the images from an id on, and gives the id to go on with, -1 at the end. No annotation of the algorithm
// is stored meanwhile.
func (s *Store) checkChunk(ctx context.Context, tx *sql.Tx, name string, from int64, endedBefore time.Time, repair bool) (faults []store.WorkFault, next int64, err error) {
	a, known, err := s.knownAlgorithm(ctx, tx, name, s.dialect.forUpdate)
	if err != nil || !known {
		return nil, -1, err
	}
	var to sql.Null[int64]
	if err := tx.QueryRowContext(ctx, "SELECT MAX(id) FROM (SELECT id FROM images WHERE id >= ? ORDER BY id LIMIT ?) AS chunk", from, backfillChunk).Scan(&to); err != nil {
		return nil, from, err
	}
	if !to.Valid {
		return nil, -1, nil
	}
	entries, err := s.entries(ctx, tx, &a, from, to.V+1)
	if err != nil {
		return nil, from, err
	}
	for i := range entries {
		e := &entries[i]
		kind, detail := faultOf(e, &a, endedBefore)
		if kind == "" {
			continue
		}
		if repair {
			if err := s.mend(ctx, tx, a.id, e, kind); err != nil {
				return nil, from, err
			}
		}
		faults = append(faults, store.WorkFault{Kind: kind, Device: e.device, Datetime: e.datetime, AlgoName: a.name, Detail: detail, Repaired: repair})
	}
	return faults, to.V + 1, nil
}

func (s *Store) mend(ctx context.Context, tx *sql.Tx, algorithm int64, e *entry, kind store.WorkFaultKind) error {
	switch kind {
	case store.WorkStranded:
		return s.enter(ctx, tx, algorithm, []entry{*e})
	case store.WorkDone:
		_, err := tx.ExecContext(ctx, "DELETE FROM uid_intents WHERE image_id = ? AND algorithm_id = ?", e.id, algorithm)
		return err
	case store.WorkStale:
		return s.updateIntents(ctx, tx, algorithm, []int64{e.id}, "best_time = ?", e.best)
	case store.WorkLease:
		// It may have been leased again since it was looked at.
		_, err := tx.ExecContext(ctx, "UPDATE uid_intents SET "+unleased+" WHERE image_id = ? AND algorithm_id = ? AND lease_user = ? AND lease_until = ?",
			e.id, algorithm, e.user, e.until)
		return err
	}
	return spi.Errorf(spi.CodeInternal, "mending table uid_intents: no fault is called %q", kind)
}
