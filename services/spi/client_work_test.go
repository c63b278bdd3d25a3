package spi

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// recorded gives a client of a server that answers every request alike, and what was sent last.
func recorded(t *testing.T, answer string) (c *Client, sent func() string) {
	t.Helper()
	var last string
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		body, _ := io.ReadAll(r.Body)
		last = r.URL.Path + " " + string(body)
		write(w, answer)
	})
	c, _ = newClient(t, s)
	return c, func() string { return last }
}

var june = Datetime{time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)}

const (
	aVersion    = "1598113346-ad2cd78dfaca12821046dfb8994724d5"
	oneDocument = `{"annotations":[{"contour":[[[2194,1597]],[[2189,1602]]],"name":"insect","value":0,"stroke_colour":"#0000ff",` +
		`"fill_colour":"#ff0000"}],"metadata":{"algo_name":"uid","algo_version":"` + aVersion + `","device":"5c173ff2",` +
		`"datetime":"2020-06-20T21:33:24Z","md5":"9e6e908d9c29d332b511f8d5121857f8"}}`
)

func TestAnnotationsAreSentAndReadAsTheProtocolSays(t *testing.T) {
	document := AnnotationDocument{
		Annotations: []Outline{{Contour: Contour{{{2194, 1597}}, {{2189, 1602}}}, Name: "insect", StrokeColour: "#0000ff", FillColour: "#ff0000"}},
		Metadata:    AnnotationMetadata{AlgoName: "uid", AlgoVersion: aVersion, Device: "5c173ff2", Datetime: june, MD5: "9e6e908d9c29d332b511f8d5121857f8"},
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	row := `[{"algo_name":"uid","algo_version":"` + aVersion + `","api_user":null,"api_version":"3.0.0",` +
		`"datetime_created":"2020-06-20_21-33-24","id":7,"json":` + string(must(json.Marshal(oneDocument))) + `,"n_objects":1,"parent_image_id":3}]`
	c, sent := recorded(t, row)
	rows, err := c.PutAnnotations(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "sent", sent(), "/put_uid_annotations ["+oneDocument+"]")
	got, err := rows[0].Document()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "document", got, document)
	if _, err := (Annotation{}).Document(); err == nil {
		t.Error("no document was read")
	}
	for annotation, err := range c.GetAnnotations(t.Context(), AnnotationDocuments, []ImageKey{{Device: "5c173ff2", Datetime: june}}) {
		expect(t, "error", err, nil)
		expect(t, "id", annotation.ID, int64(7))
	}
	expect(t, "sent", sent(), `/get_uid_annotations/data [{"device":"5c173ff2","datetime":"2020-06-20T21:33:24Z"}]`)
	if _, err := Collect(c.GetAnnotationSeries(t.Context(), AnnotationRows, Series{"%", june, june})); err != nil {
		t.Error(err)
	}
	expect(t, "sent", sent(), `/get_uid_annotations_series/metadata [{"device":"%","start_datetime":"2020-06-20T21:33:24Z","end_datetime":"2020-06-20T21:33:24Z"}]`)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestALongDocumentIsReadAndAnEndlessOneIsNot(t *testing.T) {
	row := func(n int) string {
		return `[{"json":"` + strings.Repeat("x", n) + `","datetime_created":"2020-06-20_21-33-24"}]`
	}
	c, _ := recorded(t, row(20<<20))
	if rows, err := Collect(c.GetAnnotations(t.Context(), AnnotationDocuments, nil)); err != nil || len(rows[0].JSON) != 20<<20 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	c, _ = recorded(t, row(70<<20))
	_, err := Collect(c.GetAnnotations(t.Context(), AnnotationDocuments, nil))
	expectCode(t, err, CodeUnavailable)
}

func TestWorkIsAskedForAndReportedAsTheProtocolSays(t *testing.T) {
	c, sent := recorded(t, `[]`)
	series := Series{"%", june, june}
	const wireSeries = `"device":"%","start_datetime":"2020-06-20T21:33:24Z","end_datetime":"2020-06-20T21:33:24Z"`
	if _, err := c.LeaseImages(t.Context(), FullImage, WorkRequest{Series: series, AlgoName: "uid", AlgoVersion: aVersion, Limit: 8}); err != nil {
		t.Error(err)
	}
	expect(t, "sent", sent(), `/get_images_to_annotate/image [{`+wireSeries+`,"algo_name":"uid","algo_version":"`+aVersion+`","limit":8}]`)
	if _, err := c.GetFailures(t.Context(), FailureSeries{Series: series}); err != nil {
		t.Error(err)
	}
	expect(t, "sent", sent(), `/get_uid_failures [{`+wireSeries+`}]`)
	if _, err := c.RetryFailures(t.Context(), FailureSeries{series, "uid"}); err != nil {
		t.Error(err)
	}
	expect(t, "sent", sent(), `/retry_uid_failures [{`+wireSeries+`,"algo_name":"uid"}]`)

	c, sent = recorded(t, `[{"algo_name":"uid","algo_version":"`+aVersion+`","api_user":"w","datetime":"2020-06-20T21:33:24Z",`+
		`"datetime_last":null,"device":"5c173ff2","failures":2,"reason":"why"}]`)
	key := ImageKey{Device: "5c173ff2", Datetime: june}
	failures, err := c.ReportFailures(t.Context(), FailureReport{ImageKey: key, AlgoName: "uid", AlgoVersion: aVersion, Reason: "why"})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "sent", sent(), `/report_uid_failure [{"device":"5c173ff2","datetime":"2020-06-20T21:33:24Z","algo_name":"uid","algo_version":"`+aVersion+`","reason":"why"}]`)
	worker := "w"
	expect(t, "failures", failures, []Failure{{ImageKey: key, AlgoName: "uid", AlgoVersion: aVersion, Failures: 2, Reason: "why", APIUser: &worker}})

	c, sent = recorded(t, `[{"algo_name":"uid","algo_version":"`+aVersion+`","at_least":true,"datetime_oldest_waiting":null,"failed":1,"leased":2,"waiting":3}]`)
	backlog, err := c.GetBacklog(t.Context(), "uid")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "sent", sent(), `/get_uid_backlog [{"algo_name":"uid"}]`)
	expect(t, "backlog", backlog, []Backlog{{AlgoName: "uid", AlgoVersion: aVersion, AtLeast: true, Waiting: 3, Leased: 2, Failed: 1}})
}

func TestAFailureIsNotToldTwiceWhereItMayHaveArrived(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ int) { drop(w) })
	c, w := newClient(t, s)
	_, err := c.ReportFailures(t.Context(), FailureReport{})
	expectCode(t, err, CodeUnavailable)
	_, err = c.PutAnnotations(t.Context(), json.RawMessage(`{}`))
	expectCode(t, err, CodeUnavailable)
	expect(t, "waits", len(w.all), 0)
}
