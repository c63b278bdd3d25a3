package upload

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrBusy is in the chain of Run's error where another run to the same server is at work.
var ErrBusy = errors.New("another upload to this server is running on this computer")

// JournalFile is where the journal for a server lies: in the user's folder of caches.
func JournalFile(server string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for the journal: %w", err)
	}
	server = strings.TrimRight(server, "/")
	sum := sha256.Sum256([]byte(server))
	name := "server"
	if u, err := url.Parse(server); err == nil && u.Hostname() != "" {
		name = strings.Map(func(r rune) rune {
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-", r) {
				return r
			}
			return '_'
		}, strings.ToLower(u.Hostname()))
	}
	return filepath.Join(dir, "sticky-pi", "upload", fmt.Sprintf("%.80s-%s.journal", name, hex.EncodeToString(sum[:6]))), nil
}

// journal keeps the md5 of files from one run to the next, by path, size and time, so that no file is read twice to know it.
// It knows nothing about the server, which is asked each time. Inode numbers are left out: those of FAT, which cards have,
// are made up anew at each mount.
//
// A journal that cannot be used is a loss of time and nothing else: on any fault it is given up with a note, and the run goes
// on without it. The zero journal is one that was given up.
type journal struct {
	db   *bbolt.DB
	path string
	note func(string)

	mu      sync.Mutex
	waiting map[string][]byte // what is not written yet
	broken  bool
	writing sync.Mutex // one flush at a time
}

var bucketOfFiles = []byte("files-1") // the number is that of the value's form

const (
	maxJournal   = 128 << 20 // bytes: some 700,000 files. A larger one is begun anew
	flushAt      = 1000      // files that wait
	flushEvery   = time.Second
	lockWithin   = 200 * time.Millisecond
	journalValue = 8 + 8 + 16 + 4 // size, mtime in ns, md5, CRC32 of path and value
	maxPath      = 16 << 10       // bytes; bbolt takes 32 KiB
)

// openJournal opens the journal, after setting aside one that is damaged. ErrBusy where another process has it open; every
// other fault is a note and gives a journal that keeps nothing.
func openJournal(path string, note func(string)) (*journal, error) {
	j := &journal{path: path, note: note, waiting: map[string][]byte{}}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		j.giveUp(err)
		return j, nil
	}
	for attempt := 0; ; attempt++ {
		db, err := openChecked(path)
		switch {
		case err == nil:
			j.db = db
			return j, nil
		case errors.Is(err, bolterrors.ErrTimeout):
			return nil, fmt.Errorf("%w (it holds %s): wait for its end", ErrBusy, path)
		case attempt > 0 || !errors.Is(err, errDamaged):
			j.giveUp(err)
			return j, nil
		}
		aside := path + ".damaged"
		if err := os.Rename(path, aside); err != nil {
			j.giveUp(err)
			return j, nil
		}
		note(fmt.Sprintf("the journal was set aside as %s, and a new one begun: %v", aside, err))
	}
}

var errDamaged = errors.New("it cannot be used")

// openChecked opens the file and goes through all of it once. A page that is not what it should be shows in a panic of
// bbolt, a file cut short in a fault of its memory map.
func openChecked(path string) (db *bbolt.DB, err error) {
	err = guard(func() error {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: lockWithin, FreelistType: bbolt.FreelistMapType, NoStatistics: true,
		})
		var system syscall.Errno
		switch {
		case errors.As(err, &system), errors.Is(err, bolterrors.ErrTimeout):
			return err
		case err != nil: // what the file holds
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if info, err := os.Stat(path); err == nil && info.Size() > maxJournal {
			return fmt.Errorf("%w: it has grown beyond %d MB", errDamaged, maxJournal>>20)
		}
		if err := db.View(func(tx *bbolt.Tx) error {
			if err := checkPages(tx, db.Info().PageSize); err != nil {
				return err
			}
			b := tx.Bucket(bucketOfFiles)
			if b == nil {
				return nil
			}
			return b.ForEach(func(k, v []byte) error {
				_ = crc32.ChecksumIEEE(k) // touches every byte
				_ = crc32.ChecksumIEEE(v)
				return nil
			})
		}); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		return db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucketOfFiles)
			return err
		})
	})
	if err != nil && db != nil {
		_ = guard(db.Close) // it is of no use whether that works
	}
	return db, err
}

// checkPages looks at the header of each page for how many pages belong to it: bbolt believes it, and would take memory, and all
// that there is, for four thousand millions that are not there. That would be no panic but the program's end, at every run.
func checkPages(tx *bbolt.Tx, pageSize int) error {
	all := int(tx.Size() / int64(pageSize))
	for id := 0; id < all; id++ {
		page, err := tx.Page(id)
		if err != nil {
			return err
		}
		if page.Type == "free" {
			continue
		}
		if more := page.OverflowCount; more < 0 || more >= all-id {
			return fmt.Errorf("page %d speaks of %d more, of %d in all", id, more, all)
		}
		id += page.OverflowCount
	}
	return nil
}

// guard calls a function of bbolt on a file that may hold anything; its panic, and a fault of the memory map, is an
// errDamaged.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return do()
}

// giveUp ends the journal's use.
func (j *journal) giveUp(err error) {
	j.mu.Lock()
	before := j.broken
	j.broken = true
	clear(j.waiting)
	j.mu.Unlock()
	if !before {
		j.note(fmt.Sprintf("the journal %s cannot be kept (%v): the upload goes on, and a later one will read these files again", j.path, err))
	}
}

func (j *journal) given() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// encode gives the value for a file; the path is part of its checksum.
func encode(path string, size, mtime int64, md5 [16]byte) []byte {
	b := make([]byte, 0, journalValue)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint64(b, uint64(mtime))
	b = append(b, md5[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Update(crc32.ChecksumIEEE([]byte(path)), crc32.IEEETable, b))
}

// lookup gives the md5 of each file that was read before and has the same size and time.
func (j *journal) lookup(files []*job) {
	if j.given() {
		return
	}
	match := func(f *job, value []byte) {
		if len(value) != journalValue {
			return
		}
		sum := [16]byte(value[16:32])
		if string(encode(f.path, f.size, f.mtime, sum)) == string(value) {
			f.md5, f.known = sum, true
		}
	}
	err := guard(func() error {
		return j.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketOfFiles)
			for _, f := range files {
				match(f, b.Get([]byte(f.path)))
			}
			return nil
		})
	})
	if err != nil {
		j.giveUp(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, f := range files {
		match(f, j.waiting[f.path])
	}
}

// keep notes the md5 of a file that was read and found to be a picture; run writes it to disk.
func (j *journal) keep(f *job) {
	if len(f.path) > maxPath {
		return
	}
	j.mu.Lock()
	if j.broken {
		j.mu.Unlock()
		return
	}
	j.waiting[f.path] = encode(f.path, f.size, f.mtime, f.md5)
	full := len(j.waiting) >= flushAt
	j.mu.Unlock()
	if full {
		j.flush()
	}
}

// run writes what waits, every second, until stop is closed. What a kill loses is read again.
func (j *journal) run(stop <-chan struct{}) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.flush()
		case <-stop:
			return
		}
	}
}

// flush writes what waits in one transaction. Lookups find it meanwhile.
func (j *journal) flush() {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	batch := maps.Clone(j.waiting)
	j.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	err := guard(func() error {
		return j.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketOfFiles)
			for path, value := range batch {
				if err := b.Put([]byte(path), value); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		j.giveUp(err)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for path, value := range batch {
		if string(j.waiting[path]) == string(value) {
			delete(j.waiting, path)
		}
	}
}

// close writes what waits and ends the use of the file. A journal that was given up is left open: bbolt may hold its locks.
func (j *journal) close() {
	j.flush()
	if j.db == nil || j.given() {
		return
	}
	if err := guard(j.db.Close); err != nil {
		j.giveUp(err)
	}
}
