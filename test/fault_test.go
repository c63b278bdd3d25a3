package test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// answersWithin bounds the wait for every answer: a request that takes longer counts as one that hangs.
const answersWithin = 100 * time.Second

// comesWithin bounds the wait for what comes to be in the end, of any number of requests on a machine that does much else.
const comesWithin = 5 * time.Minute

// caller calls the API, and S3 by presigned URLs, without ever trying again: the fault tests look at every answer.
type caller struct {
	url            string
	user, password string // a token is a user without a password
	http           *http.Client
}

// faultReply is the answer to a call; status 0 is a connection that failed.
type faultReply struct {
	status     int
	retryAfter string
	body       []byte
	err        error
}

func (r faultReply) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	return fmt.Sprintf("%d %.300s", r.status, r.body)
}

// newCaller logs in as admin and goes on with the token.
func newCaller(t *testing.T, s *stack.Stack) *caller {
	t.Helper()
	c := &caller{url: s.URL, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: answersWithin}}
	t.Cleanup(c.http.CloseIdleConnections)
	return c.as(t, stack.AdminName, stack.AdminPassword)
}

// as gives a caller with a token of that user.
func (c *caller) as(t *testing.T, user, password string) *caller {
	t.Helper()
	d := &caller{url: c.url, http: c.http, user: user, password: password}
	d.user, d.password = d.token(t), ""
	return d
}

func (c *caller) token(t *testing.T) string {
	t.Helper()
	r := c.post(t.Context(), "/get_token", "", nil)
	if r.status != http.StatusOK {
		t.Fatalf("get_token: %v", r)
	}
	return jsonAs[spi.Token](t, r.body).Token
}

func jsonAs[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %.300s", err, body)
	}
	return v
}

func (c *caller) do(req *http.Request, err error) faultReply {
	if err != nil {
		return faultReply{err: err}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return faultReply{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return faultReply{err: err}
	}
	return faultReply{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After"), body: body}
}

func (c *caller) get(ctx context.Context, url string) faultReply {
	return c.do(http.NewRequestWithContext(ctx, http.MethodGet, url, nil))
}

func (c *caller) request(ctx context.Context, path, contentType string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, body)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(c.user, c.password)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req, nil
}

func (c *caller) post(ctx context.Context, path, contentType string, body []byte) faultReply {
	return c.do(c.request(ctx, path, contentType, bytes.NewReader(body)))
}

func (c *caller) call(ctx context.Context, path string, elements any) faultReply {
	body, err := json.Marshal(elements)
	if err != nil {
		return faultReply{err: err}
	}
	return c.post(ctx, path, "application/json", body)
}

// allShots is the series of all images that takeShot gives.
var allShots = []spi.Series{{
	Device: "fa0170%", Start: spi.Datetime{Time: time.Unix(0, 0)}, End: spi.Datetime{Time: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
}}

func (c *caller) series(ctx context.Context, what spi.What) faultReply {
	return c.call(ctx, "/get_image_series/"+string(what), allShots)
}

// rows gives the images of allShots by file name, with URLs of that kind of picture.
func (c *caller) rows(t *testing.T, what spi.What) map[string]spi.Image {
	t.Helper()
	r := c.series(t.Context(), what)
	if r.status != http.StatusOK {
		t.Fatalf("get_image_series/%s: %v", what, r)
	}
	rows := map[string]spi.Image{}
	for _, row := range jsonAs[[]spi.Image](t, r.body) {
		rows[spitest.Name(row.Device, row.Datetime.Time)] = row
	}
	return rows
}

func (c *caller) put(ctx context.Context, s shot) faultReply {
	contentType, body := s.form()
	return c.post(ctx, "/_put_new_images", contentType, body)
}

func (c *caller) delete(ctx context.Context, shots ...shot) faultReply {
	var keys []spi.ImageKey
	for _, s := range shots {
		keys = append(keys, spi.ImageKey{Device: s.device, Datetime: spi.Datetime{Time: s.datetime}})
	}
	return c.call(ctx, "/delete_images", keys)
}

// readyz gives /readyz's status and what it says of each part.
func (c *caller) readyz(t *testing.T) (status int, checks map[string]string) {
	t.Helper()
	r := c.get(t.Context(), c.url+"/readyz")
	if r.err != nil {
		t.Fatalf("/readyz: %v", r)
	}
	return r.status, jsonAs[struct{ Checks map[string]string }](t, r.body).Checks
}

// wantAway fails unless the server comes to say of itself that it lives and that of its parts just this one is away.
func (c *caller) wantAway(t *testing.T, part string) {
	t.Helper()
	awaitThat(t, "/readyz is 503 and names only "+part, func() (string, bool) {
		status, checks := c.readyz(t)
		for name, state := range checks {
			if (name == part) == (state == "ok") {
				return fmt.Sprint(status, checks), false
			}
		}
		return fmt.Sprint(status, checks), status == http.StatusServiceUnavailable && checks[part] != ""
	})
	if r := c.get(t.Context(), c.url+"/healthz"); r.status != http.StatusOK {
		t.Errorf("/healthz while %s is away: %v", part, r)
	}
}

func (c *caller) awaitReady(t *testing.T) {
	t.Helper()
	awaitThat(t, "/readyz is 200", func() (string, bool) {
		status, checks := c.readyz(t)
		return fmt.Sprint(status, checks), status == http.StatusOK
	})
}

// wantUnavailable fails unless the answer is one after which clients try again.
func wantUnavailable(t *testing.T, what string, r faultReply) {
	t.Helper()
	var e struct{ Error struct{ Code spi.Code } }
	if r.status != http.StatusServiceUnavailable || json.Unmarshal(r.body, &e) != nil || e.Error.Code != spi.CodeUnavailable {
		t.Errorf("%s: %v, want a typed 503", what, r)
		return
	}
	if seconds, err := strconv.Atoi(r.retryAfter); err != nil || seconds < 1 {
		t.Errorf("%s: Retry-After %q, want seconds", what, r.retryAfter)
	}
}

func wantStatus(t *testing.T, what string, r faultReply, status int) {
	t.Helper()
	if r.status != status {
		t.Errorf("%s: %v, want %d", what, r, status)
	}
}

// awaitThat waits until the condition holds. The condition says what it saw, for the message.
func awaitThat(t *testing.T, what string, holds func() (saw string, ok bool)) {
	t.Helper()
	deadline := time.Now().Add(comesWithin)
	for {
		saw, ok := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to be that %s; last seen: %s", what, saw)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stillRuns fails where the process is not the one that it was.
func stillRuns(t *testing.T, s *stack.Stack) {
	t.Helper()
	select {
	case <-s.Exited():
		t.Error("the server's process has ended")
	default:
	}
}

// shot is a photograph to upload.
type shot struct {
	device   string
	datetime time.Time
	data     []byte
	md5      string
}

func (s shot) name() string { return spitest.Name(s.device, s.datetime) }

// form gives the upload as clients of the second generation send it, with its checksum.
func (s shot) form() (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	file, err := w.CreateFormFile(s.name(), s.name())
	if err == nil {
		_, err = file.Write(s.data)
	}
	if err == nil {
		err = w.WriteField(s.name()+".md5", s.md5)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return w.FormDataContentType(), b.Bytes()
}

// largeShot is one of the size that devices make, about 2 MB.
var largeShot = sync.OnceValue(func() []byte { return spitest.Picture(spitest.Photo{Width: 2592, Height: 1944}) })

var smallShot = sync.OnceValue(func() []byte { return spitest.Picture(spitest.Photo{Width: 240, Height: 180}) })

var shotsTaken atomic.Int64

// takeShot gives a photograph of bytes, device and time that no other has.
func takeShot(picture []byte) shot {
	n := shotsTaken.Add(1)
	exif := spitest.EXIF(spitest.MakeTag(spitest.Metadata(spitest.First, uint64(n))), "")
	s := shot{
		device:   fmt.Sprintf("fa0170%02x", n%4),
		datetime: time.Date(2023, 5, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * 20 * time.Minute),
	}
	return s.with(spitest.WithEXIF(picture, exif))
}

// with gives a photograph of the same device and time with other bytes.
func (s shot) with(data []byte) shot {
	sum := md5.Sum(data)
	s.data, s.md5 = data, hex.EncodeToString(sum[:])
	return s
}

// ledger is what clients know of their uploads.
type ledger struct {
	mu           sync.Mutex
	acknowledged map[string]shot // answered by 200
	open         map[string]shot // the answer was lost, or said to try again
	checked      map[string]bool
	statuses     map[int]int // how often each status was answered; 0: the connection failed
}

func newLedger() *ledger {
	return &ledger{acknowledged: map[string]shot{}, open: map[string]shot{}, checked: map[string]bool{}, statuses: map[int]int{}}
}

// note enters an answer. A duplicate is what the client that tries again is told where only the answer was lost.
func (l *ledger) note(s shot, r faultReply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[r.status]++
	_, before := l.open[s.name()]
	switch {
	case r.status == http.StatusOK, r.status == http.StatusConflict && before:
		l.acknowledged[s.name()] = s
		delete(l.open, s.name())
	default:
		l.open[s.name()] = s
	}
}

func (l *ledger) count(status int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statuses[status]
}

// stream uploads with several clients at once until the returned function is called, which waits for their last answers.
// Every eighth photograph is a large one. A client that is told to try again does so; one whose connection fails ends.
func (l *ledger) stream(t *testing.T, c *caller, clients int) (stop func()) {
	t.Helper()
	stopped, wg := make(chan struct{}), sync.WaitGroup{}
	var n atomic.Int64
	for range clients {
		wg.Go(func() {
			for {
				picture := smallShot()
				if n.Add(1)%8 == 0 {
					picture = largeShot()
				}
				s := takeShot(picture)
				for {
					select {
					case <-stopped:
						return
					default:
					}
					r := c.put(context.WithoutCancel(t.Context()), s)
					l.note(s, r)
					if r.status == 0 {
						return
					}
					if r.status != http.StatusServiceUnavailable {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		close(stopped)
		wg.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// wantStatuses fails where other statuses were answered than those.
func (l *ledger) wantStatuses(t *testing.T, statuses ...int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for status, n := range l.statuses {
		if !slices.Contains(statuses, status) {
			t.Errorf("%d uploads were answered by %d; all answers by status: %v", n, status, l.statuses)
		}
	}
}

// check fails unless every acknowledged image has its row, there is no row of what was never sent, and every row's
// three objects are whole. Rows that were whole before are not looked at again unless again is true.
func (l *ledger) check(t *testing.T, c *caller, again bool) map[string]spi.Image {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, thumbnails, minis := c.rows(t, spi.FullImage), c.rows(t, spi.Thumbnail), c.rows(t, spi.ThumbnailMini)
	for name, s := range l.acknowledged {
		if row, there := rows[name]; !there {
			t.Errorf("%s was acknowledged and has no row", name)
		} else if row.MD5 != s.md5 {
			t.Errorf("%s: the row's md5 is %s, that of the file acknowledged %s", name, row.MD5, s.md5)
		}
	}
	for name, row := range rows {
		if l.checked[name] && !again {
			continue
		}
		sent, ok := l.acknowledged[name]
		if !ok {
			sent, ok = l.open[name]
		}
		if !ok {
			t.Errorf("%s has a row and was not sent", name)
			continue
		}
		if row.MD5 != sent.md5 {
			t.Errorf("%s: the row's md5 is %s, that of the file %s", name, row.MD5, sent.md5)
		}
		l.checked[name] = c.wantWhole(t, row, thumbnails[name].URL, minis[name].URL)
	}
	return rows
}

// wantWhole fails unless the original of a row, whose URL is in it, has the row's md5 and both thumbnails are JPEGs.
func (c *caller) wantWhole(t *testing.T, row spi.Image, thumbnail, mini string) bool {
	t.Helper()
	whole := true
	name := spitest.Name(row.Device, row.Datetime.Time)
	original := c.get(t.Context(), row.URL)
	if sum := md5.Sum(original.body); original.status != http.StatusOK || hex.EncodeToString(sum[:]) != row.MD5 {
		t.Errorf("%s: its original, of %d bytes, has md5 %x, the row %s; S3 says %d, %v", name, len(original.body), sum, row.MD5, original.status, original.err)
		whole = false
	}
	for _, url := range []string{thumbnail, mini} {
		r := c.get(t.Context(), url)
		if _, err := jpeg.Decode(bytes.NewReader(r.body)); r.status != http.StatusOK || err != nil {
			t.Errorf("%s: a thumbnail of %d bytes is no JPEG (%v); S3 says %d, %v: %s", name, len(r.body), err, r.status, r.err, url)
			whole = false
		}
	}
	return whole
}

// settle uploads again what has no answer yet: each is taken, or is there already with the same bytes.
func (l *ledger) settle(t *testing.T, c *caller) {
	t.Helper()
	l.mu.Lock()
	var open []shot
	for _, s := range l.open {
		open = append(open, s)
	}
	l.mu.Unlock()
	for _, s := range open {
		r := c.put(t.Context(), s)
		if r.status != http.StatusOK && r.status != http.StatusConflict {
			t.Errorf("uploading %s again: %v", s.name(), r)
		}
		l.note(s, r)
	}
}

// logged says whether the server's log has a line with all of the words.
func logged(s *stack.Stack, words ...string) bool {
	for line := range strings.Lines(s.Log()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}
