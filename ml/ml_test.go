package ml

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
)

func source(values map[string]string) *config.Source {
	return config.LoadFrom(func(name string) (string, bool) { v, ok := values[name]; return v, ok })
}

func TestConfigurationIsReadUnderTheOperatorsNames(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values map[string]string
		want   Config
	}{
		{"the stack's own S3", map[string]string{
			"UID_PASSWORD": "password", "ROOT_DOMAIN_NAME": "example.org", "S3_HOST": "s3.${ROOT_DOMAIN_NAME}", "API_PORT": "8000", "UID_WORKERS": "3",
		}, Config{
			API: "http://spi_api:8000", Username: "spi_uid", Password: "password", S3Public: "s3.example.org", S3Internal: "http://spi_s3:7070",
			Data: "/data", Workers: 3, MetricsListen: ":8090",
		}},
		{"a provider's", map[string]string{
			"UID_PASSWORD": "password", "ROOT_DOMAIN_NAME": "example.org", "S3_HOST": "s3.provider.example", "UID_API_URL": "https://api.example.org",
			"UID_USER": "finder", "METRICS_PORT": "9000", "UID_DATA": "/var/lib/uid",
		}, Config{
			API: "https://api.example.org", Username: "finder", Password: "password", S3Public: "s3.provider.example", Data: "/var/lib/uid", MetricsListen: ":9000",
		}},
	} {
		src := source(tt.values)
		got := ConfigFrom(src)
		if err := src.Err(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
	src := source(map[string]string{"UID_WORKERS": "-1"})
	ConfigFrom(src)
	if err := src.Err(); err == nil || !strings.Contains(err.Error(), "UID_PASSWORD") || !strings.Contains(err.Error(), "UID_WORKERS") {
		t.Errorf("error %v", err)
	}
}

func TestImagesAtATimeFollowCoresAndMemory(t *testing.T) {
	for _, tt := range []struct {
		cores  int
		memory int64
		want   int
	}{{8, math.MaxInt64, 8}, {8, 1825361100, 5}, {2, 1825361100, 2}, {2, 1, 1}} {
		if got := imagesAtATime(tt.cores, tt.memory); got != tt.want {
			t.Errorf("%d cores, %d bytes: %d, want %d", tt.cores, tt.memory, got, tt.want)
		}
	}
}

func TestLinksLeadNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	_, h, err := Client(Config{API: "http://api.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.CloseIdleConnections()
	reply, err := h.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if reply.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("the answer is %s", reply.Status)
	}
}

// TestLinksToThePublicS3GoToTheInnerOne looks at what arrives: the host that a link is signed for, at the inner address.
func TestLinksToThePublicS3GoToTheInnerOne(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.Host+r.URL.RequestURI()) }))
	defer s.Close()
	for _, public := range []string{"s3.example.org", "https://s3.example.org"} {
		_, h, err := Client(Config{API: "http://api.example.org", S3Public: public, S3Internal: s.URL})
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range []string{"https://s3.example.org/b/a.jpg?X-Amz-Signature=1", s.URL + "/other"} {
			reply, err := h.Get(link)
			if err != nil {
				t.Fatal(err)
			}
			_ = reply.Body.Close()
		}
		h.CloseIdleConnections()
	}
	want := []string{"s3.example.org/b/a.jpg?X-Amz-Signature=1", strings.TrimPrefix(s.URL, "http://") + "/other"}
	if diff := cmp.Diff(append(want, want...), asked); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
