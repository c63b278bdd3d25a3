package worker_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/worker"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

const (
	version1 = "1700000000-ad2cd78dfaca12821046dfb8994724d5"
	version2 = "1800000000-bd2cd78dfaca12821046dfb8994724d5"
)

var noon = time.Date(2021, 5, 4, 12, 0, 0, 0, time.UTC)

// A site stands for the API and the object store, in memory, so that they can be made to fail and time be a bubble's.
type site struct {
	mu       sync.Mutex
	waiting  []spi.Image // newest first
	limits   []int       // of the leases
	versions []string
	put      []string // documents, by device and time
	reported []spi.FailureReport
	objects  map[string][]byte
	order    []string // of the downloads

	api   func(call string) error // makes calls fail; nil: none
	hangs map[string]int          // how many calls of a kind get no answer
	store func() int              // gives another status than 200; nil: none
	bad   map[string]int          // statuses of some objects, by path
	alone map[string]bool         // devices whose images come with no others
}

// newSite gives one with n photographs, a minute apart.
func newSite(n int) *site {
	s := &site{objects: map[string][]byte{}, hangs: map[string]int{}}
	for i := n - 1; i >= 0; i-- {
		data := spitest.Picture(spitest.Photo{Width: 32 + i, Height: 24, Seed: uint64(i)})
		s.add(fmt.Sprintf("%08x", i), data)
	}
	return s
}

func (s *site) add(device string, data []byte) {
	sum := md5.Sum(data)
	s.waiting = append(s.waiting, spi.Image{
		Device: device, Datetime: spi.Datetime{Time: noon}, MD5: hex.EncodeToString(sum[:]), URL: "http://store/" + device,
	})
	s.objects["/"+device] = data
}

func (s *site) fails(call string) error {
	if s.api == nil {
		return nil
	}
	return s.api(call)
}

// answers waits for the context's end in calls that hang.
func (s *site) answers(ctx context.Context, call string) error {
	s.mu.Lock()
	s.hangs[call]--
	hangs := s.hangs[call] >= 0
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (s *site) LeaseImages(ctx context.Context, what spi.What, requests ...spi.WorkRequest) ([]spi.Image, error) {
	if err := s.answers(ctx, "lease"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails("lease"); err != nil {
		return nil, err
	}
	if ctx.Err() != nil || what != spi.FullImage || len(requests) != 1 || requests[0].AlgoName != worker.AlgoName || requests[0].Device != "%" {
		return nil, spi.Errorf(spi.CodeInvalid, "what is that? %v", requests)
	}
	s.limits, s.versions = append(s.limits, requests[0].Limit), append(s.versions, requests[0].AlgoVersion)
	n := min(len(s.waiting), requests[0].Limit)
	if i := slices.IndexFunc(s.waiting[:n], func(p spi.Image) bool { return s.alone[p.Device] }); i >= 0 {
		n = max(i, 1)
	}
	leased := slices.Clone(s.waiting[:n])
	s.waiting = s.waiting[n:]
	return leased, nil
}

func (s *site) PutAnnotations(ctx context.Context, documents ...json.RawMessage) ([]spi.Annotation, error) {
	if err := s.answers(ctx, "put"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails("put"); err != nil {
		return nil, err
	}
	for _, d := range documents {
		s.put = append(s.put, string(d))
	}
	return nil, nil
}

func (s *site) ReportFailures(_ context.Context, failures ...spi.FailureReport) ([]spi.Failure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails("report"); err != nil {
		return nil, err
	}
	for _, f := range failures {
		s.reported = append(s.reported, f)
		if f.GivenBack {
			back := spi.Image{Device: f.Device, Datetime: f.Datetime, MD5: md5Of(s.objects["/"+f.Device]), URL: "http://store/" + f.Device}
			at, _ := slices.BinarySearchFunc(s.waiting, back, func(a, b spi.Image) int { return strings.Compare(b.Device, a.Device) })
			s.waiting = slices.Insert(s.waiting, at, back)
		}
	}
	return nil, nil
}

func (s *site) GetBacklog(ctx context.Context, _ ...string) ([]spi.Backlog, error) {
	if err := s.answers(ctx, "backlog"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return []spi.Backlog{{AlgoName: worker.AlgoName, Waiting: int64(len(s.waiting))}}, s.fails("backlog")
}

// RoundTrip is the object store.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := http.StatusOK
	if s.store != nil {
		status = s.store()
	}
	if bad, ok := s.bad[r.URL.Path]; ok {
		status = bad
	}
	data, ok := s.objects[r.URL.Path]
	if !ok {
		status = http.StatusNotFound
	}
	s.order = append(s.order, r.URL.Path[1:])
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(bytes.NewReader(data)), ContentLength: int64(len(data)), Request: r,
	}, nil
}

func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// detector is one that does as the test says. It stands for the real ones where a fault must be forced.
type detector struct {
	version string
	detect  func(ctx context.Context, p image.Image) ([]detect.Insect, error)
	closed  atomic.Bool
}

func (d *detector) Name() string    { return "forced" }
func (d *detector) Version() string { return d.version }
func (d *detector) Close() error    { d.closed.Store(true); return nil }
func (d *detector) Detect(ctx context.Context, p image.Image) ([]detect.Insect, error) {
	return d.detect(ctx, p)
}

// slowly finds a triangle as wide as the photograph, after a while.
func slowly(d time.Duration) *detector {
	return &detector{version: version1, detect: func(ctx context.Context, p image.Image) ([]detect.Insect, error) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return []detect.Insect{{Outline: []image.Point{{X: 1, Y: 2}, {X: p.Bounds().Dx(), Y: 4}, {X: 5, Y: 6}}, Score: 0.9}}, nil
	}}
}

// models gives one detector after the other, and stays with the last.
type models []detect.Detector

func (m *models) Refresh(context.Context) (detect.Detector, error) {
	d := (*m)[0]
	if len(*m) > 1 {
		*m = (*m)[1:]
	}
	if d == nil {
		return nil, spi.Errorf(spi.CodeUnavailable, "the bundle is away")
	}
	return d, nil
}

// run works for a time of the bubble.
func run(t *testing.T, s *site, workers int, lasting time.Duration, m ...detect.Detector) (*worker.Worker, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	all := models(m)
	w := worker.New(worker.Config{
		API: s, HTTP: &http.Client{Transport: s}, Models: &all, Workers: workers, IdleMax: 30 * time.Second, RefreshEvery: 2 * time.Minute,
		Grace: 6 * time.Second, Metrics: worker.NewMetrics(reg), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	w.Run(ctx)
	return w, reg
}

// annotated are the devices whose images are annotated, in the order of the puts.
func (s *site) annotated(t *testing.T) []string {
	t.Helper()
	var devices []string
	for _, text := range s.put {
		var d spi.AnnotationDocument
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		devices = append(devices, d.Metadata.Device)
	}
	return devices
}

func (s *site) reasons() map[string]string {
	reasons := map[string]string{}
	for _, f := range s.reported {
		if !f.GivenBack {
			reasons[f.Device] += f.Reason
		}
	}
	return reasons
}

func (s *site) givenBack() (n int) {
	for _, f := range s.reported {
		if f.GivenBack {
			n++
		}
	}
	return n
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestEveryImageIsAnnotatedInTheOrderOfTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(20)
		_, reg := run(t, s, 1, 10*time.Minute, slowly(4*time.Second))
		var want []string
		for i := 19; i >= 0; i-- {
			want = append(want, fmt.Sprintf("%08x", i))
		}
		same(t, "annotated", want, s.annotated(t))
		same(t, "reported", 0, len(s.reported))
		// half a minute's work at a time, once it is known how long an image takes
		same(t, "leases", []int{1, 7, 7, 7}, s.limits[:4])
		expected := "# HELP uid_insects_total Insects found on them.\n# TYPE uid_insects_total counter\nuid_insects_total 20\n"
		if err := testutil.GatherAndCompare(reg, strings.NewReader(expected), "uid_insects_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestADocumentIsAsTheProtocolHasIt(t *testing.T) {
	photo := spi.Image{Device: "5c173ff2", Datetime: spi.Datetime{Time: noon}, MD5: "9e6e908d9c29d332b511f8d5121857f8"}
	text := func(insects ...detect.Insect) string {
		b, err := json.Marshal(worker.Document(photo, version1, insects))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	metadata := `"metadata":{"algo_name":"universal-insect-detector","algo_version":"` + version1 + `","device":"5c173ff2",` +
		`"datetime":"2021-05-04T12:00:00Z","md5":"9e6e908d9c29d332b511f8d5121857f8"}}`
	same(t, "one insect", `{"annotations":[{"contour":[[[2194,1597]],[[2189,1602]],[[2189,1617]]],"name":"insect","value":0,`+
		`"stroke_colour":"#0000ff","fill_colour":"#ff0000"}],`+metadata,
		text(detect.Insect{Outline: []image.Point{{X: 2194, Y: 1597}, {X: 2189, Y: 1602}, {X: 2189, Y: 1617}}}))
	same(t, "none", `{"annotations":[],`+metadata, text())
}

func TestOneImageFailingDoesNotStopTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(3)
		s.add("0000aaaa", []byte("no JPEG"))
		s.add("0000bbbb", spitest.Picture(spitest.Photo{Width: 100, Height: 10}))
		s.add("0000cccc", spitest.Picture(spitest.Photo{Width: 101, Height: 10}))
		s.add("0000dddd", []byte("gone"))
		delete(s.objects, "/0000dddd")
		s.add("0000eeee", []byte("replaced"))
		s.objects["/0000eeee"] = []byte("by other bytes")
		s.add("0000ffff", spitest.Picture(spitest.Photo{Width: 33, Height: 24}))
		d := slowly(time.Second)
		well := d.detect
		d.detect = func(ctx context.Context, p image.Image) ([]detect.Insect, error) {
			switch p.Bounds().Dx() {
			case 100:
				return nil, errors.New("it does not converge")
			case 101:
				return nil, fmt.Errorf("never %d", make([]int, 3)[p.Bounds().Dx()])
			}
			return well(ctx, p)
		}
		_, reg := run(t, s, 2, 5*time.Minute, d)
		got := s.annotated(t)
		slices.Sort(got)
		same(t, "annotated", []string{"00000000", "00000001", "00000002", "0000ffff"}, got)
		for device, reason := range map[string]string{
			"0000aaaa": "no JPEG", "0000bbbb": "does not converge", "0000cccc": "panicked: runtime error: index out of range",
			"0000dddd": "not in the object store", "0000eeee": "md5",
		} {
			if got := s.reasons()[device]; !strings.Contains(got, reason) {
				t.Errorf("%s failed because %q, want %q", device, got, reason)
			}
		}
		same(t, "reported", 5, len(s.reported))
		if n := testutil.CollectAndCount(reg, "uid_failures_total"); n < 5 {
			t.Errorf("%d reasons in the metrics", n)
		}
	})
}

func TestNothingIsLostWhileTheAPIIsAway(t *testing.T) {
	for _, code := range []spi.Code{spi.CodeUnavailable, spi.CodeUnauthorized} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(10)
			began := time.Now()
			s.api = func(string) error {
				if since := time.Since(began); since > 10*time.Second && since < 10*time.Minute {
					return spi.Errorf(code, "not now")
				}
				return nil
			}
			w, _ := run(t, s, 2, 30*time.Minute, slowly(4*time.Second))
			got := s.annotated(t)
			slices.Sort(got)
			same(t, "annotated", 10, len(slices.Compact(got)))
			same(t, "put", 10, len(s.put))
			same(t, "failures", 0, len(s.reported))
			if err := w.Ping(t.Context()); err != nil {
				t.Errorf("it is there again, and the worker says %v", err)
			}
		})
	}
}

func TestAnAPIThatNeverAnswersIsAskedAgain(t *testing.T) {
	for _, call := range []string{"backlog", "lease", "put"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(10)
				s.hangs[call] = 2
				run(t, s, 2, 40*time.Minute, slowly(4*time.Second))
				same(t, "put", 10, len(s.put))
				same(t, "failures", 0, len(s.reported))
			})
		})
	}
}

func TestThePhotographsAreGivenBackWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(12)
		began := time.Now()
		s.store = func() int {
			if since := time.Since(began); since > 9*time.Second && since < 5*time.Minute {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		run(t, s, 2, 30*time.Minute, slowly(4*time.Second))
		same(t, "put", 12, len(s.put))
		same(t, "failures", map[string]string{}, s.reasons())
		if s.givenBack() == 0 {
			t.Error("nothing was given back")
		}
		// it does not knock all the time
		if n := len(s.order); n > 200 {
			t.Errorf("%d downloads were tried", n)
		}
	})
}

func TestPhotographsThatTheStoreDoesNotServeDoNotStopTheRest(t *testing.T) {
	for _, bad := range []int{http.StatusForbidden, http.StatusInternalServerError, http.StatusMovedPermanently} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(8)
			s.bad = map[string]int{"/00000007": bad, "/00000006": bad, "/00000003": bad} // the newest among them
			run(t, s, 1, 10*time.Minute, slowly(4*time.Second))
			same(t, "annotated", []string{"00000005", "00000004", "00000002", "00000001", "00000000"}, s.annotated(t))
			same(t, "failed", []string{"00000003", "00000006", "00000007"}, slices.Sorted(maps.Keys(s.reasons())))
		})
	}
}

func TestAStoreThatRefusesAllIsNoFaultOfThePhotographs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(12)
		began := time.Now()
		s.store = func() int {
			if time.Since(began) < 5*time.Minute {
				return http.StatusForbidden
			}
			return http.StatusOK
		}
		run(t, s, 2, 30*time.Minute, slowly(4*time.Second))
		same(t, "put", 12, len(s.put))
		same(t, "failures", map[string]string{}, s.reasons())
	})
}

func TestAStopFinishesOrGivesBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration
		puts  bool
	}{
		{"what is nearly done is finished", 4 * time.Second, true},
		{"what takes longer is given back", 20 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(12)
				began := time.Now()
				// the stop comes while a lease of many is being worked on
				run(t, s, 2, 10*time.Second+time.Millisecond, slowly(tt.takes))
				if d := time.Since(began); d > 19*time.Second {
					t.Errorf("it ended %v after the stop", d-10*time.Second)
				}
				// two at a time: those of 0, 4 and 8 s
				if want := map[bool]int{true: 6, false: 0}[tt.puts]; len(s.put) != want {
					t.Errorf("%d were put, want %d", len(s.put), want)
				}
				same(t, "put or waiting", 12, len(s.put)+len(s.waiting))
				same(t, "failures", map[string]string{}, s.reasons())
			})
		})
	}
}

func TestAStopDoesNotWaitForAnAPIThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(12)
		began := time.Now()
		s.api = func(call string) error {
			if call != "lease" {
				return spi.Errorf(spi.CodeUnavailable, "away")
			}
			return nil
		}
		run(t, s, 2, time.Minute, slowly(time.Second))
		if d := time.Since(began); d > 70*time.Second {
			t.Errorf("it ended after %v", d)
		}
	})
}

func TestAnImageThatIsGoneOrAnnotatedMeanwhileIsPassedOver(t *testing.T) {
	for _, code := range []spi.Code{spi.CodeNotFound, spi.CodeConflict} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(3)
			puts := 0
			s.api = func(call string) error {
				if call != "put" {
					return nil
				}
				if puts++; puts == 2 {
					return spi.Errorf(code, "it is not as you think")
				}
				return nil
			}
			run(t, s, 1, 5*time.Minute, slowly(time.Second))
			same(t, "annotated", []string{"00000002", "00000000"}, s.annotated(t))
			same(t, "reported", 0, len(s.reported))
		})
	}
}

func TestAnnotationsThatTheServerRefusesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(1)
		s.api = func(call string) error {
			if call == "put" {
				return spi.Errorf(spi.CodeInvalid, "too many corners")
			}
			return nil
		}
		run(t, s, 1, 5*time.Minute, slowly(time.Second))
		if got := s.reasons()["00000000"]; !strings.Contains(got, "too many corners") {
			t.Errorf("reported %q", got)
		}
	})
}

func TestANewDetectorTakesOverBetweenImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(90)
		first, second := slowly(4*time.Second), slowly(4*time.Second)
		second.version = version2
		well := first.detect
		first.detect = func(ctx context.Context, p image.Image) ([]detect.Insect, error) {
			insects, err := well(ctx, p)
			if first.closed.Load() {
				t.Error("closed while in use")
			}
			return insects, err
		}
		run(t, s, 2, 10*time.Minute, first, second)
		same(t, "put", 90, len(s.put))
		same(t, "closed", []bool{true, false}, []bool{first.closed.Load(), second.closed.Load()})
		at := slices.IndexFunc(s.put, func(d string) bool { return strings.Contains(d, version2) })
		if at <= 0 || slices.ContainsFunc(s.put[at:], func(d string) bool { return strings.Contains(d, version1) }) {
			t.Errorf("the second takes over at put %d", at)
		}
		if at := slices.Index(s.versions, version2); at < 0 || slices.Contains(s.versions[at:], version1) {
			t.Errorf("leases: %v", s.versions)
		}
	})
}

func TestAWorkerWithoutAModelWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(3)
		w, _ := run(t, s, 2, time.Minute, nil)
		same(t, "leases", 0, len(s.limits))
		if err := w.PingModel(t.Context()); err == nil || !strings.Contains(err.Error(), "waiting") || !strings.Contains(err.Error(), "the bundle is away") {
			t.Errorf("it says %v", err)
		}
		w, _ = run(t, s, 2, 10*time.Minute, nil, nil, nil, slowly(4*time.Second))
		same(t, "put", 3, len(s.put))
		if err := w.PingModel(t.Context()); err != nil {
			t.Errorf("there is a model, and it says %v", err)
		}
	})
}

// missing is no model yet; it notes when one was looked for.
type missing struct {
	why   error
	asked []time.Time
}

func (m *missing) Refresh(context.Context) (detect.Detector, error) {
	m.asked = append(m.asked, time.Now())
	return nil, m.why
}

func TestAModelIsLookedForSoonAfterTheAPIIsBackAndSeldomWhereItCannotBeKept(t *testing.T) {
	for name, tt := range map[string]struct {
		why         error
		least, most time.Duration // between two looks, after some: half of what is usual, to one and a half of it
	}{
		"the API away": {fmt.Errorf("bundle: %w", spi.Errorf(spi.CodeUnavailable, "away")), 15 * time.Second, 45 * time.Second},
		"a full disk":  {errors.New("there is no room for its copy"), 5 * time.Minute, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := newSite(3), &missing{why: tt.why}
				w := worker.New(worker.Config{
					API: s, HTTP: &http.Client{Transport: s}, Models: m, Workers: 2, IdleMax: time.Minute, RefreshEvery: 10 * time.Minute,
					Grace: time.Second, Metrics: worker.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
				})
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				w.Run(ctx)
				n := len(m.asked)
				if n < 3 {
					t.Fatalf("asked %d times", n)
				}
				if last := m.asked[n-1].Sub(m.asked[n-2]); last < tt.least || last > tt.most {
					t.Errorf("the last wait of %d took %v, want %v to %v", n-1, last, tt.least, tt.most)
				}
			})
		})
	}
}

// stopping is told to stop while it looks for a model.
type stopping struct{ stop func() }

func (m stopping) Refresh(ctx context.Context) (detect.Detector, error) {
	m.stop()
	<-ctx.Done()
	return slowly(time.Second), nil
}

func TestAStopWhileTheModelIsLookedForLeasesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(3)
		ctx, stop := context.WithCancel(t.Context())
		w := worker.New(worker.Config{
			API: s, HTTP: &http.Client{Transport: s}, Models: stopping{stop}, Workers: 2, IdleMax: time.Minute, RefreshEvery: time.Minute,
			Grace: time.Second, Metrics: worker.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		w.Run(ctx)
		same(t, "leases", 0, len(s.limits))
	})
}

func TestPhotographsThatTakeMuchMemoryWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(4)
		const width, height = 2500, 2000 // 75 MB as a progressive one, and four images at a time have 144
		for i := range 4 {
			s.add(fmt.Sprintf("0000aaa%d", i), spitest.Progressive(width, height))
		}
		slices.SortFunc(s.waiting, func(a, b spi.Image) int { return strings.Compare(b.Device[7:], a.Device[7:]) }) // large and small by turns
		var all, large, both, beside atomic.Int32
		d := slowly(4 * time.Second)
		well := d.detect
		d.detect = func(ctx context.Context, p image.Image) ([]detect.Insect, error) {
			if p.Bounds().Dx() == width {
				if large.Add(1) > 1 {
					both.Add(1)
				}
				defer large.Add(-1)
			}
			all.Add(1)
			defer all.Add(-1)
			if large.Load() == 1 && all.Load() > 1 {
				beside.Add(1)
			}
			return well(ctx, p)
		}
		run(t, s, 4, 5*time.Minute, d)
		same(t, "put", 8, len(s.put))
		same(t, "large ones at a time", 0, int(both.Load()))
		if beside.Load() == 0 {
			t.Error("small ones waited for the large")
		}
	})
}

func TestAnImageThatComesAloneIsLookedAtAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(40)
		s.alone = map[string]bool{"00000011": true, "00000022": true, "00000026": true}
		widths := map[int]bool{32 + 0x11: true, 32 + 0x22: true, 32 + 0x26: true}
		var flying, most, beside atomic.Int32
		d := slowly(4 * time.Second)
		well := d.detect
		d.detect = func(ctx context.Context, p image.Image) ([]detect.Insect, error) {
			n := flying.Add(1)
			defer flying.Add(-1)
			if n > most.Load() {
				most.Store(n)
			}
			insects, err := well(ctx, p)
			if widths[p.Bounds().Dx()] {
				beside.Add(max(n, flying.Load()) - 1)
			}
			return insects, err
		}
		run(t, s, 4, 10*time.Minute, d)
		same(t, "put", 40, len(s.put))
		same(t, "images beside those that came alone", 0, int(beside.Load()))
		same(t, "images at a time", 4, int(most.Load()))
		// nor is anything leased beside them, that would wait for an hour if they ended the process
		same(t, "failures", 0, len(s.reported))
	})
}

func TestAStopDoesNotWaitToLookAtAnImageAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(20)
		s.alone = map[string]bool{"0000000d": true} // behind six others
		run(t, s, 2, 9*time.Second, slowly(4*time.Second))
		same(t, "put or waiting", 20, len(s.put)+len(s.waiting))
		same(t, "failures", map[string]string{}, s.reasons())
		if s.givenBack() == 0 {
			t.Error("nothing was given back")
		}
	})
}

func TestAnIdleWorkerFindsNewWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(0)
		time.AfterFunc(time.Hour, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.add("0000aaaa", spitest.Picture(spitest.Photo{Width: 40, Height: 30}))
		})
		run(t, s, 1, time.Hour+time.Minute, slowly(time.Second))
		same(t, "annotated", []string{"0000aaaa"}, s.annotated(t))
		if n := len(s.limits); n < 60 || n > 400 {
			t.Errorf("asked for work %d times in an hour", n)
		}
	})
}
