// What tuboids and their labels are called.
import type { Label, Span, Tuboid } from '../../api/types'
import { parseTime, wireTime } from '../../lib/time'
import { newerFirst } from '../../lib/version'

/** The series of a tuboid_id, DEVICE.START.END.ALGOVERSION.NNNN; null: it is no such name. */
export function spanOf(id: string): Span | null {
  const m = /^([0-9a-f]{8})\.([^.]+)\.([^.]+)\.[^.]+\.\d{4,}$/i.exec(id)
  const [start, end] = [parseTime(m?.[2] ?? ''), parseTime(m?.[3] ?? '')]
  if (!m?.[1] || Number.isNaN(start) || Number.isNaN(end)) return null
  return { device: m[1], start_datetime: wireTime(start), end_datetime: wireTime(end) }
}

export function seriesSpan(t: Tuboid): Span {
  return { device: t.device_series, start_datetime: wireTime(parseTime(t.start_datetime_series)), end_datetime: wireTime(parseTime(t.end_datetime_series)) }
}

/** The closest name that a label gives. */
export function nameOf(l: Label): string {
  if (l.genus) return l.species ? `${l.genus} ${l.species.replace(`${l.genus} `, '')}` : l.genus
  return l.species || l.family || l.order || l.type || l.pattern || `label ${l.label}`
}

/** Labels with the newest first. */
export function newestFirst(labels: readonly Label[]): Label[] {
  return [...labels].sort((a, b) => newerFirst(a.algo_version, b.algo_version) || b.id - a.id)
}

/** That the labels could not be loaded, and why. */
export function withoutLabels(e: Error): Error {
  return new Error(`The labels could not be loaded. ${e.message}`)
}

/** Whether a label holds a text in any of its names. */
export function holds(l: Label, text: string): boolean {
  const t = text.toLowerCase()
  return [l.type, l.order, l.family, l.genus, l.species, l.pattern].some((s) => s?.toLowerCase().includes(t))
}
