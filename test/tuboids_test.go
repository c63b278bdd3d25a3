package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// insect is a tuboid to upload.
type insect struct {
	device                    string
	start, end                time.Time // of the series
	version                   string
	number                    int
	nTuboids                  int
	metadata, tuboid, context []byte
}

const matcherVersion = "1606980656-91e2199fccf371d3d690b2856613e8f5"

func (n insect) series() string {
	return n.device + "." + spi.FormatDatetime(n.start, spi.DateV1) + "." + spi.FormatDatetime(n.end, spi.DateV1) + "." + n.version
}

func (n insect) id() string { return fmt.Sprintf("%s.%04d", n.series(), n.number) }

func (n insect) key(part string) string {
	return "tiled_tuboids/" + n.series() + "/" + n.id() + "/" + part
}

func (n insect) info(format spi.DateFormat) row {
	return row{
		"device": n.device, "start_datetime": spi.FormatDatetime(n.start, format), "end_datetime": spi.FormatDatetime(n.end, format),
		"algo_name": "sticky-pi-matcher", "algo_version": n.version, "n_tuboids": n.nTuboids, "n_images": 57,
	}
}

// span asks for the insect's series, both bounds included.
func (n insect) span(format spi.DateFormat) row {
	info := n.info(format)
	return row{"device": n.device, "start_datetime": info["start_datetime"], "end_datetime": info["end_datetime"]}
}

// fields are the insect as clients send it: the first two parts are files without a name that hold JSON. Those of the second
// generation send checksums and dates of their own form.
func (n insect) fields(t *testing.T, format spi.DateFormat) []field {
	t.Helper()
	id, err := json.Marshal(n.id())
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(n.info(format))
	if err != nil {
		t.Fatal(err)
	}
	fields := []field{
		{name: "tuboid_id", data: id}, {name: "series_info", data: info}, {name: "metadata", data: n.metadata, fileName: "metadata.txt"},
		{name: "tuboid", data: n.tuboid, fileName: "tuboid.jpg"}, {name: "context", data: n.context, fileName: "context.jpg"},
	}
	if format == spi.DateV2 {
		for _, f := range fields[2:] {
			fields = append(fields, field{name: f.name + ".md5", data: []byte(md5Hex(f.data))})
		}
	}
	return fields
}

func (a *api) putInsect(fields []field) *reply {
	a.t.Helper()
	contentType, body := form(a.t, fields...)
	return a.send(a.request(http.MethodPost, "/_put_tiled_tuboids", contentType, bytes.NewReader(body)))
}

// tuboid reads the one tuboid of an upload's reply: a list in a list.
func (r *reply) tuboid() row {
	r.t.Helper()
	var rows [][]row
	if err := json.Unmarshal(r.ok().body, &rows); err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		r.t.Fatalf("%s: not one tuboid in two lists (%v): %.300s", r.asked, err, r.body)
	}
	return rows[0][0]
}

// newInsect makes the nth tuboid of a series of three, of a night on a device.
func newInsect(device string, night, n int) insect {
	start := noon.Add(8*time.Hour).AddDate(0, 0, night)
	shots := ""
	for i := range 3 {
		shots += fmt.Sprintf("%s.%s,%d.5,-1e-3,3.796610\n", device, spi.FormatDatetime(start.Add(time.Duration(1+i)*time.Hour), spi.DateV1), 100+i)
	}
	seed := uint64(10*n + night)
	return insect{
		device: device, start: start, end: start.Add(12 * time.Hour), version: matcherVersion, number: n, nTuboids: 3, metadata: []byte(shots),
		tuboid:  spitest.Picture(spitest.Photo{Width: 64, Height: 32, Seed: seed}),
		context: spitest.Picture(spitest.Photo{Width: 48, Height: 64, Seed: seed + 1}),
	}
}

// realInsects are two that the matcher made.
func realInsects(t *testing.T) []insect {
	t.Helper()
	folder := stack.SharedData(t, "tuboids")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var insects []insect
	for _, e := range entries {
		n := insect{device: "08038ade", start: time.Date(2020, 7, 8, 20, 0, 0, 0, time.UTC), end: time.Date(2020, 7, 9, 15, 0, 0, 0, time.UTC), version: matcherVersion, nTuboids: 2}
		if _, err := fmt.Sscanf(e.Name()[strings.LastIndex(e.Name(), ".")+1:], "%d", &n.number); err != nil || n.id() != e.Name() {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		for file, data := range map[string]*[]byte{"metadata.txt": &n.metadata, "tuboid.jpg": &n.tuboid, "context.jpg": &n.context} {
			if *data, err = os.ReadFile(path.Join(folder, e.Name(), file)); err != nil {
				t.Fatal(err)
			}
		}
		insects = append(insects, n)
	}
	return insects
}

func TestTuboidsOfTheMatcherGoInAndComeOutWhole(t *testing.T) {
	t.Run("real", func(t *testing.T) {
		insects := realInsects(t)
		each(t, func(t *testing.T, a *api) { insectsInAndOut(t, a, insects) })
	})
	t.Run("generated", func(t *testing.T) {
		each(t, func(t *testing.T, a *api) {
			device := newDevice()
			one, two := newInsect(device, 0, 2), newInsect(device, 0, 1)
			one.nTuboids, two.nTuboids = 2, 2
			insectsInAndOut(t, a, []insect{one, two})
		})
	})
}

// insectsInAndOut uploads the two tuboids of a series, as clients of either generation, reads them back and deletes them.
func insectsInAndOut(t *testing.T, a *api, insects []insect) {
	t.Helper()
	for i, n := range insects {
		format := []spi.DateFormat{spi.DateV1, spi.DateV2}[i%2]
		got := a.putInsect(n.fields(t, format)).tuboid()
		lines := strings.Split(strings.TrimSpace(string(n.metadata)), "\n")
		shot := func(line string) string {
			at, _, err := spi.ParseDatetime(line[9:28])
			if err != nil {
				t.Fatal(err)
			}
			return spi.FormatDatetime(at, format)
		}
		_, created, err := spi.ParseDatetime(got.text("datetime_created"))
		if err != nil || *created != format {
			t.Errorf("datetime_created is %q", got.text("datetime_created"))
		}
		want := row{
			"id": got["id"], "parent_series_id": got["parent_series_id"], "datetime_created": got["datetime_created"],
			"tuboid_id": n.id(), "id_in_series": float64(n.number), "n_shots": float64(len(lines)),
			"start_datetime": shot(lines[0]), "end_datetime": shot(lines[len(lines)-1]),
			"device_series": n.device, "start_datetime_series": spi.FormatDatetime(n.start, format), "end_datetime_series": spi.FormatDatetime(n.end, format),
			"algo_name_series": "sticky-pi-matcher", "algo_version_series": n.version, "n_tuboids_series": float64(2),
			"api_version": spi.APIVersion, "api_user": stack.AdminName,
		}
		same(t, "uploaded "+n.id(), want, got)
	}
	// again, and one more than there are
	a.putInsect(insects[0].fields(t, spi.DateV1)).refused(http.StatusConflict, insects[0].id(), "is there already")
	other := insects[0]
	other.tuboid = insects[1].tuboid
	a.putInsect(other.fields(t, spi.DateV2)).refused(http.StatusConflict, "is there already")
	more := insects[0]
	more.number = 9000
	a.putInsect(more.fields(t, spi.DateV1)).refused(http.StatusConflict, "all of its 2 tuboids")
	more.nTuboids = 3
	a.putInsect(more.fields(t, spi.DateV1)).refused(http.StatusConflict, "n_tuboids 2")
	objects := bucketOf(t, a.Stack)
	if keys := objects.below("tiled_tuboids/" + more.series() + "/" + more.id()); len(keys) > 0 {
		t.Errorf("a refused tuboid has objects: %v", keys)
	}

	ordered := slices.Clone(insects)
	slices.SortFunc(ordered, func(a, b insect) int { return a.number - b.number })
	rows := a.call("/get_tiled_tuboid_series/metadata", ordered[0].span(spi.DateV1)).rows()
	same(t, "tuboids", []string{ordered[0].id(), ordered[1].id()}, column(rows, "tuboid_id"))
	if _, there := rows[0]["tuboid"]; there {
		t.Error("metadata has URLs")
	}
	data := a.call("/get_tiled_tuboid_series/data", ordered[0].span(spi.DateV2)).rows()
	again := a.call("/get_tiled_tuboid_series/data", ordered[0].span(spi.DateV2)).rows()
	same(t, "the same request", data, again)
	for i, n := range ordered {
		for part, want := range map[string][]byte{"tuboid": n.tuboid, "metadata": n.metadata, "context": n.context} {
			url := data[i].text(part)
			if got := fetch(t, url); !bytes.Equal(got, want) {
				t.Errorf("%s of %s: %d bytes came out that are not the %d that went in", part, n.id(), len(got), len(want))
			}
			file := part + map[string]string{"tuboid": ".jpg", "metadata": ".txt", "context": ".jpg"}[part]
			if before, query, _ := strings.Cut(url, "?"); !strings.HasSuffix(before, "/"+n.key(file)) || strings.Contains(query, "/") {
				t.Errorf("the URL %s does not end in %s", url, n.key(file))
			}
		}
	}

	// the bounds are included, and a series that sticks out is none
	for change, want := range map[string]int{"": 2, "start": 0, "end": 0} {
		span := ordered[0].span(spi.DateV1)
		switch change {
		case "start":
			span["start_datetime"] = spi.FormatDatetime(ordered[0].start.Add(time.Second), spi.DateV1)
		case "end":
			span["end_datetime"] = spi.FormatDatetime(ordered[0].end.Add(-time.Second), spi.DateV1)
		}
		if rows := a.call("/get_tiled_tuboid_series/metadata", span).rows(); len(rows) != want {
			t.Errorf("a second less at the %q: %d tuboids, want %d", change, len(rows), want)
		}
	}
	a.mistaken().call("/get_tiled_tuboid_series/image", ordered[0].span(spi.DateV1)).refused(http.StatusBadRequest, "metadata or data")

	label := row{
		"tuboid_id": ordered[0].id(), "algo_name": "classifier", "algo_version": "1616428812-a", "label": 5, "pattern": "Insecta.Diptera.*", "type": "insect",
		"order": "Diptera", "family": nil,
	}
	a.call("/put_itc_labels", label).only()

	deleted := a.call("/delete_tiled_tuboids", ordered[0].span(spi.DateV1)).only()
	for field, want := range ordered[0].info(spi.DateV1) {
		same(t, "deleted series' "+field, fmt.Sprint(want), fmt.Sprint(deleted[field]))
	}
	if keys := objects.below("tiled_tuboids/" + ordered[0].series()); len(keys) > 0 {
		t.Errorf("objects were left: %v", keys)
	}
	for _, path := range []string{"/get_tiled_tuboid_series/metadata", "/delete_tiled_tuboids"} {
		if rows := a.call(path, ordered[0].span(spi.DateV1)).rows(); len(rows) > 0 {
			t.Errorf("%s after the deletion: %v", path, rows)
		}
	}
	if rows := a.call("/_get_itc_labels", row{"tuboid_id": ordered[0].id()}).rows(); len(rows) > 0 {
		t.Errorf("labels were left: %v", rows)
	}
	a.putInsect(insects[0].fields(t, spi.DateV1)).tuboid()
	a.call("/delete_tiled_tuboids", ordered[0].span(spi.DateV1)).only()
}

func TestTheFormOfATuboidIsChecked(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		n := newInsect(newDevice(), 0, 1)
		set := func(name, value string) func([]field) []field {
			return func(fields []field) []field {
				for i := range fields {
					if fields[i].name == name {
						fields[i].data = []byte(value)
					}
				}
				return fields
			}
		}
		without := func(name string) func([]field) []field {
			return func(fields []field) []field {
				return slices.DeleteFunc(fields, func(f field) bool { return f.name == name })
			}
		}
		info := func(name string, value any) func([]field) []field {
			changed := n.info(spi.DateV1)
			changed[name] = value
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			return set("series_info", string(text))
		}
		for name, test := range map[string]struct {
			change func([]field) []field
			words  string
		}{
			"no tuboid_id":           {without("tuboid_id"), "tuboid_id"},
			"no series_info":         {without("series_info"), "series_info"},
			"no metadata":            {without("metadata"), "metadata"},
			"no context":             {without("context"), "context"},
			"two tuboids":            {func(f []field) []field { return append(f, f[3]) }, "twice"},
			"tuboid_id without JSON": {set("tuboid_id", n.id()), "JSON string"},
			"tuboid_id a number":     {set("tuboid_id", "5"), "JSON string"},
			"tuboid_id a path":       {set("tuboid_id", `"../../../raw_images/a.b.c.d.0001"`), "tuboid_id"},
			"tuboid_id with a NUL":   {set("tuboid_id", `"`+n.series()+`.00\u0000"`), "tuboid_id"},
			"series_info a list":     {set("series_info", "[]"), "JSON object"},
			"another device":         {info("device", "00000000"), "device is not that"},
			"another start":          {info("start_datetime", "2020-01-01"), "start_datetime is not that"},
			"another version":        {info("algo_version", "1"), "algo_version is not that"},
			"no number of tuboids":   {info("n_tuboids", nil), "n_tuboids"},
			"no tuboids":             {info("n_tuboids", 0), "n_tuboids"},
			"no shots":               {set("metadata", ""), "no line"},
			"a shot too late":        {set("metadata", n.device+"."+spi.FormatDatetime(n.end.Add(time.Second), spi.DateV1)+",1,2,3"), "outside"},
			"NaN":                    {set("metadata", n.device+"."+spi.FormatDatetime(n.end, spi.DateV1)+",1,nan,3"), "finite"},
			"a tuboid cut short":     {set("tuboid", string(n.tuboid[:len(n.tuboid)-2])), "cut short"},
			"a context that is text": {set("context", "this is no picture"), "not a JPEG"},
			"a wrong checksum":       {func(f []field) []field { return append(f, field{name: "tuboid.md5", data: []byte(md5Hex(n.context))}) }, "md5"},
			"a checksum of nothing":  {func(f []field) []field { return append(f, field{name: "x.md5", data: []byte(md5Hex(nil))}) }, "no file"},
		} {
			t.Run(name, func(t *testing.T) {
				a.within(t).putInsect(test.change(n.fields(t, spi.DateV1))).refused(http.StatusBadRequest, test.words)
			})
		}
		for name, value := range hostileValues {
			for _, part := range []string{"tuboid_id", "series_info", "metadata"} {
				r := a.putInsect(set(part, value)(n.fields(t, spi.DateV1)))
				if r.status != http.StatusBadRequest {
					t.Errorf("%s with %s: %d %.200s", part, name, r.status, r.body)
				}
			}
		}
		a.as(basic(a.newUser(readOnly), userPassword)).putInsect(n.fields(t, spi.DateV1)).refused(http.StatusForbidden)
		a.as(nobody).putInsect(n.fields(t, spi.DateV1)).refused(http.StatusUnauthorized)
		a.mistaken().post("/_put_tiled_tuboids", "[]").refused(http.StatusUnsupportedMediaType)
		same(t, "an empty body", "[]", string(a.send(a.request(http.MethodPost, "/_put_tiled_tuboids", "", http.NoBody)).ok().body))
		if rows := a.call("/get_tiled_tuboid_series/metadata", n.span(spi.DateV1)).rows(); len(rows) > 0 {
			t.Errorf("stored: %v", rows)
		}
		if keys := bucketOf(t, a.Stack).below("tiled_tuboids/" + n.device); len(keys) > 0 {
			t.Errorf("objects: %v", keys)
		}
	})
}

func TestOfManyUploadsOfOneTuboidAtOnceExactlyOneIsStored(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		device := newDevice()
		var requests []*http.Request
		for range 8 {
			contentType, body := form(t, newInsect(device, 0, 1).fields(t, spi.DateV1)...)
			requests = append(requests, a.request(http.MethodPost, "/_put_tiled_tuboids", contentType, bytes.NewReader(body)))
		}
		stored := 0
		for _, r := range a.together(requests) {
			switch r.status {
			case http.StatusOK:
				stored++
			case http.StatusConflict:
			default:
				t.Errorf("%d %.200s", r.status, r.body)
			}
		}
		same(t, "stored", 1, stored)
	})
}

func TestTuboidsComeByDeviceStartAndNumber(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		first, second := newDevice(), newDevice()
		want := []insect{newInsect(first, 0, 0), newInsect(first, 0, 3), newInsect(first, 1, 2), newInsect(second, 0, 1)}
		for _, i := range []int{3, 1, 2, 0} {
			a.putInsect(want[i].fields(t, spi.DateV2)).tuboid()
		}
		var names []string
		for _, n := range want {
			names = append(names, n.id())
		}
		all := row{"device": first[:5] + "%", "start_datetime": "2021-05-01", "end_datetime": "2021-06-01_00-00-00"}
		own := func(rows []row) []row {
			return slices.DeleteFunc(rows, func(r row) bool { return !slices.Contains(names, r.text("tuboid_id")) })
		}
		rows := own(a.call("/get_tiled_tuboid_series/metadata", all, row{"device": second, "start_datetime": "2021-05-01", "end_datetime": "2021-06-01"}, all).rows())
		same(t, "tuboids", names, column(rows, "tuboid_id"))
		if _, format, err := spi.ParseDatetime(rows[0].text("start_datetime")); err != nil || *format != spi.DateV1 {
			t.Errorf("start_datetime is %q, want v1's form", rows[0].text("start_datetime"))
		}
		deleted := a.call("/delete_tiled_tuboids", want[0].span(spi.DateV2), want[2].span(spi.DateV2)).rows()
		same(t, "deleted", []string{first, first}, column(deleted, "device"))
		same(t, "left", names[3:], column(own(a.call("/get_tiled_tuboid_series/metadata", want[0].span(spi.DateV2), want[3].span(spi.DateV2)).rows()), "tuboid_id"))
	})
}

func TestLabelsSayWhatATuboidShows(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		device := newDevice()
		one, two := newInsect(device, 0, 1), newInsect(device, 0, 2)
		parents := map[string]any{}
		for _, n := range []insect{one, two} {
			parents[n.id()] = a.putInsect(n.fields(t, spi.DateV1)).tuboid()["id"]
		}
		label := func(n insect, algo string) row {
			return row{"tuboid_id": n.id(), "algo_name": algo, "algo_version": "1616428812-a", "label": -5, "pattern": "Insecta.*", "type": "insect"}
		}
		full := label(two, "classifier")
		full["order"], full["family"], full["genus"], full["species"] = "Diptera", "Drosophilidae", "Drosophila", ""
		stored := a.call("/put_itc_labels", label(one, "classifier"), full, label(one, "person")).rows()
		for i, sent := range []row{label(one, "classifier"), full, label(one, "person")} {
			want := row{
				"order": nil, "family": nil, "genus": nil, "species": nil, "api_user": stack.AdminName, "api_version": spi.APIVersion,
				"parent_tuboid_id": parents[sent.text("tuboid_id")], "id": stored[i]["id"], "datetime_created": stored[i]["datetime_created"],
			}
			for field, value := range sent {
				if field != "tuboid_id" {
					want[field] = value
				}
			}
			want["label"] = float64(-5)
			same(t, "label", want, stored[i])
		}
		got := a.call("/_get_itc_labels", row{"tuboid_id": two.id()}, row{"tuboid_id": strings.ToUpper(one.id())}, row{"tuboid_id": two.id()}, row{"tuboid_id": "%"}).rows()
		same(t, "labels", stored, got)
		same(t, "labels of one", stored[1:2], a.call("/_get_itc_labels", row{"tuboid_id": two.id()}).rows())
		if rows := a.call("/_get_itc_labels", row{"tuboid_id": "%"}).rows(); len(rows) > 0 {
			t.Errorf("a pattern found %v", rows)
		}

		absent := one
		absent.number = 99
		a.call("/put_itc_labels", label(two, "new"), label(absent, "new")).refused(http.StatusNotFound, "element 1", absent.id())
		a.call("/put_itc_labels", label(two, "new"), label(one, "person")).refused(http.StatusConflict, "element 1", one.id())
		a.as(basic(a.newUser(readOnly), userPassword)).call("/put_itc_labels", label(two, "new")).refused(http.StatusForbidden)
		same(t, "labels after refusals", stored, a.call("/_get_itc_labels", row{"tuboid_id": one.id()}, row{"tuboid_id": two.id()}).rows())
		for field := range label(one, "") {
			missing := label(one, "new")
			delete(missing, field)
			a.mistaken().call("/put_itc_labels", missing).refused(http.StatusBadRequest, "element 0", field)
		}
	})
}

func TestTuboidEndpointsAreForTheirRolesAlone(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		logins := []login{nobody, basic(a.newUser(readOnly), userPassword), basic(a.newUser(frozen), userPassword), basic(a.newUser(readWrite), userPassword), basic(a.newUser(admin), userPassword)}
		levels := []int{-1, 0, 0, 1, 2}
		for path, level := range map[string]int{
			"/_put_tiled_tuboids": 1, "/get_tiled_tuboid_series/metadata": 0, "/get_tiled_tuboid_series/data": 0, "/delete_tiled_tuboids": 2,
			"/put_itc_labels": 1, "/_get_itc_labels": 0,
		} {
			for i, login := range logins {
				r := a.as(login).post(path, "")
				switch {
				case levels[i] < 0:
					r.refused(http.StatusUnauthorized)
				case levels[i] < level:
					r.refused(http.StatusForbidden)
				default:
					same(t, path, "[]", string(r.ok().body))
				}
			}
			same(t, "Allow", http.MethodPost, a.get(path).refused(http.StatusMethodNotAllowed).header.Get("Allow"))
		}
	})
}

func TestHostileFieldsOfTuboidsAndLabelsAreRefusedOrMeanNothing(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		n := newInsect(newDevice(), 0, 1)
		a.putInsect(n.fields(t, spi.DateV1)).tuboid()
		count := 0
		for path, right := range map[string]func() row{
			"/get_tiled_tuboid_series/data": func() row { return n.span(spi.DateV1) },
			// of a time at which there is no series, so that a device that is a pattern deletes nothing
			"/delete_tiled_tuboids": func() row {
				return row{"device": n.device, "start_datetime": "2019-11-01_00-00-00", "end_datetime": "2019-11-01_00-00-01"}
			},
			"/put_itc_labels": func() row {
				count++
				return row{
					"tuboid_id": n.id(), "algo_name": fmt.Sprint("a", count), "algo_version": "1", "label": 1, "pattern": "p", "type": "t",
					"order": nil, "family": nil, "genus": nil, "species": nil,
				}
			},
			"/_get_itc_labels": func() row { return row{"tuboid_id": n.id()} },
		} {
			for field := range right() {
				if path == "/delete_tiled_tuboids" && field != "device" {
					continue // a later end would delete what others need
				}
				t.Run(path+" "+field, func(t *testing.T) { a.within(t).hostile(path, field, right) })
			}
		}
		a.call("/delete_tiled_tuboids", n.span(spi.DateV1)).only()
	})
}

// hostile sends every hostile value as the field of an element that is right otherwise.
func (a *api) hostile(path, field string, right func() row) {
	a.t.Helper()
	for name, value := range hostileValues {
		r := a.mistaken().post(path, bodyWith(a.t, right(), field, value))
		switch r.status {
		case http.StatusOK, http.StatusNotFound, http.StatusConflict:
		case http.StatusBadRequest:
			if name != "too deep" && name != "beyond float64" {
				r.refused(http.StatusBadRequest, "element 0", field)
			}
		default:
			a.t.Errorf("%s: %d %.300s", name, r.status, r.body)
		}
	}
}

func TestTheGoClientKnowsTuboidsLabelsAndProjects(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		client, err := spi.New(a.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
		if err != nil {
			t.Fatal(err)
		}
		ctx, n := t.Context(), newInsect(newDevice(), 0, 1)
		start, end := spi.Datetime{Time: n.start}, spi.Datetime{Time: n.end}
		stored, err := client.PutTuboid(ctx, spi.TuboidUpload{
			TuboidID: n.id(), Metadata: n.metadata, Tuboid: n.tuboid, Context: n.context, Series: spi.TuboidSeriesInfo{
				Device: n.device, Start: start, End: end, AlgoName: "matcher", AlgoVersion: n.version, NTuboids: 1, NImages: 57,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		span := spi.Series{Device: n.device, Start: start, End: end}
		found, err := spi.Collect(client.GetTuboidSeries(ctx, spi.TuboidData, span))
		if err != nil || len(found) != 1 || !bytes.Equal(fetch(t, found[0].TuboidURL), n.tuboid) || !bytes.Equal(fetch(t, found[0].MetadataURL), n.metadata) ||
			!bytes.Equal(fetch(t, found[0].ContextURL), n.context) {
			t.Fatalf("%+v, %v", found, err)
		}
		found[0].TuboidURL, found[0].MetadataURL, found[0].ContextURL = "", "", ""
		same(t, "tuboid", stored, found[0])
		labels, err := client.PutLabels(ctx, spi.NewLabel{TuboidID: n.id(), AlgoName: "a", AlgoVersion: "1", Label: 2, Pattern: "p", Type: "t"})
		if err != nil {
			t.Fatal(err)
		}
		read, err := spi.Collect(client.GetLabels(ctx, n.id()))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "labels", labels, read)
		deleted, err := client.DeleteTuboids(ctx, span)
		if err != nil || len(deleted) != 1 || deleted[0].Device != n.device {
			t.Errorf("deleted %+v, %v", deleted, err)
		}

		projects, err := client.PutProjects(ctx, spi.NewProject{Name: newName("client")})
		if err != nil {
			t.Fatal(err)
		}
		id := projects[0].ID
		rows, err := client.PutProjectSeries(ctx, spi.NewProjectSeries{
			ProjectID: id, Device: n.device, Start: start, End: end, Columns: map[string]any{"site": "north", "height": 1.5, "planted": start},
		})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "columns", map[string]any{"site": "north", "height": json.Number("1.5"), "planted": spi.FormatDatetime(n.start, spi.DateV2)}, rows[0].Columns)
		again, err := spi.Collect(client.GetProjectSeries(ctx, id))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "rows", rows, again)
		permissions, err := client.GetProjectPermissions(ctx, spi.ProjectFilter{"id": id})
		if err != nil || len(permissions) != 1 || permissions[0].Level != spi.LevelAdmin {
			t.Errorf("permissions %+v, %v", permissions, err)
		}
		gone, err := client.DeleteProjects(ctx, spi.ProjectFilter{"id": id})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "deleted projects", projects, gone)
	})
}
