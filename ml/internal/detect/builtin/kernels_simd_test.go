//go:build goexperiment.simd && amd64

package builtin

import "simd/archsimd"

// allKernels are those that this processor has.
func allKernels() []*kernels {
	all := []*kernels{scalar()}
	if archsimd.X86.AVX2() && archsimd.X86.FMA() {
		all = append(all, avx2())
	}
	if archsimd.X86.AVX512() {
		all = append(all, avx512())
	}
	return all
}
