package spi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDeltasAreAddedUp(t *testing.T) {
	for wire, want := range map[string]Deltas{
		"[]": {}, "[5]": {5}, "[1651363200,1200,-1200,0]": {1651363200, 1651364400, 1651363200, 1651363200}, "null": nil,
	} {
		var got Deltas
		if err := json.Unmarshal([]byte(wire), &got); err != nil {
			t.Errorf("%s: %v", wire, err)
		}
		expect(t, wire, got, want)
		if want == nil {
			continue
		}
		back, err := json.Marshal(got)
		if err != nil || string(back) != wire {
			t.Errorf("%s comes back as %s, %v", wire, back, err)
		}
	}
	var d Deltas
	for _, wrong := range []string{"{}", "[1.5]", `["1"]`} {
		if err := json.Unmarshal([]byte(wrong), &d); err == nil {
			t.Errorf("%s is read as %v", wrong, d)
		}
	}
}

func TestGetPlotGivesDevicesAsTheyCome(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		body, _ := io.ReadAll(r.Body)
		if want := `{"start":"2022-05-01T00:00:00Z","end":"2022-05-02T00:00:00Z","variables":["temperature"]}`; string(body) != want || r.URL.Path != "/v2/series" {
			t.Errorf("%s %s", r.URL.Path, body)
		}
		write(w, `[{"device":"a","id":[101,1],"images":9,"shown":2,"time":[100,20],"values":{"temperature":[20.6,null]}},{"device":"b"}]`)
	})
	c, _ := newClient(t, s)
	day := time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)
	got, err := Collect(c.GetPlot(t.Context(), PlotRequest{Start: Datetime{day}, End: Datetime{day.AddDate(0, 0, 1)}, Variables: []Variable{Temperature}}))
	if err != nil {
		t.Fatal(err)
	}
	v := 20.6
	expect(t, "plots", got, []Plot{
		{Device: "a", Images: 9, Shown: 2, ID: Deltas{101, 102}, Time: Deltas{100, 120}, Values: map[Variable][]*float64{Temperature: {&v, nil}}}, {Device: "b"},
	})
}

func TestGetDevicesAsksWithAQuery(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, n int) {
		want := []string{"GET /v2/devices?device=5c17%25&device=b&end=2022-05-02T00%3A00%3A00Z&start=2022-05-01T00%3A00%3A00Z", "GET /v2/devices"}[n]
		if got := r.Method + " " + r.URL.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		write(w, `[{"device":"b","images_per_day":[1,2],"last_datetime":"2022-05-01T00:00:00Z"}]`)
	})
	c, _ := newClient(t, s)
	day := time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)
	got, err := c.GetDevices(t.Context(), day, day.AddDate(0, 0, 1), "5c17%", "b")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "devices", got, []DeviceState{{Device: "b", ImagesPerDay: []int{1, 2}, LastDatetime: Datetime{day}}})
	if _, err := c.GetDevices(t.Context(), time.Time{}, time.Time{}); err != nil {
		t.Error(err)
	}
}

func TestGetProgress(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.Method != http.MethodGet || r.URL.Path != "/v2/progress" {
			t.Errorf("asked for %s %s", r.Method, r.URL.Path)
		}
		write(w, `[{"algo_name":"uid","at_least":true,"counted":"2022-05-01T00:00:00Z","devices":[{"device":"a","failed":1,"waiting":2}],"failed":1,"failed_in_a_row":1,"idle_since":null,"last_failed":"2022-04-30T20:00:00Z","waiting":2}]`)
	})
	c, _ := newClient(t, s)
	got, err := c.GetProgress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "progress", got, []Progress{{
		AlgoName: "uid", AtLeast: true, Waiting: 2, Failed: 1, Devices: []DeviceProgress{{Device: "a", Waiting: 2, Failed: 1}},
		FailedInARow: 1, LastFailed: Datetime{time.Date(2022, 4, 30, 20, 0, 0, 0, time.UTC)},
		Counted: Datetime{time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)},
	}})
}

const (
	imageEvent      = "id: i101-a17\nevent: image\ndata: {\"datetime\":\"2022-05-01T00:00:00Z\",\"device\":\"a\",\"id\":101}\n\n"
	annotationEvent = "id: i101-a18\nevent: annotation\ndata: {\"algo_name\":\"uid\",\"datetime\":\"2022-05-01T00:00:00Z\",\"device\":\"a\",\"id\":18,\"image_id\":101,\"n_objects\":4}\n\n"
	laterEvent      = "id: i101-a19\nevent: something of a later server\ndata: [1]\n\n"
	resetEvent      = "id: i900-a900\nevent: reset\ndata: {}\n\n"
)

func TestGetMe(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if r.Method != http.MethodGet || r.URL.Path != "/v2/me" {
			t.Errorf("asked for %s %s", r.Method, r.URL.Path)
		}
		write(w, []string{`{"id":2,"role":"read-write","username":"anna"}`, `{}`, `<html>`}[n])
	})
	c, _ := newClient(t, s)
	got, err := c.GetMe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "me", got, Me{ID: 2, Role: "read-write", Username: "anna"})
	for range 2 {
		if _, err := c.GetMe(t.Context()); !errors.Is(err, ErrNoAPI) {
			t.Errorf("got %v", err)
		}
	}
}

// writeEvents writes a part of a stream of events.
func writeEvents(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	write(w, text)
}

func TestEventsGoOnWhereTheyWere(t *testing.T) {
	var positions []string
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, n int) {
		positions = append(positions, r.Header.Get("Last-Event-ID"))
		switch n {
		case 0:
			writeEvents(w, ":\n\n"+imageEvent+annotationEvent[:30]) // cut short
		case 1:
			refuse(w, CodeUnavailable, "away")
		case 2:
			writeEvents(w, ":\n\n"+annotationEvent+laterEvent+":\n\n")
		case 3:
			drop(w)
		case 4:
			writeEvents(w, resetEvent)
		default:
			refuse(w, CodeForbidden, "no more")
		}
	})
	c, waits := newClient(t, s)
	got, err := Collect(c.Events(t.Context(), "i100-a17"))
	expectCode(t, err, CodeForbidden)
	day := Datetime{time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)}
	expect(t, "events", got, []Event{
		{Kind: ImageStored, Position: "i101-a17", Device: "a", Datetime: day, ID: 101},
		{Kind: ImageAnnotated, Position: "i101-a18", Device: "a", Datetime: day, ID: 18, ImageID: 101, AlgoName: "uid", NObjects: 4},
		{Kind: EventsSkipped, Position: "i900-a900"},
	})
	expect(t, "positions", positions, []string{"i100-a17", "i101-a17", "i101-a17", "i101-a19", "i101-a19", "i900-a900"})
	if n := len(waits.all); n < 4 || n > 5 { // net/http sends the one that was dropped again by itself
		t.Errorf("waited %v", waits.all)
	}
}

func TestEventsEndWhereTheServerStaysAway(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, CodeUnavailable, "away") })
	c, _ := newClient(t, s)
	got, err := Collect(c.Events(t.Context(), ""))
	expectCode(t, err, CodeUnavailable)
	if n := len(s.requests()) - 1; len(got) != 0 || n < 2 || n > 10 {
		t.Errorf("%v after %d requests", got, n)
	}
}

func TestEventsEndWithTheContextAndWhenNobodyWantsMore(t *testing.T) {
	ended := make(chan struct{}, 2)
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		writeEvents(w, imageEvent)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		ended <- struct{}{}
	})
	c, _ := newClient(t, s)
	for range c.Events(t.Context(), "") {
		break
	}
	<-ended
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range c.Events(ctx, "") {
		if n++; n == 1 {
			cancel()
			continue
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	<-ended
	if n != 2 {
		t.Errorf("%d values", n)
	}
}

func TestAStreamThatBreaksBeforeItsFirstEventGoesOnWhereItBegan(t *testing.T) {
	var positions []string
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, n int) {
		positions = append(positions, r.Header.Get("Last-Event-ID"))
		switch n {
		case 0:
			writeEvents(w, ":\n\nid: i100-a17\n\n:\n\n")
		case 1:
			writeEvents(w, ":\n\n") // broken off before the server has said where it begins
		case 2:
			writeEvents(w, imageEvent)
		default:
			refuse(w, CodeForbidden, "no more")
		}
	})
	c, _ := newClient(t, s)
	got, err := Collect(c.Events(t.Context(), ""))
	expectCode(t, err, CodeForbidden)
	expect(t, "positions", positions, []string{"", "i100-a17", "i100-a17", "i101-a17"})
	if len(got) != 1 || got[0].ID != 101 {
		t.Errorf("got %+v", got)
	}
}

func TestAPageInsteadOfEventsIsNoAPI(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n > 0 {
			refuse(w, CodeForbidden, "asked again")
			return
		}
		w.Header().Set("Content-Type", "text/html")
		write(w, "<html>\nWelcome to our network\n</html>\n")
	})
	c, _ := newClient(t, s)
	if _, err := Collect(c.Events(t.Context(), "")); !errors.Is(err, ErrNoAPI) || CodeOf(err) != CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestEventsThatAreNoneAreRefused(t *testing.T) {
	for name, stream := range map[string]string{
		"no JSON":  "event: image\ndata: x\n\n",
		"too long": "event: image\ndata: " + strings.Repeat("x", maxEventLine) + "\n\n",
	} {
		var last error
		for _, err := range readEvents(strings.NewReader(stream), func() {}) {
			last = err
		}
		if last == nil || CodeOf(last) != CodeUnavailable {
			t.Errorf("%s: %v", name, last)
		}
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add(":\n\n" + imageEvent + annotationEvent + laterEvent + resetEvent)
	f.Add("event:image\r\ndata:{}\r\n\r\n")
	f.Add("data: {\"id\":1}\n\nevent: image\n\nid")
	f.Fuzz(func(t *testing.T, stream string) {
		lines := 0
		for e, err := range readEvents(strings.NewReader(stream), func() { lines++ }) {
			if err == nil && e.Kind != ImageStored && e.Kind != ImageAnnotated && e.Kind != EventsSkipped && (e != Event{Position: e.Position} || e.Position == "") {
				t.Fatalf("%+v", e)
			}
		}
		if lines > len(stream)+1 {
			t.Fatalf("%d lines", lines)
		}
	})
}
