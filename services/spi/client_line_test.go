package spi

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestABadLineGetsAConnectionForEachUpload(t *testing.T) {
	protocols := make(chan string, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.Proto
		write(w, `{"expiration":4102444800,"token":"t"}`)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:errcheck,forcetypeassert // it is httptest's
	for _, test := range []struct {
		name    string
		options []Option
		want    string
	}{
		{"ordinary", nil, "HTTP/2.0"},
		{"bad", []Option{WithBadLine()}, "HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := New(s.URL, append(test.options, WithPassword("anna", "secret"), WithRootCAs(pool))...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.GetToken(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect(t, "protocol", <-protocols, test.want)
		})
	}
}
