// GET /v2/devices: how each device does, asked for in parts where one reply could not hold all.
import { DAY, wireTime } from '../lib/time'
import { api } from './http'
import type { DeviceState } from './types'

/** Days that are asked for at once, whatever the number of devices: the server takes thousands of devices for so many. */
const FEW_DAYS = 366
/** Days of devices in one request for a longer range; the server takes some two million. */
const DEVICE_DAYS = 500_000
/** Devices that are named in one request: nginx takes addresses of up to 8 KB. */
const MOST_NAMED = 400

type Ask = (path: string, options: { signal?: AbortSignal }) => Promise<DeviceState[]>

interface Options {
  /** Those that are asked for; all where there is none. */
  only?: readonly string[]
  signal?: AbortSignal
  /** Is told how many devices are done. */
  progress?: (done: number, of: number) => void
  ask?: Ask
}

/** Every device that ever sent an image, or those named, ordered by name. Times are in seconds, and whole days. */
export async function getDevices(start: number, end: number, { only = [], signal, progress, ask = api }: Options = {}): Promise<DeviceState[]> {
  const get = (from: number, names: readonly string[]) =>
    ask(`v2/devices?start=${wireTime(from)}&end=${wireTime(end)}${names.map((n) => `&device=${encodeURIComponent(n)}`).join('')}`, signal ? { signal } : {})
  const days = (end - start) / DAY
  if (days <= FEW_DAYS) return get(start, only)
  // which there are is told of any day
  const names = only.length > 0 ? only : (await get(end - DAY, [])).map((d) => d.device)
  const atOnce = Math.max(1, Math.min(MOST_NAMED, Math.floor(DEVICE_DAYS / days)))
  const all = new Map<string, DeviceState>() // names may match others: they are patterns
  for (let i = 0; i < names.length; i += atOnce) {
    progress?.(i, names.length)
    for (const d of await get(start, names.slice(i, i + atOnce))) all.set(d.device, d)
  }
  return [...all.values()].sort((a, b) => (a.device < b.device ? -1 : 1))
}
