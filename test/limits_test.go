package test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// maxBody is the largest body that the server takes.
const maxBody = 100 << 20

// endless gives n bytes: the text, then one byte again and again, then the end.
func endless(start string, fill byte, n int64, end string) io.Reader {
	return io.MultiReader(strings.NewReader(start), io.LimitReader(repeat(fill), n-int64(len(start)+len(end))), strings.NewReader(end))
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// stubborn sends a request over a connection of its own and reads nothing before all of the body is sent, as a client, or a
// gateway, does that does not look for an early reply.
func (a *api) stubborn(path, contentType string, body io.Reader, length int64) *reply {
	a.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(a.t.Context(), "tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	req := a.request(http.MethodPost, path, contentType, io.NopCloser(body))
	req.ContentLength = length
	req.Header.Set("User-Agent", "stubborn")
	if err := req.Write(conn); err != nil {
		a.t.Fatalf("POST %s: the server hung up on a client that was still sending: %v", path, err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		a.t.Fatalf("POST %s: no reply: %v", path, err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	r := &reply{t: a.t, asked: path, status: res.StatusCode, header: res.Header, body: text}
	r.check()
	return r
}

func TestBodiesOverTheLimitAreRefusedByAReplyThatClientsCanRead(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		a = a.as(bearer(a.token()))
		const formType = "multipart/form-data; boundary=b"
		p := small(newDevice(), noon, 1)
		part := "--b\r\nContent-Disposition: form-data; name=\"" + p.name() + "\"; filename=\"x.jpg\"\r\n\r\n"
		for _, test := range []struct {
			name, path, contentType, start, end string
			fill                                byte
			length                              int64 // as the header says it; -1: it does not
		}{
			{"blanks", "/get_images/metadata", jsonType, "[", "]", ' ', maxBody + 1},
			{"blanks in chunks", "/get_images/metadata", jsonType, "[", "]", ' ', -1},
			{"a long string", "/put_users", jsonType, `[{"username":"`, `"}]`, 'a', maxBody + 1},
			{"a file", "/_put_new_images", formType, part, "\r\n--b--\r\n", 'x', maxBody + 1},
			{"a file in chunks", "/_put_new_images", formType, part, "\r\n--b--\r\n", 'x', -1},
		} {
			t.Run(test.name, func(t *testing.T) {
				a.within(t).stubborn(test.path, test.contentType, endless(test.start, test.fill, maxBody+1, test.end), test.length).
					refused(http.StatusRequestEntityTooLarge, "100 MB")
			})
		}
		bucketOf(t, a.Stack).nothingOf(p.device)
		a.stubborn("/get_images/metadata", jsonType, endless("[", ' ', maxBody, "]"), maxBody).ok() // the largest that is taken
	})
}

func TestRefusalsComeAfterTheBodyWasRead(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		reader := a.newUser(readOnly)
		const length = 8 << 20
		for name, test := range map[string]struct {
			login  login
			path   string
			status int
		}{
			"not logged in":      {nobody, "/_put_new_images", http.StatusUnauthorized},
			"read only":          {basic(reader, userPassword), "/_put_new_images", http.StatusForbidden},
			"no such endpoint":   {nobody, "/put_new_images", http.StatusNotFound},
			"no such picture":    {a.login, "/get_images/poster", http.StatusBadRequest},
			"no multipart":       {a.login, "/_put_new_images", http.StatusUnsupportedMediaType},
			"JSON of other type": {a.login, "/get_images/metadata", http.StatusUnsupportedMediaType},
		} {
			t.Run(name, func(t *testing.T) {
				for _, declared := range []int64{length, -1} {
					a.within(t).as(test.login).stubborn(test.path, "text/plain", endless("[", ' ', length, "]"), declared).refused(test.status)
				}
			})
		}
	})
}

func TestPathsMethodsAndTypes(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		a = a.mistaken()
		for _, path := range append(slices.Clone(listEndpoints), "/get_token", "/_put_new_images") {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, "BREW"} {
				r := a.send(a.request(method, path, "", http.NoBody)).refused(http.StatusMethodNotAllowed)
				same(t, "Allow of "+path, http.MethodPost, r.header.Get("Allow"))
			}
		}
		for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml"} {
			r := a.post(path, "").refused(http.StatusMethodNotAllowed)
			if allow := r.header.Get("Allow"); !strings.HasPrefix(allow, http.MethodGet) {
				t.Errorf("Allow of %s is %q", path, allow)
			}
		}
		for _, path := range []string{
			"/", "/nothing", "/get_images", "/get_images/", "/get_images/metadata/", "/get_images/metadata/x", "/get_token/", "/GET_TOKEN", "//get_token",
			"/put_new_images", "/metrics", "/debug/pprof/", "/..%2f..%2fetc/passwd", "/get_images/%2e%2e", "/%00", "/%ff", "/" + strings.Repeat("a", 8000),
		} {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				r := a.send(a.request(method, path, "", http.NoBody))
				if path == "/get_images/%2e%2e" && r.status != http.StatusNotFound {
					continue // ".." is a kind of picture like any other that there is not
				}
				r.refused(http.StatusNotFound)
			}
		}
		for _, what := range []string{"poster", "Metadata", "thumbnail-", "images", "%25", "'"} {
			a.post("/get_images/"+what, "[]").refused(http.StatusBadRequest)
			a.post("/get_image_series/"+what, "[]").refused(http.StatusBadRequest)
		}
		for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/jsonx", ";;;"} {
			for _, path := range listEndpoints {
				a.send(a.request(http.MethodPost, path, contentType, strings.NewReader("[]"))).refused(http.StatusUnsupportedMediaType)
			}
		}
		for _, contentType := range []string{jsonType, "", "text/plain", "image/jpeg", "multipart/mixed; boundary=b", "multipart/form-data"} {
			a.send(a.request(http.MethodPost, "/_put_new_images", contentType, strings.NewReader("[]"))).refused(http.StatusUnsupportedMediaType)
		}
		for _, contentType := range []string{"Application/JSON", "application/json;charset=UTF-8", "application/vnd.spi+json"} {
			a.send(a.request(http.MethodPost, "/get_images/metadata", contentType, strings.NewReader("[]"))).ok()
		}
	})
}

func TestRequestsHaveAnID(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		for _, id := range []string{"0123456789abcdef", "A-b_c.9", strings.Repeat("a", 64)} {
			req := a.request(http.MethodPost, "/get_token", "", http.NoBody)
			req.Header.Set("X-Request-Id", id)
			same(t, "id", id, a.send(req).header.Get("X-Request-Id"))
			// the line is written after the reply, and comes to the test through a pipe
			awaitThat(t, "the log has the id "+id, func() (string, bool) { return "", strings.Contains(a.Log(), id) })
		}
		seen := map[string]bool{}
		for _, id := range []string{"", "", "a b", "a\"b", "<script>", "ünsafe", strings.Repeat("a", 65)} {
			req := a.request(http.MethodPost, "/get_token", "", http.NoBody)
			req.Header.Set("X-Request-Id", id)
			got := a.send(req).header.Get("X-Request-Id")
			if got == id || got == "" || seen[got] {
				t.Errorf("for id %q the server gives %q", id, got)
			}
			seen[got] = true
		}
	})
}

func TestLargeRepliesAreCompressedForThoseWhoAsk(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		device := newDevice()
		var photos []photo
		for i := range 12 {
			photos = append(photos, small(device, noon.Add(time.Duration(i)*time.Minute), 1))
		}
		a.put(photos...)
		body := `[{"device":"` + device + `","start_datetime":"2021-05-04","end_datetime":"2021-05-05"}]`
		ask := func(accept, body string) *reply {
			req := a.request(http.MethodPost, "/get_image_series/image", jsonType, strings.NewReader(body))
			req.Header.Set("Accept-Encoding", accept) // set by hand, net/http does not unpack
			return a.send(req).ok()
		}
		plain, packed := ask("identity", body), ask("gzip", body)
		same(t, "Content-Encoding for identity", "", plain.header.Get("Content-Encoding"))
		same(t, "Content-Encoding for gzip", "gzip", packed.header.Get("Content-Encoding"))
		if !strings.Contains(packed.header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("Vary is %q", packed.header.Get("Vary"))
		}
		if len(packed.body) >= len(plain.body) {
			t.Errorf("%d bytes are compressed to %d", len(plain.body), len(packed.body))
		}
		if !bytes.Equal(plain.body, gunzip(t, packed.body)) {
			t.Error("the compressed reply is another")
		}
		same(t, "rows", len(photos), len(plain.rows()))
		same(t, "Content-Encoding of a short reply", "", ask("gzip", "[]").header.Get("Content-Encoding"))
	})
}

func TestHealth(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		newCaller(t, a.Stack).awaitReady(t) // of a busy machine it may say for a moment that its parts do not answer in time
		a = a.as(nobody)
		same(t, "healthz", `{"alive":true}`, string(a.get("/healthz").ok().body))
		ready := strings.TrimSpace(string(a.get("/readyz").ok().body))
		same(t, "readyz", `{"ready":true,"checks":{"database":"ok","s3":"ok"}}`, ready)
	})
}

func TestAConnectionThatBreaksStoresNothing(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		p := small(newDevice(), noon, 1)
		contentType, body := form(t, v2(p.name(), p.data)...)
		for _, sent := range []int{len(body) / 2, len(body) - 2} {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(a.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			req := a.request(http.MethodPost, "/_put_new_images", contentType, io.NopCloser(io.MultiReader(bytes.NewReader(body[:sent]), broken{})))
			req.ContentLength = int64(len(body))
			if err := req.Write(conn); err == nil {
				t.Fatal("all of the body was sent")
			}
			_ = conn.Close()
		}
		// an upload of the same image has the place to itself
		if rows := a.call("/get_images/metadata", p.key(0)).rows(); len(rows) > 0 {
			t.Errorf("stored: %v", rows)
		}
		wantRow(t, "upload afterwards", p, 0, "admin", a.put(p)[0])
	})
}

var errBroken = errors.New("the client breaks the connection")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }
