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

// TestDaysOfAnotherFormAreReadAnew spoils what is kept as a server of another version would.
func TestDaysOfAnotherFormAreReadAnew(t *testing.T) {
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
				if err := s.DB().QueryRow("SELECT HEX(SUBSTR(points, 1, 1)) FROM device_days WHERE kept = version").Scan(&form); err != nil {
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
			mustExec(t, db, "UPDATE device_days SET points = x'FF01'")
			if got := read(); len(got) != 1 || got[0] != image.ID {
				t.Errorf("read %v", got)
			}
			if got := form(); got != kept {
				t.Errorf("kept as %s, want %s", got, kept)
			}
		})
	}
}
