import { expect, it } from 'vitest'
import { pause } from './pause'

it.each([
  [1, 0, 2_000],
  [2, 0, 4_000],
  [6, 0, 60_000],
  [2000, 0, 60_000],
  [1, 30, 30_000],
])('after %i failures, told %i s, the pause is about %i ms', (failures, told, about) => {
  const all = Array.from({ length: 200 }, () => pause(failures, told))
  expect(Math.min(...all)).toBeGreaterThanOrEqual(about * 0.75)
  expect(Math.max(...all)).toBeLessThanOrEqual(about * 1.25)
  expect(new Set(all).size).toBeGreaterThan(100)
})
