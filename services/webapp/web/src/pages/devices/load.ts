// The numbers of insects of all devices: of the range, coarsely, and of the last night, image by image.
import { useEffect, useState } from 'preact/hooks'
import { ApiError, isAbort } from '../../api/http'
import { getSeries, type DeviceSeries } from '../../api/series'
import type { Scope } from '../../state/scope'
import { serverTime } from './condition'
import { countsOf, LOOK_BACK, type AllCounts } from './insects'

/** Pixels of the range's line, and of the last two days: a device that takes an image every ten minutes is given whole. */
const COARSE = 50
const FINE = 300

const byDevice = (all: readonly DeviceSeries[]) => new Map(all.map((s) => [s.device, countsOf(s)]))

export function useCounts(scope: Scope | null, devices: readonly string[]): { counts: AllCounts | null; error: Error | null; retry: () => void } {
  const [counts, setCounts] = useState<AllCounts | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [tries, setTries] = useState(0)
  const names = devices.join(',')

  useEffect(() => {
    if (!scope) return
    const mine = new AbortController()
    const { start, end, loadedAt } = scope
    const last = Math.min(end, Math.ceil(serverTime(scope.devices, loadedAt, loadedAt)))
    const chosen = names ? names.split(',') : []
    Promise.all([
      getSeries({ start, end, devices: chosen, variables: ['insects'], width: COARSE }, mine.signal),
      getSeries({ start: last - LOOK_BACK, end: last, devices: chosen, variables: ['insects'], width: FINE }, mine.signal),
    ]).then(
      ([coarse, fine]) => {
        setCounts({ coarse: byDevice(coarse), fine: byDevice(fine) })
        setError(null)
      },
      (e: unknown) => {
        if (!isAbort(e)) setError(e instanceof ApiError ? e : new Error(String(e)))
      },
    )
    return () => mine.abort()
  }, [scope, names, tries])

  return { counts, error, retry: () => setTries(tries + 1) }
}
