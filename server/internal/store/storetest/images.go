package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func testImageValues(t *testing.T, s store.Store) {
	full := store.Image{
		Device: "5C173ff2", Datetime: at("2020-06-20_21-33-24"), MD5: "9e6e908d9c29d332b511f8d5121857f8",
		ImageMetadata: store.ImageMetadata{
			DeviceVersion: text("3.1.0"), Width: 2592, Height: 70000, Alt: number(-97.3), Lat: number(49.26142), Lng: number(-123.25088),
			Temp: number(-999), Hum: number(76.80000305175781), NoFlashShutterSpeed: number(5.40226), NoFlashExposureTime: number(0.023646),
			NoFlashBV: number(2.36), NoFlashISO: number(100), Lum: number(1.2), Bat: number(72), But: number(1),
		},
		Provenance: store.Provenance{DatetimeCreated: at("2020-06-21"), APIVersion: text("3.0.0"), APIUser: text("a'b\\%")},
	}
	bare := store.Image{Device: "0abcdef0", Datetime: at("2019-11-01"), ImageMetadata: store.ImageMetadata{Width: 1, Height: 1}, Provenance: store.Provenance{DatetimeCreated: at("2020-06-21")}}
	zeros := Image("0abcdef1", at("2019-11-01"))
	for _, p := range []*sql.Null[float64]{&zeros.Alt, &zeros.Lat, &zeros.Temp, &zeros.But} {
		*p = number(0)
	}
	var want []store.Image
	for _, i := range []store.Image{full, bare, zeros} {
		stored := Put(t, s, i)
		if stored.ID <= 0 {
			t.Fatalf("id %d", stored.ID)
		}
		i.ID = stored.ID
		equal(t, stored, i)
		want = append(want, i)
	}
	keys := []store.ImageKey{{Device: "5c173FF2", Datetime: full.Datetime}, {Device: "0abc%", Datetime: bare.Datetime}}
	equal(t, byKeys(t, s, keys...), want)
	// The page that is read next must not leave its values in rows that lack them.
	equal(t, inSeries(t, s, always), []store.Image{want[1], want[2], want[0]})
	equal(t, byKeys(t, s, keys...), want)
}

func testDoubles(t *testing.T, s store.Store) {
	r := rand.New(rand.NewPCG(1, 2))
	values := []float64{0.1 + 0.2, 1.0 / 3, math.MaxFloat64, -math.MaxFloat64, 2.2250738585072014e-308, 1e22, 123456789.123456789, 1 << 53, 76.80000305175781, 1e-7, 5e-324}
	for range 60 {
		values = append(values, (r.Float64()-0.5)*math.Pow(10, float64(r.IntN(60)-30)))
	}
	want := make(map[time.Time]float64)
	for i, v := range values {
		image := Image("5c173ff2", at("2020-06-20").Add(time.Duration(i)*time.Second))
		image.Lum = number(v)
		Put(t, s, image)
		want[image.Datetime] = v
	}
	for _, i := range inSeries(t, s, always) {
		if math.Float64bits(i.Lum.V) != math.Float64bits(want[i.Datetime]) {
			t.Errorf("stored %v, read %v", want[i.Datetime], i.Lum.V)
		}
	}
}

func testImageInvalid(t *testing.T, s store.Store) {
	for name, change := range map[string]func(*store.Image){
		"a version of 9 characters": func(i *store.Image) { i.DeviceVersion = text("123456789") },
		"an md5 of 33 characters":   func(i *store.Image) { i.MD5 = strings.Repeat("a", 33) },
		"NaN":                       func(i *store.Image) { i.Temp = number(math.NaN()) },
		"infinity":                  func(i *store.Image) { i.Bat = number(math.Inf(-1)) },
		"a version that is no text": func(i *store.Image) { i.DeviceVersion = text("\xff") },
		"a width beyond 31 bits":    func(i *store.Image) { i.Width = 1 << 31 },
	} {
		image := Image("5c173ff2", at("2020-06-20"))
		change(&image)
		claim, err := s.ClaimImage(background(t), image.Device, image.Datetime)
		must(t, err)
		if err := claim.Commit(background(t), &image); err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", name, err)
		}
		claim.Release()
	}
	_, err := s.ClaimImage(background(t), "123456789", at("2020-06-20"))
	wantCode(t, err, spi.CodeInvalid)

	claim, err := s.ClaimImage(background(t), "5c173ff2", at("2020-06-20"))
	must(t, err)
	defer claim.Release()
	for _, other := range []store.Image{Image("5c173ff3", at("2020-06-20")), Image("5c173ff2", at("2020-06-21"))} {
		wantCode(t, claim.Commit(background(t), &other), spi.CodeInternal)
	}
	equal(t, len(inSeries(t, s, always)), 0)
}

func testImageConflict(t *testing.T, s store.Store) {
	first := Put(t, s, Image("5c173ff2", at("2020-06-20")))
	for _, device := range []string{"5c173ff2", "5C173FF2"} {
		_, err := s.ClaimImage(background(t), device, at("2020-06-20"))
		wantCode(t, err, spi.CodeConflict)
	}
	claim, err := s.ClaimImage(background(t), "5c173ff2", at("2020-06-20T00:00:01Z"))
	must(t, err)
	image := Image("5C173FF2", at("2020-06-20T00:00:01Z"))
	must(t, claim.Commit(background(t), &image))
	again := image
	wantCode(t, claim.Commit(background(t), &again), spi.CodeConflict)
	claim.Release()
	equal(t, inSeries(t, s, always), []store.Image{first, image})
}

func testClaimWaits(t *testing.T, s store.Store) {
	image := Image("5c173ff2", at("2020-06-20"))
	first, err := s.ClaimImage(background(t), image.Device, image.Datetime)
	must(t, err)
	type outcome struct {
		claim store.Claim
		err   error
	}
	claims := make(chan outcome, 1)
	go func() {
		c, err := s.ClaimImage(background(t), "5C173FF2", image.Datetime)
		claims <- outcome{c, err}
	}()
	// Other images are not held up, nor is reading.
	Put(t, s, Image("5c173ff3", image.Datetime))
	Put(t, s, Image("5c173ff2", image.Datetime.Add(time.Second)))
	equal(t, len(inSeries(t, s, always)), 2)
	select {
	case <-claims:
		t.Fatal("two claims on one image at once")
	default:
	}
	first.Release()
	second := <-claims
	must(t, second.err)
	must(t, second.claim.Commit(background(t), &image))
	second.claim.Release()
}

func testClaimContext(t *testing.T, s store.Store) {
	first, err := s.ClaimImage(background(t), "5c173ff2", at("2020-06-20"))
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = s.ClaimImage(ctx, "5c173ff2", at("2020-06-20"))
	wantCode(t, err, spi.CodeUnavailable)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want context.DeadlineExceeded in the chain", err)
	}
	first.Release()
	Put(t, s, Image("5c173ff2", at("2020-06-20")))
}

func testClaimContention(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := make(map[string]int)
	for range 40 {
		wg.Go(func() {
			outcome := "stored"
			claim, err := s.ClaimImage(background(t), "5c173ff2", at("2020-06-20"))
			if err == nil {
				image := Image("5c173ff2", at("2020-06-20"))
				err = claim.Commit(background(t), &image)
				claim.Release()
			}
			if err != nil {
				outcome = string(spi.CodeOf(err))
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	wg.Wait()
	equal(t, outcomes, map[string]int{"stored": 1, "conflict": 39})
}

func testManyClaims(t *testing.T, s store.Store) {
	// More claims than there can be connections: those that are not served wait, and nothing else does.
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			image := Image("5c173ff2", at("2020-06-20").Add(time.Duration(i)*time.Minute))
			claim, err := s.ClaimImage(background(t), image.Device, image.Datetime)
			if err != nil {
				t.Error(err)
				return
			}
			defer claim.Release()
			if _, err := s.Users(background(t), nil); err != nil {
				t.Error(err)
			}
			if err := claim.Commit(background(t), &image); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, len(inSeries(t, s, always)), 60)
}

func testImagesByKey(t *testing.T, s store.Store) {
	noon := at("2020-06-20T12:00:00Z")
	b := Put(t, s, Image("bbbbbbbb", noon))
	a := Put(t, s, Image("AAAAAAAA", noon))
	a2 := Put(t, s, Image("aaaaaaaa", noon.Add(time.Second)))
	c := Put(t, s, Image("a_%aaaaa", noon))
	key := func(device string, seconds int) store.ImageKey {
		return store.ImageKey{Device: device, Datetime: noon.Add(time.Duration(seconds) * time.Second)}
	}
	for name, test := range map[string]struct {
		keys []store.ImageKey
		want []store.Image
	}{
		"none":                         {nil, nil},
		"absent":                       {[]store.ImageKey{key("cccccccc", 0), key("aaaaaaaa", 7), key("", 0)}, nil},
		"one":                          {[]store.ImageKey{key("aaaaaaaa", 0)}, []store.Image{a}},
		"in the order of the id":       {[]store.ImageKey{key("aaaaaaaa", 1), key("aaaaaaaa", 0), key("BBBBBBBB", 0)}, []store.Image{b, a, a2}},
		"each once":                    {[]store.ImageKey{key("aaaaaaaa", 0), key("AAAAAAAA", 0), key("%", 0), key("a%", 0), key("b%", 0)}, []store.Image{b, a, c}},
		"by pattern":                   {[]store.ImageKey{key("a%", 0)}, []store.Image{a, c}},
		"by pattern, any case":         {[]store.ImageKey{key("A_A%", 0)}, []store.Image{a}},
		"by pattern, escaped":          {[]store.ImageKey{key(`a\_\%aaaaa`, 0)}, []store.Image{c}},
		"by pattern, absent":           {[]store.ImageKey{key("c%", 0), key("%", 7)}, nil},
		"no patterns' trailing spaces": {[]store.ImageKey{key("aaaaaaaa ", 0), key(" aaaaaaaa", 0), key("äaaaaaaa", 0)}, nil},
		"no text":                      {[]store.ImageKey{key("\xff", 0), key("a\x00", 0), key("%\xff", 0)}, nil},
		"no injection":                 {[]store.ImageKey{key("' OR '1'='1", 0), key(`\' OR 1=1 -- `, 0)}, nil},
		"between two seconds":          {[]store.ImageKey{{Device: "aaaaaaaa", Datetime: noon.Add(time.Millisecond)}, {Device: "%", Datetime: noon.Add(time.Millisecond)}}, nil},
		"in another zone":              {[]store.ImageKey{{Device: "bbbbbbbb", Datetime: noon.In(time.FixedZone("x", 7200))}}, []store.Image{b}},
		"at the ends of time":          {[]store.ImageKey{{Device: "aaaaaaaa", Datetime: at("0001-01-01")}, {Device: "%", Datetime: at("9999-12-31T23:59:59Z")}, {Device: "%"}}, nil},
	} {
		t.Run(name, func(t *testing.T) { equal(t, byKeys(t, s, test.keys...), test.want) })
	}
}

func testSeries(t *testing.T, s store.Store) {
	day := at("2020-06-20")
	hour := func(h int) time.Time { return day.Add(time.Duration(h) * time.Hour) }
	for _, device := range []string{"bbbbbbbb", "AAAAAAAA", "cccccccc"} {
		for _, h := range []int{3, 1, 2} {
			Put(t, s, Image(device, hour(h)))
		}
	}
	Put(t, s, Image("aaaaaaaa", hour(4))) // the same device, written otherwise
	of := func(device string, from, to int) store.Series {
		return store.Series{Device: device, Start: hour(from), End: hour(to)}
	}
	for name, test := range map[string]struct {
		series []store.Series
		want   []string
	}{
		"none":                    {nil, nil},
		"empty and upside down":   {[]store.Series{of("%", 2, 2), of("aaaaaaaa", 3, 1)}, nil},
		"start in, end out":       {[]store.Series{of("bbbbbbbb", 1, 3)}, []string{"bbbbbbbb 06-20 01:00:00", "bbbbbbbb 06-20 02:00:00"}},
		"without case":            {[]store.Series{of("aaaaaaaa", 3, 9)}, []string{"AAAAAAAA 06-20 03:00:00", "aaaaaaaa 06-20 04:00:00"}},
		"overlapping":             {[]store.Series{of("bbbbbbbb", 2, 9), of("BBBBBBBB", 1, 3), of("b%", 1, 2)}, []string{"bbbbbbbb 06-20 01:00:00", "bbbbbbbb 06-20 02:00:00", "bbbbbbbb 06-20 03:00:00"}},
		"device, then datetime":   {[]store.Series{of("cccccccc", 1, 2), of("%", 3, 4)}, []string{"AAAAAAAA 06-20 03:00:00", "bbbbbbbb 06-20 03:00:00", "cccccccc 06-20 01:00:00", "cccccccc 06-20 03:00:00"}},
		"two ranges of a device":  {[]store.Series{of("bbbbbbbb", 3, 4), of("bbbbbbbb", 1, 2)}, []string{"bbbbbbbb 06-20 01:00:00", "bbbbbbbb 06-20 03:00:00"}},
		"absent devices":          {[]store.Series{of("dddddddd", 0, 9), of("d%", 0, 9), of("aaaaaaaa ", 0, 9), of("\xff", 0, 9)}, nil},
		"the whole of time":       {[]store.Series{{Device: "b%", Start: at("0001-01-01").AddDate(-1, 0, 0), End: at("9999-12-31T23:59:59Z")}}, []string{"bbbbbbbb 06-20 01:00:00", "bbbbbbbb 06-20 02:00:00", "bbbbbbbb 06-20 03:00:00"}},
		"the zero time":           {[]store.Series{{Device: "bbbbbbbb", End: hour(2)}}, []string{"bbbbbbbb 06-20 01:00:00"}},
		"parts of seconds":        {[]store.Series{{Device: "bbbbbbbb", Start: hour(1).Add(time.Nanosecond), End: hour(2).Add(time.Nanosecond)}}, []string{"bbbbbbbb 06-20 02:00:00"}},
		"no effect of injections": {[]store.Series{of("' OR '1'='1", 0, 9), of(`\') OR 1=1 -- %`, 0, 9)}, nil},
	} {
		t.Run(name, func(t *testing.T) { equal(t, names(inSeries(t, s, test.series...)), test.want) })
	}
}

// testSeriesModel compares with the definition: all rows, filtered, each once, sorted.
func testSeriesModel(t *testing.T, s store.Store) {
	r := rand.New(rand.NewPCG(3, 4))
	day := at("2020-06-20")
	devices := []string{"00000000", "0000000A", "0a0b0c0d", "12345678", "a2345678", "ffffffff", "FFFFFFF0", "a_%\\ b"}
	var rows []store.Image
	for _, device := range devices {
		for m := range 24 {
			if r.IntN(3) > 0 {
				rows = append(rows, Image(device, day.Add(time.Duration(m)*time.Minute)))
			}
		}
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for i := range rows {
		rows[i] = Put(t, s, rows[i])
	}
	patterns := append([]string{"%", "0%", "0000000_", "_2345678", "f%", "%a%", "a\\_%", "absent", "z%"}, devices[:7]...)
	for range 60 {
		var series []store.Series
		var keys []store.ImageKey
		for range 1 + r.IntN(8) {
			start := day.Add(time.Duration(r.IntN(26)-1) * time.Minute)
			series = append(series, store.Series{
				Device: patterns[r.IntN(len(patterns))], Start: start, End: start.Add(time.Duration(r.IntN(10)) * time.Minute)})
			keys = append(keys, store.ImageKey{Device: patterns[r.IntN(len(patterns))], Datetime: start})
		}
		var wantSeries, wantKeys []store.Image
		for _, row := range rows {
			if slices.ContainsFunc(series, func(o store.Series) bool {
				return store.Like(o.Device, row.Device) && !row.Datetime.Before(o.Start) && row.Datetime.Before(o.End)
			}) {
				wantSeries = append(wantSeries, row)
			}
			if slices.ContainsFunc(keys, func(k store.ImageKey) bool {
				return store.Like(k.Device, row.Device) && row.Datetime.Equal(k.Datetime)
			}) {
				wantKeys = append(wantKeys, row)
			}
		}
		slices.SortFunc(wantSeries, func(a, b store.Image) int {
			if c := strings.Compare(strings.ToLower(a.Device), strings.ToLower(b.Device)); c != 0 {
				return c
			}
			return a.Datetime.Compare(b.Datetime)
		})
		equal(t, inSeries(t, s, series...), wantSeries)
		equal(t, byKeys(t, s, keys...), wantKeys)
	}
}

func testManyElements(t *testing.T, s store.Store) {
	day := at("2020-06-20")
	var want []store.Image
	for i := range 3 {
		want = append(want, Put(t, s, Image(fmt.Sprintf("%08x", i), day.Add(time.Duration(i)*time.Hour))))
	}
	const n = 100_000
	series, keys := make([]store.Series, n), make([]store.ImageKey, n)
	for i := range n {
		device := "%"
		switch i % 7 {
		case 0:
			device = fmt.Sprintf("%08x", i)
		case 1:
			device = "0000000_"
		}
		start := day.Add(time.Duration(i%50) * time.Minute)
		series[i] = store.Series{Device: device, Start: start, End: start.Add(2 * time.Hour)}
		keys[i] = store.ImageKey{Device: device, Datetime: day.Add(time.Duration(i) * time.Second)}
	}
	equal(t, inSeries(t, s, series...), want)
	equal(t, byKeys(t, s, keys...), want)
}

func testCallbacks(t *testing.T, s store.Store) {
	day := at("2020-06-20")
	var keys []store.ImageKey
	for i := range 5 {
		image := Put(t, s, Image("5c173ff2", day.Add(time.Duration(i)*time.Second)))
		keys = append(keys, store.ImageKey{Device: image.Device, Datetime: image.Datetime})
	}
	stop := errors.New("enough")
	for name, read := range map[string]func(func(*store.Image) error) error{
		"Images": func(fn func(*store.Image) error) error { return s.Images(background(t), keys, fn) },
		"ImageSeries": func(fn func(*store.Image) error) error {
			return s.ImageSeries(background(t), []store.Series{always}, fn)
		},
	} {
		calls := 0
		err := read(func(*store.Image) error {
			if calls++; calls == 3 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || calls != 3 {
			t.Errorf("%s: %d calls, error %v", name, calls, err)
		}
		// Many replies at once, each of which asks the store again, must not wait for each other's connections.
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				if err := read(func(i *store.Image) error {
					return s.Images(background(t), keys[:1], func(*store.Image) error { return nil })
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func testDeleteImages(t *testing.T, s store.Store) {
	day := at("2020-06-20")
	var want []store.Image
	for _, device := range []string{"aaaaaaaa", "bbbbbbbb"} {
		for i := range 3 {
			want = append(want, Put(t, s, Image(device, day.Add(time.Duration(i)*time.Second))))
		}
	}
	keys := []store.ImageKey{
		{Device: "AAAAAAAA", Datetime: day}, {Device: "%", Datetime: day.Add(time.Second)}, {Device: "aaaaaaaa", Datetime: day},
		{Device: "cccccccc", Datetime: day},
	}
	doomed := []store.Image{want[0], want[1], want[4]}
	var objects, deleted []store.Image
	remove := func() error {
		objects, deleted = nil, nil
		return s.DeleteImages(background(t), keys, func(_ context.Context, images []store.Image) error {
			if len(deleted) > 0 {
				t.Error("a row was reported before its objects were deleted")
			}
			objects = append(objects, images...)
			// Nothing is gone for others before the objects are.
			equal(t, byKeys(t, s, keys...), doomed)
			return nil
		}, func(i *store.Image) error {
			deleted = append(deleted, *i)
			return nil
		})
	}
	must(t, remove())
	equal(t, objects, doomed)
	equal(t, deleted, doomed)
	equal(t, inSeries(t, s, always), []store.Image{want[2], want[3], want[5]})
	must(t, remove())
	equal(t, len(objects)+len(deleted), 0)
	if again := Put(t, s, Image("aaaaaaaa", day)); again.ID <= want[5].ID {
		t.Errorf("id %d was given again", again.ID)
	}
}

func testDeleteImagesFails(t *testing.T, s store.Store) {
	image := Put(t, s, Image("5c173ff2", at("2020-06-20")))
	keys := []store.ImageKey{{Device: image.Device, Datetime: image.Datetime}}
	away := errors.New("the objects are away")
	err := s.DeleteImages(background(t), keys, func(context.Context, []store.Image) error { return away }, func(*store.Image) error {
		t.Error("reported as deleted")
		return nil
	})
	if !errors.Is(err, away) {
		t.Errorf("%v, want the callback's error as it is", err)
	}
	equal(t, byKeys(t, s, keys...), []store.Image{image})
	// The row is not left locked.
	must(t, s.DeleteImages(background(t), keys, func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil }))
	equal(t, len(byKeys(t, s, keys...)), 0)
}

func testDeleteImagesAndClaim(t *testing.T, s store.Store) {
	image := Put(t, s, Image("5c173ff2", at("2020-06-20")))
	keys := []store.ImageKey{{Device: image.Device, Datetime: image.Datetime}}
	must(t, s.DeleteImages(background(t), keys, func(ctx context.Context, _ []store.Image) error {
		_, err := s.ClaimImage(ctx, image.Device, image.Datetime)
		wantCode(t, err, spi.CodeConflict)
		return nil
	}, func(*store.Image) error { return nil }))
	Put(t, s, Image("5c173ff2", at("2020-06-20")))
}
