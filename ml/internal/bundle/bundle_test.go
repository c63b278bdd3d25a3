package bundle_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/bundle"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// shop is a server with a bundle. A file's bytes may be other than its md5 says.
type shop struct {
	mu     sync.Mutex
	files  map[string]string
	served map[string]string // instead of those
	asked  []string          // downloads
	away   bool
	url    string
}

var pushed = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newShop(t *testing.T, files map[string]string) *shop {
	s := &shop{files: files, served: map[string]string{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *shop) GetBundleFiles(_ context.Context, name string, part spi.BundlePart) ([]spi.BundleFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away || name != bundle.Name || part != spi.BundleModel {
		return nil, spi.Errorf(spi.CodeUnavailable, "away")
	}
	var list []spi.BundleFile
	for key, text := range s.files {
		sum := md5.Sum([]byte(text))
		list = append(list, spi.BundleFile{Key: key, MD5: hex.EncodeToString(sum[:]), MTime: float64(pushed.Unix()), URL: s.url + "/" + key})
	}
	return list, nil
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.URL.Path[1:]
	s.asked = append(s.asked, key)
	text, ok := s.served[key]
	if !ok {
		text, ok = s.files[key]
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(text))
}

// change replaces the bundle.
func (s *shop) change(files map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files, s.asked = files, nil
}

func content(t *testing.T, m bundle.Model) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, f := range m.Files {
		text, err := os.ReadFile(m.Path(f.Key))
		if err != nil {
			t.Fatal(err)
		}
		got[f.Key] = string(text)
	}
	return got
}

// synced is what a worker does about the bundle.
func synced(t *testing.T, f *bundle.Folder) bundle.Model {
	t.Helper()
	m, err := f.Sync(t.Context())
	if err == nil {
		err = f.Keep(m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSyncGetsWhatDetectorsUseAndNothingElse(t *testing.T) {
	used := map[string]string{"config/config.yaml": "a: 1", "output/net.onnx": "model", "output/weights.safetensors": "weights"}
	all := map[string]string{"output/model_final.pth": "old", "config/other.yaml": "b", "output/deeper/net.onnx": "c", "output/../../x.onnx": "d", "output/.x.onnx": "e"}
	for k, v := range used {
		all[k] = v
	}
	s := newShop(t, all)
	f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: filepath.Join(t.TempDir(), "new")}
	m, err := f.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, used, content(t, m))
	same(t, []string{"output/net.onnx"}, m.ONNX())
	file, ok := m.File("output/net.onnx")
	if !ok || !file.MTime.Equal(pushed) {
		t.Errorf("%v, %v", file, ok)
	}
	// again: nothing is downloaded, and the server may be away
	asked := len(s.asked)
	again, err := f.Sync(t.Context())
	if err != nil || len(s.asked) != asked {
		t.Errorf("%v after %d downloads", err, len(s.asked)-asked)
	}
	same(t, m, again)
	s.away = true
	if _, err := f.Sync(t.Context()); spi.CodeOf(err) != spi.CodeUnavailable {
		t.Errorf("the server is away, and it says %v", err)
	}
	if err := f.Keep(m); err != nil {
		t.Fatal(err)
	}
	last, err := f.Last()
	if err != nil {
		t.Fatal(err)
	}
	same(t, m, last)
}

func TestAPartOfABundleIsNeverUsed(t *testing.T) {
	s := newShop(t, map[string]string{"config/config.yaml": "a: 1", "output/net.onnx": "model"})
	f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: t.TempDir()}
	first := synced(t, f)
	newer := map[string]string{"config/config.yaml": "a: 2", "output/net.onnx": "newer model"}
	s.change(newer)
	s.served["output/net.onnx"] = "newer mod" // cut short
	if _, err := f.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "md5") {
		t.Errorf("error %v", err)
	}
	last, err := f.Last()
	if err != nil {
		t.Fatal(err)
	}
	same(t, first, last)
	if left, _ := filepath.Glob(filepath.Join(f.Dir, "incoming-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	delete(s.served, "output/net.onnx")
	m, err := f.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, newer, content(t, m))
	same(t, map[string]string{"config/config.yaml": "a: 1", "output/net.onnx": "model"}, content(t, first)) // still in use elsewhere
}

func TestABundleWithoutAModelIsNone(t *testing.T) {
	s := newShop(t, map[string]string{"output/net.onnx": "model"})
	f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: t.TempDir()}
	if m, err := f.Last(); !errors.Is(err, bundle.ErrNeverSynced) {
		t.Errorf("before the first sync: %v, %v", m, err)
	}
	synced(t, f)
	// as the old stack's is; a broken file that nobody reads is no reason to wait either
	s.change(map[string]string{"output/model_final.pth": "old", "config/config.yaml": "of the old stack"})
	s.served["config/config.yaml"] = "broken"
	if m := synced(t, f); m.Dir != "" || len(m.Files) > 0 {
		t.Errorf("%v", m)
	}
	if m, err := f.Last(); err != nil || m.Dir != "" {
		t.Errorf("%v, %v", m, err)
	}
}

func TestADamagedCopyIsDownloadedAgain(t *testing.T) {
	s := newShop(t, map[string]string{"output/net.onnx": "model"})
	f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: t.TempDir()}
	m := synced(t, f)
	if err := os.WriteFile(m.Path("output/net.onnx"), []byte("mode1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Last(); err == nil {
		t.Error("a damaged copy passes")
	}
	same(t, map[string]string{"output/net.onnx": "model"}, content(t, synced(t, f)))
}

func TestWorkersShareAFolder(t *testing.T) {
	s := newShop(t, map[string]string{"output/net.onnx": strings.Repeat("model", 10000), "config/config.yaml": "a: 1"})
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: dir}
			m, err := f.Sync(t.Context())
			if err == nil {
				err = f.Keep(m)
			}
			if err != nil || len(m.Files) != 2 {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
	wg.Wait()
}

func TestWhatAKilledWorkerLeftIsTakenAwayBeforeADownload(t *testing.T) {
	s := newShop(t, map[string]string{"output/net.onnx": "model"})
	s.served["output/net.onnx"] = "cut" // nothing can be synced, as on a full disk
	f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: t.TempDir()}
	now := time.Now()
	for name, written := range map[string]time.Time{
		"incoming-left/output/net.onnx":      now.Add(-2 * time.Hour),
		"incoming-at-work/output/net.onnx":   now,
		"model-in-use/output/net.onnx":       now.Add(-2 * time.Hour),
		"somebody-elses/output/another.onnx": now.Add(-2000 * time.Hour),
	} {
		path := filepath.Join(f.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("a part"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} { // as old as the download
			if err := os.Chtimes(dir, now.Add(-2*time.Hour), now.Add(-2*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if m, err := f.Sync(t.Context()); err == nil {
		t.Errorf("synced %v", m)
	}
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	same(t, []string{"incoming-at-work", "model-in-use", "somebody-elses"}, names)
}

func TestAModelThatIsTooLargeIsNotDownloaded(t *testing.T) {
	s := newShop(t, map[string]string{"output/net.onnx": "model"})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1073741825") // and nothing comes of them: whoever reads finds that it broke off
	}))
	defer srv.Close()
	s.url = srv.URL
	f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: t.TempDir()}
	if _, err := f.Sync(t.Context()); !errors.Is(err, bundle.ErrUnusable) || !strings.Contains(err.Error(), "more than 1024 MB") {
		t.Errorf("error %v", err)
	}
}

func TestAStoppedDownloadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newShop(t, map[string]string{"output/net.onnx": "model"})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer srv.Close()
	s.url = srv.URL
	f := &bundle.Folder{API: s, HTTP: http.DefaultClient, Dir: t.TempDir()}
	if _, err := f.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestTooManyOrUnnamedFilesAreRefused(t *testing.T) {
	many := map[string]string{}
	for i := range 17 {
		many["output/"+strings.Repeat("a", i+1)+".onnx"] = "model"
	}
	f := &bundle.Folder{API: newShop(t, many), HTTP: http.DefaultClient, Dir: t.TempDir()}
	if _, err := f.Sync(t.Context()); !errors.Is(err, bundle.ErrUnusable) || !strings.Contains(err.Error(), "17 files") {
		t.Errorf("error %v", err)
	}
}
