package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// shift is a day's photographs of a device and a detector that looks for work among them. Each has an algorithm of its own.
type shift struct {
	*api
	photos []photo // oldest first
	algo   string
	series row
}

// newShift uploads n photographs, 20 minutes apart.
func newShift(t *testing.T, a *api, n int) *shift {
	t.Helper()
	device := newDevice()
	s := &shift{api: a.as(basic(stack.UIDName, stack.UIDPassword)).within(t), algo: newName("detector ")}
	s.api = s.as(bearer(s.token()))
	for i := range n {
		s.photos = append(s.photos, small(device, noon.Add(time.Duration(i)*20*time.Minute), uint64(i)))
	}
	for part := range slices.Chunk(s.photos, 40) {
		s.put(part...)
	}
	s.series = row{"device": device, "start_datetime": "2021-05-04_12-00-00", "end_datetime": "2021-06-04_00-00-00"}
	return s
}

// by is the shift of another user.
func (s *shift) by(l login) *shift {
	other := *s
	other.api = s.as(l)
	return &other
}

func (s *shift) request(version string, limit any) row {
	r := row{"algo_name": s.algo, "algo_version": version}
	for k, v := range s.series {
		r[k] = v
	}
	if limit != nil {
		r["limit"] = limit
	}
	return r
}

// lease asks for work. The images of an algorithm that is new are entered bit by bit, so that it asks again where it gets
// none, some times.
func (s *shift) lease(version string, limit any) []row {
	s.t.Helper()
	var rows []row
	for range 4 {
		if rows = s.call("/get_images_to_annotate/metadata", s.request(version, limit)).rows(); len(rows) > 0 {
			break
		}
	}
	return rows
}

// awaitBacklog waits until the backlog of the algorithm has these values: what took a busy machine long to count is told for a
// while longer.
func (s *shift) awaitBacklog(want row) {
	s.t.Helper()
	awaitThat(s.t, fmt.Sprintf("the backlog of %q has %v", s.algo, want), func() (string, bool) {
		rows := s.call("/get_uid_backlog", row{"algo_name": s.algo}).rows()
		for field, value := range want {
			if len(rows) != 1 || rows[0][field] != value {
				return fmt.Sprint(rows), false
			}
		}
		return "", true
	})
}

// annotate puts an annotation of each of the images.
func (s *shift) annotate(version string, images ...row) {
	s.t.Helper()
	var documents []string
	for _, image := range images {
		documents = append(documents, documentOf(s.photoOf(image), s.algo, version, spi.DateV1, 1))
	}
	if len(documents) > 0 {
		s.post("/put_uid_annotations", oneList(documents...)).ok()
	}
}

func (s *shift) photoOf(image row) photo {
	s.t.Helper()
	for _, p := range s.photos {
		if md5Hex(p.data) == image.text("md5") {
			return p
		}
	}
	s.t.Fatalf("no photo of this test: %v", image)
	return photo{}
}

func (s *shift) failure(image row, version, reason string) row {
	return row{"device": image["device"], "datetime": image["datetime"], "algo_name": s.algo, "algo_version": version, "reason": reason}
}

func datesOf(photos []photo) []string {
	var dates []string
	for _, p := range photos {
		dates = append(dates, spi.FormatDatetime(p.at, spi.DateV1))
	}
	return dates
}

func TestWorkIsLeasedNewestFirstAndEachImageOnce(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		s := newShift(t, a, 70)
		newestFirst := slices.Clone(s.photos)
		slices.Reverse(newestFirst)
		first := s.lease(version1, nil)
		same(t, "the first lease", datesOf(newestFirst[:64]), column(first, "datetime"))
		same(t, "the second, by another user", datesOf(newestFirst[64:]),
			column(s.by(basic(stack.AdminName, stack.AdminPassword)).lease(version1, 500), "datetime"))
		same(t, "the third", 0, len(s.lease(version1, nil)))
		s.awaitBacklog(row{"leased": 70.0, "failed": 0.0, "algo_version": version1})
		// a row is one of get_images
		same(t, "row", s.call("/get_images/metadata", newestFirst[0].key(spi.DateV1)).only(), first[0])

		// an annotation ends a lease, and there is no work left with it
		s.annotate(version1, first...)
		s.awaitBacklog(row{"leased": 6.0})
		same(t, "after the annotations", 0, len(s.lease(version1, nil)))
	})
}

func TestWorkComesWithTheURLThatIsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		s := newShift(t, a, 3)
		one := s.lease(version1, 1)
		same[any](t, "url of metadata", "", one[0]["url"])
		image := s.call("/get_images_to_annotate/image", s.request(version1, 1)).only()
		if got := fetch(t, image.text("url")); md5Hex(got) != image.text("md5") {
			t.Errorf("%d bytes of another md5", len(got))
		}
		v2 := s.request(version1, 1)
		v2["start_datetime"], v2["end_datetime"] = "2021-05-04T12:00:00Z", "2021-05-05T12:00:00Z"
		without := s.call("/get_images_to_annotate", v2).only()
		same[any](t, "url", "", without["url"])
		same(t, "datetime", "2021-05-04T12:00:00Z", without.text("datetime"))
	})
}

func TestALaterVersionMakesAnnotationsObsolete(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		s := newShift(t, a, 3)
		s.annotate(version2, s.lease(version2, 2)...)
		s.annotate(version2, s.lease(version2, nil)...)
		same(t, "of the same version", 0, len(s.lease(version2, nil)))
		same(t, "of an earlier version", 0, len(s.lease(version1, nil)))
		again := s.lease(version3, 1)
		same(t, "of a later version", datesOf(s.photos[2:]), column(again, "datetime"))
		s.annotate(version3, again...)
		same(t, "the rest", 2, len(s.lease(version3, nil)))
		same(t, "annotations", 4, len(s.call("/get_uid_annotations_series/metadata", s.series).rows()))
	})
}

func TestAnImageIsWorkFromItsUploadToItsDeletion(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		s := newShift(t, a, 1)
		s.annotate(version1, s.lease(version1, nil)...)
		later := small(s.photos[0].device, noon.Add(time.Hour), 7)
		s.put(later)
		s.photos = append(s.photos, later)
		leased := s.lease(version1, nil)
		same(t, "after an upload", datesOf([]photo{later}), column(leased, "datetime"))
		s.awaitBacklog(row{"leased": 1.0})
		a.call("/delete_images", later.key(spi.DateV1)).only()
		s.awaitBacklog(row{"leased": 0.0})
		s.put(later)
		same(t, "uploaded again", datesOf([]photo{later}), column(s.lease(version1, nil), "datetime"))
	})
}

func TestLeasesEndWithTheirAccount(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		s := newShift(t, a, 2)
		worker := a.newUser(readWrite)
		same(t, "leased", 2, len(s.by(basic(worker, userPassword)).lease(version1, nil)))
		same(t, "while it lives", 0, len(s.lease(version1, nil)))
		a.call("/delete_users", row{"username": worker}).only()
		same(t, "after its deletion", 2, len(s.lease(version1, nil)))
	})
}

func TestAnImageThatFailsThreeTimesWaitsForAPerson(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		s := newShift(t, a, 2)
		other := s.lease(version1, 2)[1]
		s.annotate(version1, other)
		series := row{"algo_name": s.algo}
		for k, v := range s.series {
			series[k] = v
		}
		image := s.call("/get_images/metadata", s.photos[1].key(spi.DateV1)).only()
		for n := 1; n <= 3; n++ {
			same(t, "failures listed", 0, len(s.call("/get_uid_failures", series).rows()))
			got := s.call("/report_uid_failure", s.failure(image, version1, fmt.Sprintf("reason %d", n))).only()
			want := row{
				"device": image["device"], "datetime": image["datetime"], "algo_name": s.algo, "algo_version": version1, "failures": float64(n),
				"reason": fmt.Sprintf("reason %d", n), "api_user": stack.UIDName, "datetime_last": got["datetime_last"],
			}
			same(t, "failure", want, got)
			if n < 3 {
				same(t, "leased again", column([]row{image}, "id"), column(s.lease(version1, nil), "id"))
			}
		}
		same(t, "leased after three failures", 0, len(s.lease(version1, nil)))
		listed := s.call("/get_uid_failures", series).only()
		same(t, "reason", "reason 3", listed.text("reason"))
		s.awaitBacklog(row{"failed": 1.0})
		// of any algorithm, and of another
		found := slices.ContainsFunc(s.call("/get_uid_failures", s.series).rows(), func(r row) bool { return r.text("algo_name") == s.algo })
		same(t, "listed with those of all algorithms", true, found)
		series["algo_name"] = "another"
		same(t, "of another algorithm", 0, len(s.call("/get_uid_failures", series).rows()))
		same(t, "retried of another algorithm", 0, len(s.call("/retry_uid_failures", series).rows()))
		series["algo_name"] = s.algo
		series["end_datetime"] = series["start_datetime"]
		same(t, "of another time", 0, len(s.call("/get_uid_failures", series).rows()))
		series["end_datetime"] = s.series["end_datetime"]

		same(t, "retried", listed, s.call("/retry_uid_failures", series).only())
		same(t, "listed after that", 0, len(s.call("/get_uid_failures", series).rows()))
		same(t, "leased after that", column([]row{image}, "id"), column(s.lease(version1, nil), "id"))
		same[any](t, "failures after that", 1.0, s.call("/report_uid_failure", s.failure(image, version1, "again")).only()["failures"])

		// what has nothing to do is left alone, and what is not there is not found
		done := s.call("/report_uid_failure", s.failure(other, version1, "too late")).only()
		same[any](t, "failures of an image that is done", 0.0, done["failures"])
		missing := s.failure(image, version1, "x")
		missing["device"] = newDevice()
		s.call("/report_uid_failure", missing).refused(404, "element 0")
		missing["device"] = "%"
		s.call("/report_uid_failure", s.failure(image, version1, "x"), missing).refused(404, "element 1", "before it are done")
		mixed := row{"algo_name": "another"}
		for k, v := range s.series {
			mixed[k] = v
		}
		s.mistaken().call("/get_uid_failures", series, mixed).refused(400, "element 1", "algo_name")
	})
}

func TestNoTwoWorkersHoldTheSameImage(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		s := newShift(t, a, 120)
		var mu sync.Mutex
		holder := map[string]int{} // by the image's id
		var wg sync.WaitGroup
		for w := range 8 {
			worker := a.as(basic(a.newUser(readWrite), userPassword))
			token := worker.token()
			wg.Go(func() {
				body, _ := json.Marshal([]row{s.request(version1, 7)})
				for {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+"/get_images_to_annotate/metadata", strings.NewReader(string(body)))
					if err != nil {
						t.Error(err)
						return
					}
					req.SetBasicAuth(token, "")
					req.Header.Set("Content-Type", jsonType)
					res, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					var rows []row
					err = json.NewDecoder(res.Body).Decode(&rows)
					_ = res.Body.Close()
					if err != nil || res.StatusCode != http.StatusOK {
						t.Errorf("worker %d: %s, %v", w, res.Status, err)
						return
					}
					if len(rows) == 0 {
						return
					}
					if len(rows) > 7 {
						t.Errorf("worker %d got %d images", w, len(rows))
					}
					mu.Lock()
					for _, r := range rows {
						id := fmt.Sprint(r["id"])
						if other, ok := holder[id]; ok {
							t.Errorf("image %s was given to %d and %d", id, other, w)
						}
						holder[id] = w
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		same(t, "images given out", 120, len(holder))
	})
}

func TestWorkIsForThoseWhoMay(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		reader, writer := a.as(basic(a.newUser(readOnly), userPassword)), a.as(basic(a.newUser(readWrite), userPassword))
		for path, writes := range map[string]bool{
			"/get_images_to_annotate": true, "/get_images_to_annotate/image": true, "/report_uid_failure": true, "/retry_uid_failures": true,
			"/get_uid_failures": false, "/get_uid_backlog": false,
		} {
			a.as(nobody).post(path, "[]").refused(401)
			want := 200
			if writes {
				want = 403
			}
			if got := reader.post(path, "[]").status; got != want {
				t.Errorf("%s by a reader: %d, want %d", path, got, want)
			}
			writer.post(path, "[]").ok()
		}
		for _, empty := range emptyBodies {
			r := a.send(a.request(http.MethodPost, "/get_uid_backlog", empty.contentType, strings.NewReader(empty.body)))
			r.rows()
		}
	})
}

func TestWorkThatIsAskedForWronglyIsRefused(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		right := func() row {
			return row{"device": "%", "start_datetime": "2021-05-04", "end_datetime": "2021-05-05", "algo_name": "refused", "algo_version": version1}
		}
		for field, values := range map[string][]any{
			"limit": {0, -1, 1.5, "1", true}, "algo_version": {"", "1598113346", "x-" + strings.Repeat("0", 32), 1, nil},
			"algo_name": {"", " a", strings.Repeat("a", 65), 1, nil}, "device": {nil, 1}, "start_datetime": {"yesterday", nil}, "end_datetime": {"", nil},
		} {
			for _, value := range values {
				r := right()
				r[field] = value
				a.mistaken().call("/get_images_to_annotate", r).refused(400, "element 0", field)
			}
			r := right()
			delete(r, field)
			if field != "limit" {
				a.mistaken().call("/get_images_to_annotate", r).refused(400, "element 0", field, "is missing")
			}
		}
		// nothing of it made the algorithm known
		same(t, "backlog", 0, len(a.call("/get_uid_backlog", row{"algo_name": "refused"}).rows()))
	})
}

func TestAForgottenVersionMakesRoomForAnOlderOne(t *testing.T) {
	s := newShift(t, newAPI(t, stack.Production(t, stack.Options{})), 3)
	s.annotate(version1, s.lease(version1, nil)...)
	same(t, "leased for the next version", 1, len(s.lease(version2, 1)))
	s.awaitBacklog(row{"waiting": 2.0, "leased": 1.0, "algo_version": version2})
	// the newer model is taken back
	status, out := s.Run(t.Context(), t, "forget-version", s.algo)
	if status != 0 || !strings.Contains(out, version2+" of "+s.algo+" is forgotten") {
		t.Errorf("forget-version ends with %d:\n%s", status, out)
	}
	same(t, "leased for the older version", 0, len(s.lease(version1, nil)))
	s.awaitBacklog(row{"waiting": 0.0, "leased": 0.0, "algo_version": version1})
	status, out = s.Run(t.Context(), t, "forget-version", "nobody")
	if status != 1 || !strings.Contains(out, "no detector called \"nobody\"") {
		t.Errorf("of an algorithm that is not there: %d\n%s", status, out)
	}
}

func TestProgressIsToldToEverybodyWhoMayAsk(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		a.as(nobody).get("/v2/progress").refused(401)
		// as of a minute ago, so that nothing of this test's own need be there
		for _, r := range a.as(basic(a.newUser(readOnly), userPassword)).get("/v2/progress").rows() {
			sum := 0.0
			for _, d := range r["devices"].([]any) {
				sum += d.(map[string]any)["waiting"].(float64)
			}
			same[any](t, "waiting of all devices", sum, r["waiting"])
			same(t, "whether an image failed last at some time", r["failed"].(float64) > 0, r["last_failed"] != nil)
			if row := r["failed_in_a_row"].(float64); row > r["failed"].(float64) {
				t.Errorf("%v failed in a row: %v", row, r)
			}
			if (r["idle_since"] != nil) != (sum > 0) && r["at_least"] == false {
				t.Errorf("%v", r)
			}
		}
	})
}
