// How full the traps are, and what came last night: from the plots' own columns, in two requests for all devices.
import type { DeviceSeries } from '../../api/series'
import { DAY } from '../../lib/time'
import { nearest, type Span } from '../../lib/window'

/** Night, by the sun's mean time: from 18 to 6 o'clock. */
const NIGHT = 12 * 3600
const MORNING = 6 * 3600

/** How long before now the images are looked at that last night is reckoned from: it may have begun so long ago. */
export const LOOK_BACK = 2 * DAY

/**
 * The last night that is over, where the device stands: its longitude tells the sun's time, and else the offset of the zone
 * that is shown, in seconds.
 */
export function nightBefore(at: number, lng: number | null, offset: number): Span {
  const ahead = lng === null ? offset : (lng / 360) * DAY
  const local = at + ahead
  let morning = Math.floor(local / DAY) * DAY + MORNING
  if (morning > local) morning -= DAY
  return [morning - NIGHT - ahead, morning - ahead]
}

/** The images of a series that were annotated. */
export interface Counts {
  time: number[]
  insects: number[]
}

/** Of all devices: in the range, coarsely, and of the last two days, image by image. */
export interface AllCounts {
  coarse: Map<string, Counts>
  fine: Map<string, Counts>
}

export function countsOf(s: DeviceSeries | undefined): Counts {
  const counts: Counts = { time: [], insects: [] }
  s?.values.insects?.forEach((n, i) => {
    if (n === null) return
    counts.time.push(s.time[i] as number)
    counts.insects.push(n)
  })
  return counts
}

const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] as number

/** The number of insects at a time: the median of three images, since a single one may be misjudged. */
function around(c: Counts, i: number): number {
  const from = Math.max(0, Math.min(i - 1, c.insects.length - 3))
  return middle(c.insects.slice(from, from + 3))
}

/** How many insects more there are at the end of a span than at its beginning; null where too little is annotated. */
export function caught(c: Counts, [start, end]: Span): number | null {
  const a = nearest(c.time, start)
  const b = nearest(c.time, end)
  const most = NIGHT / 4
  if (a < 0 || a === b || Math.abs((c.time[a] as number) - start) > most || Math.abs((c.time[b] as number) - end) > most) return null
  return around(c, b) - around(c, a)
}

export interface Fill {
  insects: number
  at: number // when that was
  /** How many came since the range began, or since the card was changed. */
  growth: number
  /** From the first image to the last, at most some dozens. */
  line: number[]
}

/** How full a trap is: as of its last annotated image, and since the range began. */
export function fillOf(coarse: Counts, fine: Counts): Fill | null {
  const newest = fine.time.length > 0 && (fine.time.at(-1) as number) >= (coarse.time.at(-1) ?? 0) ? fine : coarse
  const insects = newest.insects.at(-1)
  if (insects === undefined) return null
  const line = coarse.insects.map((_, i) => around(coarse, i))
  let begin = 0
  // a card that is changed has half of the insects or fewer from one image to the next
  line.forEach((n, i) => {
    const before = line[i - 1]
    if (before !== undefined && n <= before / 2 - 5) begin = i
  })
  return { insects, at: newest.time.at(-1) as number, growth: insects - (line[begin] ?? insects), line }
}
