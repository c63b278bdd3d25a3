package upload

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"time"

	"github.com/fsnotify/fsnotify"
)

// fileID stands for a file in one state: its path, size and time.
type fileID [16]byte

func fileIDOf(path string, size, mtime int64) fileID {
	b := make([]byte, 0, len(path)+16)
	b = append(b, path...)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint64(b, uint64(mtime))
	sum := sha256.Sum256(b)
	return fileID(sum[:16])
}

// sighting is a file that is being waited for.
type sighting struct {
	id    fileID
	since time.Time // in this state, by the clock that is never set
	scan  int       // the last one that saw it
}

// retryEvery is how often watched files that failed, and have not changed, are tried again.
const retryEvery = 10 * time.Minute

// watch emits the files that are there, and those that appear, once their size and time have been the same for a while: two
// looks say so, and not the file's time, since clocks of cameras and file servers are wrong. It is told of changes where the
// system can tell, and looks by itself all the same: network file systems tell nothing of what others do.
func (r *run) watch(paths []string, emit func(*job)) {
	taken := map[fileID]bool{}
	pending := map[string]sighting{}
	scan, lastRetry, lastDelete := 0, time.Now(), time.Now()
	var unreadable map[string]bool // folders, and links, at the last scan
	look := func(path string, info fs.FileInfo) {
		j := newJob(path, info)
		id := fileIDOf(j.path, j.size, j.mtime)
		if taken[id] {
			return
		}
		now := time.Now()
		seen, there := pending[j.path]
		if !there || seen.id != id {
			pending[j.path] = sighting{id, now, scan}
			return
		}
		if now.Sub(seen.since) < r.options.StableFor {
			seen.scan = scan
			pending[j.path] = seen
			return
		}
		delete(pending, j.path)
		taken[id] = true
		r.found(path, info, emit)
	}

	changes, watchFolder, stop := r.changes()
	defer stop()
	for r.soft.Err() == nil {
		scan++
		w := r.walker(look)
		w.onFolder = watchFolder
		if scan > 1 {
			w.onIgnored = func() {}
		}
		before, tell := unreadable, w.onError
		unreadable = map[string]bool{}
		w.onError = func(path string, err error) {
			unreadable[path] = true
			tell(path, err)
		}
		for _, path := range paths {
			w.walk(r.soft, path)
		}
		for path := range before {
			if !unreadable[path] { // a card that is back
				r.tally.mend(path)
			}
		}
		for path, seen := range pending {
			if seen.scan != scan {
				delete(pending, path) // it went away
			}
		}
		pause := r.options.RescanEvery
		if len(pending) > 0 {
			pause = min(pause, r.options.StableFor/2+time.Millisecond)
		}
		if r.pause(changes, pause) != nil {
			return
		}
		if time.Since(lastDelete) >= r.options.RescanEvery {
			lastDelete = time.Now()
			r.mu.Lock()
			left := r.left
			r.left = map[string]*job{}
			r.mu.Unlock()
			for _, j := range left {
				r.mayDelete(j)
			}
		}
		if time.Since(lastRetry) >= retryEvery {
			lastRetry = time.Now()
			r.mu.Lock()
			for path, id := range r.retry {
				delete(taken, id)
				delete(r.retry, path)
			}
			r.mu.Unlock()
		}
	}
}

// stayLoggedIn asks the server for nothing now and then: the client renews a token only when it is used, and one that was not
// used for a day, in which no file appeared, has ended for good.
func (r *run) stayLoggedIn(quit <-chan struct{}) {
	tick := time.NewTicker(r.alive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = r.query(r.soft, nil) // where it fails, the next file's question says why
		case <-quit:
			return
		}
	}
}

// pause waits for the time of the next look: until something changes, and then a moment more for what else does.
func (r *run) pause(changes <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changes:
		return sleep(r.soft, r.options.StableFor/4)
	case <-timer.C:
		return nil
	case <-r.soft.Done():
		return r.soft.Err()
	}
}

// changes begins to listen to the system. watchFolder adds a folder; changed gets a value, of which one is kept, when
// something happened in one of them.
func (r *run) changes() (changed <-chan struct{}, watchFolder func(string), stop func()) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		r.note(fmt.Sprintf("the system cannot tell of new files (%v): looking for them every %s", err, r.options.RescanEvery))
		return nil, func(string) {}, func() {}
	}
	signal, noted := make(chan struct{}, 1), false
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case event, open := <-w.Events:
				if !open {
					return
				}
				if event.Op == fsnotify.Chmod {
					continue // a reader's access times, and nothing new
				}
			case _, open := <-w.Errors: // events were lost, perhaps: look
				if !open {
					return
				}
			}
			select {
			case signal <- struct{}{}:
			default:
			}
		}
	}()
	watchFolder = func(path string) {
		if err := w.Add(path); err != nil && !noted {
			noted = true
			r.note(fmt.Sprintf("the system cannot tell of new files in %s (%v): looking for them every %s", path, err, r.options.RescanEvery))
		}
	}
	return signal, watchFolder, func() {
		_ = w.Close() // nothing was written
		<-ended
	}
}
