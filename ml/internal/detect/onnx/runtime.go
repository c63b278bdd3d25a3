//go:build onnx && cgo

package onnx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// library is the file that holds onnxruntime.
const library = "libonnxruntime.so.1"

// loading guards onnxruntime's environment, of which a process has one.
var loading sync.Mutex

// Runtime loads onnxruntime and gives its version.
func Runtime() (version string, err error) {
	if err := load(); err != nil {
		return "", err
	}
	return ort.GetVersion(), nil
}

// load loads onnxruntime, once.
func load() error {
	loading.Lock()
	defer loading.Unlock()
	if ort.IsInitialized() {
		return nil
	}
	path := os.Getenv(LibraryVariable)
	if path == "" {
		path = library // where the system looks
		if self, err := os.Executable(); err == nil {
			for _, beside := range []string{"onnxruntime", "../lib"} {
				if p := filepath.Join(filepath.Dir(self), beside, library); isFile(p) {
					path = p
					break
				}
			}
		}
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("onnxruntime cannot be loaded from %s (%w): set %s to its shared library", path, err, LibraryVariable)
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

type model struct {
	session *ort.DynamicAdvancedSession
	outputs int
}

// open loads a model, which is given the input and asked for the outputs of those names; "" is its first.
func open(path, inputName string, outputNames []string) (session, error) {
	if err := load(); err != nil {
		return nil, err
	}
	inputs, outputs, err := ort.GetInputOutputInfo(path)
	if err != nil {
		return nil, fmt.Errorf("the model cannot be read: %w", err)
	}
	input, err := named(inputs, inputName, "input")
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, name := range outputNames {
		output, err := named(outputs, name, "output")
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, output)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer func() { _ = options.Destroy() }()
	// The worker has an image in flight for each core.
	if err := errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1)); err != nil {
		return nil, err
	}
	s, err := ort.NewDynamicAdvancedSession(path, []string{input}, wanted, options)
	if err != nil {
		return nil, fmt.Errorf("the model cannot be loaded: %w", err)
	}
	return &model{s, len(wanted)}, nil
}

// named finds an input or output of floats by its name, or the first.
func named(all []ort.InputOutputInfo, name, what string) (string, error) {
	i := slices.IndexFunc(all, func(v ort.InputOutputInfo) bool { return name == "" || v.Name == name })
	if i < 0 {
		var names []string
		for _, v := range all {
			names = append(names, v.Name)
		}
		return "", fmt.Errorf("the model has no %s %.40q, but %s", what, name, strings.Join(names, ", "))
	}
	if v := all[i]; v.OrtValueType != ort.ONNXTypeTensor || v.DataType != ort.TensorElementDataTypeFloat {
		return "", fmt.Errorf("the model's %s %s is %s, and must be a tensor of 32-bit floats", what, v.Name, v.String())
	}
	return all[i].Name, nil
}

func (m *model) Close() error { return m.session.Destroy() }

func (m *model) run(ctx context.Context, input tensor) (answers []tensor, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in, err := ort.NewTensor(ort.NewShape(input.shape...), input.data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Destroy()) }()
	options, err := ort.NewRunOptions()
	if err != nil {
		return nil, err
	}
	terminated := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(terminated)
		_ = options.Terminate() // too late, it ends by itself
	})
	out := make([]ort.Value, m.outputs)
	err = m.session.RunWithOptions([]ort.Value{in}, out, options)
	if !stop() {
		<-terminated
	}
	err = errors.Join(err, options.Destroy())
	defer func() {
		for _, v := range out {
			if v != nil {
				err = errors.Join(err, v.Destroy())
			}
		}
	}()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("onnxruntime: %w", err)
	}
	for _, v := range out {
		t, ok := v.(*ort.Tensor[float32])
		if !ok {
			return nil, fmt.Errorf("the model gave %T, no tensor of 32-bit floats", v)
		}
		answers = append(answers, tensor{slices.Clone(t.GetShape()), slices.Clone(t.GetData())})
	}
	return answers, nil
}
