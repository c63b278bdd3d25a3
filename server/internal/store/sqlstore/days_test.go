package sqlstore_test

import (
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
)

func TestViewsConformance(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunViews(t, func(t *testing.T) store.Store { return open(t) })
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
