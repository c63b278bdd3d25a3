import { afterEach, expect, it, vi } from 'vitest'
import { areApart, compareOptions, tzDate, type Look } from './chart'

const look: Look = { temperature: '', humidity: '', insects: '', grid: '', text: '', dark: false, narrow: false }
const of = (counts: boolean) => compareOptions({ width: 600, height: 300, look, zone: 'utc', window: () => [0, 1], counts, colours: ['#000000'] })

it('an axis that counts has whole numbers from nought on, and room above the greatest', () => {
  const { axes, scales } = of(true)
  expect(axes?.[1]?.incrs).toSatisfy((all: number[]) => all.length > 0 && all.every(Number.isInteger))
  const range = scales?.['y']?.range as unknown as (u: null, min: number, max: number | null) => [number, number]
  expect([range(null, 3, 40), range(null, 1, 2), range(null, 0, null)]).toEqual([[0, 42], [0, 4], [0, 4]])
})

it('an axis that measures is as uPlot makes it', () => {
  expect(of(false).scales?.['y']).toEqual({ auto: true })
  expect(of(false).axes?.[1]?.incrs).toBeUndefined()
})

it.each([
  ['utc', 21],
  ['America/Vancouver', 14],
  ['Asia/Tokyo', 6],
] as const)('the hours on the axis are those of %s', (zone, hour) => expect(tzDate(zone)(Date.UTC(2020, 5, 20, 21, 33) / 1000).getHours()).toBe(hour))

afterEach(() => vi.unstubAllEnvs())

it.each(['America/Los_Angeles', 'Europe/Zurich'])('the hours on the axis are those of UTC on the days when the clock of a computer in %s is changed', (here) => {
  vi.stubEnv('TZ', here)
  for (const day of ['2022-03-13', '2022-03-27', '2022-10-30', '2022-11-06']) {
    // but the one that the computer's clock does not have in spring
    const hours = Array.from({ length: 24 }, (_, i) => i).filter((h) => h !== 2)
    expect(hours.map((h) => tzDate('utc')(Date.parse(day) / 1000 + h * 3600).getHours())).toEqual(hours)
  }
})

it.each<[string, boolean, number, number]>([
  ['few images, however near', true, 3, 0.1],
  ['many with room for them', true, 60, 12],
  ['many without', false, 60, 9],
])('%s: points are drawn (%s)', (_, want, n, pixels) => {
  const u = { data: [Array.from({ length: n }, (_, i) => i)] as unknown as [number[]], valToPos: (t: number) => 40 + t * pixels }
  expect(areApart(u, 1, 0, n - 1)).toBe(want)
})
