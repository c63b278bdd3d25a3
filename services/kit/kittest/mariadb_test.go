package kittest_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := kittest.CloseSharedMariaDB(); err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

func open(t *testing.T, d kittest.Database) *sql.DB {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName = d.User, d.Password, d.Name
	cfg.Net, cfg.Addr = "tcp", fmt.Sprintf("%s:%d", d.Host, d.Port)
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestMariaDBKeepsCommittedRowsThroughAKill(t *testing.T) {
	m := kittest.NewMariaDB(t)
	d, err := m.NewDatabase(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"CREATE TABLE t (n INT)", "INSERT INTO t VALUES (7)"} {
		if _, err := open(t, d).Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		m.Stop(sig)
		if m.PID() != 0 {
			t.Fatalf("after %v: it still runs", sig)
		}
		if err := open(t, d).Ping(); err == nil {
			t.Fatalf("after %v: a stopped server answers", sig)
		}
		if err := m.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := open(t, d).QueryRow("SELECT n FROM t").Scan(&n); err != nil || n != 7 {
			t.Fatalf("after %v: n = %d, %v", sig, n, err)
		}
	}
}

func TestMariaDBDatabasesAreApart(t *testing.T) {
	a, b := kittest.NewDatabase(t), kittest.NewDatabase(t)
	if a.Name == b.Name {
		t.Fatalf("the same database twice: %s", a.Name)
	}
	if _, err := open(t, a).Exec("CREATE TABLE " + b.Name + ".t (n INT)"); err == nil {
		t.Error("an account may write to another's database")
	}
}
