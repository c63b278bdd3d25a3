package tuboids_test

import (
	"bytes"
	"context"
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

var now = time.Date(2026, 3, 4, 5, 6, 7, 890, time.FixedZone("", 3600))

// server is a service on a real database and a real object store, whose calls go through wrappers that can make faults.
type server struct {
	*tuboids.Service
	store store.Tuboids // without the wrapper
	blob  blob.Store
	mu    sync.Mutex
	steps []string // done without an error
	// fault, where not nil, is asked before and after each step whether it fails; one after a step loses the answer alone.
	fault func(step string, after bool) error
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
	s := &server{store: db, blob: b}
	s.Service = tuboids.New(tuboids.Config{
		Store: faultyStore{db, s}, Blob: faultyBlob{b, s}, Clock: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
	})
	return s
}

func (s *server) do(step string, fn func() error) error {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault == nil {
		fault = func(string, bool) error { return nil }
	}
	if err := fault(step, false); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	s.mu.Lock()
	s.steps = append(s.steps, step)
	s.mu.Unlock()
	return fault(step, true)
}

func (s *server) setFault(fault func(step string, after bool) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.steps = fault, nil
}

type faultyBlob struct {
	blob.Store
	s *server
}

func (b faultyBlob) Put(ctx context.Context, key string, body []byte, how blob.Put) error {
	return b.s.do("put "+key[strings.LastIndex(key, "/")+1:], func() error { return b.Store.Put(ctx, key, body, how) })
}

type faultyStore struct {
	store.Tuboids
	s *server
}

func (f faultyStore) ClaimTuboid(ctx context.Context, t *store.Tuboid) (claim store.TuboidClaim, err error) {
	err = f.s.do("claim", func() error {
		claim, err = f.Tuboids.ClaimTuboid(ctx, t)
		return err
	})
	if err != nil {
		if claim != nil {
			claim.Release()
		}
		return nil, err
	}
	return faultyClaim{claim, f.s}, nil
}

type faultyClaim struct {
	store.TuboidClaim
	s *server
}

func (c faultyClaim) Commit(ctx context.Context, t *store.Tuboid) error {
	return c.s.do("commit", func() error { return c.TuboidClaim.Commit(ctx, t) })
}

func (c faultyClaim) Release() {
	c.TuboidClaim.Release()
	_ = c.s.do("release", func() error { return nil }) // a release cannot fail
}

// upload is a tuboid of the series above.
func upload(t *testing.T, number int, seed uint64) tuboids.Upload {
	t.Helper()
	info, err := tuboids.ParseInfo([]byte(infoText))
	if err != nil {
		t.Fatal(err)
	}
	return tuboids.Upload{
		TuboidID: fmt.Sprintf("%s.%04d", seriesName, number), Info: info, Metadata: []byte(metadataText),
		Tuboid:  spitest.Picture(spitest.Photo{Width: 64, Height: 32, Seed: seed}),
		Context: spitest.Picture(spitest.Photo{Width: 48, Height: 48, Seed: seed + 1}),
	}
}

// stored wants a tuboid's row and its objects to be there, or none of its row.
func (s *server) stored(t *testing.T, u tuboids.Upload) {
	t.Helper()
	rows, err := s.store.TuboidsByName(t.Context(), []string{u.TuboidID})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for part, want := range map[tuboids.Part][]byte{tuboids.Picture: u.Tuboid, tuboids.Metadata: u.Metadata, tuboids.Context: u.Context} {
		r, _, err := s.blob.Get(t.Context(), tuboids.Key(u.TuboidID, part))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d: %v", part, len(got), len(want), err)
		}
	}
}

func code(t *testing.T, err error) spi.Code {
	t.Helper()
	var e *spi.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is not typed", err)
	}
	return e.Code
}

func TestPutStoresObjectsThenTheRow(t *testing.T) {
	s := newServer(t)
	u := upload(t, 28, 1)
	got, err := s.Put(t.Context(), u, "matcher")
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, u)
	if want := []string{"claim", "put tuboid.jpg", "put context.jpg", "put metadata.txt", "commit", "release"}; !slices.Equal(s.steps, want) {
		t.Errorf("steps %v", s.steps)
	}
	rows, err := s.store.TuboidsByName(t.Context(), []string{u.TuboidID})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, []store.Tuboid{got}); diff != "" {
		t.Errorf("(-stored +given)\n%s", diff)
	}
	if got.NShots != 2 || got.IDInSeries != 28 || got.APIUser.V != "matcher" || !got.DatetimeCreated.Equal(now.Truncate(time.Second)) ||
		got.StartDatetime.Before(seriesStart) || got.Series.NTuboids != 2 || got.Series.AlgoName != "sticky-pi-matcher" {
		t.Errorf("%+v", got)
	}
}

func TestPutRefusesWhatIsWrongBeforeAnythingIsStored(t *testing.T) {
	s := newServer(t)
	for words, change := range map[string]func(*tuboids.Upload){
		"tuboid_id":                   func(u *tuboids.Upload) { u.TuboidID = "../../secret" },
		"series_info: device":         func(u *tuboids.Upload) { u.Info.Device = "00000000" },
		"metadata: line 1":            func(u *tuboids.Upload) { u.Metadata = []byte("x") },
		"tuboid: the JPEG is cut":     func(u *tuboids.Upload) { u.Tuboid = u.Tuboid[:len(u.Tuboid)-2] },
		"context: the JPEG is cut":    func(u *tuboids.Upload) { u.Context = u.Context[:len(u.Context)/2] },
		"context: the file is empty":  func(u *tuboids.Upload) { u.Context = nil },
		"tuboid: the file is not a J": func(u *tuboids.Upload) { u.Tuboid = []byte("GIF89a") },
	} {
		u := upload(t, 28, 1)
		change(&u)
		_, err := s.Put(t.Context(), u, "matcher")
		wantInvalid(t, words, err, words)
	}
	for info, err := range s.blob.List(t.Context(), "") {
		t.Errorf("there is an object: %v, %v", info, err)
	}
	if len(s.steps) > 0 {
		t.Errorf("steps %v", s.steps)
	}
}

func TestATuboidThatIsThereIsNeverOverwritten(t *testing.T) {
	s := newServer(t)
	first, other := upload(t, 28, 1), upload(t, 28, 7)
	if _, err := s.Put(t.Context(), first, "matcher"); err != nil {
		t.Fatal(err)
	}
	for _, again := range []tuboids.Upload{first, other} {
		if _, err := s.Put(t.Context(), again, "matcher"); code(t, err) != spi.CodeConflict {
			t.Errorf("got %v", err)
		}
	}
	s.stored(t, first)
	if _, err := s.Put(t.Context(), upload(t, 2, 2), "matcher"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), upload(t, 3, 3), "matcher"); code(t, err) != spi.CodeConflict || !strings.Contains(err.Error(), "all of its 2 tuboids") {
		t.Errorf("one more than n_tuboids: %v", err)
	}
	for _, err := range s.blob.List(t.Context(), "tiled_tuboids/"+seriesName+"/"+seriesName+".0003/") {
		t.Errorf("the refused tuboid has an object (%v)", err)
	}
}

// TestAnUploadThatFailsAnywhereIsFinishedByTheNext lets every step fail, before it is done and after, and sends the same
// tuboid, or another of its name, again.
func TestAnUploadThatFailsAnywhereIsFinishedByTheNext(t *testing.T) {
	away := spi.Errorf(spi.CodeUnavailable, "away")
	for _, step := range []string{"claim", "put tuboid.jpg", "put context.jpg", "put metadata.txt", "commit"} {
		for _, after := range []bool{false, true} {
			for _, seed := range []uint64{1, 7} {
				t.Run(fmt.Sprintf("%s after %t seed %d", step, after, seed), func(t *testing.T) {
					s := newServer(t)
					first, next := upload(t, 28, 1), upload(t, 28, seed)
					s.setFault(func(at string, done bool) error {
						if at == step && done == after {
							return away
						}
						return nil
					})
					if _, err := s.Put(t.Context(), first, "matcher"); code(t, err) != spi.CodeUnavailable {
						t.Fatalf("got %v", err)
					}
					s.setFault(nil)
					_, err := s.Put(t.Context(), next, "matcher")
					if step == "commit" && after { // the answer alone was lost
						if code(t, err) != spi.CodeConflict {
							t.Errorf("got %v", err)
						}
						s.stored(t, first)
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					s.stored(t, next)
				})
			}
		}
	}
}

func TestAClientThatGoesAwayHalfWayLeavesAWholeTuboid(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.setFault(func(step string, after bool) error {
		if step == "put tuboid.jpg" && after {
			cancel()
		}
		return nil
	})
	u := upload(t, 28, 1)
	if _, err := s.Put(ctx, u, "matcher"); err != nil {
		t.Fatal(err)
	}
	s.stored(t, u)
}

func TestOfManyUploadsOfOneTuboidOneIsStored(t *testing.T) {
	s := newServer(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []tuboids.Upload
	for i := range 8 {
		wg.Go(func() {
			u := upload(t, 28, uint64(i))
			_, err := s.Put(t.Context(), u, "matcher")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, u)
			} else if spi.CodeOf(err) != spi.CodeConflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d were stored", len(won))
	}
	s.stored(t, won[0])
}
