import { expect, it } from 'vitest'
import type { Progress } from '../api/types'
import { notesOf, waitingOf } from './progress'

const of = (p: Partial<Progress>): Progress => ({
  algo_name: 'uid',
  algo_version: '1-a',
  at_least: false,
  counted: '2026-11-22T08:00:00Z',
  devices: [],
  failed: 0,
  idle_since: null,
  last_annotated: null,
  waiting: 0,
  ...p,
})
const some = [
  { device: 'aaaaaaaa', waiting: 12, failed: 0 },
  { device: 'bbbbbbbb', waiting: 1, failed: 2 },
]

it('says nothing where nothing waits, or nothing of the chosen devices', () => {
  expect(notesOf([], [])).toEqual([])
  expect(notesOf([of({})], [])).toEqual([])
  expect(notesOf([of({ devices: some })], ['cccccccc'])).toEqual([])
})

it('counts what waits for a detector that works, and what failed', () => {
  const p = of({ devices: some, idle_since: '2026-11-22T07:45:00Z' })
  expect(notesOf([p], [])).toEqual([{ idle: false, text: '13 images wait for the detector', since: null, failed: '2 images could not be looked at', failing: ['bbbbbbbb'] }])
  expect(notesOf([p], ['BBBBBBBB'])).toEqual([{ idle: false, text: '1 image waits for the detector', since: null, failed: '2 images could not be looked at', failing: ['bbbbbbbb'] }])
  expect(notesOf([of({ devices: [{ device: 'a', waiting: 0, failed: 1 }] })], [])[0]).toEqual({ idle: false, text: '', since: null, failed: '1 image could not be looked at', failing: ['a'] })
})

it('lists what failed where that is not too much', () => {
  const failing = (failed: number, at_least = false) => notesOf([of({ at_least, devices: [{ device: 'a', waiting: 0, failed }] })], [])[0]?.failing
  expect([failing(1000), failing(1001), failing(1, true)]).toEqual([['a'], [], []])
})

it('says since when no detector works, though images wait', () => {
  const note = notesOf([of({ devices: some.slice(0, 1), at_least: true, idle_since: '2026-11-22T07:44:59Z' })], [])[0]
  expect(note?.idle).toBe(true)
  expect(note?.text).toBe('No detector is working: at least 12 images wait, and nothing was done since')
  expect(note?.since).toBe(Date.UTC(2026, 10, 22, 7, 44, 59) / 1000)
})

it('names the detectors where there are several', () => {
  expect(notesOf([of({ devices: some.slice(0, 1), idle_since: '2026-11-20T00:00:00Z' }), of({ algo_name: 'other', devices: some.slice(1) })], []).map((n) => n.text)).toEqual([
    'Detector uid is not working: 12 images wait, and nothing was done since',
    '1 image waits for the detector other',
  ])
})

it('tells of a device what the slowest detector has to do', () => {
  const all = [of({ devices: some }), of({ at_least: true, devices: [{ device: 'bbbbbbbb', waiting: 9, failed: 0 }] })]
  expect(waitingOf(all, 'bbbbbbbb')).toEqual({ waiting: 9, failed: 0, atLeast: true })
  expect(waitingOf(all, 'cccccccc')).toBe(null)
  expect(waitingOf(null, 'aaaaaaaa')).toBe(null)
})
