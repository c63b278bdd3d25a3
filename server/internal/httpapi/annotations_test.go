package httpapi

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// TestOpenAPITakesTheWorkThatTheServerTakes reads request bodies both ways.
func TestOpenAPITakesTheWorkThatTheServerTakes(t *testing.T) {
	doc := loadOpenAPI(t)
	each := func(read func(*element)) func(*gin.Context) error {
		return func(c *gin.Context) error {
			_, err := elementsUpTo(c, maxAnnotation, func(e *element) error { read(e); return nil })
			return err
		}
	}
	annotations := each(func(e *element) { newAnnotation(e) })
	work := each(func(e *element) { aSeries(e); algoName(e); algoVersion(e); e.integer("limit", 1, 64) })
	failures := each(func(e *element) {
		e.text("device", maxText)
		e.datetime("datetime")
		algoName(e)
		algoVersion(e)
		e.text("reason", MaxBody)
		e.flag("given_back", false)
	})
	series := func(c *gin.Context) error { _, _, _, err := failureSeries(c); return err }
	uploads := each(func(e *element) { readBundleUpload(e) })
	bundle := func(c *gin.Context) error { _, err := bundleName(c); return err }
	const version, md5 = "1598113346-ad2cd78dfaca12821046dfb8994724d5", "9e6e908d9c29d332b511f8d5121857f8"
	const metadata = `"algo_name":"a","algo_version":"` + version + `","device":"5c173ff2","datetime":"2020-06-20","md5":"` + md5 + `"`
	const span = `"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21T00:00:00Z"`
	const algorithm = `"algo_name":"a","algo_version":"` + version + `"`
	for _, test := range []struct {
		path string
		read func(*gin.Context) error
		body string
		ok   bool
	}{
		{"/put_uid_annotations", annotations, `null`, true},
		{"/put_uid_annotations", annotations, `[{"annotations":[],"metadata":{` + metadata + `}}]`, true},
		{"/put_uid_annotations", annotations, `[{"annotations":[{},{"contour":[]}],"metadata":{` + metadata + `,"more":1},"more":[]}]`, true},
		{"/put_uid_annotations", annotations, `{"annotations":[],"metadata":{` + metadata + `}}`, false},
		{"/put_uid_annotations", annotations, `[{"annotations":[1],"metadata":{` + metadata + `}}]`, false},
		{"/put_uid_annotations", annotations, `[{"annotations":{},"metadata":{` + metadata + `}}]`, false},
		{"/put_uid_annotations", annotations, `[{"annotations":[],"metadata":null}]`, false},
		{"/put_uid_annotations", annotations, `[{"annotations":[]}]`, false},
		{"/put_uid_annotations", annotations, `[{"metadata":{` + metadata + `}}]`, false},
		{"/put_uid_annotations", annotations, `[{"annotations":[],"metadata":{` + strings.Replace(metadata, md5, md5+"0", 1) + `}}]`, false},
		{"/put_uid_annotations", annotations, `[{"annotations":[],"metadata":{` + strings.Replace(metadata, version, "1", 1) + `}}]`, false},
		{"/put_uid_annotations", annotations, `[{"annotations":[],"metadata":{` + strings.Replace(metadata, `"a"`, `""`, 1) + `}}]`, false},
		{"/get_images_to_annotate", work, `[{` + span + `,` + algorithm + `}]`, true},
		{"/get_images_to_annotate", work, `[{` + span + `,` + algorithm + `,"limit":1}]`, true},
		{"/get_images_to_annotate", work, `[{` + span + `,` + algorithm + `,"limit":1000}]`, true},
		{"/get_images_to_annotate", work, `[{` + span + `,` + algorithm + `,"limit":null}]`, true},
		{"/get_images_to_annotate", work, `[{` + span + `,` + algorithm + `,"limit":0}]`, false},
		{"/get_images_to_annotate", work, `[{` + span + `,` + algorithm + `,"limit":1.5}]`, false},
		{"/get_images_to_annotate", work, `[{` + span + `,` + algorithm + `,"limit":"1"}]`, false},
		{"/get_images_to_annotate", work, `[{` + algorithm + `}]`, false},
		{"/get_images_to_annotate", work, `[{` + span + `}]`, false},
		{"/report_uid_failure", failures, `[{"device":"a","datetime":"2020-06-20","reason":"",` + algorithm + `}]`, true},
		{"/report_uid_failure", failures, `[{"device":"a","datetime":"2020-06-20",` + algorithm + `}]`, false},
		{"/report_uid_failure", failures, `[{"device":"a","datetime":"2020-06-20","reason":1,` + algorithm + `}]`, false},
		{"/report_uid_failure", failures, `[{"device":"a","datetime":"2020-06-20","reason":"","given_back":true,` + algorithm + `}]`, true},
		{"/report_uid_failure", failures, `[{"device":"a","datetime":"2020-06-20","reason":"","given_back":"now",` + algorithm + `}]`, false},
		{"/get_uid_failures", series, `[{` + span + `}]`, true},
		{"/get_uid_failures", series, `[{` + span + `,"algo_name":"a"},{` + span + `,"algo_name":"a"}]`, true},
		{"/get_uid_failures", series, `[{` + span + `,"algo_name":null}]`, true},
		{"/get_uid_failures", series, `[{` + span + `,"algo_name":""}]`, false},
		{"/retry_uid_failures", series, `[{` + span + `,"algo_name":["a"]}]`, false},
		{"/_get_ml_bundle_upload_links", uploads, `[{"bundle_name":"b c","key":"data/a.txt","md5":"` + md5 + `","mtime":1,"more":{}}]`, true},
		{"/_get_ml_bundle_upload_links", uploads, `[{"bundle_name":"b/c","key":"data/a.txt","md5":"` + md5 + `","mtime":1}]`, false},
		{"/_get_ml_bundle_upload_links", uploads, `[{"bundle_name":".b","key":"data/a.txt","md5":"` + md5 + `","mtime":1}]`, false},
		{"/_get_ml_bundle_upload_links", uploads, `[{"bundle_name":"b","key":"","md5":"` + md5 + `","mtime":1}]`, false},
		{"/_get_ml_bundle_upload_links", uploads, `[{"bundle_name":"b","key":"k","md5":"x","mtime":1}]`, false},
		{"/_get_ml_bundle_upload_links", uploads, `[{"bundle_name":"b","key":"k","md5":"` + md5 + `","mtime":"1"}]`, false},
		{"/_get_ml_bundle_upload_links", uploads, `[{"bundle_name":"b","key":"k","md5":"` + md5 + `"}]`, false},
		{"/_get_ml_bundle_file_list/{what}", bundle, `"b"`, true},
		{"/_get_ml_bundle_file_list/{what}", bundle, `"ü 1"`, true},
		{"/_get_ml_bundle_file_list/{what}", bundle, `""`, false},
		{"/_get_ml_bundle_file_list/{what}", bundle, `"../b"`, false},
		{"/_get_ml_bundle_file_list/{what}", bundle, `["b"]`, false},
		{"/_get_ml_bundle_file_list/{what}", bundle, `null`, false},
	} {
		t.Run(test.path+" "+test.body[:min(len(test.body), 90)], func(t *testing.T) {
			var value any
			if err := json.Unmarshal([]byte(test.body), &value); err != nil {
				t.Fatal(err)
			}
			schema := doc.Paths.Value(test.path).Post.RequestBody.Value.Content["application/json"].Schema.Value
			if err := schema.VisitJSON(value, openapi3.VisitAsRequest()); (err == nil) != test.ok {
				t.Errorf("the document says %v, want ok = %v", err, test.ok)
			}
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(test.body))
			if err := test.read(c); (err == nil) != test.ok {
				t.Errorf("the server says %v, want ok = %v", err, test.ok)
			}
		})
	}
}

func TestOpenAPIDescribesTheRowsOfWork(t *testing.T) {
	doc := loadOpenAPI(t)
	at := time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)
	text := sql.Null[string]{V: "3.0.0", Valid: true}
	bare := store.Annotation{ID: 1, ParentImageID: 2, Provenance: store.Provenance{DatetimeCreated: at}}
	full := bare
	full.AlgoName, full.AlgoVersion, full.NObjects, full.JSON, full.APIUser, full.APIVersion = "a", "1-a", 3, []byte(`{"a":"é\n"}`), text, text
	for name, test := range map[string]struct {
		schema string
		row    []byte
	}{
		"annotation":            {"Annotation", appendAnnotation(nil, &bare, spi.DateV1)},
		"whole annotation":      {"Annotation", appendAnnotation(nil, &full, spi.DateV2)},
		"failure":               {"Failure", appendFailure(nil, &store.Failure{Device: "a", Datetime: at}, spi.DateV1)},
		"whole failure":         {"Failure", appendFailure(nil, &store.Failure{Device: "a", Datetime: at, Failures: 3, DatetimeLast: at, APIUser: text}, spi.DateV2)},
		"backlog":               {"Backlog", appendBacklog(nil, &store.Backlog{}, spi.DateV2)},
		"backlog with the time": {"Backlog", appendBacklog(nil, &store.Backlog{OldestWaiting: sql.Null[time.Time]{V: at, Valid: true}}, spi.DateV1)},
	} {
		var value any
		if err := json.Unmarshal(test.row, &value); err != nil {
			t.Fatalf("%s: %v: %s", name, err, test.row)
		}
		if err := doc.Components.Schemas[test.schema].Value.VisitJSON(value, openapi3.VisitAsResponse()); err != nil {
			t.Errorf("%s: %s: %v", name, test.row, err)
		}
	}
}

func FuzzJSONThatIsWrittenAsAStringReadsBack(f *testing.F) {
	for _, s := range []string{"", `{"a": "b\\\"c"}`, "\n\t\x7f", "é\u2028 <&>", `"`, `\`, `a\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) { // such a document is refused
			return
		}
		var got string
		if err := json.Unmarshal(appendJSONText([]byte("before"), []byte(s))[len("before"):], &got); err != nil || got != s {
			t.Errorf("%q became %q: %v", s, got, err)
		}
	})
}
