//go:build !(onnx && cgo)

package onnx

import (
	"strings"
	"testing"
)

func needRuntime(t *testing.T) {
	t.Helper()
	t.Skip("built without onnxruntime: the tests' build tag onnx, and cgo, are missing")
}

func TestWithoutOnnxruntimeAModelIsRefused(t *testing.T) {
	cfg, err := ParseConfig([]byte("output: {kind: fg_core}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "testdata/tiny/model.onnx", cfg, version); err == nil || !strings.Contains(err.Error(), "without onnxruntime") {
		t.Errorf("error %v", err)
	}
}
