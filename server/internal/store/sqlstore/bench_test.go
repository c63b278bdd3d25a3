package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
)

var benchStart = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func benchDevice(i int) string { return fmt.Sprintf("%08x", 0x5c170000+i*37) }

// fillImages puts rows of so many devices, one each 20 minutes, past the interface: the claims of a million rows would
// take longer than what is measured.
func fillImages(t testing.TB, s *sqlstore.Store, devices, each int) {
	t.Helper()
	datetime := func(at time.Time) any { return at.Format(time.DateTime) }
	db := s.DB()
	if w, ok := s.Pools()["write"]; ok {
		db, datetime = w, func(at time.Time) any { return at.Unix() }
	}
	const rows = 500
	one := "(?, ?, '9e6e908d9c29d332b511f8d5121857f8', '3.1.0', 2592, 1944, 97.3, 49.26142, -123.25088, 20.6, 42.6, 5.40226, 0.023646, 2.36, 100, 1.2, 72, 1, ?, '3.0.0', 'spi')"
	for d := range devices {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for from := 0; from < each; from += rows {
			n := min(rows, each-from)
			args := make([]any, 0, 3*n)
			for i := range n {
				at := datetime(benchStart.Add(time.Duration(from+i) * 20 * time.Minute))
				args = append(args, benchDevice(d), at, at)
			}
			if _, err := tx.Exec(`INSERT INTO images (device, datetime, md5, device_version, width, height, alt, lat, lng, temp, hum,
				no_flash_shutter_speed, no_flash_exposure_time, no_flash_bv, no_flash_iso, lum, bat, but, datetime_created, api_version, api_user)
				VALUES `+strings.Repeat(one+",", n-1)+one, args...); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// cpu is the CPU time of this process so far, without MariaDB's.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func measure(b *testing.B, wantRows int, read func(fn func(*store.Image) error) error) {
	b.Helper()
	run := func() {
		rows := 0
		if err := read(func(*store.Image) error { rows++; return nil }); err != nil {
			b.Fatal(err)
		}
		if rows != wantRows {
			b.Fatalf("%d rows, want %d", rows, wantRows)
		}
	}
	run()
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		run()
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

// BenchmarkRead reads from a table of 250,000 rows, 50 devices. That the table's size does not count is shown by
// BenchmarkTableSize.
func BenchmarkRead(b *testing.B) {
	const devices, each = 50, 5000
	for name, open := range implementations {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			fillImages(b, s, devices, each)
			series := func(pattern string, rows int) []store.Series {
				return []store.Series{{Device: pattern, Start: benchStart, End: benchStart.Add(time.Duration(rows) * 20 * time.Minute)}}
			}
			for _, c := range []struct {
				name   string
				series []store.Series
				rows   int
			}{
				{"SeriesOfOneDevice/1000", series(benchDevice(7), 1000), 1000},
				{"SeriesOfAllDevices/10000", series("%", 200), 10_000},
				{"SeriesOfAllDevices/100000", series("%", 2000), 100_000},
				{"SeriesOfAllDevicesWithoutRows", []store.Series{{Device: "%", Start: benchStart.AddDate(-1, 0, 0), End: benchStart}}, 0},
			} {
				b.Run(c.name, func(b *testing.B) {
					measure(b, c.rows, func(fn func(*store.Image) error) error { return s.ImageSeries(context.Background(), c.series, fn) })
				})
			}
			for keyed, device := range map[string]func(int) string{
				"OneDevice": func(int) string { return benchDevice(7) },
				"Devices":   func(i int) string { return benchDevice(i % devices) },
				"Patterns":  func(i int) string { return benchDevice(i % devices)[:7] + "_" },
			} {
				keys := make([]store.ImageKey, 1000)
				for i := range keys {
					keys[i] = store.ImageKey{Device: device(i), Datetime: benchStart.Add(time.Duration(i*3) * 20 * time.Minute)}
				}
				b.Run("KeysOf"+keyed+"/1000", func(b *testing.B) {
					measure(b, 1000, func(fn func(*store.Image) error) error { return s.Images(context.Background(), keys, fn) })
				})
			}
		})
	}
}

// BenchmarkShortSeries reads 5,000 series of one row each that do not touch; of one device, or of all, most of them are empty.
func BenchmarkShortSeries(b *testing.B) {
	const devices, each, spans = 50, 2000, 5000
	for name, open := range implementations {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			fillImages(b, s, devices, each)
			for _, c := range []struct {
				of     string
				device func(i int) (device string, row int)
				rows   int
			}{
				{"OneDevice", func(i int) (string, int) { return benchDevice(7), 2 * i }, each / 2},
				{"EachDevice", func(i int) (string, int) { return benchDevice(i % devices), 2 * (i / devices) }, spans},
				{"AllDevices", func(i int) (string, int) { return "%", 2 * i }, devices * each / 2},
			} {
				series := make([]store.Series, spans)
				for i := range series {
					device, row := c.device(i)
					start := benchStart.Add(time.Duration(row) * 20 * time.Minute)
					series[i] = store.Series{Device: device, Start: start, End: start.Add(20 * time.Minute)}
				}
				b.Run(c.of, func(b *testing.B) {
					measure(b, c.rows, func(fn func(*store.Image) error) error { return s.ImageSeries(context.Background(), series, fn) })
				})
			}
		})
	}
}

// BenchmarkTableSize reads the same rows from tables of growing size: the time follows the rows read, not the table. Filling
// the largest takes minutes: -bench 'TableSize/MariaDB/10000000'.
func BenchmarkTableSize(b *testing.B) {
	for name, open := range implementations {
		for _, size := range []int{10_000, 100_000, 1_000_000, 10_000_000} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				if size > 100_000 && testing.Short() {
					b.Skip("fills a large table; run without -short")
				}
				s := open(b)
				const devices = 20
				fillImages(b, s, devices, size/devices)
				week := []store.Series{{Device: "%", Start: benchStart, End: benchStart.Add(100 * 20 * time.Minute)}}
				var keys []store.ImageKey
				for i := range 1000 {
					keys = append(keys, store.ImageKey{Device: benchDevice(i % devices), Datetime: benchStart.Add(time.Duration(i/devices) * 20 * time.Minute)})
				}
				b.Run("Series/2000", func(b *testing.B) {
					measure(b, 2000, func(fn func(*store.Image) error) error { return s.ImageSeries(context.Background(), week, fn) })
				})
				b.Run("Keys/1000", func(b *testing.B) {
					measure(b, 1000, func(fn func(*store.Image) error) error { return s.Images(context.Background(), keys, fn) })
				})
			})
		}
	}
}

// BenchmarkClaim stores images one after another, as an upload does.
func BenchmarkClaim(b *testing.B) {
	for name, open := range implementations {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			n := 0
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				storetest.Put(b, s, storetest.Image("5c173ff2", benchStart.Add(time.Duration(n)*time.Second)))
				n++
			}
			b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// BenchmarkMigration migrates the old stack's table of so many images.
func BenchmarkMigration(b *testing.B) {
	const rows = 300_000
	schema := oldSchema(b)
	for b.Loop() {
		b.StopTimer()
		d := kittest.NewDatabase(b)
		db := plainDB(b, d)
		mustExec(b, db, "SET FOREIGN_KEY_CHECKS = 0; "+schema)
		mustExec(b, db, fmt.Sprintf(`INSERT INTO images (device, datetime, md5, width, height, temp, hum, no_flash_shutter_speed,
			no_flash_exposure_time, no_flash_bv, no_flash_iso, datetime_created)
			SELECT CONCAT('5c17', LPAD(HEX(seq DIV 5000), 4, '0')), '2020-01-01' + INTERVAL 20 * (seq %% 5000) MINUTE, MD5(seq), 2592, 1944,
			21.9, 76.8, 5.40226, 0.023646, 2.36, 100, '2020-01-01' FROM seq_1_to_%d`, rows))
		s := openUnmigrated(b, d)
		b.StartTimer()
		if err := s.Migrate(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
