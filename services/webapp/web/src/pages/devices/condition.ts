// Which devices need somebody to look after them.
import type { DeviceState } from '../../api/types'
import { count, parseTime, showDuration } from '../../lib/time'

/** silent: should have sent something long ago. check: it works, but something is odd. away: no image in the range. */
export type Kind = 'silent' | 'check' | 'well' | 'away'

export interface Condition {
  kind: Kind
  /** What is to be said of it, the worst first; none where all is well. */
  notes: string[]
}

/** The order of urgency. */
export const KINDS: readonly Kind[] = ['silent', 'check', 'well', 'away']

export const kindNames: Record<Kind, string> = { silent: 'Silent', check: 'To check', well: 'Well', away: 'No images' }

/** Images that are missed before a device counts as silent. */
const MISSED = 3
/** The least silence that counts, in seconds, and what is taken for the interval where it is not known. */
const LEAST = 3600
const USUAL_INTERVAL = 1200
/** Images of some devices come late: a delay like the last one's is no silence, up to so much, in seconds. */
const PATIENCE = 86400
/** Clocks and delays that are worth a word, in seconds. */
const CLOCK = 120
const LOW_BATTERY = 20
/** A day with less of the images expected than this is a poor one. */
export const POOR = 0.8

/** How long a device may be without a new image, in seconds. */
export function allowed(d: DeviceState): number {
  return Math.max(MISSED * (d.interval ?? USUAL_INTERVAL), LEAST) + Math.min(Math.max(0, d.upload_delay), PATIENCE)
}

/**
 * The condition at the range's end, or now where that lies ahead. A range of long ago is judged by its own images.
 * Times are in seconds; `now` is the server's.
 */
export function conditionOf(d: DeviceState, end: number, now: number): Condition {
  if (d.images === 0) return { kind: 'away', notes: ['No image in this range'] }
  const at = Math.min(end, now)
  const last = parseTime(d.last_datetime)
  const notes: string[] = []
  if (at - last > allowed(d)) return { kind: 'silent', notes: [`Silent for ${showDuration(now - last)}`, ...odd(d, notes)] }
  odd(d, notes)
  return { kind: notes.length > 0 ? 'check' : 'well', notes }
}

function odd(d: DeviceState, notes: string[]): string[] {
  if (d.clock_ahead > CLOCK) notes.push(`Clock ${showDuration(d.clock_ahead)} ahead`)
  if (d.battery !== null && d.battery < LOW_BATTERY) notes.push(`Battery ${d.battery.toFixed(0)} %`)
  if (d.longest_gap > PATIENCE / 4) notes.push(`A gap of ${showDuration(d.longest_gap)}`)
  return notes
}

/** The server's time as of `here`, which is this computer's: its clock may be wrong. */
export function serverTime(devices: readonly DeviceState[], loadedAt: number, here: number): number {
  const first = devices[0]
  return (first ? parseTime(first.last_datetime) + first.silence : loadedAt) + (here - loadedAt)
}

export interface Bar {
  /** Images a day. */
  images: number
  poor: boolean
}

/** At most `most` bars of a device's days, several days to a bar where there are more. The last day may still go on. */
export function barsOf(perDay: readonly number[], expected: number | null, lastIsOpen: boolean, most = 56): Bar[] {
  const days = Math.ceil(perDay.length / most)
  const bars: Bar[] = []
  for (let i = 0; i < perDay.length; i += days) {
    const some = perDay.slice(i, i + days)
    const images = some.reduce((a, b) => a + b, 0) / some.length
    const open = lastIsOpen && i + days >= perDay.length
    bars.push({ images, poor: !open && images < POOR * (expected ?? 0) })
  }
  return bars
}

/** What the bars show, in words. */
export function barsInWords(d: DeviceState, bars: readonly Bar[]): string {
  if (d.images === 0) return 'No images'
  const days = d.images_per_day.length
  const mean = `${(d.images / days).toFixed(0)} images a day`
  if (d.expected_per_day === null) return mean
  const poor = bars.filter((b) => b.poor).length
  return `${mean} of ${d.expected_per_day.toFixed(0)} expected${poor > 0 ? `; ${count(poor, days === bars.length ? 'day' : 'part')} of ${bars.length} below ${POOR * 100} %` : ''}`
}
