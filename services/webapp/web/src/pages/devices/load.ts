// Insects and temperatures of all devices: of the range, coarsely, and of the last night, image by image.
import { useEffect, useState } from 'preact/hooks'
import { ApiError, isAbort } from '../../api/http'
import { getSeries, type DeviceSeries, type Variable } from '../../api/series'
import { useLoader } from '../../lib/loader'
import { useStore } from '../../lib/store'
import { presses, type Scope } from '../../state/scope'
import { serverTime } from './condition'
import { LOOK_BACK, pointsOf, type AllPoints } from './insects'
import { untilOf } from './row'

/** Pixels of the range's line, and of the last two days: a device that takes an image every ten minutes is given whole. */
const COARSE = 100
const FINE = 300

const VARIABLES: readonly Variable[] = ['insects', 'temperature']

const byDevice = (all: readonly DeviceSeries[]) => new Map(all.map((s) => [s.device, pointsOf(s)]))

export function usePoints(scope: Scope | null, devices: readonly string[]): { points: AllPoints | null; error: Error | null; retry: () => void } {
  const [points, setPoints] = useState<AllPoints | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [tries, setTries] = useState(0)
  const pressed = useStore(presses)
  const loader = useLoader()
  const names = devices.join(',')

  useEffect(() => {
    if (!scope) return
    const { start, end, loadedAt } = scope
    const chosen = names ? names.split(',') : []
    const last = Math.ceil(untilOf(scope, chosen, serverTime(scope.devices, loadedAt, loadedAt)))
    loader.load(`${start} ${end} ${names} ${pressed}`, async (signal) => {
      try {
        const [coarse, fine] = await Promise.all([
          getSeries({ start, end, devices: chosen, variables: VARIABLES, width: COARSE }, signal),
          getSeries({ start: last - LOOK_BACK, end: last, devices: chosen, variables: VARIABLES, width: FINE }, signal),
        ])
        signal.throwIfAborted()
        setPoints({ coarse: byDevice(coarse), fine: byDevice(fine), fineFrom: last - LOOK_BACK })
        setError(null)
      } catch (e) {
        if (!isAbort(e)) setError(e instanceof ApiError ? e : new Error(String(e)))
      }
    })
  }, [scope, names, tries, pressed])

  return { points, error, retry: () => setTries(tries + 1) }
}
