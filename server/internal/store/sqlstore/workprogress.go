package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

// annotationsLookedAt bounds the search for an algorithm's newest annotation among those of others.
const annotationsLookedAt = 10_000

// failuresLookedAt bounds the search for an algorithm's newest failure, at either end of the order of leases: no index has the time
// of a failure, and each is read by its image. Who fails on all does so at an end: on new images, or on older and older ones.
const failuresLookedAt = 5_000

// unannotated are the states of images that somebody waits for.
var unannotated = []int{waiting, suspect, leased, leasedAlone}

// Progress tells how far each algorithm is. All is read from the beginnings and ends of indexes.
func (s *Store) Progress(ctx context.Context, most int) ([]store.Progress, error) {
	known, err := s.algorithms(ctx, "")
	if err != nil {
		return nil, err
	}
	known = slices.DeleteFunc(known, func(a algorithm) bool { return a.version == forgotten })
	if len(known) == 0 {
		return nil, nil
	}
	share := max(1, most/len(known)) // so that one that nobody runs any more does not hide the others
	all := make([]store.Progress, len(known))
	for i := range known {
		c := progressCount{devices: make(map[string]*store.DeviceProgress)}
		for _, state := range append([]int{failed}, unannotated...) {
			if err := s.countState(ctx, &known[i], state, share, &c); err != nil {
				return nil, s.fail(ctx, err, "reading", "table uid_intents")
			}
		}
		p := &all[i]
		p.AlgoName, p.AlgoVersion, p.AtLeast = known[i].name, known[i].version, c.cut
		for _, d := range c.devices {
			p.Devices = append(p.Devices, *d)
		}
		slices.SortFunc(p.Devices, func(a, b store.DeviceProgress) int { return cmp.Compare(a.Device, b.Device) })
		if err := s.activity(ctx, &known[i], c.first, p); err != nil {
			return nil, s.fail(ctx, err, "reading", "table uid_intents")
		}
	}
	return all, nil
}

// progressCount is what was counted of an algorithm so far.
type progressCount struct {
	devices map[string]*store.DeviceProgress
	first   int64 // the smallest id of the images that wait: the one that was stored first; 0: none waits
	cut     bool  // a state has as many images as may be counted
}

// countState adds the images of a state, at most `most` of them.
func (s *Store) countState(ctx context.Context, a *algorithm, state, most int, c *progressCount) error {
	rows, err := s.read.QueryContext(ctx, "SELECT device, COUNT(*), MIN(image_id) FROM (SELECT device, image_id FROM uid_intents"+
		s.dialect.useIndex("intent_device_order")+" WHERE algorithm_id = ? AND state = ? LIMIT ?) AS part GROUP BY device", a.id, state, most)
	if err != nil {
		return err
	}
	defer rows.Close()
	sum := int64(0)
	for rows.Next() {
		var n, first int64
		var device string
		if err := rows.Scan(&device, &n, &first); err != nil {
			return err
		}
		device = fold(device)
		d := c.devices[device]
		if d == nil {
			d = &store.DeviceProgress{Device: device}
			c.devices[device] = d
		}
		sum += n
		c.cut = c.cut || sum == int64(most)
		if state == failed {
			d.Failed += n
			continue
		}
		d.Waiting += n
		if c.first == 0 || first < c.first {
			c.first = first
		}
	}
	return rows.Err()
}

// activity says when the algorithm did what last, and since when there is something to do; first is the image that was stored
// first of those that wait, or 0.
func (s *Store) activity(ctx context.Context, a *algorithm, first int64, p *store.Progress) error {
	created := func(table string, id int64) (at sql.Null[time.Time], err error) {
		err = s.read.QueryRowContext(ctx, "SELECT datetime_created FROM "+table+" WHERE id = ?", id).Scan(&intoTime{&at.V})
		if errors.Is(err, sql.ErrNoRows) { // deleted meanwhile
			return at, nil
		}
		at.Valid = err == nil
		return at, err
	}
	one := func(query string, args ...any) (n int64, err error) {
		err = s.read.QueryRowContext(ctx, query, args...).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil
		}
		return n, err
	}
	if first > 0 {
		var err error
		if p.WaitingSince, err = created("images", first); err != nil {
			return err
		}
	}
	annotation, err := one("SELECT id FROM uid_annotations"+s.dialect.useIndex("PRIMARY")+" WHERE id > (SELECT MAX(id) FROM uid_annotations) - ? AND algo_name = ?"+
		s.dialect.anyCase+" ORDER BY id DESC LIMIT 1", annotationsLookedAt, a.name)
	if err != nil {
		return err
	}
	if annotation > 0 {
		if p.LastAnnotated, err = created("uid_annotations", annotation); err != nil {
			return err
		}
	}
	if err := s.failedLast(ctx, a, p); err != nil {
		return err
	}
	until, err := one("SELECT lease_until FROM uid_intents"+s.dialect.useIndex("intent_lease")+
		" WHERE lease_until IS NOT NULL AND algorithm_id = ? ORDER BY lease_until DESC LIMIT 1", a.id)
	if err != nil {
		return err
	}
	if until > 0 {
		p.LeasedUntil = sql.Null[time.Time]{V: time.Unix(until, 0).UTC(), Valid: true}
	}
	if a.below > 0 && !p.AtLeast {
		older, err := one("SELECT id FROM images WHERE id < ? LIMIT 1", a.below)
		if err != nil {
			return err
		}
		p.AtLeast = older > 0
	}
	return nil
}

// failedLast says when an image failed last, and how many did since the newest annotation. Where that is not known it may be as new
// as those that were not looked at.
func (s *Store) failedLast(ctx context.Context, a *algorithm, p *store.Progress) error {
	since := p.LastAnnotated.V
	if !p.LastAnnotated.Valid {
		err := s.read.QueryRowContext(ctx, "SELECT datetime_created FROM uid_annotations"+s.dialect.useIndex("PRIMARY")+
			" WHERE id <= (SELECT MAX(id) FROM uid_annotations) - ? ORDER BY id DESC LIMIT 1", annotationsLookedAt).Scan(&intoTime{&since})
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	end := func(order string) string {
		return "SELECT * FROM (SELECT image_id, failed_datetime FROM uid_intents" + s.dialect.useIndex("intent_order") +
			" WHERE algorithm_id = ? AND state = ? ORDER BY best_time" + order + ", datetime" + order + ", image_id" + order + " LIMIT ?) AS part"
	}
	return s.read.QueryRowContext(ctx, "SELECT MAX(failed_datetime), COUNT(CASE WHEN failed_datetime > ? THEN 1 END) FROM ("+
		end("")+" UNION "+end(" DESC")+") AS both_ends", s.dialect.datetime(since), a.id, failed, failuresLookedAt, a.id, failed, failuresLookedAt).
		Scan(&intoNullTime{&p.LastFailed}, &p.FailedInARow)
}
