package upload

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func newJob(path string, info fs.FileInfo) *job {
	if absolute, err := filepath.Abs(path); err == nil { // the journal's key
		path = absolute
	}
	return &job{path: path, name: filepath.Base(path), size: info.Size(), mtime: info.ModTime().UnixNano()}
}

// sameAs says whether a file has not changed since it was found.
func (j *job) sameAs(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Size() == j.size && info.ModTime().UnixNano() == j.mtime
}

// matches says whether the server's image is this file's.
func (j *job) matches() bool { return strings.EqualFold(j.there, hex.EncodeToString(j.md5[:])) }

// reasonOf is an error of the file system in words, without the path, which stands beside it.
func reasonOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// load reads a file to know its md5, and fails the file where it cannot be read or is no whole JPEG.
func (r *run) load(j *job) (ok bool) {
	f, err := r.open(j.path)
	if err != nil {
		r.fail(j, CodeUnreadable, reasonOf(err))
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	before, err := f.Stat()
	if err != nil {
		r.fail(j, CodeUnreadable, reasonOf(err))
		return false
	}
	if !j.sameAs(before) {
		r.fail(j, CodeChanged, "the file has changed since it was found")
		return false
	}
	began := time.Now()
	hash, scan := md5.New(), &jpegScan{} //nolint:gosec // see the import
	n, err := io.Copy(io.MultiWriter(hash, scan), readerOf(r.hard, f))
	if err != nil {
		if r.hard.Err() == nil { // else the run has ended
			r.fail(j, CodeUnreadable, reasonOf(err))
		}
		return false
	}
	after, err := f.Stat()
	if err != nil || n != j.size || !j.sameAs(after) {
		r.fail(j, CodeChanged, "the file changed while it was read")
		return false
	}
	if code, reason := scan.verdict(); code != "" {
		r.fail(j, code, reason)
		return false
	}
	j.md5, j.known, j.read, j.readAt, j.info = [16]byte(hash.Sum(nil)), true, true, began, after
	r.journal.keep(j)
	return true
}

// readerOf ends a long read with the context.
func readerOf(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// handle settles one file.
func (r *run) handle(j *job) {
	done, waited := r.claim(j)
	if done == nil {
		return
	}
	defer done()
	j.askFirst = j.askFirst || waited
	// before a file is deleted, it is read in this run
	if (!j.known || r.options.DeleteAfterVerify) && !r.load(j) {
		return
	}
	for r.soft.Err() == nil {
		if j.askFirst && !r.askAgain(j) {
			return
		}
		if j.there != "" {
			r.compare(j)
			return
		}
		if r.options.DryRun {
			r.settle(j, WouldUpload)
			return
		}
		if r.send(j) {
			return
		}
		j.askFirst = true // what was sent may have arrived
	}
}

// claim waits until no other worker is at the same image, as it is where it lies in two folders. done is nil where the run
// ended before.
func (r *run) claim(j *job) (done func(), waited bool) {
	id := idOf(j.key)
	for {
		r.mu.Lock()
		other := r.inFlight[id]
		if other == nil {
			mine := make(chan struct{})
			r.inFlight[id] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				delete(r.inFlight, id)
				close(mine)
			}, waited
		}
		r.mu.Unlock()
		waited = true
		select {
		case <-other:
		case <-r.soft.Done():
			return nil, true
		}
	}
}

// askAgain asks the server for one image.
func (r *run) askAgain(j *job) (ok bool) {
	for {
		if err := r.gate.clear(r.soft); err != nil {
			return false
		}
		there, err := r.query(r.soft, []spi.ImageKey{j.key})
		switch {
		case err == nil:
			// no success for the gate: where questions get through and files do not, the run must end some time
			j.there, j.askFirst = there[idOf(j.key)], false
			return true
		case r.soft.Err() != nil:
			return false
		case !r.mayPass(err):
			r.stop(err)
			return false
		}
		if r.failed(err) != nil {
			return false
		}
	}
}

// compare settles a file whose image the server has.
func (r *run) compare(j *job) {
	if !j.matches() && !j.read && !r.load(j) { // a journal's md5 alone makes no conflict
		return
	}
	if !j.matches() {
		r.fail(j, CodeConflict, fmt.Sprintf("the server has other bytes of that device and time (md5 %.32s, this file's is %x); nothing was overwritten",
			j.there, j.md5))
		return
	}
	r.settle(j, AlreadyThere)
}

// maxServerFaults is how often a file is sent at which the server fails.
const maxServerFaults = 3

// send uploads a file; settled says that there is nothing more to do for it.
func (r *run) send(j *job) (settled bool) {
	if err := r.gate.enter(r.soft); err != nil {
		return true
	}
	began := time.Now()
	image, err := r.put(j)
	r.gate.leave()
	if err == nil {
		r.succeeded()
		r.gate.took(time.Since(began))
		j.there = image.MD5
		if !j.matches() || idOf(spi.ImageKey{Device: image.Device, Datetime: image.Datetime}) != idOf(j.key) {
			r.fail(j, CodeMismatch, fmt.Sprintf("the server took it and named the md5 %.32q, which is not this file's %x", image.MD5, j.md5))
			return true
		}
		r.settle(j, Uploaded)
		return true
	}
	var wire *spi.Error
	switch {
	case r.hard.Err() != nil:
		return true
	case errors.Is(err, errStalled):
	case !errors.As(err, &wire), wire.Code == spi.CodeForbidden, wire.Code == spi.CodeUnauthorized && !r.mayPass(err):
		r.stop(err)
		return true
	case wire.Code == spi.CodeUnauthorized, wire.Code == spi.CodeUnavailable, wire.Code == spi.CodeRateLimited:
	case wire.Code == spi.CodeConflict && !errors.Is(err, spi.ErrGateway):
		r.fail(j, CodeConflict, wire.Message)
		return true
	case wire.Code != spi.CodeInternal && !errors.Is(err, spi.ErrGateway):
		return r.refused(j, wire)
	default: // the server's fault, or a log-in page's in front of it: this file's only where others get through
		if j.serverFaults++; j.serverFaults >= maxServerFaults {
			r.fail(j, CodeServer, fmt.Sprintf("the server failed at this file %d times: %s", j.serverFaults, wire.Message))
			return true
		}
	}
	return r.failed(err) != nil
}

// refused looks at a file that could not be sent or that the server did not take.
func (r *run) refused(j *job, wire *spi.Error) (settled bool) {
	var local *fs.PathError
	info, err := os.Stat(j.path)
	switch {
	case err != nil:
		r.fail(j, CodeUnreadable, reasonOf(err))
		return true
	case !j.sameAs(info):
		r.fail(j, CodeChanged, "the file changed while it was sent")
		return true
	case errors.As(wire, &local):
		r.fail(j, CodeUnreadable, local.Err.Error())
		return true
	}
	if before := j.md5; !j.read {
		// the journal may be wrong about a file whose size and time are as they were
		if !r.load(j) {
			return true
		}
		if j.md5 != before {
			return false
		}
	}
	r.fail(j, CodeRefused, wire.Message)
	return true
}

// put makes one call of the client, which ends where the line stands still.
func (r *run) put(j *job) (spi.Image, error) {
	ctx, cancel := context.WithCancelCause(r.hard)
	defer cancel(nil)
	stall := time.AfterFunc(r.options.StallAfter, func() { cancel(errStalled) })
	stall.Stop() // the first byte starts it
	defer stall.Stop()
	var moving atomic.Int64 // bytes of this attempt
	takeBack := func() {
		n := moving.Swap(0)
		r.tally.add(func(*Report) { r.tally.moving -= n })
	}
	defer takeBack()
	return r.client.PutImage(ctx, spi.File{
		Name: j.name, Size: j.size, MD5: hex.EncodeToString(j.md5[:]),
		Open: func() (io.ReadCloser, error) {
			takeBack()
			f, err := r.open(j.path)
			if err != nil {
				return nil, err
			}
			return &outgoing{run: r, ctx: ctx, file: f, stall: stall, moving: &moving, left: j.size}, nil
		},
	})
}

// outgoing is a file that is being sent: it counts, keeps to the bandwidth, and notices a line that stands still.
type outgoing struct {
	run    *run
	ctx    context.Context
	file   source
	stall  *time.Timer
	moving *atomic.Int64
	left   int64

	mu     sync.Mutex
	closed bool
}

func (o *outgoing) Read(p []byte) (int, error) {
	n, err := o.file.Read(p[:min(len(p), o.run.chunk)])
	if n > 0 {
		o.left -= int64(n)
		o.moving.Add(int64(n))
		o.run.tally.add(func(report *Report) {
			report.SentBytes += int64(n)
			o.run.tally.moving += int64(n)
		})
		if o.run.limiter != nil {
			o.arm(false) // waiting is no standing still
			if wait := o.run.limiter.WaitN(o.ctx, n); wait != nil {
				return 0, context.Cause(o.ctx)
			}
		}
	}
	// with the last byte the wait for the reply begins, which is the client's
	o.arm(o.left > 0 && err == nil)
	return n, err
}

func (o *outgoing) arm(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if on && !o.closed {
		o.stall.Reset(o.run.options.StallAfter)
	} else {
		o.stall.Stop()
	}
}

// Close ends the watch over the line with the reading.
func (o *outgoing) Close() error {
	o.mu.Lock()
	o.closed = true
	o.stall.Stop()
	o.mu.Unlock()
	return o.file.Close()
}

// rootOf is a path that is uploaded, without links, but where a file is one itself.
func rootOf(path string, info fs.FileInfo) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return filepath.EvalSymlinks(path)
	}
	return inRealFolder(path)
}

// inRealFolder is the path of a file without links in its folder's.
func inRealFolder(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// behindLink says whether a file was found through a link inside the folders that are uploaded.
func (r *run) behindLink(path string) bool {
	file, err := inRealFolder(path)
	return err != nil || !slices.ContainsFunc(r.roots, func(root string) bool {
		below, err := filepath.Rel(root, file)
		return err == nil && filepath.IsLocal(below)
	})
}

// timeStep is a little more than the coarsest step of a file's time, FAT's 2 seconds.
const timeStep = 2200 * time.Millisecond

// asRead says whether a file holds what was read of it, by reading it again: a copy may bring other bytes with the same size
// and time. Later writes show in its time, but for a file that was written just before: another write within the same step of
// time does not, and so that one is read after the step.
func (r *run) asRead(j *job) (bool, error) {
	written := j.info.ModTime()
	if j.readAt.Sub(written).Abs() < timeStep {
		if written.Before(j.readAt) {
			written = j.readAt
		}
		if err := sleep(r.soft, min(time.Until(written.Add(timeStep)), 2*timeStep)); err != nil {
			return false, err
		}
	}
	f, err := r.open(j.path) // a network's file system then asks its server, and does not tell what it remembers
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	hash := md5.New()                //nolint:gosec // see the import
	if _, err := io.Copy(hash, readerOf(r.hard, f)); err != nil {
		return false, err
	}
	if [16]byte(hash.Sum(nil)) != j.md5 {
		return false, nil
	}
	info, err := f.Stat()
	return err == nil && j.sameAs(info) && os.SameFile(info, j.info), err
}

// mayDelete passes on a file that is on the server.
func (r *run) mayDelete(j *job) {
	if !j.read || !j.matches() {
		return
	}
	select {
	case r.verified <- j:
	case <-r.soft.Done(): // it stays until the next run
	}
}

// deleteVerified deletes files here. What the server said of them may be hours old, since many are asked for at once and wait
// their turn: it is asked again right before, after whatever takes time here.
func (r *run) deleteVerified() {
	for {
		batch, more := gather(r.verified)
		if r.soft.Err() == nil {
			r.deleteBatch(batch)
		}
		if !more {
			return
		}
	}
}

func (r *run) deleteBatch(batch []*job) {
	var ready []*job
	var keys []spi.ImageKey
	for _, j := range batch {
		if r.deletable(j) {
			ready, keys = append(ready, j), append(keys, j.key)
		}
	}
	if len(ready) == 0 {
		return
	}
	var there map[imageID]string
	err := r.insist(r.soft, func() (err error) {
		there, err = r.query(r.soft, keys)
		return err
	})
	if err != nil { // the end of the run
		return
	}
	for _, j := range ready {
		if j.there = there[idOf(j.key)]; !j.matches() {
			r.failPath(j.path, CodeNotDeleted, "it was on the server, which does not have it, or not its bytes, any more: give the command again")
			r.tryLater(j)
			continue
		}
		r.remove(j)
	}
}

// deletable says whether a file here may be deleted, once it is known to be on the server.
func (r *run) deletable(j *job) bool {
	info, err := os.Lstat(j.path)
	if err == nil && (info.Mode()&fs.ModeSymlink != 0 || r.behindLink(j.path)) { // what it leads to may be needed elsewhere
		r.failPath(j.path, CodeNotDeleted, "it is on the server; here it is a link, or behind one, and is left")
		return false
	}
	same := false
	if err == nil {
		same, err = r.asRead(j)
	}
	switch {
	case r.soft.Err() != nil:
		return false
	case errors.Is(err, fs.ErrNotExist): // somebody was faster
		r.tally.mend(j.path)
	case err != nil:
		r.leave(j, "looked at", err)
	case !same:
		r.failPath(j.path, CodeNotDeleted, hasChanged)
		r.tryLater(j)
	}
	return err == nil && same
}

const hasChanged = "an earlier state of it is on the server; it has changed since, and is left"

// leave notes a file that could not be deleted, and has a watch try again.
func (r *run) leave(j *job, done string, err error) {
	r.failPath(j.path, CodeNotDeleted, fmt.Sprintf("it is on the server; here it cannot be %s: %s", done, reasonOf(err)))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options.Watch && len(r.left) < maxFailureLines {
		r.left[j.path] = j
	}
}

// remove deletes a file that was as it was read a moment ago: a later write shows in its time.
func (r *run) remove(j *job) {
	info, err := os.Lstat(j.path)
	if err == nil && (!j.sameAs(info) || !os.SameFile(info, j.info)) {
		r.failPath(j.path, CodeNotDeleted, hasChanged)
		r.tryLater(j)
		return
	}
	if err == nil {
		err = os.Remove(j.path)
	}
	if errors.Is(err, fs.ErrNotExist) { // somebody was faster
		r.tally.mend(j.path)
		return
	}
	if err != nil {
		r.leave(j, "deleted", err)
		return
	}
	r.tally.mend(j.path)
	r.tally.add(func(report *Report) { report.Deleted++ })
	r.tell(Outcome{Action: Deleted, Path: j.path, Bytes: j.size})
}
