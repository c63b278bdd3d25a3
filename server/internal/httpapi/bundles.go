package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// bundlePrefix is where all bundles are in the bucket.
const bundlePrefix = "ml/"

// Bounds of bundles. One of a hundred thousand files is some 50 MB of memory while its list is made.
const (
	maxBundleName  = 64  // characters
	maxBundleKey   = 512 // bytes
	maxBundles     = 16  // that one request may name
	bundleLinkLife = 24 * time.Hour

	// DefaultMaxBundleFile is the size, in bytes, that one file of a bundle may have.
	DefaultMaxBundleFile = 2 << 30
)

func (a *api) bundleRoutes(g *gin.Engine) {
	g.POST("/_get_ml_bundle_file_list/:what", a.as(auth.ReadOnly, a.getBundleFiles))
	g.POST("/_get_ml_bundle_upload_links", a.as(auth.ReadWrite, a.getBundleUploadLinks))
}

// badBundleName says what is wrong with a bundle's name, which is one part of a key; "" where nothing is.
func badBundleName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case utf8.RuneCountInString(name) > maxBundleName:
		return "is longer than 64 characters"
	case strings.ContainsAny(name, `/\`):
		return "holds a slash"
	case name[0] == '.':
		return "begins with a dot"
	case strings.TrimSpace(name) != name, !printable(name):
		return "begins or ends with a blank, or holds a character that is not printable"
	}
	return ""
}

// badBundleKey says what is wrong with the key of a file in a bundle: a relative path with slashes.
func badBundleKey(key string) string {
	switch {
	case key == "":
		return "is empty"
	case len(key) > maxBundleKey:
		return "is longer than 512 bytes"
	case !printable(key), strings.Contains(key, `\`), strings.Contains(key, "${"):
		return `holds a character that is not printable, a backslash or ${`
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return "must be a relative path, such as output/model_final.pth"
		}
	}
	return ""
}

// inBundle says whether a file of the bundle is served to those who ask for what.
func inBundle(key, what string) bool {
	folder, _, _ := strings.Cut(key, "/")
	return spi.ServedInBundles(key) && (what == "all" || folder == "config" ||
		folder == "data" && what == "data" || folder == "output" && what == "model")
}

// bundleName reads the body of _get_ml_bundle_file_list: a JSON string.
func bundleName(c *gin.Context) (string, error) {
	const most = 4096 // bytes: a name is far shorter, however it is escaped
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, most+1))
	if err != nil {
		return "", badJSON(err)
	}
	if len(body) > most {
		return "", spi.Errorf(spi.CodeInvalid, "the body is larger than %d bytes: it must be a bundle's name", most)
	}
	body = bytes.TrimSpace(body)
	if len(body) > 0 {
		if err := jsonType(c); err != nil {
			return "", err
		}
	}
	if len(body) == 0 || body[0] != '"' {
		return "", spi.Errorf(spi.CodeInvalid, `the body must be a JSON string: the bundle's name, such as "universal-insect-detector"`)
	}
	var name string
	if err := json.Unmarshal(body, &name); err != nil {
		return "", badJSON(err)
	}
	if wrong := badBundleName(name); wrong != "" {
		return "", spi.Errorf(spi.CodeInvalid, "the bundle's name %s", wrong)
	}
	return name, nil
}

func (a *api) getBundleFiles(c *gin.Context, _ *store.User) error {
	what := c.Param("what")
	switch what {
	case "all", "data", "model":
	default:
		return spi.Errorf(spi.CodeInvalid, "%.40q is no part of a bundle: ask for all, data or model", what)
	}
	name, err := bundleName(c)
	if err != nil {
		return err
	}
	prefix := bundlePrefix + name + "/"
	l := newList(c, spi.DateV2)
	for o, err := range a.Blobs.List(c.Request.Context(), prefix) {
		if err != nil {
			return err
		}
		if key := strings.TrimPrefix(o.Key, prefix); inBundle(key, what) {
			if err := l.done(a.appendBundleFile(l.row(), key, &o)); err != nil {
				return err
			}
		}
	}
	return l.end()
}

func (a *api) appendBundleFile(b []byte, key string, o *blob.Info) []byte {
	b = append(b, `{"key":`...)
	b = appendText(b, key)
	b = append(b, `,"md5":`...)
	b = appendText(b, o.ETag)
	b = append(b, `,"mtime":`...)
	b = appendSeconds(b, o.Modified)
	b = append(b, `,"path":`...)
	b = appendText(b, o.Key)
	b = append(b, `,"url":"`...)
	b = a.Blobs.AppendURL(b, o.Key)
	return append(b, `"}`...)
}

// appendSeconds appends a time as seconds since the epoch, with a fraction even where it is 0: clients of today read floats.
func appendSeconds(b []byte, t time.Time) []byte {
	from := len(b)
	b = strconv.AppendFloat(b, seconds(t), 'f', -1, 64)
	if !bytes.ContainsRune(b[from:], '.') {
		b = append(b, ".0"...)
	}
	return b
}

// bundleUpload is a file that a client has.
type bundleUpload struct {
	bundle, key, md5 string
	mtime            float64         // seconds since the epoch
	echo             json.RawMessage // what the client sent
}

func readBundleUpload(e *element) bundleUpload {
	u := bundleUpload{
		bundle: e.text("bundle_name", maxText), key: e.text("key", maxBundleKey), md5: strings.ToLower(e.text("md5", md5Length)),
	}
	if wrong := badBundleName(u.bundle); wrong != "" {
		e.fail("bundle_name", "%s", wrong)
	}
	if wrong := badBundleKey(u.key); wrong != "" {
		e.fail("key", "%s", wrong)
	}
	if !isMD5(u.md5) {
		e.fail("md5", "must be 32 hexadecimal digits")
	}
	u.mtime = e.number("mtime")
	u.echo = e.raw
	return u
}

func (a *api) getBundleUploadLinks(c *gin.Context, _ *store.User) error {
	var uploads []bundleUpload
	bundles := map[string]map[string]blob.Info{} // by name, then by key
	if _, err := elements(c, func(e *element) error {
		u := readBundleUpload(e)
		bundles[u.bundle] = nil
		if len(bundles) > maxBundles {
			e.fail("bundle_name", "is one of more than %d in the request", maxBundles)
		}
		uploads = append(uploads, u)
		return nil
	}); err != nil {
		return err
	}
	for name := range bundles {
		files, err := a.bundleFiles(c.Request.Context(), name)
		if err != nil {
			return err
		}
		bundles[name] = files
	}
	l := newList(c, spi.DateV2)
	for i, u := range uploads {
		there, ok := bundles[u.bundle][u.key]
		if ok && (strings.EqualFold(there.ETag, u.md5) || u.mtime <= seconds(there.Modified)) {
			continue
		}
		post, err := a.Blobs.PresignPost(bundlePrefix+u.bundle+"/"+u.key, blob.Post{MaxSize: a.maxBundleFile(), Life: bundleLinkLife})
		if err != nil {
			return ofElement(i, 1, err)
		}
		row, err := echoed(u.echo, post)
		if err != nil {
			return err
		}
		if err := l.done(append(l.row(), row...)); err != nil {
			return err
		}
	}
	return l.end()
}

// echoed gives the element back with the link. It is decoded only here, one at a time: a decoded element may take many times
// the memory of its text.
func echoed(element json.RawMessage, post blob.PresignedPost) ([]byte, error) {
	var fields map[string]any
	dec := json.NewDecoder(bytes.NewReader(element))
	dec.UseNumber() // a number comes back as it was written
	if err := dec.Decode(&fields); err != nil {
		return nil, err
	}
	fields["url"] = map[string]any{"url": post.URL, "fields": post.Fields}
	return json.Marshal(fields)
}

func (a *api) maxBundleFile() int64 {
	if a.MaxBundleFile > 0 {
		return a.MaxBundleFile
	}
	return DefaultMaxBundleFile
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// bundleFiles gives the objects of a bundle by their keys in it.
func (a *api) bundleFiles(ctx context.Context, name string) (map[string]blob.Info, error) {
	prefix := bundlePrefix + name + "/"
	files := map[string]blob.Info{}
	for o, err := range a.Blobs.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		files[strings.TrimPrefix(o.Key, prefix)] = o
	}
	return files, nil
}
