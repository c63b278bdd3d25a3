package sqlstore

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Images that an algorithm has something to do for and that are not entered yet are told by looking at all images and
// annotations, about a CPU second of the database for each million. So they are counted block by block of their ids, some
// blocks a request, and what is counted is remembered: after a new version has asked for work of ten million images, five
// requests know them all. What is remembered is an hour old at most where anybody asks; a whole block changes only where images
// are deleted, or annotated without a lease.

const (
	// blocksPerCount is how many blocks one request counts, and blockLife how long the count is taken for true.
	blocksPerCount = 10
	blockLife      = time.Hour
	// oldestLookedAt is how many of the oldest images are looked at for one that waits.
	oldestLookedAt = 10_000
)

// idsPerBlock is how many ids a block has.
const idsPerBlock = 200_000

// missingCounts remembers counted blocks.
type missingCounts struct {
	mu sync.Mutex
	of map[int64]*missingOf // by algorithm
}

// missingOf are the blocks of one version, by their first id.
type missingOf struct {
	version int64 // its timestamp
	blocks  map[int64]missingBlock
}

type missingBlock struct {
	n  int64
	at time.Time
}

func (m *missingCounts) get(a *algorithm, from int64) (b missingBlock, there bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if of := m.of[a.id]; of != nil && of.version == a.time {
		b, there = of.blocks[from]
	}
	return b, there
}

func (m *missingCounts) put(a *algorithm, from int64, b missingBlock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.of[a.id]
	if of == nil || of.version != a.time {
		if m.of == nil {
			m.of = make(map[int64]*missingOf)
		}
		of = &missingOf{version: a.time, blocks: make(map[int64]missingBlock)}
		m.of[a.id] = of
	}
	of.blocks[from] = b
}

// countMissing adds the images that have something to do and are not entered yet; where there are too many to look at now,
// it says so.
func (s *Store) countMissing(ctx context.Context, a *algorithm, now time.Time, b *store.Backlog) error {
	before := b.Waiting
	left := blocksPerCount
	// the newest first, in the order in which they are entered
	for from := (a.below - 1) / s.idsPerBlock * s.idsPerBlock; from >= 0; from -= s.idsPerBlock {
		to := min(from+s.idsPerBlock, a.below)
		whole := to == from+s.idsPerBlock
		block, there := s.missing.get(a, from)
		switch {
		case whole && there && (left == 0 || now.Sub(block.at) < blockLife):
			b.Waiting += block.n
			continue
		case left == 0:
			b.AtLeast = true
			continue
		}
		images, missing, err := s.countBlock(ctx, a, from, to)
		if err != nil {
			return err
		}
		if images == 0 { // ids may leap: go on where there are some. This costs nothing, and is not remembered
			var next int64
			if err := s.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), -1) FROM images WHERE id < ?", from).Scan(&next); err != nil {
				return err
			}
			if next < 0 {
				break
			}
			from = (next/s.idsPerBlock + 1) * s.idsPerBlock
			continue
		}
		left--
		b.Waiting += missing
		if whole {
			s.missing.put(a, from, missingBlock{missing, now})
		}
	}
	if b.Waiting == before {
		return nil
	}
	return s.oldestMissing(ctx, a, b)
}

// countBlock counts the images with from <= id < to, and those of them that have something to do and are not entered.
func (s *Store) countBlock(ctx context.Context, a *algorithm, from, to int64) (images, missing int64, err error) {
	if err := s.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM images"+s.dialect.useIndex("PRIMARY")+" WHERE id >= ? AND id < ?", from, to).Scan(&images); err != nil || images == 0 {
		return 0, 0, err
	}
	var entered int64
	if err := s.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM uid_intents"+s.dialect.intentsByID+" WHERE image_id >= ? AND image_id < ? AND algorithm_id = ?",
		from, to, a.id).Scan(&entered); err != nil {
		return 0, 0, err
	}
	annotated, err := s.countAnnotated(ctx, a, from, to)
	return images, max(0, images-entered-annotated), err // the queries see the tables at different times
}

// countAnnotated counts the images with from <= id < to that are annotated in the newest version or a later one. Only an index
// is read.
func (s *Store) countAnnotated(ctx context.Context, a *algorithm, from, to int64) (n int64, err error) {
	where := " FROM uid_annotations" + s.dialect.useIndex("annotation_id") + " WHERE parent_image_id >= ? AND parent_image_id < ? AND algo_name = ?" + s.dialect.anyCase
	args := []any{from, to, a.name}
	rows, err := s.read.QueryContext(ctx, "SELECT algo_version, COUNT(*)"+where+" GROUP BY algo_version", args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	adequate := 0
	for rows.Next() {
		var version string
		var images int64
		if err := rows.Scan(&version, &images); err != nil {
			return 0, err
		}
		if spi.VersionTime(version) >= a.time {
			args = append(args, version)
			n, adequate = images, adequate+1
		}
	}
	if err := rows.Err(); err != nil || adequate <= 1 { // of one version, an image has one annotation at most
		return n, err
	}
	err = s.read.QueryRowContext(ctx, "SELECT COUNT(DISTINCT parent_image_id)"+where+" AND algo_version IN ("+placeholders(adequate)+")", args...).Scan(&n)
	return n, err
}

// oldestMissing notes when the oldest of those images was taken, where it is among the oldest of all images.
func (s *Store) oldestMissing(ctx context.Context, a *algorithm, b *store.Backlog) error {
	rows, err := s.read.QueryContext(ctx, `SELECT i.id, i.datetime, a.algo_version, q.image_id IS NOT NULL
		FROM (SELECT id, datetime FROM images`+s.dialect.byTimeDevice+` ORDER BY datetime, device LIMIT ?) AS i
		LEFT JOIN uid_annotations a ON a.parent_image_id = i.id AND a.algo_name = ?`+s.dialect.anyCase+`
		LEFT JOIN uid_intents q ON q.image_id = i.id AND q.algorithm_id = ?
		WHERE i.id < ? ORDER BY i.datetime, i.id`, oldestLookedAt, a.name, a.id, a.below)
	if err != nil {
		return err
	}
	defer rows.Close()
	var id, last int64 // last is the image of which rows may still come
	var at, lastAt time.Time
	var version sql.Null[string]
	var entered bool
	waits := false // the last one, by what is known of it
	for rows.Next() {
		if err := rows.Scan(&id, &intoTime{&at}, &intoNullText{&version, nil}, &intoBool{&entered}); err != nil {
			return err
		}
		if id != last {
			if waits {
				break
			}
			last, lastAt, waits = id, at, true
		}
		waits = waits && !entered && (!version.Valid || spi.VersionTime(version.V) < a.time)
	}
	if waits {
		older(b, lastAt)
	}
	return rows.Err()
}
