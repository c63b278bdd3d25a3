import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { refresh, refreshArrived, refreshes, slowRefreshes } from './scope'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** By how much both have grown since. */
function grown(): () => [number, number] {
  const [all, slow] = [refreshes.value, slowRefreshes.value]
  return () => [refreshes.value - all, slowRefreshes.value - slow]
}

it('what arrives by itself refreshes the slow not more than once a minute', () => {
  refresh()
  const by = grown()
  for (let i = 1; i <= 11; i++) {
    vi.advanceTimersByTime(10_000)
    refreshArrived()
  }
  expect(by()).toEqual([11, 1]) // after 60 s; the next would be after 120 s
})

it('a refresh that somebody asks for is of everything at once', () => {
  const by = grown()
  refresh()
  refresh()
  expect(by()).toEqual([2, 2])
})
