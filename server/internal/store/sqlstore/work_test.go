package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestConformanceOfWork(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunWork(t, func(t *testing.T) store.Store { return open(t) })
		})
	}
}

var (
	allImages = store.Series{Device: "%", Start: spiTime("2000-01-01"), End: spiTime("2100-01-01")}
	workNow   = spiTime("2024-05-03")
)

const uidVersion = "1598113346-ad2cd78dfaca12821046dfb8994724d5"

func newWorker(t testing.TB, s store.Store) int64 {
	t.Helper()
	users, err := s.AddUsers(context.Background(), []store.User{{Username: "uid", PasswordHash: "x", CanWrite: true, Provenance: store.Provenance{DatetimeCreated: workNow}}})
	if err != nil {
		t.Fatal(err)
	}
	return users[0].ID
}

func uidRequest(user int64, version string) store.LeaseRequest {
	return store.LeaseRequest{Series: []store.Series{allImages}, AlgoName: "uid", AlgoVersion: version, UserID: user, Limit: 64, Now: workNow, Until: workNow.Add(time.Hour), MaxFailures: 3}
}

func leaseImages(t testing.TB, s store.Store, r store.LeaseRequest) []store.Image {
	t.Helper()
	images, err := storetest.Lease(context.Background(), s, r)
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// faults gives what CheckWork finds, in short.
func faults(t testing.TB, s store.Store, endedBefore time.Time, repair bool) (found []string) {
	t.Helper()
	err := s.CheckWork(context.Background(), endedBefore, repair, func(f store.WorkFault) error {
		if f.Repaired != repair || f.Detail == "" {
			t.Errorf("fault %+v", f)
		}
		found = append(found, fmt.Sprintf("%s %s %s %s", f.Kind, f.AlgoName, f.Device, f.Datetime.Format("15:04")))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// writer is the pool that may write past the interface.
func writer(s *sqlstore.Store) *sql.DB {
	if w, ok := s.Pools()["write"]; ok {
		return w
	}
	return s.DB()
}

// awaitLocks waits until so many of the database's connections run a statement that contains the text.
func awaitLocks(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	for ctx := testContext(t); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE ?", "%"+text+"%").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
}

func TestAnAlgorithmWaitsForUploadsInFlight(t *testing.T) {
	d := kittest.NewDatabase(t)
	s, db := openOn(t, d), plainDB(t, d)
	w := newWorker(t, s)
	for round, version := range []string{uidVersion, "1700000000-x"} {
		for _, i := range leaseImages(t, s, uidRequest(w, "1-x")) {
			if _, err := s.AddAnnotations(context.Background(), []store.NewAnnotation{storetest.Annotation(i, "uid", "1-x")}); err != nil {
				t.Fatal(err)
			}
		}
		// An upload that has its id and is not committed, and one with a greater id that is.
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		statements := []string{"SELECT algorithms FROM uid_gate WHERE id = 1 LOCK IN SHARE MODE",
			fmt.Sprintf("INSERT INTO images (device, datetime, md5, width, height, datetime_created) VALUES ('aaaaaaaa', '2020-06-20 00:00:0%d', '9e6e908d9c29d332b511f8d5121857f8', 1, 1, '2020-06-20')", round),
			"INSERT INTO uid_intents (image_id, algorithm_id, device, datetime, best_time) SELECT LAST_INSERT_ID(), id, 'aaaaaaaa', '2020-06-20', -1 FROM uid_algorithms"}
		for _, q := range statements {
			if _, err := tx.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
		storetest.Put(t, s, storetest.Image("bbbbbbbb", spiTime("2020-06-20").Add(time.Duration(round)*time.Second)))
		leased := make(chan []store.Image)
		go func() {
			images, err := s.LeaseImages(context.Background(), uidRequest(w, version))
			if err != nil {
				t.Error(err)
			}
			leased <- images
		}()
		awaitLocks(t, db, "uid_gate WHERE id = 1 FOR UPDATE")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if n := len(<-leased); n != 2*(round+1) {
			t.Errorf("version %s: %d images leased", version, n)
		}
		if found := faults(t, s, time.Time{}, false); len(found) > 0 {
			t.Errorf("version %s: %v", version, found)
		}
		mustExec(t, db, "UPDATE uid_intents SET state = 0, lease_user = NULL, lease_until = NULL, lease_time = NULL")
	}
}

func TestABackfillWaitsForAnnotationsInFlight(t *testing.T) {
	d := kittest.NewDatabase(t)
	s, db := openOn(t, d), plainDB(t, d)
	w := newWorker(t, s)
	image := storetest.Put(t, s, storetest.Image("aaaaaaaa", spiTime("2020-06-20")))
	other := storetest.Put(t, s, storetest.Image("bbbbbbbb", spiTime("2020-06-20")))
	r := uidRequest(w, uidVersion)
	leaseImages(t, s, r)
	mustExec(t, db, "DELETE FROM uid_intents")
	mustExec(t, db, "UPDATE uid_algorithms SET backfill_below = 1000")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		fmt.Sprintf("INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created) VALUES (%d, 'uid', '%s', 0, '', '2020-06-20')", image.ID, uidVersion),
		"SELECT algorithms FROM uid_gate WHERE id = 1 LOCK IN SHARE MODE",
		"SELECT id FROM uid_algorithms WHERE name = 'uid' LOCK IN SHARE MODE",
		fmt.Sprintf("DELETE FROM uid_intents WHERE image_id = %d", image.ID),
	} {
		if _, err := tx.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	leased := make(chan []store.Image)
	go func() {
		images, err := s.LeaseImages(context.Background(), r)
		if err != nil {
			t.Error(err)
		}
		leased <- images
	}()
	awaitLocks(t, db, "uid_algorithms WHERE name = 'uid' FOR UPDATE")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if images := <-leased; len(images) != 1 || images[0].ID != other.ID {
		t.Errorf("leased %+v, want the image that is not annotated", images)
	}
	if found := faults(t, s, time.Time{}, false); len(found) > 0 {
		t.Error(found)
	}
}

func TestWorkDoesNotWaitForDeletions(t *testing.T) {
	s := openMariaDB(t)
	w := newWorker(t, s)
	var images []store.Image
	for i := range 4 {
		images = append(images, storetest.Put(t, s, storetest.Image("aaaaaaaa", spiTime("2020-06-20").Add(time.Duration(i)*time.Second))))
	}
	key := func(i int) []store.ImageKey {
		return []store.ImageKey{{Device: "aaaaaaaa", Datetime: images[i].Datetime}}
	}
	away := errors.New("the objects are away")
	none := func(*store.Image) error { return nil }
	r := uidRequest(w, uidVersion)
	// The images are not entered yet: that waits for the deletion, the request does not.
	err := s.DeleteImages(testContext(t), key(3), func(ctx context.Context, _ []store.Image) error {
		if leased, err := s.LeaseImages(ctx, r); err != nil || len(leased) != 0 {
			t.Errorf("%d images leased, %v", len(leased), err)
		}
		return away
	}, none)
	if !errors.Is(err, away) {
		t.Fatal(err)
	}
	r.Limit = 1
	if leased := leaseImages(t, s, r); len(leased) != 1 || leased[0].ID != images[3].ID {
		t.Fatalf("leased %+v", leased)
	}
	// An image that is being deleted is passed over, whether it waits or its lease has ended.
	r.Now, r.Until, r.Limit = r.Until, r.Until.Add(time.Hour), 64
	err = s.DeleteImages(testContext(t), append(key(3), key(2)...), func(ctx context.Context, _ []store.Image) error {
		leased, err := storetest.Lease(ctx, s, r)
		if err != nil || len(leased) != 2 || leased[0].ID != images[1].ID || leased[1].ID != images[0].ID {
			t.Errorf("leased %+v, %v", leased, err)
		}
		return away
	}, none)
	if !errors.Is(err, away) {
		t.Fatal(err)
	}
	if leased := leaseImages(t, s, r); len(leased) != 2 || leased[0].ID != images[3].ID {
		t.Errorf("leased %+v", leased)
	}
	if found := faults(t, s, time.Time{}, false); len(found) > 0 {
		t.Error(found)
	}
}

// TestNothingIsStrandedWhateverComesTogether lets uploads, new algorithms and versions, annotations of any version, and
// deletions come together, on two servers.
func TestNothingIsStrandedWhateverComesTogether(t *testing.T) {
	d := kittest.NewDatabase(t)
	for name, servers := range map[string][]*sqlstore.Store{"MariaDB": {openOn(t, d), openOn(t, d)}, "SQLite": {openSQLite(t)}} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, servers[0])
			ctx := testContext(t)
			var wg sync.WaitGroup
			var mu sync.Mutex
			var stored []store.Image
			uploads := make(chan struct{}) // closed at their end
			some := func(r *rand.Rand) (store.Image, bool) {
				mu.Lock()
				defer mu.Unlock()
				if len(stored) == 0 {
					return store.Image{}, false
				}
				return stored[len(stored)-1-r.IntN(min(len(stored), 20))], true
			}
			const uploaders, each, versions = 4, 150, 40
			var uploading sync.WaitGroup
			for u := range uploaders {
				uploading.Add(1)
				wg.Go(func() {
					defer uploading.Done()
					for i := range each {
						image := storetest.Put(t, servers[u%len(servers)], storetest.Image(benchDevice(u), benchStart.Add(time.Duration(i)*time.Second)))
						mu.Lock()
						stored = append(stored, image)
						mu.Unlock()
					}
				})
			}
			wg.Go(func() { uploading.Wait(); close(uploads) })
			during := func(seed uint64, fn func(s *sqlstore.Store, r *rand.Rand) error) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, 1))
					for {
						select {
						case <-uploads:
							return
						default:
						}
						if err := fn(servers[r.IntN(len(servers))], r); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			version := func(r *rand.Rand) string { return fmt.Sprint(1+r.IntN(versions), "-x") }
			algo := func(r *rand.Rand) string { return fmt.Sprint("uid", r.IntN(4)) }
			for seed := range uint64(2) {
				during(seed, func(s *sqlstore.Store, r *rand.Rand) error {
					request := uidRequest(w, version(r))
					request.AlgoName, request.Limit = algo(r), 1+r.IntN(5)
					_, err := s.LeaseImages(ctx, request)
					return err
				})
				during(seed+10, func(s *sqlstore.Store, r *rand.Rand) error {
					image, ok := some(r)
					if !ok {
						return nil
					}
					_, err := s.AddAnnotations(ctx, []store.NewAnnotation{storetest.Annotation(image, algo(r), version(r))})
					if err != nil && spi.CodeOf(err) != spi.CodeConflict && spi.CodeOf(err) != spi.CodeNotFound {
						return err
					}
					return nil
				})
			}
			during(20, func(s *sqlstore.Store, r *rand.Rand) error {
				image, ok := some(r)
				if !ok || r.IntN(4) > 0 {
					return nil
				}
				err := s.DeleteImages(ctx, []store.ImageKey{{Device: image.Device, Datetime: image.Datetime}},
					func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil })
				return err
			})
			during(30, func(s *sqlstore.Store, r *rand.Rand) error {
				// It may be asked at any time.
				return s.CheckWork(ctx, time.Time{}, false, func(f store.WorkFault) error {
					if f.Kind == store.WorkDone { // while a version is being forgotten
						return nil
					}
					return fmt.Errorf("%+v", f)
				})
			})
			during(40, func(s *sqlstore.Store, r *rand.Rand) error {
				if r.IntN(10) > 0 {
					time.Sleep(time.Millisecond)
					return nil
				}
				_, err := s.ForgetVersion(ctx, algo(r))
				if err != nil && spi.CodeOf(err) != spi.CodeNotFound {
					return err
				}
				return nil
			})
			wg.Wait()
			if found := faults(t, servers[0], time.Time{}, false); len(found) > 0 {
				t.Errorf("%d faults: %v", len(found), found[0])
			}
			// What is not annotated is given out, all of it, once.
			for a := range 4 {
				request := uidRequest(w, fmt.Sprint(versions, "-x"))
				request.AlgoName = fmt.Sprint("uid", a)
				request.Now, request.Until = workNow.Add(9*time.Hour), workNow.Add(10*time.Hour)
				want := 0
				err := servers[0].ImageSeries(ctx, request.Series, func(i *store.Image) error {
					done := false
					err := servers[0].ImageAnnotations(ctx, []store.ImageKey{{Device: i.Device, Datetime: i.Datetime}}, false, func(a *store.Annotation) error {
						done = done || a.AlgoName == request.AlgoName && a.AlgoVersion == request.AlgoVersion
						return nil
					})
					if !done {
						want++
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				got := make(map[int64]bool)
				for leased := leaseImages(t, servers[0], request); len(leased) > 0; leased = leaseImages(t, servers[0], request) {
					for _, i := range leased {
						if got[i.ID] {
							t.Fatalf("image %d is leased twice", i.ID)
						}
						got[i.ID] = true
					}
				}
				if len(got) != want {
					t.Errorf("%s: %d images leased, want %d", request.AlgoName, len(got), want)
				}
			}
		})
	}
}

// annotateAll gives an annotation of algorithm uid to every image whose id divided by every leaves a rest, past the interface.
func annotateAll(t testing.TB, s *sqlstore.Store, version, json string, every int) {
	t.Helper()
	mustExec(t, writer(s), fmt.Sprintf(`INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created, api_version, api_user)
		SELECT id, 'uid', '%s', 3, '%s', datetime_created, '3.0.0', 'uid' FROM images WHERE id %% %d > 0`, version, json, every))
}

func TestABackfillResumesWhereItWasLeft(t *testing.T) {
	const devices, each, every = 3, 2500, 5
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			fillImages(t, s, devices, each)
			annotateAll(t, s, uidVersion, "{}", every)
			w := newWorker(t, s)
			all := devices * each
			waitingImages := func(leased int) {
				t.Helper()
				b, err := s.Backlog(context.Background(), "uid", workNow)
				if err != nil || len(b) != 1 || b[0].Waiting != int64(all/every-leased) || b[0].Leased != int64(leased) {
					t.Errorf("backlog %+v, %v, want %d waiting", b, err, all/every-leased)
				}
				if leased < all/every && (!b[0].OldestWaiting.Valid || b[0].OldestWaiting.V.After(benchStart.Add(5*20*time.Minute))) {
					t.Errorf("the oldest is of %v", b[0].OldestWaiting)
				}
			}
			r := uidRequest(w, uidVersion)
			seen := make(map[int64]bool)
			lease := func(want int) {
				t.Helper()
				leased := leaseImages(t, s, r)
				if len(leased) != want {
					t.Fatalf("%d images leased, want %d", len(leased), want)
				}
				for _, i := range leased {
					if seen[i.ID] || i.ID%every != 0 {
						t.Fatalf("image %d is leased", i.ID)
					}
					seen[i.ID] = true
				}
			}
			lease(64)
			waitingImages(64)
			// A request that is given up leaves all as it was, or as it is to be.
			for k := range 20 {
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(time.Duration(k)*time.Millisecond/2, cancel)
				narrow := r
				narrow.Series = []store.Series{{Device: benchDevice(0), Start: benchStart, End: benchStart.Add(time.Second)}}
				if leased, err := s.LeaseImages(ctx, narrow); err != nil && !errors.Is(err, context.Canceled) || len(leased) > 0 {
					t.Fatalf("%d images leased, %v", len(leased), err)
				}
				cancel()
				if found := faults(t, s, time.Time{}, false); len(found) > 0 {
					t.Fatal(found[0])
				}
			}
			waitingImages(64)
			for len(seen)+64 <= all/every {
				lease(64)
			}
			lease(all/every - len(seen))
			lease(0)
			waitingImages(all / every)
			// A later version: all images wait, those that were not annotated before the others.
			r = uidRequest(w, "1700000000-x")
			r.Now, r.Until = workNow.Add(9*time.Hour), workNow.Add(10*time.Hour)
			got, without := 0, 0
			for leased := leaseImages(t, s, r); len(leased) > 0; leased = leaseImages(t, s, r) {
				for _, i := range leased {
					if i.ID%every == 0 {
						without++
						if got >= all/every {
							t.Fatalf("image %d, without any annotation, is leased late", i.ID)
						}
					}
					got++
				}
			}
			if got != all || without != all/every {
				t.Errorf("%d images leased, %d of them without any annotation; want %d, %d", got, without, all, all/every)
			}
			if found := faults(t, s, time.Time{}, false); len(found) > 0 {
				t.Error(found[0])
			}
		})
	}
}

func TestCheckWorkFindsAndMends(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			w := newWorker(t, s)
			var images []store.Image
			for i := range 6 {
				images = append(images, storetest.Put(t, s, storetest.Image("aaaaaaaa", spiTime("2020-06-20").Add(time.Duration(i)*time.Minute))))
			}
			leaseImages(t, s, uidRequest(w, uidVersion))
			for _, i := range []int{0, 1} {
				if _, err := s.AddAnnotations(context.Background(), []store.NewAnnotation{storetest.Annotation(images[i], "uid", uidVersion)}); err != nil {
					t.Fatal(err)
				}
			}
			if found := faults(t, s, workNow.Add(time.Hour), false); len(found) > 0 {
				t.Fatal(found)
			}
			db, id := writer(s), func(i int) int64 { return images[i].ID }
			mustExec(t, db, "UPDATE uid_annotations SET algo_version = '5-x' WHERE parent_image_id = ?", id(0))
			mustExec(t, db, "INSERT INTO uid_intents (image_id, algorithm_id, device, datetime, best_time) SELECT ?, algorithm_id, device, datetime, best_time FROM uid_intents WHERE image_id = ?", id(1), id(2))
			mustExec(t, db, "UPDATE uid_intents SET best_time = 7 WHERE image_id = ?", id(2))
			mustExec(t, db, "UPDATE uid_intents SET lease_user = 999 WHERE image_id = ?", id(3))
			mustExec(t, db, "DELETE FROM uid_intents WHERE image_id = ?", id(4))
			want := []string{"stranded uid aaaaaaaa 00:00", "done uid aaaaaaaa 00:01", "stale uid aaaaaaaa 00:02", "lease uid aaaaaaaa 00:03", "stranded uid aaaaaaaa 00:04"}
			for _, repair := range []bool{false, true} {
				if diff := cmp.Diff(want, faults(t, s, workNow.Add(time.Hour), repair)); diff != "" {
					t.Errorf("repair %v (-want +got)\n%s", repair, diff)
				}
			}
			if found := faults(t, s, workNow.Add(time.Hour), false); len(found) > 0 {
				t.Error(found)
			}
			// The image that was left alone is leased still, and so is the one whose version was mistaken.
			var leased []int64
			for _, i := range leaseImages(t, s, uidRequest(w, uidVersion)) {
				leased = append(leased, i.ID)
			}
			if !slices.Equal(leased, []int64{id(4), id(3), id(0)}) {
				t.Errorf("leased %v", leased)
			}
			if diff := cmp.Diff(5, len(faults(t, s, workNow.Add(2*time.Hour), true))); diff != "" {
				t.Errorf("leases that ended (-want +got)\n%s", diff)
			}
			stop := errors.New("enough")
			mustExec(t, db, "DELETE FROM uid_intents")
			if err := s.CheckWork(context.Background(), time.Time{}, false, func(store.WorkFault) error { return stop }); !errors.Is(err, stop) {
				t.Errorf("%v, want the callback's error as it is", err)
			}
		})
	}
}

func TestOldAnnotationsNeedNoWork(t *testing.T) {
	schema := oldSchema(t)
	d := kittest.NewDatabase(t)
	fillOld(t, plainDB(t, d), schema)
	s := openOn(t, d)
	w := newWorker(t, s)
	r := uidRequest(w, "1598113346-other")
	r.Limit = 1000
	if n := len(leaseImages(t, s, r)); n != oldImages-2 {
		t.Errorf("%d images leased, want all but the two that the old stack has annotated: %d", n, oldImages-2)
	}
	r.AlgoVersion = "1598113347-other"
	if n := len(leaseImages(t, s, r)); n != 2 {
		t.Errorf("%d images leased for a later version, want 2", n)
	}
	if found := faults(t, s, time.Time{}, false); len(found) > 0 {
		t.Error(found)
	}
}

func TestLargeAnnotationsFitIntoAStatement(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			n := storetest.Annotation(storetest.Put(t, s, storetest.Image("aaaaaaaa", spiTime("2020-06-20"))), "uid", uidVersion)
			n.JSON = []byte(strings.Repeat(`"`, 8<<20)) // each of which a statement would have to quote
			if _, err := s.AddAnnotations(context.Background(), []store.NewAnnotation{n}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWorkThatIsNotEnteredIsCountedBitByBit(t *testing.T) {
	const devices, each, block = 2, 300, 20
	const all, oneCall = devices * each, sqlstore.BlocksPerCount * block
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.CountBlocksOf(block)
			fillImages(t, s, devices, each)
			w := newWorker(t, s)
			leaseImages(t, s, uidRequest(w, uidVersion))
			// a later version of which nothing is entered, and a leap of the ids
			mustExec(t, writer(s), "DELETE FROM uid_intents")
			mustExec(t, writer(s), "DELETE FROM images WHERE id > 450 AND id <= 500")
			mustExec(t, writer(s), fmt.Sprintf("UPDATE uid_algorithms SET backfill_below = %d", all+1))
			const there = all - 50
			now := workNow
			backlog := func() store.Backlog {
				t.Helper()
				b, err := s.Backlog(context.Background(), "uid", now)
				if err != nil || len(b) != 1 {
					t.Fatalf("backlog %+v, %v", b, err)
				}
				if !b[0].OldestWaiting.Valid || !b[0].OldestWaiting.V.Equal(benchStart) {
					t.Errorf("the oldest is of %v", b[0].OldestWaiting)
				}
				return b[0]
			}
			calls, last := 0, int64(0)
			for b := backlog(); b.AtLeast; b = backlog() {
				if b.Waiting > there || b.Waiting > int64((calls+1)*oneCall) || b.Waiting < last {
					t.Errorf("call %d: %d wait", calls, b.Waiting)
				}
				if calls++; calls > there/block {
					t.Fatalf("%d calls do not get to the end", calls)
				}
				last = b.Waiting
			}
			if b := backlog(); calls == 0 || b.Waiting != there {
				t.Errorf("%d of %d wait after %d calls", b.Waiting, there, calls)
			}
			// What changes in blocks that were counted is seen when they are counted anew.
			mustExec(t, writer(s), fmt.Sprintf(`INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created)
				SELECT id, 'UID', '%s', 3, '{}', datetime_created FROM images WHERE id > 100 AND id <= 130`, uidVersion))
			mustExec(t, writer(s), `INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created)
				SELECT id, 'uid', '1700000000-x', 3, '{}', datetime_created FROM images WHERE id > 120 AND id <= 140`)
			now = now.Add(sqlstore.BlockLife)
			for range calls + 1 {
				backlog()
			}
			if b := backlog(); b.Waiting != there-40 || b.AtLeast {
				t.Errorf("%+v, want %d waiting", b, there-40)
			}
			// A version of which all is to be counted anew.
			mustExec(t, writer(s), "UPDATE uid_algorithms SET version = '1800000000-x', version_time = 1800000000")
			if b := backlog(); !b.AtLeast {
				t.Errorf("%+v: the blocks of another version count", b)
			}
		})
	}
}

// TestIDsThatLeapOftenAreCountedToTheEnd has more leaps than a call counts blocks.
func TestIDsThatLeapOftenAreCountedToTheEnd(t *testing.T) {
	const devices, each, block = 2, 300, 20
	const there = devices * each / 2
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.CountBlocksOf(block)
			fillImages(t, s, devices, each)
			leaseImages(t, s, uidRequest(newWorker(t, s), uidVersion))
			mustExec(t, writer(s), "DELETE FROM uid_intents")
			mustExec(t, writer(s), fmt.Sprintf("DELETE FROM images WHERE id %% %d >= %d", 2*block, block))
			mustExec(t, writer(s), fmt.Sprintf("UPDATE uid_algorithms SET backfill_below = %d", devices*each+1))
			var last []store.Backlog
			for range there/block/sqlstore.BlocksPerCount + 1 {
				var err error
				if last, err = s.Backlog(context.Background(), "uid", workNow); err != nil {
					t.Fatal(err)
				}
			}
			if len(last) != 1 || last[0].AtLeast || last[0].Waiting != there {
				t.Errorf("%+v, want %d waiting", last, there)
			}
		})
	}
}

// TestFailuresOfAnAlgorithmWhoseAnnotationsAreOldAreInARowIfTheyAreNewer has annotated 10,000 images of another since.
func TestFailuresOfAnAlgorithmWhoseAnnotationsAreOldAreInARowIfTheyAreNewer(t *testing.T) {
	const annotated, passed, last = 10, 20, 30 // hours
	at := func(hours int) time.Time { return workNow.Add(time.Duration(hours) * time.Hour) }
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			fillImages(t, s, 1, 5)
			images := leaseImages(t, s, uidRequest(newWorker(t, s), uidVersion))
			annotate := func(i store.Image, algo string, hours int) {
				t.Helper()
				n := storetest.Annotation(i, algo, uidVersion)
				n.DatetimeCreated = at(hours)
				if _, err := s.AddAnnotations(context.Background(), []store.NewAnnotation{n}); err != nil {
					t.Fatal(err)
				}
			}
			for i, hours := range []int{annotated - 1, annotated + 1, passed + 1} {
				for range 3 {
					f := store.Failure{Device: images[i].Device, Datetime: images[i].Datetime, AlgoName: "uid", AlgoVersion: uidVersion, Reason: "it is dark", DatetimeLast: at(hours)}
					if _, err := s.AddFailure(context.Background(), f, 3); err != nil {
						t.Fatal(err)
					}
				}
			}
			inARow := func(want int64, known bool) {
				t.Helper()
				p, err := s.Progress(context.Background(), 100)
				if err != nil || len(p) != 1 {
					t.Fatalf("%+v, %v", p, err)
				}
				if p[0].FailedInARow != want || p[0].LastAnnotated.Valid != known || !p[0].LastFailed.V.Equal(at(passed+1)) {
					t.Errorf("%+v, want %d in a row", p[0], want)
				}
			}
			inARow(3, false)
			annotate(images[3], "uid", annotated)
			annotate(images[0], "other", passed)
			annotate(images[1], "other", last)
			inARow(2, true)
			mustExec(t, writer(s), "UPDATE uid_annotations SET id = id + 10000 WHERE parent_image_id = ?", images[1].ID)
			inARow(1, false)
		})
	}
}
