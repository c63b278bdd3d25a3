package test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// fuzzed are the paths and types of the bodies that are fuzzed. reset_password and delete_users are asked by a user for whom
// they can do no harm to the fuzzing itself.
var fuzzed = []struct {
	path, contentType string
	asReader          bool
	seeds             []string
}{
	{"/get_token", "", false, []string{"", "{}"}},
	{"/get_users", jsonType, false, []string{`[{"username":"%"}]`, `[{"id":1,"email":null,"is_admin":true,"datetime_created":"2021-05-04"}]`}},
	{"/put_users", jsonType, false, []string{`[{"username":"a","password":"b","email":"","is_admin":0,"can_write":null}]`}},
	{"/delete_users", jsonType, true, []string{`[{"username":"a%"}]`}},
	{"/reset_password", jsonType, true, []string{`[{"username":"a","password":"b"}]`}},
	{"/get_images/metadata", jsonType, false, []string{`[{"device":"5c173ff2","datetime":"2020-06-20_21-33-24"},{"device":"%","datetime":"2020-06-20"}]`}},
	{"/get_images/image", "", false, []string{`[{"device":"5c173ff_","datetime":"2020-06-20T21:33:24Z"}]`, "null"}},
	{"/get_image_series/thumbnail", jsonType, false, []string{`[{"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21_00-00-00"}]`}},
	{"/delete_images", jsonType, false, []string{`[{"device":"5c173ff2","datetime":"2020-06-20_21-33-24","id":1}]`}},
	{"/put_uid_annotations", jsonType, false, []string{`[{"annotations":[{"contour":[[[1,2]]],"name":"insect","value":0}],"metadata":{"algo_name":"a",` +
		`"algo_version":"1598113346-ad2cd78dfaca12821046dfb8994724d5","device":"5c173ff2","datetime":"2020-06-20_21-33-24","md5":"9e6e908d9c29d332b511f8d5121857f8"}}]`}},
	{"/get_uid_annotations/data", jsonType, false, []string{`[{"device":"5c173ff2","datetime":"2020-06-20_21-33-24"}]`}},
	{"/get_uid_annotations_series/json", jsonType, false, []string{`[{"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21_00-00-00"}]`}},
	{"/get_images_to_annotate/image", jsonType, false, []string{`[{"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21","algo_name":"a",` +
		`"algo_version":"1598113346-ad2cd78dfaca12821046dfb8994724d5","limit":2}]`}},
	{"/report_uid_failure", jsonType, false, []string{`[{"device":"5c173ff2","datetime":"2020-06-20_21-33-24","algo_name":"a",` +
		`"algo_version":"1598113346-ad2cd78dfaca12821046dfb8994724d5","reason":"r","given_back":1}]`}},
	{"/get_uid_failures", jsonType, false, []string{`[{"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21","algo_name":null}]`}},
	{"/retry_uid_failures", jsonType, false, []string{`[{"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21"}]`}},
	{"/get_uid_backlog", jsonType, false, []string{`[{"algo_name":"a"},{}]`}},
	{"/_put_tiled_tuboids", "multipart/form-data; boundary=b", false, []string{
		"--b\r\nContent-Disposition: form-data; name=tuboid_id\r\n\r\n\"08038ade.2020-07-08_20-00-00.2020-07-09_15-00-00.1-a.0001\"\r\n--b--\r\n"}},
	{"/get_tiled_tuboid_series/data", jsonType, false, []string{`[{"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21"}]`}},
	{"/delete_tiled_tuboids", jsonType, false, []string{`[{"device":"%","start_datetime":"2020-06-20","end_datetime":"2020-06-21"}]`}},
	{"/put_itc_labels", jsonType, false, []string{`[{"tuboid_id":"t","algo_name":"a","algo_version":"1","label":1,"pattern":"^a","type":"x","order":null}]`}},
	{"/_get_itc_labels", jsonType, false, []string{`[{"tuboid_id":"t"}]`}},
	{"/_get_ml_bundle_file_list/all", jsonType, false, []string{`"bundle"`}},
	{"/_get_ml_bundle_upload_links", jsonType, false, []string{`[{"bundle_name":"b","key":"output/model_final.pth","md5":"9e6e908d9c29d332b511f8d5121857f8","mtime":1.5,"more":[1]}]`}},
	{"/get_projects", jsonType, false, []string{`[{"name":"%","notes":null}]`}},
	{"/put_projects", jsonType, false, []string{`[{"name":"a","description":"b\nc"}]`}},
	{"/delete_projects", jsonType, true, []string{`[{"name":"a"}]`}},
	{"/get_project_permissions", jsonType, false, []string{`[{"id":1}]`}},
	{"/put_project_permissions", jsonType, false, []string{`[{"project_id":1,"user_id":1,"level":3}]`}},
	{"/get_project_series", jsonType, false, []string{`[{"project_id":1}]`}},
	{"/put_project_series", jsonType, false, []string{`[{"project_id":1,"device":"5c173ff2","start_datetime":"2020-06-20","end_datetime":"2020-06-21","a":"2020-06-20","b":1e2}]`}},
	{"/_put_new_images", "multipart/form-data; boundary=b", false, []string{"--b--\r\n", "--b\r\nContent-Disposition: form-data; name=\"a.md5\"\r\n\r\nx\r\n--b--\r\n"}},
}

// FuzzBodies sends any bytes as a request's body to local mode: the reply is a success or the typed error, never the
// server's fault.
func FuzzBodies(f *testing.F) {
	s := stack.Local(f, stack.Options{})
	for i, endpoint := range fuzzed {
		for _, seed := range endpoint.seeds {
			f.Add(i, []byte(seed))
			f.Add(i, []byte(seed[:len(seed)/2]))
			f.Add(i, []byte(strings.ReplaceAll(seed, `"`, "\x00")))
		}
		f.Add(i, []byte("\xff"))
		f.Add(i, []byte(`[{"device":"`+strings.Repeat(`\`, 99)+`"}]`))
		f.Add(i, []byte(strings.Repeat("[", 20_000)))
		f.Add(i, []byte(`[{"a":1e999}, {}]`))
	}
	var upload bytes.Buffer
	picture := spitest.JPEG(spitest.Photo{Width: 8, Height: 8})
	upload.WriteString("--b\r\nContent-Disposition: form-data; name=\"5c173ff2.2020-06-20_21-33-24.jpg\"; filename=\"x\"\r\n\r\n")
	upload.Write(picture)
	upload.WriteString("\r\n--b--\r\n")
	f.Add(len(fuzzed)-1, upload.Bytes())

	if project := fuzzCall(f, s, basic(stack.AdminName, stack.AdminPassword), "/put_projects", jsonType, []byte(`[{"name":"the first"}]`)); project.status != http.StatusOK {
		f.Fatalf("%d %s", project.status, project.body)
	}
	reader := fuzzCall(f, s, basic(stack.AdminName, stack.AdminPassword), "/put_users", jsonType,
		[]byte(`[{"username":"reader","password":"reader","can_write":false}]`))
	if reader.status != http.StatusOK {
		f.Fatalf("%d %s", reader.status, reader.body)
	}
	f.Fuzz(func(t *testing.T, endpoint int, body []byte) {
		e := fuzzed[uint(endpoint)%uint(len(fuzzed))]
		l := basic(stack.AdminName, stack.AdminPassword)
		if e.asReader {
			l = basic("reader", "reader")
		}
		r := fuzzCall(t, s, l, e.path, e.contentType, body)
		if r.status == http.StatusOK {
			if !json.Valid(r.body) {
				t.Errorf("%s: not JSON: %.300s", e.path, r.body)
			}
			return
		}
		var failure struct{ Error failureBody }
		if err := json.Unmarshal(r.body, &failure); err != nil || spi.Code(failure.Error.Code).Status() != r.status || r.status >= 500 {
			t.Errorf("%s: %d %.300s", e.path, r.status, r.body)
		}
	})
}

func fuzzCall(t testing.TB, s *stack.Stack, l login, path, contentType string, body []byte) *reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	l(req)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &reply{asked: path, status: res.StatusCode, header: res.Header, body: text}
}
