package test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// noise gives bytes that are the same each time for the same seed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // never fails
	return b
}

// offer is a file as clients offer it.
func offer(bundle, key string, data []byte, mtime float64) row {
	return row{"bundle_name": bundle, "key": key, "md5": md5Hex(data), "mtime": mtime}
}

// postFile uploads a file as today's clients do: a form of all the fields, then the file.
func postFile(t *testing.T, link row, data []byte) (status int, answer string) {
	t.Helper()
	where := link["url"].(map[string]any)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for name, value := range where["fields"].(map[string]any) {
		if err := w.WriteField(name, value.(string)); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "model_final.pth")
	if err == nil {
		_, err = part.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, where["url"].(string), &form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// bundleFiles lists a bundle as clients do: the body is the name alone.
func (a *api) bundleFiles(what, bundle string) []row {
	a.t.Helper()
	name, err := json.Marshal(bundle)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.post("/_get_ml_bundle_file_list/"+what, string(name)).rows()
}

func TestFilesOfABundleGoInAndComeOutWhole(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		bundle := newName("bundle ")
		files := map[string][]byte{
			"output/model_final.pth": noise(1, 60<<20), "output/model.onnx": noise(2, 8<<20), "config/config.yaml": []byte("scale: 0.5\n"),
			"data/a b+c&d.svg": []byte("<svg/>"), "data/empty.txt": nil, "data/sub/ü.jpg": noise(3, 1000), "notes.txt": []byte("of the folder itself"),
		}
		var offers []row
		keys := make([]string, 0, len(files))
		for key := range files {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			o := offer(bundle, key, files[key], 1600000000.25)
			o["path"], o["more"] = "/client's/own/"+key, []any{1.0, row{"b": nil, "a": "é"}}
			offers = append(offers, o)
		}
		links := a.as(basic(stack.UIDName, stack.UIDPassword)).call("/_get_ml_bundle_upload_links", offers...).rows()
		same(t, "links, in the order of the elements", keys, column(links, "key"))
		for i, link := range links {
			echo := row{}
			for k, v := range link {
				if k != "url" {
					echo[k] = v
				}
			}
			var want row
			text, _ := json.Marshal(offers[i])
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			same(t, "what was offered", want, echo)
			if status, answer := postFile(t, link, files[link.text("key")]); status != http.StatusNoContent {
				t.Fatalf("upload of %s: %d %s", link.text("key"), status, answer)
			}
		}
		before := float64(time.Now().Add(-time.Hour).Unix())
		listed := a.bundleFiles("all", bundle)
		same(t, "files, by key", keys, column(listed, "key"))
		for _, f := range listed {
			key := f.text("key")
			same(t, "md5 of "+key, md5Hex(files[key]), f.text("md5"))
			same(t, "path of "+key, "ml/"+bundle+"/"+key, f.text("path"))
			if mtime, _ := f["mtime"].(float64); mtime < before {
				t.Errorf("mtime of %s is %v", key, f["mtime"])
			}
			if got := fetch(t, f.text("url")); md5Hex(got) != md5Hex(files[key]) {
				t.Errorf("%s: %d bytes came out, not those that went in", key, len(got))
			}
		}
		same(t, "the same list again", listed, a.bundleFiles("all", bundle))
		same(t, "data", []string{"config/config.yaml", "data/a b+c&d.svg", "data/empty.txt", "data/sub/ü.jpg"}, column(a.bundleFiles("data", bundle), "key"))
		same(t, "model", []string{"config/config.yaml", "output/model.onnx", "output/model_final.pth"}, column(a.bundleFiles("model", bundle), "key"))
		if body := string(a.post("/_get_ml_bundle_file_list/all", `"`+bundle+`"`).body); !strings.Contains(body, `"mtime":1`) || strings.Contains(body, `e+`) {
			t.Errorf("times: %.300s", body)
		}
	})
}

func TestOnlyWhatIsNewIsWanted(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		bundle := newName("bundle")
		old, changed := []byte("old"), []byte("new")
		link := a.call("/_get_ml_bundle_upload_links", offer(bundle, "data/a.txt", old, 1)).only()
		if status, answer := postFile(t, link, old); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, answer)
		}
		future := float64(time.Now().Add(24 * time.Hour).Unix())
		for _, test := range []struct {
			name   string
			offer  row
			wanted bool
		}{
			{"the same, older", offer(bundle, "data/a.txt", old, 1), false},
			{"the same, newer", offer(bundle, "data/a.txt", old, future), false},
			{"other bytes, older", offer(bundle, "data/a.txt", changed, 1), false},
			{"other bytes, newer", offer(bundle, "data/a.txt", changed, future), true},
			{"another key", offer(bundle, "data/b.txt", old, 1), true},
			{"another bundle", offer(bundle+"x", "data/a.txt", old, 1), true},
			{"the md5 in capitals", row{"bundle_name": bundle, "key": "data/a.txt", "md5": strings.ToUpper(md5Hex(old)), "mtime": future}, false},
		} {
			if got := len(a.call("/_get_ml_bundle_upload_links", test.offer).rows()) == 1; got != test.wanted {
				t.Errorf("%s: wanted %t", test.name, got)
			}
		}
		link = a.call("/_get_ml_bundle_upload_links", offer(bundle, "data/a.txt", changed, future)).only()
		postFile(t, link, changed)
		same(t, "md5", []string{md5Hex(changed)}, column(a.bundleFiles("all", bundle), "md5"))
		// a name is matched whole
		for _, other := range []string{bundle[:len(bundle)-1], bundle + "x", "%", "_", strings.ToUpper(bundle)} {
			if rows := a.bundleFiles("all", other); len(rows) > 0 {
				t.Errorf("%q lists %v", other, rows)
			}
		}
	})
}

func TestALinkIsForItsFileAlone(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		bundle := newName("bundle")
		data := []byte("data")
		link := func() row {
			return a.call("/_get_ml_bundle_upload_links", offer(bundle, "data/a.txt", data, 1)).only()
		}
		fields := func(l row) map[string]any { return l["url"].(map[string]any)["fields"].(map[string]any) }
		for _, key := range []string{"ml/" + bundle + "/data/b.txt", "raw_images/5c173ff2/x.jpg", "ml/" + bundle + "/data/a.txt2"} {
			l := link()
			fields(l)["key"] = key
			if status, _ := postFile(t, l, data); status/100 != 4 {
				t.Errorf("%s: status %d", key, status)
			}
		}
		l := link()
		fields(l)["x-amz-signature"] = strings.Repeat("0", 64)
		if status, _ := postFile(t, l, data); status/100 != 4 {
			t.Errorf("another signature: status %d", status)
		}
		if keys := bucketOf(t, a.Stack).below("ml/" + bundle + "/"); len(keys) > 0 {
			t.Errorf("stored: %v", keys)
		}
		if policy := fields(link())["policy"].(string); policy == "" {
			t.Error("no policy")
		}
	})
}

func TestNamesThatCouldLeaveTheirBundleAreRefused(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		wrong := a.mistaken()
		for _, name := range []string{"", ".", "..", "a/b", "../raw_images", "/", `a\b`, "a\x00b", ".hidden", " a", strings.Repeat("a", 65), "a\n"} {
			text, _ := json.Marshal(name)
			wrong.post("/_get_ml_bundle_file_list/all", string(text)).refused(400)
			wrong.call("/_get_ml_bundle_upload_links", offer(name, "data/a.txt", nil, 1)).refused(400, "element 0", "bundle_name")
		}
		for _, key := range []string{
			"", "/a.txt", "../a.txt", "data/../../b/a.txt", "data//a.txt", "data/./a.txt", "data/", `data\a.txt`, "data/a\x00.txt", "data/${filename}",
			strings.Repeat("k", 256), strings.Repeat("k/", 300) + "a.txt",
		} {
			wrong.call("/_get_ml_bundle_upload_links", offer("b", "data/ok.txt", nil, 1), offer("b", key, nil, 1)).refused(400, "element 1", "key")
		}
		for _, body := range []string{"", "null", "[]", `["b"]`, `{"bundle_name":"b"}`, "1", `"b`, `"b" "c"`} {
			wrong.post("/_get_ml_bundle_file_list/all", body).refused(400)
		}
		wrong.send(wrong.request(http.MethodPost, "/_get_ml_bundle_file_list/all", "text/plain", strings.NewReader(`"b"`))).refused(415)
		for name, value := range hostileValues {
			r := wrong.post("/_get_ml_bundle_file_list/all", value)
			if r.status != http.StatusOK && r.status != http.StatusBadRequest {
				t.Errorf("%s: %d %.200s", name, r.status, r.body)
			}
		}
		var many []row
		for range 17 {
			many = append(many, offer(newName("b"), "data/a.txt", nil, 1))
		}
		wrong.call("/_get_ml_bundle_upload_links", many...).refused(400, "element 16", "bundle_name")
	})
}

func TestBundlesAreReadByAllAndWrittenByThoseWhoMay(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		bundle := newName("bundle")
		reader := a.as(basic(a.newUser(readOnly), userPassword))
		reader.bundleFiles("all", bundle)
		reader.call("/_get_ml_bundle_upload_links", offer(bundle, "data/a.txt", nil, 1)).refused(403)
		a.as(nobody).post("/_get_ml_bundle_file_list/all", `"b"`).refused(401)
		a.as(nobody).post("/_get_ml_bundle_upload_links", `[]`).refused(401)
		a.as(basic(a.newUser(readWrite), userPassword)).call("/_get_ml_bundle_upload_links", offer(bundle, "data/a.txt", nil, 1)).only()
	})
}

func TestTheClientPushesAndPullsABundle(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		client, err := spi.New(a.URL, spi.WithPassword(stack.UIDName, stack.UIDPassword))
		if err != nil {
			t.Fatal(err)
		}
		from, to, bundle := t.TempDir(), t.TempDir(), newName("bundle")
		files := map[string][]byte{"config/config.yaml": []byte("a: 1\n"), "output/model.onnx": noise(4, 8<<20), "data/x.svg": []byte("<svg/>")}
		write := func(key string, data []byte) {
			path := filepath.Join(from, filepath.FromSlash(key))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for key, data := range files {
			write(key, data)
		}
		push := func(want ...string) {
			t.Helper()
			got, err := client.PushBundle(t.Context(), bundle, from, nil)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "pushed", want, got)
		}
		pull := func(part spi.BundlePart, want ...string) {
			t.Helper()
			got, err := client.PullBundle(t.Context(), bundle, part, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "pulled", want, got)
		}
		push("config/config.yaml", "data/x.svg", "output/model.onnx")
		push()
		pull(spi.BundleModel, "config/config.yaml", "output/model.onnx")
		pull(spi.WholeBundle, "data/x.svg")
		for key, data := range files {
			got, err := os.ReadFile(filepath.Join(to, filepath.FromSlash(key)))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v", key, len(got), err)
			}
		}
		write("config/config.yaml", []byte("a: 2\n"))
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(filepath.Join(from, "config", "config.yaml"), later, later); err != nil {
			t.Fatal(err)
		}
		push("config/config.yaml")
		pull(spi.WholeBundle, "config/config.yaml")
		pull(spi.WholeBundle)
	})
}
