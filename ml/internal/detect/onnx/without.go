//go:build !(onnx && cgo)

package onnx

import "errors"

func open(string, *Config) (session, error) {
	return nil, errors.New("this program was built without onnxruntime (build tag onnx, with cgo)")
}
