import { describe, expect, it } from 'vitest'
import type { DeviceState } from '../../api/types'
import { DAY, parseTime, wireTime } from '../../lib/time'
import { barsOf, conditionOf, serverTime } from './condition'

const now = parseTime('2022-06-10T09:00:00Z')
const end = parseTime('2022-06-11')

function device(more: Partial<DeviceState> & { ago?: number } = {}): DeviceState {
  const { ago = 600, ...rest } = more
  return {
    device: '5c173ff2', device_version: null, images: 100, images_per_day: [], interval: 1200, expected_per_day: 72, gaps: 0, longest_gap: 0, last_id: 1,
    last_datetime: wireTime(now - ago), silence: ago, upload_delay: 60, clock_ahead: 0, temperature: 20, humidity: 50, battery: 80, lat: null, lng: null, alt: null, ...rest,
  }
}

describe('the condition of a device', () => {
  it.each<[string, DeviceState, string, string[]]>([
    ['with images as usual is well', device(), 'well', []],
    ['two images late is well', device({ ago: 3000 }), 'well', []],
    ['long without an image is silent', device({ ago: 3 * DAY }), 'silent', ['Silent for 3 days']],
    ['whose images come late is given that much time', device({ ago: 18 * 3600, upload_delay: 18 * 3600 }), 'well', []],
    ['whose last image came a year late is silent all the same', device({ ago: 4 * DAY, upload_delay: 365 * DAY }), 'silent', ['Silent for 4 days']],
    ['that takes few images is given time', device({ ago: 5 * 3600, interval: 2 * 3600 }), 'well', []],
    ['without any image in the range is away, not silent', device({ images: 0, ago: 90 * DAY, interval: null }), 'away', ['No image in this range']],
    ['with an empty battery is to be checked', device({ battery: 12 }), 'check', ['Battery 12 %']],
    ['with a fast clock is to be checked', device({ ago: -7200, clock_ahead: 7200 }), 'check', ['Clock 2 h ahead']],
    ['silent, and with an empty battery, says both', device({ ago: 3 * DAY, battery: 3 }), 'silent', ['Silent for 3 days', 'Battery 3 %']],
  ])('%s', (_, d, kind, notes) => expect(conditionOf(d, end, now)).toEqual({ kind, notes }))

  it('is that of the range: what went on after it is not silent', () => {
    const d = device({ ago: 300 * DAY })
    expect(conditionOf(d, now - 301 * DAY, now).kind).toBe('well') // it went on after the range
    expect(conditionOf(d, now - 290 * DAY, now).kind).toBe('silent') // it had stopped ten days before the range's end
  })
})

it('ages are by the clock of the server', () => {
  const wrong = now + 5000 // this computer's clock
  expect(serverTime([device({ ago: 700 })], wrong, wrong + 60)).toBe(now + 60)
  expect(serverTime([], wrong, wrong + 60)).toBe(wrong + 60)
})

describe('bars', () => {
  it('tell poor days, and leave out the day that still goes on', () => {
    expect(barsOf([72, 50, 0, 10], 72, true)).toEqual([
      { images: 72, poor: false },
      { images: 50, poor: true },
      { images: 0, poor: true },
      { images: 10, poor: false },
    ])
  })
  it('hold several days where there are many', () => {
    const bars = barsOf(Array.from({ length: 365 }, () => 70), 72, false)
    expect(bars.length).toBeLessThanOrEqual(56)
    expect(bars.every((b) => b.images === 70 && !b.poor)).toBe(true)
  })
})
