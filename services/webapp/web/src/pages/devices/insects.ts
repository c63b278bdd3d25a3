// How full the traps are, and what they caught: from the plots' own columns, in two requests for all devices.
import type { DeviceSeries } from '../../api/series'
import { DAY } from '../../lib/time'
import type { Span } from '../../lib/window'

/** How long before now the images are looked at that last night is reckoned from: it may have begun so long ago. */
export const LOOK_BACK = 2 * DAY

/** How much of a night's beginning and end may lack annotated images, in seconds. */
const MOST_LACKING = 3 * 3600

/** Images of a device, in columns of equal length; times rise. null: not annotated, not measured. */
export interface Points {
  time: number[]
  insects: (number | null)[]
  temperature: (number | null)[]
}

/** Of all devices: in the range, coarsely, and of the last two days, image by image. */
export interface AllPoints {
  coarse: Map<string, Points>
  fine: Map<string, Points>
  /** From when on they are given image by image, in seconds. */
  fineFrom: number
}

export const NO_POINTS: Points = { time: [], insects: [], temperature: [] }

export function pointsOf(s: DeviceSeries): Points {
  const none = s.time.map(() => null)
  return { time: s.time, insects: s.values.insects ?? none, temperature: s.values.temperature ?? none }
}

/** Those within a span, both ends included. */
export function within(p: Points, [start, end]: Span): Points {
  const inside = (_: unknown, i: number) => (p.time[i] as number) >= start && (p.time[i] as number) <= end
  return { time: p.time.filter(inside), insects: p.insects.filter(inside), temperature: p.temperature.filter(inside) }
}

/** All that is known of the range from its start on: coarsely, and then image by image. */
export function joined(coarse: Points, fine: Points, start: number, fineFrom: number): Points {
  const from = Math.max(start, fineFrom)
  const a = within(coarse, [start, from - 1])
  const b = within(fine, [from, Infinity])
  return { time: [...a.time, ...b.time], insects: [...a.insects, ...b.insects], temperature: [...a.temperature, ...b.temperature] }
}

/** The least and the greatest temperature, in °C. */
export function temperaturesOf(p: Points): Span | null {
  const known = p.temperature.filter((t) => t !== null)
  return known.length === 0 ? null : [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))]
}

/** What one sticky card shows: the insects on its first and on its last image. */
export interface Card {
  from: number // seconds
  to: number
  first: number
  last: number
}

export interface Catch {
  /** The cards' increases, added up. */
  caught: number
  /** In the order of time; a further one for every change. */
  cards: Card[]
}

/** Insects fall off, and are missed: a card that shows fewer than at first has caught nothing that could be counted. */
export const increase = (c: Card) => Math.max(0, c.last - c.first)

/** A card with half of the insects or fewer, and at least five fewer than that half, is another one. */
const isOther = (n: number, before: number) => n <= before / 2 - 5

/** Whether a number could be the same card's as the one two images before. */
const agree = (before: number, after: number) => after >= before * 0.75 - 3

/** Whether an image shows far fewer insects, or far more, than the two around it, which agree. */
function isMisjudged(n: number, before: number | undefined, after: number | undefined): boolean {
  if (before === undefined) return false
  if (after === undefined) return isOther(n, before)
  return agree(before, after) && (isOther(n, before) || (isOther(before, n) && isOther(after, n)))
}

/**
 * What was caught from the first annotated image to the last; null where there are fewer than two. A change of the card is
 * a fall that two images in a row show; one image that is alone with its fall, or with many more, was misjudged and is left
 * out, as is a last image with a fall: the next one will tell.
 */
export function catchOf(p: Points): Catch | null {
  const all = p.insects.flatMap((n, i) => (n === null ? [] : [{ n, at: p.time[i] as number }]))
  const kept = all.filter(({ n }, i) => !isMisjudged(n, all[i - 1]?.n, all[i + 1]?.n))
  if (kept.length < 2) return null
  const cards: Card[] = []
  for (const { n, at } of kept) {
    const now = cards.at(-1)
    if (!now || isOther(n, now.last)) cards.push({ from: at, to: at, first: n, last: n })
    else Object.assign(now, { to: at, last: n })
  }
  return { caught: cards.reduce((sum, c) => sum + increase(c), 0), cards }
}

/** Why it is not known what was caught in a night. */
export type Unknown = 'no images' | 'not annotated' | 'incomplete'

/** What was caught in a night. */
export function caughtIn(p: Points, night: Span): Catch | Unknown {
  const inside = within(p, night)
  if (inside.time.length === 0) return 'no images'
  const annotated = inside.time.filter((_, i) => inside.insects[i] !== null)
  const [first, last] = [annotated[0], annotated.at(-1)]
  if (first === undefined || last === undefined) return 'not annotated'
  const whole = first - night[0] <= MOST_LACKING && night[1] - last <= MOST_LACKING
  if (whole) return catchOf(inside) ?? 'incomplete'
  const [begin, finish] = [inside.time[0] as number, inside.time.at(-1) as number]
  return begin - night[0] <= MOST_LACKING && night[1] - finish <= MOST_LACKING ? 'not annotated' : 'incomplete'
}

export interface Fill {
  insects: number
  at: number // when that was
  /** How many came in the range; null of a single image. */
  total: Catch | null
  /** Times and numbers along the range, at most some hundreds; none of a few images. */
  line: [number, number][]
}

/** Images that make a line. */
const LINE = 5

/** How full a trap is, as of its last annotated image of the range, and what it caught there. */
export function fillOf(p: Points): Fill | null {
  const i = p.insects.findLastIndex((n) => n !== null)
  if (i < 0) return null
  const line = p.insects.flatMap((n, i): [number, number][] => (n === null ? [] : [[p.time[i] as number, n]]))
  return { insects: p.insects[i] as number, at: p.time[i] as number, total: catchOf(p), line: line.length < LINE ? [] : line }
}
