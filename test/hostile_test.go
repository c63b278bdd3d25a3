package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// hostileValues are raw JSON values that no field of a request is for.
var hostileValues = map[string]string{
	"null": `null`, "true": `true`, "zero": `0`, "negative": `-1`, "fraction": `0.1`, "beyond float64": `1e999`,
	"beyond int64": `9223372036854775808`, "long number": `1` + strings.Repeat("0", 5000), "tiny": `1e-999`,
	"list": `[]`, "list of lists": `[[["a"]]]`, "object": `{}`, "object in an object": `{"device":{"datetime":{}}}`,
	"deep list": strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
	"too deep":  strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
	"empty":     `""`, "blank": `" "`, "quote": `"'"`, "double quote": `"\""`, "backslash": `"\\"`, "backslash at the end": `"a\\"`,
	"comment": `"' -- "`, "statement": `"'; DROP TABLE images; -- "`, "tautology": `"' OR '1'='1"`, "union": `"' UNION SELECT password_hash FROM users -- "`,
	"hex literal": `"0x27"`, "sleep": `"1' AND SLEEP(5) AND '1'='1"`, "wildcard": `"%"`, "wildcards": `"` + strings.Repeat("%_", 100) + `"`,
	"one character": `"_"`, "regular expression": `"(a+)+$"`, "template": `"{{7*7}}${7*7}"`, "path": `"../../etc/passwd"`, "format": `"%s%n%d%!v"`,
	"NUL": `"a\u0000b"`, "control": `"\u0001\u001b[31m\r\n"`, "lone surrogate": `"\ud800"`, "replacement": `"\ufffd"`,
	"emoji": `"🦟🪰"`, "combining": `"Z̷̧̛a̴lgo"`, "right to left": `"\u202eabc"`, "invalid UTF-8": "\"\xff\xfe\xc0\x80\"", "overlong": "\"\xc0\xaf\"",
	"huge string": `"` + strings.Repeat("a", 1<<20) + `"`, "257 characters": `"` + strings.Repeat("a", 257) + `"`,
	"date out of range": `"2021-02-30_00-00-00"`, "year 0": `"0000-01-01_00-00-00"`, "year 9999": `"9999-12-31T23:59:59Z"`, "leap second": `"2016-12-31T23:59:60Z"`,
	"date with zone": `"2021-01-01T00:00:00+01:00"`, "Arabic digits": `"٢٠٢١-٠١-٠١"`, "HTML": `"<script>alert(1)</script>"`,
}

// requestFields are the fields of every endpoint's elements, with a value that is right.
var requestFields = []struct {
	path   string
	fields []string
	right  func() row
}{
	{"/get_images/metadata", []string{"device", "datetime"}, func() row { return row{"device": "00000000", "datetime": "2021-05-04_12-00-00"} }},
	{"/get_images/image", []string{"device", "datetime"}, func() row { return row{"device": "00000000", "datetime": "2021-05-04_12-00-00"} }},
	{"/get_image_series/metadata", []string{"device", "start_datetime", "end_datetime"}, func() row {
		return row{"device": "00000000", "start_datetime": "2021-05-04_12-00-00", "end_datetime": "2021-05-04_12-00-00"}
	}},
	// of a time at which there is no image, so that a device that is a pattern deletes nothing
	{"/delete_images", []string{"device", "datetime"}, func() row { return row{"device": "00000000", "datetime": "2019-11-01_00-00-01"} }},
	{"/get_users", []string{"id", "username", "email", "is_admin", "can_write", "api_user", "api_version", "datetime_created"}, func() row { return row{} }},
	{"/put_users", []string{"username", "password", "email", "is_admin", "can_write"}, func() row {
		return row{"username": newName("hostile"), "password": "x"}
	}},
	// with a second field that no user has, so that a pattern deletes nobody
	{"/delete_users", []string{"id", "username", "email", "is_admin", "can_write", "api_user", "api_version"}, func() row {
		return row{"datetime_created": "never"}
	}},
	{"/reset_password", []string{"username", "password"}, func() row { return row{"username": "no such user", "password": "x"} }},
}

// bodyWith is a list of one element, whose field has the raw value.
func bodyWith(t *testing.T, element row, field, value string) string {
	t.Helper()
	delete(element, field)
	rest, err := json.Marshal(element)
	if err != nil {
		t.Fatal(err)
	}
	if len(element) == 0 {
		return `[{"` + field + `":` + value + `}]`
	}
	return `[{"` + field + `":` + value + `,` + string(rest[1:]) + `]`
}

func TestNoFieldOfARequestGetsPastItsChecks(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		by := a.newUser(admin)
		a, asAdmin := a.as(bearer(a.as(basic(by, userPassword)).token())).mistaken(), a
		before := a.post("/get_users", `[{"username":"`+stack.AdminName+`"}]`).only()
		for _, endpoint := range requestFields {
			for _, field := range endpoint.fields {
				t.Run(endpoint.path+" "+field, func(t *testing.T) {
					for name, value := range hostileValues {
						r := a.within(t).post(endpoint.path, bodyWith(t, endpoint.right(), field, value))
						switch r.status {
						case http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict:
						default:
							t.Errorf("%s: %d %.300s", name, r.status, r.body)
						}
						if r.status == http.StatusBadRequest && name != "too deep" && name != "beyond float64" {
							r.refused(http.StatusBadRequest, "element 0", field)
						}
					}
					asAdmin.within(t).call("/delete_users", row{"api_user": by}).ok()
				})
			}
		}
		same(t, "admin", before, a.post("/get_users", `[{"username":"`+stack.AdminName+`"}]`).only())
		a.as(basic(stack.AdminName, stack.AdminPassword)).token()
	})
}

func TestHostileTextIsKeptAsItIsOrRefused(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		a = a.as(bearer(a.token())).mistaken()
		for name, value := range hostileValues {
			if !strings.HasPrefix(value, `"`) || len(value) > 40 {
				continue
			}
			t.Run(name, func(t *testing.T) {
				a := a.within(t)
				user := newName("e")
				r := a.post("/put_users", bodyWith(t, row{"username": user, "password": "x"}, "email", value))
				if r.status != http.StatusOK {
					r.refused(http.StatusBadRequest, "element 0", "email")
					return
				}
				var want string
				if err := json.Unmarshal([]byte(value), &want); err != nil {
					t.Fatal(err)
				}
				got := a.call("/get_users", row{"username": user}).only()
				same(t, "email", want, got.text("email"))
				a.call("/delete_users", row{"username": user}).only()
			})
		}
	})
}

func TestBodiesThatAreNoListOfObjectsAreRefused(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		a = a.as(bearer(a.token())).mistaken()
		for name, body := range map[string]string{
			"object": `{}`, "string": `"a"`, "number": `1`, "boolean": `true`, "list of numbers": `[1]`, "list of nulls": `[null]`, "list of lists": `[[]]`,
			"cut short": `[{"device":`, "list not closed": `[`, "element not closed": `[{}`, "comma at the end": `[{},]`, "single quotes": `[{'a':1}]`,
			"two lists": `[] []`, "null and more": `null 1`, "garbage after": `[]x`, "NaN": `[{"device":NaN}]`, "byte order mark": "\ufeff[]",
			"invalid UTF-8": "\xff\xfe", "NUL": "\x00", "deep": strings.Repeat("[", 100_000), "deep objects": "[" + strings.Repeat(`{"a":`, 100_000),
			"HTML": "<html>", "form": "device=a&datetime=b",
		} {
			t.Run(name, func(t *testing.T) {
				for _, path := range listEndpoints {
					a.within(t).post(path, body).refused(http.StatusBadRequest)
				}
			})
		}
	})
}

// hostileFiles are files that must be refused, each with a word of the reason.
func hostileFiles() map[string]struct {
	data []byte
	why  string
} {
	whole := spitest.JPEG(spitest.Photo{Width: 320, Height: 240, Seed: 1})
	picture := spitest.Picture(spitest.Photo{Width: 64, Height: 48})
	withMake := func(text string) []byte { return spitest.WithEXIF(picture, spitest.EXIF(text, "")) }
	withComment := func(text string) []byte { return spitest.WithEXIF(picture, spitest.EXIF("RaspberryPi", text)) }
	sized := func(width, height int) []byte {
		return withSize(whole, width, height)
	}
	type file = struct {
		data []byte
		why  string
	}
	return map[string]file{
		"empty":            {nil, "empty"},
		"a byte":           {[]byte{0xff}, "JPEG"},
		"text":             {[]byte("this is no picture"), "JPEG"},
		"PNG":              {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"), "JPEG"},
		"markers alone":    {[]byte{0xff, 0xd8, 0xff, 0xd9}, ""},
		"half":             {whole[:len(whole)/2], "cut short"},
		"a byte missing":   {whole[:len(whole)-1], "cut short"},
		"without its end":  {whole[:len(whole)-2], "cut short"},
		"60000 x 60000":    {sized(60_000, 60_000), "megapixels"},
		"65535 x 1":        {sized(65_535, 1), ""},
		"0 x 0":            {sized(0, 0), ""},
		"larger than told": {sized(3000, 2000), ""},
		"no EXIF":          {picture, "EXIF"},
		"EXIF of a phone":  {withMake("Apple"), "EXIF"},
		"EXIF of noise":    {spitest.WithEXIF(picture, bytes.Repeat([]byte{0xff}, 5000)), "EXIF"},
		"EXIF in a loop":   {spitest.WithEXIF(picture, []byte("MM\x00\x2a\x00\x00\x00\x08\x00\x01\x87\x69\x00\x04\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x08")), "EXIF"},
		"code in Make":     {withMake("{'temp': __import__('os').system('true')}"), "Make"},
		"nested Make":      {withMake("{'temp': " + strings.Repeat("(", 20_000) + strings.Repeat(")", 20_000) + "}"), "Make"},
		"Make cut short":   {withMake("{'temp': 21.9, 'hum'"), "Make"},
		"text for number":  {withMake("{'temp': 'warm', 'hum': 1.0}"), "temp"},
		"huge power":       {withMake("{'temp': 9**9**9**9}"), "Make"},
		"long comment":     {withComment("v,T,H,B,L,lat,lng,a,l,b\n" + strings.Repeat("1,", 10_000)), "UserComment"},
		"values missing":   {withComment("v,T,H,B,L,lat,lng,a,l,b"), "UserComment"},
		"version too long": {withComment("v,T,H\n" + strings.Repeat("3", 40) + ",1,2"), "UserComment"},
	}
}

// withSize changes the size that a JPEG declares.
func withSize(file []byte, width, height int) []byte {
	out := bytes.Clone(file)
	i := bytes.Index(out, []byte{0xff, 0xc0})
	copy(out[i+5:], []byte{byte(height >> 8), byte(height), byte(width >> 8), byte(width)})
	return out
}

// residentMB is how much memory the process has.
func residentMB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kB >> 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func TestHostileFilesAreRefusedWithAReasonAndInLittleMemory(t *testing.T) {
	// mostMB is far below the 10 GB that a picture of 60000 x 60000 would take, and above what the collector of a server
	// with the race detector leaves lying around.
	const mostMB = 300
	each(t, func(t *testing.T, a *api) {
		a = a.as(bearer(a.token()))
		one := small(newDevice(), noon, 1)
		a.put(one)
		before := residentMB(t, a.PID())
		for name, file := range hostileFiles() {
			t.Run(name, func(t *testing.T) {
				a := a.within(t)
				device := newDevice()
				fileName := spitest.Name(device, noon)
				for range 3 {
					a.upload(v2(fileName, file.data)...).refused(http.StatusBadRequest, fileName, file.why)
				}
				if rows := a.call("/get_image_series/metadata", row{"device": device, "start_datetime": "2019-01-01", "end_datetime": "2099-01-01"}).rows(); len(rows) > 0 {
					t.Errorf("stored: %v", rows)
				}
				bucketOf(t, a.Stack).nothingOf(device)
			})
		}
		if after := residentMB(t, a.PID()); after-before > mostMB {
			t.Errorf("the server grew from %d MB to %d MB", before, after)
		}
	})
}

func TestUnusualPicturesAreTaken(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		m := spitest.Metadata(spitest.First, 1)
		failed := m
		failed.Temp, failed.Hum = number(-999), number(-1)
		for name, p := range map[string]spitest.Photo{
			"1 x 1": {Width: 1, Height: 1}, "1 x 2000": {Width: 1, Height: 2000}, "2000 x 1": {Width: 2000, Height: 1},
			"grey": {Width: 50, Height: 50, Grey: true}, "failed sensors": {Width: 64, Height: 48, Metadata: failed},
		} {
			t.Run(name, func(t *testing.T) {
				a := a.within(t)
				if p.Metadata == (spi.Image{}) {
					p.Metadata = m
				}
				stored := photo{newDevice(), noon, spitest.JPEG(p), p.Width, p.Height, p.Metadata}
				wantRow(t, name, stored, spi.DateV2, stack.AdminName, a.put(stored)[0])
				fetch(t, a.pictureURL("thumbnail-mini", stored))
			})
		}
	})
}

func TestWrongFileNamesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		data := small("00000000", noon, 1).data
		for _, name := range []string{
			"image.jpg", "0a5bb6f4.jpg", "0a5bb6f4.2020-06-20_20-19-15", "0a5bb6f4.2020-06-20_20-19-15.png", "0a5bb6f4.2020-06-20_20-19-15.jpg.jpg",
			"0a5bb6f.2020-06-20_20-19-15.jpg", "0a5bb6fg.2020-06-20_20-19-15.jpg", "0a5bb6f44.2020-06-20_20-19-15.jpg", "%%%%%%%%.2020-06-20_20-19-15.jpg",
			"0a5bb6f4.2020-06-20T20:19:15Z.jpg", "0a5bb6f4.2020-06-31_20-19-15.jpg", "0a5bb6f4.2020-06-20_24-00-00.jpg", "0a5bb6f4.2020-06-20.jpg",
			"0a5bb6f4.2019-10-31_23-59-59.jpg", "../../0a5bb6f4.2020-06-20_20-19-15.jpg", "raw_images/0a5bb6f4.2020-06-20_20-19-15.jpg", "0a5bb6f4.2020-06-20_20-19-15.jpg/",
			"0a5bb6f4.2020-06-20_20-19-15.jpg\x00", "'; DROP TABLE images; --", "🦟", "\xff\xfe", strings.Repeat("a", 200), strings.Repeat("a", 2000), " ", ".", "..",
		} {
			if !strings.Contains(name, "\x00") {
				a.upload(v1(name, data)).refused(http.StatusBadRequest)
			} else {
				a.mistaken().upload(v1(name, data)).refused(http.StatusBadRequest)
			}
		}
		device := newDevice()
		for i, suffix := range []string{".JPG", ".jpeg", ".Jpeg"} {
			p := small(device, noon.Add(time.Duration(i)*time.Hour), 1)
			got := a.upload(v2(strings.TrimSuffix(p.name(), ".jpg")+suffix, p.data)...).only()
			wantRow(t, suffix, p, spi.DateV2, stack.AdminName, got)
			fetch(t, a.pictureURL("image", p))
		}
	})
}

func TestDatesBeyondTheCalendarOfTheDatabaseFindNothing(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		for _, date := range []string{"0000-01-01_00-00-00", "0001-01-01T00:00:00Z", "9999-12-31_23-59-59", "0999-12-31"} {
			if rows := a.call("/get_images/metadata", row{"device": "%", "datetime": date}).rows(); len(rows) > 0 {
				t.Errorf("%s: %v", date, rows)
			}
		}
		p := small(newDevice(), noon, 1)
		a.put(p)
		got := a.call("/get_image_series/metadata", row{"device": p.device, "start_datetime": "0000-01-01", "end_datetime": "9999-12-31_23-59-59"}).rows()
		same(t, "images between the ends of time", []string{md5Hex(p.data)}, column(got, "md5"))
	})
}
