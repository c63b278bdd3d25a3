// Which devices need somebody to look after them; and of a range that is over, how complete their images are.
import type { DeviceState } from '../../api/types'
import { count, parseTime, showDuration } from '../../lib/time'

/**
 * silent: should have sent something since. check: something is odd. well: it works now. past: it had images in a range that
 * is over, when nobody can mend anything any more. away: it is not in use, or was not in that range.
 */
export type Kind = 'silent' | 'check' | 'well' | 'past' | 'away'

export interface Condition {
  kind: Kind
  /** What is to be said of it, the worst first; none where all is well. */
  notes: string[]
}

/** The order of urgency. */
export const KINDS: readonly Kind[] = ['silent', 'check', 'well', 'past', 'away']

/** Those that there are in a range that goes on, and in one that is over. */
export const kindsOf = (over: boolean): readonly Kind[] => (over ? ['check', 'past', 'away'] : ['silent', 'check', 'well', 'away'])

export const kindNames: Record<Kind, string> = { silent: 'Silent', check: 'To check', well: 'Well', past: 'With images', away: 'No images' }

/** Images that are missed before a device counts as silent. */
const MISSED = 3
/** The least silence that counts, in seconds. */
const LEAST = 3600
/** The interval that is taken for granted where a device's own is not known, and the longest that one can be, in seconds. */
const USUAL_INTERVAL = 1200
const LONGEST_INTERVAL = 6 * 3600
/** Images that tell a device's own interval. */
const RHYTHM = 10
/** Images of some devices come late: a delay like the last one's is no silence, up to so much, in seconds. */
const PATIENCE = 86400
/** A device that was silent for so long is out of use: its season is over. In seconds. */
export const OUT_OF_USE = 30 * 86400
/** Clocks and delays that are worth a word, in seconds. */
const CLOCK = 120
const LOW_BATTERY = 20
const LONG_GAP = 6 * 3600
/** A day with less of the images expected than this is a poor one. */
export const POOR = 0.8

/** Whether the images are enough to tell how often the device takes one. */
export const hasRhythm = (d: DeviceState) => d.images >= RHYTHM && d.interval !== null && d.interval <= LONGEST_INTERVAL

const intervalOf = (d: DeviceState) => (hasRhythm(d) && d.interval !== null ? d.interval : USUAL_INTERVAL)

/** How long a device may be without a new image, in seconds. */
export function allowed(d: DeviceState): number {
  return Math.max(MISSED * intervalOf(d), LEAST) + Math.min(Math.max(0, d.upload_delay), PATIENCE)
}

export interface Gaps {
  n: number
  /** There may be more: the images are too few to tell. */
  atLeast: boolean
  longest: number // seconds
}

/** Where images of the range are missing; null without images. */
export function gapsOf(d: DeviceState): Gaps | null {
  if (d.images === 0) return null
  if (hasRhythm(d)) return { n: d.gaps, atLeast: false, longest: d.gaps > 0 ? d.longest_gap : 0 }
  return d.longest_gap > 2.5 * USUAL_INTERVAL ? { n: 1, atLeast: true, longest: d.longest_gap } : { n: 0, atLeast: false, longest: 0 }
}

/**
 * A device's condition now, whatever the range, where the range reaches until now; and else what the range's own images tell.
 * Times are in seconds; `now` is the server's.
 */
export function conditionOf(d: DeviceState, end: number, now: number): Condition {
  const last = parseTime(d.last_datetime)
  if (end < now) return inRange(d, last < end)
  const silence = now - last
  if (silence > OUT_OF_USE) return { kind: 'away', notes: [`No image for ${showDuration(silence)}`] }
  if (silence > allowed(d)) return { kind: 'silent', notes: [`Silent for ${showDuration(silence)}`, ...odd(d), ...gap(d)] }
  const notes = [...odd(d), ...gap(d)]
  return { kind: notes.length > 0 ? 'check' : 'well', notes }
}

function inRange(d: DeviceState, newestInside: boolean): Condition {
  if (d.images === 0) return { kind: 'away', notes: ['No image in this range'] }
  const notes = [...gap(d), ...(newestInside ? odd(d) : [])] // the rest is told of the newest image alone
  const days = d.images_per_day.filter((n) => n > 0).length
  return { kind: notes.length > 0 ? 'check' : 'past', notes: [...notes, `Images on ${days} of ${count(d.images_per_day.length, 'day')}`] }
}

function odd(d: DeviceState): string[] {
  const notes: string[] = []
  if (d.clock_ahead > CLOCK) notes.push(`Clock ${showDuration(d.clock_ahead)} ahead`)
  if (d.battery !== null && d.battery < LOW_BATTERY) notes.push(`Battery ${d.battery.toFixed(0)} %`)
  return notes
}

function gap(d: DeviceState): string[] {
  const longest = gapsOf(d)?.longest ?? 0
  return longest > LONG_GAP ? [`A gap of ${showDuration(longest)}`] : []
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

export interface Bars {
  bars: Bar[]
  /** Images a day that are expected; null where the images are too few to tell. */
  expected: number | null
  /** In words. */
  text: string
}

/**
 * At most `most` bars of a device's days, several days to a bar where there are more. Days before the first image are not
 * poor, as the device was not there yet; nor is that day itself, nor one that still goes on (`open`); nor, of a device that
 * has ended, what comes from its last day on.
 */
export function barsOf(d: DeviceState, open: boolean, ended: boolean, most = 56): Bars {
  const perDay = d.images_per_day
  const expected = hasRhythm(d) ? d.expected_per_day : null
  const first = perDay.findIndex((n) => n > 0)
  const last = perDay.findLastIndex((n) => n > 0)
  const until = ended ? last : open ? perDay.length - 1 : perDay.length // the day before which days can be poor
  const days = Math.ceil(perDay.length / most)
  const bars: Bar[] = []
  let judged = 0
  for (let i = 0; i < perDay.length; i += days) {
    const some = perDay.slice(i, i + days)
    const images = some.reduce((a, b) => a + b, 0) / some.length
    const whole = first >= 0 && i > first && i + some.length <= until
    judged += Number(whole)
    bars.push({ images, poor: whole && images < POOR * (expected ?? 0) })
  }
  if (first < 0) return { bars, expected, text: 'No images' }
  const mean = `${(d.images / ((ended ? last + 1 : perDay.length) - first)).toFixed(0)} images a day since its first one`
  if (expected === null) return { bars, expected, text: `${count(d.images, 'image')}: too few to tell how many are missing` }
  const poor = bars.filter((b) => b.poor).length
  return { bars, expected, text: `${mean}, of ${expected.toFixed(0)} expected${poor > 0 ? `; ${count(poor, days === 1 ? 'day' : 'part')} of ${judged} below ${POOR * 100} %` : ''}` }
}
