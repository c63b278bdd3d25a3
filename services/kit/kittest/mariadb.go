package kittest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
)

// ErrNoMariaDB says that this machine lacks the database server.
var ErrNoMariaDB = errors.New("mariadbd is not installed; on Debian: apt-get install mariadb-server-core mariadb-client-core mariadb-server")

// mariaDBStartTimeout bounds a start or a stop. A healthy one takes about a second, InnoDB's recovery after a kill a little more,
// and all of it much longer on a machine under heavy load: only one that hangs is to be met.
const mariaDBStartTimeout = 5 * time.Minute

// MariaDB is a private database server on the loopback interface, with its data in a temporary folder. It may be stopped
// and started again on the same data and port, for tests of faults.
type MariaDB struct {
	bin, dir string
	account  string // the operating system's account that it runs as; empty: that of the test
	port     int
	password string
	made     atomic.Int64 // databases made so far

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// Database is an empty database of its own, and an account that may do everything in it and nothing elsewhere.
type Database struct {
	Host     string
	Port     int
	User     string
	Password string
	Name     string
}

// StartMariaDB makes a data folder and starts a server on it; [ErrNoMariaDB] where there is none. It is to be closed.
// Tests that have no wish to stop the server share one: see [SharedMariaDB].
func StartMariaDB(ctx context.Context) (*MariaDB, error) {
	bin, err := findProgram("mariadbd")
	if err != nil {
		return nil, ErrNoMariaDB
	}
	install, err := findProgram("mariadb-install-db")
	if err != nil {
		return nil, ErrNoMariaDB
	}
	dir, err := os.MkdirTemp("", "spi-mariadb-")
	if err != nil {
		return nil, err
	}
	m := &MariaDB{bin: bin, dir: dir, password: "root of a test"}
	if err := m.install(ctx, install); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if m.port, err = ports.Free(ctx, 0); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := m.Start(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if err := m.exec(ctx, "ALTER USER root@localhost IDENTIFIED BY '"+m.password+"'"); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// findProgram looks beside the PATH in the folders where Debian keeps daemons, which users' PATHs leave out.
func findProgram(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// install makes the system tables. mariadbd refuses to run as root unless told to, so root hands the data to the account
// that the package made for it, where there is one.
func (m *MariaDB) install(ctx context.Context, install string) error {
	args := []string{"--no-defaults", "--datadir=" + m.data(), "--auth-root-authentication-method=normal", "--skip-test-db",
		"--skip-name-resolve", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0"}
	if os.Getuid() == 0 {
		m.account = "root"
		if u, err := user.Lookup("mysql"); err == nil {
			uid, err1 := strconv.Atoi(u.Uid)
			gid, err2 := strconv.Atoi(u.Gid)
			if err := errors.Join(err1, err2, os.Chown(m.dir, uid, gid)); err != nil {
				return err
			}
			m.account = "mysql"
		}
		args = append(args, "--user="+m.account)
	}
	// It starts a server for a moment, which a machine under heavy load now and then does not allow.
	var err error
	for range 2 {
		var out []byte
		if out, err = exec.CommandContext(ctx, install, args...).CombinedOutput(); err == nil {
			return nil
		}
		err = errors.Join(fmt.Errorf("mariadb-install-db: %w: %s", err, bytes.TrimSpace(out)), os.RemoveAll(m.data()))
	}
	return err
}

func (m *MariaDB) data() string    { return filepath.Join(m.dir, "data") }
func (m *MariaDB) logFile() string { return filepath.Join(m.dir, "error.log") }

// Start starts a stopped server again, on the same data and port, and waits until it answers.
func (m *MariaDB) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		return errors.New("kittest: mariadbd runs already")
	}
	args := []string{"--no-defaults",
		"--datadir=" + m.data(), "--socket=" + m.socket(), "--pid-file=" + filepath.Join(m.dir, "pid"),
		"--log-error=" + m.logFile(), "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(m.port),
		"--skip-name-resolve", "--skip-log-bin", "--performance-schema=OFF", "--max-connections=200",
		"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M", "--aria-pagecache-buffer-size=1M", "--key-buffer-size=1M",
		// Commits reach the operating system but not the disk: they survive a killed server, and tests are quick.
		"--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0",
		"--innodb-buffer-pool-dump-at-shutdown=0", "--innodb-buffer-pool-load-at-startup=0", "--innodb-fast-shutdown=1",
		// Not the collation of the tables, as on newer servers: statements must not rely on the default.
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci",
	}
	if m.account != "" {
		args = append(args, "--user="+m.account)
	}
	cmd := exec.Command(m.bin, args...)
	exited := make(chan struct{})
	if err := startTied(cmd, func() { close(exited) }); err != nil {
		return fmt.Errorf("starting mariadbd: %w", err)
	}
	m.cmd, m.exited = cmd, exited

	ctx, cancel := context.WithTimeout(ctx, mariaDBStartTimeout)
	defer cancel()
	for {
		if greets("tcp", m.addr()) && greets("unix", m.socket()) {
			return nil
		}
		select {
		case <-exited:
			m.cmd = nil
			return fmt.Errorf("mariadbd ended at its start: %s", m.lastLog())
		case <-ctx.Done():
			m.stop(syscall.SIGKILL)
			return fmt.Errorf("mariadbd does not answer: %w: %s", ctx.Err(), m.lastLog())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// greets says whether the server sends its greeting there: it listens for a while before it is ready, and on one address
// before the other.
func greets(network, addr string) bool {
	conn, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	// Closing after a read has nothing to lose.
	defer func() { _ = conn.Close() }()
	if conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	n, err := conn.Read(make([]byte, 1))
	return n == 1 && err == nil
}

func (m *MariaDB) socket() string { return filepath.Join(m.dir, "s") }

func (m *MariaDB) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port)) }

func (m *MariaDB) lastLog() []byte {
	b, err := os.ReadFile(m.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-2000):]
}

// Stop ends the server with the signal, SIGTERM for an orderly end or SIGKILL for a crash, and waits until it is gone. A
// stopped server is left as it is.
func (m *MariaDB) Stop(sig syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop(sig)
}

func (m *MariaDB) stop(sig syscall.Signal) {
	if m.cmd == nil {
		return
	}
	// The only error is that it has ended already.
	_ = m.cmd.Process.Signal(sig)
	select {
	case <-m.exited:
	case <-time.After(mariaDBStartTimeout):
		_ = m.cmd.Process.Kill()
		<-m.exited
	}
	m.cmd = nil
}

// PID is the server's process, 0 while it is stopped: tests freeze it with SIGSTOP.
func (m *MariaDB) PID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return 0
	}
	return m.cmd.Process.Pid
}

// Close ends the server and removes its data.
func (m *MariaDB) Close() error {
	m.Stop(syscall.SIGKILL)
	return os.RemoveAll(m.dir)
}

func (m *MariaDB) config() *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.MultiStatements = "root", m.password, "unix", m.socket(), true
	return cfg
}

// exec runs statements as root. The password is set by the first of them, so it is tried without one too.
func (m *MariaDB) exec(ctx context.Context, statements string) error {
	cfg := m.config()
	err := execOnce(ctx, cfg, statements)
	var refused *mysql.MySQLError
	if errors.As(err, &refused) && refused.Number == 1045 {
		cfg.Passwd = ""
		err = execOnce(ctx, cfg, statements)
	}
	return err
}

func execOnce(ctx context.Context, cfg *mysql.Config, statements string) error {
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	_, err = db.ExecContext(ctx, statements)
	return errors.Join(err, db.Close())
}

// NewDatabase makes an empty database that nobody else uses, and its account.
func (m *MariaDB) NewDatabase(ctx context.Context) (Database, error) {
	name := fmt.Sprintf("spi_%d", m.made.Add(1))
	d := Database{Host: "127.0.0.1", Port: m.port, User: name, Password: "pass@word:/" + name, Name: name}
	err := m.exec(ctx, fmt.Sprintf("CREATE DATABASE %[1]s; CREATE USER %[1]s@'127.0.0.1' IDENTIFIED BY '%[2]s'; GRANT ALL ON %[1]s.* TO %[1]s@'127.0.0.1'",
		name, d.Password))
	if err != nil {
		return Database{}, fmt.Errorf("making database %s: %w", name, err)
	}
	return d, nil
}

var shared struct {
	once sync.Once
	m    *MariaDB
	err  error
}

// SharedMariaDB gives the server that all tests of the process share, and starts it for the first. Tests take a database of
// their own ([MariaDB.NewDatabase]) and leave the server running; those that stop it start their own. It skips the test where
// MariaDB is not installed. The package's TestMain ends it with [CloseSharedMariaDB].
func SharedMariaDB(t testing.TB) *MariaDB {
	t.Helper()
	shared.once.Do(func() { shared.m, shared.err = StartMariaDB(context.Background()) })
	if errors.Is(shared.err, ErrNoMariaDB) {
		t.Skipf("needs a real MariaDB: %v", shared.err)
	}
	if shared.err != nil {
		t.Fatalf("starting MariaDB: %v", shared.err)
	}
	return shared.m
}

// NewMariaDB is a server of the test's own, closed at its end, for tests that stop it. It skips the test where MariaDB is
// not installed.
func NewMariaDB(t testing.TB) *MariaDB {
	t.Helper()
	m, err := StartMariaDB(context.Background())
	if errors.Is(err, ErrNoMariaDB) {
		t.Skipf("needs a real MariaDB: %v", err)
	}
	if err != nil {
		t.Fatalf("starting MariaDB: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("closing MariaDB: %v", err)
		}
	})
	return m
}

// NewDatabase gives the test an empty database on the shared server.
func NewDatabase(t testing.TB) Database {
	t.Helper()
	d, err := SharedMariaDB(t).NewDatabase(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// CloseSharedMariaDB ends the shared server, if one was started. A TestMain calls it after m.Run.
func CloseSharedMariaDB() error {
	// Taking the once makes sure that none is started later.
	shared.once.Do(func() { shared.err = errors.New("kittest: the shared MariaDB is closed") })
	if shared.m == nil {
		return nil
	}
	return shared.m.Close()
}
