package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// wrongOnPurpose marks, in a request's context, one that need not be what the document says.
type wrongOnPurpose struct{}

// largestChecked is the largest request body, in bytes, that is held against the document.
const largestChecked = 1 << 20

// document is a transport that holds every request and reply against the OpenAPI document that the server itself gives.
type document struct {
	t      *testing.T
	router routers.Router
}

// documented gives the transport for the server.
func documented(t *testing.T, s *stack.Stack) http.RoundTripper {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/openapi.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &document{t: t, router: router}
}

// RoundTrip implements http.RoundTripper.
func (d *document) RoundTrip(req *http.Request) (*http.Response, error) {
	input, known := d.input(req)
	if known && req.Context().Value(wrongOnPurpose{}) == nil {
		d.checkRequest(req, input)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !known {
		return res, err
	}
	return res, d.checkResponse(res, input)
}

func (d *document) input(req *http.Request) (*openapi3filter.RequestValidationInput, bool) {
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		return nil, false // a path or method that the document does not have: the tests want 404 or 405
	}
	return &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
		},
	}, true
}

func (d *document) checkRequest(req *http.Request, input *openapi3filter.RequestValidationInput) {
	if req.ContentLength < 0 || req.ContentLength > largestChecked || req.GetBody == nil {
		return
	}
	body, err := req.GetBody()
	var text []byte
	if err == nil {
		text, err = io.ReadAll(body)
	}
	if err != nil {
		d.t.Error(err)
		return
	}
	options := *input.Options
	// Only the server knows the names of a form's fields. An empty body may come with any type, and one without a type is
	// taken for JSON, as the document says in words.
	options.ExcludeRequestBody = len(bytes.TrimSpace(text)) == 0 || strings.HasPrefix(req.Header.Get("Content-Type"), "multipart/")
	checked := *input
	checked.Options = &options
	checked.Request = req.Clone(req.Context())
	checked.Request.Body = io.NopCloser(bytes.NewReader(text))
	if req.Header.Get("Content-Type") == "" {
		checked.Request.Header.Set("Content-Type", jsonType)
	}
	if err := openapi3filter.ValidateRequest(req.Context(), &checked); err != nil {
		d.t.Errorf("the request is not what the OpenAPI document says: %v", err)
	}
}

func (d *document) checkResponse(res *http.Response, input *openapi3filter.RequestValidationInput) error {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("reading the reply: %w", err)
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if res.Header.Get("Content-Encoding") != "" {
		return nil // a test that unpacks it compares it with one that was checked
	}
	err = openapi3filter.ValidateResponse(res.Request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: res.StatusCode, Header: res.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: input.Options,
	})
	if err != nil {
		d.t.Errorf("%s %s: the reply is not what the OpenAPI document says: %v", res.Request.Method, res.Request.URL.Path, err)
	}
	return nil
}

func TestEveryOperationOfTheDocumentIsServedAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		text := a.get("/openapi.yaml").ok().body
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
			t.Error(err)
		}
		methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
		for path, item := range doc.Paths.Map() {
			for _, p := range item.Parameters {
				path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", p.Value.Example.(string))
			}
			for _, method := range methods {
				r := a.as(nobody).mistaken().send(a.as(nobody).request(method, path, "", http.NoBody))
				described := item.GetOperation(method) != nil
				if served := r.status != http.StatusMethodNotAllowed && r.status != http.StatusNotFound; served != described {
					t.Errorf("%s %s: described %t, but answered %d", method, path, described, r.status)
				}
			}
		}
	})
}
