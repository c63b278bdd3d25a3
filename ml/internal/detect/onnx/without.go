//go:build !(onnx && cgo)

package onnx

// Runtime loads onnxruntime, which this program was built without.
func Runtime() (version string, err error) { return "", ErrNotBuilt }

func open(string, string, []string) (session, error) { return nil, ErrNotBuilt }
