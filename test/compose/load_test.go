package compose

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func md5Hex(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// noise gives bytes that do not compress, the same for the same seed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // never fails
	return b
}

// photographs makes files to upload: those of real devices, where they are beside the project, and generated ones. Making
// one anew costs next to nothing: the pictures are few, and the metadata differs.
type photographs struct {
	real, pictures [][]byte
	made           atomic.Uint64
}

func newPhotographs(t *testing.T) *photographs {
	t.Helper()
	p := &photographs{}
	found, err := filepath.Glob(filepath.Join(stack.Root(t), "..", "shared", "data", "raw_images", "*.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p.real = append(p.real, data)
	}
	t.Logf("%d photographs of real devices", len(p.real))
	for seed, width := range []int{2592, 1296, 648} {
		p.pictures = append(p.pictures, spitest.Picture(spitest.Photo{Width: width, Height: width * 3 / 4, Seed: uint64(seed)}))
	}
	return p
}

// next gives a photograph's bytes: one of four is a real one.
func (p *photographs) next() []byte {
	n := p.made.Add(1)
	if len(p.real) > 0 && n%4 == 0 {
		return p.real[n/4%uint64(len(p.real))]
	}
	generation := spitest.First
	exif := spitest.EXIF(spitest.MakeTag(spitest.Metadata(generation, n)), "")
	if n%2 == 0 {
		exif = spitest.EXIF("RaspberryPi", spitest.UserComment(spitest.Metadata(spitest.Second, n)))
	}
	return spitest.WithEXIF(p.pictures[n%uint64(len(p.pictures))], exif)
}

// A sent file was acknowledged by the server.
type sent struct {
	file  spi.File
	md5   string
	image spi.Image // as the server gave it
}

// load is several devices' cards being uploaded, each by a client that tries again as clients do.
type load struct {
	mu           sync.Mutex
	acknowledged []sent // in the order of the answers
	failed       []error
	requests     int         // attempts, log-ins and questions among them
	answers      map[int]int // other than 200, by status; 0: the connection broke
	stopped      func()
}

// counted counts what a client sends and gets.
type counted struct {
	http.RoundTripper
	l *load
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := c.RoundTripper.RoundTrip(r)
	status := 0
	if err == nil {
		status = reply.StatusCode
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.requests++
	if status != http.StatusOK {
		c.l.answers[status]++
	}
	return reply, err
}

// startLoad lets that many cards be uploaded until stop. round tells the cards of one load from those of another.
func (c *composed) startLoad(t *testing.T, photos *photographs, round, cards int) *load {
	t.Helper()
	l := &load{answers: map[int]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for card := range cards {
		h := c.http(t)
		h.Transport = counted{h.Transport, l}
		client, err := spi.New("https://api."+composeDomain, spi.WithPassword("admin", c.secret(t, "API_ADMIN_PASSWORD")), spi.WithHTTPClient(h),
			spi.WithRetry(spi.Retry{Attempts: 12}))
		if err != nil {
			t.Fatal(err)
		}
		device := fmt.Sprintf("f%03x%04x", round, card)
		wg.Go(func() {
			at := time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC)
			for ; ; at = at.Add(20 * time.Minute) {
				select {
				case <-quit:
					return
				case <-time.After(50 * time.Millisecond): // a card is slower than a network of containers
				}
				data := photos.next()
				file := spi.FileOf(spitest.Name(device, at), data)
				image, err := client.PutImage(ctx, file)
				l.mu.Lock()
				if err != nil {
					l.failed = append(l.failed, fmt.Errorf("%s: %w", file.Name, err))
				} else {
					l.acknowledged = append(l.acknowledged, sent{file, md5Hex(data), image})
				}
				l.mu.Unlock()
			}
		})
	}
	l.stopped = sync.OnceFunc(func() {
		close(quit)
		wg.Wait()
		cancel()
	})
	t.Cleanup(func() {
		cancel()
		l.stopped()
	})
	return l
}

// so far gives what has been acknowledged until now.
func (l *load) soFar() []sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acknowledged)
}

// more waits until that many further images are acknowledged.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	want := len(l.soFar()) + n
	eventually(t, 10*time.Minute, func() error {
		if got := len(l.soFar()); got < want {
			return fmt.Errorf("%d images are acknowledged, want %d", got, want)
		}
		return nil
	})
}

// stop ends the load, checks that no upload failed for good, and gives what was acknowledged.
func (l *load) stop(t *testing.T) []sent {
	t.Helper()
	l.stopped()
	for _, err := range l.failed {
		t.Errorf("an upload was given up: %v", err)
	}
	t.Logf("%d images acknowledged, %d given up; %d requests, of which answered otherwise than by 200: %v",
		len(l.acknowledged), len(l.failed), l.requests, l.answers)
	return l.acknowledged
}

// always is the series of all images of all devices.
var always = spi.Series{Device: "%", Start: spi.Datetime{Time: time.Unix(0, 0)}, End: spi.Datetime{Time: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}}

// rowsOf gives the rows of all images of the devices that the files are of, by file name.
func rowsOf(t *testing.T, client *spi.Client, what spi.What, files []sent) map[string]spi.Image {
	t.Helper()
	devices := map[string]bool{}
	var series []spi.Series
	for _, s := range files {
		if device := s.file.Name[:strings.IndexByte(s.file.Name, '.')]; !devices[device] {
			devices[device] = true
			series = append(series, spi.Series{Device: device, Start: always.Start, End: always.End})
		}
	}
	rows := map[string]spi.Image{}
	for image, err := range client.GetImageSeries(t.Context(), what, series...) {
		if err != nil {
			t.Fatal(err)
		}
		rows[spitest.Name(image.Device, image.Datetime.Time)] = image
	}
	return rows
}

// checkWhole fails unless each file has its row and S3 gives its very bytes.
func (c *composed) checkWhole(t *testing.T, client *spi.Client, files []sent) {
	t.Helper()
	rows := rowsOf(t, client, spi.FullImage, files)
	var wg sync.WaitGroup
	var whole atomic.Int64
	jobs, h := make(chan sent), c.http(t)
	for range 4 {
		wg.Go(func() {
			for s := range jobs {
				row, ok := rows[s.file.Name]
				if !ok || row.MD5 != s.md5 || row.ID != s.image.ID {
					t.Errorf("%s: the row is %+v (found: %t), want the id %d and the md5 %s", s.file.Name, row, ok, s.image.ID, s.md5)
					continue
				}
				status, data, err := fetchFrom(t.Context(), h, row.URL)
				if err != nil || status != http.StatusOK || md5Hex(data) != s.md5 {
					t.Errorf("%s: the object: %d, %d bytes with md5 %s, want %s (%v)", s.file.Name, status, len(data), md5Hex(data), s.md5, err)
					continue
				}
				whole.Add(1)
			}
		})
	}
	for _, s := range files {
		jobs <- s
	}
	close(jobs)
	wg.Wait()
	t.Logf("%d of %d acknowledged images are there, row and original", whole.Load(), len(files))
}

// watch asks the same again and again, without trying anything again, and sees who is answered.
type watch struct {
	asked, failed int
	outage        time.Duration // the longest, from the first question without an answer to the next answer
	last          error
	stop          func()
}

// startWatch asks every 100 ms until stop.
func startWatch(t *testing.T, ask func(ctx context.Context) error) *watch {
	t.Helper()
	w := &watch{}
	ctx, cancel := context.WithCancel(t.Context())
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var since time.Time
		for {
			select {
			case <-quit:
				return
			case <-time.After(100 * time.Millisecond):
			}
			start := time.Now()
			err := ask(ctx)
			w.asked++
			switch {
			case err != nil:
				w.failed, w.last = w.failed+1, err
				if since.IsZero() {
					since = start
				}
			case !since.IsZero():
				w.outage, since = max(w.outage, time.Since(since)), time.Time{}
			}
		}
	}()
	w.stop = sync.OnceFunc(func() {
		close(quit)
		<-ended
		cancel()
	})
	t.Cleanup(func() {
		cancel()
		w.stop()
	})
	return w
}

func (w *watch) String() string {
	s := fmt.Sprintf("%d of %d requests failed, the longest outage %s", w.failed, w.asked, w.outage.Round(100*time.Millisecond))
	if w.last != nil {
		s += fmt.Sprintf(" (the last: %v)", w.last)
	}
	return s
}

// asking gives a question to the API, with a token of the admin's, that needs the database and is asked once.
func (c *composed) asking(t *testing.T) func(ctx context.Context) error {
	t.Helper()
	token, err := c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD")).GetToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := spi.New("https://api."+composeDomain, spi.WithToken(token.Token), spi.WithHTTPClient(c.http(t)), spi.WithRetry(spi.Retry{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		_, err := client.GetUsers(ctx)
		return err
	}
}

// fetching gives a question for a picture, at its presigned address.
func (c *composed) fetching(t *testing.T, client *spi.Client, image spi.Image) func(ctx context.Context) error {
	t.Helper()
	images, err := spi.Collect(client.GetImages(t.Context(), spi.Thumbnail, []spi.ImageKey{{Device: image.Device, Datetime: image.Datetime}}))
	if err != nil || len(images) != 1 {
		t.Fatalf("%d images (%v)", len(images), err)
	}
	h := c.http(t)
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		status, body, err := fetchFrom(ctx, h, images[0].URL)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %.100s", status, body)
		}
		return err
	}
}

// slowly is a reader that gives a few bytes at a time until fast is closed.
type slowly struct {
	io.Reader
	fast <-chan struct{}
}

func (s slowly) Read(p []byte) (int, error) {
	select {
	case <-s.fast:
		return s.Reader.Read(p)
	case <-time.After(100 * time.Millisecond):
		return s.Reader.Read(p[:min(len(p), 4<<10)])
	}
}
