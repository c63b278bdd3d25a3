package test

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// photo is a file to upload, and what the server must say of it.
type photo struct {
	device        string
	at            time.Time
	data          []byte
	width, height int
	metadata      spi.Image // the fields from the EXIF
}

func (p photo) name() string { return spitest.Name(p.device, p.at) }

// key names the photo in a request.
func (p photo) key(format spi.DateFormat) row {
	return row{"device": p.device, "datetime": spi.FormatDatetime(p.at, format)}
}

// row is what a reply must hold for the photo, but for its id and its url.
func (p photo) row(format spi.DateFormat, user string) row {
	m := p.metadata
	return row{
		"device": p.device, "datetime": spi.FormatDatetime(p.at, format), "md5": md5Hex(p.data),
		"width": float64(p.width), "height": float64(p.height),
		"device_version": orNull(m.DeviceVersion), "alt": orNull(m.Alt), "lat": orNull(m.Lat), "lng": orNull(m.Lng),
		"temp": orNull(m.Temp), "hum": orNull(m.Hum), "lum": orNull(m.Lum), "bat": orNull(m.Bat), "but": orNull(m.But),
		"no_flash_shutter_speed": orNull(m.NoFlashShutterSpeed), "no_flash_exposure_time": orNull(m.NoFlashExposureTime),
		"no_flash_bv": orNull(m.NoFlashBV), "no_flash_iso": orNull(m.NoFlashISO),
		"api_version": spi.APIVersion, "api_user": user,
	}
}

func orNull[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// wantRow compares a row with the photo. It takes no account of id and url, and of datetime_created only the format.
func wantRow(t *testing.T, what string, p photo, format spi.DateFormat, user string, got row) {
	t.Helper()
	want := p.row(format, user)
	_, created, err := spi.ParseDatetime(got.text("datetime_created"))
	if err != nil || *created != format {
		t.Errorf("%s: datetime_created is %q: %v", what, got.text("datetime_created"), err)
	}
	left := row{}
	for k, v := range got {
		if k != "id" && k != "url" && k != "datetime_created" {
			left[k] = v
		}
	}
	same(t, what, want, left)
}

// small makes a photograph of few pixels.
func small(device string, at time.Time, seed uint64) photo {
	return generated(device, at, spitest.Photo{Width: 64, Height: 48, Seed: seed})
}

func generated(device string, at time.Time, p spitest.Photo) photo {
	generation := max(p.Generation, spitest.First)
	metadata := spitest.Metadata(generation, p.Seed)
	p.Metadata = metadata
	return photo{device: device, at: at, data: spitest.JPEG(p), width: p.Width, height: p.Height, metadata: metadata}
}

// put uploads photos as clients of the second generation do, in one request.
func (a *api) put(photos ...photo) []row {
	a.t.Helper()
	var fields []field
	for _, p := range photos {
		fields = append(fields, v2(p.name(), p.data)...)
	}
	rows := a.upload(fields...).rows()
	if len(rows) != len(photos) {
		a.t.Fatalf("%d photos uploaded, %d rows given", len(photos), len(rows))
	}
	return rows
}

func number(f float64) *float64 { return &f }

// realPhotos are photographs of the first generation, with what their EXIF says.
var realPhotos = map[string]spi.Image{
	"0a5bb6f4.2020-06-20_20-19-15.jpg": {
		NoFlashExposureTime: number(0.12499), NoFlashISO: number(400), NoFlashBV: number(0.46), NoFlashShutterSpeed: number(3.000115),
		Temp: number(20.700000762939453), Hum: number(82),
	},
	"0a5bb6f4.2020-06-20_20-37-59.jpg": {
		NoFlashExposureTime: number(0.009182), NoFlashISO: number(100), NoFlashBV: number(2.83), NoFlashShutterSpeed: number(6.766976),
		Temp: number(21.799999237060547), Hum: number(77.30000305175781),
	},
	"1b74105a.2020-07-05_10-07-16.jpg": {
		Lng: number(49.243553), Lat: number(-121.7552), Alt: number(22),
		NoFlashExposureTime: number(0.12499), NoFlashISO: number(400), NoFlashBV: number(0), NoFlashShutterSpeed: number(3.000115),
		Temp: number(10.300000190734863), Hum: number(97.5999984741211),
	},
	"5c173ff2.2020-06-20_21-33-24.jpg": {
		NoFlashExposureTime: number(0.023646), NoFlashISO: number(100), NoFlashBV: number(2.36), NoFlashShutterSpeed: number(5.40226),
		Temp: number(21.899999618530273), Hum: number(76.80000305175781),
	},
}

func TestPhotographsOfDevicesGoInAndComeOutWhole(t *testing.T) {
	t.Run("real", func(t *testing.T) {
		var photos []photo
		for name, metadata := range realPhotos {
			data, err := os.ReadFile(stack.SharedData(t, "raw_images/"+name))
			if err != nil {
				t.Fatal(err)
			}
			device, rest, _ := strings.Cut(name, ".")
			at, _, err := spi.ParseDatetime(strings.TrimSuffix(rest, ".jpg"))
			if err != nil {
				t.Fatal(err)
			}
			photos = append(photos, photo{device, at, data, 2592, 1944, metadata})
		}
		each(t, func(t *testing.T, a *api) { inAndOut(t, a, photos) })
	})
	t.Run("generated", func(t *testing.T) {
		each(t, func(t *testing.T, a *api) {
			device := newDevice()
			inAndOut(t, a, []photo{
				generated(device, noon, spitest.Photo{Width: 648, Height: 486, Seed: 1}),
				generated(strings.ToUpper(newDevice()), noon, spitest.Photo{Generation: spitest.Second, Width: 648, Height: 486, Seed: 2}),
				generated(device, noon.Add(20*time.Minute), spitest.Photo{Generation: spitest.Second, Width: 300, Height: 800, Seed: 3}),
				generated(device, noon.Add(40*time.Minute), spitest.Photo{Width: 1001, Height: 333, Seed: 4, Grey: true}),
			})
		})
	})
}

// inAndOut uploads photos as clients of either generation, reads them back in every form, and deletes them.
func inAndOut(t *testing.T, a *api, photos []photo) {
	t.Helper()
	objects := bucketOf(t, a.Stack)
	ids := map[string]any{} // by name
	for i, p := range photos {
		fields, format := []field{v1(p.name(), p.data)}, spi.DateV1
		if i%2 == 1 {
			fields, format = v2(p.name(), p.data), spi.DateV2
		}
		got := a.upload(fields...).only()
		wantRow(t, "uploaded "+p.name(), p, format, stack.AdminName, got)
		if url, there := got["url"]; there {
			t.Errorf("the reply to an upload has a url, %v", url)
		}
		ids[p.name()] = got["id"]
	}
	for _, p := range photos {
		for _, format := range []spi.DateFormat{spi.DateV1, spi.DateV2} {
			got := a.call("/get_images/metadata", p.key(format)).only()
			wantRow(t, "metadata of "+p.name(), p, format, stack.AdminName, got)
			same(t, "id", ids[p.name()], got["id"])
			same[any](t, "url of metadata", "", got["url"])
		}
		original := a.pictureURL("image", p)
		if got := fetch(t, original); md5Hex(got) != md5Hex(p.data) {
			t.Errorf("%s: %d bytes came out that are not the %d that went in", p.name(), len(got), len(p.data))
		}
		wantFit(t, fetch(t, a.pictureURL("thumbnail", p)), p, 512, 384)
		mini := a.pictureURL("thumbnail-mini", p)
		wantFit(t, fetch(t, mini), p, 128, 96)
		same(t, "URL by the other spelling", mini, a.pictureURL("thumbnail_mini", p))

		series := row{
			"device": p.device, "start_datetime": spi.FormatDatetime(p.at, spi.DateV1),
			"end_datetime": spi.FormatDatetime(p.at.Add(time.Second), spi.DateV1),
		}
		got := a.call("/get_image_series/image", series).only()
		wantRow(t, "series of "+p.name(), p, spi.DateV1, stack.AdminName, got)
		same[any](t, "URL in a series", original, got["url"])
		if n := len(objects.objects(p.device, p.at)); n != 3 {
			t.Errorf("%s has %d objects", p.name(), n)
		}
	}

	// Rows as get_images gives them may be sent back to delete them: keys that name nothing are ignored.
	var keys []row
	for _, p := range photos {
		keys = append(keys, a.call("/get_images/metadata", p.key(spi.DateV2)).only())
	}
	deleted := a.call("/delete_images", keys...).rows()
	same(t, "ids of the deleted images, in their order", column(keys, "id"), column(deleted, "id"))
	same(t, "deleted images", keys, deleted)
	for _, p := range photos {
		if rows := a.call("/get_images/metadata", p.key(spi.DateV2)).rows(); len(rows) > 0 {
			t.Errorf("%s is still there: %v", p.name(), rows)
		}
		objects.nothingOf(p.device)
	}
	if again := a.call("/delete_images", keys...).rows(); len(again) > 0 {
		t.Errorf("deleted a second time: %v", again)
	}
}

// pictureURL asks for the URL of a photo's picture, twice, and checks that it is fit for clients, which compare whole rows
// and take the file's name from it.
func (a *api) pictureURL(what string, p photo) string {
	a.t.Helper()
	first := a.call("/get_images/"+what, p.key(spi.DateV2)).only()
	same(a.t, "the same request a second time", first, a.call("/get_images/"+what, p.key(spi.DateV2)).only())
	address := first.text("url")
	u, err := url.Parse(address)
	if err != nil {
		a.t.Fatal(err)
	}
	name := p.name()
	if what != "image" {
		name += "." + strings.ReplaceAll(what, "_", "-")
	}
	if path.Base(u.Path) != name {
		a.t.Errorf("the URL's path is %s, which does not end in %s", u.Path, name)
	}
	if u.RawQuery == "" || strings.Contains(u.RawQuery, "/") {
		a.t.Errorf("the URL's query is %s", u.RawQuery)
	}
	return address
}

// wantFit wants a JPEG that fits the frame, with the photo's aspect.
func wantFit(t *testing.T, data []byte, p photo, width, height int) {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Errorf("thumbnail of %s: %v", p.name(), err)
		return
	}
	scale := min(1, float64(width)/float64(p.width), float64(height)/float64(p.height))
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	off := max(abs(float64(w)-scale*float64(p.width)), abs(float64(h)-scale*float64(p.height)))
	if w > width || h > height || off >= 1 {
		t.Errorf("%s, %d x %d, has a thumbnail of %d x %d for the frame of %d x %d", p.name(), p.width, p.height, w, h, width, height)
	}
}

func abs(f float64) float64 { return max(f, -f) }

func TestSeriesGivesEachImageInTheSpanOnceByDeviceThenTime(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		prefix := newDevice()[:6]
		one, two, far := prefix+"0a", prefix+"0b", prefix+"1c"
		at := func(h int) time.Time {
			return time.Date(2021, 3, 9, 0, 0, 0, 0, time.UTC).Add(time.Duration(h) * time.Hour)
		}
		short := func(device string, h int) string { return device[6:] + "@" + fmt.Sprint(h) }
		// later ones first, so that the order is not that of the ids
		for i, p := range []struct {
			device string
			hour   int
		}{{far, 0}, {two, 24}, {two, 1}, {one, 24}, {one, 2}, {two, 0}, {one, 1}, {one, 0}} {
			a.put(small(p.device, at(p.hour), uint64(i)))
		}
		series := func(device, start, end string) row {
			return row{"device": device, "start_datetime": start, "end_datetime": end}
		}
		for _, test := range []struct {
			name   string
			series []row
			want   []string
		}{
			{"start is in, end is not", []row{series(one, "2021-03-09_00-00-00", "2021-03-09_02-00-00")}, []string{"0a@0", "0a@1"}},
			{"a second more", []row{series(one, "2021-03-09_00-00-01", "2021-03-09_02-00-01")}, []string{"0a@1", "0a@2"}},
			{"v2 dates", []row{series(one, "2021-03-09T01:00:00Z", "2021-03-10T00:00:01Z")}, []string{"0a@1", "0a@2", "0a@24"}},
			{"days", []row{series(one, "2021-03-09", "2021-03-10")}, []string{"0a@0", "0a@1", "0a@2"}},
			{"a pattern for a character", []row{series(prefix+"0_", "2021-03-09", "2021-03-11")}, []string{"0a@0", "0a@1", "0a@2", "0a@24", "0b@0", "0b@1", "0b@24"}},
			{"a pattern for a string", []row{series(prefix+"%", "2021-03-09", "2021-03-09_00-00-01")}, []string{"0a@0", "0b@0", "1c@0"}},
			{"overlapping series", []row{
				series(two, "2021-03-09_01-00-00", "2021-03-11"), series(prefix+"0%", "2021-03-09", "2021-03-09_01-00-01"),
				series(one, "2021-03-09_01-00-00", "2021-03-09_02-00-00"),
			}, []string{"0a@0", "0a@1", "0b@0", "0b@1", "0b@24"}},
			{"the same series twice", []row{series(far, "2021-03-09", "2021-03-10"), series(far, "2021-03-09", "2021-03-10")}, []string{"1c@0"}},
			{"the device in the other case", []row{series(strings.ToUpper(far), "2021-03-09", "2021-03-10")}, []string{"1c@0"}},
			{"an escaped wildcard", []row{series(prefix+`\%`, "2021-03-09", "2021-03-10")}, []string{}},
			{"an empty span", []row{series(one, "2021-03-09", "2021-03-09")}, []string{}},
			{"the wrong way round", []row{series(one, "2021-03-10", "2021-03-09")}, []string{}},
			{"no such device", []row{series(prefix+"ff", "2021-03-09", "2021-03-10")}, []string{}},
		} {
			t.Run(test.name, func(t *testing.T) {
				got := []string{}
				for _, r := range a.within(t).call("/get_image_series/metadata", test.series...).rows() {
					when, _, err := spi.ParseDatetime(r.text("datetime"))
					if err != nil {
						t.Error(err)
					}
					got = append(got, short(r.text("device"), int(when.Sub(at(0)).Hours())))
				}
				same(t, "images", test.want, got)
			})
		}
	})
}

func TestKeysGiveEachImageOnceInTheOrderOfIDs(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		prefix := newDevice()[:6]
		b, c := small(prefix+"0b", noon, 1), small(strings.ToUpper(prefix)+"0C", noon, 2)
		later := small(prefix+"0b", noon.Add(time.Hour), 3)
		a.put(later)
		a.put(c, b)
		for _, test := range []struct {
			name string
			keys []row
			want []photo
		}{
			{"in the order of ids", []row{b.key(spi.DateV1), c.key(spi.DateV1), later.key(spi.DateV1)}, []photo{later, c, b}},
			{"once", []row{b.key(spi.DateV1), b.key(spi.DateV2), {"device": prefix + "%", "datetime": "2021-05-04_12-00-00"}}, []photo{c, b}},
			{"without case", []row{{"device": prefix + "0c", "datetime": "2021-05-04T12:00:00Z"}}, []photo{c}},
			{"none for those that are not there", []row{{"device": prefix + "0b", "datetime": "2021-05-04"}, b.key(spi.DateV2)}, []photo{b}},
		} {
			t.Run(test.name, func(t *testing.T) {
				var want []string
				for _, p := range test.want {
					want = append(want, md5Hex(p.data))
				}
				same(t, "images", want, column(a.within(t).call("/get_images/metadata", test.keys...).rows(), "md5"))
			})
		}
		// the device is kept as it was written
		same(t, "device", strings.ToUpper(prefix)+"0C", a.call("/get_images/metadata", c.key(spi.DateV1)).only().text("device"))
	})
}

func TestRepliesHaveTheFormatOfTheRequestsDates(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		p := small(newDevice(), time.Date(2021, 3, 9, 0, 0, 0, 0, time.UTC), 1)
		a.put(p)
		const v1Date, v2Date = "2021-03-09_00-00-00", "2021-03-09T00:00:00Z"
		key := func(date string) row { return row{"device": p.device, "datetime": date} }
		for _, test := range []struct {
			name, path string
			elements   []row
			want       string
		}{
			{"v1 key", "/get_images/metadata", []row{key(v1Date)}, v1Date},
			{"v2 key", "/get_images/metadata", []row{key(v2Date)}, v2Date},
			{"day", "/get_images/metadata", []row{key("2021-03-09")}, v2Date},
			{"the first with a format decides", "/get_images/metadata", []row{key("2021-03-09"), key(v1Date), key(v2Date)}, v1Date},
			{"days of a series", "/get_image_series/metadata", []row{{"device": p.device, "start_datetime": "2021-03-09", "end_datetime": "2021-03-10"}}, v2Date},
			{"day and v1", "/get_image_series/metadata", []row{{"device": p.device, "start_datetime": "2021-03-09", "end_datetime": "2021-03-10_00-00-00"}}, v1Date},
		} {
			t.Run(test.name, func(t *testing.T) {
				got := a.within(t).call(test.path, test.elements...).only()
				same(t, "datetime", test.want, got.text("datetime"))
				if len(got.text("datetime_created")) != len(test.want) {
					t.Errorf("datetime_created is %q", got.text("datetime_created"))
				}
			})
		}
		t.Run("each file's own in an upload", func(t *testing.T) {
			old, young := small(newDevice(), noon, 1), small(newDevice(), noon, 2)
			rows := a.within(t).upload(append(v2(young.name(), young.data), v1(old.name(), old.data))...).rows()
			same(t, "dates", []string{"2021-05-04T12:00:00Z", "2021-05-04_12-00-00"}, column(rows, "datetime"))
		})
	})
}

// listEndpoints take a JSON list.
var listEndpoints = []string{
	"/get_users", "/put_users", "/delete_users", "/reset_password", "/get_images/metadata", "/get_images/thumbnail",
	"/get_image_series/metadata", "/get_image_series/image", "/delete_images",
}

func TestNoElementsAreAnEmptyList(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		for _, path := range append(slices.Clone(listEndpoints), "/_put_new_images") {
			for _, body := range []string{"", "null", "[]", " \n", " null\n", "[ ]"} {
				for _, contentType := range []string{jsonType, "", "application/json; charset=utf-8"} {
					if path == "/_put_new_images" && body != "" {
						continue // it takes a form
					}
					r := a.send(a.request("POST", path, contentType, strings.NewReader(body))).ok()
					if path == "/get_users" {
						if !slices.Contains(column(r.rows(), "username"), stack.AdminName) {
							t.Errorf("%s with %q (%s) does not list everybody: %s", path, body, contentType, r.body)
						}
					} else if string(r.body) != "[]" {
						t.Errorf("%s with %q (%s): %.200s", path, body, contentType, r.body)
					}
				}
			}
		}
		if diff := cmp.Diff("[]", string(a.post("/delete_users", "").body)); diff != "" {
			t.Error(diff)
		}
	})
}
