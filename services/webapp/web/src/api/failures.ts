// Images that a detector failed on three times.
import { api } from './http'
import type { Failure } from './types'

/** Of which images: those of a device that were taken from `start_datetime` on and before `end_datetime`. */
export interface FailureSpan {
  device: string
  start_datetime: string
  end_datetime: string
}

/** From before the first device until long after the last. */
export const ALWAYS = { start_datetime: '2000-01-01T00:00:00Z', end_datetime: '2100-01-01T00:00:00Z' } as const

/** Those of one algorithm, ordered by device and time. */
export function getFailures(algorithm: string, spans: readonly FailureSpan[], signal?: AbortSignal): Promise<Failure[]> {
  return api<Failure[]>('get_uid_failures', { method: 'POST', body: spans.map((s) => ({ ...s, algo_name: algorithm })), ...(signal ? { signal } : {}) })
}

/** Lets that algorithm try these images again, and no others. */
export function retryFailures(algorithm: string, spans: readonly FailureSpan[]): Promise<Failure[]> {
  return api<Failure[]>('retry_uid_failures', { method: 'POST', body: spans.map((s) => ({ ...s, algo_name: algorithm })) })
}
