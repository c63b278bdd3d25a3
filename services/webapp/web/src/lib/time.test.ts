import { afterEach, describe, expect, it, vi } from 'vitest'
import { count, dayOf, nameTime, parseTime, showDuration, showTime, typedTime, typedZone, wireTime, zoneName, zoneNames } from './time'

const T = Date.UTC(2020, 5, 20, 21, 33, 24) / 1000

describe('parseTime', () => {
  it.each([
    ['2020-06-20T21:33:24Z', T],
    ['2020-06-20_21-33-24', T],
    ['2020-06-20', T - (21 * 3600 + 33 * 60 + 24)],
    ['2020-02-29', Date.UTC(2020, 1, 29) / 1000],
  ])('reads %s', (text, want) => expect(parseTime(text)).toBe(want))

  it.each(['', '2020', '2021-02-29', '2020-06-31', '2020-13-01', '2020-06-20T25:00:00Z', '2020-06-20T21:60:24Z', ' 2020-06-20', '2020-06-20T21:33:24+02:00', '20-06-2020'])(
    'refuses %j',
    (text) => expect(parseTime(text)).toBeNaN(),
  )
})

describe('writing times', () => {
  it('gives the wire, names, days and people each their form', () => {
    expect(wireTime(T)).toBe('2020-06-20T21:33:24Z')
    expect(nameTime(T)).toBe('2020-06-20_21-33-24')
    expect(dayOf(T)).toBe('2020-06-20')
    expect(showTime(T, 'utc')).toBe('2020-06-20 21:33:24')
    expect(showTime(T, 'utc', false)).toBe('2020-06-20 21:33')
  })

  it('reads what it writes', () => {
    for (const write of [wireTime, nameTime]) expect(parseTime(write(T))).toBe(T)
  })

  it("shows the computer's own zone, and its name", () => {
    const d = new Date(T * 1000)
    expect(showTime(T, 'local')).toContain(`${String(d.getHours()).padStart(2, '0')}:33:24`)
    expect(zoneName('utc')).toBe('UTC')
    expect(zoneName('local', T)).toMatch(/^UTC[+−]\d\d:\d\d$/)
  })
})

describe('a zone of the time zone database', () => {
  // the hours of Vancouver are an hour further from UTC in winter
  it.each([
    ['America/Vancouver', '2020-06-20T21:33:24Z', '2020-06-20 14:33:24', 'UTC−07:00'],
    ['America/Vancouver', '2020-12-20T02:00:00Z', '2020-12-19 18:00:00', 'UTC−08:00'],
    ['Asia/Kathmandu', '2020-06-20T21:33:24Z', '2020-06-21 03:18:24', 'UTC+05:45'],
    ['Europe/Lisbon', '2020-12-20T02:00:00Z', '2020-12-20 02:00:00', 'UTC+00:00'],
  ] as const)('%s shows %s as %s', (zone, at, want, name) => {
    expect(showTime(parseTime(at), zone)).toBe(want)
    expect(zoneName(zone, parseTime(at))).toBe(name)
    expect(typedTime(want.replace(' ', 'T'), zone)).toBe(parseTime(at))
  })
  it('is one of those that can be chosen', () => expect(zoneNames()).toEqual(expect.arrayContaining(['America/Vancouver', 'Europe/Lisbon'])))
  it('is named in full beside a field', () => expect(typedZone('America/Vancouver')).toBe('America/Vancouver'))
  it('has the typed hours on both sides of a change of the clock', () => {
    const at = (text: string) => wireTime(typedTime(text, 'Europe/Zurich'))
    expect([at('2026-10-25T01:59'), at('2026-10-25T03:00'), at('2026-03-29T01:59'), at('2026-03-29T03:00')]).toEqual([
      '2026-10-24T23:59:00Z', '2026-10-25T02:00:00Z', '2026-03-29T00:59:00Z', '2026-03-29T01:00:00Z',
    ])
  })
})

describe('a typed time', () => {
  afterEach(() => vi.unstubAllEnvs())
  it.each([
    // a zone, what is typed, the same in UTC
    ['utc', '2020-06-20T21:33', '2020-06-20T21:33:00Z'],
    ['utc', '2020-06-20T21:33:24', '2020-06-20T21:33:24Z'],
    ['local', '2020-06-20T21:33', '2020-06-20T19:33:00Z'], // summer
    ['local', '2020-12-20T21:33', '2020-12-20T20:33:00Z'], // winter
  ] as const)('in %s, %s, is %s', (zone, text, want) => {
    vi.stubEnv('TZ', 'Europe/Zurich')
    expect(wireTime(typedTime(text, zone))).toBe(want)
  })
  it.each(['utc', 'local'] as const)('in %s is none where the field is empty', (zone) => expect(typedTime('', zone)).toBeNaN())
  it('has a zone without an offset', () => expect([typedZone('utc'), typedZone('local')]).toEqual(['UTC', 'local time']))
})

it.each([
  [0, '0 s'],
  [89, '89 s'],
  [1200, '20 min'],
  [3 * 3600, '3 h'],
  [14 * 86400, '14 days'],
  [-1200, '−20 min'],
])('showDuration(%d) is %s', (s, want) => expect(showDuration(s)).toBe(want))

it('counts with the right ending', () => {
  expect([0, 1, 2016].map((n) => count(n, 'image'))).toEqual(['0 images', '1 image', '2,016 images'])
})
