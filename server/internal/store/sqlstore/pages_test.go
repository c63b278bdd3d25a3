package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestSeriesLongerThanAPage(t *testing.T) {
	const devices, each = 3, sqlstore.PageRows*2 + 1
	step := 20 * time.Minute
	at := func(row int) time.Time { return benchStart.Add(time.Duration(row) * step) }
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			fillImages(t, s, devices, each)
			for what, test := range map[string]struct {
				series []store.Series
				want   []int // rows of each device
			}{
				"all":                      {[]store.Series{{Device: "%", Start: at(0), End: at(each)}}, []int{each, each, each}},
				"pages that end just so":   {[]store.Series{{Device: "%", Start: at(0), End: at(sqlstore.PageRows)}}, []int{sqlstore.PageRows, sqlstore.PageRows, sqlstore.PageRows}},
				"one device, two pages":    {[]store.Series{{Device: benchDevice(1), Start: at(0), End: at(2 * sqlstore.PageRows)}}, []int{0, 2 * sqlstore.PageRows, 0}},
				"a page across two ranges": {[]store.Series{{Device: "%", Start: at(0), End: at(1500)}, {Device: "%", Start: at(1600), End: at(2700)}}, []int{2600, 2600, 2600}},
				"many short ranges": {func() (series []store.Series) {
					for i := range 1000 {
						series = append(series, store.Series{Device: "%", Start: at(4 * i), End: at(4*i + 1)})
					}
					return series
				}(), []int{1000, 1000, 1000}},
			} {
				t.Run(what, func(t *testing.T) {
					got, last := make([]int, devices), store.Image{}
					err := s.ImageSeries(context.Background(), test.series, func(i *store.Image) error {
						if i.Device < last.Device || i.Device == last.Device && !last.Datetime.Before(i.Datetime) {
							t.Fatalf("%s %s comes after %s %s", i.Device, i.Datetime, last.Device, last.Datetime)
						}
						last = *i
						for d := range devices {
							if i.Device == benchDevice(d) {
								got[d]++
							}
						}
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
					for d := range devices {
						if got[d] != test.want[d] {
							t.Errorf("%v rows, want %v", got, test.want)
							break
						}
					}
				})
			}
			// Deletion takes several batches.
			var keys []store.ImageKey
			for i := range 1300 {
				keys = append(keys, store.ImageKey{Device: benchDevice(0), Datetime: at(i)})
			}
			batches, deleted := 0, 0
			err := s.DeleteImages(context.Background(), keys, func(_ context.Context, images []store.Image) error {
				batches++
				return nil
			}, func(*store.Image) error { deleted++; return nil })
			if err != nil || batches != 3 || deleted != len(keys) {
				t.Errorf("%d images deleted in %d batches, %v", deleted, batches, err)
			}
		})
	}
}

func TestKeysOfTooManyRowsAreRefused(t *testing.T) {
	const devices, each, most = 3, 20, 25
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.LimitKeyed(most)
			fillImages(t, s, devices, each)
			for _, version := range []string{uidVersion, "1700000000-x"} {
				annotateAll(t, s, version, "{}", devices*each+1)
			}
			for _, test := range []struct {
				device string
				times  int
				images int // that are named; each has two annotations
			}{{benchDevice(1), 12, 12}, {benchDevice(1), 13, 13}, {"5c17%", 8, 24}, {"5c17%", 9, 27}} {
				var keys []store.ImageKey
				for i := range test.times {
					keys = append(keys, store.ImageKey{Device: test.device, Datetime: benchStart.Add(time.Duration(i) * 20 * time.Minute)})
				}
				check := func(what string, want, got int, err error) {
					t.Helper()
					switch {
					case want <= most && (err != nil || got != want):
						t.Errorf("%d keys of %s: %d of %d %s, %v", test.times, test.device, got, want, what, err)
					case want > most && (err == nil || spi.CodeOf(err) != spi.CodeInvalid || got > 0):
						t.Errorf("%d keys of %s: %d %s, %v, want them to be refused", test.times, test.device, got, what, err)
					}
				}
				images, annotations := 0, 0
				err := s.Images(context.Background(), keys, func(*store.Image) error { images++; return nil })
				check("images", test.images, images, err)
				err = s.ImageAnnotations(context.Background(), keys, false, func(*store.Annotation) error { annotations++; return nil })
				check("annotations", 2*test.images, annotations, err)
			}
		})
	}
}
