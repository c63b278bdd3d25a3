package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// RunViews runs the suite of [store.Views]. open gives an empty store for each test and closes it at the test's end.
func RunViews(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"PointsHaveTheValuesOfTheirImages", testPointValues},
		{"InsectsAreThoseOfTheNewestAnnotation", testInsects},
		{"PointsAndSummariesAgreeWithThePlainDefinition", testViewsModel},
		{"DaysTooLargeToKeepAreRead", testLargeDay},
		{"ReadersSeeWhatWritersHaveStored", testReadersAndWriters},
		{"ManyChangeTheSameDaysAtOnce", testDaysContention},
		{"DaysThatChangedAreWorkedOutWithinBounds", testEffort},
		{"WhatWasDeletedWhileItWasReadStaysDeleted", testDeletedWhileRead},
		{"DaysAreForgottenWhileTheyChange", testForgottenDays},
		{"DevicesAreMatched", testDevicesLike},
		{"TheNewestImagesComeFirst", testNewestImages},
		{"StoredRowsAreFoundByID", testStored},
		{"CancelledViewsSaySo", testViewsCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func points(t *testing.T, s store.Views, device, start, end, algo string) []store.Point {
	t.Helper()
	var found []store.Point
	must(t, s.Points(background(t), device, at(start), at(end), algo, func(p *store.Point) { found = append(found, *p) }))
	return found
}

func summaries(t *testing.T, s store.Views, device string, first, end int) []store.DaySummary {
	t.Helper()
	var found []store.DaySummary
	must(t, s.DaySummaries(background(t), device, first, end, nil, func(d store.DaySummary) { found = append(found, d) }))
	return found
}

func testPointValues(t *testing.T, s store.Store) {
	none := store.Missing
	for i, test := range []struct {
		set  func(*store.Image)
		want [store.Measures]int32
	}{
		{func(i *store.Image) { i.Temp = number(0) }, [store.Measures]int32{0, none, none, none, none, none, none}},
		{func(i *store.Image) {
			i.Temp, i.Hum, i.Lum, i.Bat, i.Lat, i.Lng = number(-20.604), number(42.66), number(72), number(99.9), number(49.26142), number(-123.2508849)
		}, [store.Measures]int32{-2060, 4266, 72000, 999, 49261420, -123250885, none}},
		{func(i *store.Image) { i.Temp, i.Hum = number(-300.1), number(-0.1) }, [store.Measures]int32{none, none, none, none, none, none, none}},
		{func(i *store.Image) { i.Temp, i.Hum = number(-300), number(0) }, [store.Measures]int32{-30000, 0, none, none, none, none, none}},
		// log10(1 + 2.36) / 0.023646
		{func(i *store.Image) { i.NoFlashBV, i.NoFlashExposureTime = number(2.36), number(0.023646) }, [store.Measures]int32{2190, none, 22259, none, none, none, none}},
		{func(i *store.Image) { i.NoFlashBV, i.NoFlashExposureTime = number(-1), number(0.1) }, [store.Measures]int32{2190, none, none, none, none, none, none}},
		{func(i *store.Image) { i.NoFlashBV, i.NoFlashExposureTime = number(-2), number(0.1) }, [store.Measures]int32{2190, none, none, none, none, none, none}},
		{func(i *store.Image) { i.NoFlashBV, i.NoFlashExposureTime = number(1), number(0) }, [store.Measures]int32{2190, none, none, none, none, none, none}},
		{func(i *store.Image) { i.NoFlashBV = number(1) }, [store.Measures]int32{2190, none, none, none, none, none, none}},
		{func(i *store.Image) { i.Lum, i.Lat = number(1e300), number(-1e9) }, [store.Measures]int32{2190, none, none, none, none, none, none}},
		{func(i *store.Image) { i.Lum = number(math.MaxInt32 / 1000) }, [store.Measures]int32{2190, none, 2147483000, none, none, none, none}},
	} {
		image := Image("5c173ff2", at("2024-05-01").Add(time.Duration(i)*time.Hour))
		test.set(&image)
		image = Put(t, s, image)
		want := []store.Point{{At: image.Datetime.Unix(), ID: image.ID, Values: test.want}}
		for range 2 { // read, then kept
			got := points(t, s, "5c173ff2", "2024-05-01", "2024-05-02", uid)
			equal(t, got[i:], want)
		}
	}
}

func testInsects(t *testing.T, s store.Store) {
	image := Put(t, s, Image("5C173FF2", at("2024-05-01T10:00:00Z")))
	other := Put(t, s, Image("5c173ff2", at("2024-05-01T11:00:00Z")))
	insects := func(algo string) (found []int32) {
		for _, p := range points(t, s, "5c173ff2", "2024-05-01", "2024-05-02", algo) {
			found = append(found, p.Values[store.Insects])
		}
		return found
	}
	equal(t, insects(uid), []int32{store.Missing, store.Missing})
	for _, step := range []struct {
		algo, version string
		n             int
		want, any     int32 // of this algorithm, of any
	}{
		{uid, version2, 5, 5, 5},
		{uid, version1, 7, 5, 5}, // an older version that comes later
		{uid, "no version at all", 8, 5, 5},
		{"other", version1, 6, 5, 5},
		{uid, version3, 0, 0, 0},
		{"other", version3, 9, 0, 9},
	} {
		a := Annotation(image, step.algo, step.version)
		a.NObjects = step.n
		_, err := s.AddAnnotations(background(t), []store.NewAnnotation{a})
		must(t, err)
		equal(t, insects(uid), []int32{step.want, store.Missing})
		equal(t, insects(strings.ToUpper(uid)), []int32{step.want, store.Missing})
		equal(t, insects(""), []int32{step.any, store.Missing})
	}
	equal(t, insects("other"), []int32{9, store.Missing})
	equal(t, insects("none"), []int32{store.Missing, store.Missing})
	annotate(t, s, "other", version1, other)
	equal(t, insects("other"), []int32{9, 1})
	equal(t, insects(""), []int32{9, 1})
}

// testViewsModel changes a few days at random, and holds what is read, again and again, against a model.
func testViewsModel(t *testing.T, s store.Store) {
	r := rand.New(rand.NewPCG(7, 7))
	const days = 5
	start := at("2024-04-28")
	firstDay := int(start.Unix() / store.DaySeconds)
	devices := []string{"0000000a", "0000000b"}
	type row struct {
		image store.Image
		point store.Point
	}
	model := map[string][]row{}
	for step := range 60 {
		device := devices[r.IntN(2)]
		switch n := r.IntN(10); {
		case n < 6:
			when := start.Add(time.Duration(r.IntN(days*24*3)) * 20 * time.Minute)
			if slices.ContainsFunc(model[device], func(o row) bool { return o.image.Datetime.Equal(when) }) {
				continue
			}
			image := Image(device, when)
			image.Temp, image.Bat = number(float64(r.IntN(300))/10), number(float64(r.IntN(100)))
			image = Put(t, s, image)
			model[device] = append(model[device], row{image, store.PointOf(&image)})
			slices.SortFunc(model[device], func(a, b row) int { return a.image.Datetime.Compare(b.image.Datetime) })
		case n < 8 && len(model[device]) > 0:
			one := &model[device][r.IntN(len(model[device]))]
			if one.point.Values[store.Insects] == store.Missing {
				a := Annotation(one.image, uid, version2)
				a.NObjects = r.IntN(100)
				_, err := s.AddAnnotations(background(t), []store.NewAnnotation{a})
				must(t, err)
				one.point.Values[store.Insects] = int32(a.NObjects) //nolint:gosec // small
			}
		case len(model[device]) > 0:
			i := r.IntN(len(model[device]))
			gone := model[device][i].image
			must(t, s.DeleteImages(background(t), []store.ImageKey{{Device: device, Datetime: gone.Datetime}},
				func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil }))
			model[device] = slices.Delete(model[device], i, i+1)
		}
		if step%7 == 3 {
			must(t, s.KeepDays(background(t), firstDay, firstDay+days, func() error { return nil }))
		}
		from := start.Add(time.Duration(r.IntN(days*24)) * time.Hour)
		to := from.Add(time.Duration(r.IntN(days*24)) * time.Hour)
		for _, device := range devices {
			var want, all []store.Point
			for _, o := range model[device] {
				all = append(all, o.point)
				if !o.image.Datetime.Before(from) && o.image.Datetime.Before(to) {
					want = append(want, o.point)
				}
			}
			var got []store.Point
			must(t, s.Points(background(t), device, from, to, uid, func(p *store.Point) { got = append(got, *p) }))
			equal(t, got, want)
			var wantDays []store.DaySummary
			for day := firstDay; day < firstDay+days; day++ {
				var of []store.Point
				for _, p := range all {
					if p.At/store.DaySeconds == int64(day) {
						of = append(of, p)
					}
				}
				if len(of) > 0 {
					wantDays = append(wantDays, store.SummaryOf(day, of))
				}
			}
			equal(t, summaries(t, s, device, firstDay-400, firstDay+400), wantDays)
		}
	}
}

func testLargeDay(t *testing.T, s store.Store) {
	// More algorithms than are kept stand for more images, which would take long to store.
	first, second := Put(t, s, Image("0000000a", at("2024-05-01"))), Put(t, s, Image("0000000a", at("2024-05-02")))
	for i := range 40 {
		annotate(t, s, fmt.Sprintf("a%d", i), version1, first)
	}
	want := []store.Point{store.PointOf(&first), store.PointOf(&second)}
	want[0].Values[store.Insects] = 1
	for range 3 {
		equal(t, points(t, s, "0000000a", "2024-04-01", "2024-06-01", "a39"), want)
		equal(t, len(summaries(t, s, "0000000a", 0, 100_000)), 2)
	}
}

// testReadersAndWriters has readers keep a day while it changes: what a writer has stored, every later reader must see.
func testReadersAndWriters(t *testing.T, s store.Store) {
	const images = 24
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	count := func() (n, insects int) {
		err := s.Points(background(t), "0000000a", at("2024-05-01"), at("2024-05-02"), uid, func(p *store.Point) {
			n++
			if p.Values[store.Insects] != store.Missing {
				insects++
			}
		})
		if err != nil {
			t.Error(err)
		}
		return n, insects
	}
	for range 2 {
		readers.Go(func() {
			last := 0
			for {
				select {
				case <-stop:
					return
				default:
				}
				n, _ := count()
				if n < last {
					t.Errorf("%d images after %d", n, last)
				}
				last = n
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			for i := range images / 2 {
				image := Put(t, s, Image("0000000a", at("2024-05-01").Add(time.Duration(2*i+w)*time.Minute)))
				if n, _ := count(); n < i+1 {
					t.Errorf("%d images, and I have stored %d", n, i+1)
				}
				if _, err := s.AddAnnotations(background(t), []store.NewAnnotation{Annotation(image, uid, version1)}); err != nil {
					t.Error(err)
				}
				if _, n := count(); n < i+1 {
					t.Errorf("%d annotations, and I have stored %d", n, i+1)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if n, insects := count(); n != images || insects != images {
		t.Errorf("%d images, %d annotated", n, insects)
	}
}

// testDaysContention has uploads, annotations and deletions of the same days meet, the days in any order: none may fail.
func testDaysContention(t *testing.T, s store.Store) {
	const writers, images = 12, 6
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var annotations []store.NewAnnotation
			var keys []store.ImageKey
			for i := range images {
				day := at("2024-05-01").AddDate(0, 0, (w+i)%3)
				image := Put(t, s, Image("0000000a", day.Add(time.Duration(w*images+i)*time.Minute)))
				annotations = append(annotations, Annotation(image, uid, version1))
				if i >= images/2 {
					keys = append(keys, store.ImageKey{Device: image.Device, Datetime: image.Datetime})
				}
			}
			if _, err := s.AddAnnotations(background(t), annotations); err != nil {
				t.Error(err)
			}
			err := s.DeleteImages(background(t), keys, func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, p := range points(t, s, "0000000a", "2024-05-01", "2024-05-04", uid) {
		if n++; p.Values[store.Insects] != 1 {
			t.Errorf("%+v", p)
		}
	}
	equal(t, n, writers*images/2)
}

// testEffort counts days that changed, and none that was worked out.
func testEffort(t *testing.T, s store.Store) {
	for _, when := range []string{"2024-05-01", "2024-05-02T10:00:00Z", "2024-05-02T11:00:00Z"} {
		Put(t, s, Image("0000000a", at(when)))
	}
	workOut := func(most int64) error {
		return s.WorkOut(background(t), "0000000A", at("2024-04-01"), at("2024-06-01"), store.NewEffort(most, 0))
	}
	count := func(most int64) (days int, err error) {
		err = s.DaySummaries(background(t), "0000000a", 0, 100_000, store.NewEffort(most, 0), func(store.DaySummary) { days++ })
		return days, err
	}
	refused := func(err error) {
		t.Helper()
		wantCode(t, err, spi.CodeUnavailable)
		var typed *spi.Error
		if errors.As(err, &typed); typed.RetryAfter == 0 {
			t.Errorf("%v does not say when to ask again", err)
		}
	}
	refused(workOut(2))
	_, err := count(2)
	refused(err)
	days, err := count(3)
	must(t, err)
	equal(t, days, 2)
	refused(workOut(2)) // summaries keep nothing
	must(t, workOut(3))
	must(t, workOut(0))
	days, err = count(0)
	must(t, err)
	equal(t, days, 2)
	Put(t, s, Image("0000000a", at("2024-05-01T12:00:00Z")))
	refused(workOut(1))
	must(t, workOut(2))
	Put(t, s, Image("0000000a", at("2024-05-03")))
	day := int(at("2024-05-03").Unix() / store.DaySeconds)
	must(t, s.KeepDays(background(t), day-2, day, func() error { return nil }))
	refused(workOut(0))
	must(t, s.KeepDays(background(t), day, day+1, func() error { return nil }))
	must(t, workOut(0))
}

// forget deletes the image and has its day, which has no other, forgotten.
func forget(t *testing.T, s store.Store, image store.Image) {
	t.Helper()
	must(t, s.DeleteImages(background(t), []store.ImageKey{{Device: image.Device, Datetime: image.Datetime}},
		func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil }))
	must(t, s.KeepDays(background(t), 0, 100_000, func() error { return nil }))
}

// testDeletedWhileRead deletes a day while a reader holds what it will keep of it.
func testDeletedWhileRead(t *testing.T, s store.Store) {
	for round := range 3 {
		gone := Put(t, s, Image("0000000a", at("2024-05-01")))
		var want []store.Point
		must(t, s.Points(background(t), "0000000a", at("2024-05-01"), at("2024-05-02"), uid, func(*store.Point) {
			forget(t, s, gone)
			for i := range round {
				image := Put(t, s, Image("0000000a", at("2024-05-01T12:00:00Z").Add(time.Duration(i)*time.Second)))
				want = append(want, store.PointOf(&image))
			}
		}))
		for range 2 {
			equal(t, points(t, s, "0000000a", "2024-05-01", "2024-05-02", uid), want)
		}
		for i := range round {
			forget(t, s, Image("0000000a", at("2024-05-01T12:00:00Z").Add(time.Duration(i)*time.Second)))
		}
	}
}

// testForgottenDays has a day come and go, while others read it and forget it.
func testForgottenDays(t *testing.T, s store.Store) {
	var others sync.WaitGroup
	stop := make(chan struct{})
	count := func() (n int) {
		if err := s.Points(background(t), "0000000a", at("2024-05-01"), at("2024-05-02"), uid, func(*store.Point) { n++ }); err != nil {
			t.Error(err)
		}
		return n
	}
	for _, other := range []func(){
		func() { count() },
		func() {
			if err := s.KeepDays(background(t), 0, 100_000, func() error { return nil }); err != nil {
				t.Error(err)
			}
		},
	} {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					other()
				}
			}
		})
	}
	for range 20 {
		image := Put(t, s, Image("0000000a", at("2024-05-01T10:00:00Z")))
		equal(t, count(), 1)
		must(t, s.DeleteImages(background(t), []store.ImageKey{{Device: image.Device, Datetime: image.Datetime}},
			func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil }))
		equal(t, count(), 0)
	}
	close(stop)
	others.Wait()
}

func testDevicesLike(t *testing.T, s store.Store) {
	for _, device := range []string{"0000000A", "0000000b", "0000001a"} {
		Put(t, s, Image(device, at("2024-05-01")))
	}
	for _, test := range []struct {
		patterns, want string
	}{
		{"%", "0000000a 0000000b 0000001a"}, {"0000000%", "0000000a 0000000b"}, {"0000001A", "0000001a"},
		{"%b %a", "0000000a 0000000b 0000001a"}, {"_ x", ""}, {"", ""},
	} {
		found, err := s.DevicesLike(background(t), strings.Fields(test.patterns))
		must(t, err)
		equal(t, strings.Join(found, " "), test.want)
	}
}

func testNewestImages(t *testing.T, s store.Store) {
	var want []store.Image
	for i := range 5 {
		want = append(want, Put(t, s, Image("0000000a", at("2024-05-05").Add(-time.Duration(i)*time.Hour))))
	}
	Put(t, s, Image("0000000b", at("2024-06-01")))
	found, err := s.NewestImages(background(t), "0000000a", 3)
	must(t, err)
	equal(t, found, want[:3])
	found, err = s.NewestImages(background(t), "00000000", 3)
	must(t, err)
	equal(t, found, []store.Image{})
}

func testStored(t *testing.T, s store.Store) {
	image, annotation, err := s.NewestIDs(background(t))
	must(t, err)
	equal(t, []int64{image, annotation}, []int64{0, 0})
	var images, annotations []store.Stored
	for i := range 4 {
		m := Put(t, s, Image("0000000A", at("2024-05-01").Add(time.Duration(i)*time.Hour)))
		images = append(images, store.Stored{ID: m.ID, Device: m.Device, Datetime: m.Datetime})
		a := annotate(t, s, uid, version1, m)[0]
		annotations = append(annotations, store.Stored{ID: a.ID, Device: m.Device, Datetime: m.Datetime, ImageID: m.ID, AlgoName: uid, NObjects: 1})
	}
	image, annotation, err = s.NewestIDs(background(t))
	must(t, err)
	equal(t, []int64{image, annotation}, []int64{images[3].ID, annotations[3].ID})
	for _, of := range []struct {
		find func(context.Context, store.StoredRange) ([]store.Stored, error)
		all  []store.Stored
	}{{s.StoredImages, images}, {s.StoredAnnotations, annotations}} {
		id := func(i int) int64 { return of.all[i].ID }
		for _, test := range []struct {
			r    store.StoredRange
			want []store.Stored
		}{
			{store.StoredRange{After: 0, UpTo: math.MaxInt32, Limit: 10}, of.all},
			{store.StoredRange{After: id(0), UpTo: id(2), Limit: 10}, of.all[1:3]},
			{store.StoredRange{After: id(0), UpTo: id(3), Limit: 1}, of.all[1:2]},
			{store.StoredRange{After: id(3), UpTo: id(3), Limit: 10}, nil},
			{store.StoredRange{After: id(2), UpTo: id(3), Limit: 10, IDs: []int64{id(0), 1 << 30}}, []store.Stored{of.all[0], of.all[3]}},
		} {
			found, err := of.find(background(t), test.r)
			must(t, err)
			slices.SortFunc(found, func(a, b store.Stored) int { return cmp.Compare(a.ID, b.ID) })
			equal(t, found, test.want)
		}
	}
}

func testViewsCancelled(t *testing.T, s store.Store) {
	Put(t, s, Image("0000000a", at("2024-05-01")))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, devicesErr := s.DevicesLike(ctx, []string{"%"})
	_, newestErr := s.NewestImages(ctx, "0000000a", 1)
	_, storedErr := s.StoredImages(ctx, store.StoredRange{UpTo: 1, Limit: 1})
	for name, err := range map[string]error{
		"DevicesLike": devicesErr, "NewestImages": newestErr, "StoredImages": storedErr,
		"Points":       s.Points(ctx, "0000000a", at("2024-05-01"), at("2024-05-02"), uid, func(*store.Point) {}),
		"DaySummaries": s.DaySummaries(ctx, "0000000a", 0, 100_000, nil, func(store.DaySummary) {}),
		"KeepDays":     s.KeepDays(ctx, 0, 100_000, func() error { return nil }),
		"WorkOut":      s.WorkOut(ctx, "0000000a", at("2024-05-01"), at("2024-05-02"), nil),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
