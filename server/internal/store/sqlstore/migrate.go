package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/pressly/goose/v3"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// schema is how a database is brought to the version that this program knows.
type schema struct {
	dialect    goose.Dialect
	files      fs.FS
	hasVersion string // query: 1 where goose's table of versions is there, else 0
	// open gives a pool whose queries may take as long as they want; it is closed where it is not the store's writer.
	open func() (*sql.DB, error)
	// lock keeps other servers that start from migrating at the same time. The returned function ends it.
	lock func(context.Context, *sql.DB) (func(), error)
	// code gives the migrations that SQL alone cannot do; nil where there are none.
	code func(migrationRun) []*goose.Migration
	run  migrationRun
}

// migrationRun is what a migration in Go gets beside the database.
type migrationRun struct {
	log *slog.Logger
	// chunk is the number of rows that one UPDATE changes at most. It bounds the locks, the undo log and what is lost by a
	// kill.
	chunk int
	// checkpoint is called after each step; its error ends the migration there. Tests fail in it.
	checkpoint func(step string) error
}

func newMigrationRun(log *slog.Logger) migrationRun {
	return migrationRun{log: log, chunk: 20_000, checkpoint: func(string) error { return nil }}
}

// provider knows all migrations of this program.
func (s *Store) provider(db *sql.DB) (*goose.Provider, error) {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithSlog(s.log)}
	if s.schema.code != nil {
		options = append(options, goose.WithGoMigrations(s.schema.code(s.schema.run)...))
	}
	return goose.NewProvider(s.schema.dialect, db, s.schema.files, options...)
}

const versionTable = "table goose_db_version"

// Migrate brings the database to this program's version; data is kept. Several servers may call it at once: one does the
// work, the others wait. A migration that was killed or failed half way is repeated by the next call. It refuses a database
// that a newer program has migrated. It may take minutes for each ten million images the first time, and it needs disk
// space for a copy of the table.
func (s *Store) Migrate(ctx context.Context) (err error) {
	db, err := s.schema.open()
	if err != nil {
		return s.fail(ctx, err, "migrating", "the database")
	}
	if db != s.write {
		defer func() { err = errors.Join(err, s.fail(ctx, db.Close(), "migrating", "the database")) }()
	}
	unlock, err := s.schema.lock(ctx, db)
	if err != nil {
		return s.fail(ctx, err, "locking", versionTable)
	}
	defer unlock()
	p, err := s.provider(db)
	if err != nil {
		return spi.Wrap(spi.CodeInternal, err, "migrating the database: the migrations are faulty")
	}
	pending, err := s.pending(ctx, db, p)
	if err != nil || !pending {
		return err
	}
	_, err = p.Up(ctx)
	return s.fail(ctx, err, "migrating", "the database")
}

// Pending says whether [Store.Migrate] has anything to do. It changes nothing, and refuses what Migrate refuses.
func (s *Store) Pending(ctx context.Context) (bool, error) {
	p, err := s.provider(s.read)
	if err != nil {
		return false, spi.Wrap(spi.CodeInternal, err, "looking for migrations: the migrations are faulty")
	}
	return s.pending(ctx, s.read, p)
}

// pending compares goose's table with the program's migrations. goose itself would make the table to answer, and takes a
// newer database for a finished one.
func (s *Store) pending(ctx context.Context, db *sql.DB, p *goose.Provider) (bool, error) {
	applied, err := s.appliedVersions(ctx, db)
	if err != nil {
		return false, s.fail(ctx, err, "reading", versionTable)
	}
	newest, pending := int64(0), false
	for _, source := range p.ListSources() {
		newest = max(newest, source.Version)
		pending = pending || !slices.Contains(applied, source.Version)
	}
	if len(applied) > 0 && slices.Max(applied) > newest {
		return false, spi.Errorf(spi.CodeInternal,
			"the database is of version %d and this server knows versions up to %d: a newer server has migrated it. Upgrade this server (or restore the backup from before the upgrade)",
			slices.Max(applied), newest)
	}
	return pending, nil
}

func (s *Store) appliedVersions(ctx context.Context, db *sql.DB) (applied []int64, err error) {
	var there int
	if err := db.QueryRowContext(ctx, s.schema.hasVersion).Scan(&there); err != nil || there == 0 {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT version_id FROM goose_db_version WHERE is_applied = 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		applied = append(applied, v)
	}
	return applied, rows.Err()
}
