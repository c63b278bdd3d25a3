import { describe, expect, it } from 'vitest'
import { parseTime } from '../../lib/time'
import { caught, countsOf, fillOf, nightBefore, type Counts } from './insects'

const at = (text: string) => parseTime(text)

describe('last night', () => {
  it.each<[string, number | null, number, string, string]>([
    ['2022-06-10T09:00:00Z', 0, 0, '2022-06-09T18:00:00Z', '2022-06-10T06:00:00Z'],
    ['2022-06-10T05:00:00Z', 0, 0, '2022-06-08T18:00:00Z', '2022-06-09T06:00:00Z'], // this one still goes on
    ['2022-06-10T20:00:00Z', -123, 0, '2022-06-10T02:12:00Z', '2022-06-10T14:12:00Z'], // Vancouver: the sun is 8.2 hours late
    ['2022-06-10T09:00:00Z', null, 7200, '2022-06-09T16:00:00Z', '2022-06-10T04:00:00Z'], // no position: the zone's time
  ])('of %s at %s° and %s s', (now, lng, offset, start, end) => expect(nightBefore(at(now), lng, offset)).toEqual([at(start), at(end)]))
})

const night: [number, number] = [at('2022-06-09T18:00:00Z'), at('2022-06-10T06:00:00Z')]
const series = (...insects: number[]): Counts => ({ insects, time: insects.map((_, i) => night[0] - 3600 + i * 3600) })

describe('what was caught', () => {
  it('is the difference of the night’s end and its beginning', () => {
    expect(caught(series(10, 10, 10, 12, 15, 15, 20, 20, 21, 22, 22, 25, 30, 30, 30, 30), night)).toBe(20)
  })
  it('is not told by a single misjudged image', () => {
    expect(caught(series(10, 10, 10, 12, 15, 15, 20, 20, 21, 22, 22, 25, 30, 0, 30, 30), night)).toBe(20)
  })
  it.each<[string, Counts]>([
    ['nothing was annotated', series()],
    ['there is one image', series(4)],
    ['the night’s end is missing', series(1, 2, 3, 4, 5)],
  ])('is not known where %s', (_, counts) => expect(caught(counts, night)).toBeNull())
})

describe('how full a trap is', () => {
  it('is what the last annotated image shows', () => {
    const fine = { time: [night[1] + 60], insects: [44] }
    expect(fillOf(series(10, 12, 14), fine)).toMatchObject({ insects: 44, at: night[1] + 60, growth: 32 }) // since the median of the first images
    expect(fillOf(series(10, 12, 14), { time: [], insects: [] })).toMatchObject({ insects: 14 })
    expect(fillOf(series(), series())).toBeNull()
  })
  it('grows anew when the card is changed', () => {
    expect(fillOf(series(90, 95, 100, 2, 3, 4, 9), series())?.growth).toBe(6)
  })
  it('does not take one empty image for a changed card', () => {
    expect(fillOf(series(90, 95, 0, 99, 100, 101), series())?.growth).toBe(101 - 90)
  })
})

it('images without an annotation count for nothing', () => {
  expect(countsOf({ device: 'a', images: 3, shown: 3, id: [1, 2, 3], time: [10, 20, 30], values: { insects: [null, 5, null] } })).toEqual({ time: [20], insects: [5] })
  expect(countsOf(undefined)).toEqual({ time: [], insects: [] })
})
