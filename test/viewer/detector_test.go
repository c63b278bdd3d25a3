package viewer

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// theVersion is that of what the tests annotate with.
const theVersion = "1598113346-ad2cd78dfaca12821046dfb8994724d5"

// askForWork asks for images as the detector does, and gives what it gets.
func askForWork(t testing.TB, c *spi.Client) []spi.Image {
	t.Helper()
	return askForWorkOf(t, c, spi.DetectorAlgorithm)
}

func askForWorkOf(t testing.TB, c *spi.Client, algorithm string) []spi.Image {
	t.Helper()
	images, err := c.LeaseImages(t.Context(), spi.Metadata, spi.WorkRequest{
		Series:   spi.Series{Device: "%", Start: datetime(t, "2000-01-01_00-00-00"), End: datetime(t, "2100-01-01_00-00-00")},
		AlgoName: algorithm, AlgoVersion: theVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// theNotes are what the page says of the detector.
const theNotes = `[...document.querySelectorAll('.detector')].map((e) => e.innerText)`

func TestThePagesSayHowManyImagesWaitAndThatNoDetectorWorks(t *testing.T) {
	s := start(t)
	fillReal(t, s)
	c := client(t, s)
	const device = "1a2b3c07"
	for n := range 3 {
		at := time.Date(2020, 6, 20, 20, n, 0, 0, time.UTC)
		photo := spitest.Photo{Generation: spitest.Second, Width: 64, Height: 48, Seed: uint64(n), Quality: 70}
		if _, err := c.PutImage(t.Context(), spi.FileOf(spitest.Name(device, at), spitest.JPEG(photo))); err != nil {
			t.Fatal(err)
		}
	}
	// a detector failed on the newest image three times and gave the others back; that was two hours ago
	for range 3 {
		if n := len(askForWork(t, c)); n != 3 {
			t.Fatalf("%d images to look at", n)
		}
		for n := range 3 {
			if _, err := c.ReportFailures(t.Context(), spi.FailureReport{
				ImageKey: spi.ImageKey{Device: device, Datetime: spi.Datetime{Time: time.Date(2020, 6, 20, 20, n, 0, 0, time.UTC)}},
				AlgoName: spi.DetectorAlgorithm, AlgoVersion: theVersion, Reason: "cannot be read", GivenBack: n != 2,
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	db := database(t, s)
	for table, column := range map[string]string{"images": "datetime_created", "uid_annotations": "datetime_created", "uid_intents": "failed_datetime"} {
		if _, err := db.ExecContext(t.Context(), "UPDATE "+table+" SET "+column+" = "+column+" - 7200"); err != nil {
			t.Fatal(err)
		}
	}
	var last int64 // sign of a detector
	if err := db.QueryRowContext(t.Context(), "SELECT MAX(datetime_created) FROM images").Scan(&last); err != nil {
		t.Fatal(err)
	}
	want := "No detector is working: 2 images wait, and nothing was done since " + time.Unix(last, 0).UTC().Format("2006-01-02 15:04") + " UTC; 1 image could not be looked at"

	for _, size := range []viewport{phone, desktop} {
		b := open(t, s, size)
		b.logIn("/data?"+realRange, stack.AdminName, stack.AdminPassword)
		b.waitFor(`document.querySelector('.detector.idle')`)
		for _, page := range []string{"data", "images", "devices"} {
			before := b.asked("/v2/progress")
			b.do(chromedp.Navigate(b.url + "/" + page + "?" + realRange))
			b.waitFor(`document.querySelector('.detector.idle')`)
			if page == "devices" { // which tells it in two places
				b.waitFor(`document.querySelector('.devices tbody')?.innerText.includes('waiting')`)
			}
			if n := b.asked("/v2/progress") - before; n != 1 {
				t.Errorf("%s asks %d times how many images wait", page, n)
			}
			if got := eval[[]string](b, theNotes); len(got) != 1 || got[0] != want {
				t.Errorf("%s says %q, want %q", page, got, want)
			}
			b.look("detector-" + page)
		}
		b.waitFor(`document.querySelector('.devices tbody tr')`)
		if got := eval[string](b, `[...document.querySelectorAll('.devices tbody tr')].find((r) => r.innerText.includes('`+device+`')).innerText`); !strings.Contains(got, "2 waiting") || !strings.Contains(got, "1 failed") {
			t.Errorf("of the device it says %q", got)
		}
		b.do(chromedp.Navigate(b.url + "/data?" + realRange + "&devices=0a5bb6f4"))
		b.waitFor(`document.querySelectorAll('.data-table a').length > 0`)
		if got := eval[[]string](b, theNotes); len(got) != 0 {
			t.Errorf("of a device without any it says %q", got)
		}
		b.do(chromedp.Navigate(b.url + "/images?" + realRange))
		b.press(`.detector button`, `1 image could not be looked at`)
		b.waitFor(`document.querySelectorAll('.failures li').length === 1`)
		if got := eval[string](b, `document.querySelector('.failures li').innerText.replace(/\s+/g, ' ')`); got != device+" 2020-06-20 20:02:00 cannot be read" {
			t.Errorf("failed has %q", got)
		}
		b.look("failures")
		if size == desktop { // the last one
			b.press(`.failures button`, `Try 1 image again`)
			b.waitFor(`document.querySelector('.failures') === null`)
			if n := len(askForWork(t, c)); n != 3 {
				t.Errorf("after that, a detector gets %d images", n)
			}
		}
		b.quiet()
	}
}

func TestADetectorThatFailsOnEveryImageIsToldFromNoneAtAll(t *testing.T) {
	s := start(t)
	c := client(t, s)
	images := series(t, c, device, june, 5)
	const another = "another-detector"
	// the usual one fails on four images until they are left alone, and on the fifth once; another on one
	for range 3 {
		for _, algorithm := range []string{spi.DetectorAlgorithm, another} {
			leased := askForWorkOf(t, c, algorithm)
			for _, image := range leased {
				givenBack := image.ID == images[4].ID || (algorithm == another && image.ID != images[2].ID)
				if _, err := c.ReportFailures(t.Context(), spi.FailureReport{
					ImageKey: spi.ImageKey{Device: device, Datetime: image.Datetime},
					AlgoName: algorithm, AlgoVersion: theVersion, Reason: "no memory for " + algorithm, GivenBack: givenBack,
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	db := database(t, s)
	if _, err := db.ExecContext(t.Context(), "UPDATE images SET datetime_created = datetime_created - 7200"); err != nil {
		t.Fatal(err)
	}

	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelectorAll('.detector.idle').length === 2`)
	want := []string{
		"The detector another-detector fails on every image that it tries: 4 images wait, and none was looked at yet; 1 image could not be looked at",
		"The detector " + spi.DetectorAlgorithm + " fails on every image that it tries: 1 image waits, and none was looked at yet; 4 images could not be looked at",
	}
	if got := eval[[]string](b, theNotes); !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
	if n := b.asked("get_uid_failures"); n != 0 {
		t.Errorf("it asks for the failures %d times to know that", n)
	}
	b.look("detector-fails")
	b.press(`.detector button`, `4 images could not`)
	b.waitFor(`document.querySelectorAll('.failures li').length > 0`)
	if title := eval[string](b, `document.querySelector('.failures h2').innerText`); !strings.Contains(title, spi.DetectorAlgorithm) {
		t.Errorf("the list is called %q, which does not name the detector", title)
	}
	if got := eval[[]string](b, `[...document.querySelectorAll('.failures li span.muted')].map((e) => e.innerText)`); len(got) != 4 || slices.ContainsFunc(got, func(s string) bool { return s != "no memory for "+spi.DetectorAlgorithm }) {
		t.Errorf("it lists %q", got)
	}
	b.look("failures-of-one-detector")
	b.press(`.failures button`, `Try 4 images again`)
	b.waitFor(`document.querySelector('.failures') === null`)
	if usual, other := len(askForWork(t, c)), len(askForWorkOf(t, c, another)); usual != 5 || other != 4 {
		t.Errorf("after that, the one detector gets %d images and the other %d, want 5 and 4", usual, other)
	}
	b.quiet()
}

func TestADetectorThatFailedOnItsLastImagesAloneIsNotSaidToFailOnAll(t *testing.T) {
	s := start(t)
	c := client(t, s)
	images := series(t, c, device, june, 5)
	annotate(t, c, images[3], square(40, 30, 20))
	annotate(t, c, images[4], square(40, 30, 20))
	for range 3 {
		for _, image := range askForWork(t, c) {
			if _, err := c.ReportFailures(t.Context(), spi.FailureReport{
				ImageKey: spi.ImageKey{Device: device, Datetime: image.Datetime},
				AlgoName: spi.DetectorAlgorithm, AlgoVersion: theVersion, Reason: "cannot be read",
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	db := database(t, s)
	for _, change := range []string{"images SET datetime_created = datetime_created - 7200", "uid_annotations SET datetime_created = datetime_created - 7200", "uid_intents SET failed_datetime = failed_datetime - 7100"} {
		if _, err := db.ExecContext(t.Context(), "UPDATE "+change); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, s, desktop)
	b.logIn("/images?"+juneRange, stack.AdminName, stack.AdminPassword)
	b.waitFor(`document.querySelector('.detector')`)
	if got := eval[[]string](b, theNotes); !slices.Equal(got, []string{"3 images could not be looked at"}) || eval[bool](b, `document.querySelector('.detector.idle') !== null`) {
		t.Errorf("it says %q", got)
	}
	b.look("detector-failed-on-the-last")
	b.quiet()
}

// database is the server's own, in which a test makes time pass.
func database(t *testing.T, s *stack.Stack) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Data, "sticky-pi.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
