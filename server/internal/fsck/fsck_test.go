package fsck_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the rows' and S3's checksum
	"io"
	"iter"
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
	"github.com/sticky-pi/sticky-pi-server/server/internal/fsck"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest/thumbnail"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/server/internal/tuboids"
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

// damage is an object store that gives other bytes for some keys than it took.
type damage struct {
	blob.Store
	keys *sync.Map
}

func (d damage) Get(ctx context.Context, key string) (io.ReadCloser, blob.Info, error) {
	body, info, err := d.Store.Get(ctx, key)
	if _, damaged := d.keys.Load(key); err == nil && damaged {
		body.Close()
		body = io.NopCloser(strings.NewReader("rotten"))
	}
	return body, info, err
}

func (d damage) Put(ctx context.Context, key string, body []byte, how blob.Put) error {
	d.keys.Delete(key)
	return d.Store.Put(ctx, key, body, how)
}

// server is a real database and a real object store with some images, and an fsck to run on them.
type server struct {
	t     *testing.T
	db    *sqlstore.Store
	blobs damage
	c     fsck.Config
	found []string // "KIND KEY", with " (mended)" behind it
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
	db, err := sqlstore.OpenSQLite(filepath.Join(t.TempDir(), "sticky-pi.sqlite"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, db: db, blobs: damage{b, &sync.Map{}}}
	s.c = fsck.Config{
		Store: db, Tuboids: db, Work: db, Blobs: s.blobs, Thumbnailer: thumbnail.New(),
		Now: func() time.Time { return time.Now().Add(2 * time.Hour) }, // no upload of this test is under way by then
		Fault: func(f fsck.Fault) {
			line := string(f.Kind) + " " + strings.TrimPrefix(f.What, "raw_images/")
			if f.Mended {
				line += " (mended)"
			}
			s.found = append(s.found, line)
			if f.Detail == "" {
				t.Errorf("%s has no detail", f)
			}
		},
	}
	return s
}

var noon = time.Date(2021, 5, 4, 12, 0, 0, 0, time.UTC)

// put uploads an image of that hour.
func (s *server) put(device string, hour int) store.Image {
	s.t.Helper()
	at := noon.Add(time.Duration(hour) * time.Hour)
	service := ingest.New(ingest.Config{Store: s.db, Blob: s.blobs, Thumbnailer: s.c.Thumbnailer, Logger: slog.New(slog.DiscardHandler)})
	image, err := service.Put(s.t.Context(), ingest.File{
		Name: spitest.Name(device, at), Data: spitest.JPEG(spitest.Photo{Width: 640, Height: 480, Seed: uint64(hour)}),
	}, "anna")
	if err != nil {
		s.t.Fatal(err)
	}
	return image
}

func key(device string, hour int, suffix string) string {
	return device + "/" + spitest.Name(device, noon.Add(time.Duration(hour)*time.Hour)) + suffix
}

func (s *server) object(key, body string) {
	s.t.Helper()
	if err := s.blobs.Put(s.t.Context(), key, []byte(body), blob.Put{MD5: md5.Sum([]byte(body))}); err != nil { //nolint:gosec // see the import
		s.t.Fatal(err)
	}
}

func (s *server) delete(key string) {
	s.t.Helper()
	if err := s.blobs.Delete(s.t.Context(), "raw_images/"+key); err != nil {
		s.t.Fatal(err)
	}
}

// run runs fsck and wants these faults, in any order.
func (s *server) run(o fsck.Options, want ...string) fsck.Progress {
	s.t.Helper()
	s.found = nil
	s.c.Options = o
	p, err := fsck.Run(s.t.Context(), s.c)
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(s.found)
	slices.Sort(want)
	if diff := cmp.Diff(want, s.found); diff != "" {
		s.t.Errorf("faults (-want +got):\n%s", diff)
	}
	if int(p.Faults) != len(s.found) {
		s.t.Errorf("%d faults are counted, %d were told", p.Faults, len(s.found))
	}
	return p
}

func TestNothingIsWrongWithWhatWasUploaded(t *testing.T) {
	s := newServer(t)
	s.run(fsck.Options{Deep: true})
	for _, device := range []string{"5c173ff2", "5C173FF2", "0a5bb6f4", "0A5BB6F4", "ffffffff"} {
		for hour := range 4 {
			if device != strings.ToLower(device) {
				hour += 10 // one device, whose images have folders by how it is written
			}
			s.put(device, hour)
		}
	}
	p := s.run(fsck.Options{Deep: true, Repair: true, DeleteObjects: true, DeleteRows: true})
	if p.Images != 20 || p.Objects != 60 || p.Bytes == 0 || p.Mended != 0 {
		t.Errorf("%+v", p)
	}
}

func TestWhatIsWrongWithImagesIsFoundAndMended(t *testing.T) {
	s := newServer(t)
	const device = "5c173ff2"
	for hour := range 8 {
		s.put(device, hour)
	}
	s.put("5C173FF2", 20)
	s.put("ffffffff", 0)
	ctx := t.Context()

	s.delete(key(device, 1, ""))
	s.delete(key(device, 2, ".thumbnail"))
	s.delete(key(device, 7, ".thumbnail-mini"))
	s.object("raw_images/"+key(device, 3, ".thumbnail-mini"), "")
	s.object("raw_images/"+key(device, 4, ""), "other bytes")
	s.delete(key(device, 4, ".thumbnail"))
	s.delete(key("ffffffff", 0, ".thumbnail"))
	left := []string{
		key(device, 100, ""), key(device, 100, ".thumbnail"), key("5C173FF2", 1, ""), key("ffffffff", -1, ""), key("ffffffff", 99, ".thumbnail-mini"),
		key("00000000", 0, ""), "no-device/file.txt", key(device, 5, ".bak"), key(device, 5, ".thumbnail-large"),
	}
	for _, k := range left {
		s.object("raw_images/"+k, "left over")
	}
	s.blobs.keys.Store("raw_images/"+key(device, 5, ".thumbnail"), true)
	s.blobs.keys.Store("raw_images/"+key(device, 6, ""), true)
	s.object("ml/bundle/data/x.txt", "of another kind, and nobody's business")

	lines := func(kind fsck.Kind, suffix string, keys ...string) []string {
		var out []string
		for _, k := range keys {
			out = append(out, string(kind)+" "+k+suffix)
		}
		return out
	}
	lost := lines(fsck.MissingOriginal, "", key(device, 1, ""))
	wrong := lines(fsck.WrongOriginal, "", key(device, 4, ""))
	rotten := lines(fsck.WrongOriginal, "", key(device, 6, ""))
	hopeless := lines(fsck.MissingThumbnail, "", key(device, 4, ".thumbnail"))
	missing := []string{key(device, 2, ".thumbnail"), key(device, 7, ".thumbnail-mini"), key("ffffffff", 0, ".thumbnail")}
	empty := key(device, 3, ".thumbnail-mini")
	all := slices.Concat(lost, wrong, hopeless, lines(fsck.MissingThumbnail, "", missing...), lines(fsck.WrongThumbnail, "", empty),
		lines(fsck.LeftObject, "", left...))

	s.run(fsck.Options{}, all...)
	s.run(fsck.Options{}, all...) // looking changes nothing
	deep := slices.Concat(all, rotten, lines(fsck.WrongThumbnail, "", key(device, 5, ".thumbnail")))
	s.run(fsck.Options{Deep: true}, deep...)

	// young objects may belong to an upload that is under way
	now := s.c.Now
	s.c.Now = time.Now
	p := s.run(fsck.Options{DeleteObjects: true}, slices.Concat(lost, wrong, hopeless, lines(fsck.MissingThumbnail, "", missing...), lines(fsck.WrongThumbnail, "", empty))...)
	if int(p.TooYoungToSay) != len(left) {
		t.Errorf("%d objects are too young", p.TooYoungToSay)
	}
	s.c.Now = now

	s.run(fsck.Options{Deep: true, Repair: true}, slices.Concat(lost, wrong, rotten, hopeless, lines(fsck.MissingThumbnail, " (mended)", missing...),
		lines(fsck.WrongThumbnail, " (mended)", empty, key(device, 5, ".thumbnail")), lines(fsck.LeftObject, "", left...))...)
	for _, k := range append(missing, empty) {
		body, _, err := s.blobs.Get(ctx, "raw_images/"+k)
		if err != nil {
			t.Fatal(err)
		}
		small, err := io.ReadAll(body)
		body.Close()
		if err != nil || !bytes.HasPrefix(small, []byte{0xff, 0xd8}) {
			t.Errorf("%s is no JPEG, %v", k, err)
		}
	}
	s.run(fsck.Options{DeleteObjects: true}, slices.Concat(lost, wrong, hopeless, lines(fsck.LeftObject, " (mended)", left...))...)
	s.run(fsck.Options{DeleteRows: true}, slices.Concat(lines(fsck.MissingOriginal, " (mended)", key(device, 1, "")), wrong, hopeless)...)
	s.run(fsck.Options{}, slices.Concat(wrong, hopeless)...)
	if _, err := s.blobs.Head(ctx, "ml/bundle/data/x.txt"); err != nil {
		t.Error(err)
	}
	if _, err := s.blobs.Head(ctx, "raw_images/"+key("5C173FF2", 20, "")); err != nil {
		t.Error(err)
	}
}

func TestAnUploadThatComesWhileFsckRunsIsNoFault(t *testing.T) {
	s := newServer(t)
	s.put("5c173ff2", 0)
	s.put("ffffffff", 0)
	once := false
	s.c.Progress = func(p fsck.Progress) {
		if !once && p.Images == 1 { // between reading the rows and listing the objects
			once = true
			s.put("5c173ff2", 1)
			s.put("aaaaaaaa", 0)
		}
	}
	s.run(fsck.Options{DeleteObjects: true, DeleteRows: true})
	s.c.Progress = nil
	p := s.run(fsck.Options{Deep: true})
	if p.Images != 4 || !once {
		t.Errorf("%+v", p)
	}
}

func TestNothingIsDeletedWithTheWrongBucketOrDatabase(t *testing.T) {
	s, other := newServer(t), newServer(t)
	var rows, objects []string
	for hour := range 3 {
		s.put("5c173ff2", hour)
		rows = append(rows, "missing-original "+key("5c173ff2", hour, ""))
		for _, suffix := range []string{".thumbnail", ".thumbnail-mini"} {
			rows = append(rows, "missing-thumbnail "+key("5c173ff2", hour, suffix))
		}
		other.put("ffffffff", hour)
		for _, suffix := range []string{"", ".thumbnail", ".thumbnail-mini"} {
			objects = append(objects, "left-object "+key("ffffffff", hour, suffix))
		}
	}
	s.c.Blobs = other.blobs
	s.run(fsck.Options{Repair: true, DeleteRows: true, DeleteObjects: true}, append(rows, objects...)...)
	s.c.Blobs = s.blobs
	s.run(fsck.Options{})
	other.run(fsck.Options{})
}

func TestTuboidsAreHeldAgainstTheirFiles(t *testing.T) {
	s := newServer(t)
	const series = "08038ade.2020-07-08_20-00-00.2020-07-09_15-00-00.1606980656-91e2199fccf371d3d690b2856613e8f5"
	row := store.Tuboid{
		StartDatetime: noon, EndDatetime: noon, NShots: 1, Provenance: store.Provenance{DatetimeCreated: noon},
		Series: store.TuboidSeries{
			Device: "08038ade", StartDatetime: noon.Add(-time.Hour), EndDatetime: noon.Add(time.Hour), AlgoName: "matcher",
			AlgoVersion: "1606980656-91e2199fccf371d3d690b2856613e8f5", NTuboids: 2, NImages: 3, Provenance: store.Provenance{DatetimeCreated: noon},
		},
	}
	for i, id := range []string{series + ".0001", series + ".0002"} {
		row.TuboidID, row.IDInSeries = id, i+1
		claim, err := s.db.ClaimTuboid(t.Context(), &row)
		if err != nil {
			t.Fatal(err)
		}
		if err := claim.Commit(t.Context(), &row); err != nil {
			t.Fatal(err)
		}
		claim.Release()
		for _, k := range tuboids.Keys(id) {
			s.object(k, "a file")
		}
	}
	s.run(fsck.Options{Deep: true})
	keys := tuboids.Keys(series + ".0002")
	if err := s.blobs.Delete(t.Context(), keys[1]); err != nil {
		t.Fatal(err)
	}
	s.blobs.keys.Store(keys[0], true)
	other := tuboids.Keys(series + ".0003")[0]
	without := tuboids.Keys("another" + series + ".0001")[0]
	s.object(other, "left")
	s.object(without, "left")
	want := []string{"missing-tuboid " + keys[1], "left-object " + other, "left-object " + without}
	s.run(fsck.Options{Repair: true, DeleteObjects: true, DeleteRows: true}, want...)
	s.run(fsck.Options{Deep: true}, append(want, "wrong-tuboid "+keys[0])...)
}

func TestImagesThatTheQueueLostAreQueuedAgain(t *testing.T) {
	s := newServer(t)
	user, err := s.db.AddUsers(t.Context(), []store.User{{Username: "worker", PasswordHash: "x", Provenance: store.Provenance{DatetimeCreated: noon}}})
	if err != nil {
		t.Fatal(err)
	}
	s.put("5c173ff2", 0)
	s.put("5c173ff2", 1)
	s.put("5c173ff2", 2)
	request := store.LeaseRequest{
		Series: []store.Series{{Device: "%", Start: noon, End: noon.Add(24 * time.Hour)}}, AlgoName: "uid",
		AlgoVersion: "1598113346-ad2cd78dfaca12821046dfb8994724d5", UserID: user[0].ID, Limit: 1, Now: time.Now(), Until: time.Now().Add(time.Minute),
	}
	if leased, err := s.db.LeaseImages(t.Context(), request); err != nil || len(leased) != 1 {
		t.Fatalf("%d leased, %v", len(leased), err)
	}
	if _, err := s.db.Pools()["write"].ExecContext(t.Context(), "DELETE FROM uid_intents WHERE image_id = (SELECT MIN(id) FROM images)"); err != nil {
		t.Fatal(err)
	}
	stranded, lease := "queue uid of 5c173ff2 at 2021-05-04 12:00:00", "queue uid of 5c173ff2 at 2021-05-04 14:00:00"
	s.run(fsck.Options{}, stranded, lease)
	s.run(fsck.Options{Repair: true}, stranded+" (mended)", lease+" (mended)")
	s.run(fsck.Options{})
	request.Limit = 64
	if leased, err := s.db.LeaseImages(t.Context(), request); err != nil || len(leased) != 3 {
		t.Errorf("%d leased, %v", len(leased), err)
	}
}

func TestRunEndsWhereTheStoresDo(t *testing.T) {
	s := newServer(t)
	s.put("5c173ff2", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fsck.Run(ctx, s.c); err == nil {
		t.Error("no error")
	}
	// a bucket that cannot be listed must not look like one without objects
	s.c.Blobs = unlisted{s.blobs}
	s.c.Options = fsck.Options{DeleteRows: true}
	if _, err := fsck.Run(t.Context(), s.c); spi.CodeOf(err) != spi.CodeUnavailable {
		t.Errorf("%v", err)
	}
	if len(s.found) > 0 {
		t.Errorf("faults: %v", s.found)
	}
}

// unlisted is an object store that does not list.
type unlisted struct{ blob.Store }

func (unlisted) List(context.Context, string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		yield(blob.Info{}, spi.Errorf(spi.CodeUnavailable, "the object store does not answer"))
	}
}
