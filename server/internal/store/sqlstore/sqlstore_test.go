package sqlstore_test

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := kittest.CloseSharedMariaDB(); err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

// implementations open an empty store each, migrated, and close it at the test's end.
var implementations = map[string]func(testing.TB) *sqlstore.Store{"MariaDB": openMariaDB, "SQLite": openSQLite}

func configOf(d kittest.Database) sqlstore.MariaDBConfig {
	return sqlstore.MariaDBConfig{Host: d.Host, Port: d.Port, User: d.User, Password: d.Password, Database: d.Name}
}

func openMariaDB(t testing.TB) *sqlstore.Store { return openOn(t, kittest.NewDatabase(t)) }

// openOn opens a migrated store on the database.
func openOn(t testing.TB, d kittest.Database) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenMariaDB(configOf(d))
	return migrated(t, s, err)
}

func openSQLite(t testing.TB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenSQLite(filepath.Join(t.TempDir(), "odd name? #1%41.sqlite"), nil)
	return migrated(t, s, err)
}

func migrated(t testing.TB, s *sqlstore.Store, err error) *sqlstore.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheFewestConnectionsSuffice(t *testing.T) {
	cfg := configOf(kittest.NewDatabase(t))
	cfg.MaxConns = 1 // 2 are taken: one for claims, one for the rest
	s, err := sqlstore.OpenMariaDB(cfg)
	migrated(t, s, err)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { storetest.Put(t, s, storetest.Image("5c173ff2", benchStart.Add(time.Duration(i)*time.Second))) })
	}
	wg.Wait()
	for name, pool := range s.Pools() {
		if n := pool.Stats().MaxOpenConnections; n != 1 {
			t.Errorf("pool %s: %d connections", name, n)
		}
	}
}

func TestConformance(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
		})
	}
}

func spiTime(s string) time.Time {
	at, _, err := spi.ParseDatetime(s)
	if err != nil {
		panic(err)
	}
	return at
}
