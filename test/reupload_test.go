package test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// together sends requests at the same time.
func (a *api) together(requests []*http.Request) []*reply {
	a.t.Helper()
	replies := make([]*reply, len(requests))
	errs := make([]error, len(requests))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, req := range requests {
		wg.Go(func() {
			<-start
			res, err := a.client.Do(req)
			if err != nil {
				errs[i] = err
				return
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			replies[i], errs[i] = &reply{t: a.t, asked: req.URL.Path, status: res.StatusCode, header: res.Header, body: body}, err
		})
	}
	close(start)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			a.t.Fatal(err)
		}
		replies[i].check()
	}
	return replies
}

// upload1 is a request that uploads one photo.
func (a *api) upload1(p photo) *http.Request {
	a.t.Helper()
	contentType, body := form(a.t, v2(p.name(), p.data)...)
	return a.request(http.MethodPost, "/_put_new_images", contentType, bytes.NewReader(body))
}

// oneStored wants one 200 and for the rest 409, and gives the place of the 200.
func oneStored(t *testing.T, replies []*reply) int {
	t.Helper()
	stored := -1
	for i, r := range replies {
		switch {
		case r.status != http.StatusOK:
			r.refused(http.StatusConflict)
		case stored >= 0:
			t.Fatalf("uploads %d and %d of the same image were both stored", stored, i)
		default:
			stored = i
		}
	}
	if stored < 0 {
		t.Fatal("no upload was stored")
	}
	return stored
}

func TestAnImageThatIsThereIsNeverOverwritten(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		first := small(newDevice(), noon, 1)
		otherCase, otherBytes := first, small(first.device, noon, 2)
		otherCase.device = strings.ToUpper(first.device)
		otherBoth := otherBytes
		otherBoth.device = otherCase.device
		a.put(first)
		objects := bucketOf(t, a.Stack)
		before := objects.objects(first.device, noon)
		if len(before) != 3 || before[0].MD5 != md5Hex(first.data) {
			t.Fatalf("objects: %v", before)
		}
		was := a.call("/get_images/image", first.key(spi.DateV2)).only()
		// times of objects have a resolution of a second: a new one must be able to differ
		for now := time.Now(); time.Since(now) < time.Second; {
			time.Sleep(50 * time.Millisecond)
		}
		for _, test := range []struct {
			name string
			p    photo
		}{
			{"the same bytes", first}, {"other bytes", otherBytes},
			{"the same bytes, the device in other case", otherCase}, {"other bytes, the device in other case", otherBoth},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t)
				a.upload(v1(test.p.name(), test.p.data)).refused(http.StatusConflict, test.p.name(), "is there already")
				a.upload(v2(test.p.name(), test.p.data)...).refused(http.StatusConflict, test.p.name(), "is there already")
				same(t, "objects", before, objects.objects(first.device, noon))
				if keys := objects.below("raw_images/" + otherCase.device + "/"); len(keys) > 0 {
					t.Errorf("objects under the other case: %v", keys)
				}
				same(t, "row", was, a.call("/get_images/image", first.key(spi.DateV2)).only())
			})
		}
	})
}

func TestOfManyUploadsOfOneImageAtOnceExactlyOneIsStored(t *testing.T) {
	const clients = 8
	each(t, func(t *testing.T, a *api) {
		objects := bucketOf(t, a.Stack)
		for _, test := range []struct {
			name string
			make func(device string, i int) photo
		}{
			{"the same file", func(device string, _ int) photo { return small(device, noon, 1) }},
			{"other contents each", func(device string, i int) photo { return small(device, noon, uint64(i)) }},
			{"other contents and cases", func(device string, i int) photo {
				if i%2 == 1 {
					device = strings.ToUpper(device)
				}
				return small(device, noon, uint64(i))
			}},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t)
				device := newDevice()
				photos, requests := make([]photo, clients), make([]*http.Request, clients)
				for i := range requests {
					photos[i] = test.make(device, i)
					requests[i] = a.upload1(photos[i])
				}
				replies := a.together(requests)
				winner := photos[oneStored(t, replies)]
				got := a.call("/get_images/image", winner.key(spi.DateV2)).only()
				same(t, "device", winner.device, got.text("device"))
				same(t, "md5 of the row", md5Hex(winner.data), got.text("md5"))
				same(t, "md5 of the object", md5Hex(winner.data), md5Hex(fetch(t, got.text("url"))))
				same(t, "objects", slices.Sorted(slices.Values(keysOf(winner.device, noon))),
					slices.Sorted(slices.Values(slices.Concat(objects.below("raw_images/"+device+"/"),
						objects.below("raw_images/"+strings.ToUpper(device)+"/")))))
			})
		}
	})
}

func TestFilesOfOneRequestStandAlone(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		at := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Hour) }
		for _, test := range []struct {
			name   string
			spoil  func(p *photo)
			status int
		}{
			{"cut short", func(p *photo) { p.data = p.data[:len(p.data)/2] }, http.StatusBadRequest},
			{"there already", func(p *photo) { p.at = at(0); p.data = small(p.device, at(0), 77).data }, http.StatusConflict},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t)
				device := newDevice()
				photos := []photo{small(device, at(0), 1), small(device, at(1), 2), small(device, at(2), 3), small(device, at(3), 4)}
				test.spoil(&photos[2])
				var fields []field
				for _, p := range photos {
					fields = append(fields, v1(p.name(), p.data))
				}
				a.upload(fields...).refused(test.status, photos[2].name(), "file 3 of 4")
				same(t, "stored images", []string{md5Hex(photos[0].data), md5Hex(photos[1].data)}, column(a.call("/get_image_series/metadata", row{
					"device": device, "start_datetime": "2021-05-04", "end_datetime": "2021-05-06",
				}).rows(), "md5"))
				if n := len(bucketOf(t, a.Stack).below("raw_images/" + device + "/")); n != 6 {
					t.Errorf("%d objects for two images", n)
				}
			})
		}
	})
}

func TestChecksumsAreHeldAgainstTheirFiles(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		for _, test := range []struct {
			name   string
			fields func(p photo) []field
			want   string // in the message; empty: it is stored
		}{
			{"before the file", func(p photo) []field { f := v2(p.name(), p.data); return []field{f[1], f[0]} }, ""},
			{"after the file", func(p photo) []field { return v2(p.name(), p.data) }, ""},
			{"in capitals", func(p photo) []field {
				return []field{v1(p.name(), p.data), {name: p.name() + ".md5", data: []byte(strings.ToUpper(md5Hex(p.data)))}}
			}, ""},
			{"as a part with a file name", func(p photo) []field {
				return []field{v1(p.name(), p.data), {name: p.name() + ".md5", data: []byte(md5Hex(p.data)), fileName: "md5"}}
			}, ""},
			{"wrong", func(p photo) []field {
				return []field{v1(p.name(), p.data), {name: p.name() + ".md5", data: []byte(strings.Repeat("0", 32))}}
			}, "md5"},
			{"wrong and first", func(p photo) []field {
				return []field{{name: p.name() + ".md5", data: []byte(strings.Repeat("0", 32))}, v1(p.name(), p.data)}
			}, "md5"},
			{"not a checksum", func(p photo) []field {
				return []field{v1(p.name(), p.data), {name: p.name() + ".md5", data: []byte("yes")}}
			}, "32 hexadecimal digits"},
			{"twice", func(p photo) []field {
				f := v2(p.name(), p.data)
				return []field{f[0], f[1], f[1]}
			}, "twice"},
			{"of another file", func(p photo) []field {
				return []field{v1(p.name(), p.data), {name: "5c173ff2.2020-06-20_21-33-24.jpg.md5", data: []byte(md5Hex(p.data))}}
			}, "no file of that name"},
			{"without a file", func(p photo) []field { return v2(p.name(), p.data)[1:] }, "no file of that name"},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t)
				p := small(newDevice(), noon, 1)
				r := a.upload(test.fields(p)...)
				if test.want == "" {
					same(t, "md5", md5Hex(p.data), r.only().text("md5"))
					return
				}
				r.refused(http.StatusBadRequest, test.want)
				if rows := a.call("/get_images/metadata", p.key(spi.DateV2)).rows(); len(rows) > 0 {
					t.Errorf("stored: %v", rows)
				}
				bucketOf(t, a.Stack).nothingOf(p.device)
			})
		}
	})
}

func TestNothingIsStoredOfAFormThatDoesNotArriveWhole(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		p, q := small(newDevice(), noon, 1), small(newDevice(), noon, 2)
		contentType, body := form(t, v1(p.name(), p.data), v1(q.name(), q.data))
		second := bytes.Index(body, []byte(q.name()))
		firstEnd := bytes.LastIndex(body[:second], []byte("\r\n--")) // where the boundary after the first file begins
		closing := bytes.LastIndex(body, []byte("\r\n--"))
		for name, cut := range map[string]int{
			"inside a file": second - 500, "before a boundary": firstEnd, "inside a boundary": firstEnd + 10,
			"after a boundary":       firstEnd + bytes.Index(body[firstEnd:], []byte("Content-")),
			"inside a part's header": second, "before the last boundary": closing, "inside the last boundary": closing + 20,
			"before the end of the last boundary": len(body) - len("--\r\n"),
		} {
			t.Run(name, func(t *testing.T) {
				a := a.within(t).mistaken()
				a.send(a.request(http.MethodPost, "/_put_new_images", contentType, bytes.NewReader(body[:cut]))).refused(http.StatusBadRequest)
				for _, p := range []photo{p, q} {
					if rows := a.call("/get_images/metadata", p.key(spi.DateV2)).rows(); len(rows) > 0 {
						t.Errorf("stored: %v", rows)
					}
					bucketOf(t, a.Stack).nothingOf(p.device)
				}
			})
		}
	})
}
