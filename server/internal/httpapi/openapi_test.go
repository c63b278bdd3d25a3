package httpapi

import (
	"bytes"
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
	"github.com/google/go-cmp/cmp"

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

func (unobserved) Observe(string, string, int, time.Duration) {}

// TestOpenAPIDescribesWhatIsServed calls every operation without credentials, and holds the reply against the document:
// those that need none answer 200, the others 401.
func TestOpenAPIDescribesWhatIsServed(t *testing.T) {
	doc := loadOpenAPI(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := New(Config{
		Requests: unobserved{},
		Ready: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"ready":true,"checks":{"database":"ok"}}`)
		}),
		Log: slog.New(slog.DiscardHandler),
		Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			t.Run(method+path, func(t *testing.T) {
				want := http.StatusUnauthorized
				if op.Security != nil && len(*op.Security) == 0 {
					want = http.StatusOK
				}
				call := httptest.NewRequestWithContext(t.Context(), method, strings.ReplaceAll(path, "{what}", "metadata"), http.NoBody)
				reply := httptest.NewRecorder()
				handler.ServeHTTP(reply, call)
				if reply.Code != want {
					t.Fatalf("status %d, want %d: %s", reply.Code, want, reply.Body)
				}
				conforms(t, router, call, reply)
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
