package ingest_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/s3blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/thumbnail"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := kittest.CloseSharedS3(); err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

// now is what the service's clock says: neither UTC nor a whole second.
var now = time.Date(2026, 3, 4, 5, 6, 7, 890, time.FixedZone("", 3600))

// server is a service on a real database and a real object store, whose calls go through wrappers that can make faults
// and note what happens.
type server struct {
	*ingest.Service
	store store.Store // without the wrapper
	blob  blob.Store
	mu    sync.Mutex
	// fault, where not nil, is asked before and after each step whether it fails; a step is such as "put raw_images/..." or
	// "commit". A fault after a step loses the answer alone.
	fault    func(step string, after bool) error
	steps    []string // done without an error
	outcomes map[ingest.Outcome]int
	decoded  int
	// there, where not nil, is the row that another server has committed since this one claimed the image.
	there *store.Image
}

func newServer(t *testing.T) *server {
	t.Helper()
	access := kittest.SharedS3(t).S3Access
	b, err := s3blob.New(s3blob.Config{
		Endpoint: access.Endpoint, Region: access.Region, Bucket: access.Bucket(), AccessKey: access.AccessKey, SecretKey: access.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sqlstore.OpenSQLite(filepath.Join(t.TempDir(), "sticky-pi.sqlite"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &server{store: db, blob: b, outcomes: map[ingest.Outcome]int{}}
	s.Service = ingest.New(ingest.Config{
		Store:       faultyStore{db, s},
		Blob:        faultyBlob{b, s},
		Thumbnailer: countingThumbnailer{thumbnail.New(), s},
		Clock:       func() time.Time { return now },
		Logger:      slog.New(slog.DiscardHandler),
		Observe: func(o ingest.Outcome, _ int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.outcomes[o]++
		},
	})
	return s
}

// do does a step with its faults.
func (s *server) do(step string, fn func() error) error {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if err := fault(step, false); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	s.mu.Lock()
	s.steps = append(s.steps, step)
	s.mu.Unlock()
	if fault != nil {
		return fault(step, true)
	}
	return nil
}

func (s *server) setFault(fault func(step string, after bool) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *server) takeSteps() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	steps := s.steps
	s.steps = nil
	return steps
}

type faultyBlob struct {
	blob.Store
	s *server
}

func (b faultyBlob) Put(ctx context.Context, key string, body []byte, how blob.Put) error {
	return b.s.do("put "+key, func() error { return b.Store.Put(ctx, key, body, how) })
}

func (b faultyBlob) Head(ctx context.Context, key string) (info blob.Info, err error) {
	err = b.s.do("head "+key, func() error {
		info, err = b.Store.Head(ctx, key)
		return err
	})
	return info, err
}

type faultyStore struct {
	store.Store
	s *server
}

func (f faultyStore) ClaimImage(ctx context.Context, device string, datetime time.Time) (claim store.Claim, err error) {
	err = f.s.do("claim", func() error {
		claim, err = f.Store.ClaimImage(ctx, device, datetime)
		return err
	})
	if err != nil {
		return nil, err
	}
	return faultyClaim{claim, f.s}, nil
}

func (f faultyStore) Images(ctx context.Context, keys []store.ImageKey, fn func(*store.Image) error) error {
	f.s.mu.Lock()
	there := f.s.there
	if !slices.Contains(f.s.steps, "claim") {
		there = nil
	}
	f.s.mu.Unlock()
	if there != nil {
		return fn(there)
	}
	return f.Store.Images(ctx, keys, fn)
}

type faultyClaim struct {
	store.Claim
	s *server
}

func (c faultyClaim) Commit(ctx context.Context, image *store.Image) error {
	return c.s.do("commit", func() error { return c.Claim.Commit(ctx, image) })
}

func (c faultyClaim) Release() {
	c.Claim.Release()
	_ = c.s.do("release", func() error { return nil }) // a release cannot fail
}

type countingThumbnailer struct {
	ingest.Thumbnailer
	s *server
}

func (c countingThumbnailer) Make(ctx context.Context, file []byte, info jpegfile.Info) (thumbnail.Pair, error) {
	c.s.mu.Lock()
	c.s.decoded++
	c.s.mu.Unlock()
	return c.Thumbnailer.Make(ctx, file, info)
}

const (
	device   = "5c173ff2"
	original = "raw_images/5c173ff2/5c173ff2.2020-06-20_21-33-24.jpg"
)

var datetime = time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)

// photo is an uploaded file of the device and time above.
func photo(seed uint64) ingest.File {
	return ingest.File{Name: spitest.Name(device, datetime), Data: spitest.JPEG(spitest.Photo{Width: 160, Height: 120, Seed: seed})}
}

func sum(data []byte) string {
	s := md5.Sum(data) //nolint:gosec // see the import
	return hex.EncodeToString(s[:])
}

// rows gives all images.
func (s *server) rows(t *testing.T) []store.Image {
	t.Helper()
	var rows []store.Image
	err := s.store.Images(t.Context(), []store.ImageKey{{Device: "%", Datetime: datetime}}, func(i *store.Image) error {
		rows = append(rows, *i)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// objects gives all objects by their keys.
func (s *server) objects(t *testing.T) map[string]blob.Info {
	t.Helper()
	all := map[string]blob.Info{}
	for info, err := range s.blob.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all[info.Key] = info
	}
	return all
}

func (s *server) object(t *testing.T, key string) []byte {
	t.Helper()
	r, _, err := s.blob.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkStored fails unless the file is the one image that is there, whole: its row, its bytes and its thumbnails.
func (s *server) checkStored(t *testing.T, file ingest.File) {
	t.Helper()
	rows := s.rows(t)
	if len(rows) != 1 || rows[0].MD5 != sum(file.Data) {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	if n := len(s.objects(t)); n != 3 {
		t.Errorf("%d objects", n)
	}
	if !bytes.Equal(s.object(t, original), file.Data) {
		t.Error("the object holds other bytes")
	}
	for _, small := range []string{".thumbnail", ".thumbnail-mini"} {
		if _, err := jpegfile.Check(s.object(t, original+small)); err != nil {
			t.Errorf("%s: %v", small, err)
		}
	}
}

func wantError(t *testing.T, err error, code spi.Code, parts ...string) {
	t.Helper()
	var e *spi.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want %s", err, code)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("message %q does not speak of %q", e.Message, part)
		}
	}
}

func TestAnImageIsStoredWithItsMetadataAndThumbnails(t *testing.T) {
	s := newServer(t)
	version, temp, hum, lat, lng, alt, lum, bat, but := "3.1.0", 20.6, 42.6, 49.26142, -123.25088, 97.3, 1.2, 72.0, 1.0
	data := spitest.JPEG(spitest.Photo{Generation: spitest.Second, Width: 800, Height: 600, Metadata: spi.Image{
		DeviceVersion: &version, Temp: &temp, Hum: &hum, Lat: &lat, Lng: &lng, Alt: &alt, Lum: &lum, Bat: &bat, But: &but,
	}})
	file := ingest.File{Name: spitest.Name(device, datetime), Data: data, MD5: strings.ToUpper(sum(data))}
	got, err := s.Put(t.Context(), file, "someone")
	if err != nil {
		t.Fatal(err)
	}
	f := func(v float64) sql.Null[float64] { return sql.Null[float64]{V: v, Valid: true} }
	text := func(v string) sql.Null[string] { return sql.Null[string]{V: v, Valid: true} }
	want := store.Image{
		ID: got.ID, Device: device, Datetime: datetime, MD5: sum(data),
		ImageMetadata: store.ImageMetadata{
			DeviceVersion: text(version), Width: 800, Height: 600, Temp: f(temp), Hum: f(hum), Lat: f(lat), Lng: f(lng), Alt: f(alt),
			Lum: f(lum), Bat: f(bat), But: f(but),
		},
		Provenance: store.Provenance{
			DatetimeCreated: time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC), APIVersion: text(spi.APIVersion), APIUser: text("someone"),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || got.ID == 0 {
		t.Errorf("the image that was given (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]store.Image{want}, s.rows(t)); diff != "" {
		t.Errorf("the row (-want +got)\n%s", diff)
	}
	s.checkStored(t, file)
	if etag := s.objects(t)[original].ETag; etag != sum(data) {
		t.Errorf("ETag %q", etag)
	}
	for small, want := range map[string][2]int{".thumbnail": {512, 384}, ".thumbnail-mini": {128, 96}} {
		info, err := jpegfile.Check(s.object(t, original+small))
		if err != nil || info.Width != want[0] || info.Height != want[1] {
			t.Errorf("%s: %+v, %v", small, info, err)
		}
	}
	if diff := cmp.Diff(map[ingest.Outcome]int{ingest.Stored: 1}, s.outcomes); diff != "" {
		t.Error(diff)
	}
}

func TestTheRowComesAfterTheObjectsAndInsideTheClaim(t *testing.T) {
	s := newServer(t)
	if _, err := s.Put(t.Context(), photo(1), "someone"); err != nil {
		t.Fatal(err)
	}
	got := s.takeSteps()
	if len(got) == 6 {
		slices.Sort(got[2:4]) // the thumbnails are put at one time
	}
	want := []string{"claim", "put " + original, "put " + original + ".thumbnail", "put " + original + ".thumbnail-mini", "commit", "release"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAnImageThatIsThereIsNeverOverwritten(t *testing.T) {
	s := newServer(t)
	first := photo(1)
	if _, err := s.Put(t.Context(), first, "someone"); err != nil {
		t.Fatal(err)
	}
	rows, objects, decoded := s.rows(t), s.objects(t), s.decoded
	other, capitals := photo(2), photo(3)
	capitals.Name = strings.ToUpper(capitals.Name)
	for _, test := range []struct {
		name string
		file ingest.File
		says string
	}{
		{"the same bytes", first, "with the same bytes"},
		{"other bytes", other, "with other bytes"},
		{"the device in capitals", capitals, "with other bytes"},
	} {
		_, err := s.Put(t.Context(), test.file, "another")
		wantError(t, err, spi.CodeConflict, "there already", test.says, "nothing was overwritten", test.file.Name)
		if diff := cmp.Diff(rows, s.rows(t)); diff != "" {
			t.Errorf("%s: the rows changed\n%s", test.name, diff)
		}
		if diff := cmp.Diff(objects, s.objects(t)); diff != "" {
			t.Errorf("%s: the objects changed\n%s", test.name, diff)
		}
	}
	s.checkStored(t, first)
	if s.decoded != decoded {
		t.Error("a duplicate was decoded")
	}
	if s.outcomes[ingest.Duplicate] != 3 {
		t.Errorf("outcomes %v", s.outcomes)
	}
}

func TestOfManyAtOnceExactlyOneIsStored(t *testing.T) {
	s := newServer(t)
	const n = 8
	files := make([]ingest.File, n)
	for i := range files {
		files[i] = photo(uint64(i))
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range files {
		wg.Go(func() { _, errs[i] = s.Put(t.Context(), files[i], "someone") })
	}
	wg.Wait()
	stored := -1
	for i, err := range errs {
		switch {
		case err != nil:
			wantError(t, err, spi.CodeConflict)
		case stored >= 0:
			t.Fatalf("both %d and %d were stored", stored, i)
		default:
			stored = i
		}
	}
	if stored < 0 {
		t.Fatalf("none was stored: %v", errs)
	}
	s.checkStored(t, files[stored])
}

func (s *server) leave(t *testing.T, key string, data []byte) {
	t.Helper()
	err := s.blob.Put(t.Context(), key, data, blob.Put{ContentType: "image/jpeg", MD5: md5.Sum(data)}) //nolint:gosec // see the import
	if err != nil {
		t.Fatal(err)
	}
}

func TestObjectsWithoutARowAreNoObstacle(t *testing.T) {
	for name, left := range map[string][]byte{
		"the same bytes":  photo(1).Data,
		"other bytes":     photo(2).Data,
		"half of them":    photo(1).Data[:1000],
		"an empty object": {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.leave(t, original, left)
			s.leave(t, original+".thumbnail", []byte("old"))
			s.leave(t, original+".thumbnail-mini", []byte("old"))
			file := photo(1)
			if _, err := s.Put(t.Context(), file, "someone"); err != nil {
				t.Fatal(err)
			}
			s.checkStored(t, file)
			puts := 0
			for _, step := range s.takeSteps() {
				if step == "put "+original {
					puts++
				}
			}
			if same := bytes.Equal(left, file.Data); same != (puts == 0) {
				t.Errorf("%d puts of the original", puts)
			}
		})
	}
}

func TestAnObjectThatGoesAwayMeanwhileIsNoObstacle(t *testing.T) {
	s := newServer(t)
	s.leave(t, original, []byte("old"))
	s.setFault(func(step string, after bool) error {
		if step == "head "+original && !after {
			return s.blob.Delete(context.Background(), original)
		}
		return nil
	})
	file := photo(1)
	if _, err := s.Put(t.Context(), file, "someone"); err != nil {
		t.Fatal(err)
	}
	s.checkStored(t, file)
}

func TestAnObjectThatKeepsChangingIsLeftAlone(t *testing.T) {
	s := newServer(t)
	n := 0
	change := func() {
		n++
		s.leave(t, original, []byte(fmt.Sprint(n)))
	}
	change()
	s.setFault(func(step string, after bool) error {
		if step == "head "+original && after {
			change()
		}
		return nil
	})
	_, err := s.Put(t.Context(), photo(1), "someone")
	wantError(t, err, spi.CodeUnavailable, "send it again")
	if len(s.rows(t)) != 0 || string(s.object(t, original)) != fmt.Sprint(n) {
		t.Errorf("%d rows, object %.20q", len(s.rows(t)), s.object(t, original))
	}
}

// A claim ends with the connection that holds it, which its holder may not notice before it commits.
func TestTheImageOfAnotherWhoTookTheClaimOverIsNotOverwritten(t *testing.T) {
	s := newServer(t)
	theirs := photo(2)
	meanwhile := false
	s.setFault(func(step string, after bool) error {
		if step != "claim" || !after || meanwhile {
			return nil
		}
		meanwhile = true
		s.leave(t, original, theirs.Data)
		s.leave(t, original+".thumbnail", theirs.Data)
		s.leave(t, original+".thumbnail-mini", theirs.Data)
		return nil
	})
	// The row cannot be committed under this server's claim, so the look-up pretends that it is there.
	s.there = &store.Image{Device: device, Datetime: datetime, MD5: sum(theirs.Data)}
	_, err := s.Put(t.Context(), photo(1), "someone")
	wantError(t, err, spi.CodeConflict, "with other bytes")
	if !bytes.Equal(s.object(t, original), theirs.Data) {
		t.Error("the image was overwritten")
	}
}

func TestAFailureAtAnyStepLeavesNoRowAndTheNextUploadSucceeds(t *testing.T) {
	for _, step := range []string{"claim", "put " + original, "put " + original + ".thumbnail", "put " + original + ".thumbnail-mini", "commit"} {
		for _, after := range []bool{false, true} {
			if after && (step == "claim" || step == "commit") {
				continue // the first holds nothing then, and the second is stored
			}
			t.Run(fmt.Sprintf("%s/after=%v", strings.ReplaceAll(step, original, "original"), after), func(t *testing.T) {
				s := newServer(t)
				s.setFault(func(at string, a bool) error {
					if at == step && a == after {
						return spi.Errorf(spi.CodeUnavailable, "made to fail")
					}
					return nil
				})
				file := photo(1)
				_, err := s.Put(t.Context(), file, "someone")
				wantError(t, err, spi.CodeUnavailable, "made to fail", file.Name)
				if rows := s.rows(t); len(rows) != 0 {
					t.Errorf("rows %+v", rows)
				}
				if s.outcomes[ingest.Failed] != 1 {
					t.Errorf("outcomes %v", s.outcomes)
				}
				s.setFault(nil)
				if _, err := s.Put(t.Context(), file, "someone"); err != nil {
					t.Fatal(err)
				}
				s.checkStored(t, file)
			})
		}
	}
}

func TestAClaimIsAlwaysReleased(t *testing.T) {
	s := newServer(t)
	for _, fail := range []string{"put " + original, "commit"} {
		s.takeSteps()
		s.setFault(func(step string, _ bool) error {
			if step == fail {
				return spi.Errorf(spi.CodeUnavailable, "made to fail")
			}
			return nil
		})
		if _, err := s.Put(t.Context(), photo(1), "someone"); err == nil {
			t.Fatal("stored")
		}
		if n := count(s.takeSteps(), "release"); n != 1 {
			t.Errorf("%s: released %d times", fail, n)
		}
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

func TestAClientThatGoesAwayAfterItsImageWasPutLeavesItStored(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.setFault(func(step string, after bool) error {
		if step == "put "+original && after {
			cancel()
		}
		return nil
	})
	file := photo(1)
	if _, err := s.Put(ctx, file, "someone"); err != nil {
		t.Fatal(err)
	}
	s.checkStored(t, file)
}

func TestAClientThatGoesAwayBeforeLeavesNothing(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, photo(1), "someone")
	if err == nil {
		t.Fatal("stored")
	}
	if n := len(s.objects(t)) + len(s.rows(t)); n != 0 {
		t.Errorf("%d objects and rows", n)
	}
}

func TestAWrongFileIsRefusedAndNothingIsStored(t *testing.T) {
	s := newServer(t)
	good := photo(1)
	bare := spitest.Picture(spitest.Photo{Width: 160, Height: 120})
	with := func(change func(*ingest.File)) ingest.File {
		file := good
		change(&file)
		return file
	}
	huge := bytes.Clone(good.Data)
	frame := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[frame+5:], []byte{0xea, 0x60, 0xea, 0x60})
	cut := append(bytes.Clone(good.Data[:len(good.Data)*3/4]), 0xff, 0xd9)
	for name, test := range map[string]struct {
		file    ingest.File
		outcome ingest.Outcome
		says    string
	}{
		"a wrong name":        {with(func(f *ingest.File) { f.Name = "../../etc/passwd" }), ingest.BadName, "not the name of an image"},
		"a name with a NUL":   {with(func(f *ingest.File) { f.Name = "5c173ff2.2020-06-20_21-33-24.jpg\x00" }), ingest.BadName, `\x00`},
		"a wrong md5":         {with(func(f *ingest.File) { f.MD5 = strings.Repeat("0", 32) }), ingest.BadChecksum, "send it again"},
		"an md5 that is none": {with(func(f *ingest.File) { f.MD5 = "x" }), ingest.BadChecksum, `"x"`},
		"an empty file":       {with(func(f *ingest.File) { f.Data = nil }), ingest.BadJPEG, "empty"},
		"a PNG":               {with(func(f *ingest.File) { f.Data = []byte("\x89PNG\r\n\x1a\n") }), ingest.BadJPEG, "PNG"},
		"a cut file":          {with(func(f *ingest.File) { f.Data = f.Data[:len(f.Data)/2] }), ingest.BadJPEG, "cut short"},
		"cut, with an end":    {with(func(f *ingest.File) { f.Data = cut }), ingest.BadJPEG, "cut short"},
		"60,000 x 60,000":     {with(func(f *ingest.File) { f.Data = huge }), ingest.BadJPEG, "megapixels"},
		"no EXIF":             {with(func(f *ingest.File) { f.Data = bare }), ingest.BadMetadata, "no EXIF"},
		"EXIF of a telephone": {with(func(f *ingest.File) { f.Data = spitest.WithEXIF(bare, spitest.EXIF("Telephone", "")) }), ingest.BadMetadata, "UserComment"},
		"wrong metadata":      {with(func(f *ingest.File) { f.Data = spitest.WithEXIF(bare, spitest.EXIF("{'temp': 'x'}", "")) }), ingest.BadMetadata, "temp"},
	} {
		before := s.outcomes[test.outcome]
		_, err := s.Put(t.Context(), test.file, "someone")
		wantError(t, err, spi.CodeInvalid, test.says)
		if s.outcomes[test.outcome] != before+1 {
			t.Errorf("%s: not counted as %s, but %v", name, test.outcome, s.outcomes)
		}
		if test.outcome != ingest.BadName && !strings.HasPrefix(err.(*spi.Error).Message, `"`+test.file.Name+`": `) { //nolint:errorlint,forcetypeassert // wantError looked
			t.Errorf("%s: the message does not begin with the name: %v", name, err)
		}
	}
	if n := len(s.objects(t)) + len(s.rows(t)); n != 0 {
		t.Errorf("%d objects and rows", n)
	}
}

func TestRealPhotographsAreStored(t *testing.T) {
	names, err := filepath.Glob("../../../../shared/data/raw_images/*.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skip("no real photographs: ../shared/data/raw_images is not there, beside the project")
	}
	s := newServer(t)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		image, err := s.Put(t.Context(), ingest.File{Name: filepath.Base(name), Data: data}, "someone")
		if err != nil {
			t.Fatal(err)
		}
		if image.Width != 2592 || image.Height != 1944 || image.MD5 != sum(data) || !image.Temp.Valid {
			t.Errorf("%s: %+v", name, image)
		}
		if !bytes.Equal(s.object(t, ingest.Keys(&image)[0]), data) {
			t.Errorf("%s: the object holds other bytes", name)
		}
	}
	if n := len(s.objects(t)); n != 3*len(names) {
		t.Errorf("%d objects", n)
	}
}

func BenchmarkPut(b *testing.B) {
	access := kittest.SharedS3(b).S3Access
	objects, err := s3blob.New(s3blob.Config{
		Endpoint: access.Endpoint, Region: access.Region, Bucket: access.Bucket(), AccessKey: access.AccessKey, SecretKey: access.SecretKey,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer objects.Close()
	if err := objects.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	db, err := sqlstore.OpenSQLite(filepath.Join(b.TempDir(), "sticky-pi.sqlite"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	s := ingest.New(ingest.Config{Store: db, Blob: objects, Thumbnailer: thumbnail.New(), Logger: slog.New(slog.DiscardHandler)})
	data := spitest.JPEG(spitest.Photo{Width: 2592, Height: 1944})
	at := datetime
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Second)
		if _, err := s.Put(b.Context(), ingest.File{Name: spitest.Name(device, at), Data: data}, "someone"); err != nil {
			b.Fatal(err)
		}
	}
}
