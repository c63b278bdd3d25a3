package work_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/work"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const version = "1598113346-ad2cd78dfaca12821046dfb8994724d5"

var (
	quiet         = slog.New(slog.DiscardHandler)
	errNoDatabase = errors.New("no database")
)

// plenty has as many images as anybody asks for, and notes what was asked.
type plenty struct {
	store.Work
	asked    []store.LeaseRequest
	most     int
	suspects map[string]int // by algorithm
	broken   string         // an algorithm whose images cannot be leased
	failed   []store.Failure
}

func (p *plenty) LeaseImages(_ context.Context, r store.LeaseRequest) ([]store.Image, error) {
	p.asked = append(p.asked, r)
	if r.Suspect {
		return make([]store.Image, p.suspects[r.AlgoName]), nil
	}
	if r.AlgoName == p.broken {
		return nil, errNoDatabase
	}
	return make([]store.Image, min(r.Limit, p.most)), nil
}

func (p *plenty) AddFailure(_ context.Context, f store.Failure, maxFailures int) (store.Failure, error) {
	f.Failures = maxFailures
	p.failed = append(p.failed, f)
	return f, nil
}

var now = time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)

func series(device string) store.Series {
	return store.Series{Device: device, Start: now.Add(-time.Hour), End: now}
}

func TestRequestsThatDifferInTheirSeriesAreAnsweredTogether(t *testing.T) {
	p := &plenty{most: 40}
	q := work.New(p, quiet, func() time.Time { return now })
	images, err := q.Lease(t.Context(), []work.Request{
		{Series: series("a"), AlgoName: "x", AlgoVersion: version, Limit: 50},
		{Series: series("b"), AlgoName: "y", AlgoVersion: version, Limit: 50},
		{Series: series("c"), AlgoName: "x", AlgoVersion: version, Limit: 50},
		{Series: series("d"), AlgoName: "z", AlgoVersion: version, Limit: 1},
	}, 7)
	if err != nil {
		t.Fatal(err)
	}
	if len(images) != work.MaxLease {
		t.Errorf("%d images", len(images))
	}
	until := now.Add(time.Hour)
	request := func(algo string, limit int, suspect bool, of ...string) store.LeaseRequest {
		r := store.LeaseRequest{AlgoName: algo, AlgoVersion: version, UserID: 7, Limit: limit, Now: now, Until: until, Suspect: suspect, MaxFailures: work.MaxFailures}
		for _, device := range of {
			r.Series = append(r.Series, series(device))
		}
		return r
	}
	want := []store.LeaseRequest{
		request("x", 1, true, "a", "c"), request("y", 1, true, "b"), request("z", 1, true, "d"),
		request("x", 50, false, "a", "c"), request("y", 24, false, "b"),
	}
	if diff := cmp.Diff(want, p.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestASuspectComesBeforeAllOthersAndAlone(t *testing.T) {
	p := &plenty{most: 40, suspects: map[string]int{"y": 1, "z": 1}}
	var requests []work.Request
	for _, algo := range []string{"x", "y", "z"} {
		requests = append(requests, work.Request{Series: series("a"), AlgoName: algo, AlgoVersion: version, Limit: 50})
	}
	images, err := work.New(p, quiet, func() time.Time { return now }).Lease(t.Context(), requests, 7)
	if err != nil || len(images) != 1 || len(p.asked) != 2 {
		t.Errorf("%d images by %d requests, %v; want that of y", len(images), len(p.asked), err)
	}
}

func TestWhatIsLeasedReachesTheWorkerWhenTheRestFails(t *testing.T) {
	requests := []work.Request{
		{Series: series("a"), AlgoName: "x", AlgoVersion: version, Limit: 5},
		{Series: series("a"), AlgoName: "y", AlgoVersion: version, Limit: 6},
		{Series: series("a"), AlgoName: "z", AlgoVersion: version, Limit: 7},
	}
	for broken, test := range map[string]struct {
		images int
		err    error
	}{"": {18, nil}, "x": {0, errNoDatabase}, "y": {5, nil}, "z": {11, nil}} {
		images, err := work.New(&plenty{most: 40, broken: broken}, quiet, func() time.Time { return now }).Lease(t.Context(), requests, 7)
		if len(images) != test.images || !errors.Is(err, test.err) {
			t.Errorf("leasing for %q fails: %d images, %v; want %d, %v", broken, len(images), err, test.images, test.err)
		}
	}
}

func TestARequestCannotNameAnyNumberOfAlgorithms(t *testing.T) {
	p := &plenty{}
	q := work.New(p, quiet, func() time.Time { return now })
	var requests []work.Request
	for i := range 17 {
		requests = append(requests, work.Request{Series: series("a"), AlgoName: strings.Repeat("x", i+1), AlgoVersion: version, Limit: 1})
	}
	if _, err := q.Lease(t.Context(), requests[:16], 1); err != nil || len(p.asked) != 32 { // for suspects, then for all
		t.Errorf("%d requests, %v", len(p.asked), err)
	}
	_, err := q.Lease(t.Context(), requests, 1)
	var e *spi.Error
	if !errors.As(err, &e) || e.Code != spi.CodeInvalid {
		t.Errorf("error %v", err)
	}
	if len(p.asked) != 32 {
		t.Error("the queue was asked all the same")
	}
}

func TestAFailureIsNotedWithTheTimeAndTheLimit(t *testing.T) {
	p := &plenty{}
	f, err := work.New(p, quiet, func() time.Time { return now }).Fail(t.Context(), store.Failure{Device: "a"})
	if err != nil || f.Failures != work.MaxFailures || !f.DatetimeLast.Equal(now.Truncate(time.Second)) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestNamesAndVersionsOfAlgorithms(t *testing.T) {
	for name, ok := range map[string]bool{
		"universal-insect-detector": true, "Zoë's 2nd": true, strings.Repeat("é", 64): true, "%": true,
		"": false, " a": false, "a ": false, strings.Repeat("a", 65): false, "a\x00b": false, "a\nb": false, "a\xff": false,
	} {
		if got := work.CheckAlgoName(name); (got == "") != ok {
			t.Errorf("CheckAlgoName(%q) = %q", name, got)
		}
	}
	md5 := strings.Repeat("0aF", 11)[:32]
	for v, ok := range map[string]bool{
		version: true, "0-" + md5: true, "9999999999999-" + md5: true,
		"": false, "-" + md5: false, "1598113346": false, "1-": false, "99999999999999-" + md5: false, "+1-" + md5: false,
		"-1-" + md5: false, "1.5-" + md5: false, "1-" + md5 + "0": false, "1-" + md5[1:]: false, "1-" + md5[1:] + "g": false,
		"1-" + md5 + "\n": false, "١-" + md5: false, "1_" + md5: false,
	} {
		got := work.CheckAlgoVersion(v)
		if (got == "") != ok {
			t.Errorf("CheckAlgoVersion(%q) = %q", v, got)
		}
		if ok && spi.VersionTime(v) < 0 {
			t.Errorf("%q is taken but has no time", v)
		}
	}
}

func TestAReasonIsCutToWhatIsKept(t *testing.T) {
	for reason, want := range map[string]string{
		"":                          "",
		"two\nlines\tand a tab":     "two\nlines\tand a tab",
		"bell \a NUL \x00 DEL \x7f": "bell  NUL  DEL ",
		"not UTF-8 \xff":            "not UTF-8 ?",
		strings.Repeat("é", 500):    strings.Repeat("é", 500),
		strings.Repeat("é", 501):    strings.Repeat("é", 497) + "...",
	} {
		if got := work.CutReason(reason); got != want {
			t.Errorf("CutReason(%.20q) = %q", reason, got)
		}
	}
}

// counter counts what is counted.
type counter struct {
	store.Work
	progress []store.Progress
	err      error
	counts   int
}

func (c *counter) Progress(_ context.Context, most int) ([]store.Progress, error) {
	if most != work.MaxCounted {
		return nil, errors.New("another bound")
	}
	c.counts++
	return c.progress, c.err
}

// slowCounter takes some time to count what there is to do.
type slowCounter struct {
	store.Work
	clock  *time.Time
	takes  time.Duration
	err    error
	counts int
}

func (c *slowCounter) Backlog(_ context.Context, algoName string, _ time.Time) ([]store.Backlog, error) {
	if algoName != "" {
		return nil, errors.New("all are counted together")
	}
	c.counts++
	*c.clock = c.clock.Add(c.takes)
	return []store.Backlog{{AlgoName: "Alpha", Waiting: int64(c.counts)}, {AlgoName: "beta"}}, c.err
}

func TestTheBacklogIsCountedTheRarerTheLongerItTakes(t *testing.T) {
	at := now
	c := &slowCounter{clock: &at}
	q := work.New(c, quiet, func() time.Time { return at })
	for i, step := range []struct {
		later  time.Duration
		takes  time.Duration
		err    error
		counts int
	}{
		{0, 0, nil, 1}, {0, 999 * time.Millisecond, nil, 2}, // a count that takes little time is always repeated
		{0, 3 * time.Second, nil, 3},
		{0, 3 * time.Second, nil, 3}, {59 * time.Second, 3 * time.Second, nil, 3},
		{time.Second, 3 * time.Second, errors.New("no database"), 4},
		{0, 3 * time.Second, nil, 5},
		{-time.Minute, 3 * time.Second, nil, 6}, // the clock was set back
		{time.Hour, 0, nil, 7},
	} {
		at, c.takes, c.err = at.Add(step.later), step.takes, step.err
		b, err := q.Backlog(t.Context(), "ALPHA")
		want := []store.Backlog{{AlgoName: "Alpha", Waiting: int64(step.counts)}}
		if step.err != nil {
			want = nil
		}
		if diff := cmp.Diff(want, b); diff != "" || !errors.Is(err, step.err) || c.counts != step.counts {
			t.Errorf("step %d: %v after %d counts, want %d (-want +got):\n%s", i, err, c.counts, step.counts, diff)
		}
	}
	for name, want := range map[string]int{"": 2, "beta": 1, "absent": 0} {
		// Twice: what one caller does with the list is nothing to the next.
		for range 2 {
			if b, err := q.Backlog(t.Context(), name); err != nil || len(b) != want {
				t.Errorf("%q: %+v, %v", name, b, err)
			}
		}
	}
}

func TestProgressIsCountedOnceAMinute(t *testing.T) {
	c := &counter{progress: []store.Progress{{AlgoName: "x"}}}
	at := now
	q := work.New(c, quiet, func() time.Time { return at })
	for _, step := range []struct {
		later  time.Duration
		err    error
		counts int
	}{{0, nil, 1}, {59 * time.Second, nil, 1}, {time.Second, errors.New("no database"), 2}, {0, nil, 3}, {time.Second, nil, 3}, {time.Minute, nil, 4}} {
		at, c.err = at.Add(step.later), step.err
		p, err := q.Progress(t.Context())
		if !errors.Is(err, step.err) || err == nil && (len(p) != 1 || at.Sub(p[0].Counted) >= time.Minute) || c.counts != step.counts {
			t.Errorf("at %v: %+v, %v after %d counts", at, p, err, c.counts)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	at = at.Add(time.Hour)
	if _, err := q.Progress(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNothingIsDoneSinceTheLastSignOfWork(t *testing.T) {
	moment := func(minutes int) sql.Null[time.Time] {
		return sql.Null[time.Time]{V: now.Add(time.Duration(minutes) * time.Minute), Valid: true}
	}
	some := []store.DeviceProgress{{Device: "a", Waiting: 1, Failed: 4}, {Device: "b", Waiting: 2}}
	for name, test := range map[string]struct {
		progress store.Progress
		want     sql.Null[time.Time]
	}{
		"never":                           {store.Progress{Devices: some, WaitingSince: moment(1)}, moment(1)},
		"annotated before it waited":      {store.Progress{Devices: some, WaitingSince: moment(5), LastAnnotated: moment(2)}, moment(5)},
		"annotated while it waited":       {store.Progress{Devices: some, WaitingSince: moment(5), LastAnnotated: moment(7)}, moment(7)},
		"leased after that":               {store.Progress{Devices: some, WaitingSince: moment(5), LastAnnotated: moment(7), LeasedUntil: moment(69)}, moment(9)},
		"the first is deleted":            {store.Progress{Devices: some, LastAnnotated: moment(7)}, moment(7)},
		"nothing waits, some have failed": {store.Progress{Devices: []store.DeviceProgress{{Device: "a", Failed: 4}}, LastAnnotated: moment(7)}, sql.Null[time.Time]{}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := work.New(&counter{progress: []store.Progress{test.progress}}, quiet, func() time.Time { return now }).Progress(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := work.Progress{Progress: test.progress, Failed: 4, IdleSince: test.want, Counted: now}
			if test.want.Valid {
				want.Waiting = 3
			}
			if diff := cmp.Diff([]work.Progress{want}, p); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
