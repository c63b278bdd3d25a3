package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/bundle"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// A server that has newer files wants none, whatever the older ones hold.
func TestPushSaysWhereTheServerKeepsItsOwn(t *testing.T) {
	weights, err := os.ReadFile(filepath.Join("..", "..", "internal", "detect", "onnx", "testdata", "tiny", "weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	weights = bytes.Replace(weights, []byte("2020-01-02_03-04-05"), []byte("2099-01-02_03-04-05"), 1)
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.FromSlash(bundle.WeightsKey))
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, weights, 0o600); err != nil {
		t.Fatal(err)
	}
	replies := map[string]any{
		"/get_token":                    spi.Token{Token: "t", Expiration: time.Now().Add(time.Hour).Unix()},
		"/_get_ml_bundle_upload_links":  []any{},
		"/_get_ml_bundle_file_list/all": []spi.BundleFile{{Key: bundle.WeightsKey, MD5: "ad2cd78dfaca12821046dfb8994724d5"}},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewEncoder(w).Encode(replies[r.URL.Path]); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	err = push(t.Context(), ml.Config{API: s.URL, Username: "u", Password: "password"}, dir)
	if err == nil || !strings.Contains(err.Error(), "touch "+path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
}
