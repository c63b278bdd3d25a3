package httpapi

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/events"
	"github.com/sticky-pi/sticky-pi-server/server/internal/plot"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestDecimalsAreWrittenShort(t *testing.T) {
	for _, test := range []struct {
		scaled   int32
		decimals int
		want     string
	}{
		{0, 0, "0"}, {7, 0, "7"}, {-7, 0, "-7"}, {2060, 2, "20.6"}, {2000, 2, "20"}, {2005, 2, "20.05"}, {5, 2, "0.05"}, {-5, 2, "-0.05"},
		{-2060, 2, "-20.6"}, {49261420, 6, "49.26142"}, {1, 6, "0.000001"}, {math.MaxInt32, 3, "2147483.647"}, {-math.MaxInt32, 6, "-2147.483647"},
		{store.Missing, 2, "null"},
	} {
		if got := string(appendDecimal(nil, test.scaled, test.decimals)); got != test.want {
			t.Errorf("%d with %d decimals is %s, want %s", test.scaled, test.decimals, got, test.want)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	f.Add(int32(-1), uint8(3))
	f.Fuzz(func(t *testing.T, scaled int32, decimals uint8) {
		places := int(decimals % 7)
		if scaled == store.Missing {
			return
		}
		got, err := strconv.ParseFloat(string(appendDecimal(nil, scaled, places)), 64)
		if want := float64(scaled) / math.Pow10(places); err != nil || math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%d with %d decimals is %v, %v", scaled, places, got, err)
		}
	})
}

func TestPlotRequestsHaveDefaults(t *testing.T) {
	r, err := readPlotRequest(strings.NewReader(`{"start":"2022-05-01_00-00-00","end":"2022-05-02T00:00:00Z","variables":["temperature","insects","temperature"],
		"width":null,"devices":null,"algo_name":null}`))
	if err != nil {
		t.Fatal(err)
	}
	want := plotRequest{
		start: time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC), end: time.Date(2022, 5, 2, 0, 0, 0, 0, time.UTC), devices: []string{"%"},
		variables: []spi.Variable{spi.Insects, spi.Temperature}, measures: []store.Measure{store.Insects, store.Temperature}, width: 1000,
	}
	if diff := cmp.Diff(want, r, cmp.AllowUnexported(plotRequest{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// plotBodies are requests, and whether they are right.
var plotBodies = []struct {
	body string
	ok   bool
}{
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"]}`, true},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects","lat","lng","light","battery","humidity","temperature"],"width":4000}`, true},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"devices":[],"algo_name":"a","width":1}`, true},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"devices":["5c17%","_"]}`, true},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":[]}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":null}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["images"]}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"width":0}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"width":4001}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"width":1.5}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"width":"1"}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"devices":"%"}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"pixels":1}`, false},
	{`{"start":"2022-05-01","end":"2022-05-02","variables":["insects"],"algo_name":""}`, false},
	{`{"start":"2022-05-01","variables":["insects"]}`, false},
	{`{"start":1651363200,"end":"2022-05-02","variables":["insects"]}`, false},
	{`[]`, false},
	{`null`, false},
	{`"a"`, false},
}

func TestOpenAPITakesThePlotsThatTheServerTakes(t *testing.T) {
	schema := loadOpenAPI(t).Paths.Value("/v2/series").Post.RequestBody.Value.Content["application/json"].Schema.Value
	for _, test := range plotBodies {
		var value any
		if err := json.Unmarshal([]byte(test.body), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(value, openapi3.VisitAsRequest()); (err == nil) != test.ok {
			t.Errorf("%s: the document says %v, want ok = %v", test.body, err, test.ok)
		}
		if _, err := readPlotRequest(strings.NewReader(test.body)); (err == nil) != test.ok {
			t.Errorf("%s: the server says %v, want ok = %v", test.body, err, test.ok)
		}
	}
}

func TestLargeAndLongPlotRequestsAreRefused(t *testing.T) {
	const good = `{"start":"2022-05-01","end":"2022-05-02","variables":["insects"]`
	for body, want := range map[string]spi.Code{
		good + `,"devices":["` + strings.Repeat("x", maxObject) + `"]}`:                         spi.CodeTooLarge,
		good + `,"devices":["` + strings.Repeat("x", maxText+1) + `"]}`:                         spi.CodeInvalid,
		good + `,"devices":["%"` + strings.Repeat(`,"%"`, maxPatterns) + `]}`:                   spi.CodeInvalid,
		good + `,"devices":["%"` + strings.Repeat(`,"%"`, maxPatterns-1) + `]}`:                 "",
		good + `,"variables":["insects"` + strings.Repeat(`,"insects"`, 100) + `]}`:             spi.CodeInvalid,
		good[:len(good)-1] + strings.Repeat(" ", 1000) + strings.Repeat("\n", maxObject) + `]}`: spi.CodeTooLarge,
	} {
		_, err := readPlotRequest(strings.NewReader(body))
		if want == "" && err != nil || want != "" && (err == nil || spi.CodeOf(err) != want) {
			t.Errorf("%.100s: %v, want %q", body, err, want)
		}
	}
}

func FuzzReadPlotRequest(f *testing.F) {
	for _, test := range plotBodies {
		f.Add(test.body)
	}
	f.Add(`{"start":"0000-01-01","end":"9999-12-31","variables":["insects"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		r, err := readPlotRequest(strings.NewReader(body))
		if err != nil {
			if code := spi.CodeOf(err); code != spi.CodeInvalid && code != spi.CodeTooLarge {
				t.Fatalf("code %s", code)
			}
			return
		}
		if !r.start.Before(r.end) || r.width < 1 || r.width > plot.MaxWidth || len(r.variables) == 0 || len(r.variables) != len(r.measures) {
			t.Fatalf("%+v", r)
		}
		// any such range can be drawn on
		s := plot.NewSampler(r.start.Unix(), r.end.Unix(), r.width, r.measures)
		s.Add(&store.Point{At: r.start.Unix()})
		s.Add(&store.Point{At: r.end.Unix() - 1})
		if _, seen := s.Points(); seen != 2 {
			t.Fatal(seen)
		}
	})
}

func TestDevicesAreAskedForByDays(t *testing.T) {
	now := time.Date(2022, 5, 29, 13, 0, 0, 0, time.UTC)
	may29 := int(now.Unix() / daySeconds)
	for query, want := range map[string]devicesQuery{
		"":                                {may29 - 28, may29 + 1, []string{"%"}, spi.DateV2},
		"start=2022-05-28":                {may29 - 1, may29 + 1, []string{"%"}, spi.DateV2},
		"end=2022-05-29":                  {may29 - 28, may29, []string{"%"}, spi.DateV2},
		"start=2022-05-28&end=2022-05-29": {may29 - 1, may29, []string{"%"}, spi.DateV2},
		"start=2022-05-28T23:59:59Z&end=2022-05-29_00-00-01&device=a%25&device=b": {may29 - 1, may29 + 1, []string{"a%", "b"}, spi.DateV2},
		"start=2022-05-28_00-00-00&end=2022-05-29T00:00:00Z":                      {may29 - 1, may29, []string{"%"}, spi.DateV1},
		"start=2022-05-28&end=2022-05-29_00-00-00":                                {may29 - 1, may29, []string{"%"}, spi.DateV1},
		"start=1969-12-31T12:00:00Z&end=1970-01-01T12:00:00Z":                     {-1, 1, []string{"%"}, spi.DateV2},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readDevicesQuery(values, now)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(devicesQuery{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func FuzzReadDevicesQuery(f *testing.F) {
	for _, q := range []string{"", "start=2022-05-01&end=2022-05-02", "device=a&device=%25", "end=0000-01-01", "start=9999-12-31", "x=1", "start=&end="} {
		f.Add(q)
	}
	now := time.Date(2022, 5, 29, 13, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := readDevicesQuery(values, now)
		if err != nil {
			if spi.CodeOf(err) != spi.CodeInvalid {
				t.Fatal(err)
			}
			return
		}
		if n := q.end - q.first; n < 1 || n > maxDays || len(q.patterns) == 0 || len(q.patterns) > maxPatterns {
			t.Fatalf("%+v", q)
		}
	})
}

func TestOpenAPIDescribesTheRowsOfViews(t *testing.T) {
	doc := loadOpenAPI(t)
	taken := time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)
	r := &plotRequest{variables: variables}
	for _, v := range variables {
		r.measures = append(r.measures, measures[v])
	}
	points := []store.Point{{At: taken.Unix(), ID: 101, Values: [store.Measures]int32{2060, -5, 3, store.Missing, 49261420, -123250880, 4}}, {At: taken.Unix() + 1200, ID: 99}}
	bare := store.Image{ID: 101, Device: "5C173ff2", Datetime: taken, Provenance: store.Provenance{DatetimeCreated: taken.Add(-time.Minute)}}
	number := sql.Null[float64]{V: -400, Valid: true}
	full := bare
	full.ImageMetadata = store.ImageMetadata{DeviceVersion: sql.Null[string]{V: "3.1.0", Valid: true}, Alt: number, Lat: number, Lng: number, Temp: number, Hum: number, Bat: number}
	for _, test := range []struct {
		name, schema string
		row          []byte
		want         string // of the row, where it is given
	}{
		{"plot", "Plot", appendPlot(nil, "5c173ff2", &drawn{points, 7}, r), `{"device":"5c173ff2","id":[101,-2],"images":7,"shown":2,"time":[1651363200,1200],` +
			`"values":{"battery":[null,0],"humidity":[-0.05,0],"insects":[4,0],"lat":[49.26142,0],"light":[0.003,0],"lng":[-123.25088,0],"temperature":[20.6,0]}}`},
		{"bare device", "DeviceState", appendDevice(nil, &deviceState{"5c173ff2", plot.Regularity{PerDay: []int{0, 0}}, []store.Image{bare}}, taken.Add(time.Hour), spi.DateV2),
			`{"alt":null,"battery":null,"clock_ahead":60,"device":"5c173ff2","device_version":null,"expected_per_day":null,"gaps":0,"humidity":null,"images":0,` +
				`"images_per_day":[0,0],"interval":null,"last_datetime":"2022-05-01T00:00:00Z","last_id":101,"lat":null,"lng":null,"longest_gap":0,"silence":3600,` +
				`"temperature":null,"upload_delay":-60}`},
		{"full device", "DeviceState", appendDevice(nil, &deviceState{"5c173ff2", plot.Regularity{Images: 3, PerDay: []int{3}, Interval: 1200, Gaps: 1, Longest: 6000}, []store.Image{full, bare}}, taken, spi.DateV1), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var value any
			if err := json.Unmarshal(test.row, &value); err != nil {
				t.Fatal(err)
			}
			if err := doc.Components.Schemas[test.schema].Value.VisitJSON(value, openapi3.VisitAsResponse()); err != nil {
				t.Errorf("%s: the document says %v", test.row, err)
			}
			if test.want != "" && string(test.row) != test.want {
				t.Errorf("got  %s\nwant %s", test.row, test.want)
			}
			again, err := json.Marshal(value)
			if err != nil || string(again) != string(test.row) {
				t.Errorf("keys are not sorted, or numbers not short: %s, %v", test.row, err)
			}
		})
	}
}

func TestWhatIsKnownLastIsTheNewestThatMakesSense(t *testing.T) {
	with := func(hum, temp float64, bat sql.Null[float64]) store.Image {
		return store.Image{ImageMetadata: store.ImageMetadata{
			Hum: sql.Null[float64]{V: hum, Valid: true}, Temp: sql.Null[float64]{V: temp, Valid: true}, Bat: bat,
		}}
	}
	images := []store.Image{with(-1, -999, sql.Null[float64]{}), with(40, -999, sql.Null[float64]{}), with(50, 20, sql.Null[float64]{V: 72, Valid: true})}
	row := string(appendDevice(nil, &deviceState{device: "a", newest: images}, time.Unix(0, 0), spi.DateV1))
	for _, want := range []string{`"humidity":40,`, `"temperature":20,`, `"battery":72,`, `"last_datetime":"0001-01-01_00-00-00",`} {
		if !strings.Contains(row, want) {
			t.Errorf("%s is not in %s", want, row)
		}
	}
}

func TestEventsAreWrittenAsTheProtocolSays(t *testing.T) {
	taken := time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)
	image := store.Stored{ID: 101, Device: "5c173ff2", Datetime: taken}
	annotation := store.Stored{ID: 18, Device: "5c173ff2\n", Datetime: taken, ImageID: 101, AlgoName: "a\nb", NObjects: 4}
	for _, test := range []struct {
		event events.Event
		want  string
	}{
		{events.Event{Stored: image, Kind: spi.ImageStored, Position: events.Position{Image: 101, Annotation: 17}},
			"id: i101-a17\nevent: image\ndata: {\"datetime\":\"2022-05-01T00:00:00Z\",\"device\":\"5c173ff2\",\"id\":101}\n\n"},
		// no text of a row begins a line of its own
		{events.Event{Stored: annotation, Kind: spi.ImageAnnotated, Position: events.Position{Image: 101, Annotation: 18}},
			"id: i101-a18\nevent: annotation\ndata: {\"algo_name\":\"a\\nb\",\"datetime\":\"2022-05-01T00:00:00Z\",\"device\":\"5c173ff2\\n\",\"id\":18,\"image_id\":101,\"n_objects\":4}\n\n"},
		{events.Event{Kind: spi.EventsSkipped}, "id: i0-a0\nevent: reset\ndata: {}\n\n"},
	} {
		if got := string(appendEvent(nil, &test.event)); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

// BenchmarkAppendPlot writes a device with 4,000 images.
func BenchmarkAppendPlot(b *testing.B) {
	r := &plotRequest{variables: []spi.Variable{spi.Humidity, spi.Insects, spi.Light, spi.Temperature},
		measures: []store.Measure{store.Humidity, store.Insects, store.Light, store.Temperature}}
	d := &drawn{images: 4000}
	for i := range 4000 {
		d.points = append(d.points, store.Point{At: int64(i * 1200), ID: int64(i * 50), Values: [store.Measures]int32{int32(i % 3000), int32(i % 9999), int32(i * 7), 0, 0, 0, int32(i % 40)}})
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendPlot(buf[:0], "5c173ff2", d, r)
	}
	b.SetBytes(int64(len(buf)))
	if !json.Valid(buf) {
		b.Fatal(fmt.Sprint(len(buf)))
	}
}

func TestPlotsHaveRoomAndWhoFindsNoneIsToldSo(t *testing.T) {
	room := newPlotRoom()
	// the largest request there is fits, and gives back what it took
	largest := maxDevicesAtOnce * plot.MaxWidth * (2*len(variables) + 2) * pointBytes
	for range 3 {
		done, err := room.take(t.Context(), 1, largest)
		if err != nil {
			t.Fatal(err)
		}
		done()
	}
	over, cancel := context.WithCancel(t.Context())
	cancel() // instead of the ten seconds
	take := func(user int64, bytes int) func() {
		t.Helper()
		done, err := room.take(t.Context(), user, bytes)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	// one user holds all that a user may: others do not mind
	done := []func(){take(1, largest), take(1, userPlotBytes-largest)}
	var refused *spi.Error
	if _, err := room.take(over, 1, 1); !errors.As(err, &refused) || refused.Code != spi.CodeRateLimited || refused.RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
	for user := int64(2); user <= plotBytes/userPlotBytes; user++ {
		done = append(done, take(user, userPlotBytes))
	}
	if _, err := room.take(over, 99, 1); err == nil || spi.CodeOf(err) != spi.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	// without patience nobody waits for others: the bubble's clock stands still
	synctest.Test(t, func(t *testing.T) {
		asked := time.Now()
		for user, want := range map[int64]spi.Code{1: spi.CodeRateLimited, 99: spi.CodeUnavailable} {
			if _, err := room.takeWithin(t.Context(), 0, user, 1); err == nil || spi.CodeOf(err) != want || time.Since(asked) != 0 {
				t.Errorf("user %d: %v after %v", user, err, time.Since(asked))
			}
		}
	})
	for _, f := range done {
		f()
	}
	if len(room.users) != 0 {
		t.Errorf("%d users are remembered who hold nothing", len(room.users))
	}
	take(99, userPlotBytes)()
}

// slowly is a client that takes a second for each kilobyte.
type slowly struct {
	http.ResponseWriter
	now time.Time
}

func (s *slowly) Write(b []byte) (int, error) {
	s.now = s.now.Add(time.Duration(len(b)) * time.Second / 1024)
	return s.ResponseWriter.Write(b)
}

func TestAReplyEndsThatIsReadTooSlowly(t *testing.T) {
	row := bytes.Repeat([]byte("1"), 1024)
	for name, test := range map[string]struct {
		hurry, hold bool
	}{
		"as it is made":                    {hurry: true},
		"once it is whole":                 {hurry: true, hold: true},
		"but not where it holds no memory": {},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			client := &slowly{ResponseWriter: recorder}
			gin.SetMode(gin.TestMode)
			c, _ := gin.CreateTestContext(client)
			c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			l := newList(c, spi.DateV2)
			if l.hold = test.hold; test.hurry {
				l.hurry(func() time.Time { return client.now })
			}
			rows := 0
			var err error
			for ; rows < 200 && err == nil; rows++ {
				err = l.done(append(l.row(), row...))
			}
			if err == nil {
				err = l.end()
			}
			if (err != nil) != test.hurry {
				t.Fatalf("%d rows, %v", rows, err)
			}
			if sent := recorder.Body.Len(); test.hurry && sent > 2*flushFrom || !test.hurry && sent != 200*1025+1 {
				t.Errorf("%d bytes were sent, %v", sent, err)
			}
		})
	}
}
