//go:build !(goexperiment.simd && amd64)

package builtin

// fastest are the kernels for this build: without Go's experimental simd package there is one.
func fastest() *kernels { return scalar() }
