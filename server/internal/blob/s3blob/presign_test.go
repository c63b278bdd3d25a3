package s3blob

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/blobtest"
)

func presignConfig(now func() time.Time) Config {
	return Config{
		Endpoint: "http://spi_s3:7070", PublicURL: "https://s3.example.org", Bucket: "sticky-pi",
		AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Now: now,
	}
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// sdkURL signs with the SDK's signer, which is the reference.
func sdkURL(t testing.TB, cfg Config, key string, when time.Time, more ...string) string {
	t.Helper()
	u, err := url.Parse(cfg.PublicURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + cfg.Bucket + "/" + key
	u.RawPath = "/" + cfg.Bucket + "/" + strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"), "%2F", "/")
	u.RawQuery = strings.Join(append([]string{"X-Amz-Expires=604800"}, more...), "&")
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// S3 escapes a path once, where other services do it twice.
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed, _, err := signer.PresignHTTP(req.Context(), aws.Credentials{AccessKeyID: cfg.AccessKey, SecretAccessKey: cfg.SecretKey},
		req, "UNSIGNED-PAYLOAD", "s3", cfg.Region, when)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestURLsAreThoseOfTheSDK(t *testing.T) {
	midnight := time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)
	noon := midnight.Add(12 * time.Hour)
	configs := map[string]func(*Config){
		"as in production":   func(*Config) {},
		"a port":             func(c *Config) { c.PublicURL = "http://127.0.0.1:8082" },
		"a region":           func(c *Config) { c.Region = "ca-central-1" },
		"an odd access key":  func(c *Config) { c.AccessKey = "user/name+1@example.org" },
		"the port of https":  func(c *Config) { c.PublicURL = "https://s3.example.org:443" },
		"a host in capitals": func(c *Config) { c.PublicURL = "https://S3.Example.Org" },
		"an address of IPv6": func(c *Config) { c.PublicURL = "http://[::1]:8082" },
		"no public address":  func(c *Config) { c.PublicURL = "" },
		"a bucket with dots": func(c *Config) { c.Bucket = "sticky.pi.example.org" },
		"a clock in another zone": func(c *Config) {
			c.Now = at(noon.In(time.FixedZone("", 14*60*60)))
		},
	}
	var every strings.Builder
	for c := rune(1); c < 0x250; c++ {
		every.WriteRune(c)
	}
	keys := append([]string{every.String(), "a//b", "a/../b/./c", "/leading", "trailing/", "\xff\x00"}, blobtest.Keys...)
	for name, change := range configs {
		t.Run(name, func(t *testing.T) {
			cfg := presignConfig(at(noon))
			change(&cfg)
			s := mustNew(t, cfg)
			ref, err := cfg.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			base, err := baseURL(ref.PublicURL)
			if err != nil {
				t.Fatal(err)
			}
			ref.PublicURL = base.String()
			for _, key := range keys {
				if got, want := string(s.AppendURL(nil, key)), sdkURL(t, ref, key, midnight); got != want {
					t.Errorf("AppendURL(%q)\n gives %s\n SDK's %s", key, got, want)
				}
			}
		})
	}
}

func TestAURLIsOfTheFormThatClientsRelyOn(t *testing.T) {
	s := mustNew(t, presignConfig(at(time.Date(2026, 2, 28, 13, 14, 15, 16, time.UTC))))
	got := string(s.AppendURL(nil, "raw_images/5c173ff2/5c173ff2.2020-06-20_21-33-24.jpg.thumbnail"))
	want := "https://s3.example.org/sticky-pi/raw_images/5c173ff2/5c173ff2.2020-06-20_21-33-24.jpg.thumbnail" +
		"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260228%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20260228T000000Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature="
	if rest, ok := strings.CutPrefix(got, want); !ok || len(rest) != 64 {
		t.Errorf("AppendURL\n gives %s\n want  %s...", got, want)
	}
}

func TestTheNameUnderWhichAnObjectIsSavedIsSigned(t *testing.T) {
	noon := time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)
	s := mustNew(t, presignConfig(at(noon)))
	for key, name := range map[string]string{
		"raw_images/5c173ff2/5c173ff2.2020-06-20_21-33-24.jpg": "5c173ff2.2020-06-20_21-33-24.jpg",
		"plain.jpg":                "plain.jpg",
		`a/b "; x\y` + "\r\né.jpg": "b__;_x_y___.jpg",
	} {
		ref, err := presignConfig(nil).withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		got := string(s.AppendSavingURL([]byte("before "), key))
		u, err := url.Parse(strings.TrimPrefix(got, "before "))
		if err != nil {
			t.Fatal(err)
		}
		if disposition, want := u.Query().Get("response-content-disposition"), `attachment; filename="`+name+`"`; disposition != want {
			t.Errorf("%q is saved by %s, want %s", key, disposition, want)
		}
		// the SDK's signer gives the same signature to such an address
		signed, err := url.Parse(sdkURL(t, ref, key, noon.Truncate(24*time.Hour), "response-content-disposition="+url.QueryEscape(`attachment; filename="`+name+`"`)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(signed.Query(), u.Query()); diff != "" {
			t.Errorf("%q (-SDK +ours):\n%s", key, diff)
		}
	}
}

func TestURLsStayTheSameWithinAWindow(t *testing.T) {
	day := time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name     string
		window   time.Duration
		one, two time.Time
		same     bool
	}{
		{"the first and the last moment of a day", 0, day, day.Add(24*time.Hour - 1), true},
		{"the last moment of a day and midnight", 0, day.Add(24*time.Hour - 1), day.Add(24 * time.Hour), false},
		{"within an hour", time.Hour, day.Add(time.Hour), day.Add(2*time.Hour - 1), true},
		{"two hours", time.Hour, day.Add(time.Hour), day.Add(2 * time.Hour), false},
		{"a clock that goes back", 0, day, day.Add(-1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := tt.one
			cfg := presignConfig(func() time.Time { return now })
			cfg.Window = tt.window
			// The one store lives through both moments; the other, as a replica, starts at the second.
			s := mustNew(t, cfg)
			one := string(s.AppendURL(nil, "k.jpg"))
			now = tt.two
			two, other := string(s.AppendURL(nil, "k.jpg")), string(mustNew(t, cfg).AppendURL(nil, "k.jpg"))
			if (one == two) != tt.same {
				t.Errorf("the URLs are\n%s\n%s", one, two)
			}
			if two != other {
				t.Errorf("two replicas differ:\n%s\n%s", two, other)
			}
		})
	}
}

func TestURLsOfManyGoroutinesAreRightAcrossMidnight(t *testing.T) {
	days := []time.Time{time.Date(2026, 2, 27, 23, 59, 59, 0, time.UTC), time.Date(2026, 2, 28, 0, 0, 1, 0, time.UTC)}
	var mu sync.Mutex
	calls := 0
	s := mustNew(t, presignConfig(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return days[calls%2]
	}))
	right := map[string][2]string{}
	for _, key := range blobtest.Keys {
		var both [2]string
		for i, day := range days {
			both[i] = string(mustNew(t, presignConfig(at(day))).AppendURL(nil, key))
		}
		right[key] = both
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var buf []byte
			for range 200 {
				for key, want := range right {
					buf = s.AppendURL(buf[:0], key)
					if got := string(buf); got != want[0] && got != want[1] {
						t.Errorf("AppendURL(%q) gives %s", key, got)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkAppendURL(b *testing.B) {
	s := mustNew(b, presignConfig(time.Now))
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = s.AppendURL(buf[:0], "raw_images/5c173ff2/5c173ff2.2020-06-20_21-33-24.jpg.thumbnail-mini")
	}
}

// BenchmarkSDKPresign is what AppendURL is to be compared with.
func BenchmarkSDKPresign(b *testing.B) {
	cfg, err := presignConfig(time.Now).withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		sdkURL(b, cfg, "raw_images/5c173ff2/5c173ff2.2020-06-20_21-33-24.jpg.thumbnail-mini", now)
	}
}

func TestThePolicyOfAPostIsThatOfItsFields(t *testing.T) {
	when := time.Date(2026, 2, 28, 12, 34, 56, 0, time.UTC)
	s := mustNew(t, presignConfig(at(when)))
	got, err := s.PresignPost("ml/b/output/model_final.pth", blob.Post{MaxSize: 1000, Life: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if got.URL != "https://s3.example.org/sticky-pi" {
		t.Errorf("URL %s", got.URL)
	}
	text, err := base64.StdEncoding.DecodeString(got.Fields["policy"])
	if err != nil {
		t.Fatal(err)
	}
	const scope = "AKIDEXAMPLE/20260228/us-east-1/s3/aws4_request"
	if want := `{"conditions":[{"bucket":"sticky-pi"},["content-length-range",0,1000],{"key":"ml/b/output/model_final.pth"},` +
		`{"x-amz-algorithm":"AWS4-HMAC-SHA256"},{"x-amz-credential":"` + scope + `"},{"x-amz-date":"20260228T123456Z"}],` +
		`"expiration":"2026-03-01T12:34:56.000Z"}`; string(text) != want {
		t.Errorf("policy %s\nwant   %s", text, want)
	}
	delete(got.Fields, "policy")
	signature := got.Fields["x-amz-signature"]
	delete(got.Fields, "x-amz-signature")
	if diff := cmp.Diff(map[string]string{
		"key": "ml/b/output/model_final.pth", "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": scope,
		"x-amz-date": "20260228T123456Z",
	}, got.Fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if len(signature) != 64 {
		t.Errorf("signature %q", signature)
	}
}
