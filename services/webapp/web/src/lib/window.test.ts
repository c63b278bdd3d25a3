import { describe, expect, it } from 'vitest'
import { fitSpan, isWhole, NARROWEST, nearest, panBy, zoomAt, type Span } from './window'

const range: Span = [1000, 101_000]

describe('the window', () => {
  it('stays inside the range, as wide as it was', () => {
    expect(fitSpan([500, 10_500], range)).toEqual([1000, 11_000])
    expect(fitSpan([95_000, 105_000], range)).toEqual([91_000, 101_000])
    expect(fitSpan([0, 200_000], range)).toEqual(range)
  })

  it('gets no narrower than can be seen', () => {
    const [a, b] = fitSpan([50_000, 50_001], range)
    expect(b - a).toBe(NARROWEST)
    expect((a + b) / 2).toBeCloseTo(50_000.5)
  })

  it('zooms around a moment, which stays in its place', () => {
    const zoomed = zoomAt([20_000, 60_000], 30_000, 0.5, range)
    expect(zoomed).toEqual([25_000, 45_000])
    expect(zoomAt(zoomed, 30_000, 2, range)).toEqual([20_000, 60_000])
  })

  it('pans up to the ends of the range', () => {
    expect(panBy([20_000, 60_000], 5000, range)).toEqual([25_000, 65_000])
    expect(panBy([20_000, 60_000], 1e9, range)).toEqual([61_000, 101_000])
    expect(panBy([20_000, 60_000], -1e9, range)).toEqual([1000, 41_000])
  })

  it('knows when it is the whole range', () => {
    expect(isWhole(range, range)).toBe(true)
    expect(isWhole([1001, 101_000], range)).toBe(false)
  })
})

describe('nearest', () => {
  const times = [10, 20, 40]
  it.each([
    [-5, 0],
    [10, 0],
    [14, 0],
    [15, 0],
    [16, 1],
    [31, 2],
    [99, 2],
  ])('of %d is place %d', (at, want) => expect(nearest(times, at)).toBe(want))

  it('of nothing is -1', () => expect(nearest([], 5)).toBe(-1))

  it('agrees with looking at all of them', () => {
    const many = Array.from({ length: 300 }, (_, i) => i * 7 + (i % 5))
    for (let at = -10; at < 2200; at += 3) {
      const found = many[nearest(many, at)] as number
      expect(Math.abs(found - at)).toBe(Math.min(...many.map((t) => Math.abs(t - at))))
    }
  })
})
