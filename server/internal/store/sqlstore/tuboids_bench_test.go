package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
)

// fillSeries puts series of tuboids of two days each, one after the other, of so many devices, past the interface, with one
// tuboid each.
func fillSeries(b *testing.B, s *sqlstore.Store, devices, each int) {
	b.Helper()
	datetime := func(at time.Time) any { return at.Format(time.DateTime) }
	if _, ok := s.Pools()["write"]; ok {
		datetime = func(at time.Time) any { return at.Unix() }
	}
	const row = "(?, ?, ?, 144, 1, 'matcher', '1606980656-91e2199fccf371d3d690b2856613e8f5', ?)"
	for i := range each {
		start, end := benchStart.AddDate(0, 0, 2*i), benchStart.AddDate(0, 0, 2*i+2)
		var args []any
		for d := range devices {
			args = append(args, benchDevice(d), datetime(start), datetime(end), datetime(end))
		}
		mustExec(b, writer(s), "INSERT INTO tuboid_series (device, start_datetime, end_datetime, n_images, n_tuboids, algo_name, algo_version, datetime_created) VALUES "+
			strings.Repeat(row+",", devices-1)+row, args...)
	}
	mustExec(b, writer(s), `INSERT INTO tiled_tuboids (parent_series_id, tuboid_id, id_in_series, start_datetime, end_datetime, n_shots, datetime_created)
		SELECT id, CAST(id AS CHAR), 1, start_datetime, end_datetime, 4, datetime_created FROM tuboid_series`)
}

// BenchmarkTuboidSeries asks for the same of tables of growing size.
func BenchmarkTuboidSeries(b *testing.B) {
	const devices = 50
	for name, open := range implementations {
		for _, each := range []int{20, 400} {
			b.Run(fmt.Sprintf("%s/%d", name, devices*each), func(b *testing.B) {
				s := open(b)
				fillSeries(b, s, devices, each)
				for _, c := range []struct {
					name string
					days int
					want int
				}{{"None", 1, 0}, {"AWeek", 7, 3 * devices}} {
					b.Run(c.name, func(b *testing.B) {
						given := []store.Series{{Device: "%", Start: benchStart.AddDate(0, 0, 10), End: benchStart.AddDate(0, 0, 10+c.days)}}
						perOp(b, func() {
							n := 0
							if err := s.TuboidSeries(context.Background(), given, func(*store.Tuboid) error { n++; return nil }); err != nil || n != c.want {
								b.Fatalf("%d tuboids, %v", n, err)
							}
						})
					})
				}
			})
		}
	}
}
