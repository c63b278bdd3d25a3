package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func requestOf(t testing.TB, body io.Reader, contentType string) *gin.Context {
	t.Helper()
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body)
	if contentType != "" {
		c.Request.Header.Set("Content-Type", contentType)
	}
	return c
}

type read struct {
	Device string
	Time   time.Time
	Flag   bool
}

func readAll(c *gin.Context) ([]read, spi.DateFormat, error) {
	var got []read
	format, err := elements(c, func(e *element) error {
		got = append(got, read{e.text("device", 8), e.datetime("datetime"), e.flag("flag", true)})
		return nil
	})
	return got, format, err
}

func TestElementsAreReadInEveryFormThatClientsSend(t *testing.T) {
	at := time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)
	one := []read{{"5c173ff2", at, true}}
	for _, c := range []struct {
		name, body, contentType string
		want                    []read
		format                  spi.DateFormat
	}{
		{"nothing", "", "", nil, spi.DateV2},
		{"nothing, said to be JSON", "", "application/json", nil, spi.DateV2},
		{"nothing, sent by a form", "", "application/x-www-form-urlencoded", nil, spi.DateV2},
		{"blanks", " \n", "application/json", nil, spi.DateV2},
		{"null", "null", "application/json", nil, spi.DateV2},
		{"an empty list", "[]", "application/json", nil, spi.DateV2},
		{"v1", `[{"device":"5c173ff2","datetime":"2020-06-20_21-33-24"}]`, "application/json", one, spi.DateV1},
		{"v2", `[{"device":"5c173ff2","datetime":"2020-06-20T21:33:24Z"}]`, "application/json; charset=utf-8", one, spi.DateV2},
		{"no type", `[{"device":"5c173ff2","datetime":"2020-06-20_21-33-24"}]`, "", one, spi.DateV1},
		{
			"the first date that has a format counts", `[{"device":"a","datetime":"2020-06-20","flag":0},{"device":"b","datetime":"2020-06-20_00-00-00","flag":null,"more":[{}]},{"device":"c","datetime":"2020-06-20T00:00:00Z","flag":false}]`,
			"application/json", []read{{"a", at.Truncate(24 * time.Hour), false}, {"b", at.Truncate(24 * time.Hour), true}, {"c", at.Truncate(24 * time.Hour), false}}, spi.DateV1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, format, err := readAll(requestOf(t, strings.NewReader(c.body), c.contentType))
			if diff := cmp.Diff(c.want, got); diff != "" || format != c.format || err != nil {
				t.Errorf("format %v, error %v\n%s", format, err, diff)
			}
		})
	}
}

func TestAMistakeNamesTheElementAndTheField(t *testing.T) {
	const good = `{"device":"5c173ff2","datetime":"2020-06-20"}`
	for _, c := range []struct {
		body    string
		message string
	}{
		{`[` + good + `,{"datetime":"2020-06-20"}]`, "element 1: device: is missing"},
		{`[{"device":null,"datetime":"2020-06-20"}]`, "element 0: device: must be a string, not null"},
		{`[{"device":{"a":1},"datetime":"2020-06-20"}]`, "element 0: device: must be a string, not an object"},
		{`[{"device":12345678,"datetime":"2020-06-20"}]`, "element 0: device: must be a string, not a number"},
		{`[{"device":"123456789","datetime":"2020-06-20"}]`, "element 0: device: is longer than 8 characters"},
		{`[{"device":"a","datetime":"yesterday"}]`, `element 0: datetime: "yesterday" is not a date`},
		{`[{"device":"a","datetime":"2020-02-30"}]`, `element 0: datetime: "2020-02-30" is not a date`},
		{`[{"device":"a","datetime":"2020-06-20","flag":"yes"}]`, "element 0: flag: must be true, false, 1 or 0, not a string"},
		{`[[]]`, "element 0: must be an object, not a list"},
		{`[` + good + `,null]`, "element 1: must be an object, not null"},
		{good, "must be a JSON list"},
		{`"text"`, "must be a JSON list"},
		{`[` + good, "ends too early"},
		{`[` + good + `] []`, "goes on after"},
		{`null null`, "goes on after"},
		{`[{"device":}]`, "not valid JSON"},
		{`not json`, "not valid JSON"},
	} {
		_, _, err := readAll(requestOf(t, strings.NewReader(c.body), "application/json"))
		var e *spi.Error
		if !errors.As(err, &e) || e.Code != spi.CodeInvalid || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s: got %v, want %q", c.body, err, c.message)
		}
	}
	_, _, err := readAll(requestOf(t, strings.NewReader("a=b"), "application/x-www-form-urlencoded"))
	if err == nil || spi.CodeOf(err) != spi.CodeUnsupportedMedia {
		t.Errorf("a form: got %v", err)
	}
}

func TestABodyThatCameTooSlowlyIsToBeSentAgain(t *testing.T) {
	list := func(body io.Reader) error {
		_, err := elements(requestOf(t, body, "application/json"), func(*element) error { return nil })
		return err
	}
	form := func(body io.Reader) error {
		_, err := readForm(body, "b", -1, 1000)
		return err
	}
	const part = "--b\r\nContent-Disposition: form-data; name=\"a.jpg\"\r\n\r\nits begin"
	for begun, read := range map[string]func(io.Reader) error{"": list, "[": list, `[{"device":"5c`: list, "--": form, part: form} {
		late := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
		err := read(io.MultiReader(strings.NewReader(begun), iotest.ErrReader(late)))
		if err == nil || spi.CodeOf(err) != spi.CodeUnavailable || !strings.Contains(err.Error(), "too slowly") {
			t.Errorf("%q, and nothing more: %v", begun, err)
		}
	}
}

func TestListsAreBounded(t *testing.T) {
	long := `"` + strings.Repeat("x", maxElementSize+64<<10) + `"`
	for name, c := range map[string]struct {
		body    string
		message string
	}{
		"a string that does not end":   {`[{"device":` + long[:len(long)-1], "element 0: is larger than 1 MB"},
		"a large element":              {`[{"device":"a"},{"device":` + long + `}]`, "element 1: is larger than 1 MB"},
		"a large element of no fields": {`[` + strings.Repeat("1", 2*maxElementSize), "element 0: is larger than 1 MB"},
		"too many elements":            {`[{}` + strings.Repeat(",{}", maxElements) + `]`, "more than 250000 elements"},
	} {
		_, err := elements(requestOf(t, strings.NewReader(c.body), ""), func(*element) error { return nil })
		var e *spi.Error
		if !errors.As(err, &e) || e.Code != spi.CodeTooLarge || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := elements(requestOf(t, strings.NewReader(`[{}`+strings.Repeat(",{}", maxElements-1)+`]`), ""), func(*element) error { return nil }); err != nil {
		t.Errorf("as many as may be: %v", err)
	}
}

func TestListsOfAllRequestsTogetherAreBounded(t *testing.T) {
	a := &api{lists: newListRoom(4*listStep, 3*listStep)}
	read := func(user int64, steps int) (func(), error) {
		body := `[{}` + strings.Repeat(",{}", steps*listStep/elementMemory) + `]` // beside the step that is free
		c := requestOf(t, strings.NewReader(body), "")
		done := a.hold(c, user)
		_, err := elements(c, func(*element) error { return nil })
		return done, err
	}
	const one, other = 1, 2
	for range 2 { // the second time shows that all was given back
		first, err := read(one, 2)
		if err != nil {
			t.Fatal(err)
		}
		second, err := read(one, 2)
		if err == nil || spi.CodeOf(err) != spi.CodeRateLimited {
			t.Errorf("with too little left of the user's: %v", err)
		}
		second()
		third, err := read(other, 1)
		if err != nil {
			t.Errorf("another user: %v", err)
		}
		fourth, err := read(other, 2)
		if err == nil || spi.CodeOf(err) != spi.CodeUnavailable {
			t.Errorf("with too little left of all: %v", err)
		}
		fourth()
		third()
		first()
	}
	if len(a.lists.users) > 0 {
		t.Errorf("users of no request: %v", a.lists.users)
	}
}

func TestTheLargestListsFitWhatOneUserMayHold(t *testing.T) {
	const key = `{"device":"5c173ff2","datetime":"2020-06-20T21:33:24Z"},`
	if all := maxElements * (len(key) + elementMemory); all > userListBytes {
		t.Errorf("as many keys as a request may have take %d bytes, more than %d", all, userListBytes)
	}
}

func FuzzElements(f *testing.F) {
	for _, s := range []string{
		"", "null", "[]", `[{"device":"a","datetime":"2020-06-20","flag":1}]`, `[{"device":"\u0000\ud800","datetime":"2020-06-20_00-00-00"}]`,
		`[{"device":1e999}]`, `[[[[[[`, `{"a":`, "\xff\xfe", `[{"device":"a","device":"b"}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, _, err := readAll(requestOf(t, bytes.NewReader(body), "application/json"))
		if err != nil {
			var e *spi.Error
			if !errors.As(err, &e) || e.Code != spi.CodeInvalid && e.Code != spi.CodeTooLarge {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		for _, r := range got {
			if len([]rune(r.Device)) > 8 {
				t.Fatalf("%q: device %q", body, r.Device)
			}
		}
	})
}

func formOf(t testing.TB, parts ...[2]string) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		out, err := w.CreateFormFile(p[0], "ignored.jpg")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, p[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

func TestAFormKeepsItsFilesInOrderInMemoryOrOnDisk(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", inMemory/16+1)
	sum := strings.Repeat("0", 32)
	body, contentType := formOf(t,
		[2]string{"b.jpg", "small"}, [2]string{"a.jpg", large}, [2]string{"b.jpg.md5", sum + "\n"}, [2]string{"c.jpg", ""}, [2]string{"d.jpg", "more"},
		[2]string{"e.jpg", large})
	f, err := multipartForm(requestOf(t, bytes.NewReader(body), contentType), inMemory)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	var got []string
	for i := range f.files {
		b, err := f.files[i].bytes()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d %t", f.files[i].name, len(b), f.files[i].spool != nil))
		if f.files[i].size > 10 && string(b) != large {
			t.Error("the bytes on disk are others")
		}
	}
	want := []string{"b.jpg 5 false", fmt.Sprintf("a.jpg %d true", len(large)), "c.jpg 0 false", "d.jpg 4 false", fmt.Sprintf("e.jpg %d true", len(large))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"b.jpg": sum}, f.md5); diff != "" {
		t.Error(diff)
	}
}

func TestAFormMayBeCutAnywhereAndIsThenRefused(t *testing.T) {
	body, contentType := formOf(t, [2]string{"a.jpg", "bytes"}, [2]string{"b.jpg", "more"})
	body = body[:len(body)-2] // the last line's end is optional
	for n := 1; n <= len(body); n++ {
		for memory, from := range map[int64]io.Reader{0: bytes.NewReader(body[:n]), inMemory: iotest.OneByteReader(bytes.NewReader(body[:n]))} {
			f, err := multipartForm(requestOf(t, from, contentType), memory)
			if whole := n == len(body); whole != (err == nil) {
				t.Errorf("%d of %d bytes: %v", n, len(body), err)
			}
			if f != nil {
				f.close()
			}
		}
	}
}

func TestABrokenFormIsRefused(t *testing.T) {
	body, contentType := formOf(t, [2]string{"a.jpg", "bytes"})
	twice, twiceType := formOf(t, [2]string{"a.jpg.md5", strings.Repeat("0", 32)}, [2]string{"a.jpg.md5", strings.Repeat("0", 32)})
	short, shortType := formOf(t, [2]string{"a.jpg.md5", "short"})
	long, longType := formOf(t, [2]string{strings.Repeat("a", maxPartName+1), "bytes"})
	for _, c := range []struct {
		name, body, contentType string
		code                    spi.Code
		message                 string
	}{
		{"cut in the middle", string(body[:len(body)/2]), contentType, spi.CodeInvalid, "ends too early"},
		{"cut before its end", string(body[:len(body)-6]), contentType, spi.CodeInvalid, "ends too early"},
		{"another boundary", string(body), "multipart/form-data; boundary=another", spi.CodeInvalid, "ends too early"},
		{"JSON", "[]", "application/json", spi.CodeUnsupportedMedia, "multipart/form-data"},
		{"no boundary", string(body), "multipart/form-data", spi.CodeUnsupportedMedia, "multipart/form-data"},
		{"a checksum twice", string(twice), twiceType, spi.CodeInvalid, "twice"},
		{"a checksum that is none", string(short), shortType, spi.CodeInvalid, "32 hexadecimal digits"},
		{"a long name", string(long), longType, spi.CodeInvalid, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := multipartForm(requestOf(t, strings.NewReader(c.body), c.contentType), inMemory)
			var e *spi.Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.message) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, contentType := range []string{"", "application/json", "multipart/form-data; boundary=x"} {
		f, err := multipartForm(requestOf(t, strings.NewReader(""), contentType), inMemory)
		if err != nil || len(f.files) != 0 {
			t.Errorf("nothing, as %q: %v, %v", contentType, f, err)
		}
	}
}

func FuzzForm(f *testing.F) {
	body, _ := formOf(f, [2]string{"a.jpg", "bytes"}, [2]string{"a.jpg.md5", strings.Repeat("0", 32)})
	f.Add(body, "x")
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"a.jpg\"\r\n\r\nbytes\r\n--x--\r\n"), "x")
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name*=utf-8''%00\r\n\r\n\r\n--x--"), "x")
	f.Add([]byte("--x\r\n\r\n\r\n--x\r\n--x--"), "x")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		form, err := readForm(bytes.NewReader(body), boundary, int64(len(body)), 3)
		if err != nil {
			var e *spi.Error
			if !errors.As(err, &e) || e.Code != spi.CodeInvalid {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		defer form.close()
		total := 0
		for i := range form.files {
			b, err := form.files[i].bytes()
			if err != nil {
				t.Fatal(err)
			}
			total += len(b)
		}
		if total > len(body) {
			t.Fatalf("%d bytes of files in a form of %d", total, len(body))
		}
	})
}

func TestABodyMayHoldAsMuchAsTheLimitAndNotAByteMore(t *testing.T) {
	for _, c := range []struct {
		size int64
		err  error
	}{{10, nil}, {11, errTooLarge}, {1000, errTooLarge}} {
		b := &boundedBody{ReadCloser: io.NopCloser(bytes.NewReader(make([]byte, c.size))), left: 10}
		got, err := io.ReadAll(b)
		if len(got) != 10 || !errors.Is(err, c.err) {
			t.Errorf("%d bytes: got %d, %v", c.size, len(got), err)
		}
		if _, err := b.Read(make([]byte, 1)); c.err != nil && !errors.Is(err, errTooLarge) {
			t.Errorf("%d bytes: after the end: %v", c.size, err)
		}
	}
}
