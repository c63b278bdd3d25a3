// The series of the page: one request for the whole range and, where that was thinned out, one for what is zoomed in on.
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, isAbort } from '../../api/http'
import { getSeries, MAX_WIDTH, type DeviceSeries, type Variable } from '../../api/series'
import { useLoader } from '../../lib/loader'
import { pause } from '../../lib/pause'
import { useStore } from '../../lib/store'
import { isWhole, type Span } from '../../lib/window'
import { presses, refreshes } from '../../state/scope'

export const VARIABLES: readonly Variable[] = ['temperature', 'humidity', 'light', 'insects']

/** How long a zoom has to rest before it is asked for, in milliseconds. */
const REST = 250

export interface Loaded {
  range: Span
  series: DeviceSeries[]
}

/** A part, more finely. */
export interface Detail extends Loaded {
  /** What it is a part of: it is stale once the whole was loaded again. */
  of: Loaded
}

export interface SeriesState {
  base: Loaded | null
  detail: Detail | null
  error: Error | null
  loading: boolean
  retry: () => void
}

export function useSeries(range: Span, devices: readonly string[], zoom: Span | null, width: number): SeriesState {
  const [base, setBase] = useState<Loaded | null>(null)
  const [detail, setDetail] = useState<Detail | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [loading, setLoading] = useState(true)
  const [tries, setTries] = useState(0)
  const refreshed = useStore(refreshes)
  const pressed = useStore(presses)
  const whole = useLoader()
  const part = useLoader()
  const known = width > 0
  const widest = useRef(0)
  const failures = useRef(0)
  const again = useRef(0) // a timer
  widest.current = Math.max(widest.current, width)
  const names = devices.join(',')
  const chosen = names ? names.split(',') : []

  useEffect(() => () => clearTimeout(again.current), [])
  // a part of other devices that is still being loaded would be drawn in place of these
  useEffect(() => {
    part.stop()
    setDetail(null)
  }, [range[0], range[1], names])
  useEffect(() => {
    if (!known) return
    whole.load(`${range.join()} ${names} ${pressed}`, async (signal) => {
      clearTimeout(again.current) // here, as one that has waited may follow one that failed
      setLoading(true)
      try {
        const series = await getSeries({ start: range[0], end: range[1], devices: chosen, variables: VARIABLES, width: widest.current }, signal)
        signal.throwIfAborted()
        setBase({ range, series })
        setError(null)
        setLoading(false)
        failures.current = 0
      } catch (e) {
        if (isAbort(e)) return
        setError(e instanceof ApiError ? e : new Error(String(e)))
        setLoading(false)
        // a server that has many days to work out gets further with each request
        if (e instanceof ApiError && (e.status === 503 || e.status === 429)) again.current = window.setTimeout(() => setTries((n) => n + 1), pause(++failures.current, e.retryAfter))
      }
    })
  }, [range[0], range[1], names, known, refreshed, pressed, tries])

  useEffect(() => {
    if (!base || !zoom || !needsDetail(base, detail, zoom)) return
    const timer = setTimeout(() => {
      const span = around(zoom, base.range)
      part.load(`${span.join()} ${names} ${width} ${pressed}`, async (signal) => {
        try {
          const series = await getSeries({ start: Math.floor(span[0]), end: Math.ceil(span[1]), devices: chosen, variables: VARIABLES, width: Math.min(MAX_WIDTH, width * 2) }, signal)
          signal.throwIfAborted()
          setDetail({ range: span, series, of: base })
          setError(null)
        } catch (e) {
          if (!isAbort(e)) setError(e instanceof ApiError ? e : new Error(String(e)))
        }
      })
    }, REST)
    return () => clearTimeout(timer)
  }, [base, detail, zoom?.[0], zoom?.[1], names, width, pressed, tries])

  return { base, detail, error, loading, retry: () => setTries(tries + 1) }
}

/** Half a window more on either side: a little panning needs nothing new. */
function around([a, b]: Span, range: Span): Span {
  const margin = (b - a) / 2
  return [Math.max(range[0], a - margin), Math.min(range[1], b + margin)]
}

/** Whether a window shows too little of what there is. */
export function needsDetail(base: Loaded, detail: Detail | null, zoom: Span): boolean {
  if (isWhole(zoom, base.range) || base.series.every((s) => s.shown === s.images)) return false
  if (zoom[1] <= base.range[0] || zoom[0] >= base.range[1]) return false // it is of another range, which is being loaded
  if (!detail || detail.of !== base || zoom[0] < detail.range[0] || zoom[1] > detail.range[1]) return true
  const fine = detail.series.every((s) => s.shown === s.images)
  return !fine && zoom[1] - zoom[0] < (detail.range[1] - detail.range[0]) / 4
}

/** The series to draw in a window: the finer one, where it covers it. */
export function covering(base: Loaded, detail: Loaded | null, window: Span): Loaded {
  return detail && window[0] >= detail.range[0] && window[1] <= detail.range[1] ? detail : base
}

/** The least and the greatest of a variable over all devices; null where there is none. `cut` is the share of the greatest
 * values that is left out, of many: single ones far away would leave no colours for all others. */
export function extent(series: readonly DeviceSeries[], variable: Variable, cut = 0): Span | null {
  const all: number[] = []
  for (const s of series) for (const v of s.values[variable] ?? []) if (v !== null) all.push(v)
  if (all.length === 0) return null
  const sorted = Float64Array.from(all).sort()
  return [sorted[0] as number, sorted[Math.ceil((sorted.length - 1) * (1 - cut))] as number]
}
