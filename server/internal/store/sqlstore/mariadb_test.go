package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func wantCode(t *testing.T, err error, want spi.Code) {
	t.Helper()
	var typed *spi.Error
	if !errors.As(err, &typed) || typed.Code != want {
		t.Fatalf("%v, want one of code %s", err, want)
	}
}

// testContext ends what hangs; all of a test, which takes seconds, may take a busy machine minutes.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestServersOnOneDatabaseStoreAnImageOnce(t *testing.T) {
	d := kittest.NewDatabase(t)
	servers := []*sqlstore.Store{openOn(t, d), openOn(t, d), openOn(t, d)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	held, outcomes := 0, make(map[string]int)
	for i := range 30 {
		wg.Go(func() {
			image := storetest.Image("5c173ff2", spiTime("2020-06-20"))
			claim, err := servers[i%3].ClaimImage(testContext(t), image.Device, image.Datetime)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				outcomes[string(spi.CodeOf(err))]++
				return
			}
			mu.Lock()
			if held++; held != 1 {
				t.Error("two claims on one image at once")
			}
			mu.Unlock()
			// The first claimants give up, so that the claim goes round the servers.
			if i > 10 {
				err = claim.Commit(testContext(t), &image)
			}
			mu.Lock()
			held--
			if err != nil {
				t.Error(err)
			} else if image.ID != 0 {
				outcomes["stored"]++
			}
			mu.Unlock()
			claim.Release()
		})
	}
	wg.Wait()
	if outcomes["stored"] != 1 {
		t.Errorf("outcomes %v", outcomes)
	}
}

func TestServersOnOtherDatabasesDoNotWait(t *testing.T) {
	a, b := openMariaDB(t), openMariaDB(t)
	first, err := a.ClaimImage(testContext(t), "5c173ff2", spiTime("2020-06-20"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	storetest.Put(t, b, storetest.Image("5c173ff2", spiTime("2020-06-20")))
}

// killOthers ends all of the account's connections but the one that asks.
func killOthers(t *testing.T, d kittest.Database) {
	t.Helper()
	db := plainDB(t, d)
	for _, c := range query(t, db, "SELECT id, '' FROM information_schema.processlist WHERE id <> CONNECTION_ID()") {
		_, err := db.Exec("KILL " + c[0])
		// the pool may have closed it meanwhile
		var e *mysql.MySQLError
		if gone := errors.As(err, &e) && e.Number == 1094; err != nil && !gone {
			t.Fatal(err)
		}
	}
}

func TestAClaimDiesWithItsConnection(t *testing.T) {
	d := kittest.NewDatabase(t)
	s, other := openOn(t, d), openOn(t, d)
	image := storetest.Image("5c173ff2", spiTime("2020-06-20"))
	claim, err := s.ClaimImage(testContext(t), image.Device, image.Datetime)
	if err != nil {
		t.Fatal(err)
	}
	killOthers(t, d)
	// The next claimant has it, and the first one's insert does not reach the table over another connection.
	next, err := other.ClaimImage(testContext(t), image.Device, image.Datetime)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, claim.Commit(testContext(t), &image), spi.CodeUnavailable)
	claim.Release()
	if err := next.Commit(testContext(t), &image); err != nil {
		t.Fatal(err)
	}
	next.Release()
	// The pool has thrown the dead connection away.
	storetest.Put(t, s, storetest.Image("5c173ff2", spiTime("2020-06-21")))
}

func TestAServerThatGoesAndComesBack(t *testing.T) {
	m := kittest.NewMariaDB(t)
	d, err := m.NewDatabase(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := openOn(t, d)
	image := storetest.Put(t, s, storetest.Image("5c173ff2", spiTime("2020-06-20")))
	key := []store.ImageKey{{Device: image.Device, Datetime: image.Datetime}}
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		claim, err := s.ClaimImage(testContext(t), "5c173ff2", spiTime("2020-06-21"))
		if err != nil {
			t.Fatal(err)
		}
		m.Stop(signal)
		lost := storetest.Image("5c173ff2", spiTime("2020-06-21"))
		commitErr := claim.Commit(testContext(t), &lost)
		claim.Release()
		_, claimErr := s.ClaimImage(testContext(t), "5c173ff3", spiTime("2020-06-21"))
		_, usersErr := s.Users(testContext(t), nil)
		_, addErr := s.AddUsers(testContext(t), []store.User{{Username: "spi"}})
		_, deleteErr := s.DeleteUsers(testContext(t), func(*store.User) bool { return true }, 0)
		_, pendingErr := s.Pending(testContext(t))
		ignore := func(*store.Image) error { return nil }
		for what, err := range map[string]error{
			"Commit": commitErr, "ClaimImage": claimErr, "Users": usersErr, "DeleteUsers": deleteErr, "Pending": pendingErr,
			"Ping": s.Ping(testContext(t)), "Images": s.Images(testContext(t), key, ignore), "Migrate": s.Migrate(testContext(t)),
			"ImageSeries": s.ImageSeries(testContext(t), []store.Series{{Device: "%", Start: spiTime("2020-01-01"), End: spiTime("2021-01-01")}}, ignore),
		} {
			var typed *spi.Error
			if !errors.As(err, &typed) || typed.Code != spi.CodeUnavailable || !strings.Contains(typed.Message, "try again") {
				t.Errorf("%s without a server: %v", what, err)
			}
		}
		if addErr == nil {
			t.Error("AddUsers without a server")
		}
		if err := m.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(testContext(t)); err != nil {
			t.Errorf("after the server's return: %v", err)
		}
		found := 0
		if err := s.Images(testContext(t), key, func(i *store.Image) error { found++; return nil }); err != nil || found != 1 {
			t.Errorf("after the server's return: %d images, %v", found, err)
		}
	}
	storetest.Put(t, s, storetest.Image("5c173ff2", spiTime("2020-06-21")))
}

func TestRefusedAccountsAndWrongAddressesAreUnavailable(t *testing.T) {
	good := kittest.NewDatabase(t)
	for name, change := range map[string]func(*sqlstore.MariaDBConfig){
		"password": func(c *sqlstore.MariaDBConfig) { c.Password = "wrong" },
		"database": func(c *sqlstore.MariaDBConfig) { c.Database = "elsewhere" },
		"port":     func(c *sqlstore.MariaDBConfig) { c.Port = 1 },
		"host":     func(c *sqlstore.MariaDBConfig) { c.Host = "no-such-host.invalid" },
	} {
		cfg := configOf(good)
		change(&cfg)
		s, err := sqlstore.OpenMariaDB(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Ping(testContext(t))
		if err == nil || spi.CodeOf(err) != spi.CodeUnavailable {
			t.Errorf("wrong %s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), good.Password) {
			t.Errorf("wrong %s: the message holds the password", name)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLockNamesAreShortAndDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, database := range []string{"spi", "spi2"} {
		for _, what := range []string{"migrate", "image.5c173ff2.1592688804", "image.5c173ff2.1592688805", "image." + strings.Repeat("日", 8) + ".1592688804", strings.Repeat("x", 80)} {
			name := sqlstore.LockName(database, what)
			if len(name) > 64 || seen[name] {
				t.Errorf("%s, %s: %q", database, what, name)
			}
			seen[name] = true
		}
	}
}
