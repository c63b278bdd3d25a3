package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestHealthcheckTellsLifeFromReadiness(t *testing.T) {
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"ready":false,"checks":{"api":"wrong user name or password"}}`)
		}
	}))
	defer worker.Close()
	at, err := url.Parse(worker.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(at.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("METRICS_PORT", port)
	if err := (healthcheckCmd{}).Run(t.Context()); err != nil {
		t.Errorf("it lives: %v", err)
	}
	if err := (healthcheckCmd{Ready: true}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "wrong user name or password") {
		t.Errorf("it is not ready: %v", err)
	}
}
