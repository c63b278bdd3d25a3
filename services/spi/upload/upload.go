package upload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Options say how to upload. The zero value stands for the defaults, but for Server.
type Options struct {
	// Server is the address that the client was made with. It names the journal, and stands in the report.
	Server string
	// Journal is the journal's file; where it is empty, JournalFile(Server).
	Journal string
	// Workers is how many files are sent at a time at most; 8 where it is 0. A bad line gets fewer by itself.
	Workers int
	// Limit is the bandwidth for all files together, in bytes a second; 0 for no limit.
	Limit int64
	// GiveUpAfter ends the run when the server has been away for so long; an hour where it is 0.
	GiveUpAfter time.Duration
	// StallAfter breaks a connection that takes no byte of a file for so long; 2 minutes where it is 0.
	StallAfter time.Duration
	// Grace is how long uploads in flight may go on once the context of Run has ended; 10 seconds where it is 0.
	Grace time.Duration

	// Flat leaves out the folders inside the folders.
	Flat bool
	// DryRun reads and compares, and changes nothing.
	DryRun bool
	// DeleteAfterVerify deletes each file that was read in this run and has not changed since, once the server, asked right
	// before, has named its md5. Links are left, and what lies behind them.
	DeleteAfterVerify bool

	// Watch goes on for new files until the context ends.
	Watch bool
	// StableFor is how long a file's size and time must stay the same before Watch takes it; 5 seconds where it is 0.
	StableFor time.Duration
	// RescanEvery is how often Watch goes through the folders where nothing tells it of changes, as with network file
	// systems; 30 seconds where it is 0.
	RescanEvery time.Duration

	// OnProgress is told every second how far the run has come, and at its end; OnOutcome of each file that is settled, as it
	// is; OnNote of what people should know beside that. Calls come one at a time and hold up the run. Any may be nil.
	OnProgress func(Progress)
	OnOutcome  func(Outcome)
	OnNote     func(string)
}

func (o Options) withDefaults() Options {
	positive := func(d *time.Duration, standard time.Duration) {
		if *d <= 0 {
			*d = standard
		}
	}
	positive(&o.GiveUpAfter, time.Hour)
	positive(&o.StallAfter, 2*time.Minute)
	positive(&o.Grace, 10*time.Second)
	positive(&o.StableFor, 5*time.Second)
	positive(&o.RescanEvery, 30*time.Second)
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	return o
}

// DefaultWorkers is how many files are sent at a time where Options does not say.
const DefaultWorkers = 8

// Uploader uploads folders to one server.
type Uploader struct {
	client  *spi.Client
	options Options
	open    func(path string) (source, error) // os.Open but in tests
	pause   time.Duration                     // the first one after a fault
	alive   time.Duration                     // how often a watch asks something, whether or not there are files
	silence time.Duration                     // how long a question may go without a word of its reply
}

// source is an open file.
type source interface {
	io.ReadCloser
	Stat() (fs.FileInfo, error)
}

// New gives an uploader. The client should come with [spi.WithBadLine].
func New(client *spi.Client, options Options) *Uploader {
	return &Uploader{
		client: client, options: options.withDefaults(), pause: time.Second, alive: time.Hour, silence: 5 * time.Minute,
		open: func(path string) (source, error) { return os.Open(path) }, //nolint:gosec // the caller names the files
	}
}

// job is a file on its way.
type job struct {
	path         string
	name         string
	key          spi.ImageKey
	size, mtime  int64 // bytes, ns
	md5          [16]byte
	known        bool // md5 is that of the file, as read in this run or as the journal has it
	read         bool // in this run
	readAt       time.Time
	there        string // the server's md5 of that device and time; "": it has none
	askFirst     bool   // what the server has may have changed since there was set
	info         fs.FileInfo
	serverFaults int
}

// run is one call of Run.
type run struct {
	*Uploader
	journal *journal
	gate    *gate
	limiter *rate.Limiter // nil: none
	chunk   int           // bytes of a file that are read at once
	roots   []string      // the paths, without links
	tally   *tally

	// soft ends when nothing new is to be begun, hard when everything is to end
	soft, hard       context.Context
	endSoft, endHard context.CancelCauseFunc

	events   sync.Mutex  // one callback at a time
	answered atomic.Bool // the server has answered a question

	mu       sync.Mutex
	sent     map[imageID]bool          // images that this run has met
	inFlight map[imageID]chan struct{} // closed when the worker is through with it
	retry    map[string]fileID         // watched files that failed and may do better, by path
	left     map[string]*job           // watched files that are on the server and could not be deleted, by path

	verified chan *job // files that are on the server and may be deleted
}

const (
	batchSize   = 2000                   // images the server is asked for at once
	batchWithin = 300 * time.Millisecond // a slow folder's files do not wait longer for company
	maxChunk    = 32 << 10
)

// Run uploads the images of folders and files. The report is of use whatever the error. The error is nil where every file was
// settled, which is not to say uploaded: see Report.Failed. Otherwise it says why the run ended: it wraps the cause of ctx,
// [ErrBusy], or an [*spi.Error] that no waiting mends, such as CodeUnauthorized, or that lasted longer than
// Options.GiveUpAfter. When ctx ends, uploads in flight get Options.Grace to finish.
func (u *Uploader) Run(ctx context.Context, paths ...string) (Report, error) {
	r := &run{
		Uploader: u, gate: newGate(u.options.Workers, u.options.GiveUpAfter, u.pause),
		tally: &tally{failures: map[string]Failure{}}, chunk: maxChunk,
		sent: map[imageID]bool{}, inFlight: map[imageID]chan struct{}{}, retry: map[string]fileID{}, left: map[string]*job{},
		verified: make(chan *job, 64),
	}
	r.tally.report.Server, r.tally.report.DryRun = u.options.Server, u.options.DryRun
	if limit := u.options.Limit; limit > 0 {
		// a server, or a gateway, that gets nothing of a file for a minute gives it up, and the files take turns
		r.chunk = int(max(1<<10, min(maxChunk, limit/4)))
		r.limiter = rate.NewLimiter(rate.Limit(limit), r.chunk)
	}
	began := time.Now()
	err := r.run(ctx, paths)
	report := r.tally.final()
	report.Seconds = time.Since(began).Seconds()
	// a watch ends in no other way than by its context
	report.Complete = err == nil || u.options.Watch && errors.Is(err, context.Cause(ctx)) && r.tally.allSettled()
	if !report.Complete {
		report.Stopped = stoppedBy(err)
	}
	return report, err
}

// stoppedBy is an error in words for people.
func stoppedBy(err error) string {
	var wire *spi.Error
	if errors.As(err, &wire) {
		return wire.Message
	}
	return err.Error()
}

func (r *run) run(ctx context.Context, paths []string) error {
	var folders, files []string // a file in one of the folders counts once
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
			err = &fs.PathError{Op: "upload", Path: path, Err: errors.New("it is neither a folder nor a file")}
		}
		if err != nil {
			return spi.Wrap(spi.CodeInvalid, err, "%s cannot be uploaded", path)
		}
		if info.IsDir() {
			folders = append(folders, path)
		} else {
			files = append(files, path)
		}
		if root, err := rootOf(path, info); err == nil { // else nothing in it is deleted
			r.roots = append(r.roots, root)
		}
	}
	paths = slices.Concat(folders, files)
	path := r.options.Journal
	if path == "" {
		var err error
		if path, err = JournalFile(r.options.Server); err != nil {
			return err
		}
	}
	var err error
	if r.journal, err = openJournal(path, r.note); err != nil {
		return err
	}
	defer r.journal.close()

	r.soft, r.endSoft = context.WithCancelCause(ctx)
	defer r.endSoft(nil)
	r.hard, r.endHard = context.WithCancelCause(context.WithoutCancel(ctx))
	defer r.endHard(nil)
	stopGrace := context.AfterFunc(r.soft, func() {
		if r.hard.Err() == nil && sleep(r.hard, r.options.Grace) == nil {
			r.endHard(context.Cause(r.soft))
		}
	})
	defer stopGrace()

	var background, pipeline, workers sync.WaitGroup
	quit := make(chan struct{})
	background.Go(func() { r.journal.run(quit) })
	background.Go(func() { r.measure(quit) })

	if r.options.Watch {
		background.Go(func() { r.stayLoggedIn(quit) })
	} else {
		pipeline.Go(func() { r.count(paths) })
	}
	found, jobs := make(chan *job, 64), make(chan *job)
	pipeline.Go(func() {
		defer close(found)
		r.find(paths, func(j *job) {
			select {
			case found <- j:
			case <-r.soft.Done():
			}
		})
	})
	pipeline.Go(func() {
		defer close(jobs)
		r.ask(found, jobs)
	})
	for range r.options.Workers {
		workers.Go(func() {
			for j := range jobs {
				if r.soft.Err() == nil {
					r.handle(j)
				}
			}
		})
	}
	pipeline.Go(func() {
		workers.Wait()
		close(r.verified)
	})
	pipeline.Go(r.deleteVerified)
	pipeline.Wait()
	close(quit)
	r.endHard(nil) // ends the grace
	background.Wait()
	r.progress()
	if r.soft.Err() != nil {
		return fmt.Errorf("upload: %w", context.Cause(r.soft))
	}
	return nil
}

// stop ends the run at once.
func (r *run) stop(err error) {
	r.endSoft(err)
	r.endHard(err)
}

func (r *run) measure(quit <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.tally.sample()
			r.progress()
		case <-quit:
			return
		}
	}
}

func (r *run) progress() {
	if r.options.OnProgress != nil {
		p := r.tally.progress()
		r.events.Lock()
		defer r.events.Unlock()
		r.options.OnProgress(p)
	}
}

func (r *run) note(text string) {
	if r.options.OnNote != nil {
		r.events.Lock()
		defer r.events.Unlock()
		r.options.OnNote(text)
	}
}

func (r *run) tell(o Outcome) {
	if r.options.OnOutcome != nil {
		r.events.Lock()
		defer r.events.Unlock()
		r.options.OnOutcome(o)
	}
}

// find gives the files of the paths.
func (r *run) find(paths []string, emit func(*job)) {
	if r.options.Watch {
		r.watch(paths, emit)
		return
	}
	w := r.walker(func(path string, info fs.FileInfo) { r.found(path, info, emit) })
	for _, path := range paths {
		w.walk(r.soft, path)
	}
}

// count goes through the folders ahead of find, which waits for the uploads, to know how much there is to do.
func (r *run) count(paths []string) {
	var files, bytes int64
	w := r.walker(func(_ string, info fs.FileInfo) {
		files++
		bytes += info.Size()
	})
	w.onIgnored, w.onError = func() {}, func(string, error) {} // find tells
	for _, path := range paths {
		w.walk(r.soft, path)
	}
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	r.tally.files, r.tally.bytesOfAll, r.tally.counted = files, bytes, r.soft.Err() == nil
}

func (r *run) walker(onFile func(path string, info fs.FileInfo)) *walker {
	return &walker{
		recursive: !r.options.Flat,
		visited:   map[string]bool{},
		onFolder:  func(string) {},
		onFile:    onFile,
		onIgnored: func() { r.tally.add(func(report *Report) { report.Ignored++ }) },
		onError:   func(path string, err error) { r.failPath(path, CodeUnreadable, reasonOf(err)) },
	}
}

// found counts a file, and emits it where it may be an image.
func (r *run) found(path string, info fs.FileInfo, emit func(*job)) {
	j := newJob(path, info)
	r.tally.find(j.path, j.size)
	r.mu.Lock()
	delete(r.left, j.path) // that was another state of it
	r.mu.Unlock()
	key, err := ParseName(j.name)
	switch {
	case err != nil:
		r.fail(j, CodeBadName, err.Error())
	case j.size == 0:
		r.fail(j, CodeEmpty, "the file is empty")
	default:
		j.key = key
		emit(j)
	}
}

// ask gathers files, asks the server what it has of them, settles those that it has with the md5 of the journal, and passes
// the others on.
func (r *run) ask(found <-chan *job, jobs chan<- *job) {
	for {
		batch, more := gather(found)
		if len(batch) > 0 && r.soft.Err() == nil && !r.askFor(batch, jobs) {
			return
		}
		if !more {
			return
		}
	}
}

// gather takes the next files, as many as come within a moment.
func gather(found <-chan *job) (batch []*job, more bool) {
	first, more := <-found
	if !more {
		return nil, false
	}
	batch = append(batch, first)
	late := time.NewTimer(batchWithin)
	defer late.Stop()
	for len(batch) < batchSize {
		select {
		case j, more := <-found:
			if !more {
				return batch, false
			}
			batch = append(batch, j)
		case <-late.C:
			return batch, true
		}
	}
	return batch, true
}

func (r *run) askFor(batch []*job, jobs chan<- *job) (goOn bool) {
	r.journal.lookup(batch)
	keys := make([]spi.ImageKey, len(batch))
	r.mu.Lock()
	for i, j := range batch {
		keys[i] = j.key
		id := idOf(j.key)
		j.askFirst = r.sent[id] // a copy in another folder: what the server says now may be out of date when it is its turn
		r.sent[id] = true
	}
	r.mu.Unlock()
	var there map[imageID]string
	err := r.insist(r.soft, func() (err error) {
		there, err = r.query(r.soft, keys)
		return err
	})
	if err != nil {
		return false
	}
	for _, j := range batch {
		j.there = there[idOf(j.key)]
		if !j.askFirst && j.there != "" && j.known && j.matches() && !r.options.DeleteAfterVerify {
			r.settle(j, AlreadyThere)
			continue
		}
		select {
		case jobs <- j:
		case <-r.soft.Done():
			return false
		}
	}
	return true
}

// query gives the server's md5 of those of the images that it has. A thin line may take long for what it says of many.
func (r *run) query(ctx context.Context, keys []spi.ImageKey) (map[imageID]string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(r.silence, func() { cancel(errStalled) })
	defer stall.Stop()
	there := make(map[imageID]string, len(keys))
	for image, err := range r.client.GetImages(ctx, spi.Metadata, keys) {
		if err != nil {
			return nil, err
		}
		stall.Reset(r.silence)
		there[idOf(spi.ImageKey{Device: image.Device, Datetime: image.Datetime})] = image.MD5
	}
	return there, nil
}

// errStalled is the cause of a context that ended since nothing moved.
var errStalled = errors.New("the line stands still")

// insist tries something at the server until it succeeds. Its error is the end of the context, or of the run.
func (r *run) insist(ctx context.Context, try func() error) error {
	for {
		if err := r.gate.clear(ctx); err != nil {
			return err
		}
		err := try()
		if err == nil {
			r.succeeded()
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !r.mayPass(err) {
			r.stop(err)
			return err
		}
		if err := r.failed(err); err != nil {
			return err
		}
	}
}

// mayPass says whether there is a point in asking again after a question failed. Nothing is wrong with the question: once the
// server has answered one, a reply that is not its own is a gateway's while it is away, or a hotel's log-in page.
func (r *run) mayPass(err error) bool {
	var wire *spi.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errStalled):
		return true
	case !errors.As(err, &wire), wire.Code == spi.CodeForbidden:
		return false
	case wire.Code == spi.CodeUnauthorized:
		return r.answered.Load() && r.loggedIn()
	case r.answered.Load():
		return true
	case errors.Is(err, spi.ErrNoAPI), errors.As(err, &certificate):
		return false
	}
	return wire.Code == spi.CodeUnavailable || wire.Code == spi.CodeRateLimited || wire.Code == spi.CodeInternal
}

// loggedIn says whether the server gives a token still: then it refused one that ended at the wrong moment.
func (r *run) loggedIn() bool {
	_, err := r.client.GetToken(r.soft)
	return err == nil || spi.CodeOf(err) != spi.CodeUnauthorized && spi.CodeOf(err) != spi.CodeForbidden
}

func (r *run) succeeded() {
	r.answered.Store(true)
	r.gate.succeeded()
	r.waiting("")
}

// failed notes a fault that may pass. Its error is that the run gives up.
func (r *run) failed(err error) error {
	pause, over := r.gate.failed(err)
	if over {
		err = spi.Wrap(spi.CodeUnavailable, err, "gave up after %s without success: %s", r.options.GiveUpAfter, stoppedBy(err))
		r.stop(err)
		return err
	}
	if r.waiting(stoppedBy(err)) {
		r.note(fmt.Sprintf("waiting, since %s; trying again in %s, for %s at most", stoppedBy(err), pause.Round(time.Second/10), r.options.GiveUpAfter))
	}
	return nil
}

// waiting notes why nothing goes on; changed says whether it went on until now.
func (r *run) waiting(why string) (changed bool) {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	changed = (why == "") != (r.tally.waiting == "")
	r.tally.waiting = why
	return changed
}

// settle counts a file that is on the server, or would go there, and has it deleted where that is wanted.
func (r *run) settle(j *job, what Action) {
	r.tally.settle(j.path, j.size, func(report *Report) {
		switch what {
		case Uploaded:
			report.Uploaded++
			report.UploadedBytes += j.size
		case AlreadyThere:
			report.AlreadyThere++
		case WouldUpload:
			report.WouldUpload++
			report.WouldBytes += j.size
		case Failed, Deleted: // counted elsewhere
		}
	})
	r.tell(Outcome{Action: what, Path: j.path, Bytes: j.size})
	if r.options.DeleteAfterVerify && !r.options.DryRun {
		r.mayDelete(j)
	}
}

// fail counts a file that was not uploaded.
func (r *run) fail(j *job, code Code, message string) {
	r.tally.end(j.path, j.size)
	r.failOf(j.path, j.size, code, message)
	if slices.Contains(passing, code) {
		r.tryLater(j)
	}
}

// tryLater has a watch take a file again that has not changed.
func (r *run) tryLater(j *job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options.Watch && len(r.retry) < maxFailureLines {
		r.retry[j.path] = fileIDOf(j.path, j.size, j.mtime)
	}
}

// failPath counts a failure of what is no image that was found, or is one that is done.
func (r *run) failPath(path string, code Code, message string) { r.failOf(path, 0, code, message) }

func (r *run) failOf(path string, bytes int64, code Code, message string) {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	if !r.tally.fail(Failure{path, code, message}) {
		r.tell(Outcome{Action: Failed, Path: path, Bytes: bytes, Code: code, Message: message})
	}
}
