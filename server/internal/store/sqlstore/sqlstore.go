// Package sqlstore keeps users and images in SQL: MariaDB in production, SQLite in local mode. The queries are written by
// hand and are the same for both; what differs is in dialect_mariadb.go and dialect_sqlite.go. It implements
// internal/store and may import services/spi for the typed error; only the places where things are wired name it.
//
// How the cost is kept to the request's own rows: devices are few and images many, so patterns are matched against the
// list of devices, and images are then read by ranges of the unique index (device, datetime), or by id. Rows are read in
// pages of [pageRows]; while a page is handed on, no connection is held, so a slow client neither occupies the pool nor
// runs into the database's time-outs.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

var _ store.Store = (*Store)(nil)

// Store is a [store.Store] over database/sql.
type Store struct {
	dialect dialect
	read    *sql.DB
	write   *sql.DB // the same as read in MariaDB; SQLite has one writer
	claims  *sql.DB // connections that hold named locks; nil in SQLite, whose one process keeps its locks itself
	locks   keyedLocks
	schema  schema
	missing missingCounts
	log     *slog.Logger
	// The constants of these names; tests have smaller ones.
	maxKeyed    int
	idsPerBlock int64
	closed      atomic.Bool
}

// dialect is what differs between the databases.
type dialect struct {
	datetime     func(time.Time) any // a parameter's value; sub-seconds are cut off
	classify     func(error) failure
	txOptions    *sql.TxOptions
	forUpdate    string // after a SELECT: lock the rows until the transaction ends
	forShare     string // likewise, but others may do so too
	skipLocked   string // likewise, without the rows that others have locked
	insertIgnore string // INSERT that leaves out rows that are there, and that fails rather than wait for locks
	insertNoWait string // INSERT that fails rather than wait for locks
	deleteDays   string // DELETE FROM device_days, by the primary key, that fails rather than wait for locks
	// touchDay and keepDay follow an INSERT into device_days: where the row is there, count its version up; where it is there
	// in the same version, replace what is kept.
	touchDay, keepDay string
	anyCase           string // after a parameter: compare it without case
	byDeviceTime      string // after FROM images: use the unique index (device, datetime)
	byTimeDevice      string // after FROM images: use the index (datetime, device)
	// devices gives a query of each device of a table once, by skipping through the index, not reading all of it.
	devices  func(table, index string) string
	sameHash string // condition: the password hash is the parameter, byte by byte
	// useIndex gives what follows FROM table to use that index.
	useIndex func(name string) string
	// intentsByID follows FROM uid_intents: use the primary key. Left to itself, SQLite goes through all images of a state.
	intentsByID string
	// updateIntents and deleteIntents begin a change of rows of uid_intents, which are found by the primary key. Left to
	// itself, MariaDB reads a small table from end to end, and waits for rows that are none of its business.
	updateIntents, deleteIntents string
	// termsPerQuery is how many (device, range) terms one query may hold. They save round trips to a server; SQLite has
	// none, and only a single range keeps its rows in the order of the index.
	termsPerQuery int
	// prepareRepeated says that a query which runs again and again costs less where it is prepared: planning is most of what a
	// short one costs SQLite.
	prepareRepeated bool
	// lockName names an image's claim among all databases of the server; nil where locks are kept in the process.
	lockName func(device string, datetime time.Time) string
	// tuboidsLockName names the claim on a series of tuboids, likewise; nil where locks are kept in the process.
	tuboidsLockName func(series string) string
}

// Pools gives the connection pools by name, for the metrics.
func (s *Store) Pools() map[string]*sql.DB {
	pools := map[string]*sql.DB{"read": s.read}
	if s.write != s.read {
		pools["write"] = s.write
	} else {
		pools = map[string]*sql.DB{"main": s.read}
	}
	if s.claims != nil {
		pools["claims"] = s.claims
	}
	return pools
}

// DB is the pool that serves reads: of MariaDB all but the claims. It is for tests.
func (s *Store) DB() *sql.DB { return s.read }

// Close ends all connections. Claims that are still held are lost.
func (s *Store) Close() error {
	s.closed.Store(true)
	err := s.read.Close()
	if s.write != s.read {
		err = errors.Join(err, s.write.Close())
	}
	if s.claims != nil {
		err = errors.Join(err, s.claims.Close())
	}
	return err
}

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	// A pooled connection may pass for alive without a word to the server, so a query is sent.
	return s.fail(ctx, s.read.QueryRowContext(ctx, "SELECT 1").Scan(&one), "asking", "the database")
}

// maxAttempts bounds how often a transaction that lost against another is repeated.
const maxAttempts = 5

// inTx runs fn in a transaction. Where the database ends it in favour of another (a deadlock), all of it is repeated, so
// fn must not mind. fn's own errors roll back and are given back as they are; what says what was being done, for the rest.
func (s *Store) inTx(ctx context.Context, operation, table string, fn func(*sql.Tx) error) error {
	return s.inTxOn(ctx, s.write, operation, table, fn)
}

// beginner is a pool, or one of its connections.
type beginner interface {
	BeginTx(ctx context.Context, options *sql.TxOptions) (*sql.Tx, error)
}

func (s *Store) inTxOn(ctx context.Context, db beginner, operation, table string, fn func(*sql.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.tryTx(ctx, db, fn)
		if err == nil {
			return nil
		}
		if attempt == maxAttempts || ctx.Err() != nil || !s.dialect.classify(err).again {
			return s.fail(ctx, err, operation, table)
		}
		pause := time.NewTimer(time.Duration(attempt) * time.Duration(5+rand.IntN(20)) * time.Millisecond) //nolint:gosec // no secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

func (s *Store) tryTx(ctx context.Context, db beginner, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, s.dialect.txOptions)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		// The connection is given up where even the rollback fails; fn's error says more.
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// placeholders gives n question marks, comma separated.
func placeholders(n int) string {
	b := make([]byte, 0, 2*n)
	for range n {
		b = append(b, '?', ',')
	}
	return string(b[:max(0, len(b)-1)])
}
