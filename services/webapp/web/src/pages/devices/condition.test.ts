import { describe, expect, it } from 'vitest'
import type { DeviceState } from '../../api/types'
import { DAY, parseTime, wireTime } from '../../lib/time'
import { barsOf, conditionOf, gapsOf, kindsOf, serverTime } from './condition'

const now = parseTime('2022-06-10T09:00:00Z')
const end = parseTime('2022-06-11')

function device(more: Partial<DeviceState> & { ago?: number } = {}): DeviceState {
  const { ago = 600, ...rest } = more
  return {
    device: '5c173ff2', device_version: null, images: 100, images_per_day: [], interval: 1200, expected_per_day: 72, gaps: 0, longest_gap: 0, last_id: 1,
    last_datetime: wireTime(now - ago), silence: ago, upload_delay: 60, clock_ahead: 0, temperature: 20, humidity: 50, battery: 80, lat: null, lng: null, alt: null, ...rest,
  }
}

/** Two photographs, two weeks apart: no rhythm. */
const few = { images: 2, interval: 14 * DAY, expected_per_day: 1 / 14, gaps: 0, longest_gap: 14 * DAY }

describe('the condition of a device now', () => {
  it.each<[string, DeviceState, string, string[]]>([
    ['with images as usual is well', device(), 'well', []],
    ['two images late is well', device({ ago: 3000 }), 'well', []],
    ['long without an image is silent', device({ ago: 3 * DAY }), 'silent', ['Silent for 3 days']],
    ['whose images come late is given that much time', device({ ago: 18 * 3600, upload_delay: 18 * 3600 }), 'well', []],
    ['whose last image came a year late is silent all the same', device({ ago: 4 * DAY, upload_delay: 365 * DAY }), 'silent', ['Silent for 4 days']],
    ['that takes few images is given time', device({ ago: 5 * 3600, interval: 2 * 3600 }), 'well', []],
    ['of a few photographs has no rhythm that would excuse silence', device({ ago: 5 * 3600, ...few }), 'silent', ['Silent for 5 h', 'A gap of 14 days']],
    ['silent since before the range is silent all the same', device({ images: 0, ago: 9 * DAY, interval: null }), 'silent', ['Silent for 9 days']],
    ['of a season that is over is no alarm', device({ ago: 2282 * DAY, battery: 3 }), 'away', ['No image for 2282 days']],
    ['with an empty battery is to be checked', device({ battery: 12 }), 'check', ['Battery 12 %']],
    ['with a fast clock is to be checked', device({ ago: -7200, clock_ahead: 7200 }), 'check', ['Clock 2 h ahead']],
    ['with a long gap is to be checked', device({ gaps: 1, longest_gap: 7 * 3600 }), 'check', ['A gap of 7 h']],
    ['silent, and with an empty battery, says both', device({ ago: 3 * DAY, battery: 3 }), 'silent', ['Silent for 3 days', 'Battery 3 %']],
  ])('%s', (_, d, kind, notes) => {
    expect(conditionOf(d, end, now)).toEqual({ kind, notes })
    expect(kindsOf(false)).toContain(kind)
  })
})

describe('the condition in a range that is over', () => {
  const days = [72, 72, 0, 72]
  it.each<[string, DeviceState, string, string[]]>([
    ['is neither well nor silent', device({ ago: 300 * DAY, images_per_day: days }), 'past', ['Images on 3 of 4 days']],
    ['is not told by what came later', device({ ago: 600, battery: 3, clock_ahead: 3600, images_per_day: days }), 'past', ['Images on 3 of 4 days']],
    ['is told by the last images where they lie inside', device({ ago: 300 * DAY, battery: 3, images_per_day: days }), 'check', ['Battery 3 %', 'Images on 3 of 4 days']],
    ['tells gaps', device({ ago: 300 * DAY, ...few, images_per_day: days }), 'check', ['A gap of 14 days', 'Images on 3 of 4 days']],
    ['without images is away', device({ ago: 300 * DAY, images: 0, images_per_day: [0, 0] }), 'away', ['No image in this range']],
  ])('%s', (_, d, kind, notes) => {
    expect(conditionOf(d, now - 290 * DAY, now)).toEqual({ kind, notes })
    expect(kindsOf(true)).toContain(kind)
  })
})

it.each<[string, Partial<DeviceState>, ReturnType<typeof gapsOf>]>([
  ['are the server’s where there is a rhythm', { gaps: 2, longest_gap: 9000 }, { n: 2, atLeast: false, longest: 9000 }],
  ['are no lengths where there is none', { gaps: 0, longest_gap: 1300 }, { n: 0, atLeast: false, longest: 0 }],
  ['are one at least where few images lie far apart', few, { n: 1, atLeast: true, longest: 14 * DAY }],
  ['are none where few images follow each other', { images: 3, gaps: 0, longest_gap: 1300 }, { n: 0, atLeast: false, longest: 0 }],
  ['are not known without images', { images: 0 }, null],
])('gaps %s', (_, more, want) => expect(gapsOf(device(more))).toEqual(want))

it('ages are by the clock of the server', () => {
  const wrong = now + 5000 // this computer's clock
  expect(serverTime([device({ ago: 700 })], wrong, wrong + 60)).toBe(now + 60)
  expect(serverTime([], wrong, wrong + 60)).toBe(wrong + 60)
})

describe('bars', () => {
  const poor = (perDay: number[], open: boolean, ended: boolean, more: Partial<DeviceState> = {}) =>
    barsOf(device({ images_per_day: perDay, ...more }), open, ended).bars.map((b) => b.poor)
  it('tell poor days, and leave out the first one and the one that still goes on', () => {
    expect(poor([10, 72, 50, 0, 10], true, false)).toEqual([false, false, true, true, false])
  })
  it('do not tell of days before the device was there', () => expect(poor([0, 0, 0, 30, 72, 72], false, false)).toEqual([false, false, false, false, false, false]))
  it('do not tell of days after it was taken in', () => {
    expect(poor([72, 0, 72, 30, 0, 0], false, true)).toEqual([false, true, false, false, false, false])
    expect(poor([72, 0, 72, 30, 0, 0], false, false)).toEqual([false, true, false, true, true, true])
  })
  it('expect nothing of few images', () => {
    const d = device({ ...few, images_per_day: [1, 0, 0, 1] })
    expect(barsOf(d, false, false)).toMatchObject({ expected: null, text: '2 images: too few to tell how many are missing' })
    expect(barsOf(d, false, false).bars.some((b) => b.poor)).toBe(false)
  })
  it('are told in words', () => {
    expect(barsOf(device({ images: 204, images_per_day: [0, 10, 72, 50, 72] }), false, false).text).toBe('51 images a day since its first one, of 72 expected; 1 day of 3 below 80 %')
    expect(barsOf(device({ images: 0, images_per_day: [0, 0] }), false, false).text).toBe('No images')
  })
  it('hold several days where there are many', () => {
    const { bars } = barsOf(device({ images_per_day: Array.from({ length: 365 }, () => 70) }), false, false)
    expect(bars.length).toBeLessThanOrEqual(56)
    expect(bars.every((b) => b.images === 70 && !b.poor)).toBe(true)
  })
})
