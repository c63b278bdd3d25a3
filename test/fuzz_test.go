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
