import { describe, expect, it } from 'vitest'
import { drawLine, gapOf } from './lines'

const HOUR = 3600

function drawn(times: number[], values: (number | null)[], gap = 6 * HOUR, perPixel = HOUR): string {
  const path: string[] = []
  const pen = { moveTo: (x: number, y: number) => path.push(`M${x},${y}`), lineTo: (x: number, y: number) => path.push(`L${x},${y}`) }
  drawLine(pen, times, values, 0, times.length - 1, (t) => t / perPixel, (v) => v, gap)
  return path.join(' ')
}

describe('a line', () => {
  it('goes from value to value, and over missing ones', () => expect(drawn([0, HOUR, 2 * HOUR], [5, null, 7])).toBe('M0,5 L2,7'))
  it('is broken where there was nothing for long', () => expect(drawn([0, HOUR, 9 * HOUR, 10 * HOUR], [1, 2, 3, 4])).toBe('M0,1 L1,2 M9,3 L10,4'))

  it('of many points on a pixel is a stroke for each column, each touching the one before', () => {
    const times = Array.from({ length: 24 }, (_, i) => i * 300) // 12 an hour, 2 columns of pixels
    const values = times.map((_, i) => (i < 6 ? 10 + (i % 3) : 20 + (i % 3)))
    expect(drawn(times, values)).toBe('M0,10 L0,12 M1,12 L1,22 M2,20 L2,22')
  })
  it('of many points is broken too', () => {
    const times = Array.from({ length: 300 }, (_, i) => Math.floor(i / 100) * 20 * HOUR + (i % 100))
    expect(drawn(times, times.map((_, i) => (i < 100 ? 1 : 5)))).toBe('M0,1 L0,2 M20,5 L20,6 M40,5 L40,6')
  })
})

describe('a gap', () => {
  const every = (seconds: number, n: number) => Array.from({ length: n }, (_, i) => i * seconds)
  it.each([
    ['images every 20 minutes', every(1200, 100), 6 * HOUR],
    ['one image a day', every(24 * HOUR, 10), 72 * HOUR],
    ['no image', [], 6 * HOUR],
  ])('is longer than several intervals: %s', (_, times, want) => expect(gapOf(times, times)).toBe(want))
})
