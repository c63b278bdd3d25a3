// How many images still wait for the detectors: GET /v2/progress, which is as of a minute ago at most.
import { useEffect } from 'preact/hooks'
import { api } from '../api/http'
import type { Progress } from '../api/types'
import { Store, useStore } from '../lib/store'
import { count, parseTime } from '../lib/time'
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
  /** Nobody works on what waits. */
  idle: boolean
  /** What is said before and after the time since when it is so; of what is not idle, all is in `text`. */
  text: string
  since: number | null // seconds
  failed: string
  /** The devices whose images failed; empty where too many failed for a list. */
  failing: string[]
}

/** Images that failed and are listed, at most. */
const MOST_LISTED = 1000

/** What is to be said of the devices with these names, or of all where there is none; empty where nothing waits or failed. */
export function notesOf(progress: readonly Progress[], devices: readonly string[]): Note[] {
  const chosen = new Set(devices.map((d) => d.toLowerCase()))
  return progress.flatMap((p) => {
    const some = chosen.size === 0 ? p.devices : p.devices.filter((d) => chosen.has(d.device))
    const waiting = some.reduce((n, d) => n + d.waiting, 0)
    const failed = some.reduce((n, d) => n + d.failed, 0)
    if (waiting === 0 && failed === 0) return []
    const since = p.idle_since === null ? null : parseTime(p.idle_since)
    const idle = waiting > 0 && since !== null && parseTime(p.counted) - since > PATIENCE
    const least = p.at_least ? 'at least ' : ''
    const detector = progress.length > 1 ? `the detector ${p.algo_name}` : 'the detector'
    const wait = `${least}${count(waiting, 'image')} ${waiting === 1 ? 'waits' : 'wait'}`
    return [
      {
        idle,
        text: waiting === 0 ? '' : idle ? `${progress.length > 1 ? `Detector ${p.algo_name} is not working` : 'No detector is working'}: ${wait}, and nothing was done since` : `${wait} for ${detector}`,
        since: idle ? since : null,
        failed: failed === 0 ? '' : `${least}${count(failed, 'image')} could not be looked at`,
        failing: p.at_least || failed > MOST_LISTED ? [] : some.filter((d) => d.failed > 0).map((d) => d.device),
      },
    ]
  })
}
