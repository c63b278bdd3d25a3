package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// noon is when the tests' workers start; leases last an hour.
var noon = at("2024-05-03T12:00:00Z")

func worker(t *testing.T, s store.Store) int64 {
	t.Helper()
	return add(t, s, user("uid"))[0].ID
}

func request(userID int64, version string, series ...store.Series) store.LeaseRequest {
	if len(series) == 0 {
		series = []store.Series{always}
	}
	return store.LeaseRequest{Series: series, AlgoName: uid, AlgoVersion: version, UserID: userID, Limit: 64, Now: noon, Until: noon.Add(time.Hour), MaxFailures: 3}
}

// Lease asks for work as many requests one after the other would: for the suspects one by one, then for the others.
func Lease(ctx context.Context, s store.Work, r store.LeaseRequest) (all []store.Image, err error) {
	for r.Suspect = true; r.Limit > 0; r.Limit-- {
		one, err := s.LeaseImages(ctx, r)
		if err != nil {
			return all, err
		}
		if len(one) == 0 {
			break
		}
		all = append(all, one...)
	}
	r.Suspect = false
	others, err := s.LeaseImages(ctx, r)
	return append(all, others...), err
}

func lease(t *testing.T, s store.Work, r store.LeaseRequest) []store.Image {
	t.Helper()
	images, err := Lease(background(t), s, r)
	must(t, err)
	return images
}

// sound fails the test where the queue is not what it must be.
func sound(t *testing.T, s store.Work) {
	t.Helper()
	must(t, s.CheckWork(background(t), time.Time{}, false, func(f store.WorkFault) error {
		t.Errorf("fault %+v", f)
		return nil
	}))
}

func backlog(t *testing.T, s store.Work, now time.Time) []store.Backlog {
	t.Helper()
	b, err := s.Backlog(background(t), "", now)
	must(t, err)
	return b
}

func reversed(images []store.Image) (r []store.Image) {
	for _, i := range images {
		r = append([]store.Image{i}, r...)
	}
	return r
}

func testLeaseOrder(t *testing.T, s store.Store) {
	w := worker(t, s)
	equal(t, len(lease(t, s, request(w, version1))), 0)
	a := someImages(t, s, "aaaaaaaa", 4)
	b := someImages(t, s, "bbbbbbbb", 4)
	r := request(w, version1)
	r.Limit = 3
	// Of the same time, the image that came last comes first.
	equal(t, lease(t, s, r), []store.Image{b[3], a[3], b[2]})
	equal(t, lease(t, s, r), []store.Image{a[2], b[1], a[1]})
	equal(t, lease(t, s, r), []store.Image{b[0], a[0]})
	equal(t, len(lease(t, s, r)), 0)
	sound(t, s)
}

func testLeaseLimit(t *testing.T, s store.Store) {
	w := worker(t, s)
	var all []store.Image
	for _, device := range []string{"aaaaaaaa", "bbbbbbbb", "cccccccc"} {
		all = append(all, someImages(t, s, device, 30)...)
	}
	r := request(w, version1, store.Series{Device: "aaaaaaaa", Start: always.Start, End: always.End},
		store.Series{Device: "b%", Start: always.Start, End: always.End}, store.Series{Device: "a%", Start: always.Start, End: always.End})
	seen := make(map[int64]bool)
	for _, limit := range []int{0, -1, 1, 7, 40, 64, 64} {
		r.Limit = limit
		got := lease(t, s, r)
		equal(t, len(got), min(max(limit, 0), 60-len(seen)))
		for k, i := range got {
			if seen[i.ID] || i.Device == "cccccccc" || k > 0 && got[k-1].Datetime.Before(i.Datetime) {
				t.Fatalf("%s %s is leased again, not asked for or out of order", i.Device, i.Datetime)
			}
			seen[i.ID] = true
		}
	}
	equal(t, len(seen), 60)
	equal(t, len(lease(t, s, request(w, version1))), len(all)-60)
	sound(t, s)
}

func testLeaseSeries(t *testing.T, s store.Store) {
	w := worker(t, s)
	for _, device := range []string{"AAAAAAAA", "a_%aaaaa", "bbbbbbbb"} {
		someImages(t, s, device, 3)
	}
	day := at("2020-06-20")
	of := func(device string, from, to int) store.Series {
		return store.Series{Device: device, Start: day.Add(time.Duration(from) * time.Minute), End: day.Add(time.Duration(to) * time.Minute)}
	}
	giveBack := func(leased []store.Image) {
		for _, i := range leased {
			back := failure(i, version1, "uid")
			back.GivenBack = true
			fail(t, s, back)
		}
	}
	for name, test := range map[string]struct {
		series []store.Series
		want   []string
	}{
		"absent":                {[]store.Series{of("cccccccc", 0, 9), of("c%", 0, 9), of("", 0, 9), of("\xff", 0, 9), of("äaaaaaaa", 0, 9), of("aaaaaaaa ", 0, 9)}, nil},
		"empty and upside down": {[]store.Series{of("%", 1, 1), of("%", 2, 0)}, nil},
		"half open":             {[]store.Series{of("%", 0, 1)}, []string{"bbbbbbbb 06-20 00:00:00", "a_%aaaaa 06-20 00:00:00", "AAAAAAAA 06-20 00:00:00"}},
		"exact, without case":   {[]store.Series{of("aaaaAAAA", 1, 9)}, []string{"AAAAAAAA 06-20 00:02:00", "AAAAAAAA 06-20 00:01:00"}},
		"a pattern":             {[]store.Series{of("A_A%", 2, 9)}, []string{"AAAAAAAA 06-20 00:02:00"}},
		"an escaped pattern":    {[]store.Series{of(`a\_\%%`, 2, 9)}, []string{"a_%aaaaa 06-20 00:02:00"}},
		"overlapping":           {[]store.Series{of("b%", 0, 2), of("%", 1, 2), of("bbbbbbbb", 0, 9)}, []string{"bbbbbbbb 06-20 00:02:00", "bbbbbbbb 06-20 00:01:00", "a_%aaaaa 06-20 00:01:00", "AAAAAAAA 06-20 00:01:00", "bbbbbbbb 06-20 00:00:00"}},
		"two ranges of all":     {[]store.Series{of("%", 0, 1), of("%", 2, 3)}, []string{"bbbbbbbb 06-20 00:02:00", "a_%aaaaa 06-20 00:02:00", "AAAAAAAA 06-20 00:02:00", "bbbbbbbb 06-20 00:00:00", "a_%aaaaa 06-20 00:00:00", "AAAAAAAA 06-20 00:00:00"}},
		"the whole of time":     {[]store.Series{{Device: "b%", Start: at("0001-01-01").AddDate(-1, 0, 0), End: at("9999-12-31T23:59:59Z")}}, []string{"bbbbbbbb 06-20 00:02:00", "bbbbbbbb 06-20 00:01:00", "bbbbbbbb 06-20 00:00:00"}},
	} {
		r := request(w, version1, test.series...)
		leased := lease(t, s, r)
		if got := names(leased); strings.Join(got, ",") != strings.Join(test.want, ",") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		giveBack(leased)
		// Series one by one and a page at a time find the same.
		r.Limit = 1
		var each []store.Image
		for one := lease(t, s, r); len(one) > 0; one = lease(t, s, r) {
			each = append(each, one...)
		}
		equal(t, each, leased)
		// So do suspects.
		r.Now, r.Until, r.Limit = r.Until, r.Until.Add(time.Minute), 64
		equal(t, lease(t, s, r), leased)
		giveBack(leased)
	}
	sound(t, s)
}

func testLeaseInvalid(t *testing.T, s store.Store) {
	w := worker(t, s)
	someImages(t, s, "aaaaaaaa", 1)
	for name, test := range map[string]struct {
		change func(*store.LeaseRequest)
		want   spi.Code
	}{
		"a version without a time":   {func(r *store.LeaseRequest) { r.AlgoVersion = "newest" }, spi.CodeInvalid},
		"no version":                 {func(r *store.LeaseRequest) { r.AlgoVersion = "" }, spi.CodeInvalid},
		"a version of 47 characters": {func(r *store.LeaseRequest) { r.AlgoVersion = strings.Repeat("1", 47) }, spi.CodeInvalid},
		"no algorithm":               {func(r *store.LeaseRequest) { r.AlgoName = "" }, spi.CodeInvalid},
		"an algorithm with a blank":  {func(r *store.LeaseRequest) { r.AlgoName = "uid " }, spi.CodeInvalid},
		"a lease of no time":         {func(r *store.LeaseRequest) { r.Until = r.Now }, spi.CodeInvalid},
		"a user that is not there":   {func(r *store.LeaseRequest) { r.UserID += 100 }, spi.CodeNotFound},
	} {
		r := request(w, version1)
		test.change(&r)
		if _, err := s.LeaseImages(background(t), r); err == nil || spi.CodeOf(err) != test.want {
			t.Errorf("%s: %v, want code %s", name, err, test.want)
		}
	}
	equal(t, len(lease(t, s, store.LeaseRequest{AlgoName: uid, AlgoVersion: version1, UserID: w, Limit: 1, Now: noon, Until: noon.Add(time.Hour)})), 0)
	equal(t, len(lease(t, s, request(w, version1))), 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.LeaseImages(ctx, request(w, version1))
	wantCode(t, err, spi.CodeUnavailable)
}

func testLeaseEnds(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 3)
	r := request(w, version1)
	r.Limit = 2
	equal(t, lease(t, s, r), []store.Image{images[2], images[1]})
	later := func(d time.Duration) store.LeaseRequest {
		r := request(w, version1)
		r.Now, r.Until = noon.Add(d), noon.Add(d+time.Hour)
		return r
	}
	equal(t, lease(t, s, later(time.Hour-time.Second)), []store.Image{images[0]})
	equal(t, lease(t, s, later(time.Hour)), []store.Image{images[2], images[1]})
	equal(t, len(lease(t, s, later(time.Hour))), 0)
	equal(t, lease(t, s, later(5*time.Hour)), reversed(images))
	sound(t, s)
}

// testSuspects lets a worker be killed by one image of those that it has leased.
func testSuspects(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 3)
	killer := images[2]
	hours := 0
	ask := func(suspect bool) []store.Image {
		t.Helper()
		r := request(w, version1)
		r.Now = noon.Add(time.Duration(hours) * time.Hour)
		r.Until, r.Suspect = r.Now.Add(time.Hour), suspect
		got, err := s.LeaseImages(background(t), r)
		must(t, err)
		return got
	}
	waiting := func(waiting, leased, failed int64) {
		t.Helper()
		b := backlog(t, s, noon.Add(time.Duration(hours)*time.Hour))[0]
		equal(t, [3]int64{b.Waiting, b.Leased, b.Failed}, [3]int64{waiting, leased, failed})
	}
	equal(t, len(ask(true)), 0)
	equal(t, ask(false), reversed(images))
	equal(t, len(ask(true)), 0) // their leases go on
	hours = 1
	waiting(3, 0, 0)
	more := someImages(t, s, "bbbbbbbb", 1)
	for failures := range 3 {
		equal(t, len(failuresIn(t, s, "", always)), 0)
		equal(t, ask(true), []store.Image{killer})
		if failures == 0 {
			// The innocent are annotated, one by one, and what comes meanwhile is not kept waiting.
			equal(t, ask(false), more)
			waiting(2, 2, 0)
			equal(t, ask(true), images[1:2])
			annotate(t, s, uid, version1, images[1], more[0])
			// A worker that gives an image back lives: it may be leased with others again.
			equal(t, ask(true), images[:1])
			back := failure(images[0], version1, "uid")
			back.GivenBack = true
			fail(t, s, back)
			equal(t, len(ask(true)), 0)
			equal(t, ask(false), images[:1])
			annotate(t, s, uid, version1, images[0])
		}
		sound(t, s)
		hours++
	}
	waiting(1, 0, 0) // nobody has asked since
	equal(t, len(ask(true)), 0)
	waiting(0, 0, 1)
	rests := failuresIn(t, s, "", always)
	equal(t, len(rests), 1)
	if reason := rests[0].Reason; !strings.Contains(reason, "did not answer") {
		t.Errorf("the reason is %q", reason)
	}
	rests[0].Reason = ""
	equal(t, rests[0], store.Failure{
		Device: killer.Device, Datetime: killer.Datetime, AlgoName: uid, AlgoVersion: version1, Failures: 3,
		DatetimeLast: noon.Add(time.Duration(hours) * time.Hour), APIUser: text("uid"),
	})
	equal(t, len(ask(false)), 0)
	// It is tried again with the others.
	retry(t, s, "", always)
	equal(t, ask(false), []store.Image{killer})
	sound(t, s)
}

// testEndLeases ends leases that nobody knows of any more: nothing is held against their images.
func testEndLeases(t *testing.T, s store.Store) {
	w := worker(t, s)
	must(t, s.EndLeases(background(t)))
	images := someImages(t, s, "aaaaaaaa", 4)
	r := request(w, version1)
	r.Limit = 1
	equal(t, lease(t, s, r), []store.Image{images[3]})
	r.Now, r.Until = r.Until, r.Until.Add(time.Hour)
	equal(t, lease(t, s, r), []store.Image{images[3]}) // alone now
	fail(t, s, failure(images[2], version1, "uid"))
	annotate(t, s, uid, version1, images[1])
	r.Suspect, r.Limit = false, 64
	got, err := s.LeaseImages(background(t), r)
	must(t, err)
	equal(t, got, []store.Image{images[2], images[0]})
	other := r
	other.AlgoName = "another"
	got, err = s.LeaseImages(background(t), other)
	must(t, err)
	equal(t, got, reversed(images))
	must(t, s.EndLeases(background(t)))
	must(t, s.EndLeases(background(t)))
	sound(t, s)
	b := backlog(t, s, r.Now)
	equal(t, [4]int64{b[0].Waiting, b[0].Leased, b[1].Waiting, b[1].Leased}, [4]int64{4, 0, 3, 0})
	equal(t, b[1].AlgoName, uid)
	for _, again := range []store.LeaseRequest{other, r} {
		got, err = s.LeaseImages(background(t), again)
		must(t, err)
		if again.AlgoName == uid {
			equal(t, got, []store.Image{images[2], images[0]})
		} else {
			equal(t, got, reversed(images))
		}
	}
	r.Suspect = true
	got, err = s.LeaseImages(background(t), r)
	must(t, err)
	equal(t, got, []store.Image{images[3]}) // what was leased alone still is a suspect, and has not failed
	equal(t, len(failuresIn(t, s, "", always)), 0)
	sound(t, s)
}

// testSuspectsOfAnOldVersion lets the worker of an older version die: the failure names what is known of it.
func testSuspectsOfAnOldVersion(t *testing.T, s store.Store) {
	w := worker(t, s)
	image := someImages(t, s, "aaaaaaaa", 1)[0]
	r := request(w, version2)
	r.Limit = 1
	equal(t, lease(t, s, r), []store.Image{image}) // the algorithm is known at a later version
	r.AlgoVersion, r.MaxFailures = version1, 1
	r.Now, r.Until = r.Until, r.Until.Add(time.Hour)
	equal(t, lease(t, s, r), []store.Image{image})
	r.Now, r.Until = r.Until, r.Until.Add(time.Hour)
	equal(t, len(lease(t, s, r)), 0)
	time1, _, _ := strings.Cut(version1, "-")
	equal(t, failuresIn(t, s, "", always)[0].AlgoVersion, time1)
}

// testAnswersOfSuspects lets the worker that has a suspect alone report what is wrong with it: nothing ended it.
func testAnswersOfSuspects(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 2)
	equal(t, len(lease(t, s, request(w, version1))), 2)
	r := request(w, version1)
	r.Now, r.Until, r.Limit = r.Until, r.Until.Add(time.Hour), 1
	equal(t, lease(t, s, r), images[1:])
	equal(t, fail(t, s, failure(images[1], version1, "uid")).Failures, 1)
	r.Suspect, r.Limit = false, 64
	got, err := s.LeaseImages(background(t), r)
	must(t, err)
	equal(t, got, images[1:])
	// Annotations of an older version do not end a suspect's wait for the newer one, nor do they clear it.
	annotate(t, s, uid, "5-x", images[0])
	equal(t, lease(t, s, r), images[:1])
	sound(t, s)
}

// testLateGivingBack lets a worker that slept beyond its lease give back what it had not begun: it was not ended either.
func testLateGivingBack(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 2)
	equal(t, lease(t, s, request(w, version1)), reversed(images))
	r := request(w, version1)
	r.Now, r.Until, r.Suspect = r.Until, r.Until.Add(time.Hour), true
	got, err := s.LeaseImages(background(t), r) // the lease of both is found to have ended
	must(t, err)
	equal(t, got, images[1:])
	back := failure(images[0], version1, "uid")
	back.GivenBack = true
	equal(t, fail(t, s, back).Failures, 0)
	got, err = s.LeaseImages(background(t), r)
	must(t, err)
	equal(t, len(got), 0)
	r.Suspect = false
	got, err = s.LeaseImages(background(t), r)
	must(t, err)
	equal(t, got, images[:1])
	sound(t, s)
}

func testUploads(t *testing.T, s store.Store) {
	w := worker(t, s)
	before := someImages(t, s, "aaaaaaaa", 2)
	r := request(w, version1)
	r.Limit = 1
	equal(t, lease(t, s, r), []store.Image{before[1]})
	after := someImages(t, s, "bbbbbbbb", 2)
	equal(t, lease(t, s, request(w, version1)), []store.Image{after[1], after[0], before[0]})
	sound(t, s)
}

func testOldAnnotations(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 5)
	annotate(t, s, uid, version1, images[0], images[1])
	annotate(t, s, uid, version2, images[1], images[2])
	annotate(t, s, strings.ToUpper(uid), "no version", images[3])
	annotate(t, s, "another", version3, images[4])
	annotate(t, s, uid, version3, images[0])
	// Of the same algorithm, at the version or later: done. What has no timestamp is older than all.
	equal(t, lease(t, s, request(w, version2)), []store.Image{images[4], images[3]})
	equal(t, len(lease(t, s, request(w, version2))), 0)
	annotate(t, s, uid, version2, images[3], images[4])
	sound(t, s)
	// 0 is retired by version 3; 1 to 4 wait for it.
	equal(t, lease(t, s, request(w, version3)), []store.Image{images[4], images[3], images[2], images[1]})
	sound(t, s)
}

func testAnnotatedUnleased(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 4)
	r := request(w, version1)
	r.Limit = 1
	equal(t, lease(t, s, r), []store.Image{images[3]})
	annotate(t, s, uid, version1, images[2], images[3])
	annotate(t, s, uid, version2, images[1]) // later than any that asked
	equal(t, lease(t, s, request(w, version1)), []store.Image{images[0]})
	r = request(w, version1)
	r.Now, r.Until = noon.Add(9*time.Hour), noon.Add(10*time.Hour)
	equal(t, lease(t, s, r), []store.Image{images[0]})
	annotate(t, s, uid, version1, images[0])
	r.Now, r.Until = noon.Add(19*time.Hour), noon.Add(20*time.Hour)
	equal(t, len(lease(t, s, r)), 0)
	sound(t, s)
}

func testVersions(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 6)
	equal(t, len(lease(t, s, request(w, version1))), 6)
	annotate(t, s, uid, version1, images[:4]...)
	// 4 and 5 are leased for version 1 still; the others wait for version 2.
	r := request(w, version2)
	r.Limit = 2
	equal(t, lease(t, s, r), []store.Image{images[3], images[2]})
	equal(t, len(lease(t, s, request(w, version1))), 0)
	newest := someImages(t, s, "bbbbbbbb", 1)
	// Without any annotation comes before an older one, whatever the time.
	equal(t, lease(t, s, r), []store.Image{newest[0], images[1]})
	sound(t, s)
	// When all leases have ended: the old worker gets what it has not done, the new one all.
	later := func(version string, hours int) store.LeaseRequest {
		r := request(w, version)
		r.Now = noon.Add(time.Duration(hours) * time.Hour)
		r.Until = r.Now.Add(time.Hour)
		return r
	}
	equal(t, lease(t, s, later(version1, 2)), []store.Image{images[5], images[4], newest[0]})
	equal(t, lease(t, s, later(version2, 4)), []store.Image{images[5], images[4], newest[0], images[3], images[2], images[1], images[0]})
	annotate(t, s, uid, version1, images[5])
	annotate(t, s, uid, version2, images[0], images[1], images[2])
	sound(t, s)
	equal(t, lease(t, s, later(version3, 6)), []store.Image{images[4], newest[0], images[5], images[3], images[2], images[1], images[0]})
	annotate(t, s, uid, version3, append(images, newest...)...)
	for hours, version := range []string{version1, version2, version3, "1700000000-another", "0"} {
		equal(t, len(lease(t, s, later(version, 10+2*hours))), 0)
	}
	equal(t, backlog(t, s, noon), []store.Backlog{{AlgoName: uid, AlgoVersion: version3}})
	sound(t, s)
}

func testForgetVersion(t *testing.T, s store.Store) {
	w := worker(t, s)
	forget := func(algo string) string {
		t.Helper()
		version, err := s.ForgetVersion(background(t), algo)
		must(t, err)
		return version
	}
	_, err := s.ForgetVersion(background(t), uid)
	wantCode(t, err, spi.CodeNotFound)
	images := someImages(t, s, "aaaaaaaa", 6)
	other := request(w, version3)
	other.AlgoName = "another"
	equal(t, lease(t, s, other), reversed(images))
	equal(t, len(lease(t, s, request(w, version1))), 6)
	annotate(t, s, uid, version1, images[:4]...)
	// The next version fails with one image and annotates one; then its model is taken back.
	r := request(w, version2)
	r.Limit = 2
	equal(t, lease(t, s, r), []store.Image{images[3], images[2]})
	for range 3 {
		fail(t, s, failure(images[2], version2, "uid"))
	}
	annotate(t, s, uid, version2, images[3])
	equal(t, forget(strings.ToUpper(uid)), version2)
	sound(t, s)
	all := backlog(t, s, noon)
	equal(t, len(all), 1)
	equal(t, all[0].AlgoName, "another")
	equal(t, len(failuresIn(t, s, "", always)), 0)
	equal(t, forget(uid), "")
	// What the old version has still to do, and nothing else: what comes meanwhile, then what is entered again.
	more := someImages(t, s, "bbbbbbbb", 1)
	got := lease(t, s, request(w, version1))
	equal(t, got, []store.Image{more[0], images[5], images[4]})
	annotate(t, s, uid, version1, got...)
	named, err := s.Backlog(background(t), uid, noon)
	must(t, err)
	equal(t, named, []store.Backlog{{AlgoName: uid, AlgoVersion: version1}})
	sound(t, s)
	// The forgotten version may come back; what it has annotated is done.
	equal(t, lease(t, s, request(w, version2)), []store.Image{images[5], images[4], images[2], images[1], more[0], images[0]})
	equal(t, lease(t, s, other), more)
	sound(t, s)
}

func testLateAnswer(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 2)
	equal(t, len(lease(t, s, request(w, version1))), 2)
	r := request(w, version2)
	r.Now, r.Until = noon.Add(time.Hour), noon.Add(2*time.Hour)
	equal(t, lease(t, s, r), reversed(images))
	annotate(t, s, uid, version1, images...)
	equal(t, len(lease(t, s, r)), 0)
	r.Now, r.Until = r.Until, r.Until.Add(time.Hour)
	equal(t, lease(t, s, r), reversed(images))
	sound(t, s)
}

func testAlgorithms(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 2)
	other := request(w, version1)
	other.AlgoName = "another"
	equal(t, lease(t, s, request(w, version1)), reversed(images))
	equal(t, lease(t, s, other), reversed(images))
	annotate(t, s, uid, version1, images...)
	other.AlgoName = "ANOTHER" // the same, compared without case
	equal(t, len(lease(t, s, other)), 0)
	more := someImages(t, s, "bbbbbbbb", 1)
	equal(t, lease(t, s, other), more)
	equal(t, lease(t, s, request(w, version1)), more)
	sound(t, s)
}

func failure(i store.Image, version, by string) store.Failure {
	return store.Failure{Device: i.Device, Datetime: i.Datetime, AlgoName: uid, AlgoVersion: version, Reason: "out of memory", DatetimeLast: noon, APIUser: text(by)}
}

func fail(t *testing.T, s store.Work, f store.Failure) store.Failure {
	t.Helper()
	noted, err := s.AddFailure(background(t), f, 3)
	must(t, err)
	return noted
}

func failuresIn(t *testing.T, s store.Work, algo string, series ...store.Series) (found []store.Failure) {
	t.Helper()
	must(t, s.Failures(background(t), series, algo, func(f *store.Failure) error {
		found = append(found, *f)
		return nil
	}))
	return found
}

func retry(t *testing.T, s store.Work, algo string, series ...store.Series) (retried []store.Failure) {
	t.Helper()
	must(t, s.RetryFailures(background(t), series, algo, func(f *store.Failure) error {
		retried = append(retried, *f)
		return nil
	}))
	return retried
}

func testFailures(t *testing.T, s store.Store) {
	w := worker(t, s)
	image := someImages(t, s, "aaaaaaaa", 1)[0]
	// Nobody has asked for work yet: there is none to fail.
	equal(t, fail(t, s, failure(image, version1, "uid")).Failures, 0)
	want := failure(image, version1, "uid")
	for n := 1; n <= 3; n++ {
		equal(t, lease(t, s, request(w, version1)), []store.Image{image})
		equal(t, len(failuresIn(t, s, "", always)), 0)
		want.Failures, want.Reason = n, fmt.Sprint("reason ", n, " é")
		equal(t, fail(t, s, want), want)
	}
	equal(t, len(lease(t, s, request(w, version1))), 0)
	r := request(w, version2) // a later version either
	r.Now, r.Until = noon.Add(9*time.Hour), noon.Add(10*time.Hour)
	equal(t, len(lease(t, s, r)), 0)
	equal(t, failuresIn(t, s, "", always), []store.Failure{want})
	equal(t, failuresIn(t, s, strings.ToUpper(uid), always), []store.Failure{want})
	equal(t, len(failuresIn(t, s, "another", always)), 0)
	equal(t, len(failuresIn(t, s, "\xff", always)), 0)
	want.Failures, want.APIUser = 4, text("someone")
	equal(t, fail(t, s, want), want)
	sound(t, s)

	equal(t, len(retry(t, s, "another", always)), 0)
	equal(t, retry(t, s, "", always), []store.Failure{want})
	equal(t, len(failuresIn(t, s, "", always)), 0)
	equal(t, lease(t, s, r), []store.Image{image})
	want.Failures = 1
	equal(t, fail(t, s, want), want)
	// What is annotated has not failed.
	annotate(t, s, uid, version2, image)
	equal(t, fail(t, s, failure(image, version2, "uid")).Failures, 0)
	equal(t, len(failuresIn(t, s, "", always)), 0)
	sound(t, s)
}

func testGivenBack(t *testing.T, s store.Store) {
	users := add(t, s, admin("root"), user("first"), user("second"))
	images := someImages(t, s, "aaaaaaaa", 2)
	r := request(users[1].ID, version1)
	back := failure(images[0], version1, "first")
	back.GivenBack = true
	// Nobody has asked for work yet.
	equal(t, fail(t, s, back).Failures, 0)
	for range 4 { // more often than it might fail
		equal(t, lease(t, s, r), reversed(images))
		equal(t, fail(t, s, back).Failures, 0)
		equal(t, lease(t, s, r), images[:1])
		both := back
		both.Device, both.Datetime = images[1].Device, images[1].Datetime
		equal(t, fail(t, s, both).Failures, 0)
		equal(t, fail(t, s, back).Failures, 0)
	}
	left := backlog(t, s, noon)[0]
	equal(t, [2]int64{left.Waiting, left.Leased}, [2]int64{2, 0})
	// A failure before it still counts after it.
	equal(t, lease(t, s, r), reversed(images))
	equal(t, fail(t, s, failure(images[0], version1, "first")).Failures, 1)
	equal(t, lease(t, s, r), images[:1])
	equal(t, fail(t, s, back).Failures, 1)
	// What another has leased meanwhile is another's.
	r.UserID = users[2].ID
	equal(t, lease(t, s, r), images[:1])
	equal(t, fail(t, s, back).Failures, 1)
	equal(t, len(lease(t, s, r)), 0)
	// Nor does an image that rests wait again.
	for range 2 {
		fail(t, s, failure(images[0], version1, "second"))
	}
	fail(t, s, back)
	equal(t, len(failuresIn(t, s, "", always)), 1)
	equal(t, len(lease(t, s, r)), 0)
	back.Device = "bbbbbbbb"
	_, err := s.AddFailure(background(t), back, 3)
	wantCode(t, err, spi.CodeNotFound)
	sound(t, s)
}

func testFailuresInOrder(t *testing.T, s store.Store) {
	w := worker(t, s)
	var want []store.Failure
	for _, device := range []string{"bbbbbbbb", "AAAAAAAA", "cccccccc"} {
		for _, i := range someImages(t, s, device, 12) {
			for _, algo := range []string{"zeta", "Alpha", "beta"} {
				f := failure(i, version1, "uid")
				f.AlgoName = algo
				want = append(want, f)
			}
		}
	}
	for _, algo := range []string{"zeta", "Alpha", "beta"} {
		r := request(w, version1)
		r.AlgoName = algo
		lease(t, s, r)
	}
	for k, f := range want {
		f.DatetimeLast = noon.Add(time.Duration(k) * time.Second)
		noted, err := s.AddFailure(background(t), f, 1)
		must(t, err)
		want[k] = noted
	}
	text := func(failures []store.Failure) string {
		var b strings.Builder
		for _, f := range failures {
			fmt.Fprintln(&b, f.Device, f.Datetime, f.AlgoName, f.Failures, f.DatetimeLast)
		}
		return b.String()
	}
	expect := func(algo string, keep func(*store.Failure) bool) string {
		var rows []store.Failure
		for _, device := range []string{"AAAAAAAA", "bbbbbbbb", "cccccccc"} {
			for m := range 12 {
				for _, name := range []string{"Alpha", "beta", "zeta"} {
					for _, f := range want {
						if f.Device == device && f.Datetime.Equal(at("2020-06-20").Add(time.Duration(m)*time.Minute)) && f.AlgoName == name &&
							(algo == "" || algo == name) && keep(&f) {
							rows = append(rows, f)
						}
					}
				}
			}
		}
		return text(rows)
	}
	some := store.Series{Device: "b%", Start: at("2020-06-20T00:03:00Z"), End: at("2020-06-20T00:07:00Z")}
	inSome := func(f *store.Failure) bool {
		return f.Device == "bbbbbbbb" && !f.Datetime.Before(some.Start) && f.Datetime.Before(some.End)
	}
	for _, algo := range []string{"", "beta", "Alpha"} {
		equal(t, text(failuresIn(t, s, algo, always)), expect(algo, func(*store.Failure) bool { return true }))
		equal(t, text(failuresIn(t, s, algo, some, some)), expect(algo, inSome))
	}
	equal(t, text(retry(t, s, "beta", some)), expect("beta", inSome))
	equal(t, text(failuresIn(t, s, "", always)), expect("", func(f *store.Failure) bool { return f.AlgoName != "beta" || !inSome(f) }))
	equal(t, len(retry(t, s, "", always)), len(want)-4)
	equal(t, len(failuresIn(t, s, "", always)), 0)
	sound(t, s)
}

func testLateFailure(t *testing.T, s store.Store) {
	users := add(t, s, user("first"), user("second"))
	image := someImages(t, s, "aaaaaaaa", 1)[0]
	equal(t, len(lease(t, s, request(users[0].ID, version1))), 1)
	r := request(users[1].ID, version2)
	r.Now, r.Until = noon.Add(time.Hour), noon.Add(2*time.Hour)
	equal(t, lease(t, s, r), []store.Image{image})
	// The first worker wakes up, and another of the same account as the second, of an old version.
	equal(t, fail(t, s, failure(image, version1, "first")).Failures, 1)
	equal(t, fail(t, s, failure(image, version2, "first")).Failures, 2)
	equal(t, fail(t, s, failure(image, version1, "second")).Failures, 3)
	equal(t, len(lease(t, s, r)), 0)
	equal(t, len(failuresIn(t, s, "", always)), 0)
	equal(t, fail(t, s, failure(image, version2, "SECOND")).Failures, 4)
	equal(t, len(lease(t, s, r)), 0)
	equal(t, len(failuresIn(t, s, "", always)), 1)
	sound(t, s)
}

func testFailureInvalid(t *testing.T, s store.Store) {
	w := worker(t, s)
	image := someImages(t, s, "aaaaaaaa", 1)[0]
	equal(t, len(lease(t, s, request(w, version1))), 1)
	for name, test := range map[string]struct {
		change func(*store.Failure)
		want   spi.Code
	}{
		"an image that is not there":  {func(f *store.Failure) { f.Datetime = f.Datetime.Add(time.Second) }, spi.CodeNotFound},
		"no pattern":                  {func(f *store.Failure) { f.Device = "%" }, spi.CodeNotFound},
		"no algorithm":                {func(f *store.Failure) { f.AlgoName = "" }, spi.CodeInvalid},
		"a version of 47 characters":  {func(f *store.Failure) { f.AlgoVersion = strings.Repeat("1", 47) }, spi.CodeInvalid},
		"a reason that is no text":    {func(f *store.Failure) { f.Reason = "\xff" }, spi.CodeInvalid},
		"a reason of 1001 characters": {func(f *store.Failure) { f.Reason = strings.Repeat("é", 1001) }, spi.CodeInvalid},
		"a maker of 33 characters":    {func(f *store.Failure) { f.APIUser = text(strings.Repeat("m", 33)) }, spi.CodeInvalid},
		"a time beyond SQL's":         {func(f *store.Failure) { f.DatetimeLast = f.DatetimeLast.AddDate(9000, 0, 0) }, spi.CodeInvalid},
	} {
		f := failure(image, version1, "uid")
		test.change(&f)
		if _, err := s.AddFailure(background(t), f, 3); err == nil || spi.CodeOf(err) != test.want {
			t.Errorf("%s: %v, want code %s", name, err, test.want)
		}
	}
	f := failure(image, version1, "uid")
	f.Device, f.Reason = "AAAAAAAA", strings.Repeat("é", 1000)
	equal(t, fail(t, s, f).Failures, 1)
}

func testDeletedImage(t *testing.T, s store.Store) {
	w := worker(t, s)
	images := someImages(t, s, "aaaaaaaa", 3)
	r := request(w, version1)
	r.Limit = 2
	equal(t, len(lease(t, s, r)), 2)
	deleteImages(t, s, images[2], images[0])
	_, err := s.AddAnnotations(background(t), []store.NewAnnotation{Annotation(images[1], uid, version1), Annotation(images[2], uid, version1)})
	wantCode(t, err, spi.CodeNotFound)
	_, err = s.AddFailure(background(t), failure(images[2], version1, "uid"), 3)
	wantCode(t, err, spi.CodeNotFound)
	equal(t, len(lease(t, s, r)), 0)
	equal(t, backlog(t, s, noon), []store.Backlog{{AlgoName: uid, AlgoVersion: version1, Leased: 1}})
	// The same device and time is another image.
	again := Put(t, s, images[2])
	equal(t, lease(t, s, r), []store.Image{again})
	sound(t, s)
}

func testDeletedWorker(t *testing.T, s store.Store) {
	users := add(t, s, admin("root"), user("first"), user("second"))
	images := someImages(t, s, "aaaaaaaa", 3)
	r := request(users[1].ID, version1)
	r.Limit = 2
	equal(t, len(lease(t, s, r)), 2)
	r.UserID = users[2].ID
	equal(t, lease(t, s, r), []store.Image{images[0]})
	_, err := s.DeleteUsers(background(t), func(u *store.User) bool { return u.Username == "first" }, users[0].ID)
	must(t, err)
	r.UserID = users[1].ID
	_, err = s.LeaseImages(background(t), r)
	wantCode(t, err, spi.CodeNotFound)
	r.UserID = users[2].ID
	equal(t, lease(t, s, r), []store.Image{images[2], images[1]})
	sound(t, s)
	// Whatever the order of a lease and the deletion of its account, nothing is leased to nobody.
	annotate(t, s, uid, version1, images...)
	for round := range 20 {
		images := []store.Image{Put(t, s, Image("bbbbbbbb", noon.Add(time.Duration(round)*time.Second)))}
		doomed := add(t, s, user("doomed"))[0]
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.LeaseImages(background(t), request(doomed.ID, version1)); err != nil && spi.CodeOf(err) != spi.CodeNotFound {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := s.DeleteUsers(background(t), func(u *store.User) bool { return u.ID == doomed.ID }, users[0].ID); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		equal(t, lease(t, s, r), images)
		annotate(t, s, uid, version1, images...)
	}
	sound(t, s)
}

func testBacklog(t *testing.T, s store.Store) {
	w := worker(t, s)
	equal(t, len(backlog(t, s, noon)), 0)
	images := someImages(t, s, "aaaaaaaa", 10)
	oldest := func(i int) (b store.Backlog) {
		b.OldestWaiting.V, b.OldestWaiting.Valid = images[i].Datetime, true
		return b
	}
	expect := func(b store.Backlog, waiting, leased, failed int64) store.Backlog {
		b.AlgoName, b.AlgoVersion, b.Waiting, b.Leased, b.Failed = uid, version1, waiting, leased, failed
		return b
	}
	r := request(w, version1)
	r.Limit = 4
	leased := lease(t, s, r)
	equal(t, backlog(t, s, noon), []store.Backlog{expect(oldest(0), 6, 4, 0)})
	_, err := s.AddFailure(background(t), failure(leased[0], version1, "uid"), 1)
	must(t, err)
	annotate(t, s, uid, version1, leased[1], images[0])
	equal(t, backlog(t, s, noon), []store.Backlog{expect(oldest(1), 5, 2, 1)})
	// Leases that have ended count as waiting, before anybody asks.
	equal(t, backlog(t, s, noon.Add(time.Hour)), []store.Backlog{expect(oldest(1), 7, 0, 1)})
	other := request(w, version1)
	other.AlgoName = "Another"
	equal(t, len(lease(t, s, other)), 10)
	got := backlog(t, s, noon)
	equal(t, got, []store.Backlog{{AlgoName: "Another", AlgoVersion: version1, Leased: 10}, expect(oldest(1), 5, 2, 1)})
	named, err := s.Backlog(background(t), "another", noon)
	must(t, err)
	equal(t, named, got[:1])
	named, err = s.Backlog(background(t), "absent", noon)
	must(t, err)
	equal(t, len(named), 0)
	sound(t, s)
}

// testCrew lets workers lease, annotate, fail and die while images come, and looks at what each of them got.
func testCrew(t *testing.T, s store.Store) {
	const images, workers, maxFailures = 5000, 8, 3
	if testing.Short() {
		t.Skip("stores 5,000 images; run without -short")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	var users []int64
	for w := range workers {
		users = append(users, add(t, s, user(fmt.Sprint("worker", w)))[0].ID)
	}
	device := func(i int) string { return fmt.Sprintf("%08x", i%20) }
	put := func(i int) { Put(t, s, Image(device(i), noon.Add(time.Duration(i)*time.Second))) }
	for i := range images / 2 { // the others come while the crew works
		put(i)
	}
	var clock, done, coming atomic.Int64
	clock.Store(noon.Unix())
	var mu sync.Mutex
	holders := make(map[int64]int64) // by image: the end of the lease that a living worker has
	annotated := make(map[int64]int) // by image: the step in which it was noted
	steps := 0
	var wg sync.WaitGroup
	for part := range 2 {
		coming.Add(1)
		wg.Go(func() {
			defer coming.Add(-1)
			for i := images/2 + part; i < images && ctx.Err() == nil; i += 2 {
				put(i)
			}
		})
	}
	work := func(w int, r *rand.Rand) {
		now := clock.Add(int64(r.IntN(20)))
		request := store.LeaseRequest{
			Series: []store.Series{always}, AlgoName: uid, AlgoVersion: version1, UserID: users[w], Limit: 1 + r.IntN(64), MaxFailures: maxFailures,
			Now: time.Unix(now, 0).UTC(), Until: time.Unix(now+3600, 0).UTC(),
		}
		if w%2 == 1 { // by device
			request.Series = nil
			for d := range 20 {
				request.Series = append(request.Series, store.Series{Device: device(d), Start: always.Start, End: always.End})
			}
		}
		mu.Lock()
		before := steps
		mu.Unlock()
		request.Suspect = true
		leased, err := s.LeaseImages(ctx, request)
		if request.Suspect = false; err == nil && len(leased) == 0 {
			leased, err = s.LeaseImages(ctx, request)
		}
		if err != nil {
			t.Error(err)
			cancel()
			return
		}
		mu.Lock()
		for _, i := range leased {
			if at, ok := annotated[i.ID]; ok && at <= before {
				t.Errorf("image %d is leased although it is annotated", i.ID)
			}
			// A lease has ended when it has by anybody's clock.
			if until := holders[i.ID]; clock.Load() < until {
				t.Errorf("image %d is leased at %d, and by another until %d", i.ID, now, until)
			}
			holders[i.ID] = now + 3600
		}
		mu.Unlock()
		if len(leased) == 0 {
			// What is left is leased, has failed, or comes yet.
			if coming.Load() > 0 {
				time.Sleep(10 * time.Millisecond)
				return
			}
			clock.Add(900)
			if err := s.RetryFailures(ctx, []store.Series{always}, "", func(*store.Failure) error { return nil }); err != nil {
				t.Error(err)
			}
			return
		}
		for len(leased) > 0 {
			if r.IntN(40) == 0 {
				return // died
			}
			n := min(len(leased), 1+r.IntN(16))
			batch := leased[:n]
			leased = leased[n:]
			if r.IntN(10) == 0 {
				mu.Lock()
				delete(holders, batch[0].ID) // it may be leased to another before the call comes back
				mu.Unlock()
				f := failure(batch[0], version1, fmt.Sprint("worker", w))
				if _, err := s.AddFailure(ctx, f, maxFailures); err != nil {
					t.Error(err)
				}
				batch = batch[1:]
			}
			var all []store.NewAnnotation
			for _, i := range batch {
				all = append(all, Annotation(i, uid, version1))
			}
			_, err := s.AddAnnotations(ctx, all)
			if err != nil && spi.CodeOf(err) == spi.CodeConflict {
				continue // a lease had ended, and of two workers the other was quicker
			}
			if err != nil {
				t.Error(err)
				cancel()
				return
			}
			mu.Lock()
			steps++
			for _, i := range batch {
				if _, ok := annotated[i.ID]; ok {
					t.Errorf("image %d is annotated twice", i.ID)
				}
				annotated[i.ID] = steps
			}
			mu.Unlock()
			done.Add(int64(len(batch)))
		}
	}
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for done.Load() < images && ctx.Err() == nil {
				work(w, r)
			}
		})
	}
	wg.Wait()
	must(t, ctx.Err())
	equal(t, len(annotated), images)
	equal(t, len(annotationsIn(t, s, false, always)), images)
	equal(t, backlog(t, s, time.Unix(clock.Load()+3600, 0)), []store.Backlog{{AlgoName: uid, AlgoVersion: version1}})
	sound(t, s)
}

func progress(t *testing.T, s store.Work, most int) []store.Progress {
	t.Helper()
	p, err := s.Progress(background(t), most)
	must(t, err)
	return p
}

func moment(t time.Time) sql.Null[time.Time] { return sql.Null[time.Time]{V: t, Valid: true} }

func testProgress(t *testing.T, s store.Store) {
	stored := at("2024-05-01T10:00:00Z") // as Image says
	annotated := Annotation(store.Image{}, uid, version1).DatetimeCreated
	w := worker(t, s)
	equal(t, len(progress(t, s, 100)), 0)
	equal(t, len(lease(t, s, request(w, version1))), 0)
	a, b := someImages(t, s, "AAAAAAAA", 3), someImages(t, s, "bbbbbbbb", 2)
	equal(t, progress(t, s, 100), []store.Progress{{
		AlgoName: uid, AlgoVersion: version1, WaitingSince: moment(stored),
		Devices: []store.DeviceProgress{{Device: "aaaaaaaa", Waiting: 3}, {Device: "bbbbbbbb", Waiting: 2}},
	}})
	equal(t, len(lease(t, s, request(w, version1))), 5)
	annotate(t, s, uid, version1, b...)
	for range 3 {
		fail(t, s, failure(a[0], version1, "uid"))
	}
	equal(t, progress(t, s, 100), []store.Progress{{
		AlgoName: uid, AlgoVersion: version1, WaitingSince: moment(stored), LastAnnotated: moment(annotated), LeasedUntil: moment(noon.Add(time.Hour)),
		LastFailed: moment(noon), FailedInARow: 1, Devices: []store.DeviceProgress{{Device: "aaaaaaaa", Waiting: 2, Failed: 1}},
	}})
	annotate(t, s, uid, version1, a...)
	equal(t, progress(t, s, 100), []store.Progress{{AlgoName: uid, AlgoVersion: version1, LastAnnotated: moment(annotated)}})
	// Another algorithm counts for itself.
	other := request(w, version1)
	other.AlgoName, other.Limit = "another", 1
	equal(t, len(lease(t, s, other)), 1)
	equal(t, progress(t, s, 100)[0], store.Progress{
		AlgoName: "another", AlgoVersion: version1, WaitingSince: moment(stored), LeasedUntil: moment(noon.Add(time.Hour)),
		Devices: []store.DeviceProgress{{Device: "aaaaaaaa", Waiting: 3}, {Device: "bbbbbbbb", Waiting: 2}},
	})
	_, err := s.ForgetVersion(background(t), "another")
	must(t, err)
	equal(t, len(progress(t, s, 100)), 1)
}

func testProgressBound(t *testing.T, s store.Store) {
	w := worker(t, s)
	equal(t, len(lease(t, s, request(w, version1))), 0)
	someImages(t, s, "aaaaaaaa", 3)
	someImages(t, s, "bbbbbbbb", 4)
	for most, want := range map[int]bool{5: true, 8: false} {
		p := progress(t, s, most)[0]
		sum := int64(0)
		for _, d := range p.Devices {
			sum += d.Waiting
		}
		equal(t, [2]any{sum, p.AtLeast}, [2]any{int64(min(most, 7)), want})
	}
	// An algorithm that has more than may be counted does not hide what another has.
	all := inSeries(t, s, always)
	other := request(w, version1, store.Series{Device: "cccccccc", Start: always.Start, End: always.End})
	other.AlgoName = "another"
	equal(t, len(lease(t, s, other)), 0)
	annotate(t, s, uid, version1, all[:len(all)-2]...)
	both := progress(t, s, 8)
	equal(t, [2]any{both[0].AtLeast, both[1].AtLeast}, [2]any{true, false})
	equal(t, both[0].Devices, []store.DeviceProgress{{Device: "aaaaaaaa", Waiting: 3}, {Device: "bbbbbbbb", Waiting: 1}})
	equal(t, both[1].Devices, []store.DeviceProgress{{Device: "bbbbbbbb", Waiting: 2}})
	_, err := s.ForgetVersion(background(t), "another")
	must(t, err)
	// Images that are not entered for a new version yet are not counted, and said to be there.
	annotate(t, s, uid, version1, all[len(all)-2:]...)
	equal(t, progress(t, s, 100)[0].AtLeast, false)
	r := request(w, version2, store.Series{Device: "cccccccc", Start: always.Start, End: always.End})
	r.Suspect = true // which enters none
	_, err = s.LeaseImages(background(t), r)
	must(t, err)
	p := progress(t, s, 100)[0]
	equal(t, [3]any{p.AlgoVersion, len(p.Devices), p.AtLeast}, [3]any{version2, 0, true})
}

func testProgressFailures(t *testing.T, s store.Store) {
	w := worker(t, s)
	equal(t, len(lease(t, s, request(w, version1))), 0)
	images := someImages(t, s, "aaaaaaaa", 6)
	seen := func(want store.Progress) {
		t.Helper()
		p := progress(t, s, 100)[0]
		equal(t, store.Progress{LastFailed: p.LastFailed, FailedInARow: p.FailedInARow}, want)
	}
	failAt := func(i store.Image, times int, at time.Time) {
		for range times {
			f := failure(i, version1, "uid")
			f.DatetimeLast = at
			fail(t, s, f)
		}
	}
	failAt(images[5], 2, noon) // it is tried once more
	seen(store.Progress{})
	failAt(images[1], 3, noon.Add(time.Hour))
	failAt(images[2], 3, noon)
	seen(store.Progress{LastFailed: moment(noon.Add(time.Hour)), FailedInARow: 2})
	// an annotation ends the row, and not that of another algorithm
	annotation := Annotation(images[3], uid, version1)
	annotation.DatetimeCreated = noon
	_, err := s.AddAnnotations(background(t), []store.NewAnnotation{annotation})
	must(t, err)
	seen(store.Progress{LastFailed: moment(noon.Add(time.Hour)), FailedInARow: 1})
	annotation = Annotation(images[3], "another", version1)
	annotation.DatetimeCreated = noon.Add(2 * time.Hour)
	_, err = s.AddAnnotations(background(t), []store.NewAnnotation{annotation})
	must(t, err)
	failAt(images[0], 3, noon.Add(3*time.Hour))
	seen(store.Progress{LastFailed: moment(noon.Add(3 * time.Hour)), FailedInARow: 2})
	// what is tried again has not failed
	retry(t, s, uid, always)
	seen(store.Progress{})
}
