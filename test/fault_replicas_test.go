package test

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestTwoReplicasAreOneServer(t *testing.T) {
	t.Parallel()
	a := stack.Production(t, stack.Options{Later: true})
	b := stack.Replica(t, a)
	for _, s := range []*stack.Stack{a, b} { // at once, on an empty database
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	var callers []*caller
	for _, s := range []*stack.Stack{a, b} {
		if err := s.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		callers = append(callers, newCaller(t, s))
	}
	t.Run("each configured user is made once", func(t *testing.T) {
		for _, c := range callers {
			r := c.call(t.Context(), "/get_users", nil)
			var names []string
			for _, user := range jsonAs[[]spi.User](t, r.body) {
				names = append(names, user.Username)
			}
			slices.Sort(names)
			if diff := cmp.Diff([]string{stack.AdminName, stack.UIDName}, names); diff != "" {
				t.Errorf("users (-want +got):\n%s", diff)
			}
		}
	})
	t.Run("the token of one holds at the other", func(t *testing.T) {
		for i, c := range callers {
			other := *callers[1-i]
			other.user = c.user
			wantStatus(t, "get_users", other.call(t.Context(), "/get_users", nil), http.StatusOK)
		}
	})
	t.Run("an image that comes to both at once is stored once", func(t *testing.T) { raceUploads(t, callers) })
	t.Run("both give the same URLs", func(t *testing.T) { compareURLs(t, callers) })
	t.Run("a new password ends the tokens at both", func(t *testing.T) { resetPassword(t, callers) })
	stillRuns(t, a)
	stillRuns(t, b)
}

func raceUploads(t *testing.T, callers []*caller) {
	const uploads = 4 // at once, half of them to each replica
	for round := range 24 {
		shots := make([]shot, uploads)
		for i := range shots {
			shots[i] = takeShot(smallShot())
			shots[i].device, shots[i].datetime = shots[0].device, shots[0].datetime
			if round%4 == 0 { // the same bytes
				shots[i] = shots[0]
			}
		}
		replies := make([]faultReply, uploads)
		var wg sync.WaitGroup
		for i, sent := range shots {
			wg.Go(func() { replies[i] = callers[i%len(callers)].put(t.Context(), sent) })
		}
		wg.Wait()
		taken := slices.IndexFunc(replies, func(r faultReply) bool { return r.status == http.StatusOK })
		var statuses []int
		for _, r := range replies {
			statuses = append(statuses, r.status)
		}
		slices.Sort(statuses)
		want := []int{http.StatusOK, http.StatusConflict, http.StatusConflict, http.StatusConflict}
		if diff := cmp.Diff(want, statuses); diff != "" {
			t.Errorf("round %d: statuses (-want +got):\n%s\n%v", round, diff, replies)
			continue
		}
		winner := shots[taken]
		for _, c := range callers {
			row := c.rows(t, spi.FullImage)[winner.name()]
			if row.MD5 != winner.md5 {
				t.Errorf("round %d: the row's md5 is %q, that of the image that was taken %q", round, row.MD5, winner.md5)
			}
			c.wantWhole(t, row, c.rows(t, spi.Thumbnail)[winner.name()].URL, c.rows(t, spi.ThumbnailMini)[winner.name()].URL)
		}
	}
}

func compareURLs(t *testing.T, callers []*caller) {
	for _, what := range []spi.What{spi.FullImage, spi.Thumbnail, spi.ThumbnailMini} {
		for {
			before, other, after := callers[0].rows(t, what), callers[1].rows(t, what), callers[0].rows(t, what)
			if !maps.EqualFunc(before, after, func(a, b spi.Image) bool { return a.URL == b.URL }) {
				continue // a new day of signing has begun meanwhile
			}
			if len(before) == 0 {
				t.Fatal("no images")
			}
			if diff := cmp.Diff(before, other); diff != "" {
				t.Errorf("%s: the replicas' replies differ (-one +other):\n%s", what, diff)
			}
			break
		}
	}
}

func resetPassword(t *testing.T, callers []*caller) {
	const name, old, next = "reset-user", "the old password of tests", "the new password of tests"
	r := callers[0].call(t.Context(), "/put_users", []spi.NewUser{{Username: name, Password: old}})
	wantStatus(t, "put_users", r, http.StatusOK)
	var users []*caller
	for _, c := range callers {
		users = append(users, c.as(t, name, old))
	}
	for i, c := range callers {
		password := []string{next, old}[i] // there and back again
		r := c.call(t.Context(), "/reset_password", []map[string]string{{"username": name, "password": password}})
		wantStatus(t, "reset_password", r, http.StatusOK)
		for j, u := range users {
			wantStatus(t, "a token from before the reset", u.series(t.Context(), spi.Metadata), http.StatusUnauthorized)
			former := *callers[j]
			former.user, former.password = name, []string{old, next}[i]
			wantStatus(t, "the former password", former.post(t.Context(), "/get_token", "", nil), http.StatusUnauthorized)
			users[j] = callers[j].as(t, name, password)
			wantStatus(t, "a token after the reset", users[j].series(t.Context(), spi.Metadata), http.StatusOK)
		}
	}
}
