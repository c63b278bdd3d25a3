import { afterEach, describe, expect, it, vi } from 'vitest'
import type { DeviceSeries, SeriesRequest } from '../../api/series'
import { DAY, parseTime, wireTime } from '../../lib/time'
import { daysWith, loadNights, nightLines, nightsIn, sumOf, trimmed, type NightCatch } from './nights'

afterEach(() => vi.unstubAllEnvs())

const at = (text: string) => parseTime(text)
const june: [number, number] = [at('2022-06-01'), at('2022-07-01')]
const place = { lat: 51.478, lng: 0, exchanged: false }

describe('the nights of a range', () => {
  it('are those that begin and end in it, one after the other', () => {
    const nights = nightsIn(june, place, 'utc')
    expect(nights.map((n) => n.evening)).toEqual(Array.from({ length: 29 }, (_, i) => `2022-06-${String(i + 1).padStart(2, '0')}`))
    expect(nights.every((n, i) => n.bySun && (i === 0 || n.span[0] > (nights[i - 1]?.span[1] ?? 0)))).toBe(true)
  })
  it('go by the clock where the sun does not set, and where it is not known where the trap is', () => {
    expect(nightsIn(june, { lat: 78, lng: 15, exchanged: false }, 'utc')).toHaveLength(29)
    expect(nightsIn(june, null, 'local').every((n) => !n.bySun)).toBe(true)
  })
  it('are from 18 to 6 o’clock of the day, before and after a change of the clock', () => {
    vi.stubEnv('TZ', 'Europe/Zurich')
    const nights = nightsIn([at('2026-10-23'), at('2026-10-28')], null, 'local')
    expect(nights.map((n) => [n.evening, ...n.span.map(wireTime)])).toEqual([
      ['2026-10-23', '2026-10-23T16:00:00Z', '2026-10-24T04:00:00Z'],
      ['2026-10-24', '2026-10-24T16:00:00Z', '2026-10-25T05:00:00Z'], // 13 hours
      ['2026-10-25', '2026-10-25T17:00:00Z', '2026-10-26T05:00:00Z'],
      ['2026-10-26', '2026-10-26T17:00:00Z', '2026-10-27T05:00:00Z'],
    ])
  })
  it('pass through spring and autumn in the far north without an end or a gap of more than two days', () => {
    const nights = nightsIn([at('2022-01-01'), at('2023-01-01')], { lat: 69.6, lng: 18.9, exchanged: false }, 'utc')
    expect(nights.length).toBeGreaterThan(355)
    expect(nights.every((n, i) => i === 0 || n.span[0] - (nights[i - 1]?.span[1] ?? 0) < 2 * DAY)).toBe(true)
  })
})

it('days with images have the evening before and the morning after', () => {
  expect(daysWith([0, 0, 3, 0, 1, 0, 0, 0], june[0])).toEqual([june[0] + DAY, june[0] + 6 * DAY])
  expect(daysWith([1], june[0])).toEqual([june[0], june[0] + DAY])
  expect(daysWith([0, 0], june[0])).toBe(null)
})

/** A server with an image every so many seconds, each with one insect more than the one before; it gives 4000 at most. */
function server(every: number) {
  const asked: SeriesRequest[] = []
  const ask = async (r: SeriesRequest): Promise<DeviceSeries[]> => {
    asked.push(r)
    const first = Math.ceil(r.start / every)
    const images = Math.ceil(r.end / every) - first
    const shown = Math.min(images, 4000)
    const time = Array.from({ length: shown }, (_, i) => (first + i) * every)
    return [{ device: 'a', images, shown, id: time, time, values: { insects: time.map((t) => (t - june[0]) / every), temperature: time.map(() => 10) } }]
  }
  return { asked, ask }
}

async function load(every: number): Promise<{ found: NightCatch[]; asked: SeriesRequest[] }> {
  const { asked, ask } = server(every)
  const found: NightCatch[] = []
  await loadNights('a', nightsIn(june, null, 'utc'), new AbortController().signal, (some) => found.push(...some), ask)
  return { found, asked }
}

describe('what was caught', () => {
  it('is asked for at once, and counted by night with the images that it rests on', async () => {
    const { found, asked } = await load(1200)
    expect(asked).toHaveLength(1)
    expect(found).toHaveLength(29)
    // 12 hours with both ends: 37 images, each with one insect more
    expect(found[3]).toMatchObject({ images: 37, annotated: 37, caught: { caught: 36 }, temperatures: [10, 10] })
    expect(sumOf(found)).toEqual({ counted: '+1,044 in 29 nights', lacking: '' })
  })
  it('is asked for in halves where it would be thinned out', async () => {
    const { found, asked } = await load(300)
    expect(asked).toHaveLength(5) // 29 nights, 14, and 15, which are still too many, in halves
    expect(found.map((n) => n.night.evening)).toEqual(nightsIn(june, null, 'utc').map((n) => n.evening))
    expect(found.every((n) => n.images === 145 && typeof n.caught !== 'string' && n.caught.caught === 144)).toBe(true)
  })
})

const night = (evening: string, caught: NightCatch['caught'], images = 36): NightCatch => {
  const start = at(evening) + DAY * 0.75
  return { night: { span: [start, start + DAY / 2], bySun: false, evening }, images, annotated: images, caught, temperatures: images > 0 ? [-2.5, 8] : null }
}
const card = { from: at('2022-06-02T18:00:00Z'), to: at('2022-06-03T06:00:00Z'), first: 3, last: 8 }
const changed = { caught: 8, cards: [{ ...card, to: card.from + 3600 }, { ...card, from: card.from + 7200, first: 0, last: 3 }] }
const some = [night('2022-06-01', 'no images', 0), night('2022-06-02', { caught: 5, cards: [card] }), night('2022-06-03', 'no images', 0), night('2022-06-04', changed), night('2022-06-05', 'not annotated'), night('2022-06-06', 'no images', 0)]

it('nights before the first and after the last image are left out', () => {
  expect(trimmed(some).map((n) => n.night.evening)).toEqual(['2022-06-02', '2022-06-03', '2022-06-04', '2022-06-05'])
  expect(trimmed(some.slice(0, 1))).toEqual([])
})

it('the sum says what it lacks', () => {
  expect(sumOf(trimmed(some))).toEqual({ counted: '+13 in 2 nights', lacking: '2 nights not counted: no images (1), not looked at by the detector yet (1)' })
})

it('a line of the file holds what the night rests on', () => {
  expect(nightLines('5c173ff2', trimmed(some))).toEqual([
    '5c173ff2,2022-06-02,2022-06-02T18:00:00Z,2022-06-03T06:00:00Z,no,5,,36,36,3,8,,-2.5,8',
    '5c173ff2,2022-06-03,2022-06-03T18:00:00Z,2022-06-04T06:00:00Z,no,,no images,0,0,,,,,',
    '5c173ff2,2022-06-04,2022-06-04T18:00:00Z,2022-06-05T06:00:00Z,no,8,,36,36,3,3,2022-06-02T20:00:00Z,-2.5,8',
    '5c173ff2,2022-06-05,2022-06-05T18:00:00Z,2022-06-06T06:00:00Z,no,,not looked at by the detector yet,36,36,,,,-2.5,8',
  ])
})
