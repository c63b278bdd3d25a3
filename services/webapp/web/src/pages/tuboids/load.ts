// Tuboids, the addresses of their pictures, and their labels: asked for when they are about to be shown, and kept.
import { useEffect, useState } from 'preact/hooks'
import { api, ApiError, isAbort, SHARED } from '../../api/http'
import type { Label, Shot, Span, Tuboid, TuboidData } from '../../api/types'
import { useStore } from '../../lib/store'
import { wireTime } from '../../lib/time'
import { slowRefreshes, useAgain } from '../../state/scope'
import { noneKnown, withLabels } from './labels'

/** Presigned addresses live for some days; ours are asked for again long before. In milliseconds. */
const KEEP = 12 * 3600 * 1000
const MOST_SERIES = 200
/** Tuboids of one request for labels: their names are long. */
const BATCH = 2000

const fail = (e: unknown) => (e instanceof ApiError ? e : new Error(String(e)))

/** The tuboids whose series lie in the range; null: not known yet. */
export function useTuboids(start: number, end: number, devices: readonly string[]): { tuboids: Tuboid[] | null; error: Error | null; retry: () => void } {
  const [tuboids, set] = useState<Tuboid[] | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [tries, setTries] = useState(0)
  const refreshed = useStore(slowRefreshes)
  const again = useAgain(error !== null)
  const names = devices.join(',')
  useEffect(() => {
    const mine = new AbortController()
    const spans: Span[] = (names ? names.split(',') : ['%']).map((device) => ({ device, start_datetime: wireTime(start), end_datetime: wireTime(end) }))
    api<Tuboid[]>('get_tiled_tuboid_series/metadata', { method: 'POST', body: spans, signal: mine.signal }).then(
      (all) => {
        set(all)
        setError(null)
      },
      (e: unknown) => {
        if (!isAbort(e)) setError(fail(e))
      },
    )
    return () => mine.abort()
  }, [start, end, names, refreshed, again, tries])
  return { tuboids, error, retry: () => setTries(tries + 1) }
}

const series = new Map<string, { at: number; data: Promise<Map<string, TuboidData>> }>()

/** The tuboids of a series with the addresses of their pictures, by name in small letters. */
function dataOf(span: Span): Promise<Map<string, TuboidData>> {
  const key = `${span.device.toLowerCase()} ${span.start_datetime} ${span.end_datetime}`
  const found = series.get(key)
  if (found && Date.now() - found.at < KEEP) return found.data
  const data = api<TuboidData[]>('get_tiled_tuboid_series/data', { method: 'POST', body: [span], signal: SHARED }).then((all) => new Map(all.map((t) => [t.tuboid_id.toLowerCase(), t])))
  series.delete(key)
  series.set(key, { at: Date.now(), data })
  data.catch(() => series.delete(key)) // to be asked for again
  for (const oldest of series.keys()) {
    if (series.size <= MOST_SERIES) break
    series.delete(oldest)
  }
  return data
}

/** A tuboid with its pictures. `missing`: there is none of that name. */
export function useData(id: string, span: Span | null): { data: TuboidData | null; missing: boolean; error: Error | null; retry: () => void } {
  const [state, set] = useState<{ id: string; data: TuboidData | null; error: Error | null } | null>(null)
  const [tries, setTries] = useState(0)
  const again = useAgain(state !== null && state.error !== null)
  useEffect(() => {
    let mine = true
    const settle = (data: TuboidData | null, error: Error | null) => mine && set({ id, data, error })
    if (span) dataOf(span).then((all) => settle(all.get(id.toLowerCase()) ?? null, null), (e: unknown) => settle(null, fail(e)))
    else settle(null, null)
    return () => {
      mine = false
    }
  }, [id, again, tries])
  const retry = () => setTries(tries + 1)
  return state?.id === id ? { data: state.data, missing: !state.data && !state.error, error: state.error, retry } : { data: null, missing: false, error: null, retry }
}

/** The labels of tuboids, by the tuboids' numbers; of those that are asked for as far as they are known. They are asked for
 * again with a refresh, and those that are known stay until then. `done`: some are known of every tuboid. */
export function useLabels(tuboids: readonly Tuboid[]): { labels: ReadonlyMap<number, readonly Label[]>; done: boolean; error: Error | null; retry: () => void } {
  const [known, set] = useState(noneKnown)
  const [error, setError] = useState<Error | null>(null)
  const [tries, setTries] = useState(0)
  const round = useStore(slowRefreshes)
  const wanted = known.round === round ? tuboids.filter((t) => !known.asked.has(t.id)) : tuboids
  const again = useAgain(error !== null)
  const key = `${wanted.length} ${wanted[0]?.id ?? ''} ${wanted.at(-1)?.id ?? ''}`
  useEffect(() => {
    if (wanted.length === 0) {
      setError(null)
      return
    }
    const mine = new AbortController()
    const some = wanted.slice(0, BATCH)
    api<Label[]>('_get_itc_labels', { method: 'POST', body: some.map((t) => ({ tuboid_id: t.tuboid_id })), signal: mine.signal }).then(
      (found) => {
        set((before) => withLabels(before, round, tuboids, some, found))
        setError(null)
      },
      (e: unknown) => {
        if (!isAbort(e)) setError(fail(e)) // pictures are there all the same
      },
    )
    return () => mine.abort()
  }, [key, round, again, tries])
  return { labels: known.labels, done: tuboids.every((t) => known.labels.has(t.id)), error, retry: () => setTries(tries + 1) }
}

/** When a tuboid's shots were taken, and where; null: not known (yet). */
export function useShots(id: string): { shots: Shot[] | null; error: Error | null; retry: () => void } {
  const [state, set] = useState<{ id: string; shots: Shot[] | null; error: Error | null } | null>(null)
  const [tries, setTries] = useState(0)
  const again = useAgain(state !== null && state.error !== null)
  useEffect(() => {
    const mine = new AbortController()
    api<Shot[]>(`v2/tuboid_shots?tuboid_id=${encodeURIComponent(id)}`, { signal: mine.signal }).then(
      (shots) => set({ id, shots, error: null }),
      (e: unknown) => {
        if (!isAbort(e)) set({ id, shots: null, error: fail(e) })
      },
    )
    return () => mine.abort()
  }, [id, again, tries])
  const retry = () => setTries(tries + 1)
  return state?.id === id ? { shots: state.shots, error: state.error, retry } : { shots: null, error: null, retry }
}
