// Package front serves the front end's built files. Names below assets/ hold a hash of the content and never change;
// everything else is asked for again. It may import nothing of the project.
package front

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// indexName is the page; every address of the viewer gives it.
const indexName = "index.html"

// hashed is the folder of the files whose names hold a hash.
const hashed = "assets/"

type file struct {
	contentType string
	etag        string
	plain       []byte
	gzipped     []byte // nil where that is not shorter
	forever     bool
}

// Files are the front end's files, in memory, compressed once.
type Files struct {
	files map[string]file
	built bool
}

// New reads the files. Where built holds no index.html, the front end was not built: the placeholder stands in its place.
func New(built fs.FS, placeholder []byte) (*Files, error) {
	f := &Files{files: map[string]file{}}
	err := fs.WalkDir(built, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		f.files[name], err = newFile(name, content)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the front end's files: %w", err)
	}
	if _, f.built = f.files[indexName]; !f.built {
		if f.files[indexName], err = newFile(indexName, placeholder); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Built says whether there is more than the placeholder.
func (f *Files) Built() bool { return f.built }

func newFile(name string, content []byte) (file, error) {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // not left to the machine's own tables
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".html":
		kind = "text/html; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	case ".json", ".webmanifest":
		kind = "application/json"
	case "":
		kind = "application/octet-stream"
	}
	sum := sha256.Sum256(content)
	entry := file{
		contentType: kind, plain: content, forever: strings.HasPrefix(name, hashed),
		etag: `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return file{}, err
	}
	if _, err := w.Write(content); err != nil {
		return file{}, err
	}
	if err := w.Close(); err != nil {
		return file{}, err
	}
	if b.Len() < len(content)*9/10 {
		entry.gzipped = b.Bytes()
	}
	return entry, nil
}

// ServeHTTP gives the file of the request's path; the page where the path names no file, and so may be one of its own
// addresses; 404 for a file that is not there.
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	entry, ok := f.files[name]
	if !ok || name == indexName {
		if path.Ext(name) != "" && name != indexName || strings.HasPrefix(name, hashed) {
			http.Error(w, "there is no such file", http.StatusNotFound)
			return
		}
		name, entry = indexName, f.files[indexName]
	}
	h := w.Header()
	h.Set("Content-Type", entry.contentType)
	switch {
	case entry.forever:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	case name == indexName:
		h.Set("Cache-Control", "no-store")
	default:
		h.Set("Cache-Control", "no-cache")
	}
	content := entry.plain
	if entry.gzipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if AcceptsGzip(r.Header.Values("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			content = entry.gzipped
		}
	}
	if name != indexName {
		h.Set("ETag", entry.etag)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// AcceptsGzip says whether a client takes a compressed reply: whether one of the headers names gzip, or failing that all codings,
// with a weight that is not 0 (RFC 9110, 12.5.3).
func AcceptsGzip(accepted []string) bool {
	all := false
	for coding := range strings.SplitSeq(strings.Join(accepted, ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "*" {
			continue
		}
		takes := true
		if value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(weight)), "q="); ok {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			takes = err == nil && q > 0
		}
		if name == "gzip" {
			return takes
		}
		all = takes
	}
	return all
}
