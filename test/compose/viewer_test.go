package compose

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// testViewer goes the way of a browser: through nginx and the viewer to the API, and to S3 for the pictures.
func (c *composed) testViewer(t *testing.T, password string, stored []spi.Image) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	client := c.http(t)
	var err error
	if client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	base := "https://webapp." + composeDomain
	proof := ""
	ask := func(method, path string, body any) *http.Response {
		t.Helper()
		var text bytes.Buffer
		if body != nil {
			if err := json.NewEncoder(&text).Encode(body); err != nil {
				t.Fatal(err)
			}
		}
		r, err := http.NewRequestWithContext(ctx, method, base+path, &text)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", base)
		r.Header.Set("X-CSRF-Token", proof)
		reply, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reply.Body.Close() })
		return reply
	}
	read := func(reply *http.Response, to any) {
		t.Helper()
		if reply.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(reply.Body)
			t.Fatalf("%s: %s %s", reply.Request.URL, reply.Status, text)
		}
		if err := json.NewDecoder(reply.Body).Decode(to); err != nil {
			t.Fatalf("%s: %v", reply.Request.URL, err)
		}
	}

	page := ask(http.MethodGet, "/images", nil)
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self' https://s3."+composeDomain+";") || page.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("the page's headers: %v", page.Header)
	}
	if reply := ask(http.MethodPost, "/session", map[string]string{"username": "admin", "password": "not the password"}); reply.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %s", reply.Status)
	}
	reply := ask(http.MethodPost, "/session", map[string]string{"username": "admin", "password": password})
	cookies := reply.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "__Host-sticky-pi-session" || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Errorf("cookies %v", cookies)
	}
	var session struct{ Role, Proof string }
	read(reply, &session)
	if session.Role != "admin" {
		t.Errorf("the admin is %q", session.Role)
	}
	if reply := ask(http.MethodPost, "/api/get_users", []any{}); reply.StatusCode != http.StatusForbidden {
		t.Errorf("without the session's proof: %s", reply.Status)
	}
	proof = session.Proof

	var images []spi.Image
	read(ask(http.MethodPost, "/api/get_images/thumbnail", []spi.ImageKey{{Device: stored[0].Device, Datetime: stored[0].Datetime}}), &images)
	if len(images) != 1 {
		t.Fatalf("%d images", len(images))
	}
	if status, _, err := fetchFrom(ctx, c.http(t), images[0].URL); err != nil || status != http.StatusOK {
		t.Errorf("the thumbnail: %d %v", status, err)
	}

	first, last := stored[0].Datetime, stored[len(stored)-1].Datetime
	query := url.Values{"start": {first.Format(time.DateOnly)}, "end": {last.Add(24 * time.Hour).Format(time.DateOnly)}, "device": {stored[0].Device}}
	gz, err := gzip.NewReader(ask(http.MethodGet, "/data.csv.gz?"+query.Encode(), nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(gz).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range stored {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[0] == fmt.Sprint(image.ID) }) {
			t.Errorf("the table lacks image %d", image.ID)
		}
	}

	// events pass nginx as they come
	events := ask(http.MethodGet, "/api/v2/events", nil)
	if kind := events.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("events are %q", kind)
	}
	if line, err := bufio.NewReader(events.Body).ReadString('\n'); err != nil || line == "" {
		t.Errorf("the first line of events is %q, %v", line, err)
	}

	if reply := ask(http.MethodDelete, "/session", nil); reply.StatusCode != http.StatusNoContent {
		t.Errorf("log-out: %s", reply.Status)
	}
	if reply := ask(http.MethodGet, "/api/v2/devices", nil); reply.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the log-out: %s", reply.Status)
	}
}
