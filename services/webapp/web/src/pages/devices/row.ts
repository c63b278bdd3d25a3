// A device as the page shows it, and the order in which devices stand.
import type { DeviceState } from '../../api/types'
import { sorted, type Order, type Sortable } from '../../lib/order'
import { parseTime } from '../../lib/time'
import type { Span } from '../../lib/window'
import type { Scope } from '../../state/scope'
import { conditionOf, KINDS, type Condition } from './condition'
import { caught, fillOf, nightBefore, type AllCounts, type Fill } from './insects'

/** What is known of a device. */
export interface Row {
  state: DeviceState
  condition: Condition
  last: number // seconds
  fill: Fill | null
  night: Span
  caught: number | null
}

/** What the table can be sorted by; the first one rises from the most urgent. */
const columns: Record<string, (r: Row) => Sortable> = {
  state: (r) => KINDS.indexOf(r.condition.kind),
  device: (r) => r.state.device,
  last: (r) => r.last,
  images: (r) => r.state.images,
  gaps: (r) => r.state.gaps,
  delay: (r) => r.state.upload_delay,
  battery: (r) => r.state.battery,
  temperature: (r) => r.state.temperature,
  insects: (r) => r.fill?.insects,
  night: (r) => r.caught,
}
export const NAMES = Object.keys(columns)
/** Columns whose greatest values are looked for first. */
export const FALLS = new Set(['last', 'images', 'gaps', 'delay', 'temperature', 'insects', 'night'])

/** `now` is the server's time; `offset` is the zone's, in seconds. */
export function rowsOf(scope: Scope, chosen: readonly string[], counts: AllCounts | null, now: number, offset: number): Row[] {
  const names = new Set(chosen.map((d) => d.toLowerCase()))
  return scope.devices
    .filter((d) => names.size === 0 || names.has(d.device))
    .map((state) => {
      const night = nightBefore(Math.min(now, scope.end), state.lng, offset)
      const fine = counts?.fine.get(state.device) ?? { time: [], insects: [] }
      return {
        state,
        condition: conditionOf(state, scope.end, now),
        last: parseTime(state.last_datetime),
        fill: counts && fillOf(counts.coarse.get(state.device) ?? { time: [], insects: [] }, fine),
        night,
        caught: counts && caught(fine, night),
      }
    })
}

/** Equals stand in the order of urgency, and then of their silence and names. */
export function inOrder(rows: readonly Row[], order: Order): Row[] {
  const key = columns[order.by] ?? (() => null)
  const byName = sorted(rows, (r) => r.state.device, false)
  const byUrgency = sorted(sorted(byName, (r) => r.last, false), (r) => KINDS.indexOf(r.condition.kind), false)
  return sorted(order.by === 'state' ? byUrgency : byName, key, order.falling)
}
