package sqlstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestViewsConformance(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunViews(t, func(t *testing.T) store.Store { return open(t) })
		})
	}
}

// TestDaysWithoutImagesAreForgotten counts rows, of days that were looked at since and of days that were not.
func TestDaysWithoutImagesAreForgotten(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			rows := func() (n int) {
				if err := s.DB().QueryRow("SELECT COUNT(*) FROM device_days").Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			keep := func() {
				t.Helper()
				if err := s.KeepDays(t.Context(), 0, 100_000, func() error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			var keys []store.ImageKey
			for _, device := range []string{"0000000a", "0000000b"} {
				for day := range 3 {
					image := storetest.Put(t, s, storetest.Image(device, spiTime("2024-05-01").AddDate(0, 0, day)))
					keys = append(keys, store.ImageKey{Device: image.Device, Datetime: image.Datetime})
				}
			}
			keep()
			if n := rows(); n != len(keys) {
				t.Fatalf("%d rows of %d days", n, len(keys))
			}
			// of the first device the first and the last day, of the second all
			keys = append(keys[:1], keys[2:]...)
			err := s.DeleteImages(t.Context(), keys, func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if err := s.DaySummaries(t.Context(), "0000000b", 0, 100_000, nil, func(d store.DaySummary) { t.Errorf("%+v", d) }); err != nil {
				t.Error(err)
			}
			keep()
			if n := rows(); n != 1 {
				t.Errorf("%d rows, and one day has images", n)
			}
		})
	}
}

// TestTheNewestDaysOfAllDevicesAreKeptFirst ends the work after the newest month of both devices.
func TestTheNewestDaysOfAllDevicesAreKeptFirst(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			oldest := spiTime("2024-01-01")
			devices := []string{"0000000a", "0000000b"}
			for _, device := range devices {
				for _, day := range []int{0, 40, 90, 91} {
					storetest.Put(t, s, storetest.Image(device, oldest.AddDate(0, 0, day)))
				}
			}
			kept := func() (days []int) {
				rows, err := s.DB().Query("SELECT day FROM device_days WHERE kept = version ORDER BY day, device")
				if err != nil {
					t.Fatal(err)
				}
				defer rows.Close()
				for rows.Next() {
					var day int
					if err := rows.Scan(&day); err != nil {
						t.Fatal(err)
					}
					days = append(days, day-int(oldest.Unix()/store.DaySeconds))
				}
				if err := rows.Err(); err != nil {
					t.Fatal(err)
				}
				return days
			}
			enough := errors.New("enough")
			calls := 0
			err := s.KeepDays(t.Context(), 0, 100_000, func() error {
				if calls++; calls == len(devices) {
					return enough
				}
				return nil
			})
			if diff := cmp.Diff([]int{90, 90, 91, 91}, kept()); diff != "" || !errors.Is(err, enough) {
				t.Errorf("%v, kept (-want +got):\n%s", err, diff)
			}
			if err := s.KeepDays(t.Context(), 0, 100_000, func() error { return nil }); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]int{0, 0, 40, 40, 90, 90, 91, 91}, kept()); diff != "" {
				t.Errorf("kept in the end (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDaysDecadesApartAreKeptWithoutThoseBetween has a device whose clock was wrong once, and one whose image of that time was deleted.
func TestDaysDecadesApartAreKeptWithoutThoseBetween(t *testing.T) {
	wrong, right := spiTime("1970-01-02"), spiTime("2024-01-01")
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for _, device := range []string{"0000000a", "0000000b"} {
				for _, at := range []time.Time{wrong, right} {
					storetest.Put(t, s, storetest.Image(device, at))
				}
			}
			keep := func(wantDays, wantLooks int) {
				t.Helper()
				looks, days := 0, 0
				if err := s.KeepDays(t.Context(), 0, 100_000, func() error { looks++; return nil }); err != nil {
					t.Fatal(err)
				}
				if err := s.DB().QueryRow("SELECT COUNT(*) FROM device_days WHERE kept = version").Scan(&days); err != nil {
					t.Fatal(err)
				}
				if days != wantDays || looks != wantLooks {
					t.Errorf("%d days are kept after %d looks, want %d after %d", days, looks, wantDays, wantLooks)
				}
			}
			// of each device a month with an image, one without, and one with an image
			keep(4, 6)
			keep(4, 6)
			err := s.DeleteImages(t.Context(), []store.ImageKey{{Device: "0000000b", Datetime: wrong}},
				func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			keep(3, 6) // the row is still looked for, then forgotten
			keep(3, 4)
		})
	}
}

// TestVeryLargeDaysAreDrawnUpToABound takes a day with an image each half minute.
func TestVeryLargeDaysAreDrawnUpToABound(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			const images = store.MaxKeptImages + 100
			datetime, db := func(at time.Time) any { return at.Format(time.DateTime) }, s.DB()
			if w, ok := s.Pools()["write"]; ok {
				db, datetime = w, func(at time.Time) any { return at.Unix() }
			}
			var args []any
			for i := range images {
				at := datetime(spiTime("2024-05-01").Add(time.Duration(i) * 30 * time.Second))
				args = append(args, at, at)
			}
			mustExec(t, db, "INSERT INTO images (device, datetime, md5, width, height, datetime_created) VALUES "+
				strings.TrimSuffix(strings.Repeat("('0000000a', ?, '9e6e908d9c29d332b511f8d5121857f8', 16, 12, ?),", images), ","), args...)
			for _, test := range []struct {
				changed, large int64
				want           spi.Code
			}{
				{images - 1, images, spi.CodeUnavailable},
				{images, 0, ""}, // it is not known to be so large
				{0, images - 1, spi.CodeInvalid},
				{0, images, ""},
			} {
				err := s.WorkOut(t.Context(), "0000000a", spiTime("2024-05-01"), spiTime("2024-05-02"), store.NewEffort(test.changed, test.large))
				if test.want == "" && err != nil || test.want != "" && spi.CodeOf(err) != test.want {
					t.Errorf("%+v: %v", test, err)
				}
			}
		})
	}
}

// TestDaysThatCannotBeReadAreReadAnew spoils what is kept: as a server of another version would, and by half.
func TestDaysThatCannotBeReadAreReadAnew(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			image := storetest.Put(t, s, storetest.Image("5c173ff2", spiTime("2020-06-20")))
			read := func() (ids []int64) {
				err := s.Points(t.Context(), "5c173ff2", spiTime("2020-06-20"), spiTime("2020-06-21"), "uid", func(p *store.Point) { ids = append(ids, p.ID) })
				if err != nil {
					t.Fatal(err)
				}
				return ids
			}
			form := func() (form string) {
				if err := s.DB().QueryRow("SELECT HEX(points) FROM device_days WHERE kept = version").Scan(&form); err != nil {
					t.Fatal(err)
				}
				return form
			}
			read()
			kept := form()
			db := s.DB()
			if w, ok := s.Pools()["write"]; ok {
				db = w
			}
			for _, spoilt := range []string{"x'FF01'", "SUBSTR(points, 1, 3)"} {
				mustExec(t, db, "UPDATE device_days SET points = "+spoilt)
				if got := read(); len(got) != 1 || got[0] != image.ID {
					t.Errorf("%s: read %v", spoilt, got)
				}
				if got := form(); got != kept {
					t.Errorf("%s: kept as %s, want %s", spoilt, got, kept)
				}
			}
		})
	}
}

// TestDaysOfAnEarlierFormAreWorkedOutAnew upgrades a server that kept days in the form 1.
func TestDaysOfAnEarlierFormAreWorkedOutAnew(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			storetest.Put(t, s, storetest.Image("5c173ff2", spiTime("2020-06-20")))
			workOut := func(most int64) error {
				return s.WorkOut(t.Context(), "5c173ff2", spiTime("2020-06-20"), spiTime("2020-06-21"), store.NewEffort(most, 0))
			}
			if err := workOut(1); err != nil {
				t.Fatal(err)
			}
			db, version := s.DB(), 6
			if w, ok := s.Pools()["write"]; ok {
				db, version = w, 5
			}
			mustExec(t, db, "UPDATE device_days SET points = x'0100'")
			mustExec(t, db, "DELETE FROM goose_db_version WHERE version_id >= ?", version)
			for range 2 { // the second time as after a kill
				if err := s.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := workOut(0); err == nil || spi.CodeOf(err) != spi.CodeUnavailable {
				t.Errorf("a day in the form 1 passes for worked out: %v", err)
			}
			if err := workOut(1); err != nil {
				t.Fatal(err)
			}
			var form string
			if err := s.DB().QueryRow("SELECT HEX(points) FROM device_days").Scan(&form); err != nil || !strings.HasPrefix(form, "02") {
				t.Errorf("kept as %s: %v", form, err)
			}
		})
	}
}
