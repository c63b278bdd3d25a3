//go:build !(goexperiment.simd && amd64)

package builtin

func allKernels() []*kernels { return []*kernels{scalar()} }
