package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// RunTuboids runs the suite of [store.Tuboids]. open gives an empty store for each test and closes it at the test's end.
func RunTuboids(t *testing.T, open func(t *testing.T) store.Tuboids) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Tuboids)
	}{
		{"TuboidsKeepTheirValues", testTuboidValues},
		{"TuboidsThatDoNotFitAreRefused", testTuboidInvalid},
		{"ATuboidIsStoredOnce", testTuboidConflict},
		{"ASeriesTakesAsManyTuboidsAsItSays", testTuboidsFull},
		{"OneOfManyClaimantsStoresATuboid", testTuboidContention},
		{"WaitingForATuboidEndsWithTheContext", testTuboidClaimContext},
		{"SeriesInsideAreFoundWithBothBounds", testTuboidSeries},
		{"TuboidSeriesAgreeWithThePlainDefinition", testTuboidSeriesModel},
		{"ASeriesOfManyTuboidsComesInOrder", testLargeTuboidSeries},
		{"TuboidsAreFoundByNameWithoutCase", testTuboidsByName},
		{"DeleteTuboidsDeletesWholeSeries", testDeleteTuboids},
		{"SeriesStayWhereTheirObjectsCannotBeDeleted", testDeleteTuboidsFails},
		{"DeletionsAndUploadsOfTuboidsExcludeEachOther", testDeleteTuboidsAndClaim},
		{"LabelsKeepTheirValues", testLabelValues},
		{"LabelsAreStoredAllOrNone", testLabelsAllOrNone},
		{"LabelsThatDoNotFitAreRefused", testLabelInvalid},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func made() store.Provenance {
	return store.Provenance{DatetimeCreated: at("2024-05-01T10:00:00Z"), APIVersion: text("3.0.0"), APIUser: text("spi")}
}

// tuboid is the nth of a series of a night on a device.
func tuboid(device string, day, n int) store.Tuboid {
	start := at("2020-07-08T20:00:00Z").AddDate(0, 0, day)
	series := store.TuboidSeries{
		Device: device, StartDatetime: start, EndDatetime: start.Add(19 * time.Hour),
		AlgoName: "matcher", AlgoVersion: "1606980656-91e2199fccf371d3d690b2856613e8f5", NTuboids: 5, NImages: 57, Provenance: made(),
	}
	return store.Tuboid{
		TuboidID: fmt.Sprintf("%s.%s.%s.%s.%04d", device, spi.FormatDatetime(start, spi.DateV1), spi.FormatDatetime(series.EndDatetime, spi.DateV1),
			series.AlgoVersion, n),
		IDInSeries: n, StartDatetime: start.Add(time.Hour), EndDatetime: start.Add(2 * time.Hour), NShots: 4, Provenance: made(), Series: series,
	}
}

// PutTuboid stores a tuboid.
func PutTuboid(t testing.TB, s store.Tuboids, tuboid store.Tuboid) store.Tuboid {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	claim, err := s.ClaimTuboid(ctx, &tuboid)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	if err := claim.Commit(ctx, &tuboid); err != nil {
		t.Fatal(err)
	}
	return tuboid
}

func tuboidsIn(t *testing.T, s store.Tuboids, series ...store.Series) (found []store.Tuboid) {
	t.Helper()
	must(t, s.TuboidSeries(background(t), series, func(one *store.Tuboid) error {
		found = append(found, *one)
		return nil
	}))
	return found
}

func tuboidNames(tuboids []store.Tuboid) []string {
	var names []string
	for i := range tuboids {
		names = append(names, tuboids[i].TuboidID)
	}
	return names
}

// refusedClaim wants the claim to be refused: CodeConflict.
func refusedClaim(t *testing.T, s store.Tuboids, tuboid store.Tuboid) {
	t.Helper()
	claim, err := s.ClaimTuboid(background(t), &tuboid)
	if err == nil {
		claim.Release()
	}
	wantCode(t, err, spi.CodeConflict)
}

func testTuboidValues(t *testing.T, s store.Tuboids) {
	first := tuboid("08038ADE", 0, 28)
	bare := tuboid("08038ade", 0, 3)
	bare.Provenance = store.Provenance{DatetimeCreated: at("1999-12-31T23:59:59Z")}
	long := tuboid("08038ade", 1, 0)
	long.TuboidID = strings.Repeat("x", 100)
	long.Series.AlgoName, long.Series.AlgoVersion = strings.Repeat("ü", 64), strings.Repeat("v", 46)
	a := PutTuboid(t, s, first)
	b := PutTuboid(t, s, bare)
	c := PutTuboid(t, s, long)
	if a.ID == 0 || b.ID <= a.ID || a.ParentSeriesID == 0 || a.ParentSeriesID != a.Series.ID || b.ParentSeriesID != a.ParentSeriesID || c.ParentSeriesID == a.ParentSeriesID {
		t.Errorf("ids %d, %d of series %d, %d", a.ID, b.ID, a.ParentSeriesID, b.ParentSeriesID)
	}
	// The series is as its first tuboid wrote it.
	equal(t, b.Series, a.Series)
	first.ID, first.ParentSeriesID, first.Series.ID = a.ID, a.ParentSeriesID, a.ParentSeriesID
	equal(t, a, first)
	equal(t, tuboidsIn(t, s, always), []store.Tuboid{b, a, c})
}

func testTuboidInvalid(t *testing.T, s store.Tuboids) {
	for name, change := range map[string]func(*store.Tuboid){
		"a device of 9 characters":    func(o *store.Tuboid) { o.Series.Device = "08038ade0" },
		"a name of 101 characters":    func(o *store.Tuboid) { o.TuboidID = strings.Repeat("x", 101) },
		"a name that is no text":      func(o *store.Tuboid) { o.TuboidID = "\xff" },
		"an algorithm with a NUL":     func(o *store.Tuboid) { o.Series.AlgoName = "a\x00b" },
		"a version of 47 characters":  func(o *store.Tuboid) { o.Series.AlgoVersion = strings.Repeat("v", 47) },
		"a negative number":           func(o *store.Tuboid) { o.IDInSeries = -1 },
		"more than 32 bits":           func(o *store.Tuboid) { o.Series.NImages = 1 << 31 },
		"a date beyond the calendar":  func(o *store.Tuboid) { o.EndDatetime = o.EndDatetime.AddDate(9000, 0, 0) },
		"a maker of 33 characters":    func(o *store.Tuboid) { o.APIUser = text(strings.Repeat("m", 33)) },
		"a series of a wrong version": func(o *store.Tuboid) { o.Series.APIVersion = text("123456789") },
	} {
		bad := tuboid("08038ade", 0, 1)
		change(&bad)
		claim, err := s.ClaimTuboid(background(t), &bad)
		if err == nil {
			claim.Release()
		}
		if err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", name, err)
		}
	}
	good, other := tuboid("08038ade", 0, 1), tuboid("08038ade", 1, 1)
	claim, err := s.ClaimTuboid(background(t), &good)
	must(t, err)
	defer claim.Release()
	wantCode(t, claim.Commit(background(t), &other), spi.CodeInternal)
	equal(t, len(tuboidsIn(t, s, always)), 0)
}

func testTuboidConflict(t *testing.T, s store.Tuboids) {
	one := tuboid("08038ade", 0, 1)
	claim, err := s.ClaimTuboid(background(t), &one)
	must(t, err)
	must(t, claim.Commit(background(t), &one))
	again := tuboid("08038ade", 0, 1)
	wantCode(t, claim.Commit(background(t), &again), spi.CodeConflict)
	claim.Release()
	refusedClaim(t, s, tuboid("08038ade", 0, 1))
	refusedClaim(t, s, tuboid("08038ADE", 0, 1))
	renamed := tuboid("08038ade", 0, 1) // whose name does not say the algorithm
	renamed.Series.AlgoName = "another"
	refusedClaim(t, s, renamed)
	for _, change := range []func(*store.TuboidSeries){
		func(o *store.TuboidSeries) { o.NTuboids++ }, func(o *store.TuboidSeries) { o.NImages++ },
	} {
		other := tuboid("08038ade", 0, 2)
		change(&other.Series)
		refusedClaim(t, s, other)
	}
	shouted := tuboid("08038ade", 0, 2)
	shouted.Series.AlgoName = "MATCHER"
	equal(t, PutTuboid(t, s, shouted).ParentSeriesID, one.ParentSeriesID)
	equal(t, len(tuboidsIn(t, s, always)), 2)
}

func testTuboidsFull(t *testing.T, s store.Tuboids) {
	for n := range 5 {
		PutTuboid(t, s, tuboid("08038ade", 0, n+10))
	}
	refusedClaim(t, s, tuboid("08038ade", 0, 15))
	PutTuboid(t, s, tuboid("08038ade", 1, 15))
}

func testTuboidContention(t *testing.T, s store.Tuboids) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	stored := 0
	for i := range 24 {
		wg.Go(func() {
			one := tuboid("08038ade", 0, i%8) // three times each, and the series takes five
			claim, err := s.ClaimTuboid(background(t), &one)
			if err == nil {
				err = claim.Commit(background(t), &one)
				claim.Release()
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				stored++
			} else if spi.CodeOf(err) != spi.CodeConflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	names := tuboidNames(tuboidsIn(t, s, always))
	equal(t, stored, 5)
	equal(t, len(slices.Compact(names)), 5)
}

func testTuboidClaimContext(t *testing.T, s store.Tuboids) {
	one := tuboid("08038ade", 0, 1)
	claim, err := s.ClaimTuboid(background(t), &one)
	must(t, err)
	other := tuboid("08038ade", 1, 1) // another series does not wait
	PutTuboid(t, s, other)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		second := tuboid("08038ade", 0, 2)
		claim, err := s.ClaimTuboid(ctx, &second)
		if err == nil {
			claim.Release()
		}
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ended with %v", err)
	}
	claim.Release()
	PutTuboid(t, s, one)
}

func testTuboidSeries(t *testing.T, s store.Tuboids) {
	// In an order that is not that of the reply.
	b1 := PutTuboid(t, s, tuboid("bb000000", 1, 1))
	a3 := PutTuboid(t, s, tuboid("AA000000", 0, 3))
	b0 := PutTuboid(t, s, tuboid("bb000000", 0, 1))
	a1 := PutTuboid(t, s, tuboid("AA000000", 0, 1))
	start, end := b0.Series.StartDatetime, b0.Series.EndDatetime
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		series []store.Series
		want   []store.Tuboid
	}{
		"all":                    {[]store.Series{always}, []store.Tuboid{a1, a3, b0, b1}},
		"both bounds":            {[]store.Series{{Device: "BB000000", Start: start, End: end}}, []store.Tuboid{b0}},
		"a second late":          {[]store.Series{{Device: "%", Start: start.Add(time.Second), End: end}}, nil},
		"a second early":         {[]store.Series{{Device: "%", Start: start, End: end.Add(-time.Second)}}, nil},
		"begins within a second": {[]store.Series{{Device: "%", Start: start.Add(time.Millisecond), End: end}}, nil},
		"one around two":         {[]store.Series{{Device: "b%", Start: start, End: end.Add(day)}}, []store.Tuboid{b0, b1}},
		"two that only together": {[]store.Series{{Device: "bb000000", Start: start, End: start.Add(time.Hour)}, {Device: "bb000000", Start: start.Add(time.Hour), End: end}}, nil},
		"once each":              {[]store.Series{{Device: "aa______", Start: start, End: end}, {Device: "aa000000", Start: start, End: end}, always}, []store.Tuboid{a1, a3, b0, b1}},
		"backwards":              {[]store.Series{{Device: "%", Start: end, End: start}}, nil},
		"no text":                {[]store.Series{{Device: "\xff", Start: start, End: end}, {Device: "a\x00", Start: start, End: end}}, nil},
		"none":                   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) { equal(t, tuboidsIn(t, s, test.series...), test.want) })
	}
	end1 := errors.New("enough")
	calls := 0
	err := s.TuboidSeries(background(t), []store.Series{always}, func(*store.Tuboid) error {
		calls++
		must(t, s.Labels(background(t), nil, func(*store.Label) error { return nil })) // the store may be used
		return end1
	})
	if !errors.Is(err, end1) || calls != 1 {
		t.Errorf("%d calls, then %v", calls, err)
	}
}

func testTuboidSeriesModel(t *testing.T, s store.Tuboids) {
	r := rand.New(rand.NewPCG(1, 2))
	var stored []store.Tuboid
	for i := range 60 {
		one := tuboid([]string{"0a000000", "0A000001", "1b000000", "ff_%0000"}[r.IntN(4)], r.IntN(6), i)
		one.Series.NTuboids = 1000
		one.Series.EndDatetime = one.Series.StartDatetime.Add(time.Duration(1+r.IntN(40)) * time.Hour)
		stored = append(stored, PutTuboid(t, s, one))
	}
	day := at("2020-07-07T00:00:00Z")
	for i := range 200 {
		var given []store.Series
		ranges := 1 + r.IntN(3)
		if i%4 == 0 {
			ranges = 60 // more than one query takes
		}
		for range ranges {
			from := day.Add(time.Duration(r.IntN(150)) * time.Hour)
			given = append(given, store.Series{
				Device: []string{"%", "0A000000", "0_00000_", "ff\\_%", "1b000000", "x"}[r.IntN(6)], Start: from, End: from.Add(time.Duration(r.IntN(100)) * time.Hour),
			})
		}
		var want []store.Tuboid
		for _, one := range stored {
			if slices.ContainsFunc(given, func(g store.Series) bool {
				return store.Like(g.Device, one.Series.Device) && !one.Series.StartDatetime.Before(g.Start) && !one.Series.EndDatetime.After(g.End)
			}) {
				want = append(want, one)
			}
		}
		slices.SortFunc(want, func(a, b store.Tuboid) int {
			if c := strings.Compare(strings.ToLower(a.Series.Device), strings.ToLower(b.Series.Device)); c != 0 {
				return c
			}
			if c := a.Series.StartDatetime.Compare(b.Series.StartDatetime); c != 0 {
				return c
			}
			if a.ParentSeriesID != b.ParentSeriesID {
				return int(a.ParentSeriesID - b.ParentSeriesID)
			}
			return a.IDInSeries - b.IDInSeries
		})
		equal(t, tuboidNames(tuboidsIn(t, s, given...)), tuboidNames(want))
	}
}

func testLargeTuboidSeries(t *testing.T, s store.Tuboids) {
	const n = 2100 // more than are read at once
	first := tuboid("08038ade", 0, 0)
	first.Series.NTuboids = n
	claim, err := s.ClaimTuboid(background(t), &first)
	must(t, err)
	defer claim.Release()
	for i := n - 1; i >= 0; i-- {
		one := tuboid("08038ade", 0, i)
		one.Series.NTuboids = n
		must(t, claim.Commit(context.Background(), &one))
	}
	small := PutTuboid(t, s, tuboid("08038adf", 0, 1))
	got := tuboidsIn(t, s, always)
	equal(t, len(got), n+1)
	for i := range n {
		if got[i].IDInSeries != i {
			t.Fatalf("place %d: number %d", i, got[i].IDInSeries)
		}
	}
	equal(t, got[n], small)
}

func testTuboidsByName(t *testing.T, s store.Tuboids) {
	b := PutTuboid(t, s, tuboid("bb000000", 0, 1))
	a := PutTuboid(t, s, tuboid("aa000000", 0, 1))
	found, err := s.TuboidsByName(background(t), []string{
		strings.ToUpper(a.TuboidID), b.TuboidID, a.TuboidID, a.TuboidID + " ", strings.Replace(a.TuboidID, "a", "á", 1), "%", "", "\xff", "a\x00",
	})
	must(t, err)
	equal(t, found, []store.Tuboid{b, a})
	many := []string{a.TuboidID}
	for i := range 3000 {
		many = append(many, fmt.Sprintf("none%d", i))
	}
	found, err = s.TuboidsByName(background(t), many)
	must(t, err)
	equal(t, found, []store.Tuboid{a})
	found, err = s.TuboidsByName(background(t), nil)
	must(t, err)
	equal(t, len(found), 0)
}

func testDeleteTuboids(t *testing.T, s store.Tuboids) {
	a1 := PutTuboid(t, s, tuboid("aa000000", 0, 1))
	a0 := PutTuboid(t, s, tuboid("aa000000", 0, 0))
	next := PutTuboid(t, s, tuboid("aa000000", 1, 0))
	kept := PutTuboid(t, s, tuboid("bb000000", 0, 0))
	_, err := s.AddLabels(background(t), []store.NewLabel{label(a1.TuboidID, "a"), label(kept.TuboidID, "a")})
	must(t, err)
	var log []string
	must(t, s.DeleteTuboids(background(t), []store.Series{{Device: "A%", Start: a1.Series.StartDatetime, End: next.Series.EndDatetime}},
		func(_ context.Context, series store.TuboidSeries, tuboids []store.Tuboid) error {
			log = append(log, fmt.Sprint("objects of ", series.ID, len(tuboids), tuboids[0].Series.ID == series.ID, tuboidNames(tuboids)))
			return nil
		}, func(series *store.TuboidSeries) error {
			log = append(log, fmt.Sprint("deleted ", series.ID, series.Device))
			return nil
		}))
	equal(t, log, []string{
		fmt.Sprint("objects of ", a1.ParentSeriesID, 2, true, []string{a0.TuboidID, a1.TuboidID}), fmt.Sprint("deleted ", a1.ParentSeriesID, "aa000000"),
		fmt.Sprint("objects of ", next.ParentSeriesID, 1, true, []string{next.TuboidID}), fmt.Sprint("deleted ", next.ParentSeriesID, "aa000000"),
	})
	equal(t, tuboidsIn(t, s, always), []store.Tuboid{kept})
	equal(t, len(labelsOf(t, s, a1.TuboidID)), 0)
	equal(t, len(labelsOf(t, s, kept.TuboidID)), 1)
	if again := PutTuboid(t, s, tuboid("aa000000", 0, 1)); again.ID <= kept.ID || again.ParentSeriesID <= kept.ParentSeriesID {
		t.Errorf("ids %d and %d were given again", again.ID, again.ParentSeriesID)
	}
}

func testDeleteTuboidsFails(t *testing.T, s store.Tuboids) {
	a := PutTuboid(t, s, tuboid("aa000000", 0, 1))
	b := PutTuboid(t, s, tuboid("bb000000", 0, 1))
	broken := errors.New("broken")
	var deleted []string
	note := func(series *store.TuboidSeries) error {
		deleted = append(deleted, series.Device)
		return nil
	}
	err := s.DeleteTuboids(background(t), []store.Series{always}, func(_ context.Context, series store.TuboidSeries, _ []store.Tuboid) error {
		if series.ID == b.ParentSeriesID {
			return broken
		}
		return nil
	}, note)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	equal(t, deleted, []string{a.Series.Device})
	equal(t, tuboidsIn(t, s, always), []store.Tuboid{b})
	must(t, s.DeleteTuboids(background(t), []store.Series{always}, func(context.Context, store.TuboidSeries, []store.Tuboid) error { return nil }, note))
	equal(t, len(tuboidsIn(t, s, always)), 0)
}

func testDeleteTuboidsAndClaim(t *testing.T, s store.Tuboids) {
	one := PutTuboid(t, s, tuboid("aa000000", 0, 1))
	must(t, s.DeleteTuboids(background(t), []store.Series{always}, func(context.Context, store.TuboidSeries, []store.Tuboid) error {
		// Its objects are going: until the row has gone too, nobody may put them.
		refusedClaim(t, s, tuboid("aa000000", 0, 1))
		return nil
	}, func(*store.TuboidSeries) error { return nil }))
	if again := PutTuboid(t, s, tuboid("aa000000", 0, 1)); again.ParentSeriesID == one.ParentSeriesID {
		t.Error("the deleted series is there")
	}
}

func label(tuboidID, algo string) store.NewLabel {
	return store.NewLabel{TuboidID: tuboidID, Label: store.Label{
		AlgoName: algo, AlgoVersion: "1", Label: 3, Pattern: "Insecta.*", Type: "insect", Provenance: made(),
	}}
}

func labelsOf(t *testing.T, s store.Tuboids, tuboidIDs ...string) (found []store.Label) {
	t.Helper()
	must(t, s.Labels(background(t), tuboidIDs, func(l *store.Label) error {
		found = append(found, *l)
		return nil
	}))
	return found
}

func testLabelValues(t *testing.T, s store.Tuboids) {
	a := PutTuboid(t, s, tuboid("aa000000", 0, 1))
	b := PutTuboid(t, s, tuboid("bb000000", 0, 1))
	full := store.NewLabel{TuboidID: strings.ToUpper(b.TuboidID), Label: store.Label{
		AlgoName: strings.Repeat("ä", 32), AlgoVersion: strings.Repeat("v", 46), Label: -1 << 31, Pattern: strings.Repeat("p", 128), Type: "",
		Order: text("Diptera"), Family: text(""), Genus: text("Drosophila"), Species: text(strings.Repeat("s", 32)), Provenance: made(),
	}}
	bare := label(a.TuboidID, "a")
	bare.Provenance = store.Provenance{DatetimeCreated: at("1999-12-31T23:59:59Z")}
	stored, err := s.AddLabels(background(t), []store.NewLabel{full, bare})
	must(t, err)
	full.Label.ID, full.ParentTuboidID, bare.Label.ID, bare.ParentTuboidID = stored[0].ID, b.ID, stored[1].ID, a.ID
	equal(t, stored, []store.Label{full.Label, bare.Label})
	more, err := s.AddLabels(background(t), []store.NewLabel{label(b.TuboidID, "c")})
	must(t, err)
	equal(t, labelsOf(t, s, a.TuboidID, b.TuboidID, strings.ToUpper(a.TuboidID), "none"), append(stored, more...))
	equal(t, labelsOf(t, s, a.TuboidID), stored[1:])
	equal(t, len(labelsOf(t, s, "%")), 0)
	none, err := s.AddLabels(background(t), nil)
	must(t, err)
	equal(t, len(none), 0)
}

func testLabelsAllOrNone(t *testing.T, s store.Tuboids) {
	a := PutTuboid(t, s, tuboid("aa000000", 0, 1)).TuboidID
	_, err := s.AddLabels(background(t), []store.NewLabel{label(a, "there")})
	must(t, err)
	for name, test := range map[string]struct {
		bad  store.NewLabel
		code spi.Code
	}{
		"a tuboid that is not there": {label("none", "a"), spi.CodeNotFound},
		"a pattern":                  {label("%", "a"), spi.CodeNotFound},
		"a label that is there":      {label(a, "THERE"), spi.CodeConflict},
		"a label twice":              {label(a, "new"), spi.CodeConflict},
	} {
		_, err := s.AddLabels(background(t), []store.NewLabel{label(a, "new"), test.bad})
		wantCode(t, err, test.code)
		if !strings.Contains(err.Error(), "element 1: ") {
			t.Errorf("%s: %v does not name the element", name, err)
		}
		equal(t, len(labelsOf(t, s, a)), 1)
	}
	other := label(a, "there")
	other.AlgoVersion = "2"
	_, err = s.AddLabels(background(t), []store.NewLabel{other})
	must(t, err)
}

func testLabelInvalid(t *testing.T, s store.Tuboids) {
	a := PutTuboid(t, s, tuboid("aa000000", 0, 1)).TuboidID
	for name, change := range map[string]func(*store.Label){
		"an algorithm of 33 characters": func(l *store.Label) { l.AlgoName = strings.Repeat("a", 33) },
		"a version of 47 characters":    func(l *store.Label) { l.AlgoVersion = strings.Repeat("v", 47) },
		"a pattern of 129 characters":   func(l *store.Label) { l.Pattern = strings.Repeat("p", 129) },
		"a type that is no text":        func(l *store.Label) { l.Type = "\xff" },
		"an order with a NUL":           func(l *store.Label) { l.Order = text("a\x00") },
		"a species of 33 characters":    func(l *store.Label) { l.Species = text(strings.Repeat("s", 33)) },
		"more than 32 bits":             func(l *store.Label) { l.Label = 1 << 31 },
		"a maker of 33 characters":      func(l *store.Label) { l.APIUser = text(strings.Repeat("m", 33)) },
	} {
		bad := label(a, "bad")
		change(&bad.Label)
		if _, err := s.AddLabels(background(t), []store.NewLabel{label(a, "good"), bad}); err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", name, err)
		}
		equal(t, len(labelsOf(t, s, a)), 0)
	}
}
