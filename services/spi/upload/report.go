package upload

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Code says why a file failed. Programs may rely on the codes.
type Code string

// The codes of failures.
const (
	CodeBadName    Code = "bad_name"     // the name is not an image's
	CodeEmpty      Code = "empty"        // no bytes
	CodeNotJPEG    Code = "not_jpeg"     // it does not begin like a JPEG
	CodeTruncated  Code = "truncated"    // the JPEG's end is missing
	CodeUnreadable Code = "unreadable"   // the file or folder cannot be read
	CodeChanged    Code = "changed"      // it changed while it was read or sent
	CodeConflict   Code = "conflict"     // the server has other bytes of that device and time
	CodeRefused    Code = "refused"      // the server does not take it
	CodeServer     Code = "server_error" // the server failed, several times, at this file
	CodeMismatch   Code = "md5_mismatch" // the server stored it and named another md5
	CodeNotDeleted Code = "not_deleted"  // it is on the server; the file here could not be deleted
)

const (
	maxFailureLines = 10_000
	maxMessage      = 500 // bytes
)

// passing are those that may be gone when the same file is tried later.
var passing = []Code{CodeUnreadable, CodeServer, CodeMismatch}

// Failure is a file that was not uploaded, or not deleted, and why.
type Failure struct {
	Path    string `json:"path"`
	Code    Code   `json:"code"`
	Message string `json:"message"` // for people
}

// Report is what a run did. Files are images: regular files that call themselves JPEGs. In a report of a whole run Found is
// Uploaded + AlreadyThere + WouldUpload + those of Failed that are no folders and whose code is not not_deleted.
type Report struct {
	Server   string `json:"server"`
	DryRun   bool   `json:"dry_run"`
	Complete bool   `json:"complete"`          // every file found is settled, whichever way
	Stopped  string `json:"stopped,omitempty"` // why it is not complete

	Found         int64 `json:"found"` // files
	FoundBytes    int64 `json:"found_bytes"`
	Uploaded      int64 `json:"uploaded"` // files, whose md5 the server named
	UploadedBytes int64 `json:"uploaded_bytes"`
	AlreadyThere  int64 `json:"already_there"` // files that the server had, with the same md5
	WouldUpload   int64 `json:"would_upload"`  // files, in a dry run
	WouldBytes    int64 `json:"would_upload_bytes"`
	Deleted       int64 `json:"deleted"` // files here, after they were verified
	Failed        int64 `json:"failed"`  // files and folders
	Ignored       int64 `json:"ignored"` // files that are no pictures

	SentBytes int64   `json:"sent_bytes"` // of files, including what had to be sent again
	Seconds   float64 `json:"seconds"`    // how long it took

	Failures  []Failure `json:"failures"`            // by path; the first 10,000
	NotListed int64     `json:"failures_not_listed"` // how many more there are
}

// Progress is how far a run has come.
type Progress struct {
	Files, Bytes  int64 // found so far; all that there is once Counted
	Counted       bool  // the folders have been gone through
	Settled       int64 // files that are done, whichever way
	SettledBytes  int64
	Uploaded      int64 // files
	UploadedBytes int64
	WouldUpload   int64         // files, in a dry run
	AlreadyThere  int64         // files
	Failed        int64         // files and folders, and what could not be deleted
	SentBytes     int64         // including what had to be sent again
	MovingBytes   int64         // sent of files that are not done
	Rate          float64       // bytes a second, of the last half minute or so
	ETA           time.Duration // until all is done; 0: not known
	Waiting       string        // why nothing is being sent; "" where all is well
}

// Action is what became of a file.
type Action string

// The actions.
const (
	Uploaded     Action = "uploaded"
	AlreadyThere Action = "already_there"
	WouldUpload  Action = "would_upload"
	Failed       Action = "failed"
	Deleted      Action = "deleted" // after uploaded or already_there of the same file
)

// Outcome tells what became of one file.
type Outcome struct {
	Action  Action
	Path    string
	Bytes   int64
	Code    Code   // of a failure
	Message string // of a failure, for people
}

// tally is what a run counts. It may be used by several goroutines.
type tally struct {
	mu             sync.Mutex
	report         Report
	settled, bytes int64              // files that are done, whichever way
	failures       map[string]Failure // by path: a file that fails again is one failure
	waiting        string
	moving         int64 // bytes sent of files that are not done

	counted           bool  // the next two are known
	files, bytesOfAll int64 // that there are

	rate    float64 // bytes a second
	samples int
	sampled int64 // bytes that were sent at the last sample
}

func (t *tally) add(change func(r *Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.report)
}

// failedBefore says whether a file that is watched failed, and so is counted. One that could not be deleted was uploaded: what
// is taken again of it counts anew. It is called with the lock.
func (t *tally) failedBefore(path string) bool {
	f, failed := t.failures[path]
	return failed && f.Code != CodeNotDeleted
}

// find counts a file, unless it failed before and is watched.
func (t *tally) find(path string, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.failedBefore(path) {
		t.report.Found++
		t.report.FoundBytes += bytes
	}
}

// end counts a file that is done, unless it failed before.
func (t *tally) end(path string, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.failedBefore(path) {
		t.settled++
		t.bytes += bytes
	}
}

// settle counts a file that succeeded.
func (t *tally) settle(path string, bytes int64, change func(r *Report)) {
	t.end(path, bytes)
	t.add(change)
	t.mend(path)
}

// mend takes back the failure of what has got well without being counted otherwise.
func (t *tally) mend(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, failed := t.failures[path]; failed {
		delete(t.failures, path)
		t.report.Failed--
	}
}

// allSettled says whether each file that was found is done.
func (t *tally) allSettled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled == t.report.Found
}

// fail counts a failure; again is true where it is of a file whose failure is counted already.
func (t *tally) fail(f Failure) (again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, again = t.failures[f.Path]; !again {
		t.report.Failed++
		if len(t.failures) >= maxFailureLines {
			t.report.NotListed++
			return false
		}
	}
	t.failures[f.Path] = f
	return again
}

// sample takes the rate's measure, once a second.
func (t *tally) sample() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples++
	weight := max(1./15, 1/float64(t.samples)) // of the last second; at first all weigh the same
	t.rate += weight * (float64(t.report.SentBytes-t.sampled) - t.rate)
	t.sampled = t.report.SentBytes
}

func (t *tally) progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.report
	p := Progress{
		Files: max(r.Found, t.files), Bytes: max(r.FoundBytes, t.bytesOfAll), Counted: t.counted, Settled: t.settled, SettledBytes: t.bytes,
		Uploaded: r.Uploaded, UploadedBytes: r.UploadedBytes, WouldUpload: r.WouldUpload, AlreadyThere: r.AlreadyThere, Failed: r.Failed,
		SentBytes: r.SentBytes, MovingBytes: t.moving, Rate: t.rate, Waiting: t.waiting,
	}
	const most = 1000 * 24 * time.Hour
	if left := float64(p.Bytes - p.SettledBytes - p.MovingBytes); p.Counted && p.Rate >= 1 && left > 0 && left/p.Rate < most.Seconds() {
		p.ETA = time.Duration(left / p.Rate * float64(time.Second)).Round(time.Second)
	}
	return p
}

func (t *tally) final() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.report
	r.Failures = make([]Failure, 0, len(t.failures))
	for _, f := range t.failures {
		r.Failures = append(r.Failures, f)
	}
	slices.SortFunc(r.Failures, func(a, b Failure) int { return cmp.Compare(a.Path, b.Path) })
	return r
}
