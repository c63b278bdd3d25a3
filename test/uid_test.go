package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

const uidAlgo = "universal-insect-detector"

// uidWithin bounds the wait for what a detector does: generous, since it shares two cores with many tests and is slowed by the
// race detector.
const uidWithin = 10 * time.Minute

// detected is a server whose images a detector looks at.
type detected struct {
	t      *testing.T
	client *spi.Client
	device string
}

func newDetected(t *testing.T, s *stack.Stack) *detected {
	t.Helper()
	client, err := spi.New(s.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
	if err != nil {
		t.Fatal(err)
	}
	return &detected{t, client, newDevice()}
}

// upload puts photographs, an hour apart, the first at noon of that day.
func (d *detected) upload(day int, files ...[]byte) {
	d.t.Helper()
	for i, data := range files {
		at := noon.AddDate(0, 0, day).Add(time.Duration(i) * time.Hour)
		if _, err := d.client.PutImage(d.t.Context(), spi.FileOf(spitest.Name(d.device, at), data)); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *detected) series() spi.Series {
	return spi.Series{Device: d.device, Start: spi.Datetime{Time: noon.AddDate(-1, 0, 0)}, End: spi.Datetime{Time: noon.AddDate(1, 0, 0)}}
}

// annotations are the detector's, of the device's images.
func (d *detected) annotations() []spi.Annotation {
	d.t.Helper()
	all, err := spi.Collect(d.client.GetAnnotationSeries(d.t.Context(), spi.AnnotationDocuments, d.series()))
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(a spi.Annotation) bool { return a.AlgoName != uidAlgo })
}

// until waits for what a detector does.
func (d *detected) until(what string, done func() bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), uidWithin)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			d.t.Fatalf("not within %v: %s", uidWithin, what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *detected) untilAnnotated(n int) []spi.Annotation {
	d.t.Helper()
	var all []spi.Annotation
	d.until(fmt.Sprintf("%d annotations", n), func() bool {
		all = d.annotations()
		return len(all) >= n
	})
	return all
}

// untilBacklog waits until as many images as want's wait, are leased and have failed: what took a busy machine long to count is
// told for a while longer.
func (d *detected) untilBacklog(want spi.Backlog) {
	d.t.Helper()
	d.until(fmt.Sprintf("%d images wait, %d are leased and %d failed", want.Waiting, want.Leased, want.Failed), func() bool {
		all, err := d.client.GetBacklog(d.t.Context(), uidAlgo)
		if err != nil {
			d.t.Fatal(err)
		}
		return len(all) == 1 && all[0].Waiting == want.Waiting && all[0].Leased == want.Leased && all[0].Failed == want.Failed
	})
}

func (d *detected) failures() []spi.Failure {
	d.t.Helper()
	all, err := d.client.GetFailures(d.t.Context(), spi.FailureSeries{Series: d.series(), AlgoName: uidAlgo})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// tinyPhotos are n photographs that a detector is quick with.
func tinyPhotos(n int) [][]byte {
	var all [][]byte
	for i := range n {
		all = append(all, spitest.JPEG(spitest.Photo{Width: 96, Height: 72, Seed: uint64(i)}))
	}
	return all
}

func TestALocalServerAnnotatesRealPhotographsByItself(t *testing.T) {
	t.Parallel()
	folder := stack.SharedData(t, "raw_images")
	names, err := filepath.Glob(filepath.Join(folder, "1b74105a*.jpg")) // the others show ink alone, which is no insect
	if err != nil || len(names) == 0 {
		t.Skipf("no photographs in %s: %v", folder, err)
	}
	s := stack.Local(t, stack.Options{Quiet: true, Environ: []string{"UID_WORKERS=1"}})
	d := newDetected(t, s)
	device, _, _ := strings.Cut(filepath.Base(names[0]), ".")
	d.device = device
	file := spi.FileAt(names[0])
	uploaded, err := d.client.PutImage(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	row := d.untilAnnotated(1)[0]
	document, err := row.Document()
	if err != nil {
		t.Fatal(err)
	}
	want := spi.AnnotationMetadata{AlgoName: uidAlgo, AlgoVersion: row.AlgoVersion, Device: uploaded.Device, Datetime: uploaded.Datetime, MD5: uploaded.MD5}
	same(t, "metadata", want, document.Metadata)
	same(t, "parent", uploaded.ID, row.ParentImageID)
	same(t, "objects", len(document.Annotations), row.NObjects)
	if len(document.Annotations) == 0 {
		t.Error("nothing was found")
	}
	frame := image.Rect(0, 0, uploaded.Width, uploaded.Height)
	for i, o := range document.Annotations {
		if len(o.Contour) < 3 || o.Name != "insect" || o.StrokeColour != "#0000ff" || o.FillColour != "#ff0000" {
			t.Errorf("outline %d: %+v", i, o)
		}
		for _, p := range o.Contour {
			if !image.Pt(p[0][0], p[0][1]).In(frame) {
				t.Errorf("outline %d leaves the photograph at %v", i, p[0])
			}
		}
	}
	// what protocol.md's clients find in it
	var raw struct {
		Annotations []map[string]json.RawMessage `json:"annotations"`
		Metadata    map[string]string            `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(row.JSON), &raw); err != nil {
		t.Fatal(err)
	}
	for _, o := range raw.Annotations {
		var contour [][][]int
		if err := json.Unmarshal(o["contour"], &contour); err != nil || len(contour[0]) != 1 || len(contour[0][0]) != 2 || len(o) != 5 {
			t.Errorf("contour: %v, fields: %d", err, len(o))
		}
	}
	same(t, "fields of the metadata", 5, len(raw.Metadata))
	// what viewers draw of it without naming an algorithm
	var drawn []*float64
	for plot, err := range d.client.GetPlot(t.Context(), spi.PlotRequest{
		Start: spi.Datetime{Time: uploaded.Datetime.Add(-time.Hour)}, End: spi.Datetime{Time: uploaded.Datetime.Add(time.Hour)},
		Variables: []spi.Variable{spi.Insects},
	}) {
		if err != nil {
			t.Fatal(err)
		}
		drawn = append(drawn, plot.Values[spi.Insects]...)
	}
	insects := float64(row.NObjects)
	same(t, "insects to draw", []*float64{&insects}, drawn)

	// a worker that had nothing to do finds what comes later
	d.device = newDevice()
	d.upload(0, tinyPhotos(1)...)
	d.untilAnnotated(1)
}

func TestALocalServerShowsItsDetectorsMetricsAmongItsOwn(t *testing.T) {
	t.Parallel()
	s := stack.Local(t, stack.Options{Quiet: true, Environ: []string{"UID_WORKERS=1"}})
	d := newDetected(t, s)
	d.upload(0, tinyPhotos(1)...)
	d.untilAnnotated(1)
	d.until("the image is counted", func() bool {
		text := string(fetch(t, s.MetricsURL))
		return strings.Contains(text, "\nuid_images_total 1\n") && strings.Contains(text, "\nrequest_count_total{")
	})
}

func TestWorkersShareTheImagesAndAKilledOneLosesNone(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Quiet: true})
	d := newDetected(t, s)
	images := 0
	upload := func(n int) {
		t.Helper()
		for _, data := range tinyPhotos(images + n)[images:] {
			name := spitest.Name(d.device, noon.Add(time.Duration(images)*20*time.Minute))
			if _, err := d.client.PutImage(t.Context(), spi.FileOf(name, data)); err != nil {
				t.Fatal(err)
			}
			images++
		}
	}
	upload(200)
	// accounts of their own, so that what each has leased can be told
	workers := map[string]*stack.Worker{}
	for _, name := range []string{"first", "second"} {
		if _, err := d.client.PutUsers(t.Context(), spi.NewUser{Username: name, Password: userPassword}); err != nil {
			t.Fatal(err)
		}
		workers[name] = stack.StartWorker(t, s, name, userPassword)
	}
	by := func(name string) (n int) {
		for _, a := range d.annotations() {
			if *a.APIUser == name {
				n++
			}
		}
		return n
	}
	d.until("both work", func() bool {
		first, second := by("first"), by("second")
		if min(first, second) < 20 && images-first-second < 64 { // what one of them, which began sooner, may have leased
			upload(64)
		}
		return min(first, second) >= 20
	})
	workers["second"].Stop(syscall.SIGKILL)
	of := by("second")

	// The hour after which its leases end is not waited for.
	db := openDatabase(t, s.Database)
	result, err := db.ExecContext(t.Context(), `UPDATE uid_intents SET lease_until = 1 WHERE state = 1 AND lease_user = (SELECT id FROM users WHERE username = 'second')`)
	if err != nil {
		t.Fatal(err)
	}
	left, err := result.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the killed worker had annotated %d images and left %d", of, left)
	all := d.untilAnnotated(images)
	annotated := map[int64]int{}
	for _, a := range all {
		annotated[a.ParentImageID]++
	}
	same(t, "annotated images", images, len(annotated))
	same(t, "annotations", images, len(all))
	same(t, "failures", 0, len(d.failures()))
	d.untilBacklog(spi.Backlog{})
	if of >= images-20 {
		t.Errorf("the killed worker had done nearly all: %d", of)
	}
}

func TestAStoppedWorkerGivesBackWhatItHasLeased(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Quiet: true})
	d := newDetected(t, s)
	for i, data := range tinyPhotos(100) {
		if _, err := d.client.PutImage(t.Context(), spi.FileOf(spitest.Name(d.device, noon.Add(time.Duration(i)*20*time.Minute)), data)); err != nil {
			t.Fatal(err)
		}
	}
	w := stack.StartWorker(t, s, stack.UIDName, stack.UIDPassword)
	d.untilAnnotated(10)
	w.Stop(syscall.SIGTERM)
	d.untilBacklog(spi.Backlog{Waiting: 100 - int64(len(d.annotations()))})
	if strings.Contains(w.Log(), "could not be told") {
		t.Errorf("log:\n%s", w.Log())
	}
}

func TestADamagedObjectIsReportedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Quiet: true})
	d := newDetected(t, s)
	photos := tinyPhotos(6)
	d.upload(0, photos...)
	b := bucketOf(t, s)
	key := func(i int) *string {
		return aws.String("raw_images/" + d.device + "/" + spitest.Name(d.device, noon.Add(time.Duration(i)*time.Hour)))
	}
	for i, data := range map[int][]byte{1: photos[1][:len(photos[1])/2], 3: spitest.JPEG(spitest.Photo{Width: 96, Height: 72, Seed: 99})} {
		if _, err := b.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.name, Key: key(i), Body: bytes.NewReader(data)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b.name, Key: key(4)}); err != nil {
		t.Fatal(err)
	}
	stack.StartWorker(t, s, stack.UIDName, stack.UIDPassword)
	var failures []spi.Failure
	d.until("three failures", func() bool {
		failures = d.failures()
		return len(failures) == 3
	})
	for i, reason := range map[int]string{0: "md5", 1: "md5", 2: "not in the object store"} {
		if f := failures[i]; f.Failures != 3 || !strings.Contains(f.Reason, reason) {
			t.Errorf("failure %d: %+v, want %q", i, f, reason)
		}
	}
	same(t, "annotated", 3, len(d.untilAnnotated(3)))
}

// newerVersion is how the algorithm's version begins with [newerWeights].
const newerVersion = "4071006245-"

// newerWeights are those of a tiny network, as if trained in the future.
func newerWeights(t *testing.T) []byte {
	t.Helper()
	weights, err := os.ReadFile(filepath.Join(stack.Root(t), "ml", "internal", "detect", "onnx", "testdata", "tiny", "weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(weights, []byte("2020-01-02_03-04-05"), []byte("2099-01-02_03-04-05"), 1)
	if bytes.Equal(newer, weights) {
		t.Fatal("the weights of testdata have another date")
	}
	return newer
}

const weightsKey = "output/weights.safetensors"

// push puts weights into the detector's bundle, whatever is there.
func (d *detected) push(weights []byte) {
	d.t.Helper()
	dir := d.t.TempDir()
	path := filepath.Join(dir, filepath.FromSlash(weightsKey))
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, weights, 0o644); err != nil {
		d.t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.client.PushBundle(d.t.Context(), uidAlgo, dir, nil); err != nil {
		d.t.Fatal(err)
	}
}

// TestANewDetectorThatCannotKeepTheModelWaits has faults of the detector's own machine, and a model whose checksum the server
// cannot give. Built-in weights, used meanwhile, would let every image be annotated again where they are newer than the bundle's.
func TestANewDetectorThatCannotKeepTheModelWaits(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Quiet: true})
	d := newDetected(t, s)
	d.push(newerWeights(t))
	done := 0
	for _, tt := range []struct {
		name  string
		fault func(t *testing.T, data string) (mend func())
		says  string
	}{
		{"a folder that cannot be made", func(t *testing.T, data string) func() {
			if err := os.WriteFile(data, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.Remove(data); err != nil {
					t.Fatal(err)
				}
			}
		}, "must be a folder of user"},
		{"a full disk", func(t *testing.T, data string) func() {
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=4k"); err != nil {
				t.Skipf("needs a small file system, which only root may mount: %v", err)
			}
			t.Cleanup(func() {
				if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			return func() {
				if err := syscall.Mount("tmpfs", data, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
					t.Fatal(err)
				}
			}
		}, "there is no room for its copy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "models")
			mend := tt.fault(t, data)
			w := stack.StartWorker(t, s, stack.UIDName, stack.UIDPassword, "UID_DATA="+data)
			d.until("it says that it waits, and why", func() bool { return strings.Contains(body(t, w.ReadyURL), tt.says) })
			d.upload(done, tinyPhotos(1)...)
			mend()
			done++
			d.untilAnnotated(done)
			w.Stop(syscall.SIGTERM) // before the next one's fault
		})
	}
	for _, a := range d.annotations() {
		if !strings.HasPrefix(a.AlgoVersion, newerVersion) {
			t.Errorf("image %d was annotated by %s", a.ParentImageID, a.AlgoVersion)
		}
	}
}

// TestANewDetectorGoesOnWhereWaitingDoesNotMendTheBundle has a model whose checksum is none, as programs leave it that upload in parts.
func TestANewDetectorGoesOnWhereWaitingDoesNotMendTheBundle(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Quiet: true})
	d := newDetected(t, s)
	newer := newerWeights(t)
	d.push(newer)
	b := bucketOf(t, s)
	key := aws.String("ml/" + uidAlgo + "/" + weightsKey)
	begun, err := b.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	part, err := b.s3.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &b.name, Key: key, UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(newer),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.s3.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: key, UploadId: begun.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}},
	}); err != nil {
		t.Fatal(err)
	}
	stack.StartWorker(t, s, stack.UIDName, stack.UIDPassword, "UID_DATA="+filepath.Join(t.TempDir(), "models"))
	d.upload(0, tinyPhotos(1)...)
	if a := d.untilAnnotated(1)[0]; strings.HasPrefix(a.AlgoVersion, newerVersion) {
		t.Errorf("annotated by %s, whose checksum is not known", a.AlgoVersion)
	}
}

// body is what comes from an address, whatever the status; "" where nothing listens there.
func body(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

func TestANewModelInTheBundleTakesOver(t *testing.T) {
	t.Parallel()
	s := stack.Local(t, stack.Options{Quiet: true, Environ: []string{"UID_WORKERS=1"}})
	d := newDetected(t, s)
	d.upload(0, tinyPhotos(5)...)
	before := d.untilAnnotated(5)

	// one that cannot be used first: it is reported, and what is there goes on
	d.push([]byte("these are no weights"))
	d.until("the broken model is reported", func() bool { return strings.Contains(s.Log(), "the bundle's model cannot be used") })
	d.upload(1, tinyPhotos(1)...)
	same(t, "version beside a broken bundle", before[0].AlgoVersion, d.untilAnnotated(6)[5].AlgoVersion)

	d.push(newerWeights(t))
	all := d.untilAnnotated(12)
	var again []spi.Annotation
	for _, a := range all {
		if strings.HasPrefix(a.AlgoVersion, newerVersion) {
			again = append(again, a)
		}
	}
	same(t, "annotated again", 6, len(again))
	same(t, "annotations", 12, len(all))
	// they come ordered by the image's time: the newest image was annotated first
	if !slices.IsSortedFunc(again, func(a, b spi.Annotation) int { return int(b.ID - a.ID) }) {
		t.Errorf("not newest first: %v", again)
	}
}

// TestAnImageThatEndsTheProcessFailsAndTheOthersDoNot kills the worker whenever it gets one of the photographs, as the kernel does
// where memory runs out, and starts it again, as Docker does.
func TestAnImageThatEndsTheProcessFailsAndTheOthersDoNot(t *testing.T) {
	const images, killer = 12, 7
	t.Parallel()
	s := stack.Production(t, stack.Options{Quiet: true})
	d := newDetected(t, s)
	d.upload(0, tinyPhotos(images)...)
	deadly := noon.Add(killer * time.Hour)

	bucket, err := url.Parse(s.Bucket.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(bucket)
		r.Out.Host = r.In.Host // which the links are signed for
	}}
	began := make(chan struct{}, 100)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, spitest.Name(d.device, deadly)) {
			began <- struct{}{}
			<-r.Context().Done()
			return
		}
		pass.ServeHTTP(w, r)
	}))
	defer store.Close()
	db := openDatabase(t, s.Database)
	deaths := 0
	for {
		w := stack.StartWorker(t, s, stack.UIDName, stack.UIDPassword, "S3_HOST="+bucket.Host, "S3_INTERNAL_URL="+store.URL)
		d.until("the worker dies, or the image has failed", func() bool { return len(began) > 0 || len(d.failures()) > 0 })
		if len(began) == 0 {
			break
		}
		<-began
		w.Stop(syscall.SIGKILL)
		deaths++
		// The hour after which its leases end is not waited for.
		d.until("the dead worker's leases have ended", func() bool {
			if _, err := db.ExecContext(t.Context(), "UPDATE uid_intents SET lease_until = 1 WHERE lease_until > 1"); err != nil {
				t.Fatal(err)
			}
			b, err := d.client.GetBacklog(t.Context(), uidAlgo)
			if err != nil {
				t.Fatal(err)
			}
			return b[0].Leased == 0
		})
	}
	// once among others, then alone
	same(t, "deaths", 1+3, deaths)
	same(t, "annotated", images-1, len(d.untilAnnotated(images-1)))
	failures := d.failures()
	if len(failures) != 1 || !failures[0].Datetime.Equal(deadly) || failures[0].Failures != 3 || !strings.Contains(failures[0].Reason, "did not answer") {
		t.Errorf("failures %+v, want that of %v", failures, deadly)
	}
}

func TestHostileImagesAreAnsweredOrFailClearly(t *testing.T) {
	t.Parallel()
	s := stack.Production(t, stack.Options{Quiet: true})
	d := newDetected(t, s)
	plain := func(width, height int, c color.Color) []byte {
		p := image.NewRGBA(image.Rect(0, 0, width, height))
		for i := range width * height {
			p.Set(i%width, i/width, c)
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, p, nil); err != nil {
			t.Fatal(err)
		}
		return spitest.WithEXIF(b.Bytes(), spitest.EXIF(spitest.MakeTag(spi.Image{}), ""))
	}
	files := [][]byte{
		plain(1, 1, color.Black), plain(2, 2, color.White), plain(160, 120, color.Black), plain(160, 120, color.White), plain(90, 160, color.RGBA{200, 180, 30, 255}),
		plain(3000, 1, color.Black), plain(1, 3000, color.White), spitest.JPEG(spitest.Photo{Width: 96, Height: 72, Grey: true}),
	}
	d.upload(0, files...)
	stack.StartWorker(t, s, stack.UIDName, stack.UIDPassword)
	d.until("every image is answered", func() bool { return len(d.annotations())+len(d.failures()) == len(files) })
	for _, f := range d.failures() {
		t.Errorf("%v: %s", f.Datetime, f.Reason)
	}
	for _, a := range d.annotations() {
		if a.NObjects > 0 {
			t.Errorf("%d insects on image %d, which shows none", a.NObjects, a.ParentImageID)
		}
	}
}
