package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
)

func TestProbesRunOnceASecondHoweverManyAsk(t *testing.T) {
	var asked atomic.Int32
	now := time.Unix(1_000_000, 0)
	c := health.New(func() time.Time { return now }, map[string]health.Probe{
		"database": func(context.Context) error { asked.Add(1); return nil },
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { c.Check(t.Context()) })
	}
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times within a second", n)
	}
	now = now.Add(time.Second)
	c.Check(t.Context())
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times in two seconds", n)
	}
}

func TestTheReportNamesWhatIsAway(t *testing.T) {
	c := health.New(time.Now, map[string]health.Probe{
		"database": func(context.Context) error { return nil },
		"s3":       func(context.Context) error { return errors.New("does not answer") },
	})
	rec := httptest.NewRecorder()
	c.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	var got health.Report
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := health.Report{Checks: map[string]string{"database": "ok", "s3": "does not answer"}}
	if diff := cmp.Diff(want, got); diff != "" || rec.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d: %s", rec.Code, diff)
	}
}

func TestAnAskerWhoLeavesDoesNotSpoilTheAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := health.New(time.Now, map[string]health.Probe{"database": func(ctx context.Context) error { return ctx.Err() }})
	if r := c.Check(ctx); !r.Ready {
		t.Errorf("not ready: %v", r.Checks)
	}
}

func TestAskWantsA200(t *testing.T) {
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	if err := health.Ask(t.Context(), srv.URL); err != nil {
		t.Error(err)
	}
	status = http.StatusServiceUnavailable
	if err := health.Ask(t.Context(), srv.URL); err == nil {
		t.Error("a 503 passes")
	}
	srv.Close()
	if err := health.Ask(t.Context(), srv.URL); err == nil {
		t.Error("a server that is gone passes")
	}
}
