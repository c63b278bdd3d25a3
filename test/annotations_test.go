package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// Versions of an algorithm: each is later than those before.
const (
	version1 = "1598113346-ad2cd78dfaca12821046dfb8994724d5"
	version2 = "1598113347-00000000000000000000000000000000"
	version3 = "9598113346-ffffffffffffffffffffffffffffffff"
)

// oneInsect is the protocol's example of what is in a document's list.
const oneInsect = `{"contour": [[[2194,1597]], [[2189,1602]], [[2189,1617]]], "name": "insect", "value": 0,
                  "stroke_colour": "#0000ff", "fill_colour": "#ff0000"}`

// documentOf writes the protocol's example for a photo, with its line ends and blanks, and so many insects.
func documentOf(p photo, algo, version string, format spi.DateFormat, insects int) string {
	list := strings.TrimSuffix(strings.Repeat(oneInsect+", ", insects), ", ")
	return fmt.Sprintf(`{"annotations": [%s],
 "metadata": {"algo_name": %q, "algo_version": %q,
              "device": %q, "datetime": %q, "md5": %q}}`,
		list, algo, version, p.device, spi.FormatDatetime(p.at, format), md5Hex(p.data))
}

func oneList(documents ...string) string { return "[" + strings.Join(documents, ",\n") + "]" }

// dayOf names the photos of a device on the day of the photo.
func dayOf(p photo) row {
	day := p.at.Truncate(24 * time.Hour)
	return row{
		"device": p.device, "start_datetime": spi.FormatDatetime(day, spi.DateV1),
		"end_datetime": spi.FormatDatetime(day.Add(24*time.Hour), spi.DateV1),
	}
}

func TestAnnotationsComeBackAsTheyWereSent(t *testing.T) {
	t.Run("real", func(t *testing.T) {
		const name = "5c173ff2.2020-06-20_21-33-24.jpg"
		data, err := os.ReadFile(stack.SharedData(t, "raw_images/"+name))
		if err != nil {
			t.Fatal(err)
		}
		p := photo{"5c173ff2", time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC), data, 2592, 1944, realPhotos[name]}
		same(t, "md5", "9e6e908d9c29d332b511f8d5121857f8", md5Hex(data))
		each(t, func(t *testing.T, a *api) { annotateAndRead(t, a, p, spi.DateV1) })
	})
	t.Run("generated", func(t *testing.T) {
		each(t, func(t *testing.T, a *api) {
			annotateAndRead(t, a, small(newDevice(), noon, 1), spi.DateV1)
			annotateAndRead(t, a, small(strings.ToUpper(newDevice()), noon, 2), spi.DateV2)
		})
	})
}

func annotateAndRead(t *testing.T, a *api, p photo, format spi.DateFormat) {
	t.Helper()
	image := a.upload(v2(p.name(), p.data)...).only()
	sent := documentOf(p, "sticky-pi-universal-insect-detector", version1, format, 1)
	// as the detector's user, with a token as the user name and no password
	detector := a.as(basic(a.as(basic(stack.UIDName, stack.UIDPassword)).token(), ""))
	put := detector.post("/put_uid_annotations", oneList(sent)).only()
	want := row{
		"id": put["id"], "parent_image_id": image["id"], "algo_name": "sticky-pi-universal-insect-detector", "algo_version": version1,
		"n_objects": 1.0, "json": "", "datetime_created": put["datetime_created"], "api_version": spi.APIVersion, "api_user": stack.UIDName,
	}
	same(t, "the row put", want, put)
	if _, f, err := spi.ParseDatetime(put.text("datetime_created")); err != nil || *f != format {
		t.Errorf("datetime_created is %q", put.text("datetime_created"))
	}
	for _, what := range []string{"metadata", "data", "json"} {
		want := row{}
		for k, v := range put {
			want[k] = v
		}
		want["json"] = sent
		if what == "metadata" {
			delete(want, "json")
		}
		got := a.call("/get_uid_annotations/"+what, p.key(format)).only()
		same(t, "annotation by key, "+what, want, got)
		series := a.call("/get_uid_annotations_series/"+what, dayOf(p)).only()
		want["datetime_created"] = series["datetime_created"] // in v1's form, as the request's dates
		same(t, "annotation by series, "+what, want, series)
	}
	// what the clients read
	var decoded, original any
	text := a.call("/get_uid_annotations/data", p.key(format)).only().text("json")
	if json.Unmarshal([]byte(text), &decoded) != nil || json.Unmarshal([]byte(sent), &original) != nil {
		t.Errorf("not JSON: %s", text)
	}
	same(t, "decoded", original, decoded)

	a.call("/delete_images", p.key(format)).only()
	if rows := a.call("/get_uid_annotations/metadata", p.key(format)).rows(); len(rows) > 0 {
		t.Errorf("annotations outlive their image: %v", rows)
	}
}

func TestAnyValidDocumentIsKeptToTheByte(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		p := small(newDevice(), noon, 1)
		a.put(p)
		for i, tail := range []string{
			`"note": "🦟 Zoë \u00eb \ud83e\udd9f \u2028 ` + "\u2028" + ` <b>&amp;</b> \/ \\ \" \t"`,
			`"numbers": [1e5, 1E+5, 0.10, -0, 12345678901234567890, 1e999]`,
			`"same": 1, "same": 2`,
			"\"blanks\"  :\r\n\t[ ]  ",
			`"lone": "\ud800", "nul": "\u0000"`,
			`"deep": ` + strings.Repeat("[", 900) + strings.Repeat("]", 900),
			`"long": "` + strings.Repeat("x", 3<<20) + `"`,
		} {
			sent := documentOf(p, "kept-"+strconv.Itoa(i), version1, spi.DateV2, 2)
			sent = strings.TrimSuffix(sent, "}") + ", " + tail + "}"
			put := a.mistaken().post("/put_uid_annotations", oneList(sent)).only()
			same[any](t, "n_objects", 2.0, put["n_objects"])
			found := false
			for _, r := range a.call("/get_uid_annotations/data", p.key(spi.DateV2)).rows() {
				if r.text("algo_name") == "kept-"+strconv.Itoa(i) {
					found = true
					if got := r.text("json"); got != sent {
						t.Errorf("%d: came back as %.200q", i, got)
					}
				}
			}
			if !found {
				t.Errorf("%d: not there", i)
			}
		}
	})
}

func TestAnnotationsAreStoredAllOrNone(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		p, q := small(newDevice(), noon, 1), small(newDevice(), noon, 2)
		a.put(p, q)
		missing := small(newDevice(), noon, 3)
		changed := q
		changed.data = []byte("other bytes")
		good := documentOf(p, "uid", version1, spi.DateV1, 1)
		for _, test := range []struct {
			name, second string
			status       int
			words        []string
		}{
			{"an image that is not there", documentOf(missing, "uid", version1, spi.DateV1, 1), 404, []string{"element 1"}},
			{"a device that is a pattern", documentOf(photo{device: "%", at: p.at}, "uid", version1, spi.DateV1, 1), 404, []string{"element 1"}},
			{"another md5", documentOf(changed, "uid", version1, spi.DateV1, 1), 409, []string{"element 1"}},
			{"the same twice", good, 409, []string{"element 1"}},
			{"the same in the other case", strings.ReplaceAll(good, p.device, strings.ToUpper(p.device)), 409, []string{"element 1"}},
			{"no list", `{"annotations": {}, "metadata": {}}`, 400, []string{"element 1"}},
			{"an annotation that is no object", strings.Replace(documentOf(q, "uid", version1, spi.DateV1, 1), oneInsect, "7", 1), 400, []string{"element 1", "annotations"}},
			{"no annotations", strings.Replace(documentOf(q, "uid", version1, spi.DateV1, 1), `"annotations"`, `"annotation"`, 1), 400, []string{"element 1", "annotations"}},
			{"no metadata", `{"annotations": []}`, 400, []string{"element 1", "metadata"}},
			{"metadata that is a list", `{"annotations": [], "metadata": []}`, 400, []string{"element 1", "metadata"}},
			{"a name that is too long", documentOf(q, strings.Repeat("x", 65), version1, spi.DateV1, 1), 400, []string{"element 1", "metadata.algo_name"}},
			{"a version of another form", documentOf(q, "uid", "1.0", spi.DateV1, 1), 400, []string{"element 1", "metadata.algo_version"}},
			{"an md5 that is none", strings.Replace(documentOf(q, "uid", version1, spi.DateV1, 1), md5Hex(q.data), "x", 1), 400, []string{"element 1", "metadata.md5"}},
			{"bytes that are no text", strings.Replace(documentOf(q, "uid", version1, spi.DateV1, 1), "insect", "\xff", 1), 400, []string{"element 1"}},
			{"a document that is too long", documentOf(q, "uid", version1, spi.DateV1, 60_000), 413, []string{"element 1"}},
			{"a list that ends too early", documentOf(q, "uid", version1, spi.DateV1, 1)[:200], 400, nil},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t)
				a.mistaken().post("/put_uid_annotations", oneList(good, test.second)).refused(test.status, test.words...)
				if rows := a.call("/get_uid_annotations/metadata", p.key(spi.DateV1), q.key(spi.DateV1)).rows(); len(rows) > 0 {
					t.Errorf("stored: %v", rows)
				}
			})
		}
		rows := a.post("/put_uid_annotations", oneList(good, documentOf(q, "uid", version1, spi.DateV1, 0))).rows()
		same(t, "objects", []string{"1", "0"}, column(rows, "n_objects"))
		// each of name and version makes another annotation
		a.post("/put_uid_annotations", oneList(good)).refused(409, "element 0")
		a.post("/put_uid_annotations", oneList(documentOf(p, "uid", version2, spi.DateV1, 1), documentOf(p, "other", version1, spi.DateV1, 1))).ok()
		same(t, "annotations of both", 4, len(a.call("/get_uid_annotations/metadata", p.key(spi.DateV1), q.key(spi.DateV1), p.key(spi.DateV1)).rows()))
	})
}

func TestAnnotationSeriesAreOrderedByDeviceThenTime(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		prefix := newDevice()[:6]
		var photos []photo
		for i, at := range []string{"0b@2", "0a@1", "0b@0", "0a@0"} {
			device, hour, _ := strings.Cut(at, "@")
			h, _ := strconv.Atoi(hour)
			p := small(prefix+device, noon.Add(time.Duration(h)*time.Hour), uint64(i))
			a.put(p)
			photos = append(photos, p)
		}
		var documents []string
		for i, p := range photos {
			documents = append(documents, documentOf(p, "order", version1, spi.DateV2, i))
		}
		documents = append(documents, documentOf(photos[1], "order", version2, spi.DateV2, 9))
		a.post("/put_uid_annotations", oneList(documents...)).ok()
		series := dayOf(photos[0])
		series["device"] = prefix + "%"
		same(t, "objects, by device, time and id", []string{"3", "1", "9", "2", "0"},
			column(a.call("/get_uid_annotations_series/metadata", series, series).rows(), "n_objects"))
		same(t, "objects, by id", []string{"0", "1", "2", "3", "9"},
			column(a.call("/get_uid_annotations/metadata", photos[3].key(spi.DateV1), photos[2].key(spi.DateV1), photos[1].key(spi.DateV1), photos[0].key(spi.DateV1)).rows(), "n_objects"))
		// the end is not in it
		series["end_datetime"] = spi.FormatDatetime(noon.Add(time.Hour), spi.DateV2)
		same(t, "objects before one o'clock", []string{"3", "2"}, column(a.call("/get_uid_annotations_series/metadata", series).rows(), "n_objects"))
	})
}

func TestAnnotationsAreForThoseWhoMay(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		p := small(newDevice(), noon, 1)
		a.put(p)
		body := oneList(documentOf(p, "roles", version1, spi.DateV1, 1))
		for _, test := range []struct {
			login    login
			put, get int
		}{
			{nobody, 401, 401},
			{basic(a.newUser(readOnly), userPassword), 403, 200},
			{basic(a.newUser(frozen), userPassword), 403, 200},
			{basic(a.newUser(readWrite), userPassword), 200, 200},
			{basic(a.newUser(admin), userPassword), 409, 200}, // the one before made it
		} {
			b := a.as(test.login)
			if got := b.post("/put_uid_annotations", body).status; got != test.put {
				t.Errorf("put: %d, want %d", got, test.put)
			}
			for _, path := range []string{"/get_uid_annotations/metadata", "/get_uid_annotations_series/metadata"} {
				if got := b.post(path, "null").status; got != test.get {
					t.Errorf("%s: %d, want %d", path, got, test.get)
				}
			}
		}
	})
}

// emptyBodies are what clients send who have no elements to give.
var emptyBodies = []struct{ contentType, body string }{
	{"", ""}, {jsonType, ""}, {jsonType, "null"}, {jsonType, "[]"}, {"", "[]"}, {"application/json; charset=utf-8", " null\n"},
}

func TestNoElementsGiveNothing(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		for _, path := range []string{
			"/put_uid_annotations", "/get_uid_annotations/metadata", "/get_uid_annotations/data", "/get_uid_annotations_series/json",
			"/get_images_to_annotate", "/get_images_to_annotate/image", "/report_uid_failure", "/get_uid_failures", "/retry_uid_failures",
			"/_get_ml_bundle_upload_links",
		} {
			for _, empty := range emptyBodies {
				r := a.send(a.request(http.MethodPost, path, empty.contentType, strings.NewReader(empty.body)))
				same(t, path+" of "+empty.body, "[]", string(r.ok().body))
			}
			a.get(path).refused(405)
		}
		for _, path := range []string{"/get_uid_annotations/image", "/get_uid_annotations_series/all", "/get_images_to_annotate/data", "/_get_ml_bundle_file_list/metadata"} {
			a.mistaken().post(path, "[]").refused(400)
		}
		a.mistaken().post("/get_uid_annotations", "[]").refused(404)
	})
}

// hostileFields are the fields of the elements of this file's neighbours, each with a value that is right.
var hostileFields = []struct {
	path  string
	right row
}{
	{"/get_uid_annotations/data", row{"device": "00000000", "datetime": "2021-05-04_12-00-00"}},
	{"/get_uid_annotations_series/data", row{"device": "00000000", "start_datetime": "2021-05-04_12-00-00", "end_datetime": "2021-05-04_12-00-00"}},
	{"/get_images_to_annotate/metadata", row{
		"device": "00000000", "start_datetime": "2021-05-04_12-00-00", "end_datetime": "2021-05-04_12-00-00",
		"algo_name": "hostile", "algo_version": version1, "limit": 1,
	}},
	{"/report_uid_failure", row{
		"device": "00000000", "datetime": "2021-05-04_12-00-00", "algo_name": "hostile", "algo_version": version1, "reason": "none",
	}},
	{"/get_uid_failures", row{"device": "00000000", "start_datetime": "2021-05-04", "end_datetime": "2021-05-04", "algo_name": "hostile"}},
	{"/retry_uid_failures", row{"device": "00000000", "start_datetime": "2021-05-04", "end_datetime": "2021-05-04", "algo_name": "hostile"}},
	{"/get_uid_backlog", row{"algo_name": "hostile"}},
	{"/_get_ml_bundle_upload_links", row{"bundle_name": "hostile", "key": "data/a.txt", "md5": strings.Repeat("0", 32), "mtime": 1.5, "more": 1}},
}

func TestNoFieldOfAnnotationsWorkOrBundlesGetsPastItsChecks(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		a = a.as(bearer(a.token())).mistaken()
		check := func(t *testing.T, path, field, name, body string) {
			t.Helper()
			r := a.within(t).post(path, body)
			switch r.status {
			case http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict:
			default:
				t.Errorf("%s: %d %.300s", name, r.status, r.body)
			}
			if r.status == http.StatusBadRequest && name != "too deep" && name != "beyond float64" {
				r.refused(http.StatusBadRequest, "element 0")
				if !strings.Contains(r.failure().Message, "UTF-8") { // which is said of the whole element
					r.refused(http.StatusBadRequest, field)
				}
			}
		}
		for _, endpoint := range hostileFields {
			for field := range endpoint.right {
				t.Run(endpoint.path+" "+field, func(t *testing.T) {
					for name, value := range hostileValues {
						element := row{}
						for k, v := range endpoint.right {
							element[k] = v
						}
						check(t, endpoint.path, field, name, bodyWith(t, element, field, value))
					}
				})
			}
		}
		p := small(newDevice(), noon, 1)
		a.put(p)
		for i, field := range []string{"annotations", "metadata", "algo_name", "algo_version", "device", "datetime", "md5"} {
			t.Run("/put_uid_annotations "+field, func(t *testing.T) {
				n := 0
				for name, value := range hostileValues {
					n++
					metadata := row{
						"algo_name": fmt.Sprintf("hostile-%d-%d", i, n), "algo_version": version1, "device": p.device,
						"datetime": "2021-05-04_12-00-00", "md5": md5Hex(p.data),
					}
					if field == "annotations" || field == "metadata" {
						check(t, "/put_uid_annotations", field, name, bodyWith(t, row{"annotations": []int{}, "metadata": metadata}, field, value))
						continue
					}
					inner := strings.TrimSuffix(strings.TrimPrefix(bodyWith(t, metadata, field, value), "["), "]")
					check(t, "/put_uid_annotations", field, name, `[{"annotations":[],"metadata":`+inner+`}]`)
				}
			})
		}
	})
}
