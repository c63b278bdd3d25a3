// What a trap caught in each night of the range, by the reckoning of its last night.
import { patiently } from '../../api/patient'
import { getSeries, MAX_WIDTH, type SeriesRequest, type DeviceSeries } from '../../api/series'
import { count, DAY, wireTime, type Zone } from '../../lib/time'
import type { Position } from '../../lib/position'
import type { Span } from '../../lib/window'
import { caughtIn, NO_POINTS, pointsOf, temperaturesOf, within, type Catch, type Points, type Unknown } from './insects'
import { nightBefore, type Night } from './night'
import { changesOf, signed, whyUnknown } from './words'

export interface NightCatch {
  night: Night
  images: number
  /** Of these, looked at by the detector. */
  annotated: number
  caught: Catch | Unknown
  temperatures: Span | null // °C
}

/** Nights that are asked for at a time: with an image every twenty minutes, they are given whole. */
const AT_ONCE = 50

/** The nights that begin and end in a span of time, the first one first; `zone` as in nightBefore. */
export function nightsIn([start, end]: Span, position: Position | null, zone: Zone): Night[] {
  const nights: Night[] = []
  for (let night = nightBefore(end, position, zone); night.span[0] >= start; night = nightBefore(night.span[0], position, zone)) nights.push(night)
  return nights.reverse()
}

/** The part of a range on whose days there are images, with the evening before the first and the morning after the last of
 * them; null where there are none. `perDay` are the numbers of images of each day. */
export function daysWith(perDay: readonly number[], start: number): Span | null {
  const first = perDay.findIndex((n) => n > 0)
  if (first < 0) return null
  return [start + Math.max(0, first - 1) * DAY, start + Math.min(perDay.length, perDay.findLastIndex((n) => n > 0) + 2) * DAY]
}

export function nightOfPoints(p: Points, night: Night): NightCatch {
  const inside = within(p, night.span)
  return {
    night,
    images: inside.time.length,
    annotated: inside.insects.filter((n) => n !== null).length,
    caught: caughtIn(inside, night.span),
    temperatures: temperaturesOf(inside),
  }
}

type Ask = (r: SeriesRequest, signal?: AbortSignal) => Promise<DeviceSeries[]>
/** What was loaded of many devices is not thrown away because the server is busy with the next one. */
const patient: Ask = (r, signal) => patiently(() => getSeries(r, signal), signal)

/** Asks for the images of the nights, some nights at a time, and hands over what was caught in these. The server thins out what
 * is more than it may give at once: then it is asked for in halves. */
export async function loadNights(device: string, nights: readonly Night[], signal: AbortSignal, found: (some: NightCatch[]) => void, ask: Ask = patient): Promise<void> {
  async function part(some: readonly Night[]): Promise<void> {
    const [first, last] = [some[0], some.at(-1)]
    if (!first || !last) return
    const all = await ask({ start: Math.floor(first.span[0]), end: Math.ceil(last.span[1]) + 1, devices: [device], variables: ['insects', 'temperature'], width: MAX_WIDTH }, signal)
    const mine = all.find((s) => s.device === device)
    if (mine && mine.shown < mine.images && some.length > 1) {
      const half = some.length >> 1
      await part(some.slice(0, half))
      return part(some.slice(half))
    }
    const points = mine ? pointsOf(mine) : NO_POINTS
    found(some.map((night) => nightOfPoints(points, night)))
  }
  for (let i = 0; i < nights.length; i += AT_ONCE) await part(nights.slice(i, i + AT_ONCE))
}

/** Without the nights before the first and after the last image. */
export function trimmed(nights: readonly NightCatch[]): NightCatch[] {
  return nights.slice(Math.max(0, nights.findIndex((n) => n.images > 0)), nights.findLastIndex((n) => n.images > 0) + 1)
}

/** What was caught in all of them, and in how many that is not known. */
export function sumOf(nights: readonly NightCatch[]): { counted: string; lacking: string } {
  const known = nights.flatMap((n) => (typeof n.caught === 'string' ? [] : [n.caught.caught]))
  const sum = known.reduce((a, b) => a + b, 0)
  const reasons = (Object.keys(whyUnknown) as Unknown[]).flatMap((why) => {
    const n = nights.filter((n) => n.caught === why).length
    return n > 0 ? [`${whyUnknown[why]} (${n})`] : []
  })
  return {
    counted: `${signed(sum)} in ${count(known.length, 'night')}`,
    lacking: reasons.length === 0 ? '' : `${count(nights.length - known.length, 'night')} not counted: ${reasons.join(', ')}`,
  }
}

export const NIGHTS_HEAD =
  'device,evening,night_start_utc,night_end_utc,sunset_to_sunrise,caught,not_counted_because,images,images_annotated,insects_first,insects_last,card_changes_utc,temperature_min,temperature_max'

/** A line for each night. Nothing in them needs quotes. */
export function nightLines(device: string, nights: readonly NightCatch[]): string[] {
  return nights.map(({ night, images, annotated, caught, temperatures }) => {
    const known = typeof caught === 'string' ? null : caught
    return [
      device, night.evening, wireTime(night.span[0]), wireTime(night.span[1]), night.bySun ? 'yes' : 'no', known?.caught ?? '', typeof caught === 'string' ? whyUnknown[caught] : '',
      images, annotated, known?.cards[0]?.first ?? '', known?.cards.at(-1)?.last ?? '', known ? changesOf(known).map(([, to]) => wireTime(to)).join(' ') : '',
      temperatures?.[0] ?? '', temperatures?.[1] ?? '',
    ].join(',')
  })
}
