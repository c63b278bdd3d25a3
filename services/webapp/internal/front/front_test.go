package front_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/front"
)

var script = strings.Repeat("export const a = 1;\n", 200)

func files(t *testing.T) *front.Files {
	t.Helper()
	f, err := front.New(fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html><title>page</title>")}, "assets/index-Ab12.js": {Data: []byte(script)},
		"favicon.svg": {Data: []byte("<svg/>")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func get(t *testing.T, f http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func TestFilesAreKeptAsLongAsTheyMay(t *testing.T) {
	f := files(t)
	for _, tt := range []struct {
		path, kind, cache string
		status            int
	}{
		{"/", "text/html; charset=utf-8", "no-store", 200},
		{"/index.html", "text/html; charset=utf-8", "no-store", 200},
		{"/images", "text/html; charset=utf-8", "no-store", 200},
		{"/whatever/else", "text/html; charset=utf-8", "no-store", 200},
		{"/assets/index-Ab12.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", 200},
		{"/favicon.svg", "image/svg+xml", "no-cache", 200},
		{"/assets/index-Zz99.js", "", "", 404},
		{"/assets/none", "", "", 404},
		{"/wp-login.php", "", "", 404},
		{"/../../etc/passwd.txt", "", "", 404},
	} {
		w := get(t, f, tt.path)
		if w.Code != tt.status || tt.status == 200 && (w.Header().Get("Content-Type") != tt.kind || w.Header().Get("Cache-Control") != tt.cache) {
			t.Errorf("%s: %d %v", tt.path, w.Code, w.Header())
		}
	}
}

func TestFilesAreCompressedForWhoUnderstandsIt(t *testing.T) {
	f := files(t)
	for header, compressed := range map[string]bool{
		"gzip, deflate, br": true, "br;q=1, gzip;q=0.5": true, "GZIP": true, "": false, "br": false, "gzip;q=0": false, "identity": false,
	} {
		w := get(t, f, "/assets/index-Ab12.js", "Accept-Encoding", header)
		body := w.Body.Bytes()
		if (w.Header().Get("Content-Encoding") == "gzip") != compressed {
			t.Errorf("%q: Content-Encoding %q", header, w.Header().Get("Content-Encoding"))
		}
		if compressed {
			r, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if string(body) != script || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %d bytes, Vary %q", header, len(body), w.Header().Get("Vary"))
		}
	}
}

func TestAFileThatTheBrowserHasIsNotSentAgain(t *testing.T) {
	f := files(t)
	etag := get(t, f, "/favicon.svg").Header().Get("ETag")
	if w := get(t, f, "/favicon.svg", "If-None-Match", etag); etag == "" || w.Code != http.StatusNotModified {
		t.Errorf("ETag %q: %d", etag, w.Code)
	}
}

func TestWithoutABuildThePageSaysSo(t *testing.T) {
	f, err := front.New(fstest.MapFS{}, []byte("<p>not built"))
	if err != nil {
		t.Fatal(err)
	}
	if w := get(t, f, "/images"); f.Built() || w.Code != 200 || w.Body.String() != "<p>not built" {
		t.Errorf("built %v: %d %s", f.Built(), w.Code, w.Body)
	}
}
