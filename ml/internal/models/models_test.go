package models_test

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/bundle"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/models"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// shop is a server with a bundle.
type shop struct {
	mu     sync.Mutex
	files  map[string]string
	pushed time.Time
	away   bool
	status int    // of its files; 0: they are there
	md5    string // in the list, instead of the right ones
	length string // that its files are said to have, and nothing comes of them
	url    string
}

func (s *shop) GetBundleFiles(context.Context, string, spi.BundlePart) ([]spi.BundleFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, spi.Errorf(spi.CodeUnavailable, "away")
	}
	var list []spi.BundleFile
	for key, text := range s.files {
		sum := cmp.Or(s.md5, fmt.Sprintf("%x", md5.Sum([]byte(text))))
		list = append(list, spi.BundleFile{Key: key, MD5: sum, MTime: float64(s.pushed.Unix()), URL: s.url + "/" + key})
	}
	return list, nil
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.length != "" {
		w.Header().Set("Content-Length", s.length)
		return
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
	_, _ = w.Write([]byte(s.files[r.URL.Path[1:]]))
}

func (s *shop) set(files map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = files
}

type setting struct {
	shop *shop
	dir  string
	m    *models.Models
	reg  *prometheus.Registry
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	s := &setting{shop: &shop{pushed: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}, dir: t.TempDir()}
	srv := httptest.NewServer(s.shop)
	t.Cleanup(srv.Close)
	s.shop.url = srv.URL
	s.start(t)
	return s
}

// start is a worker's start with the same folder.
func (s *setting) start(t *testing.T) {
	t.Helper()
	s.reg = prometheus.NewRegistry()
	var err error
	if s.m, err = models.New(models.Config{
		Folder: &bundle.Folder{API: s.shop, HTTP: http.DefaultClient, Dir: s.dir}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: s.reg,
	}); err != nil {
		t.Fatal(err)
	}
}

// refresh gives the detector to use; nil where there is none yet.
func (s *setting) refresh(t *testing.T) detect.Detector {
	t.Helper()
	d, err := s.m.Refresh(t.Context())
	if err != nil && d != nil {
		t.Errorf("a detector, and %v", err)
	}
	return d
}

func (s *setting) unusable(t *testing.T) bool {
	t.Helper()
	text := "# HELP uid_bundle_unusable 1 where the bundle's model cannot be used and the builtin one is instead.\n# TYPE uid_bundle_unusable gauge\nuid_bundle_unusable 1\n"
	return testutil.GatherAndCompare(s.reg, strings.NewReader(text), "uid_bundle_unusable") == nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// weights are the tiny network's, as if trained then.
func weights(t *testing.T, trained string) string {
	t.Helper()
	text := read(t, "../detect/onnx/testdata/tiny/weights.safetensors")
	if !strings.Contains(text, "2020-01-02_03-04-05") {
		t.Fatal("the weights of testdata have another date")
	}
	return strings.Replace(text, "2020-01-02_03-04-05", trained, 1)
}

// enormous gives weights that are all finite, and as large as float16 has them.
func enormous(weights string) string {
	data := []byte(weights)
	for at := 8 + int(binary.LittleEndian.Uint64(data)) + 1; at < len(data); at += 2 {
		data[at] = data[at]&0x80 | 0x7b
	}
	return string(data)
}

func embedded(t *testing.T) string {
	t.Helper()
	d, err := builtin.New()
	if err != nil {
		t.Fatal(err)
	}
	return d.Version()
}

func TestVersionsAreAsTheServerTakesThem(t *testing.T) {
	if v := embedded(t); !regexp.MustCompile(`^[0-9]{10}-[0-9a-f]{32}$`).MatchString(v) {
		t.Errorf("the builtin detector's version is %s, no TIMESTAMP-MD5", v)
	}
}

func TestNewerWeightsOfTheBundleAreUsedAndOlderOnesAreNot(t *testing.T) {
	s := newSetting(t)
	own := embedded(t)
	if d := s.refresh(t); d.Version() != own {
		t.Errorf("without a bundle: %s", d.Version())
	}
	s.shop.set(map[string]string{bundle.WeightsKey: weights(t, "2020-01-02_03-04-05")})
	if d := s.refresh(t); d.Version() != own || s.unusable(t) {
		t.Errorf("with older weights: %s, %v", d.Version(), s.m.Problem())
	}
	s.shop.set(map[string]string{bundle.WeightsKey: weights(t, "2099-01-02_03-04-05")})
	d := s.refresh(t)
	if !strings.HasPrefix(d.Version(), "4071006245-") || d.Name() != "builtin" {
		t.Errorf("with newer weights: %s %s, %v", d.Name(), d.Version(), s.m.Problem())
	}
	if again := s.refresh(t); again != d {
		t.Error("another detector, though nothing has changed")
	}
	// the server away: what was synced last goes on, at the next start too
	s.shop.away = true
	if again := s.refresh(t); again != d {
		t.Error("another detector, while the server is away")
	}
	s.start(t)
	if again := s.refresh(t); again.Version() != d.Version() {
		t.Errorf("after a start without the server: %s", again.Version())
	}
	// the model is taken out of the bundle
	s.shop.away = false
	s.shop.set(nil)
	if d := s.refresh(t); d.Version() != own {
		t.Errorf("without a bundle again: %s", d.Version())
	}
}

// newer is a bundle with weights that are used.
func newer(t *testing.T) map[string]string {
	return map[string]string{bundle.WeightsKey: weights(t, "2099-01-02_03-04-05")}
}

func TestAReplicaThatNeverSyncedWaitsWhateverKeepsItFromIt(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(t *testing.T, s *setting) (mend func())
		says  string
	}{
		"the server away": {func(_ *testing.T, s *setting) func() {
			s.shop.away = true
			return func() { s.shop.away = false }
		}, "away"},
		"the object store away": {func(_ *testing.T, s *setting) func() {
			s.shop.status = http.StatusServiceUnavailable
			return func() { s.shop.status = 0 }
		}, "503"},
		"another md5 in the list": {func(_ *testing.T, s *setting) func() {
			s.shop.md5 = "ad2cd78dfaca12821046dfb8994724d5"
			return func() { s.shop.md5 = "" }
		}, "instead of ad2cd78dfaca12821046dfb8994724d5: if that goes on, push it again"},
		"a folder that cannot be made": {func(t *testing.T, s *setting) func() {
			file := filepath.Join(s.dir, "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s.dir = file
			return func() {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
		}, "must be a folder of user"},
		"a damaged copy, and the server away": {func(t *testing.T, s *setting) func() {
			s.refresh(t)
			copies, err := filepath.Glob(filepath.Join(s.dir, "model-*", filepath.FromSlash(bundle.WeightsKey)))
			if err != nil || len(copies) != 1 {
				t.Fatalf("copies %v, %v", copies, err)
			}
			if err := os.WriteFile(copies[0], []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
			s.shop.away = true
			return func() { s.shop.away = false }
		}, "away"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.shop.set(newer(t))
			mend := tt.fault(t, s)
			s.start(t)
			if d, err := s.m.Refresh(t.Context()); d != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("detector %v, waiting because: %v; want %q", d, err, tt.says)
			}
			mend()
			if d := s.refresh(t); d == nil || !strings.HasPrefix(d.Version(), "4071006245-") {
				t.Errorf("mended: %v, %v", d, s.m.Problem())
			}
		})
	}
}

func TestABundleThatWaitingDoesNotMendIsReportedAndTheDetectorOfBeforeOrTheBuiltinOneGoesOn(t *testing.T) {
	many := newer(t)
	for i := range 17 {
		many[fmt.Sprintf("output/%d.onnx", i)] = "model"
	}
	other := map[string]string{bundle.WeightsKey: weights(t, "2099-02-03_04-05-06")}
	for name, tt := range map[string]struct {
		spoil func(*shop)
		says  string
	}{
		"no md5 in the list": {func(s *shop) { s.md5 = "ad2cd78dfaca12821046dfb8994724d5-2" }, "push the file again"}, // of an upload in parts
		"too many models":    {func(s *shop) { s.files = many }, "remove those that are not used"},
		"too large a model":  {func(s *shop) { s.files, s.length = other, "1073741825" }, "more than 1024 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			spoil := func(s *setting) {
				s.shop.set(newer(t))
				tt.spoil(s.shop)
			}
			mend := func(s *setting) {
				s.shop.md5, s.shop.length = "", ""
				s.shop.set(newer(t))
			}
			reported := func(s *setting) {
				t.Helper()
				if p := s.m.Problem(); p == nil || !strings.Contains(p.Error(), tt.says) || !s.unusable(t) {
					t.Errorf("the problem is %v, want %q; in the metrics: %v", p, tt.says, s.unusable(t))
				}
			}
			used := func(s *setting) {
				t.Helper()
				if d := s.refresh(t); d == nil || !strings.HasPrefix(d.Version(), "4071006245-") {
					t.Errorf("used: %v", d)
				}
			}
			// a replica that never synced
			s := newSetting(t)
			spoil(s)
			if d := s.refresh(t); d == nil || d.Version() != embedded(t) {
				t.Fatalf("used: %v, want the builtin detector", d)
			}
			reported(s)
			mend(s)
			used(s)
			if s.m.Problem() != nil || s.unusable(t) {
				t.Errorf("mended, and the problem is still %v", s.m.Problem())
			}
			// one with a model in use, which then starts again, and mending is nothing but going back to that model
			spoil(s)
			used(s)
			reported(s)
			s.start(t)
			used(s)
			reported(s)
			mend(s)
			used(s)
			if s.m.Problem() != nil || s.unusable(t) {
				t.Errorf("mended, and the problem is still %v", s.m.Problem())
			}
		})
	}
}

func TestAReplicaThatKnowsOfNoModelDoesNotWait(t *testing.T) {
	s := newSetting(t)
	s.refresh(t)
	s.shop.away = true
	s.start(t)
	if d := s.refresh(t); d == nil || d.Version() != embedded(t) {
		t.Errorf("no model at the last sync, the server away: %v", d)
	}
	// Nor where it cannot even note that there is none.
	s = newSetting(t)
	s.dir = filepath.Join(s.dir, "file")
	if err := os.WriteFile(s.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	if d := s.refresh(t); d == nil || d.Version() != embedded(t) {
		t.Errorf("no bundle, and a folder that cannot be made: %v", d)
	}
}

func TestAnUnusableBundleIsReportedAndTheBuiltinDetectorGoesOn(t *testing.T) {
	config := "output: {kind: fg_core}\n"
	for name, files := range map[string]map[string]string{
		"weights that are none":        {bundle.WeightsKey: "no weights"},
		"weights of another kind":      {bundle.WeightsKey: strings.Replace(weights(t, "2099-01-02_03-04-05"), "sticky-pi-unet/1", "sticky-pi-unet/9", 1)},
		"weights of too many bytes":    {bundle.WeightsKey: weights(t, "2099-01-02_03-04-05") + strings.Repeat("\x00", 64<<20)},
		"weights that are enormous":    {bundle.WeightsKey: enormous(weights(t, "2099-01-02_03-04-05"))},
		"a model that is none":         {"output/a.onnx": "no model", bundle.ConfigKey: config},
		"a model without its settings": {"output/a.onnx": "no model"},
		"settings that are none":       {"output/a.onnx": "no model", bundle.ConfigKey: "output: ["},
		"two models":                   {"output/a.onnx": "no model", "output/b.onnx": "another", bundle.ConfigKey: config},
		"a model that is not there":    {"output/a.onnx": "no model", bundle.ConfigKey: config + "model: b.onnx\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.shop.set(files)
			if d := s.refresh(t); d.Version() != embedded(t) {
				t.Errorf("%s %s is used", d.Name(), d.Version())
			}
			if s.m.Problem() == nil || !s.unusable(t) {
				t.Errorf("the problem is %v, in the metrics: %v", s.m.Problem(), s.unusable(t))
			}
			s.shop.set(nil)
			s.refresh(t)
			if s.m.Problem() != nil || s.unusable(t) {
				t.Errorf("mended, and the problem is still %v", s.m.Problem())
			}
		})
	}
}

func TestABrokenModelDoesNotHideNewerWeights(t *testing.T) {
	s := newSetting(t)
	s.shop.set(map[string]string{
		"output/a.onnx": "no model", bundle.ConfigKey: "output: {kind: fg_core}\n", bundle.WeightsKey: weights(t, "2099-01-02_03-04-05"),
	})
	if d := s.refresh(t); !strings.HasPrefix(d.Version(), "4071006245-") || s.m.Problem() == nil {
		t.Errorf("%s, problem %v", d.Version(), s.m.Problem())
	}
}

// TestAModelOfTheBundleGoesBeforeTheBuiltinOne needs onnxruntime; without it, that is what it finds reported.
func TestAModelOfTheBundleGoesBeforeTheBuiltinOne(t *testing.T) {
	s := newSetting(t)
	tiny := "../detect/onnx/testdata/tiny"
	s.shop.set(map[string]string{
		"output/model.onnx": read(t, filepath.Join(tiny, "model.onnx")), bundle.ConfigKey: read(t, filepath.Join(tiny, "config.yaml")),
	})
	d := s.refresh(t)
	if p := s.m.Problem(); p != nil {
		if !strings.Contains(p.Error(), "onnxruntime") {
			t.Error(p)
		}
		t.Skip(p)
	}
	sum := md5.Sum([]byte(s.shop.files["output/model.onnx"]))
	if want := "1798761600-" + hex.EncodeToString(sum[:]); d.Name() != "onnx" || d.Version() != want {
		t.Errorf("%s %s, want onnx %s", d.Name(), d.Version(), want)
	}
}
