// A device as the page shows it, and the order in which devices stand.
import type { DeviceState } from '../../api/types'
import { sorted, type Order, type Sortable } from '../../lib/order'
import { positionOf, type Position } from '../../lib/position'
import { DAY, parseTime, type Zone } from '../../lib/time'
import type { Span } from '../../lib/window'
import { inScope, type Scope } from '../../state/scope'
import { conditionOf, gapsOf, KINDS, type Condition, type Gaps } from './condition'
import { caughtIn, fillOf, joined, NO_POINTS, temperaturesOf, within, type AllPoints, type Catch, type Fill, type Unknown } from './insects'
import { nightBefore, type Night } from './night'

/** What is known of a device. Times are in seconds, temperatures in °C; null: not known, or not loaded yet. */
export interface Row {
  state: DeviceState
  condition: Condition
  gaps: Gaps | null
  position: Position | null
  /** The newest image of all. */
  newest: number
  /** The last image of the range. */
  last: number | null
  /** Whether the newest image lies in the range, or is of a device in use now: else what it tells belongs to another time. */
  current: boolean
  temperatures: Span | null
  /** The newest temperature, or the highest one of a range that is over. */
  warmth: number | null
  fill: Fill | null
  night: Night
  caught: Catch | Unknown | null
  nightTemperatures: Span | null
}

/** What the table can be sorted by; the first one rises from the most urgent. */
const columns: Record<string, (r: Row) => Sortable> = {
  state: (r) => KINDS.indexOf(r.condition.kind),
  device: (r) => r.state.device,
  last: (r) => r.last ?? r.newest,
  images: (r) => r.state.images,
  gaps: (r) => r.gaps?.n,
  delay: (r) => (r.current ? r.state.upload_delay : null),
  battery: (r) => (r.current ? r.state.battery : null),
  temperature: (r) => r.warmth,
  insects: (r) => r.fill?.insects,
  caught: (r) => r.fill?.total?.caught,
  night: (r) => known(r.caught)?.caught,
}
export const NAMES = Object.keys(columns)
/** Columns whose greatest values are looked for first. */
export const FALLS = new Set(['last', 'images', 'gaps', 'delay', 'temperature', 'insects', 'caught', 'night'])

/** What was caught, where that is known. */
export const known = (c: Row['caught']): Catch | null => (typeof c === 'string' ? null : c)

/** Until when the last night is looked for: now, and of a range that is over until the end of the last day with images. */
export function untilOf(scope: Scope, chosen: readonly string[], now: number): number {
  if (scope.end >= now) return now
  const last = Math.max(...inScope(scope.devices, chosen).map((d) => d.images_per_day.findLastIndex((n) => n > 0)))
  return last >= 0 ? Math.min(scope.end, scope.start + (last + 1) * DAY) : scope.end
}

/** `now` is the server's time; `zone` is the one that is shown. */
export function rowsOf(scope: Scope, chosen: readonly string[], points: AllPoints | null, now: number, zone: Zone): Row[] {
  const names = new Set(chosen.map((d) => d.toLowerCase()))
  const over = scope.end < now
  const until = untilOf(scope, chosen, now)
  return scope.devices
    .filter((d) => names.size === 0 || names.has(d.device))
    .map((state) => {
      const at = positionOf(state.lat, state.lng)
      const position = typeof at === 'string' ? null : at
      const night = nightBefore(until, position, zone)
      const newest = parseTime(state.last_datetime)
      const condition = conditionOf(state, scope.end, now)
      const inside = newest >= scope.start && newest < scope.end
      const current = inside || (!over && condition.kind !== 'away')
      const fine = points?.fine.get(state.device) ?? NO_POINTS
      const all = points && joined(points.coarse.get(state.device) ?? NO_POINTS, fine, scope.start, points.fineFrom)
      const temperatures = all && temperaturesOf(all)
      return {
        state,
        condition,
        gaps: gapsOf(state),
        position,
        newest,
        last: inside ? newest : (all?.time.at(-1) ?? null),
        current,
        temperatures,
        warmth: over ? (temperatures?.[1] ?? null) : current ? state.temperature : null,
        fill: all && fillOf(all),
        night,
        caught: points && caughtIn(fine, night.span),
        nightTemperatures: points && temperaturesOf(within(fine, night.span)),
      }
    })
}

/** Equals stand in the order of urgency, and then of their silence and names. */
export function inOrder(rows: readonly Row[], order: Order): Row[] {
  const key = columns[order.by] ?? (() => null)
  const byName = sorted(rows, (r) => r.state.device, false)
  const byUrgency = sorted(sorted(byName, (r) => r.newest, false), (r) => KINDS.indexOf(r.condition.kind), false)
  return sorted(order.by === 'state' ? byUrgency : byName, key, order.falling)
}
