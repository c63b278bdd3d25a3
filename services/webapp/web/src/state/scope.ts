// The devices and the number of images of the range: what the header counts, and what the chooser of devices lists. Pages
// that need a device's state (GET /v2/devices) take it from here.
import { useEffect, useRef, useState } from 'preact/hooks'
import { api, ApiError, isAbort, whenALoadHangs } from '../api/http'
import { getDevices } from '../api/devices'
import { patiently } from '../api/patient'
import type { DeviceState } from '../api/types'
import { Loader } from '../lib/loader'
import { pause } from '../lib/pause'
import { Store, useStore } from '../lib/store'
import { DAY, dayOf, parseTime } from '../lib/time'
import { session } from './session'
import { go, pageAddress, rangeOf, view } from './view'

export interface Scope {
  start: number
  end: number
  devices: DeviceState[] // every device that ever sent an image
  loadedAt: number // seconds
}

export const scope = new Store<Scope | null>(null)
export const scopeError = new Store<ApiError | null>(null)
export const loading = new Store(false)
/** Grows when everything should be asked for again. */
export const refreshes = new Store(0)
/** Grows likewise, but with what arrives by itself not more than once a minute: for what new images and annotations do not
 * change at once. */
export const slowRefreshes = new Store(0)

/** In milliseconds. */
const SLOW = 60_000
let slowAt = -Infinity

/** Grows when somebody presses a button for that: what is being loaded is begun anew, as it may hang. */
export const presses = new Store(0)

export function refreshNow(): void {
  presses.set(presses.value + 1)
  refresh()
}

export function refresh(): void {
  slowAt = Date.now()
  slowRefreshes.set(slowRefreshes.value + 1)
  refreshes.set(refreshes.value + 1)
}

/** New images or annotations have arrived. */
export function refreshArrived(): void {
  if (Date.now() - slowAt >= SLOW) refresh()
  else refreshes.set(refreshes.value + 1)
}

/** Grows with a refresh after a failure: what could not be loaded is asked for again. */
export function useAgain(failed: boolean): number {
  const [again, set] = useState(0)
  const last = useRef(failed)
  last.current = failed
  useEffect(
    () =>
      refreshes.follow(() => {
        if (last.current) set((n) => n + 1)
      }),
    [],
  )
  return again
}

let asked = ''
const loader = new Loader()
let failures = 0
let retry = 0

function load(): void {
  if (!session.value) {
    asked = ''
    clearTimeout(retry)
    loader.stop()
    loading.set(false)
    stopFinding()
    scope.set(null)
    return
  }
  const [start, end] = rangeOf(view.value)
  const what = `${start} ${end} ${session.value.user} ${presses.value}`
  const key = `${what} ${refreshes.value}`
  if (key === asked) return
  loader.load(what, async (signal) => {
    asked = key // here, as one that has waited may follow one that failed
    clearTimeout(retry)
    loading.set(true)
    try {
      const devices = await getDevices(start, end, { signal })
      signal.throwIfAborted()
      scope.set({ start, end, devices, loadedAt: Date.now() / 1000 })
      scopeError.set(null)
      failures = 0
    } catch (e) {
      if (isAbort(e)) return
      asked = ''
      const error = e instanceof ApiError ? e : new ApiError('internal', String(e), 0)
      scopeError.set(error)
      // a server that is away comes back: then everything is asked for again
      if (error.status === 0 || error.status === 429 || error.status >= 500) tryLater(error.retryAfter)
    } finally {
      if (!signal.aborted) loading.set(false)
    }
  })
}

/** Has everything asked for again after a while; `told` as in pause. */
function tryLater(told = 0): void {
  clearTimeout(retry)
  retry = window.setTimeout(refresh, pause(++failures, told))
}

/** Asks for the devices again, and for nothing else: what says whether the server answers. */
export function askScope(): void {
  asked = ''
  load()
}

/** Days that a request may have. */
const MOST_DAYS = 3650

/** How many devices' images were looked for by now; null while nobody looks. */
export const finding = new Store<{ done: number; of: number } | null>(null)
let search: AbortController | null = null

/** Goes to the range from the first to the last day that has an image of the devices in scope. */
export async function showAll(): Promise<void> {
  search?.abort()
  const mine = new AbortController()
  search = mine
  const from = view.value
  const end = parseTime(dayOf(Date.now() / 1000)) + 2 * DAY // clocks may be ahead
  const start = end - MOST_DAYS * DAY
  finding.set({ done: 0, of: from.devices.length || (scope.value?.devices.length ?? 0) })
  try {
    const all = await getDevices(start, end, { only: from.devices, signal: mine.signal, progress: (done, of) => finding.set({ done, of }), ask: patient })
    const days = all.flatMap((d) => [d.images_per_day.findIndex((n) => n > 0), d.images_per_day.findLastIndex((n) => n > 0)]).filter((i) => i >= 0)
    // who looks at another range or other devices by now is not taken away from them; other pages have the same
    if (days.length > 0 && pageAddress('/', view.value) === pageAddress('/', from) && !mine.signal.aborted) {
      const [first, last] = [days.reduce((a, b) => Math.min(a, b)), days.reduce((a, b) => Math.max(a, b))]
      go({ range: { from: dayOf(start + first * DAY), to: dayOf(start + last * DAY) }, zoom: null })
    }
  } catch (e) {
    if (!isAbort(e)) scopeError.set(e instanceof ApiError ? e : new ApiError('internal', String(e), 0))
  } finally {
    if (search === mine) finding.set(null)
  }
}

/** Ends a search for all images; the range stays. */
export function stopFinding(): void {
  search?.abort()
  search = null
  finding.set(null)
}

const patient = (path: string, options: { signal?: AbortSignal }) => patiently(() => api<DeviceState[]>(path, options), options.signal)

export function followScope(): void {
  whenALoadHangs(() => tryLater())
  session.follow(load)
  view.follow(load)
  refreshes.follow(load)
  load()
}

/** The devices in scope: those chosen, or all that have images in the range. */
export function inScope(all: readonly DeviceState[], chosen: readonly string[]): DeviceState[] {
  if (chosen.length === 0) return all.filter((d) => d.images > 0)
  const names = new Set(chosen.map((d) => d.toLowerCase()))
  return all.filter((d) => names.has(d.device.toLowerCase()))
}

export function useScope(): Scope | null {
  return useStore(scope)
}
