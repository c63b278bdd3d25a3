import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseTime, type Zone } from '../../lib/time'
import { nightBefore, nightName } from './night'

afterEach(() => vi.unstubAllEnvs())

const at = (text: string) => parseTime(text)
const place = (lat: number, lng: number) => ({ lat, lng, exchanged: false })

describe('the last night', () => {
  // sunsets and sunrises of almanacs, to the minute
  it.each<[string, string, number, number, string, string, string]>([
    ['Vancouver in autumn', '2026-11-21T20:00:00Z', 49.25, -123.1, '2026-11-21T00:22:00Z', '2026-11-21T15:32:00Z', '2026-11-20'],
    ['Greenwich at midsummer', '2022-06-21T09:00:00Z', 51.478, 0, '2022-06-20T20:21:00Z', '2022-06-21T03:43:00Z', '2022-06-20'],
    ['the equator', '2022-03-20T20:00:00Z', 0, 0, '2022-03-19T18:11:00Z', '2022-03-20T06:04:00Z', '2022-03-19'],
    ['Auckland, far ahead', '2022-06-21T00:00:00Z', -36.85, 174.76, '2022-06-20T05:11:00Z', '2022-06-20T19:33:00Z', '2022-06-20'],
  ])('of %s lasts from sunset to sunrise', (_, now, lat, lng, sunset, sunrise, evening) => {
    const night = nightBefore(at(now), place(lat, lng), 'utc')
    expect(Math.abs(night.span[0] - at(sunset))).toBeLessThan(180)
    expect(Math.abs(night.span[1] - at(sunrise))).toBeLessThan(180)
    expect(night).toMatchObject({ bySun: true, evening })
  })

  it('is over: one that still goes on is not it', () => {
    expect(nightBefore(at('2022-06-21T03:00:00Z'), place(51.478, 0), 'utc').evening).toBe('2022-06-19')
    expect(nightBefore(at('2022-06-21T04:00:00Z'), place(51.478, 0), 'utc').evening).toBe('2022-06-20')
  })

  it('is found at every hour, and lasts less than a day', () => {
    for (let lng = -180; lng <= 180; lng += 30) {
      for (let hour = 0; hour < 24; hour++) {
        const now = at('2026-11-22') + hour * 3600
        const { span, bySun } = nightBefore(now, place(45, lng), 'utc')
        expect(bySun && span[1] <= now && now - span[1] < 25 * 3600 && span[1] - span[0] > 13 * 3600 && span[1] - span[0] < 16 * 3600).toBe(true)
      }
    }
  })

  it.each<[string, ReturnType<typeof place> | null, Zone, string, string]>([
    ['without a position, in the zone', null, 'local', '2022-06-09T16:00:00Z', '2022-06-10T04:00:00Z'],
    ['without a position, in UTC where that is shown', null, 'utc', '2022-06-09T18:00:00Z', '2022-06-10T06:00:00Z'],
    ['where the sun does not set, by its mean time', place(78, 15), 'utc', '2022-06-09T17:00:00Z', '2022-06-10T05:00:00Z'],
  ])('is from 18 to 6 o’clock %s', (_, position, zone, start, end) => {
    vi.stubEnv('TZ', 'Europe/Zurich')
    expect(nightBefore(at('2022-06-10T09:00:00Z'), position, zone)).toEqual({ span: [at(start), at(end)], bySun: false, evening: '2022-06-09' })
  })
})

it.each([
  ['2026-11-20', '20 to 21 Nov'],
  ['2026-10-31', '31 Oct to 1 Nov'],
  ['2020-06-30', '30 Jun to 1 Jul 2020'],
  ['2025-12-31', '31 Dec to 1 Jan'],
])('the night that begins on %s is called %s', (evening, name) => expect(nightName(evening, at('2026-11-22'))).toBe(name))
