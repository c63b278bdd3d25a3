import { describe, expect, it } from 'vitest'
import type { DeviceState } from '../../api/types'
import { parseTime } from '../../lib/time'
import { fillOf, type Points } from './insects'
import { rowsOf, type Row } from './row'
import { caughtCSV, notCounted, reckoning, showTemperatures } from './words'

const now = parseTime('2022-06-10T12:00:00Z')
const state = (device: string, more: Partial<DeviceState> = {}): DeviceState => ({
  device, device_version: null, images: 3, images_per_day: [3], interval: 1200, expected_per_day: 72, gaps: 0, longest_gap: 0, last_id: 1, last_datetime: '2022-06-10T11:50:00Z',
  silence: 600, upload_delay: 60, clock_ahead: 0, temperature: 20, humidity: 50, battery: 80, lat: 51.478, lng: 0, alt: null, ...more,
})
/** An image every two hours of the last night, and a little more. */
const points = (...insects: (number | null)[]): Points => ({
  time: insects.map((_, i) => parseTime('2022-06-09T20:00:00Z') + i * 7200),
  insects,
  temperature: insects.map((_, i) => 12 - i),
})
const rows = (all: Record<string, Points>): Row[] =>
  rowsOf(
    { start: now - 86400, end: now + 3600, loadedAt: now, devices: Object.keys(all).map((d) => state(d)) },
    [],
    { coarse: new Map(), fine: new Map(Object.entries(all)), fineFrom: now - 2 * 86400 },
    now,
    'utc',
  )

describe('what is said of catches', () => {
  it('can be checked by hand, card by card', () => {
    const total = fillOf(points(33, 35, 0, 4, 3))?.total
    expect(total && reckoning(total, 'utc')).toBe('33 on 2022-06-09 20:00, 35 on 2022-06-09 22:00 UTC: +2\nCard changed\n0 on 2022-06-10 00:00, 3 on 2022-06-10 04:00 UTC: +3')
  })
  it('says where a card shows fewer at last', () => {
    const total = fillOf(points(46, 41))?.total
    expect(total && reckoning(total, 'utc')).toContain('UTC: 0 (fewer: fallen off, or not recognised)')
  })
  it('leaves no trap out silently', () => {
    const all = rows({ a: points(1, 1, 2, 3, 4), b: points(null, null, null, null, null), c: { time: [], insects: [], temperature: [] } })
    expect(notCounted(all)).toBe('2 traps not counted: no images (1), not looked at by the detector yet (1)')
    expect(notCounted(all.slice(0, 1))).toBe('')
  })
})

it('a spreadsheet has a line for each device', () => {
  const [head, a, b, end] = caughtCSV(rows({ a: points(31, 33, 0, 1, 2), b: points(null) })).split('\r\n')
  expect(head?.split(',').length).toBe(15)
  expect(a).toBe('a,3,2022-06-09T20:00:00Z,2022-06-10T04:00:00Z,31,2,2022-06-10T00:00:00Z,4,8,12,' + a?.split(',').slice(10, 12).join() + ',1,9,11')
  expect(b?.split(',').length).toBe(15)
  expect(b?.startsWith('b,3,,,,,,,12,12,2022-06-09T20:1')).toBe(true)
  expect(end).toBe('')
})

describe('a row of a range that is over', () => {
  const scope = { start: parseTime('2022-06-01'), end: parseTime('2022-06-09'), loadedAt: now, devices: [state('a')] }
  const coarse = new Map([['a', { time: [scope.start + 60, scope.end - 4000], insects: [1, 4], temperature: [3, 14] }]])
  const [row] = rowsOf(scope, [], { coarse, fine: new Map(), fineFrom: scope.end - 3600 }, now, 'utc')
  it('tells of the range, and of nothing that came later', () => {
    expect(row).toMatchObject({ last: scope.end - 4000, current: false, temperatures: [3, 14], fill: { insects: 4, total: { caught: 3 } }, condition: { kind: 'past' } })
  })
})

it.each<[string, string, number, number[], string]>([
  ['the last with images, of a range that is over', '2022-06-09', now, [1, 0, 1, 1, 1, 0, 0, 0], '2022-06-04'],
  ['the last of a range that is over, without any', '2022-06-09', now, [0, 0, 0, 0, 0, 0, 0, 0], '2022-06-07'],
  ['the last of all, whatever there is, while the range goes on', '2022-07-09', parseTime('2022-06-20T12:00:00Z'), [1, 1], '2022-06-19'],
])('the last night is %s', (_, end, at, images_per_day, evening) => {
  const d = { ...state('a'), lat: null, lng: null, images: images_per_day.length, images_per_day }
  expect(rowsOf({ start: parseTime('2022-06-01'), end: parseTime(end), loadedAt: at, devices: [d] }, [], null, at, 'utc')[0]?.night.evening).toBe(evening)
})

it.each<[[number, number], string]>([
  [[3, 8.25], '3.0 to 8.3 °C'],
  [[-2.1, 4], '−2.1 to 4.0 °C'],
  [[4, 4.01], '4.0 °C'],
])('temperatures %j are %s', (span, text) => expect(showTemperatures(span)).toBe(text.replace(' °', '\u00a0°')))
