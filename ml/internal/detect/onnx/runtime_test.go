//go:build onnx && cgo

package onnx

import "testing"

func needRuntime(t *testing.T) {
	t.Helper()
	if err := load(); err != nil {
		t.Skip(err)
	}
}
