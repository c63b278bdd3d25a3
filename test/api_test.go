package test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// login puts credentials into a request.
type login func(*http.Request)

func nobody(*http.Request) {}

func basic(user, password string) login {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func bearer(token string) login {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// api calls a server as clients do, with raw HTTP. Whatever it calls is held against the OpenAPI document and against the
// rules that hold for every reply: see [api.send].
type api struct {
	*stack.Stack
	t      *testing.T
	client *http.Client
	login  login
	wrong  bool // requests are wrong on purpose: they need not be what the document says
}

// each runs the test on the shared stack of both kinds, with an api that is logged in as admin.
func each(t *testing.T, test func(t *testing.T, a *api)) {
	t.Helper()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) { test(t, newAPI(t, s)) })
}

func newAPI(t *testing.T, s *stack.Stack) *api {
	t.Helper()
	return &api{Stack: s, t: t, client: &http.Client{Transport: documented(t, s)}, login: basic(stack.AdminName, stack.AdminPassword)}
}

// as is the same server with other credentials.
func (a *api) as(l login) *api {
	other := *a
	other.login = l
	return &other
}

// mistaken is for requests that are wrong on purpose.
func (a *api) mistaken() *api {
	other := *a
	other.wrong = true
	return &other
}

// within is the same server for a subtest.
func (a *api) within(t *testing.T) *api {
	other := *a
	other.t = t
	return &other
}

// A reply was read whole.
type reply struct {
	t      *testing.T
	asked  string // for messages
	status int
	header http.Header
	body   []byte
}

func (a *api) request(method, path, contentType string, body io.Reader) *http.Request {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.URL+path, body)
	if err != nil {
		a.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	a.login(req)
	return req
}

// send sends a request and checks what holds for every reply: it has a request id; JSON is compact and its keys are sorted;
// an error is the typed one, with the status of its code, and says nothing about the inside of the server; nothing is the
// server's fault.
func (a *api) send(req *http.Request) *reply {
	a.t.Helper()
	if a.wrong {
		req = req.WithContext(context.WithValue(req.Context(), wrongOnPurpose{}, true))
	}
	asked := req.Method + " " + req.URL.Path
	res, err := a.client.Do(req)
	if err != nil {
		a.t.Fatalf("%s: %v", asked, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatalf("%s: reading the reply: %v", asked, err)
	}
	r := &reply{t: a.t, asked: asked, status: res.StatusCode, header: res.Header, body: body}
	r.check()
	return r
}

// inside are words that no reply may hold: they tell of the databases, of the code or of its folders.
var inside = []string{"sql", "mariadb", "syntax", "error 1", "goroutine", "panic", ".go:", "/root", "/home", "/tmp", "/usr/", "runtime error"}

func (r *reply) check() {
	r.t.Helper()
	if r.header.Get("X-Request-Id") == "" {
		r.t.Errorf("%s: the reply has no X-Request-Id", r.asked)
	}
	if r.status == http.StatusOK {
		if strings.HasPrefix(r.header.Get("Content-Type"), "application/json") && r.header.Get("Content-Encoding") == "" && !strings.HasSuffix(r.asked, "z") {
			r.checkCanonical()
		}
		return
	}
	if r.status >= 500 {
		r.t.Errorf("%s: the server failed: %d %.300s", r.asked, r.status, r.body)
	}
	e := r.failure()
	if got := spi.Code(e.Code).Status(); got != r.status {
		r.t.Errorf("%s: code %q has status %d, the reply's is %d", r.asked, e.Code, got, r.status)
	}
	text := strings.ToLower(e.Message)
	for _, word := range inside {
		if strings.Contains(text, word) {
			r.t.Errorf("%s: the message %q leaks %q", r.asked, e.Message, word)
		}
	}
}

// checkCanonical holds the body against the same values, written compactly with sorted keys.
func (r *reply) checkCanonical() {
	r.t.Helper()
	dec := json.NewDecoder(bytes.NewReader(r.body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		r.t.Fatalf("%s: the reply is not JSON: %v: %.300s", r.asked, err, r.body)
	}
	var canonical bytes.Buffer
	enc := json.NewEncoder(&canonical)
	enc.SetEscapeHTML(false) // either way will do
	if err := enc.Encode(value); err != nil {
		r.t.Fatal(err)
	}
	if got := unescapeHTML.Replace(string(r.body)) + "\n"; got != canonical.String() {
		r.t.Errorf("%s: the reply is not compact JSON with sorted keys: %.300s", r.asked, r.body)
	}
}

var unescapeHTML = strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">")

// failureBody is the typed error of a reply.
type failureBody struct{ Code, Message string }

// failure reads the typed error, which must be all that the body holds.
func (r *reply) failure() failureBody {
	r.t.Helper()
	var body struct {
		Error failureBody `json:"error"`
	}
	dec := json.NewDecoder(bytes.NewReader(r.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil || body.Error.Code == "" || body.Error.Message == "" {
		r.t.Errorf("%s: %d, but not the typed error (%v): %.300s", r.asked, r.status, err, r.body)
	}
	if got := r.header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		r.t.Errorf("%s: the error's Content-Type is %q", r.asked, got)
	}
	return body.Error
}

// ok ends the test unless the status is 200.
func (r *reply) ok() *reply {
	r.t.Helper()
	if r.status != http.StatusOK {
		r.t.Fatalf("%s: %d %.300s", r.asked, r.status, r.body)
	}
	return r
}

// refused wants the status, and a message that holds all of the words.
func (r *reply) refused(status int, words ...string) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Errorf("%s: %d %.300s, want %d", r.asked, r.status, r.body, status)
		return r
	}
	message := r.failure().Message
	for _, w := range words {
		if !strings.Contains(message, w) {
			r.t.Errorf("%s: the message %q does not say %q", r.asked, message, w)
		}
	}
	return r
}

// row is an object of a request or a reply.
type row map[string]any

func (r row) text(field string) string {
	s, _ := r[field].(string)
	return s
}

// rows reads a list of objects.
func (r *reply) rows() []row {
	r.t.Helper()
	r.ok()
	var rows []row
	if err := json.Unmarshal(r.body, &rows); err != nil || rows == nil {
		r.t.Fatalf("%s: not a list of objects (%v): %.300s", r.asked, err, r.body)
	}
	return rows
}

// column gives one field of all rows as text.
func column(rows []row, field string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = fmt.Sprint(r[field])
	}
	return out
}

// only gives the one row that there must be.
func (r *reply) only() row {
	r.t.Helper()
	rows := r.rows()
	if len(rows) != 1 {
		r.t.Fatalf("%s: %d rows, want one: %.300s", r.asked, len(rows), r.body)
	}
	return rows[0]
}

const jsonType = "application/json"

// post calls an endpoint with a JSON body.
func (a *api) post(path, body string) *reply {
	a.t.Helper()
	return a.send(a.request(http.MethodPost, path, jsonType, strings.NewReader(body)))
}

// call is post with a body that is still to be written as JSON.
func (a *api) call(path string, elements ...row) *reply {
	a.t.Helper()
	body, err := json.Marshal(elements)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.post(path, string(body))
}

func (a *api) get(path string) *reply {
	a.t.Helper()
	return a.send(a.request(http.MethodGet, path, "", http.NoBody))
}

// token asks for a token of the api's user.
func (a *api) token() string {
	a.t.Helper()
	var t spi.Token
	if err := json.Unmarshal(a.post("/get_token", "").ok().body, &t); err != nil {
		a.t.Fatal(err)
	}
	return t.Token
}

// field is a part of a multipart form.
type field struct {
	name     string // of the form's field: the file's name
	data     []byte
	fileName string // the part's own; none where empty
}

// form writes the fields as a multipart form.
func form(t testing.TB, fields ...field) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		h := textproto.MIMEHeader{}
		disposition := `form-data; name="` + f.name + `"`
		if f.fileName != "" {
			disposition += `; filename="` + f.fileName + `"`
		}
		h.Set("Content-Disposition", disposition)
		part, err := w.CreatePart(h)
		if err == nil {
			_, err = part.Write(f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// upload sends the fields to _put_new_images.
func (a *api) upload(fields ...field) *reply {
	a.t.Helper()
	contentType, body := form(a.t, fields...)
	return a.send(a.request(http.MethodPost, "/_put_new_images", contentType, bytes.NewReader(body)))
}

// v1 is a file as clients of the first generation send it: the part has a name of its own, which means nothing.
func v1(name string, data []byte) field { return field{name: name, data: data, fileName: "image.jpg"} }

// v2 is a file as clients of the second generation send it: with its checksum.
func v2(name string, data []byte) []field {
	return []field{{name: name, data: data, fileName: name}, {name: name + ".md5", data: []byte(md5Hex(data))}}
}

// made counts the devices and users of this process, so that tests on the shared stacks do not meet.
var made atomic.Uint32

// newDevice gives a device that no other test has: 8 hexadecimal digits, of which the last two are 0.
func newDevice() string { return fmt.Sprintf("%06x00", 0xa00000+made.Add(1)) }

// newName gives a user name that no other test has.
func newName(prefix string) string { return prefix + strconv.Itoa(int(made.Add(1))) }

// noon is the time of most photographs here.
var noon = time.Date(2021, time.May, 4, 12, 0, 0, 0, time.UTC)

// userPassword is that of all users that newUser makes.
const userPassword = "password of a user"

// newUser makes a user and gives its name. more are further fields.
func (a *api) newUser(more row) string {
	a.t.Helper()
	name := newName("user")
	user := row{"username": name, "password": userPassword}
	for field, value := range more {
		user[field] = value
	}
	if got := a.call("/put_users", user).only().text("username"); got != name {
		a.t.Fatalf("made user %q, want %q", got, name)
	}
	return name
}

var (
	readOnly  = row{"can_write": false}
	readWrite = row{}
	admin     = row{"is_admin": true}
	// frozen is an admin who may not write, which makes a reader.
	frozen = row{"is_admin": true, "can_write": 0}
)

func gunzip(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err == nil {
		b, err = io.ReadAll(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same fails the test where got is not want.
func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
