package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

//go:embed migrations/mariadb/*.sql
var mariadbMigrations embed.FS

// MariaDBConfig says where the database is and how many connections one server may hold.
type MariaDBConfig struct {
	Host     string
	Port     int // 0: 3306
	User     string
	Password string
	Database string
	// MaxConns is the greatest number of connections of this server, at least 2. 0: 32. Half of them are kept for claims on
	// images, of which each holds one: that many uploads are stored at once, and neither they nor the other requests can
	// starve each other. A migration takes up to 3 more.
	MaxConns int
	// Logger gets the driver's remarks and the progress of migrations. nil discards.
	Logger *slog.Logger
}

const (
	mariadbDialTimeout = 5 * time.Second
	// mariadbTimeout ends the wait for a server that is dead or frozen. No query comes near it: pages are short, and locks
	// are waited for in shorter slices.
	mariadbTimeout = 20 * time.Second
	// mariadbLockWait, in seconds, must stay below mariadbTimeout.
	mariadbLockWait = "10"
	// Connections are renewed, so that a failover, or a new address behind the name, is found.
	mariadbConnLifetime = 10 * time.Minute
	mariadbConnIdle     = 2 * time.Minute

	defaultConns = 32
)

// OpenMariaDB gives a store on a MariaDB of version 10.6 or later. It connects when it is first used, so the server may
// start before its database does.
func OpenMariaDB(cfg MariaDBConfig) (*Store, error) {
	if cfg.Host == "" || cfg.User == "" || cfg.Database == "" {
		return nil, spi.Errorf(spi.CodeInvalid, "opening the database: host, user and database are needed")
	}
	if cfg.Port == 0 {
		cfg.Port = 3306
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = defaultConns
	}
	maxClaims := max(1, cfg.MaxConns/2)
	maxOthers := max(1, cfg.MaxConns-maxClaims)
	logger := orDiscard(cfg.Logger)
	connector, err := mysql.NewConnector(mariadbConfig(cfg, logger, mariadbTimeout))
	if err != nil {
		return nil, spi.Wrap(spi.CodeInvalid, err, "opening the database: the settings are wrong")
	}
	// A migration of millions of rows says nothing for many minutes. TCP keep-alive finds a dead server for it.
	patient, err := mysql.NewConnector(mariadbConfig(cfg, logger, 0))
	if err != nil {
		return nil, spi.Wrap(spi.CodeInvalid, err, "opening the database: the settings are wrong")
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(maxOthers)
	db.SetMaxIdleConns(maxOthers)
	db.SetConnMaxLifetime(mariadbConnLifetime)
	db.SetConnMaxIdleTime(mariadbConnIdle)
	claims := sql.OpenDB(connector)
	claims.SetMaxOpenConns(maxClaims)
	claims.SetMaxIdleConns(maxClaims)
	claims.SetConnMaxLifetime(mariadbConnLifetime)
	claims.SetConnMaxIdleTime(mariadbConnIdle)
	return &Store{
		dialect: mariadbDialect(cfg.Database), read: db, write: db, claims: claims, log: logger, maxKeyed: maxKeyed, idsPerBlock: idsPerBlock,
		schema: schema{
			dialect:    goose.DialectMySQL,
			files:      subFS(mariadbMigrations, "migrations/mariadb"),
			hasVersion: "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'goose_db_version'",
			open:       func() (*sql.DB, error) { return sql.OpenDB(patient), nil },
			lock: func(ctx context.Context, db *sql.DB) (func(), error) {
				return lockSession(ctx, db, lockName(cfg.Database, "migrate"))
			},
			run: newMigrationRun(logger),
			code: func(run migrationRun) []*goose.Migration {
				m := &oldStackMigration{run}
				return []*goose.Migration{goose.NewGoMigration(2, &goose.GoFunc{RunDB: m.up}, nil)}
			},
		},
	}, nil
}

func mariadbConfig(cfg MariaDBConfig, logger *slog.Logger, timeout time.Duration) *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = cfg.User, cfg.Password, cfg.Database
	c.Net, c.Addr = "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))
	c.Timeout, c.ReadTimeout, c.WriteTimeout = mariadbDialTimeout, timeout, timeout
	c.Collation = "utf8mb4_general_ci"
	c.ParseTime, c.Loc = true, time.UTC
	c.InterpolateParams = true // one round trip a query instead of three
	c.ClientFoundRows = true   // an UPDATE that changes nothing still found its row
	c.Logger = driverLog{logger}
	c.Params = map[string]string{
		"time_zone":                "'+00:00'",
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
		"innodb_lock_wait_timeout": mariadbLockWait,
	}
	return c
}

// driverLog passes the driver's remarks on: it writes a line for every connection that a restarted server dropped.
type driverLog struct{ *slog.Logger }

func (l driverLog) Print(v ...any) { l.Debug("database driver", "says", fmt.Sprint(v...)) }

// mariadbDevices goes from device to device in one round trip. SELECT DISTINCT does so only where the statistics are fresh,
// and else reads the whole index, as does a recursive query like SQLite's. The line feed cannot be part of a device.
func mariadbDevices(table, index string) string {
	from := "(SELECT device FROM " + table + " FORCE INDEX (" + index + ") "
	return `BEGIN NOT ATOMIC
	DECLARE one TYPE OF ` + table + `.device;
	DECLARE found LONGTEXT CHARACTER SET utf8mb4 DEFAULT '';
	SET one = ` + from + `ORDER BY device LIMIT 1);
	WHILE one IS NOT NULL DO
		SET found = CONCAT(found, one, '\n');
		SET one = ` + from + `WHERE device > one ORDER BY device LIMIT 1);
	END WHILE;
	SELECT found;
END`
}

func mariadbKeepDay() string {
	var sets []string
	for _, c := range keptColumns {
		sets = append(sets, c+" = IF(version = VALUES(version), VALUES("+c+"), "+c+")")
	}
	return " ON DUPLICATE KEY UPDATE " + strings.Join(sets, ", ")
}

func mariadbDialect(database string) dialect {
	return dialect{
		datetime: func(t time.Time) any { return t.UTC().Format(time.DateTime) },
		classify: classifyMariaDB,
		// Less locking than the default, and rows that are locked are read as they are now.
		txOptions:     &sql.TxOptions{Isolation: sql.LevelReadCommitted},
		forUpdate:     " FOR UPDATE",
		forShare:      " LOCK IN SHARE MODE",
		skipLocked:    " FOR UPDATE SKIP LOCKED",
		insertIgnore:  "SET STATEMENT innodb_lock_wait_timeout = 0 FOR INSERT IGNORE",
		insertNoWait:  "SET STATEMENT innodb_lock_wait_timeout = 0 FOR INSERT",
		deleteDays:    "SET STATEMENT innodb_lock_wait_timeout = 0 FOR DELETE device_days FROM device_days FORCE INDEX (PRIMARY)",
		touchDay:      " ON DUPLICATE KEY UPDATE version = version + 1",
		keepDay:       mariadbKeepDay(),
		useIndex:      func(name string) string { return " FORCE INDEX (" + name + ")" },
		intentsByID:   " FORCE INDEX (PRIMARY)",
		updateIntents: "UPDATE uid_intents FORCE INDEX (PRIMARY) SET ",
		deleteIntents: "DELETE uid_intents FROM uid_intents FORCE INDEX (PRIMARY)",
		byDeviceTime:  " FORCE INDEX (image_id)",
		byTimeDevice:  " FORCE INDEX (image_time)",
		devices:       mariadbDevices,
		sameHash:      "BINARY password_hash = BINARY ?",
		termsPerQuery: 128,
		lockName: func(device string, datetime time.Time) string {
			return lockName(database, "image."+fold(device)+"."+strconv.FormatInt(datetime.Unix(), 10))
		},
		tuboidsLockName: func(series string) string { return lockName(database, "tuboids."+series) },
	}
}

// lockName names a lock of GET_LOCK, whose names are shared by all databases of a server and at most 64 characters long.
func lockName(database, what string) string {
	sum := sha256.Sum256([]byte(database))
	name := "spi." + hex.EncodeToString(sum[:6]) + "." + what
	if len(name) > 64 {
		sum = sha256.Sum256([]byte(name))
		name = "spi." + hex.EncodeToString(sum[:24])
	}
	return name
}

// lockSlice is how long, in seconds, one GET_LOCK waits. A server does not see that a client which waits has gone, so a
// slice is also how long a dead client's wait can stand before a live one's.
const lockSlice = 2

// getLock waits on the connection for the named lock until ctx ends.
func getLock(ctx context.Context, conn *sql.Conn, name string) error {
	for {
		var got sql.Null[int64]
		if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, lockSlice).Scan(&got); err != nil {
			return err
		}
		if !got.Valid {
			return spi.Errorf(spi.CodeUnavailable, "locking %s: %s", name, noPower)
		}
		if got.V == 1 {
			return nil
		}
	}
}

// releaseLock gives the lock back and the connection to its pool; a connection of which it is not sure is closed, which
// ends its locks too.
func releaseLock(conn *sql.Conn, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), mariadbDialTimeout)
	defer cancel()
	var released sql.Null[int64]
	err := conn.QueryRowContext(ctx, "SELECT RELEASE_LOCK(?)", name).Scan(&released)
	if err != nil || released.V != 1 {
		dropConn(conn)
	}
	// Closing fails only where the connection is gone, and its locks with it.
	_ = conn.Close()
}

// dropConn makes the pool close the connection instead of keeping it.
func dropConn(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// lockSession takes a named lock on a connection of its own. The returned function ends it.
func lockSession(ctx context.Context, db *sql.DB, name string) (func(), error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := getLock(ctx, conn, name); err != nil {
		dropConn(conn)
		_ = conn.Close()
		return nil, err
	}
	return func() { releaseLock(conn, name) }, nil
}

// Numbers of MariaDB's errors: https://mariadb.com/docs/server/reference/error-codes
func classifyMariaDB(err error) failure {
	if errors.Is(err, mysql.ErrInvalidConn) || isConnectionLoss(err) {
		return failure{code: spi.CodeUnavailable, message: noAnswer}
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return failure{code: spi.CodeInternal, message: "failed"}
	}
	switch e.Number {
	case 1062, 1586: // duplicate entry
		return failure{code: spi.CodeConflict, message: "it is there already"}
	case 1406, 1264, 1265, 1292, 1300, 1366, 1048, 1364, 1411, 3140: // too long, out of range, truncated, bad text, NULL
		return failure{code: spi.CodeInvalid, message: "a value is missing, too long or not possible"}
	case 1213, 1020: // deadlock; record changed since it was read
		return failure{code: spi.CodeUnavailable, message: lockedRows, again: true}
	case 1205: // lock wait time-out
		return failure{code: spi.CodeUnavailable, message: lockedRows, locked: true}
	case 1452: // foreign key
		return failure{code: spi.CodeNotFound, message: noParent}
	case 1053, 1079, 1080, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 4031: // shutdown, killed, connection lost
		return failure{code: spi.CodeUnavailable, message: noAnswer}
	case 1037, 1038, 1040, 1041, 1135, 1203, 1226, 1969: // no memory, threads, connections or time left
		return failure{code: spi.CodeUnavailable, message: noPower}
	case 1021, 1114, 1030, 3, 28: // disk full; table full; error of the storage engine or of a write
		return failure{code: spi.CodeUnavailable, message: noSpace}
	case 1290, 1792, 1836: // read-only
		return failure{code: spi.CodeUnavailable, message: readOnly}
	case 1044, 1045, 1049, 1129, 1130, 1698: // access denied, no such database, host blocked: the account may be made later
		return failure{code: spi.CodeUnavailable, message: "the database refuses this server's account; its operator must mend this"}
	case 1146, 1054: // no such table, no such column
		return failure{code: spi.CodeInternal, message: "the database is not migrated"}
	}
	return failure{code: spi.CodeInternal, message: "failed"}
}
