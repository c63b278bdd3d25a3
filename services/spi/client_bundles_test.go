package spi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// bundleStore is a stand-in for the API and the object store, whose faults a test sets.
type bundleStore struct {
	*server
	objects *httptest.Server

	mu       sync.Mutex
	files    map[string][]byte // by key
	keeps    string            // key of a file that it has from later than any that is offered
	asked    int               // for links
	requests []string          // to the object store: method, key, Range
	fault    func(n int, w http.ResponseWriter, r *http.Request) bool
}

func newBundleStore(t *testing.T) *bundleStore {
	t.Helper()
	b := &bundleStore{files: map[string][]byte{}}
	b.objects = httptest.NewServer(http.HandlerFunc(b.object))
	t.Cleanup(b.objects.Close)
	b.server = newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) { b.api(w, r) })
	return b
}

func (b *bundleStore) api(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/_get_ml_bundle_file_list/") {
		list := []BundleFile{}
		for key, data := range b.files {
			list = append(list, BundleFile{Key: key, MD5: sumOf(data), MTime: 1598113346.5, URL: b.objects.URL + "/" + key})
		}
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	b.asked++
	var files []NewBundleFile
	_ = json.NewDecoder(r.Body).Decode(&files)
	wanted := []BundleUpload{}
	for _, f := range files {
		if data, ok := b.files[f.Key]; f.Key != b.keeps && (!ok || sumOf(data) != f.MD5) {
			u := BundleUpload{NewBundleFile: f}
			u.URL.URL, u.URL.Fields = b.objects.URL, map[string]string{"key": f.Key, "link": fmt.Sprint(b.asked)}
			wanted = append(wanted, u)
		}
	}
	_ = json.NewEncoder(w).Encode(wanted)
}

func (b *bundleStore) object(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.requests)
	b.requests = append(b.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	if b.fault != nil && b.fault(n, w, r) {
		return
	}
	if r.Method == http.MethodGet {
		http.ServeContent(w, r, "", time.Unix(1598113346, 0), strings.NewReader(string(b.files[strings.TrimPrefix(r.URL.Path, "/")])))
		return
	}
	form, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var key string
	for {
		p, err := form.NextPart()
		if err != nil {
			http.Error(w, "no file", http.StatusBadRequest)
			return
		}
		data, err := io.ReadAll(p)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch p.FormName() {
		case "key":
			key = string(data)
		case "file": // the last one
			b.files[key] = data
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
}

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPushUploadsWhatTheServerWantsAndNothingElse(t *testing.T) {
	b := newBundleStore(t)
	b.files["config/config.yaml"] = []byte("same")
	b.files["data/b.svg"] = []byte("older")
	c, _ := newClient(t, b.server)
	dir := writeFiles(t, map[string]string{
		"config/config.yaml": "same", "data/b.svg": "newer", "data/c.txt": "", "output/model_final.pth": strings.Repeat("m", 100_000),
		"output/events.out": "not served", ".git/config.yaml": "hidden", "data/.d.svg": "hidden",
	})
	var seen []BundleProgress
	pushed, err := c.PushBundle(t.Context(), "b", dir, func(p BundleProgress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "pushed", pushed, []string{"data/b.svg", "data/c.txt", "output/model_final.pth"})
	expect(t, "new", string(b.files["data/b.svg"]), "newer")
	expect(t, "empty", string(b.files["data/c.txt"]), "")
	expect(t, "number of files", len(b.files), 4)
	expect(t, "last progress", seen[len(seen)-1], BundleProgress{Key: "output/model_final.pth", Done: 100_000, Size: 100_000, Files: 2, OfFiles: 3})
	again, err := c.PushBundle(t.Context(), "b", dir, nil)
	if err != nil || len(again) > 0 {
		t.Errorf("pushed again: %v, %v", again, err)
	}
}

func TestAnUploadIsSentAgainAndAnOldLinkIsReplaced(t *testing.T) {
	b := newBundleStore(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 0:
			drop(w)
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case 2:
			now = now.Add(time.Hour)
		}
		return false
	}
	c, w := newClient(t, b.server, WithClock(func() time.Time { return now }))
	dir := writeFiles(t, map[string]string{"data/a.txt": "1", "data/b.txt": "2"})
	pushed, err := c.PushBundle(t.Context(), "b", dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "pushed", pushed, []string{"data/a.txt", "data/b.txt"})
	expect(t, "waits", len(w.all), 2)
	expect(t, "links asked for", b.asked, 2)
}

func TestAPushThatIsRefusedOrDoesNotArriveIsAnError(t *testing.T) {
	b := newBundleStore(t)
	c, _ := newClient(t, b.server)
	dir := writeFiles(t, map[string]string{"data/a.txt": "1"})
	b.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	_, err := c.PushBundle(t.Context(), "b", dir, nil)
	expectCode(t, err, CodeUnavailable)
	b.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		b.files["data/a.txt"] = []byte("another")
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	_, err = c.PushBundle(t.Context(), "b", dir, nil)
	expectCode(t, err, CodeConflict)
	_, err = c.PushBundle(t.Context(), "b", t.TempDir(), nil)
	expectCode(t, err, CodeInvalid)
	_, err = c.PushBundle(t.Context(), "b", filepath.Join(dir, "missing"), nil)
	expectCode(t, err, CodeInvalid)
}

func TestAPushSaysWhichFileTheServerKeepsItsOwnOf(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"beside one that it takes": {"data/a.txt": "new", "data/b.txt": "mine"},
		"alone":                    {"data/b.txt": "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundleStore(t)
			b.files["data/b.txt"], b.keeps = []byte("a later one"), "data/b.txt"
			c, _ := newClient(t, b.server)
			dir := writeFiles(t, files)
			pushed, err := c.PushBundle(t.Context(), "b", dir, nil)
			expectCode(t, err, CodeConflict)
			if kept := filepath.Join(dir, "data", "b.txt"); err == nil || !strings.Contains(err.Error(), "touch "+kept) {
				t.Errorf("%v does not say what to do about %s", err, kept)
			}
			expect(t, "pushed", len(pushed), len(files)-1)
		})
	}
}

func TestPullDownloadsWhatDiffersAndGoesOnWhereItEnded(t *testing.T) {
	b := newBundleStore(t)
	model := []byte(strings.Repeat("0123456789", 20_000))
	b.files = map[string][]byte{"output/model_final.pth": model, "config/config.yaml": []byte("same"), "data/e.txt": nil}
	b.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/output/model_final.pth" {
			return false
		}
		if !strings.HasPrefix(b.requests[n], "GET /output/model_final.pth bytes=") { // the first time
			w.Header().Set("Content-Length", fmt.Sprint(len(model)))
			_, _ = w.Write(model[:120_000])
			_ = http.NewResponseController(w).Flush()
			drop(w)
		}
		return false
	}
	c, _ := newClient(t, b.server)
	dir := writeFiles(t, map[string]string{"config/config.yaml": "same", "data/mine.txt": "stays"})
	pulled, err := c.PullBundle(t.Context(), "b", WholeBundle, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "number of files pulled", len(pulled), 2)
	got, err := os.ReadFile(filepath.Join(dir, "output", "model_final.pth"))
	if err != nil || sumOf(got) != sumOf(model) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	resumed := false
	for _, r := range b.requests {
		resumed = resumed || strings.HasPrefix(r, "GET /output/model_final.pth bytes=")
	}
	if !resumed {
		t.Errorf("not resumed: %q", b.requests)
	}
	info, err := os.Stat(filepath.Join(dir, "output", "model_final.pth"))
	if err != nil || info.ModTime().UnixMilli() != 1598113346500 {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
	entries, _ := os.ReadDir(filepath.Join(dir, "output"))
	expect(t, "files left", len(entries), 1)
	if again, err := c.PullBundle(t.Context(), "b", WholeBundle, dir, nil); err != nil || len(again) > 0 {
		t.Errorf("pulled again: %v, %v", again, err)
	}
}

func TestAPullKeepsWhatIsThereUntilTheNewFileIsRight(t *testing.T) {
	b := newBundleStore(t)
	b.files = map[string][]byte{"data/a.txt": []byte("right")}
	b.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		write(w, "wrong")
		return true
	}
	c, w := newClient(t, b.server)
	dir := writeFiles(t, map[string]string{"data/a.txt": "old"})
	_, err := c.PullBundle(t.Context(), "b", WholeBundle, dir, nil)
	expectCode(t, err, CodeUnavailable)
	expect(t, "waits", len(w.all), 2)
	if text, err := os.ReadFile(filepath.Join(dir, "data", "a.txt")); err != nil || string(text) != "old" {
		t.Errorf("%q, %v", text, err)
	}
	// a whole part that was left behind by a crash is used, a wrong one is not
	for _, left := range []string{"right", "wrong", "right and more"} {
		b.fault = nil
		dir := writeFiles(t, map[string]string{"data/a.txt." + sumOf([]byte("right")) + ".part": left})
		if _, err := c.PullBundle(t.Context(), "b", WholeBundle, dir, nil); err != nil {
			t.Errorf("after %q: %v", left, err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "data", "a.txt")); err != nil || string(text) != "right" {
			t.Errorf("after %q: %q, %v", left, text, err)
		}
	}
}

func TestAPullWritesNothingOutsideOfItsFolder(t *testing.T) {
	for _, key := range []string{"../a.txt", "/a.txt", "data/../../a.txt", ""} {
		b := newBundleStore(t)
		b.files = map[string][]byte{key: []byte("x")}
		c, _ := newClient(t, b.server)
		_, err := c.PullBundle(t.Context(), "b", WholeBundle, t.TempDir(), nil)
		expectCode(t, err, CodeInvalid)
		expect(t, "requests to the object store", len(b.requests), 0)
	}
	b := newBundleStore(t)
	c, _ := newClient(t, b.server)
	_, err := c.PullBundle(t.Context(), "b", WholeBundle, t.TempDir(), nil)
	expectCode(t, err, CodeNotFound)
}

func TestAPullLeavesOutHiddenFiles(t *testing.T) {
	b := newBundleStore(t)
	b.files = map[string][]byte{".git/hooks/a.txt": []byte("x"), "data/.b.yaml": []byte("x"), "data/c.txt": []byte("x")}
	c, _ := newClient(t, b.server)
	dir := t.TempDir()
	pulled, err := c.PullBundle(t.Context(), "b", WholeBundle, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "pulled", pulled, []string{"data/c.txt"})
	if _, err := os.Lstat(filepath.Join(dir, ".git")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a hidden folder was made: %v", err)
	}
}

func TestAPushAndAPullEndWithTheirContext(t *testing.T) {
	b := newBundleStore(t)
	b.files = map[string][]byte{"data/z.txt": []byte("z")}
	ctx, cancel := context.WithCancel(t.Context())
	b.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		cancel()
		drop(w)
		return true
	}
	c, _ := newClient(t, b.server)
	if _, err := c.PushBundle(ctx, "b", writeFiles(t, map[string]string{"data/a.txt": "1"}), nil); ctx.Err() == nil || err == nil {
		t.Errorf("push: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	if _, err := c.PullBundle(ctx, "b", WholeBundle, t.TempDir(), nil); ctx.Err() == nil || err == nil {
		t.Errorf("pull: %v", err)
	}
}
