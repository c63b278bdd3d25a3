package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// sqliteBusyTimeout is how long, in milliseconds, a statement waits for a lock of another process (a backup, say).
const sqliteBusyTimeout = "10000"

// OpenSQLite opens the database file at path and makes it where it is missing; its folder must be there. One process at a
// time may have it open: the claims on images are kept in the process. A nil logger discards.
func OpenSQLite(path string, logger *slog.Logger) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, spi.Wrap(spi.CodeInternal, err, "opening the database file")
	}
	write, err := sql.Open("sqlite", sqliteDSN(path, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"))
	if err != nil {
		return nil, spi.Wrap(spi.CodeInternal, err, "opening the database file")
	}
	// SQLite has one writer at a time. Waiting for the one connection is fair and obeys the context; waiting for SQLite's
	// own lock is neither.
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", sqliteDSN(path, "query_only(1)"))
	if err != nil {
		return nil, errors.Join(spi.Wrap(spi.CodeInternal, err, "opening the database file"), write.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	s := &Store{
		dialect: sqliteDialect(), read: read, write: write, log: orDiscard(logger), maxKeyed: maxKeyed, idsPerBlock: idsPerBlock,
		schema: schema{
			dialect:    goose.DialectSQLite3,
			files:      subFS(sqliteMigrations, "migrations/sqlite"),
			hasVersion: "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'",
			open:       func() (*sql.DB, error) { return write, nil },
			lock:       func(context.Context, *sql.DB) (func(), error) { return func() {}, nil },
		},
	}
	// The writer makes the file and switches it to WAL, which readers could not.
	if err := write.PingContext(context.Background()); err != nil {
		return nil, errors.Join(s.fail(context.Background(), err, "opening", "the database file"), s.Close())
	}
	return s, nil
}

func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_busy_timeout": {sqliteBusyTimeout}, "_dqs": {"0"}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

func sqliteKeepDay() string {
	var sets []string
	for _, c := range keptColumns {
		sets = append(sets, c+" = excluded."+c)
	}
	return " ON CONFLICT (device, day) DO UPDATE SET " + strings.Join(sets, ", ") + " WHERE version = excluded.version"
}

func sqliteDialect() dialect {
	return dialect{
		datetime:      func(t time.Time) any { return t.Unix() },
		classify:      classifySQLite,
		byDeviceTime:  " INDEXED BY image_id",
		byTimeDevice:  " INDEXED BY image_time",
		insertIgnore:  "INSERT OR IGNORE",
		updateIntents: "UPDATE uid_intents SET ",
		deleteIntents: "DELETE FROM uid_intents",
		anyCase:       " COLLATE NOCASE",
		insertNoWait:  "INSERT",
		deleteDays:    "DELETE FROM device_days",
		touchDay:      " ON CONFLICT (device, day) DO UPDATE SET version = version + 1",
		keepDay:       sqliteKeepDay(),
		useIndex: func(name string) string {
			if name == "PRIMARY" {
				return "" // it has no name
			}
			return " INDEXED BY " + name
		},
		intentsByID: " INDEXED BY sqlite_autoindex_uid_intents_1", // as SQLite calls it, the table being WITHOUT ROWID
		devices: func(table, _ string) string {
			return `WITH RECURSIVE found (device) AS (
			SELECT MIN(device) FROM ` + table + `
			UNION ALL
			SELECT (SELECT MIN(t.device) FROM ` + table + ` t WHERE t.device > found.device) FROM found WHERE found.device IS NOT NULL
		) SELECT device FROM found WHERE device IS NOT NULL`
		},
		sameHash:        "password_hash = ?",
		termsPerQuery:   1,
		prepareRepeated: true,
	}
}

func classifySQLite(err error) failure {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return failure{code: spi.CodeInternal, message: "failed"}
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return failure{code: spi.CodeConflict, message: "it is there already"}
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return failure{code: spi.CodeNotFound, message: noParent}
	}
	switch e.Code() & 0xff { // the primary code
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return failure{code: spi.CodeInvalid, message: "a value is missing, too long or of the wrong type"}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return failure{code: spi.CodeUnavailable, message: "the database file is locked by another program; try again", again: true}
	case sqlite3.SQLITE_FULL:
		return failure{code: spi.CodeUnavailable, message: noSpace}
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT:
		return failure{code: spi.CodeUnavailable, message: noAnswer}
	case sqlite3.SQLITE_READONLY:
		return failure{code: spi.CodeUnavailable, message: readOnly}
	case sqlite3.SQLITE_NOMEM:
		return failure{code: spi.CodeUnavailable, message: noPower}
	}
	return failure{code: spi.CodeInternal, message: "failed"}
}

func subFS(files embed.FS, dir string) fs.FS {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return sub
}

func orDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
