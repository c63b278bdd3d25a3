package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/services/spi/upload"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// badLine stands between a client and a server: it loses requests, replies and connections, dawdles, answers in the
// server's place and lets tokens end. It notes what came through.
type badLine struct {
	*httptest.Server
	forward http.Handler

	mu           sync.Mutex
	random       *rand.Rand
	faults       map[string]int
	tokens       map[string]bool // that are over
	client       int             // how many clients there have been: one that is killed reads no reply
	acknowledged map[string]int  // files, by name: replies of status 200 that went to the client
	stored       map[string]int  // files, by name: replies of status 200 that the server gave
	again        []string        // files that came once more after they were acknowledged
}

func newBadLine(t *testing.T, s *stack.Stack) *badLine {
	t.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	l := &badLine{
		forward: proxy, random: rand.New(rand.NewPCG(1, 2)), faults: map[string]int{}, tokens: map[string]bool{},
		acknowledged: map[string]int{}, stored: map[string]int{},
	}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

var fileField = regexp.MustCompile(`filename="([^"]+)"`)

func (l *badLine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	fault := l.random.IntN(100)
	pause := time.Duration(l.random.IntN(10)) * time.Millisecond
	token, password, _ := r.BasicAuth()
	over, client := password == "" && l.tokens[token], l.client
	if fault == 99 && password == "" {
		l.tokens[token] = true
	}
	l.mu.Unlock()
	time.Sleep(pause)
	note := func(what string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.faults[what]++
	}
	if over {
		_, _ = io.Copy(io.Discard, r.Body)
		note("token")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"code":"unauthorized","message":"the token is over"}}`)
		return
	}
	switch {
	case fault < 3: // in the middle of what is sent
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		note("request lost")
		panic(http.ErrAbortHandler)
	case fault < 7:
		_, _ = io.Copy(io.Discard, r.Body)
		note("gateway")
		statuses := []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests}
		w.WriteHeader(statuses[fault%len(statuses)])
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	var names []string
	if r.URL.Path == "/_put_new_images" {
		for _, match := range fileField.FindAllSubmatch(body, -1) {
			names = append(names, string(match[1]))
		}
	}
	l.mu.Lock()
	for _, name := range names {
		if l.acknowledged[name] > 0 {
			l.again = append(l.again, name)
		}
	}
	l.mu.Unlock()
	// what the server does is not ended by the client's end
	request := r.Clone(context.WithoutCancel(r.Context()))
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer := httptest.NewRecorder()
	l.forward.ServeHTTP(answer, request)
	lost := 7 <= fault && fault < 11
	l.mu.Lock()
	if answer.Code == http.StatusOK {
		for _, name := range names {
			l.stored[name]++
			if !lost && client == l.client {
				l.acknowledged[name]++
			}
		}
	}
	l.mu.Unlock()
	if lost {
		note("reply lost")
		panic(http.ErrAbortHandler)
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// nextClient says that the client so far is dead.
func (l *badLine) nextClient() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client++
}

func (l *badLine) storedSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.stored)
}

// smallCard writes n small photographs of some devices into folders, and gives their md5 by name.
func smallCard(t testing.TB, dir string, n int) map[string]string {
	t.Helper()
	sums := map[string]string{}
	devices := []string{newDevice(), newDevice(), newDevice()}
	for i := range n {
		device := devices[i%len(devices)]
		name := spitest.Name(device, noon.Add(time.Duration(i)*20*time.Minute))
		data := spitest.JPEG(spitest.Photo{Generation: spitest.Generation(1 + i%2), Width: 64, Height: 48, Seed: uint64(i)})
		path := filepath.Join(dir, "DCIM", device, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		sums[name] = md5Hex(data)
	}
	return sums
}

// storedSums gives the md5 of the images that the server has of the devices of some files, by their names.
func storedSums(t *testing.T, client *spi.Client, names map[string]string) map[string]string {
	t.Helper()
	devices := map[string]bool{}
	for name := range names {
		devices[name[:8]] = true
	}
	sums := map[string]string{}
	for device := range devices {
		all := spi.Series{Device: device, Start: spi.Datetime{Time: noon.AddDate(-10, 0, 0)}, End: spi.Datetime{Time: noon.AddDate(10, 0, 0)}}
		for image, err := range client.GetImageSeries(t.Context(), spi.Metadata, all) {
			if err != nil {
				t.Fatal(err)
			}
			sums[spitest.Name(image.Device, image.Datetime.Time)] = image.MD5
		}
	}
	return sums
}

func adminOf(t testing.TB, s *stack.Stack) *spi.Client {
	t.Helper()
	client, err := spi.New(s.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// uploaderOf is somebody whose log-in does not end.
func uploaderOf(t *testing.T, server string) *person {
	t.Helper()
	p := newPerson(t)
	p.env = []string{"SPI_HOST=" + server, "SPI_USER=" + stack.AdminName, "SPI_PASSWORD=" + stack.AdminPassword}
	return p
}

func reportOf(t *testing.T, r *ran) upload.Report {
	t.Helper()
	var report upload.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("%s: %v; it says:\n%s%s", r.asked, err, r.stdout, r.errs)
	}
	return report
}

func TestACardArrivesOverABadLineThoughTheUploadIsKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{Quiet: true}, func(t *testing.T, s *stack.Stack) {
		const images, kills = 2000, 5
		line, card := newBadLine(t, s), t.TempDir()
		sums := smallCard(t, card, images)
		p := uploaderOf(t, line.URL)
		for kill := 1; kill <= kills; kill++ {
			cmd := p.command(t.Context(), "upload", card)
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			awaitThat(t, "more images are stored", func() (string, bool) {
				n := line.storedSoFar()
				return fmt.Sprint(n), n >= kill*images/(kills+2) || len(ended) > 0
			})
			if err := cmd.Process.Kill(); err != nil {
				t.Fatalf("it ended before it was killed: %v, %v: %s", err, <-ended, said.String())
			}
			<-ended
			line.nextClient()
		}
		report := reportOf(t, p.run("upload", card, "--json").done())
		if !report.Complete || report.Failed > 0 || report.Found != images || report.Uploaded+report.AlreadyThere != images {
			t.Errorf("the last run reports %+v", report)
		}
		if d := cmp.Diff(sums, storedSums(t, adminOf(t, s), sums)); d != "" {
			t.Errorf("on the card and on the server (-card +server):\n%s", d)
		}
		line.mu.Lock()
		defer line.mu.Unlock()
		for name, n := range line.stored {
			if n != 1 {
				t.Errorf("%s was stored %d times", name, n)
			}
		}
		if len(line.again) > 0 {
			t.Errorf("sent again after their acknowledgement: %v", line.again)
		}
		for _, fault := range []string{"request lost", "reply lost", "gateway", "token"} {
			if line.faults[fault] == 0 {
				t.Errorf("the line never showed the fault %q", fault)
			}
		}
		t.Logf("faults: %v", line.faults)
	})
}

func TestASecondUploadAsksAndReadsNoFile(t *testing.T) {
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		card := t.TempDir()
		sums := smallCard(t, card, 300)
		p := uploaderOf(t, s.URL)
		first := reportOf(t, p.run("upload", card, "--json").done())
		same(t, "uploaded", int64(len(sums)), first.Uploaded)

		// other bytes behind the same size and time: whoever reads them cannot take them for the image
		err := filepath.WalkDir(card, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if err := os.WriteFile(path, make([]byte, info.Size()), 0o600); err != nil {
				return err
			}
			return os.Chtimes(path, info.ModTime(), info.ModTime())
		})
		if err != nil {
			t.Fatal(err)
		}
		second := reportOf(t, p.run("upload", card, "--json").done())
		same(t, "there already", int64(len(sums)), second.AlreadyThere)
		same(t, "bytes sent", int64(0), second.SentBytes)

		// what the server has lost is noticed, and the changed bytes with it
		var lost spi.ImageKey
		for name := range sums {
			key, err := upload.ParseName(name)
			if err != nil {
				t.Fatal(err)
			}
			lost = key
			break
		}
		if _, err := adminOf(t, s).DeleteImages(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		third := reportOf(t, p.run("upload", card, "--json").ended(3))
		same(t, "there already", int64(len(sums)-1), third.AlreadyThere)
		if len(third.Failures) != 1 || third.Failures[0].Code != upload.CodeNotJPEG {
			t.Errorf("failures: %v", third.Failures)
		}
	})
}

func TestRealPhotographsComeBackAsTheyWent(t *testing.T) {
	photographs, err := filepath.Glob(filepath.Join(stack.Root(t), "..", "shared", "data", "raw_images", "*.jpg"))
	if err != nil || len(photographs) == 0 {
		t.Skip("the photographs of real devices are not on this machine")
	}
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		p := uploaderOf(t, s.URL)
		report := reportOf(t, p.run("upload", filepath.Dir(photographs[0]), "--json").done())
		same(t, "uploaded", int64(len(photographs)), report.Uploaded)
		for _, path := range photographs {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			key, err := upload.ParseName(filepath.Base(path))
			if err != nil {
				t.Fatal(err)
			}
			images, err := spi.Collect(adminOf(t, s).GetImages(t.Context(), spi.FullImage, []spi.ImageKey{key}))
			if err != nil || len(images) != 1 {
				t.Fatalf("%s: %v, %v", path, images, err)
			}
			if got := fetched(t, images[0].URL); !bytes.Equal(got, want) {
				t.Errorf("%s came back as %d other bytes", path, len(got))
			}
		}
	})
}

func fetched(t *testing.T, address string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	data, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", reply.Status, err)
	}
	return data
}

func TestAnUploadSaysWhatItDidNotTake(t *testing.T) {
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		card, device := t.TempDir(), newDevice()
		write := func(name string, data []byte) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(card, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		photo := func(seed uint64) []byte { return spitest.JPEG(spitest.Photo{Width: 64, Height: 48, Seed: seed}) }
		name := func(i int) string { return spitest.Name(device, noon.Add(time.Duration(i)*time.Hour)) }
		if _, err := adminOf(t, s).PutImage(t.Context(), spi.FileOf(name(1), photo(100))); err != nil {
			t.Fatal(err)
		}
		write(name(0), photo(0))
		write(name(1), photo(1)) // the server has other bytes
		write(name(2), photo(2)[:500])
		spoilt := photo(3)
		middle := bytes.Index(spoilt, []byte{0xff, 0xda}) + 20
		copy(spoilt[middle:], bytes.Repeat([]byte{0xff, 0xd0}, 20)) // only a decoder sees it
		write(name(3), spoilt)
		write("DSC_0001.JPG", photo(4))
		write("readme.txt", nil)
		p := uploaderOf(t, s.URL)
		r := p.run("upload", card, "--delete-after-verify", "--json").ended(3).says(name(1), "DSC_0001.JPG")
		report := reportOf(t, r)
		got := map[string]upload.Code{}
		for _, f := range report.Failures {
			got[filepath.Base(f.Path)] = f.Code
		}
		want := map[string]upload.Code{
			name(1): upload.CodeConflict, name(2): upload.CodeTruncated, name(3): upload.CodeRefused, "DSC_0001.JPG": upload.CodeBadName,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("failures (-want +got):\n%s", d)
		}
		entries, err := os.ReadDir(card)
		if err != nil {
			t.Fatal(err)
		}
		left := []string{}
		for _, e := range entries {
			left = append(left, e.Name())
		}
		wantLeft := []string{name(1), name(2), name(3), "DSC_0001.JPG", "readme.txt"}
		slices.Sort(wantLeft)
		same(t, "left on the card", wantLeft, left)
	})
}
