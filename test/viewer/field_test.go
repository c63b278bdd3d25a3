package viewer

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// Devices of fillField.
const (
	catches  = "1a2b3c01" // twelve insects came last night
	beside   = "1a2b3c02" // at the same place; its card was changed in the night
	fellOff  = "1a2b3c03" // silent for three days
	weak     = "1a2b3c04" // its battery is nearly empty
	nowhere  = "1a2b3c05" // does not tell where it is
	longGone = "1a2b3c06" // its one image is older than the usual range
)

// noonAt is the longitude where it is noon by the sun's mean time, within some minutes.
func noonAt(now time.Time) float64 {
	now = now.UTC()
	return 0.98 * 15 * (12 - float64(now.Hour()) - float64(now.Minute())/60) // not quite to the date line
}

// midnight is that of the last night that is over where it is noon now.
func midnight(now time.Time) time.Time { return now.UTC().Add(-12 * time.Hour) }

// fillField uploads what devices in the field took until a moment ago. All stand near the longitude where it is noon, so that
// the last night is long over whenever the test runs; at its midnight the number of insects rises from 5 to 17 on the device
// catches, and the card of the device beside is changed.
func fillField(t testing.TB, s *stack.Stack) {
	t.Helper()
	c := client(t, s)
	now := time.Now().UTC().Truncate(time.Hour)
	lng := noonAt(time.Now())
	before := func(count, later int) func(time.Time) int {
		return func(at time.Time) int {
			if at.Before(midnight(time.Now())) {
				return count
			}
			return later
		}
	}
	f := func(v float64) *float64 { return &v }
	var uploads errgroup.Group
	uploads.SetLimit(4)
	type taken struct {
		image   spi.Image
		insects int
	}
	var mu sync.Mutex
	var found []taken
	for _, d := range []struct {
		name          string
		from, to      time.Duration // before now
		every         time.Duration
		lat, lng, bat *float64
		insects       func(time.Time) int
	}{
		{catches, 47 * time.Hour, 0, time.Hour, f(51.4780), f(lng), f(88), before(5, 17)},
		{beside, 47 * time.Hour, 0, time.Hour, f(51.4780), f(lng), f(74), before(28, 8)},
		{fellOff, 140 * time.Hour, 76 * time.Hour, 4 * time.Hour, f(51.4810), f(lng + 0.0100), f(60), before(31, 31)},
		{weak, 20 * time.Hour, 0, 2 * time.Hour, f(51.4760), f(lng - 0.0120), f(9), before(1, 1)},
		{nowhere, 20 * time.Hour, 0, 2 * time.Hour, nil, nil, nil, nil},
		{longGone, 1200 * time.Hour, 1200 * time.Hour, time.Hour, f(51.4790), f(lng + 0.0050), f(50), nil},
	} {
		for ago := d.from; ago >= d.to; ago -= d.every {
			at := now.Add(-ago)
			uploads.Go(func() error {
				hour := float64(at.Hour())
				photo := spitest.Photo{Generation: spitest.Second, Width: 64, Height: 48, Seed: uint64(at.Unix()), Quality: 70, Metadata: spi.Image{ //nolint:gosec // after 1970
					Temp: f(14 + hour/3), Hum: f(90 - hour), Bat: d.bat, Lum: f(hour), Lat: d.lat, Lng: d.lng, Alt: f(30),
				}}
				image, err := c.PutImage(t.Context(), spi.FileOf(spitest.Name(d.name, at), spitest.JPEG(photo)))
				if err != nil || d.insects == nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				found = append(found, taken{image, d.insects(at)})
				return nil
			})
		}
	}
	if err := uploads.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		squares := make([]spi.Contour, f.insects)
		for i := range squares {
			squares[i] = square(2*i, 2, 2)
		}
		annotate(t, c, f.image, squares...)
	}
}

// The two tuboids beside the project: what the matcher made of one night.
const tuboidRange = "from=2020-07-08&to=2020-07-10"

const realTuboid = "08038ade.2020-07-08_20-00-00.2020-07-09_15-00-00.1606980656-91e2199fccf371d3d690b2856613e8f5.0034"

// fillAll fills every page.
func fillAll(t testing.TB, s *stack.Stack) {
	t.Helper()
	fillReal(t, s)
	fillField(t, s)
	fillTuboids(t, s)
	fillPeople(t, s)
	askForWork(t, client(t, s)) // so that what is not annotated waits for somebody
}

// fillTuboids uploads the real tuboids, and says of the second, which has eleven shots, what it is. It gives their names.
func fillTuboids(t testing.TB, s *stack.Stack) []string {
	t.Helper()
	c := client(t, s)
	folders, err := filepath.Glob(filepath.Join(stack.SharedData(t, "tuboids"), "*"))
	if err != nil || len(folders) != 2 {
		t.Fatalf("%d tuboids: %v", len(folders), err)
	}
	names := make([]string, len(folders))
	for i, folder := range folders {
		names[i] = filepath.Base(folder)
		fields := strings.Split(names[i], ".")
		upload := spi.TuboidUpload{TuboidID: names[i], Series: spi.TuboidSeriesInfo{
			Device: fields[0], Start: datetime(t, fields[1]), End: datetime(t, fields[2]), AlgoName: "sticky-pi-matcher", AlgoVersion: fields[3], NTuboids: 2, NImages: 57,
		}}
		for file, to := range map[string]*[]byte{"metadata.txt": &upload.Metadata, "tuboid.jpg": &upload.Tuboid, "context.jpg": &upload.Context} {
			if *to, err = os.ReadFile(filepath.Join(folder, file)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.PutTuboid(t.Context(), upload); err != nil {
			t.Fatal(err)
		}
	}
	order, family := "Diptera", "Tipulidae"
	if _, err := c.PutLabels(t.Context(), spi.NewLabel{
		TuboidID: names[1], AlgoName: "sticky-pi-itc", AlgoVersion: "1607154774-ea96a9d0", Label: 7, Pattern: "Insecta.Diptera.Tipulidae",
		Type: "Insecta", Order: &order, Family: &family,
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

// lines of a tuboid's metadata, field by field.
func metadataOf(t testing.TB, tuboid string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.SharedData(t, "tuboids"), tuboid, "metadata.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range bytes.Lines(text) {
		lines = append(lines, strings.Split(strings.TrimSpace(string(line)), ","))
	}
	return lines
}

func datetime(t testing.TB, text string) spi.Datetime {
	t.Helper()
	at, _, err := spi.ParseDatetime(text)
	if err != nil {
		t.Fatal(err)
	}
	return spi.Datetime{Time: at}
}

// The password of all users of fillPeople.
const userPassword = "a-password-of-tests"

// fillPeople makes users of each role, and an experiment that two of them belong to. It gives the experiment.
func fillPeople(t testing.TB, s *stack.Stack) spi.Project {
	t.Helper()
	c := client(t, s)
	yes, no := true, false
	email := "rita@example.org"
	users, err := c.PutUsers(t.Context(),
		spi.NewUser{Username: "reader", Password: userPassword, CanWrite: &no},
		spi.NewUser{Username: "rita", Password: userPassword, Email: &email},
		spi.NewUser{Username: "second_admin", Password: userPassword, IsAdmin: &yes},
	)
	if err != nil {
		t.Fatal(err)
	}
	description := "Three traps between raspberries and the hedge"
	projects, err := c.PutProjects(t.Context(), spi.NewProject{Name: "Raspberries 2020", Description: &description}, spi.NewProject{Name: "Of the admin alone"})
	if err != nil {
		t.Fatal(err)
	}
	p := projects[0]
	if _, err := c.PutProjectPermissions(t.Context(),
		spi.NewPermission{ProjectID: p.ID, UserID: users[0].ID, Level: spi.LevelAdmin}, // which is of no use to who is read only
		spi.NewPermission{ProjectID: p.ID, UserID: users[1].ID, Level: spi.LevelWrite},
	); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutProjectSeries(t.Context(),
		spi.NewProjectSeries{ProjectID: p.ID, Device: "0a5bb6f4", Start: datetime(t, "2020-06-20"), End: datetime(t, "2020-06-22"), Columns: map[string]any{"site": "hedge", "height": 1.5}},
		spi.NewProjectSeries{ProjectID: p.ID, Device: "5c173ff2", Start: datetime(t, "2020-06-19_12-00-00"), End: datetime(t, "2020-06-21_06-00-00"), Columns: map[string]any{"site": "row 4"}},
	); err != nil {
		t.Fatal(err)
	}
	return p
}

// press clicks on the one that says the text, of what the selector finds.
func (b *tab) press(selector, text string) {
	b.Helper()
	found := `[...document.querySelectorAll(` + strconv.Quote(selector) + `)].find((e) => (e.innerText ?? '').includes(` + strconv.Quote(text) + `) || (e.getAttribute('aria-label') ?? '').includes(` + strconv.Quote(text) + `))`
	b.waitFor(found + ` !== undefined`)
	p := eval[[2]float64](b, `(() => { const e = `+found+`; e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`)
	b.do(chromedp.MouseClickXY(p[0], p[1]))
}
