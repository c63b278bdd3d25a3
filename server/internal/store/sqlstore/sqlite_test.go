package sqlstore_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestSQLiteKeepsItsRowsWhenReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spi.sqlite")
	open := func() *sqlstore.Store {
		s, err := sqlstore.OpenSQLite(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	image := storetest.Put(t, s, storetest.Image("5c173ff2", spiTime("2020-06-20")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	found := 0
	err := s.Images(context.Background(), []store.ImageKey{{Device: image.Device, Datetime: image.Datetime}}, func(i *store.Image) error {
		found++
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("%d images, %v", found, err)
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := s.Pools()["write"].QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v", pragma, got, err)
		}
	}
}

func TestSQLiteWithoutAFolderOrWithAnotherFileSaysSo(t *testing.T) {
	if s, err := sqlstore.OpenSQLite(filepath.Join(t.TempDir(), "missing", "spi.sqlite"), nil); err == nil {
		_ = s.Close()
		t.Error("opened in a folder that is not there")
	} else {
		wantCode(t, err, spi.CodeUnavailable)
	}
	path := filepath.Join(t.TempDir(), "spi.sqlite")
	if err := os.WriteFile(path, []byte("this is no database, whatever its name may say; it is long enough to look like one, perhaps, or is it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlstore.OpenSQLite(path, nil); err == nil {
		_ = s.Close()
		t.Error("opened a file of text")
	} else {
		wantCode(t, err, spi.CodeInternal)
	}
}

func TestSQLiteMigratesOnceWhenAskedTwiceAtATime(t *testing.T) {
	s, err := sqlstore.OpenSQLite(filepath.Join(t.TempDir(), "spi.sqlite"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Migrate(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var n int
	if err := s.DB().QueryRow("SELECT COUNT(*) FROM goose_db_version WHERE version_id = 1").Scan(&n); err != nil || n != 1 {
		t.Errorf("migration 1 is recorded %d times, %v", n, err)
	}
}
