package upload

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

// server stands in for faults that a real one cannot be made to show. The module test runs the engine against real ones.
type server struct {
	*httptest.Server
	fault func(w http.ResponseWriter, r *http.Request) (answered bool) // before the request is looked at; may be nil
	lie   func(sum string) string                                      // of the md5 in replies to uploads; may be nil

	mu    sync.Mutex
	md5s  map[string]string // by DEVICE.DATETIME
	asked int               // requests for metadata
	sent  map[string]int    // uploads that arrived whole, by file name
	open  int               // uploads at this moment
	most  int               // of open
	slow  time.Duration     // what an upload takes
	refer func(name string) string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{md5s: map[string]string{}, sent: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func refuse(w http.ResponseWriter, code spi.Code, message string) {
	w.WriteHeader(code.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func sumOf(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

func stem(name string) string {
	device, rest, _ := strings.Cut(name, ".")
	datetime, _, _ := strings.Cut(rest, ".")
	return strings.ToLower(device) + "." + datetime
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.fault != nil && s.fault(w, r) {
		return
	}
	switch r.URL.Path {
	case "/get_token":
		fmt.Fprintf(w, `{"expiration":%d,"token":"t"}`, time.Now().Add(24*time.Hour).Unix())
	case "/get_images/metadata":
		s.metadata(w, r)
	case "/_put_new_images":
		s.put(w, r)
	default:
		refuse(w, spi.CodeNotFound, "no such path")
	}
}

func imageOf(name, sum string) map[string]any {
	device, datetime, _ := strings.Cut(name, ".")
	return map[string]any{"device": device, "datetime": datetime, "md5": sum}
}

func (s *server) metadata(w http.ResponseWriter, r *http.Request) {
	var keys []spi.ImageKey
	if err := json.NewDecoder(r.Body).Decode(&keys); err != nil {
		refuse(w, spi.CodeInvalid, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	images := []map[string]any{}
	for _, key := range keys {
		name := stem(spitest.Name(key.Device, key.Datetime.Time))
		if sum := s.md5s[name]; sum != "" {
			images = append(images, imageOf(name, sum))
		}
	}
	_ = json.NewEncoder(w).Encode(images)
}

func (s *server) put(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.open++
	s.most = max(s.most, s.open)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	time.Sleep(s.slow)
	if err := r.ParseMultipartForm(64 << 20); err != nil {
		return // the client is gone
	}
	images := []map[string]any{}
	for name, files := range r.MultipartForm.File {
		f, err := files[0].Open()
		if err != nil {
			panic(err)
		}
		data, err := io.ReadAll(f)
		if err != nil {
			panic(err)
		}
		sum := sumOf(data)
		s.mu.Lock()
		s.sent[name]++
		there := s.md5s[stem(name)]
		refused := ""
		if s.refer != nil {
			refused = s.refer(name)
		}
		if there == "" && refused == "" && r.FormValue(name+".md5") == sum {
			s.md5s[stem(name)] = sum
		}
		s.mu.Unlock()
		switch {
		case r.FormValue(name+".md5") != sum:
			refuse(w, spi.CodeInvalid, "md5: the file's is another")
			return
		case refused != "":
			refuse(w, spi.CodeInvalid, refused)
			return
		case there != "":
			refuse(w, spi.CodeConflict, name+" is there already")
			return
		}
		if s.lie != nil {
			sum = s.lie(sum)
		}
		images = append(images, imageOf(stem(name), sum))
	}
	_ = json.NewEncoder(w).Encode(images)
}

func (s *server) stored() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for name, sum := range s.md5s {
		all[name] = sum
	}
	return all
}

func (s *server) uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, times := range s.sent {
		n += times
	}
	return n
}

// picture is a small whole JPEG; another seed, another one.
func picture(seed uint64) []byte {
	return spitest.JPEG(spitest.Photo{Width: 32, Height: 24, Seed: seed, Quality: 60})
}

func at(i int) time.Time {
	return time.Date(2021, 5, 4, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 20 * time.Minute)
}

// card writes n pictures of one device into a folder.
func card(t *testing.T, dir, device string, n int) {
	t.Helper()
	for i := range n {
		put(t, filepath.Join(dir, spitest.Name(device, at(i))), picture(uint64(i)))
	}
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// trial is an engine with what it said.
type trial struct {
	*Uploader
	mu       sync.Mutex
	outcomes []Outcome
	notes    []string
	opened   []string
}

func newTrial(t *testing.T, s *server, o Options) *trial {
	t.Helper()
	client, err := spi.New(s.URL, spi.WithPassword("anna", "secret"), spi.WithBadLine(), spi.WithRetry(spi.Retry{
		Attempts: 2, BackOff: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) },
	}))
	if err != nil {
		t.Fatal(err)
	}
	x := &trial{}
	o.Server = s.URL
	if o.Journal == "" {
		o.Journal = filepath.Join(t.TempDir(), "journal")
	}
	o.OnOutcome = func(got Outcome) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.outcomes = append(x.outcomes, got)
	}
	o.OnNote = func(text string) { x.notes = append(x.notes, text) }
	x.Uploader = New(client, o)
	x.pause = 20 * time.Millisecond
	open := x.open
	x.open = func(path string) (source, error) {
		x.mu.Lock()
		x.opened = append(x.opened, filepath.Base(path))
		x.mu.Unlock()
		return open(path)
	}
	return x
}

// failed is how many files failed so far, or how often.
func (x *trial) failed() int { return x.failedOf("") }

// failedOf is how often that file failed so far; any where it is "".
func (x *trial) failedOf(path string) (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range x.outcomes {
		if o.Action == Failed && (path == "" || o.Path == path) {
			n++
		}
	}
	return n
}

func (x *trial) mustRun(t *testing.T, paths ...string) Report {
	t.Helper()
	report, err := x.Run(t.Context(), paths...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// codes are the failures of a report by the files' names.
func codes(r Report) map[string]Code {
	all := map[string]Code{}
	for _, f := range r.Failures {
		all[filepath.Base(f.Path)] = f.Code
	}
	return all
}

func TestAFolderIsUploadedAndASecondRunReadsNothing(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, filepath.Join(dir, "DCIM", "a"), "5c173ff2", 30)
	card(t, filepath.Join(dir, "DCIM", "b"), "5C173FF3", 20)
	put(t, filepath.Join(dir, "notes.txt"), []byte("hello"))
	journal := filepath.Join(t.TempDir(), "journal")
	r := newTrial(t, s, Options{Journal: journal}).mustRun(t, dir)
	expect(t, "counts", []int64{r.Found, r.Uploaded, r.AlreadyThere, r.Failed, r.Ignored}, []int64{50, 50, 0, 0, 1})
	expect(t, "stored", len(s.stored()), 50)
	if r.UploadedBytes != r.FoundBytes || r.SentBytes != r.FoundBytes || !r.Complete {
		t.Errorf("%+v", r)
	}

	x := newTrial(t, s, Options{Journal: journal})
	r = x.mustRun(t, dir)
	expect(t, "counts of the second run", []int64{r.Found, r.Uploaded, r.AlreadyThere, r.SentBytes}, []int64{50, 0, 50, 0})
	expect(t, "files opened by the second run", x.opened, []string(nil))
	expect(t, "uploads", s.uploads(), 50)
}

func TestWhatTheServerHasLostIsUploadedAgain(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 10)
	journal := filepath.Join(t.TempDir(), "journal")
	newTrial(t, s, Options{Journal: journal}).mustRun(t, dir)
	all := s.stored()
	lost := stem(spitest.Name("5c173ff2", at(3)))
	s.mu.Lock()
	delete(s.md5s, lost)
	s.mu.Unlock()
	r := newTrial(t, s, Options{Journal: journal}).mustRun(t, dir)
	expect(t, "counts", []int64{r.Uploaded, r.AlreadyThere}, []int64{1, 9})
	expect(t, "stored", s.stored(), all)
}

func TestBadFilesAreListedAndTheRestGoesOn(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 5)
	whole := picture(77)
	name := func(i int) string { return spitest.Name("5c173ff3", at(i)) }
	put(t, filepath.Join(dir, name(0)), nil)
	put(t, filepath.Join(dir, name(1)), []byte("not a picture"))
	put(t, filepath.Join(dir, name(2)), whole[:len(whole)/2])
	put(t, filepath.Join(dir, name(3)), whole[:3])
	put(t, filepath.Join(dir, name(4)), append(slices.Clone(whole), make([]byte, 4096)...)) // a card's last block
	put(t, filepath.Join(dir, name(5)), picture(78))                                        // the server refuses it
	put(t, filepath.Join(dir, name(6)), picture(79))                                        // it has another
	put(t, filepath.Join(dir, name(7)), picture(80))                                        // unreadable
	put(t, filepath.Join(dir, "IMG_0001.JPG"), whole)
	put(t, filepath.Join(dir, "5c173ff2.2018-01-01_00-00-00.jpg"), whole)
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "5c173ff4.2021-05-04_00-00-00.jpg")); err != nil {
		t.Fatal(err)
	}
	s.md5s[stem(name(6))] = sumOf([]byte("other"))
	s.refer = func(n string) string {
		if n == name(5) {
			return "the picture cannot be decoded"
		}
		return ""
	}
	x := newTrial(t, s, Options{})
	open := x.open
	x.open = func(path string) (source, error) {
		if filepath.Base(path) == name(7) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("input/output error")}
		}
		return open(path)
	}
	r := x.mustRun(t, dir)
	expect(t, "failures", codes(r), map[string]Code{
		name(0): CodeEmpty, name(1): CodeNotJPEG, name(2): CodeTruncated, name(3): CodeTruncated, name(5): CodeRefused, name(6): CodeConflict,
		name(7): CodeUnreadable, "IMG_0001.JPG": CodeBadName, "5c173ff2.2018-01-01_00-00-00.jpg": CodeBadName,
		"5c173ff4.2021-05-04_00-00-00.jpg": CodeUnreadable,
	})
	expect(t, "counts", []int64{r.Uploaded, r.Failed, int64(len(r.Failures))}, []int64{6, 10, 10})
	expect(t, "what the server keeps", s.stored()[stem(name(6))], sumOf([]byte("other")))
	if !r.Complete {
		t.Error("every file was settled, and the report says not")
	}
}

// fickle is a file that changes as it is read.
type fickle struct {
	source
	change func()
}

func (f fickle) Read(p []byte) (int, error) {
	f.change()
	return f.source.Read(p)
}

func TestAFileThatChangesWhileItIsReadOrSentDoesNotCount(t *testing.T) {
	for _, test := range []struct {
		name string
		when int // the opening at which it changes
	}{{"read", 1}, {"sent", 2}} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := newServer(t), t.TempDir()
			card(t, dir, "5c173ff2", 1)
			path := filepath.Join(dir, spitest.Name("5c173ff2", at(0)))
			x := newTrial(t, s, Options{DeleteAfterVerify: true})
			open, opened := x.open, 0
			x.open = func(path string) (source, error) {
				f, err := open(path)
				if opened++; opened != test.when || err != nil {
					return f, err
				}
				return fickle{f, sync.OnceFunc(func() {
					other := picture(99)
					if err := os.WriteFile(path, append(other, other...), 0o600); err != nil {
						t.Error(err)
					}
				})}, nil
			}
			r := x.mustRun(t, dir)
			expect(t, "failures", codes(r), map[string]Code{filepath.Base(path): CodeChanged})
			expect(t, "stored", s.stored(), map[string]string{})
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the file is gone: %v", err)
			}
		})
	}
}

func TestTheSameImageInTwoFoldersIsSentOnce(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	for _, sub := range []string{"a", "b", "c"} {
		card(t, filepath.Join(dir, sub), "5c173ff2", 20)
	}
	put(t, filepath.Join(dir, "d", spitest.Name("5C173FF2", at(0))), picture(1000)) // other bytes
	r := newTrial(t, s, Options{}).mustRun(t, dir)
	expect(t, "counts", []int64{r.Found, r.Uploaded, r.AlreadyThere, r.Failed}, []int64{61, 20, 40, 1})
	expect(t, "uploads", s.uploads(), 20)
	expect(t, "codes", codes(r), map[string]Code{spitest.Name("5C173FF2", at(0)): CodeConflict})
}

func TestADryRunChangesNothing(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 4)
	s.md5s[stem(spitest.Name("5c173ff2", at(0)))] = sumOf(picture(0))
	s.md5s[stem(spitest.Name("5c173ff2", at(1)))] = sumOf(nil)
	put(t, filepath.Join(dir, spitest.Name("5c173ff3", at(0))), []byte("bad"))
	r := newTrial(t, s, Options{DryRun: true, DeleteAfterVerify: true}).mustRun(t, dir)
	expect(t, "counts", []int64{r.Found, r.Uploaded, r.WouldUpload, r.AlreadyThere, r.Failed, r.Deleted}, []int64{5, 0, 2, 1, 2, 0})
	expect(t, "uploads", s.uploads(), 0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "files", len(entries), 5)
}

func TestOnlyWhatIsVerifiedIsDeleted(t *testing.T) {
	left := func(t *testing.T, dir string) []string {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	name := func(i int) string { return spitest.Name("5c173ff2", at(i)) }
	t.Run("uploaded now or before", func(t *testing.T) {
		s, dir, journal := newServer(t), t.TempDir(), filepath.Join(t.TempDir(), "journal")
		card(t, dir, "5c173ff2", 3)
		newTrial(t, s, Options{Journal: journal}).mustRun(t, dir)
		card(t, dir, "5c173ff2", 5)
		r := newTrial(t, s, Options{Journal: journal, DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "counts", []int64{r.Uploaded, r.AlreadyThere, r.Deleted}, []int64{2, 3, 5})
		expect(t, "left", left(t, dir), []string{})
		expect(t, "stored", len(s.stored()), 5)
	})
	t.Run("the server names another md5", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 2)
		s.lie = func(string) string { return sumOf(nil) }
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "left", left(t, dir), []string{name(0), name(1)})
		expect(t, "codes", codes(r), map[string]Code{name(0): CodeMismatch, name(1): CodeMismatch})
		expect(t, "uploaded", r.Uploaded, int64(0))
	})
	t.Run("the server has other bytes", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 2)
		s.md5s[stem(name(0))] = sumOf(nil)
		newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "left", left(t, dir), []string{name(0)})
	})
	t.Run("other bytes of the same size and time than the journal knows", func(t *testing.T) {
		s, dir, journal := newServer(t), t.TempDir(), filepath.Join(t.TempDir(), "journal")
		card(t, dir, "5c173ff2", 1)
		newTrial(t, s, Options{Journal: journal}).mustRun(t, dir)
		path := filepath.Join(dir, name(0))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		data := picture(0)
		data[len(data)-10] ^= 1
		put(t, path, data)
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		r := newTrial(t, s, Options{Journal: journal, DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "codes", codes(r), map[string]Code{name(0): CodeConflict})
		expect(t, "left", left(t, dir), []string{name(0)})
	})
	t.Run("the server has lost it since it was asked", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 2)
		for i := range 2 {
			s.md5s[stem(name(i))] = sumOf(picture(uint64(i)))
		}
		x := newTrial(t, s, Options{DeleteAfterVerify: true})
		open := x.open
		x.open = func(path string) (source, error) { // once it was asked
			s.mu.Lock()
			delete(s.md5s, stem(name(1)))
			s.mu.Unlock()
			return open(path)
		}
		r := x.mustRun(t, dir)
		expect(t, "counts", []int64{r.AlreadyThere, r.Deleted, r.Failed}, []int64{2, 1, 1})
		expect(t, "codes", codes(r), map[string]Code{name(1): CodeNotDeleted})
		expect(t, "left", left(t, dir), []string{name(1)})
	})
	t.Run("the server is away when it is asked again", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 1)
		away := 3
		s.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/get_images/metadata" || s.uploads() == 0 || away == 0 {
				return false
			}
			away--
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "counts", []int64{r.Uploaded, r.Deleted, r.Failed}, []int64{1, 1, 0})
		expect(t, "left", left(t, dir), []string{})
	})
	t.Run("a file that is given twice", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 2)
		one := filepath.Join(dir, name(0))
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, one, dir, one)
		expect(t, "counts", []int64{r.Found, r.Uploaded, r.Deleted, r.Failed}, []int64{2, 2, 2, 0})
		expect(t, "left", left(t, dir), []string{})
	})
	t.Run("other bytes of the same size and time than were read", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 1)
		path := filepath.Join(dir, name(0))
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		other := picture(0)
		other[len(other)-10] ^= 1
		s.lie = func(sum string) string { // once it was read and sent
			put(t, path, other)
			if err := os.Chtimes(path, old, old); err != nil {
				t.Error(err)
			}
			return sum
		}
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "codes", codes(r), map[string]Code{name(0): CodeNotDeleted})
		expect(t, "left", left(t, dir), []string{name(0)})
	})
	t.Run("a file that somebody else deletes first is no failure", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 2)
		s.fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/get_images/metadata" && s.uploads() > 0 { // right before it is deleted
				_ = os.Remove(filepath.Join(dir, name(0)))
			}
			return false
		}
		r := newTrial(t, s, Options{DeleteAfterVerify: true, Workers: 1}).mustRun(t, dir)
		expect(t, "counts", []int64{r.Uploaded, r.Deleted, r.Failed}, []int64{2, 1, 0})
		expect(t, "left", left(t, dir), []string{})
	})
	t.Run("a link leads to the folder of a file that is given", func(t *testing.T) {
		s, dir, elsewhere := newServer(t), t.TempDir(), t.TempDir()
		card(t, elsewhere, "5c173ff2", 2)
		if err := os.Symlink(elsewhere, filepath.Join(dir, "archive")); err != nil {
			t.Fatal(err)
		}
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, dir, filepath.Join(elsewhere, name(0)))
		expect(t, "codes", codes(r), map[string]Code{name(1): CodeNotDeleted})
		expect(t, "left", left(t, elsewhere), []string{name(1)})
	})
	t.Run("what lies behind a linked folder is left", func(t *testing.T) {
		s, dir, elsewhere := newServer(t), t.TempDir(), t.TempDir()
		card(t, elsewhere, "5c173ff2", 1)
		if err := os.Symlink(elsewhere, filepath.Join(dir, "archive")); err != nil {
			t.Fatal(err)
		}
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "codes", codes(r), map[string]Code{name(0): CodeNotDeleted})
		expect(t, "left", left(t, elsewhere), []string{name(0)})
		expect(t, "uploaded", r.Uploaded, int64(1))
	})
	t.Run("a folder that is given as a link is the card", func(t *testing.T) {
		s, dir, elsewhere := newServer(t), t.TempDir(), t.TempDir()
		card(t, filepath.Join(elsewhere, "sub"), "5c173ff2", 1)
		if err := os.Symlink(elsewhere, filepath.Join(dir, "card")); err != nil {
			t.Fatal(err)
		}
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, filepath.Join(dir, "card"))
		expect(t, "codes", codes(r), map[string]Code{})
		expect(t, "left", left(t, filepath.Join(elsewhere, "sub")), []string{})
	})
	t.Run("a file that is written again within the same step of its time", func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		card(t, dir, "5c173ff2", 1)
		path := filepath.Join(dir, name(0))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		other := picture(0)
		other[len(other)-10] ^= 1
		x := newTrial(t, s, Options{DeleteAfterVerify: true})
		s.lie = func(sum string) string { // once it was read and sent
			put(t, path, other)
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				t.Error(err)
			}
			return sum
		}
		r := x.mustRun(t, dir)
		expect(t, "codes", codes(r), map[string]Code{name(0): CodeNotDeleted})
		expect(t, "left", left(t, dir), []string{name(0)})
	})
	t.Run("links are left", func(t *testing.T) {
		s, dir, elsewhere := newServer(t), t.TempDir(), t.TempDir()
		card(t, elsewhere, "5c173ff2", 1)
		if err := os.Symlink(filepath.Join(elsewhere, name(0)), filepath.Join(dir, name(0))); err != nil {
			t.Fatal(err)
		}
		r := newTrial(t, s, Options{DeleteAfterVerify: true}).mustRun(t, dir)
		expect(t, "codes", codes(r), map[string]Code{name(0): CodeNotDeleted})
		expect(t, "left", [][]string{left(t, dir), left(t, elsewhere)}, [][]string{{name(0)}, {name(0)}})
		expect(t, "uploaded", r.Uploaded, int64(1))
	})
}

func TestAReplyThatComesSlowlyIsWaitedFor(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 40)
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/get_images/metadata" {
			return false
		}
		for i := range 40 {
			image, _ := json.Marshal(imageOf(stem(spitest.Name("5c173ff2", at(i))), sumOf(picture(uint64(i)))))
			fmt.Fprintf(w, "%c%s", "[,"[min(i, 1)], image)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(25 * time.Millisecond)
		}
		_, _ = io.WriteString(w, "]")
		return true
	}
	x := newTrial(t, s, Options{GiveUpAfter: 20 * time.Second})
	x.silence = 500 * time.Millisecond // less than the whole takes
	r := x.mustRun(t, dir)
	expect(t, "counts", []int64{r.AlreadyThere, r.Uploaded, r.Failed}, []int64{40, 0, 0})
}

func TestWhatCannotGetBetterEndsTheRunAtOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(w http.ResponseWriter, r *http.Request) bool
		code  spi.Code
		sent  int
	}{
		{"a wrong password", func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, spi.CodeUnauthorized, "wrong password")
			return true
		}, spi.CodeUnauthorized, 0},
		{"an account that is gone", func() func(w http.ResponseWriter, r *http.Request) bool {
			var gone atomic.Bool
			return func(w http.ResponseWriter, r *http.Request) bool {
				if gone.Store(gone.Load() || r.URL.Path == "/_put_new_images"); !gone.Load() {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				refuse(w, spi.CodeUnauthorized, "no such user")
				return true
			}
		}(), spi.CodeUnauthorized, 0},
		{"a reader", func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/_put_new_images" {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(w, spi.CodeForbidden, "anna is read-only")
			return true
		}, spi.CodeForbidden, 0},
		{"another address", func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, "<html>welcome</html>")
			return true
		}, spi.CodeUnavailable, 0},
		{"a path that is not there", func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/get_token" {
				return false
			}
			http.NotFound(w, r)
			return true
		}, spi.CodeNotFound, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := newServer(t), t.TempDir()
			card(t, dir, "5c173ff2", 20)
			s.fault = test.fault
			report, err := newTrial(t, s, Options{}).Run(t.Context(), dir)
			if err == nil {
				t.Fatal("no error")
			}
			expect(t, "code", spi.CodeOf(err), test.code)
			expect(t, "counts", []int64{report.Uploaded, report.Failed}, []int64{0, 0})
			if report.Complete || report.Stopped == "" {
				t.Errorf("%+v", report)
			}
		})
	}
}

func TestAMissingPathIsSaidBeforeAnythingIsDone(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 2)
	_, err := newTrial(t, s, Options{}).Run(t.Context(), dir, filepath.Join(dir, "nothing"))
	if spi.CodeOf(err) != spi.CodeInvalid || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	expect(t, "uploads", s.uploads(), 0)
}

func TestAServerThatIsAwayIsWaitedForUntilItIsTimeToGiveUp(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 3)
	s.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	x := newTrial(t, s, Options{GiveUpAfter: 1500 * time.Millisecond})
	_, err := x.Run(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "gave up after") || spi.CodeOf(err) != spi.CodeUnavailable {
		t.Errorf("%v", err)
	}
	expect(t, "notes", len(x.notes), 1)
}

func TestFaultsAreBorneAndNothingIsSentAgainThatArrived(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 40)
	n := 0
	var mu sync.Mutex
	inner := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/get_token" {
			inner.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		n++
		turn := n
		mu.Unlock()
		switch turn % 7 {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2: // it arrives and the reply is lost
			inner.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case 3:
			panic(http.ErrAbortHandler)
		case 4:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			inner.ServeHTTP(w, r)
		}
	})
	x := newTrial(t, s, Options{})
	r := x.mustRun(t, dir)
	expect(t, "counts", []int64{r.Uploaded + r.AlreadyThere, r.Failed}, []int64{40, 0})
	expect(t, "stored", len(s.stored()), 40)
	expect(t, "uploads that arrived", s.uploads(), 40)
}

func TestAFaultOfTheServerAtOneFileIsThatFilesAlone(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 4)
	bad := spitest.Name("5c173ff2", at(1))
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/_put_new_images" {
			return false
		}
		if err := r.ParseMultipartForm(1 << 20); err != nil || r.MultipartForm.File[bad] == nil {
			return false
		}
		refuse(w, spi.CodeInternal, "an error happened")
		return true
	}
	r := newTrial(t, s, Options{}).mustRun(t, dir)
	expect(t, "codes", codes(r), map[string]Code{bad: CodeServer})
	expect(t, "uploaded", r.Uploaded, int64(3))
}

func TestTokensThatEndAtTheWrongMomentAreNoReasonToStop(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 10)
	var mu sync.Mutex
	n := 0
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/get_token" {
			n++
		}
		if r.URL.Path == "/get_token" || n < 4 || n > 9 {
			return false
		}
		refuse(w, spi.CodeUnauthorized, "the token is over")
		return true
	}
	r := newTrial(t, s, Options{}).mustRun(t, dir)
	expect(t, "counts", []int64{r.Uploaded + r.AlreadyThere, r.Failed}, []int64{10, 0})
}

func TestALogInPageInTheMiddleOfARunIsWaitedFor(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 10)
	var mu sync.Mutex
	n := 0
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n++; n < 8 || n > 14 {
			return false
		}
		http.Redirect(w, r, "http://login.example/", http.StatusFound)
		return true
	}
	r := newTrial(t, s, Options{}).mustRun(t, dir)
	expect(t, "counts", []int64{r.Uploaded + r.AlreadyThere, r.Failed}, []int64{10, 0})
}

func TestALineThatStandsStillIsGivenUp(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	large := append(picture(1), make([]byte, 30<<20)...) // more than the system's buffers take
	put(t, filepath.Join(dir, spitest.Name("5c173ff2", at(0))), large)
	var stood atomic.Bool
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	s.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/_put_new_images" || !stood.CompareAndSwap(false, true) {
			return false
		}
		<-released // and reads nothing
		return true
	}
	r := newTrial(t, s, Options{StallAfter: 300 * time.Millisecond}).mustRun(t, dir)
	expect(t, "uploaded", r.Uploaded, int64(1))
	expect(t, "whole uploads", s.uploads(), 1)
	if r.SentBytes <= r.UploadedBytes {
		t.Errorf("%d bytes sent, %d of them arrived", r.SentBytes, r.UploadedBytes)
	}
}

func TestAnInterruptionLetsUploadsFinishAndTheNextRunGoesOn(t *testing.T) {
	s, dir, journal := newServer(t), t.TempDir(), filepath.Join(t.TempDir(), "journal")
	card(t, dir, "5c173ff2", 30)
	cause := errors.New("Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	s.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/_put_new_images" && s.uploads() >= 5 {
			cancel(cause)
			time.Sleep(20 * time.Millisecond) // it is noticed while this one is on its way
		}
		return false
	}
	r, err := newTrial(t, s, Options{Journal: journal}).Run(ctx, dir)
	if !errors.Is(err, cause) {
		t.Fatal(err)
	}
	if r.Complete || r.Uploaded < 6 || r.Uploaded == 30 {
		t.Errorf("%+v", r)
	}
	expect(t, "acknowledged", int(r.Uploaded), len(s.stored()))
	s.fault = nil
	again := newTrial(t, s, Options{Journal: journal}).mustRun(t, dir)
	expect(t, "counts", []int64{again.Uploaded, again.AlreadyThere}, []int64{30 - r.Uploaded, r.Uploaded})
	expect(t, "uploads", s.uploads(), 30)
}

func TestWorkersBeginFewAndBecomeAsManyAsAllowed(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 60)
	s.slow = 5 * time.Millisecond
	newTrial(t, s, Options{Workers: 3}).mustRun(t, dir)
	if s.most > 3 || s.most < 2 {
		t.Errorf("%d uploads at a time", s.most)
	}
}

func TestTheBandwidthIsKeptToByAllFilesTogether(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 20)
	const limit = 20_000
	r := newTrial(t, s, Options{Limit: limit}).mustRun(t, dir)
	expect(t, "uploaded", r.Uploaded, int64(20))
	// the first chunk needs no waiting; a busy machine is slower, never faster
	if least := float64(r.SentBytes-limit/4) / limit; r.Seconds < least {
		t.Errorf("%d bytes in %.2f s, which takes %.2f s at least", r.SentBytes, r.Seconds, least)
	}
}

func TestProgressEndsWithEverything(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	card(t, dir, "5c173ff2", 10)
	x := newTrial(t, s, Options{})
	var last Progress
	x.options.OnProgress = func(p Progress) { last = p }
	r := x.mustRun(t, dir)
	last.Rate = 0
	expect(t, "progress", last, Progress{
		Files: 10, Bytes: r.FoundBytes, Counted: true, Settled: 10, SettledBytes: r.FoundBytes, Uploaded: 10,
		UploadedBytes: r.FoundBytes, SentBytes: r.FoundBytes,
	})
	expect(t, "outcomes", len(x.outcomes), 10)
}
