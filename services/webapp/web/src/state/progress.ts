// How many images still wait for the detectors: GET /v2/progress, which is as of a minute ago at most.
import { useEffect } from 'preact/hooks'
import { ALWAYS, type FailureSpan } from '../api/failures'
import { api } from '../api/http'
import type { DeviceState, Progress } from '../api/types'
import { Store, useStore } from '../lib/store'
import { count, DAY, parseTime, wireTime } from '../lib/time'
import { slowRefreshes } from './scope'

/** How often it is asked, in milliseconds: where no detector works nothing arrives that would say so. */
const EVERY = 60_000
/** How long nothing may be done though images wait, in seconds: one that works says something for each image. */
const PATIENCE = 15 * 60

const known = new Store<readonly Progress[] | null>(null)

/** How many parts of the page show it: they share what is asked for. */
let followers = 0
let stop = () => {}

/** null: not known, or not yet. */
export function useProgress(): readonly Progress[] | null {
  const now = useStore(known)
  useEffect(() => {
    if (++followers === 1) stop = followProgress()
    return () => {
      if (--followers === 0) stop()
    }
  }, [])
  return now
}

/** Asks at once, with each refresh, and once a minute while somebody looks, until the function that it gives is called. */
function followProgress(): () => void {
  let mine = new AbortController()
  const ask = () => {
    mine.abort()
    mine = new AbortController()
    // a server that does not answer is told of by the page's own data
    api<Progress[]>('v2/progress', { signal: mine.signal }).then((p) => known.set(p), () => {})
  }
  const unfollow = slowRefreshes.follow(ask)
  const timer = setInterval(() => {
    if (!document.hidden) ask()
  }, EVERY)
  ask()
  return () => {
    unfollow()
    clearInterval(timer)
    mine.abort()
  }
}

/** Failures that are asked for at a time, at most; where there are more, of how many devices, and of how many days before the
 * newest image of each. */
const MOST_LISTED = 1000
const SOME_DEVICES = 5
const SOME_DAYS = 3

/** Where the failures of these devices are found, or of all where none is named: all of them, or where these are too many those on
 * the newest images of the devices that have most. */
export function failuresOf(p: Progress, devices: readonly string[], states: readonly DeviceState[]): { spans: FailureSpan[]; whole: boolean } {
  const failing = chosenOf(p, devices).filter((d) => d.failed > 0)
  const whole = !p.at_least && failing.reduce((n, d) => n + d.failed, 0) <= MOST_LISTED
  if (whole) return { spans: failing.map(({ device }) => ({ device, ...ALWAYS })), whole }
  const most = failing.sort((a, b) => b.failed - a.failed).slice(0, SOME_DEVICES)
  const spans = most.flatMap(({ device }) => {
    const state = states.find((d) => d.device === device)
    if (!state) return []
    const newest = parseTime(state.last_datetime)
    return [{ device, start_datetime: wireTime(newest - SOME_DAYS * DAY), end_datetime: wireTime(newest + 1) }]
  })
  return { spans, whole }
}

function chosenOf(p: Progress, devices: readonly string[]): Progress['devices'] {
  const chosen = new Set(devices.map((d) => d.toLowerCase()))
  return chosen.size === 0 ? [...p.devices] : p.devices.filter((d) => chosen.has(d.device))
}

export interface Waiting {
  waiting: number
  failed: number
  /** There may be more. */
  atLeast: boolean
}

/** Of one device; of several algorithms, those of the one that has most to do. */
export function waitingOf(progress: readonly Progress[] | null, device: string): Waiting | null {
  let most: Waiting | null = null
  for (const p of progress ?? []) {
    const d = p.devices.find((d) => d.device === device)
    if (d && (!most || d.waiting > most.waiting)) most = { waiting: d.waiting, failed: d.failed, atLeast: p.at_least }
  }
  return most
}

export interface Note {
  /** Of which detector. */
  of: Progress
  /** Nobody works on what waits, or nothing comes of it. */
  idle: boolean
  /** What is said before and after the time since when it is so; of what is not idle, all is in `text`. */
  text: string
  since: number | null // seconds
  failed: string
}

/** Images in a row that a detector, which may have others in work, fails on before it is said to fail on all. */
const MANY = 3

/** Whether a detector that is idle, or seems to be, or one that is not, fails on every image that it tries. */
function failsOnAll(p: Progress, idle: boolean): boolean {
  if (!p.last_failed || p.failed_in_a_row === 0) return false
  const annotated = p.last_annotated === null ? -Infinity : parseTime(p.last_annotated)
  const failed = parseTime(p.last_failed)
  const counted = parseTime(p.counted)
  if (counted - annotated <= PATIENCE) return false
  // images wait that it has had time for: it works, then, and fails
  if (idle) return counted - failed <= PATIENCE
  // not of the last few that it had, after all others; and what nothing has come after for a day is over
  return p.failed_in_a_row >= MANY && failed - annotated > PATIENCE && counted - failed <= DAY
}

/** What is to be said of the devices with these names, or of all where there is none; empty where nothing waits or failed. */
export function notesOf(progress: readonly Progress[], devices: readonly string[]): Note[] {
  return progress.flatMap((p) => {
    const some = chosenOf(p, devices)
    const waiting = some.reduce((n, d) => n + d.waiting, 0)
    const failed = some.reduce((n, d) => n + d.failed, 0)
    if (waiting === 0 && failed === 0) return []
    const least = p.at_least ? 'at least ' : ''
    const named = progress.length > 1 ? ` ${p.algo_name}` : ''
    const wait = waiting === 0 ? '' : `${least}${count(waiting, 'image')} ${waiting === 1 ? 'waits' : 'wait'}`
    const note = { of: p, idle: true, failed: failed === 0 ? '' : `${least}${count(failed, 'image')} could not be looked at` }

    const since = p.idle_since === null ? null : parseTime(p.idle_since)
    const idle = waiting > 0 && since !== null && parseTime(p.counted) - since > PATIENCE
    if (failsOnAll(p, idle)) {
      const annotated = p.last_annotated === null ? null : parseTime(p.last_annotated)
      const until = annotated === null ? 'yet' : 'since'
      return [{ ...note, text: `The detector${named} fails on every image that it tries: ${wait && `${wait}, and `}none was looked at ${until}`, since: annotated }]
    }
    if (!idle) return [{ ...note, idle: false, text: wait && `${wait} for the detector${named}`, since: null }]
    const none = named ? `Detector${named} is not working` : 'No detector is working'
    return [{ ...note, text: `${none}: ${wait}, and nothing was done since`, since }]
  })
}
