// POST /v2/series: the values of many images as columns.
import { wireTime } from '../lib/time'
import { api } from './http'

export type Variable = 'temperature' | 'humidity' | 'light' | 'battery' | 'lat' | 'lng' | 'insects'

type Values<T> = Partial<Record<Variable, T>>

/** One device as the wire has it; id and time are differences. */
export interface WireSeries {
  device: string
  id: number[]
  images: number
  shown: number
  time: number[]
  values: Values<(number | null)[]>
}

/** One device's images as columns of equal length. */
export interface DeviceSeries {
  device: string
  images: number // in the range
  shown: number // in the columns
  id: number[]
  time: number[] // seconds since the epoch, rising
  values: Values<(number | null)[]>
}

export interface SeriesRequest {
  start: number
  end: number
  devices: readonly string[] // none: all
  variables: readonly Variable[]
  width: number
}

export const MAX_WIDTH = 4000

function sum(differences: readonly number[]): number[] {
  let at = 0
  return differences.map((d) => (at += d))
}

export function decodeSeries(wire: readonly WireSeries[]): DeviceSeries[] {
  return wire.map((w) => ({ ...w, id: sum(w.id), time: sum(w.time) }))
}

export async function getSeries(r: SeriesRequest, signal?: AbortSignal): Promise<DeviceSeries[]> {
  const wire = await api<WireSeries[]>('v2/series', {
    method: 'POST',
    body: {
      start: wireTime(r.start),
      end: wireTime(r.end),
      ...(r.devices.length > 0 ? { devices: r.devices } : {}),
      variables: r.variables,
      width: Math.max(1, Math.min(MAX_WIDTH, Math.round(r.width))),
    },
    ...(signal ? { signal } : {}),
  })
  return decodeSeries(wire)
}
