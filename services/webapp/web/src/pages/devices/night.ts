// The last night that is over, where a trap stands.
import { getTimes } from 'suncalc'
import type { Position } from '../../lib/position'
import { DAY, dayOf, parseTime, showTime, typedTime, type Zone } from '../../lib/time'
import type { Span } from '../../lib/window'

export interface Night {
  /** From sunset to sunrise. */
  span: Span
  /** False: neither is known, or there is none; then it is from 18 to 6 o'clock by the sun, or in the zone. */
  bySun: boolean
  /** The day of its evening at the trap: 2026-11-20. */
  evening: string
}

/** The longest night, in seconds, that has a sunset and a sunrise of its own: polar nights are told by the clock. */
const LONGEST = DAY
const USUAL = 12 * 3600
const USUAL_END = 6 * 3600

/** The last night that was over at a time, in seconds. `zone` is the one that is shown: it stands for the trap's where its position
 * is not known. */
export function nightBefore(at: number, position: Position | null, zone: Zone): Night {
  if (position === null) return byClock(at, zone)
  const ahead = (position.lng / 360) * DAY // of the sun's mean time
  const span = fromSunset(at, position)
  const [start, end] = span ?? byMeanTime(at, ahead)
  // the evening is the day at the middle of the night, half a day earlier
  return { span: [start, end], bySun: span !== null, evening: dayOf((start + end) / 2 + ahead - DAY / 2) }
}

const dayBefore = (day: string) => dayOf(parseTime(day) - DAY)

/** By the zone's clock as it was on that day: where it is changed in the night, the night has 11 hours or 13. */
function byClock(at: number, zone: Zone): Night {
  const today = showTime(at, zone).slice(0, 10)
  const morning = typedTime(`${today}T06:00`, zone) <= at ? today : dayBefore(today)
  const evening = dayBefore(morning)
  return { span: [typedTime(`${evening}T18:00`, zone), typedTime(`${morning}T06:00`, zone)], bySun: false, evening }
}

function fromSunset(at: number, { lat, lng }: Position): Span | null {
  const [ups, downs] = [[] as number[], [] as number[]]
  for (let day = -2; day <= 1; day++) {
    const { sunrise, sunset } = getTimes(new Date((at + day * DAY) * 1000), lat, lng)
    if (sunrise) ups.push(sunrise.getTime() / 1000)
    if (sunset) downs.push(sunset.getTime() / 1000)
  }
  const end = Math.max(...ups.filter((t) => t <= at))
  const start = Math.max(...downs.filter((t) => t < end))
  return Number.isFinite(start) && Number.isFinite(end) && end - start < LONGEST ? [start, end] : null
}

function byMeanTime(at: number, ahead: number): Span {
  const local = at + ahead
  let morning = Math.floor(local / DAY) * DAY + USUAL_END
  if (morning > local) morning -= DAY
  return [morning - USUAL - ahead, morning - ahead]
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** 20 Nov, of 2026-11-20. */
export function shortDay(day: string): string {
  return `${Number(day.slice(8, 10))} ${MONTHS[Number(day.slice(5, 7)) - 1]}`
}

/** How a night is called: 20 to 21 Nov; with the year where that is not `now`'s. */
export function nightName(evening: string, now: number): string {
  const morning = dayOf(parseTime(evening) + DAY)
  const first = evening.slice(0, 7) === morning.slice(0, 7) ? String(Number(evening.slice(8))) : shortDay(evening)
  const year = morning.slice(0, 4)
  return `${first} to ${shortDay(morning)}${year === dayOf(now).slice(0, 4) ? '' : ` ${year}`}`
}
