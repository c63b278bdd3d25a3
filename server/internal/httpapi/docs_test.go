package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestThePageShowsEveryOperationAndObject(t *testing.T) {
	handler, err := New(Config{Requests: unobserved{}, Ready: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	reply := httptest.NewRecorder()
	handler.ServeHTTP(reply, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/docs", http.NoBody))
	page := reply.Body.String()
	if reply.Code != http.StatusOK || reply.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %s", reply.Code, reply.Header())
	}
	doc := loadOpenAPI(t)
	last := -1
	for _, path := range pathsOf(openAPI) {
		for method, op := range doc.Paths.Value(path).Operations() {
			if !strings.Contains(page, `<h3 id="`+op.OperationID+`"><small>`+method+`</small> `+path+`</h3>`) {
				t.Errorf("%s %s is not shown", method, path)
			}
		}
		last++
	}
	if last+1 != doc.Paths.Len() {
		t.Errorf("%d of %d paths are found in the text", last+1, doc.Paths.Len())
	}
	for name := range doc.Components.Schemas {
		if !strings.Contains(page, `<h3 id="schema-`+name+`">`) {
			t.Errorf("%s is not shown", name)
		}
	}
	// every link leads somewhere, and nothing comes from elsewhere
	for _, link := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		target, local := strings.CutPrefix(link[1], "#")
		if !local && target != "openapi.yaml" || local && !strings.Contains(page, `id="`+target+`"`) {
			t.Errorf("a link leads to %q", link[1])
		}
	}
	policy := reply.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(page, "<script") || strings.Contains(page, "style=") {
		t.Errorf("policy %q", policy)
	}
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	if sum := sha256.Sum256([]byte(style)); !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %q does not allow the page's style", policy)
	}
	for _, mark := range []string{"**Requests", "ZgotmplZ", "&amp;lt;", "<no value>", "map["} {
		if i := strings.Index(page, mark); i >= 0 {
			t.Errorf("the page holds %q: %s", mark, page[max(0, i-100):min(len(page), i+100)])
		}
	}
}

func TestTextOfTheDocumentCannotBecomeMarkup(t *testing.T) {
	if got, want := string(prose("a <b> & `<i>` **x**")), "a &lt;b&gt; &amp; <code>&lt;i&gt;</code> <strong>x</strong>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
