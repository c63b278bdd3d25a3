import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ApiError, isAbort } from './http'
import { patiently } from './patient'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** A server that fails so often, and counts how often it is asked. */
function server(fails: number, error: ApiError) {
  const s = { asked: 0, ask: async () => (++s.asked <= fails ? Promise.reject(error) : 'all of it') }
  return s
}
const busy = new ApiError('unavailable', 'Not all days are worked out.', 503, 2)

it('asks until the server has worked it out', async () => {
  const s = server(3, busy)
  const reply = patiently(s.ask)
  await vi.runAllTimersAsync()
  expect([await reply, s.asked]).toEqual(['all of it', 4])
})

it('does not ask again where that would not help', async () => {
  for (const error of [new ApiError('invalid', 'Too much.', 400), new ApiError('unavailable', 'No database.', 503)]) {
    const s = server(1, error)
    await expect(patiently(s.ask)).rejects.toBe(error)
    expect(s.asked).toBe(1)
  }
})

it('asks no more once nobody waits', async () => {
  const s = server(3, busy)
  const mine = new AbortController()
  const reply = patiently(s.ask, mine.signal).catch(isAbort)
  mine.abort()
  await vi.runAllTimersAsync()
  expect([await reply, s.asked]).toEqual([true, 1])
})
