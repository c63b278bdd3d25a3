// What somebody may do with a project, and what its rows span.
import type { Me, Permission, ProjectSeries } from '../../api/types'
import { DAY, dayOf, parseTime } from '../../lib/time'
import { formatView } from '../../state/view'

/** 0: nothing, 1: read, 2: add series, 3: all. */
export type Level = 0 | 1 | 2 | 3

export const levelNames: Record<Level, string> = { 0: 'none', 1: 'read', 2: 'write', 3: 'admin' }

export function levelOf(me: Me, project: number, permissions: readonly Permission[]): Level {
  if (me.role === 'admin') return 3
  const mine = permissions.find((p) => p.parent_project_id === project && p.parent_user_id === me.id)
  return (mine?.level ?? 0) as Level
}

/** Who is read only changes nothing, whatever the level. */
export function may(me: Me, level: Level, needed: Level): boolean {
  return me.role !== 'read-only' && level >= needed
}

/** A row's own columns: all that are not the server's. */
const OWN = new Set(['id', 'project_id', 'device', 'start_datetime', 'end_datetime', 'datetime_created', 'api_version', 'api_user'])

export function columnsOf(rows: readonly ProjectSeries[]): string[] {
  return [...new Set(rows.flatMap((r) => Object.keys(r)))].filter((name) => !OWN.has(name)).sort()
}

/** The address of the Images page that shows the rows, from the first one's start to the last one's end; null without rows. */
export function imagesOf(rows: readonly ProjectSeries[]): string | null {
  if (rows.length === 0) return null
  const start = Math.min(...rows.map((r) => parseTime(r.start_datetime)))
  const end = Math.max(...rows.map((r) => parseTime(r.end_datetime)))
  const to = Math.max(start, end - 1) // the end itself is not included
  const range = { from: dayOf(start), to: dayOf(to) }
  const whole = start % DAY === 0 && end % DAY === 0
  return formatView({
    path: '/images', range, devices: [...new Set(rows.map((r) => r.device.toLowerCase()))].sort(), zoom: whole || end <= start ? null : [start, end], image: null, extra: {},
  })
}

/** A free column's value from what was typed: a number where it is one, null where it is empty. */
export function valueOf(text: string): string | number | null {
  const t = text.trim()
  if (t === '') return null
  return /^-?(0|[1-9]\d*)(\.\d+)?$/.test(t) && Number.isFinite(Number(t)) ? Number(t) : t
}
