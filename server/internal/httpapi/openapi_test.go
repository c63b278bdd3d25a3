package httpapi

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func loadOpenAPI(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPIIsValidWithItsExamples(t *testing.T) {
	doc := loadOpenAPI(t)
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaPatternValidation()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAPIHasAnExampleForEveryBody(t *testing.T) {
	doc := loadOpenAPI(t)
	check := func(where string, content openapi3.Content) {
		for media, m := range content {
			if m.Example == nil && len(m.Examples) == 0 {
				t.Errorf("%s: %s has no example", where, media)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			if op.RequestBody != nil {
				check(where, op.RequestBody.Value.Content)
			}
			for status, r := range op.Responses.Map() {
				if len(r.Value.Content) == 0 {
					t.Errorf("%s: %s has no content", where, status)
				}
				if r.Value.Headers["X-Request-Id"] == nil {
					t.Errorf("%s: %s does not name X-Request-Id", where, status)
				}
				check(where+" "+status, r.Value.Content)
			}
		}
	}
}

func TestOpenAPINamesTheCodesOfTheProtocol(t *testing.T) {
	doc := loadOpenAPI(t)
	var got []string
	for _, code := range doc.Components.Schemas["Error"].Value.Properties["error"].Value.Properties["code"].Value.Enum {
		got = append(got, code.(string))
	}
	var want []string
	for status := 400; status < 600; status++ {
		// statuses that are no code's own fall back to another's
		if code := spi.CodeOfStatus(status); code.Status() == status {
			want = append(want, string(code))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

func TestOpenAPIAnswersWithTheStatusOfTheCode(t *testing.T) {
	doc := loadOpenAPI(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, ref := range op.Responses.Map() {
				name, ok := strings.CutPrefix(ref.Ref, "#/components/responses/")
				if !ok {
					continue
				}
				example := doc.Components.Responses[name].Value.Content["application/json"].Example.(map[string]any)
				code := spi.Code(example["error"].(map[string]any)["code"].(string))
				if want := strconv.Itoa(code.Status()); status != want {
					t.Errorf("%s %s: %s is given for status %s, its code's is %s", method, path, name, status, want)
				}
			}
		}
	}
}

type unobserved struct{}

func (unobserved) Observe(string, string, int, http.Header, time.Duration) {}

// TestOpenAPIDescribesWhatIsServed calls every operation without credentials, and holds the reply against the document:
// those that need none answer 200, the others 401; and all but the sign of life 503 while the server starts.
func TestOpenAPIDescribesWhatIsServed(t *testing.T) {
	doc := loadOpenAPI(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Requests: unobserved{},
		Ready: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"ready":true,"checks":{"database":"ok"}}`)
		}),
		Log: slog.New(slog.DiscardHandler),
		Now: time.Now,
	}
	running, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	starting, err := Starting(cfg)
	if err != nil {
		t.Fatal(err)
	}
	call := func(t *testing.T, handler http.Handler, method, path string, want int) {
		t.Helper()
		call := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		reply := httptest.NewRecorder()
		handler.ServeHTTP(reply, call)
		if reply.Code != want {
			t.Fatalf("status %d, want %d: %s", reply.Code, want, reply.Body)
		}
		conforms(t, router, call, reply)
	}
	for path, item := range doc.Paths.Map() {
		for _, p := range item.Parameters {
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", p.Value.Example.(string))
		}
		for method, op := range item.Operations() {
			path := path
			for _, p := range op.Parameters {
				if p.Value.In == "query" && p.Value.Required {
					path += "?" + p.Value.Name + "=" + p.Value.Example.(string)
				}
			}
			t.Run(method+path, func(t *testing.T) {
				want := http.StatusUnauthorized
				if op.Security != nil && len(*op.Security) == 0 {
					want = http.StatusOK
				}
				call(t, running, method, path, want)
			})
			t.Run("starting/"+method+path, func(t *testing.T) {
				want := http.StatusServiceUnavailable
				if path == "/healthz" {
					want = http.StatusOK
				}
				call(t, starting, method, path, want)
			})
		}
	}
}

// conforms holds a reply against the document.
func conforms(t *testing.T, router routers.Router, call *http.Request, reply *httptest.ResponseRecorder) {
	t.Helper()
	route, params, err := router.FindRoute(call)
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	options.ExcludeRequestBody = call.Body == http.NoBody // the log-in comes before the body
	request := &openapi3filter.RequestValidationInput{Request: call, Route: route, PathParams: params, Options: options}
	if err := openapi3filter.ValidateRequest(t.Context(), request); err != nil {
		t.Error(err)
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: reply.Code, Header: reply.Header(),
		Body: io.NopCloser(bytes.NewReader(reply.Body.Bytes())), Options: options,
	}
	if err := openapi3filter.ValidateResponse(t.Context(), response); err != nil {
		t.Error(err)
	}
}

// TestOpenAPITakesWhatTheServerTakes reads request bodies both ways.
func TestOpenAPITakesWhatTheServerTakes(t *testing.T) {
	doc := loadOpenAPI(t)
	keys := func(c *gin.Context) error { _, _, err := imageKeys(c); return err }
	filters := func(c *gin.Context) error { _, _, err := userFilters(c); return err }
	long := strings.Repeat("x", maxText)
	for _, test := range []struct {
		path string
		read func(*gin.Context) error
		body string
		ok   bool
	}{
		{"/get_images/{what}", keys, `null`, true},
		{"/get_images/{what}", keys, `[]`, true},
		{"/get_images/{what}", keys, `{}`, false},
		{"/get_images/{what}", keys, `[null]`, false},
		{"/get_images/{what}", keys, `[{}]`, false},
		{"/get_images/{what}", keys, `[{"device":"5c173ff2","datetime":"2020-06-20_21-33-24"}]`, true},
		{"/get_images/{what}", keys, `[{"device":"%","datetime":"2020-06-20T21:33:24Z","id":1,"temp":null}]`, true},
		{"/get_images/{what}", keys, `[{"device":"` + long + `","datetime":"2020-06-20"}]`, true},
		{"/get_images/{what}", keys, `[{"device":"` + long + `x","datetime":"2020-06-20"}]`, false},
		{"/get_images/{what}", keys, `[{"device":1,"datetime":"2020-06-20"}]`, false},
		{"/get_images/{what}", keys, `[{"device":null,"datetime":"2020-06-20"}]`, false},
		{"/get_images/{what}", keys, `[{"device":"%","datetime":"2020-06-20 21:33:24"}]`, false},
		{"/get_images/{what}", keys, `[{"device":"%","datetime":"2020-06-20T21:33:24"}]`, false},
		{"/get_images/{what}", keys, `[{"device":"%","datetime":1592688804}]`, false},
		{"/get_images/{what}", keys, `[{"device":"%"}]`, false},
		{"/get_users", filters, `null`, true},
		{"/get_users", filters, `[{}]`, true},
		{"/get_users", filters, `[{"username":"%"},{"id":1,"is_admin":true,"can_write":1,"email":null}]`, true},
		{"/get_users", filters, `[{"datetime_created":"2020%","api_user":"a","api_version":3.0}]`, true},
		{"/get_users", filters, `[{"username":"` + long + `x"}]`, false},
		{"/get_users", filters, `[{"username":["a"]}]`, false},
		{"/get_users", filters, `[{"username":{}}]`, false},
		{"/get_users", filters, `[{"name":"a"}]`, false},
		{"/get_users", filters, `[{"password_hash":"%"}]`, false},
	} {
		t.Run(test.path+" "+test.body[:min(len(test.body), 60)], func(t *testing.T) {
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

func TestOpenAPIDescribesTheRowsOfReplies(t *testing.T) {
	doc := loadOpenAPI(t)
	text := sql.Null[string]{V: "3.0.0", Valid: true}
	number := sql.Null[float64]{V: -0.5, Valid: true}
	row := store.Provenance{DatetimeCreated: time.Date(2020, 6, 22, 9, 12, 40, 0, time.UTC)}
	bare := store.Image{
		ID: 1, Device: "5C173ff2", Datetime: time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC),
		MD5: "9e6e908d9c29d332b511f8d5121857f8", Provenance: row,
	}
	full := bare
	full.ImageMetadata = store.ImageMetadata{
		DeviceVersion: text, Width: 2592, Height: 1944, Alt: number, Lat: number, Lng: number, Temp: number, Hum: number,
		NoFlashShutterSpeed: number, NoFlashExposureTime: number, NoFlashBV: number, NoFlashISO: number,
		Lum: number, Bat: number, But: number,
	}
	full.APIVersion, full.APIUser = text, text
	none := func(b []byte, _ *store.Image) []byte { return append(b, `""`...) }
	presigned := func(b []byte, _ *store.Image) []byte {
		return append(b, `"http://s3.localhost:8080/b/raw_images/5C173ff2/5C173ff2.2020-06-20_21-33-24.jpg?X-Amz-Date=1"`...)
	}
	user := store.User{ID: 1, Username: "anna", Provenance: row}
	owned := user
	owned.Email, owned.IsAdmin, owned.CanWrite, owned.APIVersion, owned.APIUser = text, true, true, text, text
	for _, test := range []struct {
		name, schema string
		row          []byte
		ok           bool
	}{
		{"bare image", "Image", appendImage(nil, &bare, spi.DateV1, none), true},
		{"full image", "Image", appendImage(nil, &full, spi.DateV2, presigned), true},
		{"image that misses its url", "Image", appendImage(nil, &full, spi.DateV2, nil), false},
		{"new bare image", "StoredImage", appendImage(nil, &bare, spi.DateV2, nil), true},
		{"new full image", "StoredImage", appendImage(nil, &full, spi.DateV1, nil), true},
		{"new image with a url", "StoredImage", appendImage(nil, &full, spi.DateV1, none), false},
		{"user", "User", appendUser(nil, &user, spi.DateV1), true},
		{"user with all fields", "User", appendUser(nil, &owned, spi.DateV2), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var value any
			if err := json.Unmarshal(test.row, &value); err != nil {
				t.Fatal(err)
			}
			err := doc.Components.Schemas[test.schema].Value.VisitJSON(value, openapi3.VisitAsResponse())
			if (err == nil) != test.ok {
				t.Errorf("%s: the document says %v, want ok = %v", test.row, err, test.ok)
			}
		})
	}
}

// takesUsers is a store to which any user may be added, and that knows all of them.
type takesUsers struct{ store.Store }

func (takesUsers) AddUsers(_ context.Context, users []store.User) ([]store.User, error) {
	return users, nil
}

func (takesUsers) UserByName(_ context.Context, name string) (store.User, error) {
	return store.User{Username: name}, nil
}

func (takesUsers) SetPasswordHash(context.Context, int64, string) error { return nil }

func TestOpenAPITakesTheUsersThatTheServerTakes(t *testing.T) {
	doc := loadOpenAPI(t)
	authenticator, err := auth.New(nil, "secret of this test", slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{Config: Config{Store: takesUsers{}, Auth: authenticator, Now: time.Now}}
	admin := &store.User{ID: 1, Username: "admin", IsAdmin: true, CanWrite: true}
	for _, test := range []struct {
		path   string
		handle func(*gin.Context, *store.User) error
		body   string
		ok     bool
	}{
		{"/put_users", a.putUsers, `null`, true},
		{"/put_users", a.putUsers, `[{"username":"a","password":"p"}]`, true},
		{"/put_users", a.putUsers, `[{"username":"Zoë 1","password":"p","email":"","is_admin":0,"can_write":true,"note":{}}]`, true},
		{"/put_users", a.putUsers, `[{"username":"a","password":"p","email":null,"is_admin":null,"can_write":null}]`, true},
		{"/put_users", a.putUsers, `[{"username":"a","password":"p","is_admin":1.0}]`, true},
		{"/put_users", a.putUsers, `[{"username":"a","password":"p","is_admin":2}]`, false},
		{"/put_users", a.putUsers, `[{"username":"a","password":"p","is_admin":"1"}]`, false},
		{"/put_users", a.putUsers, `[{"username":"a","password":"p","email":false}]`, false},
		{"/put_users", a.putUsers, `[{"username":"a","password":""}]`, false},
		{"/put_users", a.putUsers, `[{"username":"a","password":1234}]`, false},
		{"/put_users", a.putUsers, `[{"username":"a"}]`, false},
		{"/put_users", a.putUsers, `[{"password":"p"}]`, false},
		{"/put_users", a.putUsers, `[{"username":"","password":"p"}]`, false},
		{"/put_users", a.putUsers, `[{"username":" a","password":"p"}]`, false},
		{"/put_users", a.putUsers, `[{"username":"a:b","password":"p"}]`, false},
		{"/put_users", a.putUsers, `[{"username":"` + strings.Repeat("é", maxUsername) + `","password":"p"}]`, true},
		{"/put_users", a.putUsers, `[{"username":"` + strings.Repeat("a", maxUsername+1) + `","password":"p"}]`, false},
		{"/reset_password", a.resetPassword, `[]`, true},
		{"/reset_password", a.resetPassword, `[{"username":"a","password":"p","email":1}]`, true},
		{"/reset_password", a.resetPassword, `[{"username":"a"}]`, false},
		{"/reset_password", a.resetPassword, `[{"username":"a","password":"` + strings.Repeat("p", auth.MaxPassword+1) + `"}]`, false},
		{"/delete_users", a.deleteUsers, `[{}]`, false},
		{"/delete_users", a.deleteUsers, `[]`, true},
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
			if err := test.handle(c, admin); (err == nil) != test.ok {
				t.Errorf("the server says %v, want ok = %v", err, test.ok)
			}
		})
	}
}
