package test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// duty is n photos of a device, one each 20 minutes, of both generations in turn.
func duty(device string, from time.Time, n int) []photo {
	photos := make([]photo, n)
	for i := range photos {
		photos[i] = generated(device, from.Add(time.Duration(i)*20*time.Minute),
			spitest.Photo{Width: 16, Height: 12, Seed: uint64(i), Generation: spitest.Generation(1 + i%2)})
	}
	return photos
}

func adminClient(t *testing.T, s *stack.Stack) *spi.Client {
	t.Helper()
	client, err := spi.New(s.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// round rounds to so many places behind the point.
func round(v *float64, places int) *float64 {
	if v == nil {
		return nil
	}
	r := math.Round(*v*math.Pow10(places)) / math.Pow10(places)
	return &r
}

// lightOf is the protocol's definition.
func lightOf(m spi.Image) *float64 {
	if m.Lum != nil {
		return m.Lum
	}
	v := math.Log10(1+*m.NoFlashBV) / *m.NoFlashExposureTime
	return &v
}

func TestPlotsHoldTheValuesOfTheImages(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		device := newDevice()
		photos := duty(device, noon, 8)
		want := spi.Plot{Device: device, Images: len(photos), Shown: len(photos), Values: map[spi.Variable][]*float64{}}
		for i, r := range a.put(photos...) {
			m := photos[i].metadata
			want.ID = append(want.ID, int64(r["id"].(float64)))
			want.Time = append(want.Time, photos[i].at.Unix())
			for v, n := range map[spi.Variable]*float64{
				spi.Temperature: round(m.Temp, 2), spi.Humidity: round(m.Hum, 2), spi.Light: round(lightOf(m), 3), spi.Battery: round(m.Bat, 1),
				spi.Latitude: round(m.Lat, 6), spi.Longitude: round(m.Lng, 6), spi.Insects: nil,
			} {
				want.Values[v] = append(want.Values[v], n)
			}
		}
		request := spi.PlotRequest{
			Start: spi.Datetime{Time: noon}, End: spi.Datetime{Time: noon.Add(24 * time.Hour)}, Devices: []string{device},
			Variables: []spi.Variable{spi.Temperature, spi.Humidity, spi.Light, spi.Battery, spi.Latitude, spi.Longitude, spi.Insects},
		}
		read := func(r spi.PlotRequest) []spi.Plot {
			t.Helper()
			plots, err := spi.Collect(adminClient(t, a.Stack).GetPlot(t.Context(), r))
			if err != nil {
				t.Fatal(err)
			}
			return plots
		}
		same(t, "before it is annotated", []spi.Plot{want}, read(request))

		a.post("/put_uid_annotations", oneList(documentOf(photos[3], spi.DetectorAlgorithm, version2, spi.DateV2, 5))).ok()
		a.post("/put_uid_annotations", oneList(documentOf(photos[3], spi.DetectorAlgorithm, version1, spi.DateV2, 9))).ok()
		a.post("/put_uid_annotations", oneList(documentOf(photos[4], "another", version1, spi.DateV2, 2))).ok()
		want.Values[spi.Insects][3], want.Values[spi.Insects][4] = number(5), number(2)
		same(t, "annotated", []spi.Plot{want}, read(request))
		other := request
		other.AlgoName, other.Variables = "another", []spi.Variable{spi.Insects}
		insects := make([]*float64, len(photos))
		insects[4] = number(2)
		same(t, "another detector's", map[spi.Variable][]*float64{spi.Insects: insects}, read(other)[0].Values)

		// deleted, and a range that begins and ends within the day
		a.call("/delete_images", photos[2].key(spi.DateV2)).ok()
		part := request
		part.Variables = []spi.Variable{spi.Insects}
		part.Start.Time, part.End.Time = photos[1].at, photos[5].at
		same(t, "a part", []spi.Plot{{
			Device: device, Images: 3, Shown: 3, ID: spi.Deltas{want.ID[1], want.ID[3], want.ID[4]}, Time: spi.Deltas{want.Time[1], want.Time[3], want.Time[4]},
			Values: map[spi.Variable][]*float64{spi.Insects: {nil, number(5), number(2)}},
		}}, read(part))
		narrow := request
		narrow.Width = 1
		narrow.Variables = []spi.Variable{spi.Insects}
		same(t, "on one pixel", []spi.Plot{{
			Device: device, Images: 7, Shown: 4, ID: spi.Deltas{want.ID[0], want.ID[3], want.ID[4], want.ID[7]},
			Time:   spi.Deltas{want.Time[0], want.Time[3], want.Time[4], want.Time[7]},
			Values: map[spi.Variable][]*float64{spi.Insects: {nil, number(5), number(2), nil}},
		}}, read(narrow))
	})
}

func TestPlotsAreForEveryRoleAndRefuseWhatIsWrong(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		reader := a.as(basic(a.newUser(readOnly), userPassword))
		const good = `{"start":"2021-05-04","end":"2021-05-05_00-00-00","variables":["temperature"],"devices":["none"]}`
		same(t, "nothing there", []row{}, reader.post("/v2/series", good).rows())
		same(t, "no device", []row{}, reader.post("/v2/series", `{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"devices":[]}`).rows())
		same(t, "all devices of no time", []row{}, reader.post("/v2/series", `{"start":"1999-05-04","end":"1999-05-05","variables":["insects"]}`).rows())
		a.as(nobody).post("/v2/series", good).refused(http.StatusUnauthorized)
		for body, words := range map[string][]string{
			``: {"JSON"}, `null`: {"one JSON object"}, `[]`: {"one JSON object"}, `[{}]`: {"one JSON object"}, `{`: {"valid JSON"}, `{}{}`: {"JSON"},
			`{}`: {"start", "missing"},
			`{"start":"2021-05-04","variables":["insects"]}`:                                                  {"end", "missing"},
			`{"start":"yesterday","end":"2021-05-05","variables":["insects"]}`:                                {"start", "not a date"},
			`{"start":"2021-05-05","end":"2021-05-05","variables":["insects"]}`:                               {"end", "later"},
			`{"start":"2021-05-04","end":"2021-05-05"}`:                                                       {"variables", "missing"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":[]}`:                                        {"variables", "at least one"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["weight"]}`:                                {"variables", "weight", "humidity"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":"insects"}`:                                 {"variables", "list"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"width":0}`:                     {"width", "at least 1"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"width":4001}`:                  {"width", "at most 4000"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"device":"a"}`:                  {"device", "devices"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"devices":[1]}`:                 {"devices", "strings"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"devices":[null]}`:              {"devices", "strings"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"algo_name":""}`:                {"algo_name"},
			`{"start":"2021-05-04","end":"2021-05-05","variables":["insects"],"width":1e99}`:                  {"width"},
			`{"start":"2021-05-04T00:00:00+02:00","end":"2021-05-05","variables":["insects"],"algo_name":""}`: {"start"},
		} {
			reader.mistaken().post("/v2/series", body).refused(http.StatusBadRequest, words...)
		}
	})
}

func TestDevicesSayHowTheyDo(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		device := newDevice()
		photos := append(duty(device, noon, 6), duty(device, noon.Add(24*time.Hour), 3)...)
		photos = append(photos, duty(device, noon.Add(27*time.Hour), 3)...)
		rows := a.put(photos...)
		get := func(query string) []row {
			return a.as(basic(a.newUser(readOnly), userPassword)).get("/v2/devices?device=" + device + query).rows()
		}
		for range 2 {
			got := get("&start=2021-05-04&end=2021-05-06_00-00-00")[0]
			last := photos[len(photos)-1]
			want := row{
				"device": device, "images": 12.0, "images_per_day": []any{6.0, 6.0}, "interval": 1200.0, "expected_per_day": 72.0, "gaps": 2.0,
				"longest_gap": float64(24*3600 - 5*1200), "last_id": rows[len(rows)-1]["id"], "last_datetime": spi.FormatDatetime(last.at, spi.DateV1),
				"clock_ahead": 0.0,
			}
			left := row{}
			for field := range want {
				left[field] = got[field]
			}
			same(t, "state", want, left)
			// of the photos in turn, the last is of the first generation and has no battery; the one before has
			if last.metadata.Bat != nil {
				t.Fatal("the last photo has a battery")
			}
			same(t, "battery", orNull(photos[len(photos)-2].metadata.Bat), got["battery"])
			same(t, "lat", orNull(last.metadata.Lat), got["lat"])
			if d, ok := got["silence"].(float64); !ok || d < 3600 {
				t.Errorf("silence %v", got["silence"])
			}
			if d, ok := got["upload_delay"].(float64); !ok || d < 3600 {
				t.Errorf("upload_delay %v", got["upload_delay"])
			}
		}
		same(t, "one day, widened", []any{6.0}, get("&start=2021-05-04_23-00-00&end=2021-05-04_23-30-00")[0]["images_per_day"].([]any))
		silent := get("")[0]
		same(t, "silent", row{"images": 0.0, "interval": nil, "expected_per_day": nil}, row{"images": silent["images"], "interval": silent["interval"], "expected_per_day": silent["expected_per_day"]})
		if days := len(silent["images_per_day"].([]any)); days != 28 && days != 29 {
			t.Errorf("%d days", days)
		}
		states, err := adminClient(t, a.Stack).GetDevices(t.Context(), noon, noon.Add(24*time.Hour), device, "none")
		if err != nil || len(states) != 1 || states[0].Device != device || states[0].Images != 12 {
			t.Errorf("client: %v, %v", states, err)
		}
		ahead := newDevice()
		a.put(small(ahead, time.Now().UTC().Truncate(time.Second).Add(time.Hour), 1))
		state := a.get("/v2/devices?device=" + ahead).only()
		if d := state["clock_ahead"].(float64); d < 3000 || d > 3600 {
			t.Errorf("clock_ahead %v", d)
		}
		for query, words := range map[string][]string{
			"start=x": {"start", "not a date"}, "end=2021-05-04&start=2021-05-05": {"end", "later"}, "start=2001-01-01&end=2021-01-01": {"3660"},
			"begin=2021-01-01": {"begin", "start, end and device"}, "start=2021-01-01&start=2021-01-01": {"start", "more than once"},
		} {
			a.mistaken().get("/v2/devices?"+query).refused(http.StatusBadRequest, words...)
		}
		a.as(nobody).get("/v2/devices").refused(http.StatusUnauthorized)
	})
}

func TestPlotsAreSmall(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		device := newDevice()
		a.put(duty(device, noon, 72)...)
		body := fmt.Sprintf(`{"start":"2021-05-04","end":"2021-05-06","devices":[%q],"variables":["temperature","humidity","light","insects"],"width":10}`, device)
		plain := a.post("/v2/series", body).ok()
		req := a.request(http.MethodPost, "/v2/series", jsonType, strings.NewReader(body))
		req.Header.Set("Accept-Encoding", "gzip")
		packed := a.send(req)
		if packed.header.Get("Content-Encoding") == "gzip" {
			packed.body = gunzip(t, packed.body)
		}
		same(t, "compressed or not", string(plain.body), string(packed.body))
		var plots []spi.Plot
		if err := json.Unmarshal(plain.body, &plots); err != nil {
			t.Fatal(err)
		}
		// a day is 5 pixels of this range, and a pixel keeps two images of each variable
		if p := plots[0]; p.Images != 72 || p.Shown > 6*2*3+2 || p.Shown < 6*2 || len(p.ID) != p.Shown || len(p.Values) != 4 {
			t.Errorf("%d images, %d shown", p.Images, p.Shown)
		}
	})
}

// TestAPlotOfDaysThatAreNotWorkedOutIsRefusedUntilTheyAre has more images than a request works out, as after an upgrade.
func TestAPlotOfDaysThatAreNotWorkedOutIsRefusedUntilTheyAre(t *testing.T) {
	t.Parallel()
	const images = 130_000 // a request works out 120,000
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		a := newAPI(t, s)
		first := fmt.Sprint(time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
		db, err := behind(t, s).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := first + " + 1200 * i"
		if s.MariaDB != nil {
			at = "FROM_UNIXTIME(" + at + ")"
			if _, err := db.ExecContext(t.Context(), "SET max_recursive_iterations = 1000000, time_zone = '+00:00'"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.ExecContext(t.Context(), strings.NewReplacer("AT", at, "MANY", fmt.Sprint(images)).Replace(`
			INSERT INTO images (device, datetime, md5, width, height, datetime_created)
			WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < MANY - 1)
			SELECT '0a0b0c0d', AT, '00000000000000000000000000000000', 2592, 1944, AT FROM n`)); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		// times alone are looked at
		same(t, "images", float64(images), a.get("/v2/devices?start=2015-01-01&end=2020-01-01").only()["images"].(float64))
		const body = `{"start":"2015-01-01","end":"2020-01-01","variables":["insects"],"width":100}`
		refused := 0
		for patience := time.Now().Add(uidWithin); ; refused++ {
			reply, err := a.client.Do(a.request(http.MethodPost, "/v2/series", jsonType, strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(reply.Body)
			_ = reply.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if reply.StatusCode == http.StatusOK {
				var plots []spi.Plot
				if err := json.Unmarshal(text, &plots); err != nil || len(plots) != 1 || plots[0].Images != images {
					t.Errorf("once they are worked out: %.300s, %v", text, err)
				}
				break
			}
			if after := reply.Header.Get("Retry-After"); reply.StatusCode != http.StatusServiceUnavailable || after != "5" || !strings.Contains(string(text), "worked out") {
				t.Fatalf("%s, Retry-After %q: %s", reply.Status, after, text)
			}
			// each gets further: as far as the second one where the machine is quick, else for five seconds
			if time.Now().After(patience) {
				t.Fatalf("refused %d times", refused+1)
			}
		}
		if refused == 0 {
			t.Error("the first time it is not refused")
		}
	})
}
