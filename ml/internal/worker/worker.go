// Package worker is the detector's loop: it leases images from the API, newest first, fetches each from the object store,
// finds the insects on it and puts their outlines, until it is told to stop. Any number of workers share the images by their
// leases. An image that cannot be annotated is reported and the rest goes on; the API or the object store away means waiting.
// It may import detect, photograph and services/spi.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/semaphore"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/photograph"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// AlgoName is the algorithm of every annotation that this worker makes, whatever detector it uses.
const AlgoName = spi.DetectorAlgorithm

// Times and numbers of the loop.
const (
	maxLease = 64 // images a request, as the server has it
	// batch is how much work is leased at a time: little beside the hour that a lease lives, whatever the machine, and so
	// little that images uploaded meanwhile, the newest, soon come first.
	batch = 30 * time.Second
	// leaseLife is how long an image may be kept: the server's hour, less some minutes for clocks and replies.
	leaseLife = 50 * time.Minute
	// leaseGrace is how long a request for work may take once the worker is told to stop: given up, it might leave images
	// leased to nobody.
	leaseGrace = 2 * time.Second
	// answerWithin is how long the API may take for an answer, tries again included, before it counts as away.
	answerWithin = 5 * time.Minute
	firstPause   = time.Second      // of what fails: the API away, S3 away; and where there is nothing to do
	longPause    = 30 * time.Second // the longest
	// share is the bytes that decoding may take for each image in flight: what plain ones of 12 megapixels take,
	// where devices make 5. A photograph that takes more, such as 50 megapixels or a progressive JPEG, waits for others' shares.
	share = 3 * 12_000_000
	// backlogEvery is how often the server is asked what there is to do: with many images, counting takes it seconds.
	backlogEvery = 5 * time.Minute
)

// API is what the worker asks of the server; *spi.Client is one.
type API interface {
	LeaseImages(ctx context.Context, what spi.What, requests ...spi.WorkRequest) ([]spi.Image, error)
	PutAnnotations(ctx context.Context, documents ...json.RawMessage) ([]spi.Annotation, error)
	ReportFailures(ctx context.Context, failures ...spi.FailureReport) ([]spi.Failure, error)
	GetBacklog(ctx context.Context, algoNames ...string) ([]spi.Backlog, error)
}

// Models gives the detector to use.
type Models interface {
	// Refresh looks for a newer model and gives the detector to use from now on: the same as before where there is none. The
	// error says why there is none to use yet; once there was one, what goes wrong is its own to report.
	Refresh(ctx context.Context) (detect.Detector, error)
}

// Config is what a worker needs.
type Config struct {
	API          API
	HTTP         *http.Client // fetches photographs
	Models       Models
	Workers      int           // images at a time
	IdleMax      time.Duration // the longest wait for work
	RefreshEvery time.Duration // how often Models is asked
	// Grace is how long images in flight may go on when the worker is told to stop; those that are not done by then are given
	// back.
	Grace   time.Duration
	Metrics *Metrics
	Log     *slog.Logger
}

// Worker annotates images.
type Worker struct {
	Config
	detector detect.Detector

	mu      sync.Mutex
	seconds float64 // that an image takes, lately; 0: not known yet
	problem error   // of the last thing asked of the API; nil: it answered
	noModel error   // why there is no detector to use yet; nil: there is

	storeAway atomic.Bool // a photograph could not be fetched, and others will not be
	noneCame  atomic.Bool // the store answered, and served none of the photographs leased last

	memory *semaphore.Weighted // bytes of the pictures in flight
	shares int64               // all that there are
}

// New gives a worker.
func New(cfg Config) *Worker {
	shares := int64(cfg.Workers) * share
	return &Worker{Config: cfg, memory: semaphore.NewWeighted(shares), shares: shares, noModel: errors.New("no model was looked for yet")}
}

// Ping tells what is wrong with the API, as the last request saw it.
func (w *Worker) Ping(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}

// PingModel tells why there is no detector to use yet.
func (w *Worker) PingModel(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.noModel
}

// Run works until ctx is done, then finishes or gives back what is in flight. It ends Grace and a few seconds later at the
// latest.
func (w *Worker) Run(ctx context.Context) {
	// Detection outlives ctx by the grace; what its end is told to the API with, by a little more.
	detecting, stop := lingering(ctx, w.Grace)
	defer stop()
	settling, stop := lingering(ctx, w.Grace+leaseGrace)
	defer stop()
	flight := flight{slots: make(chan struct{}, w.Workers)}
	defer flight.Wait()

	idle, failing := newPauses(w.IdleMax), newPauses(longPause)
	modelless := newPauses(w.RefreshEvery) // each look may download a model that then cannot be kept
	var refreshed, counted time.Time
	for ctx.Err() == nil {
		if now := time.Now(); w.detector == nil || now.Sub(refreshed) >= w.RefreshEvery {
			err := w.refresh(ctx, &flight)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				pauses := modelless
				var unanswered *spi.Error // by the API: nothing was downloaded
				if errors.As(err, &unanswered) {
					pauses = failing
				}
				pause := pauses.NextBackOff()
				w.Log.WarnContext(ctx, "the model that the server may have is not here, nor is one of before; waiting", "error", err, "again_in", pause.Round(time.Millisecond))
				wait(ctx, pause)
				continue
			}
			refreshed = now
		}
		if now := time.Now(); now.Sub(counted) >= backlogEvery {
			w.count(ctx)
			counted = now
		}
		images, err := w.lease(ctx)
		if err != nil {
			pause := failing.NextBackOff()
			if ctx.Err() == nil {
				w.Log.WarnContext(ctx, "no work could be asked for; waiting", "error", err, "again_in", pause.Round(time.Millisecond))
			}
			wait(ctx, pause)
			continue
		}
		if len(images) == 0 {
			wait(ctx, idle.NextBackOff())
			continue
		}
		idle.Reset()
		// What comes alone may be a suspect, an image whose last lease ended unanswered. Nothing else is in flight beside it, so
		// that if this process ends, it is clear why.
		alone := len(images) == 1
		if alone {
			flight.clear(ctx)
		}
		w.start(ctx, detecting, settling, &flight, images)
		if alone {
			flight.Wait()
		}
		if w.storeAway.Load() {
			flight.Wait()
			w.storeAway.Store(false)
			pause := failing.NextBackOff()
			w.Log.WarnContext(ctx, "photographs cannot be fetched; waiting", "again_in", pause.Round(time.Millisecond))
			wait(ctx, pause)
			continue
		}
		failing.Reset()
	}
}

// flight is the images that are being worked on.
type flight struct {
	sync.WaitGroup
	slots chan struct{}
}

// clear waits until there is nothing in flight, or ctx is done.
func (f *flight) clear(ctx context.Context) {
	taken := 0
	defer func() {
		for range taken {
			<-f.slots
		}
	}()
	for ; taken < cap(f.slots); taken++ {
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// lingering gives a context that ends some time after ctx does.
func lingering(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// newPauses gives waits that grow, with some chance in them, so that workers do not come all at once.
func newPauses(longest time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = min(firstPause, longest), longest, 2
	b.Reset()
	return b
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// refresh asks for a newer model. The detector is changed, and the old one closed, once no image is in flight. The error says
// why there is none yet.
func (w *Worker) refresh(ctx context.Context, flight *flight) error {
	next, err := w.Models.Refresh(ctx)
	w.mu.Lock()
	w.noModel = nil
	if err != nil {
		w.noModel = fmt.Errorf("waiting for the model that the server's bundle may hold: %w", forAll(err))
	}
	w.mu.Unlock()
	if err != nil || next == w.detector {
		return err
	}
	flight.Wait()
	if c, ok := w.detector.(io.Closer); ok {
		if err := c.Close(); err != nil {
			w.Log.WarnContext(ctx, "the detector of before could not be closed", "error", err)
		}
	}
	w.detector = next
	w.mu.Lock()
	w.seconds = 0
	w.mu.Unlock()
	w.Metrics.using(next)
	w.Log.InfoContext(ctx, "detector", "kind", next.Name(), "algo_version", next.Version())
	return nil
}

// count asks the API what there is to do, for the metrics.
func (w *Worker) count(ctx context.Context) {
	asking, stop := context.WithTimeout(ctx, answerWithin)
	defer stop()
	backlogs, err := w.API.GetBacklog(asking, AlgoName)
	if err != nil {
		w.Log.DebugContext(ctx, "the backlog is not known", "error", err)
		return
	}
	for _, b := range backlogs {
		w.Metrics.backlog(b)
	}
}

// lease leases as many images as are done in about half a minute, and more where the store served none of the last ones: only
// one that is served tells what is wrong, they or the store.
func (w *Worker) lease(ctx context.Context) ([]spi.Image, error) {
	asking, stop := lingering(ctx, leaseGrace)
	defer stop()
	asking, stop = context.WithTimeout(asking, answerWithin)
	defer stop()
	images, err := w.API.LeaseImages(asking, spi.FullImage, spi.WorkRequest{
		Series: spi.Series{
			Device: "%", Start: spi.Datetime{Time: time.Unix(0, 0)}, End: spi.Datetime{Time: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
		},
		AlgoName: AlgoName, AlgoVersion: w.detector.Version(), Limit: w.leaseSize(),
	})
	w.heard(err)
	return images, err
}

func (w *Worker) leaseSize() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noneCame.Load() {
		return maxLease
	}
	if w.seconds == 0 {
		return min(w.Workers, maxLease)
	}
	return max(1, min(maxLease, max(w.Workers, int(float64(w.Workers)*batch.Seconds()/w.seconds))))
}

// took notes how long an image took.
func (w *Worker) took(d time.Duration) {
	const weight = 0.3 // of the newest
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seconds == 0 {
		w.seconds = d.Seconds()
	}
	w.seconds = max(1e-3, (1-weight)*w.seconds+weight*d.Seconds())
}

// heard notes how the API answered.
func (w *Worker) heard(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problem = forAll(err)
}

// forAll is the part of an error that anybody may see.
func forAll(err error) error {
	var e *spi.Error
	if errors.As(err, &e) {
		return errors.New(e.Message)
	}
	return err
}

// start works on the images, as many at a time as there are slots, and returns once all are begun. Those that are not, as the
// worker is told to stop or the object store is away, are given back.
func (w *Worker) start(ctx, detecting, settling context.Context, flight *flight, images []spi.Image) {
	settling, cancel := context.WithDeadline(settling, time.Now().Add(leaseLife))
	leased := &lot{left: len(images)}
	done := func(n int) {
		if leased.done(n) {
			w.judge(detecting, settling, leased)
			cancel()
		}
	}
	for i, photo := range images {
		select {
		case flight.slots <- struct{}{}:
		case <-ctx.Done():
			w.giveBack(settling, images[i:]...)
			done(len(images) - i)
			return
		}
		if ctx.Err() != nil || w.storeAway.Load() {
			<-flight.slots
			w.giveBack(settling, images[i:]...)
			done(len(images) - i)
			return
		}
		flight.Go(func() {
			defer func() { <-flight.slots }()
			w.annotate(detecting, settling, leased, photo)
			done(1)
		})
	}
}

// lot is the images of one lease.
type lot struct {
	mu       sync.Mutex
	left     int // images that are not done
	came     bool
	unserved []unserved
}

// unserved is a photograph that the store answered for and did not serve.
type unserved struct {
	photo  spi.Image
	reason error
}

// done notes that images are done, and says whether they were the last.
func (l *lot) done(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left -= n
	return l.left == 0
}

// fetched notes that the store serves photographs.
func (l *lot) fetched() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.came = true
}

func (l *lot) keep(photo spi.Image, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unserved = append(l.unserved, unserved{photo, reason})
}

// judge decides, once a lease's images are done, about those that the store did not serve: where others came, and they still
// do not, it is they that cannot be had; where none came, it is the store.
func (w *Worker) judge(detecting, settling context.Context, leased *lot) {
	if leased.came {
		w.noneCame.Store(false)
	} else if len(leased.unserved) > 0 {
		w.noneCame.Store(true)
		w.away(settling, w.Log.With("images", len(leased.unserved)), leased.unserved[0].reason)
	}
	for _, u := range leased.unserved {
		var bad *imageError
		if leased.came && !w.storeAway.Load() {
			if _, err := photograph.Fetch(detecting, w.HTTP, u.photo.URL, u.photo.MD5); errors.Is(err, photograph.ErrNotServed) {
				bad = &imageError{reasonNotServed, err}
			}
		}
		if bad != nil {
			w.report(settling, w.logOf(u.photo), u.photo, bad)
			continue
		}
		w.giveBack(settling, u.photo)
	}
}

// away notes that the store is.
func (w *Worker) away(ctx context.Context, log *slog.Logger, reason error) {
	log.WarnContext(ctx, "the photograph cannot be fetched", "error", reason)
	w.storeAway.Store(true)
}

func (w *Worker) logOf(photo spi.Image) *slog.Logger {
	return w.Log.With("device", photo.Device, "datetime", spi.FormatDatetime(photo.Datetime.Time, spi.DateV2))
}

// annotate finds the insects of one image and tells the API what came of it.
func (w *Worker) annotate(detecting, settling context.Context, leased *lot, photo spi.Image) {
	log := w.logOf(photo)
	began := time.Now()
	insects, err := w.examine(detecting, photo)
	var bad *imageError
	switch {
	case err == nil:
		leased.fetched()
		w.took(time.Since(began))
		w.put(settling, log, photo, insects, began)
	case errors.As(err, &bad):
		leased.fetched()
		w.report(settling, log, photo, bad)
	case detecting.Err() != nil: // told to stop
		w.giveBack(settling, photo)
	case errors.Is(err, photograph.ErrNotServed):
		leased.keep(photo, err)
	default:
		w.away(settling, log, err)
		w.giveBack(settling, photo)
	}
}

// imageError is what is wrong with one image.
type imageError struct {
	reason string // for metrics
	error
}

// examine fetches, decodes and looks at one photograph. An [*imageError] is the image's fault; other errors are not.
func (w *Worker) examine(ctx context.Context, photo spi.Image) ([]detect.Insect, error) {
	began := time.Now()
	data, err := photograph.Fetch(ctx, w.HTTP, photo.URL, photo.MD5)
	began = w.Metrics.stage(stageFetch, began)
	var weight int64
	if err == nil {
		weight, err = photograph.Weigh(data)
	}
	var picture image.Image
	if err == nil {
		taken := min(weight, w.shares)
		if err := w.memory.Acquire(ctx, taken); err != nil {
			return nil, err
		}
		defer w.memory.Release(taken)
		began = time.Now()
		picture, err = photograph.Decode(data)
		if weight > share {
			runtime.GC() // what decoding has left would be there beside what the next one takes
		}
		began = w.Metrics.stage(stageDecode, began)
	}
	var bad *photograph.Error
	switch {
	case errors.As(err, &bad):
		return nil, &imageError{string(bad.Reason), bad}
	case err != nil:
		return nil, err
	}
	insects, err := w.detect(ctx, picture)
	w.Metrics.stage(stageDetect, began)
	return insects, err
}

// detect runs the detector. A panic in it is the image's fault: with another image it may do well.
func (w *Worker) detect(ctx context.Context, picture image.Image) (insects []detect.Insect, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.Log.ErrorContext(ctx, "the detector panicked", "panic", p, "stack", string(debug.Stack()))
			err = &imageError{reasonPanic, fmt.Errorf("the detector %s panicked: %v", w.detector.Name(), p)}
		}
	}()
	insects, err = w.detector.Detect(ctx, picture)
	if err != nil && ctx.Err() == nil {
		err = &imageError{reasonDetector, fmt.Errorf("the detector %s failed: %w", w.detector.Name(), err)}
	}
	return insects, err
}

// put sends what was found. An image that is gone, or was annotated meanwhile, is passed over.
func (w *Worker) put(ctx context.Context, log *slog.Logger, photo spi.Image, insects []detect.Insect, began time.Time) {
	document, err := json.Marshal(Document(photo, w.detector.Version(), insects))
	if err != nil {
		w.report(ctx, log, photo, &imageError{reasonRefused, fmt.Errorf("the annotations cannot be written: %w", err)})
		return
	}
	sent := time.Now()
	err = w.settle(ctx, log, func(ctx context.Context) error {
		_, err := w.API.PutAnnotations(ctx, document)
		return err
	})
	w.Metrics.stage(stagePut, sent)
	switch {
	case err == nil:
		w.Metrics.done(len(insects))
		log.InfoContext(ctx, "annotated", "insects", len(insects), "seconds", time.Since(began).Round(time.Millisecond).Seconds())
	case ctx.Err() != nil:
		log.WarnContext(ctx, "the annotations could not be sent in time; the image will be annotated again", "error", err)
	case spi.CodeOf(err) == spi.CodeNotFound, spi.CodeOf(err) == spi.CodeConflict:
		// deleted, or annotated by whoever had it before or after; or a reply to us was lost
		log.InfoContext(ctx, "the annotations are not needed any more", "reason", err)
	default:
		w.report(ctx, log, photo, &imageError{reasonRefused, fmt.Errorf("the server refused the annotations: %w", err)})
	}
}

// report tells that an image cannot be annotated.
func (w *Worker) report(ctx context.Context, log *slog.Logger, photo spi.Image, bad *imageError) {
	w.Metrics.failed(bad.reason)
	log.WarnContext(ctx, "the image cannot be annotated", "reason", bad.Error())
	w.tell(ctx, log, spi.FailureReport{Reason: bad.Error()}, photo)
}

// giveBack lets others have images at once that this worker will not annotate.
func (w *Worker) giveBack(ctx context.Context, photos ...spi.Image) {
	w.tell(ctx, w.Log, spi.FailureReport{Reason: "the worker stopped, or could not fetch it", GivenBack: true}, photos...)
}

// tell sends a report of each of the images. What is not told costs time only: the lease ends by itself.
func (w *Worker) tell(ctx context.Context, log *slog.Logger, report spi.FailureReport, photos ...spi.Image) {
	report.AlgoName, report.AlgoVersion = AlgoName, w.detector.Version()
	var missed int
	for _, photo := range photos {
		report.ImageKey = spi.ImageKey{Device: photo.Device, Datetime: photo.Datetime}
		// one by one: of several, those after one that was deleted meanwhile would be left out
		err := w.settle(ctx, log, func(ctx context.Context) error {
			_, err := w.API.ReportFailures(ctx, report)
			return err
		})
		if err != nil && (ctx.Err() != nil || spi.CodeOf(err) != spi.CodeNotFound) {
			missed++
		}
	}
	if missed > 0 {
		log.WarnContext(ctx, "the server could not be told; the images will be given out again within the hour", "images", missed)
	}
}

// settle asks the API until it answers, for good or bad, or ctx ends. A wrong password counts as away: an operator is about to
// mend it.
func (w *Worker) settle(ctx context.Context, log *slog.Logger, ask func(context.Context) error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		asking, stop := context.WithTimeout(ctx, answerWithin)
		defer stop()
		err := ask(asking)
		if err != nil && asking.Err() != nil && ctx.Err() == nil {
			err = spi.Wrap(spi.CodeUnavailable, err, "the API took longer than %v", answerWithin)
		}
		w.heard(err)
		if err == nil {
			return struct{}{}, nil
		}
		switch spi.CodeOf(err) {
		case spi.CodeUnavailable, spi.CodeRateLimited, spi.CodeUnauthorized, spi.CodeForbidden:
			return struct{}{}, err
		}
		return struct{}{}, backoff.Permanent(err)
	}, backoff.WithBackOff(newPauses(longPause)), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, pause time.Duration) {
			log.WarnContext(ctx, "the API does not take what was found; waiting", "error", err, "again_in", pause.Round(time.Millisecond))
		}))
	return err
}
