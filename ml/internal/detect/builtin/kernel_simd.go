//go:build goexperiment.simd && amd64

package builtin

import "simd/archsimd"

// fastest are the kernels for this processor.
func fastest() *kernels {
	switch {
	case archsimd.X86.AVX512():
		return avx512()
	case archsimd.X86.AVX2() && archsimd.X86.FMA():
		return avx2()
	}
	return scalar()
}

func avx512() *kernels {
	return &kernels{name: "AVX-512", widths: []int{48, 24, 8}, pack: pack}
}

func avx2() *kernels {
	return &kernels{name: "AVX2", widths: []int{24, 8}, pack: pack}
}

func pack(width int, weights []float32) block {
	switch width {
	case 48:
		return simd48(split[[48]float32](weights))
	case 24:
		return simd24(split[[24]float32](weights))
	}
	return simd8(split[[8]float32](weights))
}

// split cuts a list into arrays.
func split[A [8]float32 | [24]float32 | [48]float32](list []float32) []A {
	var a A
	n := len(a)
	out := make([]A, len(list)/n)
	for i := range out {
		for j := range n {
			out[i][j] = list[i*n+j]
		}
	}
	return out
}

// The tiles below are the fastest of those tried: with a pixel more, Go 1.26 keeps some of the sums in memory (it knows 15 vector
// registers, and a fused multiply-add overwrites its first factor).

type simd48 [][48]float32

// Tiles of 2 pixels x 48 outputs, AVX-512.
func (b simd48) mul(dst []float32, dstStride, n int, src [][]float32, srcStride, k int) {
	p := 0
	for ; p+2 <= n; p += 2 {
		var s0a, s0b, s0c, s1a, s1b, s1c archsimd.Float32x16
		for s, row := range src {
			x0 := row[p*srcStride:][:k]
			x1 := row[(p+1)*srcStride:][:len(x0)]
			w := b[s*k:][:len(x0)]
			for i := range x0 {
				w := &w[i]
				wa := archsimd.LoadFloat32x16((*[16]float32)(w[0:]))
				wb := archsimd.LoadFloat32x16((*[16]float32)(w[16:]))
				wc := archsimd.LoadFloat32x16((*[16]float32)(w[32:]))
				v := archsimd.BroadcastFloat32x16(x0[i])
				s0a = v.MulAdd(wa, s0a)
				s0b = v.MulAdd(wb, s0b)
				s0c = v.MulAdd(wc, s0c)
				v = archsimd.BroadcastFloat32x16(x1[i])
				s1a = v.MulAdd(wa, s1a)
				s1b = v.MulAdd(wb, s1b)
				s1c = v.MulAdd(wc, s1c)
			}
		}
		store48(dst[p*dstStride:], s0a, s0b, s0c)
		store48(dst[(p+1)*dstStride:], s1a, s1b, s1c)
	}
	if p < n {
		var s0a, s0b, s0c archsimd.Float32x16
		for s, row := range src {
			x0 := row[p*srcStride:][:k]
			w := b[s*k:][:len(x0)]
			for i := range x0 {
				w := &w[i]
				v := archsimd.BroadcastFloat32x16(x0[i])
				s0a = v.MulAdd(archsimd.LoadFloat32x16((*[16]float32)(w[0:])), s0a)
				s0b = v.MulAdd(archsimd.LoadFloat32x16((*[16]float32)(w[16:])), s0b)
				s0c = v.MulAdd(archsimd.LoadFloat32x16((*[16]float32)(w[32:])), s0c)
			}
		}
		store48(dst[p*dstStride:], s0a, s0b, s0c)
	}
}

func store48(dst []float32, a, b, c archsimd.Float32x16) {
	d := (*[48]float32)(dst)
	a.Store((*[16]float32)(d[0:]))
	b.Store((*[16]float32)(d[16:]))
	c.Store((*[16]float32)(d[32:]))
}

type simd24 [][24]float32

// Tiles of 3 pixels x 24 outputs, AVX2.
func (b simd24) mul(dst []float32, dstStride, n int, src [][]float32, srcStride, k int) {
	p := 0
	for ; p+3 <= n; p += 3 {
		var s0a, s0b, s0c, s1a, s1b, s1c, s2a, s2b, s2c archsimd.Float32x8
		for s, row := range src {
			x0 := row[p*srcStride:][:k]
			x1 := row[(p+1)*srcStride:][:len(x0)]
			x2 := row[(p+2)*srcStride:][:len(x0)]
			w := b[s*k:][:len(x0)]
			for i := range x0 {
				w := &w[i]
				wa := archsimd.LoadFloat32x8((*[8]float32)(w[0:]))
				wb := archsimd.LoadFloat32x8((*[8]float32)(w[8:]))
				wc := archsimd.LoadFloat32x8((*[8]float32)(w[16:]))
				v := archsimd.BroadcastFloat32x8(x0[i])
				s0a = v.MulAdd(wa, s0a)
				s0b = v.MulAdd(wb, s0b)
				s0c = v.MulAdd(wc, s0c)
				v = archsimd.BroadcastFloat32x8(x1[i])
				s1a = v.MulAdd(wa, s1a)
				s1b = v.MulAdd(wb, s1b)
				s1c = v.MulAdd(wc, s1c)
				v = archsimd.BroadcastFloat32x8(x2[i])
				s2a = v.MulAdd(wa, s2a)
				s2b = v.MulAdd(wb, s2b)
				s2c = v.MulAdd(wc, s2c)
			}
		}
		store24(dst[p*dstStride:], s0a, s0b, s0c)
		store24(dst[(p+1)*dstStride:], s1a, s1b, s1c)
		store24(dst[(p+2)*dstStride:], s2a, s2b, s2c)
	}
	for ; p < n; p++ {
		var s0a, s0b, s0c archsimd.Float32x8
		for s, row := range src {
			x0 := row[p*srcStride:][:k]
			w := b[s*k:][:len(x0)]
			for i := range x0 {
				w := &w[i]
				v := archsimd.BroadcastFloat32x8(x0[i])
				s0a = v.MulAdd(archsimd.LoadFloat32x8((*[8]float32)(w[0:])), s0a)
				s0b = v.MulAdd(archsimd.LoadFloat32x8((*[8]float32)(w[8:])), s0b)
				s0c = v.MulAdd(archsimd.LoadFloat32x8((*[8]float32)(w[16:])), s0c)
			}
		}
		store24(dst[p*dstStride:], s0a, s0b, s0c)
	}
}

func store24(dst []float32, a, b, c archsimd.Float32x8) {
	d := (*[24]float32)(dst)
	a.Store((*[8]float32)(d[0:]))
	b.Store((*[8]float32)(d[8:]))
	c.Store((*[8]float32)(d[16:]))
}

type simd8 [][8]float32

// Tiles of 4 pixels x 8 outputs, AVX2: for widths that are no multiple of 24, and the head.
func (b simd8) mul(dst []float32, dstStride, n int, src [][]float32, srcStride, k int) {
	p := 0
	for ; p+4 <= n; p += 4 {
		var s0, s1, s2, s3 archsimd.Float32x8
		for s, row := range src {
			x0 := row[p*srcStride:][:k]
			x1 := row[(p+1)*srcStride:][:len(x0)]
			x2 := row[(p+2)*srcStride:][:len(x0)]
			x3 := row[(p+3)*srcStride:][:len(x0)]
			w := b[s*k:][:len(x0)]
			for i := range x0 {
				w := archsimd.LoadFloat32x8(&w[i])
				s0 = archsimd.BroadcastFloat32x8(x0[i]).MulAdd(w, s0)
				s1 = archsimd.BroadcastFloat32x8(x1[i]).MulAdd(w, s1)
				s2 = archsimd.BroadcastFloat32x8(x2[i]).MulAdd(w, s2)
				s3 = archsimd.BroadcastFloat32x8(x3[i]).MulAdd(w, s3)
			}
		}
		s0.Store((*[8]float32)(dst[p*dstStride:]))
		s1.Store((*[8]float32)(dst[(p+1)*dstStride:]))
		s2.Store((*[8]float32)(dst[(p+2)*dstStride:]))
		s3.Store((*[8]float32)(dst[(p+3)*dstStride:]))
	}
	for ; p < n; p++ {
		var s0 archsimd.Float32x8
		for s, row := range src {
			x0 := row[p*srcStride:][:k]
			w := b[s*k:][:len(x0)]
			for i := range x0 {
				s0 = archsimd.BroadcastFloat32x8(x0[i]).MulAdd(archsimd.LoadFloat32x8(&w[i]), s0)
			}
		}
		s0.Store((*[8]float32)(dst[p*dstStride:]))
	}
}
