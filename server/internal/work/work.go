// Package work holds the rules by which images are leased to detector workers: for how long, how many at a time, and how
// often one may fail. What is leased to whom is kept by [store.Work]. It may import store and services/spi.
package work

import (
	"context"
	"database/sql"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// The rules.
const (
	LeaseLife   = time.Hour // a worker that has not answered by then is taken for dead, and its images wait again
	MaxLease    = 64        // images a request
	MaxFailures = 3         // after which an image is not leased until somebody lets it be tried again

	// Images of each state that are counted for people who wait, and for how long the answer is kept.
	MaxCounted = 100_000
	CountLife  = time.Minute

	maxAlgorithms = 16  // that one request may ask work for: each that is new makes an entry for every image
	maxReason     = 500 // characters
)

// Widths of the columns that name an algorithm, in characters.
const (
	maxAlgoName    = 64
	maxAlgoVersion = 46
)

var algoVersion = regexp.MustCompile(`^[0-9]{1,13}-[0-9A-Fa-f]{32}$`)

// CheckAlgoName says what is wrong with an algorithm's name; "" where nothing is.
func CheckAlgoName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case strings.TrimSpace(name) != name:
		return "begins or ends with a blank" // which MariaDB would take for the name without it
	case utf8.RuneCountInString(name) > maxAlgoName:
		return "is longer than 64 characters"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }):
		return "holds a control character, or one that is none"
	}
	return ""
}

// CheckAlgoVersion says what is wrong with an algorithm's version; "" where nothing is.
func CheckAlgoVersion(version string) string {
	if len(version) > maxAlgoVersion || !algoVersion.MatchString(version) {
		return "is not TIMESTAMP-MD5: seconds since the epoch, and the model's md5 of 32 hexadecimal digits"
	}
	return ""
}

// Queue hands out work.
type Queue struct {
	store store.Work
	log   *slog.Logger
	now   func() time.Time

	counting chan struct{} // holds one value while somebody counts, or looks at what was counted
	counted  []Progress
	at       time.Time // of the count; zero: never

	backlog struct {
		counting       chan struct{} // likewise
		found          []store.Backlog
		counted, until time.Time // when it was counted, and when it is counted anew
	}
}

// A count of the backlog that took shortCount or longer, as where millions are to be counted, is not repeated for backlogRest times
// as long.
const (
	shortCount  = time.Second
	backlogRest = 20
)

// New makes a queue.
func New(s store.Work, log *slog.Logger, now func() time.Time) *Queue {
	q := &Queue{store: s, log: log, now: now, counting: make(chan struct{}, 1)}
	q.backlog.counting = make(chan struct{}, 1)
	return q
}

// Request is what a worker wants: images of the series for that version of that algorithm.
type Request struct {
	Series      store.Series
	AlgoName    string
	AlgoVersion string
	Limit       int // 1 to MaxLease
}

// Lease leases images to the user for [LeaseLife]: at most [MaxLease] in all, and at most Limit for requests that differ in
// their series alone, which are answered together, newest image first. Before all others come, one at a time and with nothing
// beside it, images whose last lease ended unanswered: see [store.Work]. CodeInvalid where there are too many algorithms. An
// error of the store after something was leased is logged: what was leased is given all the same.
func (q *Queue) Lease(ctx context.Context, requests []Request, userID int64) ([]store.Image, error) {
	groups := map[Request]int{} // by what they have in common
	var asked []store.LeaseRequest
	for _, r := range requests {
		common := r
		common.Series = store.Series{}
		i, ok := groups[common]
		if !ok {
			if len(asked) == maxAlgorithms {
				return nil, spi.Errorf(spi.CodeInvalid, "the request asks work for more than %d algorithms, versions and limits", maxAlgorithms)
			}
			i = len(asked)
			groups[common] = i
			asked = append(asked, store.LeaseRequest{AlgoName: r.AlgoName, AlgoVersion: r.AlgoVersion, UserID: userID, Limit: r.Limit})
		}
		asked[i].Series = append(asked[i].Series, r.Series)
	}
	lease := func(r store.LeaseRequest, limit int) ([]store.Image, error) {
		if r.Limit = min(r.Limit, limit); r.Limit == 0 {
			return nil, nil
		}
		r.Now, r.MaxFailures = q.now().UTC(), MaxFailures
		r.Until = r.Now.Add(LeaseLife)
		return q.store.LeaseImages(ctx, r)
	}
	for _, r := range asked {
		r.Suspect = true
		if alone, err := lease(r, 1); err != nil || len(alone) > 0 {
			return alone, err
		}
	}
	var leased []store.Image
	for _, r := range asked {
		images, err := lease(r, MaxLease-len(leased))
		switch {
		case err != nil && len(leased) > 0:
			// What is leased must reach the worker, or nobody works on it until the lease has ended.
			q.log.WarnContext(ctx, "leasing images ended early", "algorithm", r.AlgoName, "leased", len(leased), "error", err)
			return leased, nil
		case err != nil:
			return nil, err
		}
		leased = append(leased, images...)
	}
	return leased, nil
}

// Fail notes that an image could not be annotated, and ends its lease. See [store.Work.AddFailure].
func (q *Queue) Fail(ctx context.Context, f store.Failure) (store.Failure, error) {
	f.DatetimeLast = q.now().UTC().Truncate(time.Second)
	return q.store.AddFailure(ctx, f, MaxFailures)
}

// CutReason cuts a reason to what is kept of it.
func CutReason(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(reason, "?"))
	if runes := []rune(reason); len(runes) > maxReason {
		return string(runes[:maxReason-3]) + "..."
	}
	return reason
}

// Failures calls fn with the images that failed too often.
func (q *Queue) Failures(ctx context.Context, series []store.Series, algoName string, fn func(*store.Failure) error) error {
	return q.store.Failures(ctx, series, algoName, fn)
}

// Retry lets those images wait again, and calls fn with them.
func (q *Queue) Retry(ctx context.Context, series []store.Series, algoName string, fn func(*store.Failure) error) error {
	return q.store.RetryFailures(ctx, series, algoName, fn)
}

// Backlog counts what there is to do for the algorithm of that name, compared without case, or, where it is empty, for all of
// them. One caller counts at a time, and where that takes him long, what he finds is told to all others for a while.
func (q *Queue) Backlog(ctx context.Context, algoName string) ([]store.Backlog, error) {
	select {
	case q.backlog.counting <- struct{}{}:
		defer func() { <-q.backlog.counting }()
	case <-ctx.Done():
		return nil, spi.Wrap(spi.CodeUnavailable, ctx.Err(), "the request ended before the images were counted: try again")
	}
	began := q.now()
	if began.Before(q.backlog.counted) || !began.Before(q.backlog.until) {
		found, err := q.store.Backlog(ctx, "", began.UTC())
		if err != nil {
			return nil, err
		}
		ended := q.now()
		q.backlog.found, q.backlog.counted, q.backlog.until = found, ended, ended
		if took := ended.Sub(began); took >= shortCount {
			q.backlog.until = ended.Add(backlogRest * took)
		}
	}
	return slices.DeleteFunc(slices.Clone(q.backlog.found), func(b store.Backlog) bool {
		return algoName != "" && !strings.EqualFold(b.AlgoName, algoName)
	}), nil
}

// Progress is how far an algorithm is.
type Progress struct {
	store.Progress
	Waiting, Failed int64 // images of all devices
	// IdleSince is since when nothing was leased or annotated though images waited; not valid where none waits.
	IdleSince sql.Null[time.Time]
	Counted   time.Time
}

// Progress tells how far the algorithms are, as of [CountLife] ago at most: one caller counts at a time, and all others wait
// for what he finds.
func (q *Queue) Progress(ctx context.Context) ([]Progress, error) {
	select {
	case q.counting <- struct{}{}:
		defer func() { <-q.counting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := q.now().UTC()
	if age := now.Sub(q.at); !q.at.IsZero() && age >= 0 && age < CountLife {
		return q.counted, nil
	}
	found, err := q.store.Progress(ctx, MaxCounted)
	if err != nil {
		return nil, err
	}
	q.counted, q.at = make([]Progress, len(found)), now
	for i, p := range found {
		q.counted[i] = progressOf(p, now)
	}
	return q.counted, nil
}

func progressOf(p store.Progress, now time.Time) Progress {
	r := Progress{Progress: p, Counted: now}
	for _, d := range p.Devices {
		r.Waiting += d.Waiting
		r.Failed += d.Failed
	}
	if r.Waiting == 0 {
		return r
	}
	r.IdleSince = p.WaitingSince
	later := func(at time.Time) {
		if !r.IdleSince.Valid || at.After(r.IdleSince.V) {
			r.IdleSince = sql.Null[time.Time]{V: at, Valid: true}
		}
	}
	if p.LastAnnotated.Valid {
		later(p.LastAnnotated.V)
	}
	if p.LeasedUntil.Valid {
		later(p.LeasedUntil.V.Add(-LeaseLife))
	}
	return r
}
