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
	return &kernels{name: "AVX-512", unit: 8, widths: []int{32, 48}, sums: sums8, combine: combine8, pack: func(width int, weights []float32) block {
		if width == 32 {
			return wide32(split[[32]float32](weights))
		}
		return wide48(split[[48]float32](weights))
	}}
}

func avx2() *kernels {
	return &kernels{name: "AVX2", unit: 8, widths: []int{24, 32}, sums: sums8, combine: combine8, pack: func(width int, weights []float32) block {
		if width == 24 {
			return narrow24(split[[24]float32](weights))
		}
		return narrow32(split[[32]float32](weights))
	}}
}

// sums8 is sums for at least 8 channels. Where their number is no multiple of 8, some are done twice.
func sums8(to []float32, stride, n int, a, b []float32, sign float32, channels int, w window) {
	s := archsimd.BroadcastFloat32x8(sign)
	gap := squares * stride
	for i := 0; i < channels; i += 8 {
		i := min(i, channels-8)
		at0, at1, at2, at3 := w.columns[0]*channels+i, w.columns[1]*channels+i, w.columns[2]*channels+i, w.columns[3]*channels+i
		d0 := s.MulAdd(load8(b, at0), load8(a, at0))
		d1 := s.MulAdd(load8(b, at1), load8(a, at1))
		for j := range n {
			from := j * w.step * channels
			d2 := s.MulAdd(load8(b, at2+from), load8(a, at2+from))
			d3 := s.MulAdd(load8(b, at3+from), load8(a, at3+from))
			first := j*stride + i
			store8(d0.Sub(d2), to, first)
			store8(d1.Add(d2), to, first+gap)
			store8(d2.Sub(d1), to, first+2*gap)
			store8(d1.Sub(d3), to, first+3*gap)
			d0, d1 = d2, d3 // the first two columns of the next square
		}
	}
	archsimd.ClearAVXUpperBits()
}

// combine8 is combine for channels that are a multiple of 8.
func combine8(top, bottom []float32, n int, products []float32, stride int, bias []float32) {
	c := len(bias)
	gap := squares * stride
	var zero archsimd.Float32x8
	for j := range n {
		for i := 0; i < c; i += 8 {
			at := j*stride + i
			even0, odd0 := pair8(products, at, gap)
			even1, odd1 := pair8(products, at+4*gap, gap)
			even2, odd2 := pair8(products, at+8*gap, gap)
			even3, odd3 := pair8(products, at+12*gap, gap)
			v := load8(bias, i)
			at = 2*j*c + i
			store8(v.Add(even0).Add(even1).Add(even2).Max(zero), top, at)
			store8(v.Add(odd0).Add(odd1).Add(odd2).Max(zero), top, at+c)
			store8(v.Add(even1).Sub(even2).Sub(even3).Max(zero), bottom, at)
			store8(v.Add(odd1).Sub(odd2).Sub(odd3).Max(zero), bottom, at+c)
		}
	}
	archsimd.ClearAVXUpperBits()
}

// pair8 adds up a row of four products to what two pixels get of it.
func pair8(m []float32, at, gap int) (even, odd archsimd.Float32x8) {
	m0, m1, m2, m3 := load8(m, at), load8(m, at+gap), load8(m, at+2*gap), load8(m, at+3*gap)
	return m0.Add(m1).Add(m2), m1.Sub(m2).Sub(m3)
}

// load8 and store8 bound what is left of a list, too: Go then knows that it is not empty, and leaves out some instructions.
func load8(list []float32, at int) archsimd.Float32x8 {
	return archsimd.LoadFloat32x8((*[8]float32)(list[at : at+8 : at+8]))
}

func store8(v archsimd.Float32x8, list []float32, at int) {
	v.Store((*[8]float32)(list[at : at+8 : at+8]))
}

// The tiles below are the fastest of those tried. Go 1.26 knows 15 vector registers: with more sums, or the loop over the pixels around
// them, it keeps some in memory. A fused multiply-add overwrites its first factor: where that is its last use, no copy is made.

// wide32 has tiles of 4 pixels x 32 outputs.
type wide32 [][32]float32

func (wide32) pixels() int { return 4 }

func (w wide32) tile(dst []float32, dstStride int, src []float32, srcStride int) {
	x0 := src[:len(w)]
	x1 := src[srcStride:][:len(w)]
	x2 := src[2*srcStride:][:len(w)]
	x3 := src[3*srcStride:][:len(w)]
	var a0, b0, a1, b1, a2, b2, a3, b3 archsimd.Float32x16
	for i := range w {
		w := &w[i]
		wa := archsimd.LoadFloat32x16((*[16]float32)(w[0:]))
		wb := archsimd.LoadFloat32x16((*[16]float32)(w[16:]))
		v := archsimd.BroadcastFloat32x16(x0[i])
		a0 = v.MulAdd(wa, a0)
		b0 = v.MulAdd(wb, b0)
		v = archsimd.BroadcastFloat32x16(x1[i])
		a1 = v.MulAdd(wa, a1)
		b1 = v.MulAdd(wb, b1)
		v = archsimd.BroadcastFloat32x16(x2[i])
		a2 = v.MulAdd(wa, a2)
		b2 = v.MulAdd(wb, b2)
		v = archsimd.BroadcastFloat32x16(x3[i])
		a3 = wa.MulAdd(v, a3)
		b3 = v.MulAdd(wb, b3)
	}
	d := (*[32]float32)(dst)
	a0.Store((*[16]float32)(d[0:]))
	b0.Store((*[16]float32)(d[16:]))
	d = (*[32]float32)(dst[dstStride:])
	a1.Store((*[16]float32)(d[0:]))
	b1.Store((*[16]float32)(d[16:]))
	d = (*[32]float32)(dst[2*dstStride:])
	a2.Store((*[16]float32)(d[0:]))
	b2.Store((*[16]float32)(d[16:]))
	d = (*[32]float32)(dst[3*dstStride:])
	a3.Store((*[16]float32)(d[0:]))
	b3.Store((*[16]float32)(d[16:]))
	archsimd.ClearAVXUpperBits()
}

// wide48 has tiles of 2 pixels x 48 outputs.
type wide48 [][48]float32

func (wide48) pixels() int { return 2 }

func (w wide48) tile(dst []float32, dstStride int, src []float32, srcStride int) {
	x0 := src[:len(w)]
	x1 := src[srcStride:][:len(w)]
	var a0, b0, c0, a1, b1, c1 archsimd.Float32x16
	for i := range w {
		w := &w[i]
		wa := archsimd.LoadFloat32x16((*[16]float32)(w[0:]))
		wb := archsimd.LoadFloat32x16((*[16]float32)(w[16:]))
		wc := archsimd.LoadFloat32x16((*[16]float32)(w[32:]))
		v := archsimd.BroadcastFloat32x16(x0[i])
		a0 = v.MulAdd(wa, a0)
		b0 = v.MulAdd(wb, b0)
		c0 = v.MulAdd(wc, c0)
		v = archsimd.BroadcastFloat32x16(x1[i])
		a1 = wa.MulAdd(v, a1)
		b1 = wb.MulAdd(v, b1)
		c1 = v.MulAdd(wc, c1)
	}
	d := (*[48]float32)(dst)
	a0.Store((*[16]float32)(d[0:]))
	b0.Store((*[16]float32)(d[16:]))
	c0.Store((*[16]float32)(d[32:]))
	d = (*[48]float32)(dst[dstStride:])
	a1.Store((*[16]float32)(d[0:]))
	b1.Store((*[16]float32)(d[16:]))
	c1.Store((*[16]float32)(d[32:]))
	archsimd.ClearAVXUpperBits()
}

// narrow24 has tiles of 3 pixels x 24 outputs.
type narrow24 [][24]float32

func (narrow24) pixels() int { return 3 }

func (w narrow24) tile(dst []float32, dstStride int, src []float32, srcStride int) {
	x0 := src[:len(w)]
	x1 := src[srcStride:][:len(w)]
	x2 := src[2*srcStride:][:len(w)]
	var a0, b0, c0, a1, b1, c1, a2, b2, c2 archsimd.Float32x8
	for i := range w {
		w := &w[i]
		wa := archsimd.LoadFloat32x8((*[8]float32)(w[0:]))
		wb := archsimd.LoadFloat32x8((*[8]float32)(w[8:]))
		wc := archsimd.LoadFloat32x8((*[8]float32)(w[16:]))
		v := archsimd.BroadcastFloat32x8(x0[i])
		a0 = v.MulAdd(wa, a0)
		b0 = v.MulAdd(wb, b0)
		c0 = v.MulAdd(wc, c0)
		v = archsimd.BroadcastFloat32x8(x1[i])
		a1 = v.MulAdd(wa, a1)
		b1 = v.MulAdd(wb, b1)
		c1 = v.MulAdd(wc, c1)
		v = archsimd.BroadcastFloat32x8(x2[i])
		a2 = wa.MulAdd(v, a2)
		b2 = wb.MulAdd(v, b2)
		c2 = v.MulAdd(wc, c2)
	}
	d := (*[24]float32)(dst)
	a0.Store((*[8]float32)(d[0:]))
	b0.Store((*[8]float32)(d[8:]))
	c0.Store((*[8]float32)(d[16:]))
	d = (*[24]float32)(dst[dstStride:])
	a1.Store((*[8]float32)(d[0:]))
	b1.Store((*[8]float32)(d[8:]))
	c1.Store((*[8]float32)(d[16:]))
	d = (*[24]float32)(dst[2*dstStride:])
	a2.Store((*[8]float32)(d[0:]))
	b2.Store((*[8]float32)(d[8:]))
	c2.Store((*[8]float32)(d[16:]))
	archsimd.ClearAVXUpperBits()
}

// narrow32 has tiles of 2 pixels x 32 outputs.
type narrow32 [][32]float32

func (narrow32) pixels() int { return 2 }

func (w narrow32) tile(dst []float32, dstStride int, src []float32, srcStride int) {
	x0 := src[:len(w)]
	x1 := src[srcStride:][:len(w)]
	var a0, b0, c0, d0, a1, b1, c1, d1 archsimd.Float32x8
	for i := range w {
		w := &w[i]
		wa := archsimd.LoadFloat32x8((*[8]float32)(w[0:]))
		wb := archsimd.LoadFloat32x8((*[8]float32)(w[8:]))
		wc := archsimd.LoadFloat32x8((*[8]float32)(w[16:]))
		wd := archsimd.LoadFloat32x8((*[8]float32)(w[24:]))
		v := archsimd.BroadcastFloat32x8(x0[i])
		a0 = v.MulAdd(wa, a0)
		b0 = v.MulAdd(wb, b0)
		c0 = v.MulAdd(wc, c0)
		d0 = v.MulAdd(wd, d0)
		v = archsimd.BroadcastFloat32x8(x1[i])
		a1 = wa.MulAdd(v, a1)
		b1 = wb.MulAdd(v, b1)
		c1 = wc.MulAdd(v, c1)
		d1 = v.MulAdd(wd, d1)
	}
	d := (*[32]float32)(dst)
	a0.Store((*[8]float32)(d[0:]))
	b0.Store((*[8]float32)(d[8:]))
	c0.Store((*[8]float32)(d[16:]))
	d0.Store((*[8]float32)(d[24:]))
	d = (*[32]float32)(dst[dstStride:])
	a1.Store((*[8]float32)(d[0:]))
	b1.Store((*[8]float32)(d[8:]))
	c1.Store((*[8]float32)(d[16:]))
	d1.Store((*[8]float32)(d[24:]))
	archsimd.ClearAVXUpperBits()
}
