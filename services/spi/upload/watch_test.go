package upload

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

// watching runs the engine until stop, which gives its report.
func watching(t *testing.T, x *trial, paths ...string) (stop func() Report) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Report)
	go func() {
		report, _ := x.Run(ctx, paths...) // it ends by ctx
		done <- report
	}()
	return func() Report {
		cancel()
		return <-done
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	const long = 5 * time.Minute // for a machine that does much else
	for began := time.Now(); time.Since(began) < long; time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("waited too long for: %s", what)
}

func TestAWatchedFolderIsUploadedAsFilesAppear(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 3)
	x := newTrial(t, s, Options{Watch: true, StableFor: 200 * time.Millisecond, RescanEvery: time.Hour}) // the system tells
	stop := watching(t, x, dir)
	await(t, "the first files", func() bool { return len(s.stored()) == 3 })
	put(t, filepath.Join(dir, "new", "folder", spitest.Name("5c173ff3", at(0))), picture(50))
	await(t, "a file in a new folder", func() bool { return len(s.stored()) == 4 })

	// slowly: the server must never see a part
	path := filepath.Join(dir, spitest.Name("5c173ff4", at(0)))
	data := picture(51)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := f.Write(data[i*len(data)/20 : (i+1)*len(data)/20]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Millisecond)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the slow file", func() bool { return len(s.stored()) == 5 })

	// a bad one, which gets better
	late := filepath.Join(dir, spitest.Name("5c173ff5", at(0)))
	put(t, late, picture(52)[:100])
	// the slow one may have failed too, where the machine wrote it more slowly than files have to stay the same
	await(t, "the bad file's failure", func() bool { return x.failedOf(late) == 1 })
	put(t, late, picture(52))
	await(t, "the mended file", func() bool { return len(s.stored()) == 6 })
	r := stop()
	expect(t, "uploads", s.uploads(), 6)
	expect(t, "counts", []int64{r.Found, r.Uploaded, r.AlreadyThere, r.Failed}, []int64{6, 6, 0, 0})
	expect(t, "bytes", s.stored()[stem(filepath.Base(path))], sumOf(data))
}

func TestAWatchWithoutNewFilesKeepsItsLogIn(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	var tokens atomic.Int32
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if user, _, _ := r.BasicAuth(); r.URL.Path == "/get_token" && user == "old" {
			tokens.Add(1)
		}
		return false
	}
	x := newTrial(t, s, Options{Watch: true})
	var err error
	x.client, err = spi.New(s.URL, spi.WithSavedToken(spi.Token{Token: "old"}, time.Now(), nil)) // to be renewed when it is used
	if err != nil {
		t.Fatal(err)
	}
	x.alive = 20 * time.Millisecond
	stop := watching(t, x, dir)
	await(t, "a new token", func() bool { return tokens.Load() == 1 })
	expect(t, "found", stop().Found, int64(0))
}

func TestAWatchTriesAgainToDeleteWhatItCouldNot(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, filepath.Join(dir, "card"), "5c173ff2", 2)
	x := newTrial(t, s, Options{Watch: true, DeleteAfterVerify: true, StableFor: 50 * time.Millisecond, RescanEvery: 100 * time.Millisecond})
	var protected atomic.Bool
	protected.Store(true)
	open := x.open
	opened := func(name string) (n int) {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, o := range x.opened {
			if o == name {
				n++
			}
		}
		return n
	}
	x.open = func(path string) (source, error) { // what root, who may run the tests, can be made to meet
		f, err := open(path)
		if err == nil && protected.Load() && opened(filepath.Base(path)) > 2 { // it was read and sent
			_ = f.Close()
			return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("input/output error")}
		}
		return f, err
	}
	stop := watching(t, x, dir)
	await(t, "both failures", func() bool { return x.failed() == 2 })
	await(t, "further tries", func() bool {
		return opened(spitest.Name("5c173ff2", at(0))) > 4 && opened(spitest.Name("5c173ff2", at(1))) > 4
	})
	protected.Store(false)
	await(t, "an empty card", func() bool {
		entries, err := os.ReadDir(filepath.Join(dir, "card"))
		return err == nil && len(entries) == 0
	})
	r := stop()
	expect(t, "counts", []int64{r.Found, r.Uploaded, r.AlreadyThere, r.Deleted, r.Failed}, []int64{2, 2, 0, 2, 0})
	expect(t, "failures told", x.failed(), 2)
	expect(t, "uploads", s.uploads(), 2)
	if !r.Complete || r.Stopped != "" {
		t.Errorf("a watch that was ended: %+v", r)
	}
}

func TestAWatchCountsAFileAnewThatTheServerLostBeforeItWasDeleted(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, filepath.Join(dir, "card"), "5c173ff2", 1)
	name := spitest.Name("5c173ff2", at(0))
	var lost atomic.Bool
	s.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/get_images/metadata" && s.uploads() == 1 && !lost.Swap(true) {
			s.mu.Lock()
			delete(s.md5s, stem(name))
			s.mu.Unlock()
		}
		return false
	}
	x := newTrial(t, s, Options{Watch: true, DeleteAfterVerify: true, StableFor: 50 * time.Millisecond, RescanEvery: 100 * time.Millisecond})
	stop := watching(t, x, dir)
	await(t, "the failure", func() bool { return x.failed() == 1 })
	expect(t, "stored", s.stored(), map[string]string{})
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "card", name), old, old); err != nil { // it is taken again
		t.Fatal(err)
	}
	await(t, "an empty card", func() bool {
		entries, err := os.ReadDir(filepath.Join(dir, "card"))
		return err == nil && len(entries) == 0
	})
	r := stop()
	expect(t, "counts", []int64{r.Found, r.Uploaded, r.Deleted, r.Failed}, []int64{2, 2, 1, 0})
	expect(t, "complete", r.Complete, true)
	expect(t, "stored again", len(s.stored()), 1)
}

func TestAWatchedCardThatComesBackIsNoFailure(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	root := filepath.Join(dir, "card")
	card(t, root, "5c173ff2", 1)
	x := newTrial(t, s, Options{Watch: true, StableFor: 50 * time.Millisecond, RescanEvery: 100 * time.Millisecond})
	stop := watching(t, x, root)
	await(t, "the first file", func() bool { return len(s.stored()) == 1 })
	if err := os.Rename(root, root+".unplugged"); err != nil {
		t.Fatal(err)
	}
	await(t, "the missing card's failure", func() bool { return x.failed() == 1 })
	second := spitest.Name("5c173ff2", at(1))
	put(t, filepath.Join(root+".unplugged", second), picture(1)) // whole before it is seen
	if err := os.Rename(root+".unplugged", root); err != nil {
		t.Fatal(err)
	}
	await(t, "the second file", func() bool { return len(s.stored()) == 2 })
	r := stop()
	expect(t, "counts", []int64{r.Found, r.Uploaded, r.Failed}, []int64{2, 2, 0})
	expect(t, "failures", r.Failures, []Failure{})
}

func TestAWatchedFolderThatTellsNothingIsLookedAtAgain(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	elsewhere := t.TempDir() // a change behind a link that is made later: nothing listens there
	x := newTrial(t, s, Options{Watch: true, StableFor: 50 * time.Millisecond, RescanEvery: 100 * time.Millisecond})
	// files of the future, and of the time when a camera's clock begins: only that they stay the same counts
	card(t, elsewhere, "5c173ff2", 2)
	for i, when := range []time.Time{time.Now().Add(1000 * time.Hour), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if err := os.Chtimes(filepath.Join(elsewhere, spitest.Name("5c173ff2", at(i))), when, when); err != nil {
			t.Fatal(err)
		}
	}
	stop := watching(t, x, elsewhere, dir)
	await(t, "the files of odd times", func() bool { return len(s.stored()) == 2 })
	if err := os.Mkdir(filepath.Join(dir, "later"), 0o700); err != nil {
		t.Fatal(err)
	}
	card(t, filepath.Join(dir, "later"), "5c173ff3", 2)
	await(t, "the later files", func() bool { return len(s.stored()) == 4 })
	expect(t, "uploaded", stop().Uploaded, int64(4))
}
