package store

import (
	"context"
	"database/sql"
	"time"
)

// Work keeps what detectors still have to do: for each algorithm that ever asked for work, the images without an annotation
// of its newest version. An image waits, is leased to one worker for a while, or has failed too often. Its entry goes
// away when it is annotated, when it is deleted, and by nothing else: no image is ever stranded.
//
// An algorithm is known from its first LeaseImages on. A later version than any before makes every image without an
// annotation of that version wait again. Both cost time in proportion to the table, so that the images are entered bit by
// bit, newest first, as leases are asked for; an upload enters its image at once for every known algorithm.
type Work interface {
	// LeaseImages leases up to r.Limit images to the user until r.Until and gives them: those without any annotation of the
	// algorithm first, then those with one of an older version, the oldest version first; newest image first in each. No two
	// callers, on whatever server, get the same image before its lease has ended. While many images are not entered yet, it
	// may give fewer than there are, or none: the next call goes on. CodeInvalid where the version has no timestamp,
	// CodeNotFound where the user is not there.
	//
	// Images whose lease ended unanswered are suspects: one of them may have ended the worker that had them all. They are
	// found and given only by requests with r.Suspect, which get one of them, in the same order, or nothing: the caller hands
	// it out alone, and where the worker does not answer for it again, that is a failure of the image, as AddFailure's.
	LeaseImages(ctx context.Context, r LeaseRequest) ([]Image, error)
	// AddFailure notes that the worker could not annotate the image, and ends its lease, unless another user, or a later
	// version, has leased it meanwhile. After maxFailures it is not leased again until RetryFailures. It gives f with the
	// number of failures so far. CodeNotFound where there is no such image; an image that has nothing to do for that
	// algorithm is left alone, and has 0 failures. The device is exact, compared without case. Where f.GivenBack is set the
	// worker has not tried: the lease ends as with a failure, and nothing is counted or kept. Either way the image is no suspect
	// any more: the worker lives.
	AddFailure(ctx context.Context, f Failure, maxFailures int) (Failure, error)
	// Failures calls fn with the images inside one of the series that failed maxFailures times or more, of that algorithm
	// or, where algoName is empty, of any, ordered by device, datetime, algorithm.
	Failures(ctx context.Context, series []Series, algoName string, fn func(*Failure) error) error
	// RetryFailures lets those images wait again, their failures forgotten, and calls fn with each once it does, in the same
	// order. An error leaves the rest as they are.
	RetryFailures(ctx context.Context, series []Series, algoName string, fn func(*Failure) error) error
	// Backlog counts what there is to do, per algorithm, ordered by name; algoName as in Failures. Images that are not entered
	// yet wait too: two millions of them are looked at, and what is found is remembered, so that the next call gets further.
	Backlog(ctx context.Context, algoName string, now time.Time) ([]Backlog, error)
	// Progress tells how far each algorithm is, ordered by name, at a bounded cost: it counts at most `most` images of each state, of
	// each algorithm an equal share.
	Progress(ctx context.Context, most int) ([]Progress, error)
	// ForgetVersion forgets the newest version of an algorithm that asked for work, for who goes back to an older one, and gives
	// it; "" where it is forgotten already. The next version that asks is the newest, whatever it is, and all images without an
	// annotation of it, or of a later one, are entered again as it asks. Until then the algorithm has nothing to do, and no
	// backlog. Failures are forgotten too. CodeNotFound where the algorithm never asked for work. An error leaves it half done:
	// it may be called again.
	ForgetVersion(ctx context.Context, algoName string) (version string, err error)
	// EndLeases lets every image that is leased wait again, at once and with no failure counted; what was leased alone stays a
	// suspect.
	EndLeases(ctx context.Context) error
	// CheckWork looks for what must not be, in every image of every algorithm, and calls report with it, ordered by algorithm,
	// then by the image's id. Leases that ended before endedBefore are reported too: an ended lease is harmless, but only
	// where no worker asks for work does it stay. With repair, a fault is mended before it is reported.
	CheckWork(ctx context.Context, endedBefore time.Time, repair bool, report func(WorkFault) error) error
}

// LeaseRequest says what a worker wants to annotate.
type LeaseRequest struct {
	Series      []Series
	AlgoName    string
	AlgoVersion string // TIMESTAMP-MD5
	UserID      int64  // of the worker; its leases end with its account
	Limit       int
	Now, Until  time.Time
	Suspect     bool // one image whose last lease ended unanswered, and nothing else
	MaxFailures int  // as in AddFailure, for leases of suspects that ended
}

// Failure is an image that could not be annotated.
type Failure struct {
	Device       string
	Datetime     time.Time
	AlgoName     string
	AlgoVersion  string // of the last attempt
	Failures     int    // attempts that failed
	Reason       string // of the last one
	DatetimeLast time.Time
	APIUser      sql.Null[string] // who reported it last
	GivenBack    bool             // only of what is reported: the worker stops, and has not tried
}

// Backlog is what one algorithm has to do.
type Backlog struct {
	AlgoName    string
	AlgoVersion string // the newest that asked for work
	Waiting     int64  // images to be leased
	Leased      int64
	Failed      int64
	// AtLeast says that more may wait: there are images that no call has looked at yet.
	AtLeast bool
	// OldestWaiting is when the oldest of the waiting was taken, of those that are entered and of the oldest 10,000 images.
	OldestWaiting sql.Null[time.Time]
}

// Progress is how far an algorithm is, for people who wait for it.
type Progress struct {
	AlgoName    string
	AlgoVersion string           // the newest that asked for work
	Devices     []DeviceProgress // that have images waiting or failed, ordered by device
	// AtLeast says that there may be more than what is counted: too many to count, or not entered yet.
	AtLeast bool
	// WaitingSince is when the first of the images counted that wait was stored.
	WaitingSince sql.Null[time.Time]
	// LastAnnotated is when the newest annotation was stored, if it is among the last 10,000 of all algorithms.
	LastAnnotated sql.Null[time.Time]
	// LeasedUntil is when the last of the leases ends.
	LeasedUntil sql.Null[time.Time]
	// LastFailed is when an image failed last, of those that failed too often, and FailedInARow how many of these failed after
	// LastAnnotated, or after all annotations that were not looked at where that is not valid. Of more than 10,000 so many are
	// looked at: the first and the last in the order of leases.
	LastFailed   sql.Null[time.Time]
	FailedInARow int64
}

// DeviceProgress counts a device's images without the annotation.
type DeviceProgress struct {
	Device  string
	Waiting int64 // those that are leased, too
	Failed  int64 // too often: they wait for a person
}

// WorkFaultKind says what is wrong with the queue.
type WorkFaultKind string

// The faults that [Work.CheckWork] finds, and what their repair does.
const (
	WorkStranded WorkFaultKind = "stranded" // the image has work to do and is not in the queue; it is entered
	WorkDone     WorkFaultKind = "done"     // it has none and is; it is taken out
	WorkStale    WorkFaultKind = "stale"    // the queue mistakes the version that it was annotated with; that is set right
	WorkLease    WorkFaultKind = "lease"    // its lease ended long ago, or belongs to no account; it waits again
)

// WorkFault is one fault of the queue.
type WorkFault struct {
	Kind     WorkFaultKind
	Device   string
	Datetime time.Time
	AlgoName string
	Detail   string // for the operator
	Repaired bool
}
