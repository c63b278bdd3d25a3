import { expect, it } from 'vitest'
import type { DeviceState, Progress } from '../api/types'
import { failuresOf, notesOf, waitingOf } from './progress'

const of = (p: Partial<Progress>): Progress => ({
  algo_name: 'uid',
  algo_version: '1-a',
  at_least: false,
  counted: '2026-11-22T08:00:00Z',
  devices: [],
  failed: 0,
  failed_in_a_row: 0,
  idle_since: null,
  last_annotated: null,
  last_failed: null,
  waiting: 0,
  ...p,
})
const at = (time: string) => Date.parse(`2026-11-22T${time}Z`) / 1000
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
  const failed = { of: p, idle: false, since: null, failed: '2 images could not be looked at' }
  expect(notesOf([p], [])).toEqual([{ ...failed, text: '13 images wait for the detector' }])
  expect(notesOf([p], ['BBBBBBBB'])).toEqual([{ ...failed, text: '1 image waits for the detector' }])
  expect(notesOf([of({ devices: [{ device: 'a', waiting: 0, failed: 1 }] })], [])[0]).toMatchObject({ idle: false, text: '', since: null, failed: '1 image could not be looked at' })
})

it('asks for all that failed, or for some of the newest where that is too much', () => {
  const state = (device: string, last_datetime: string) => ({ device, last_datetime }) as DeviceState
  const states = [state('a', '2026-11-22T07:00:00Z'), state('b', '2026-11-20T07:00:00Z')]
  const failing = (n: number, at_least = false) => of({ at_least, devices: [{ device: 'a', waiting: 0, failed: n }, { device: 'b', waiting: 3, failed: 400 }, { device: 'c', waiting: 3, failed: 0 }] })
  const always = { start_datetime: '2000-01-01T00:00:00Z', end_datetime: '2100-01-01T00:00:00Z' }
  expect(failuresOf(failing(600), [], states)).toEqual({ whole: true, spans: [{ device: 'a', ...always }, { device: 'b', ...always }] })
  expect(failuresOf(failing(600), ['B'], states)).toEqual({ whole: true, spans: [{ device: 'b', ...always }] })
  expect(failuresOf(failing(601), [], states)).toEqual({
    whole: false,
    spans: [
      { device: 'a', start_datetime: '2026-11-19T07:00:00Z', end_datetime: '2026-11-22T07:00:01Z' },
      { device: 'b', start_datetime: '2026-11-17T07:00:00Z', end_datetime: '2026-11-20T07:00:01Z' },
    ],
  })
  expect(failuresOf(failing(1, true), ['a'], states)).toMatchObject({ whole: false, spans: [{ device: 'a' }] })
})

it.each<[string, Partial<Progress>, string, string | null]>([
  ['fails on all while others wait', { failed_in_a_row: 3, last_failed: '2026-11-22T07:59:00Z' }, 'The detector fails on every image that it tries: 12 images wait, and none was looked at since', '05:00:00'],
  ['has failed on all, and has one in work', { idle_since: '2026-11-22T07:59:00Z', failed_in_a_row: 9, last_failed: '2026-11-22T06:00:00Z' }, 'The detector fails on every image that it tries: 12 images wait, and none was looked at since', '05:00:00'],
  ['never found anything', { last_annotated: null, failed_in_a_row: 4, last_failed: '2026-11-22T07:59:00Z' }, 'The detector fails on every image that it tries: 12 images wait, and none was looked at yet', null],
  ['failed on all that there was', { idle_since: null, devices: [{ device: 'a', waiting: 0, failed: 4 }], failed_in_a_row: 4, last_failed: '2026-11-22T06:00:00Z' }, 'The detector fails on every image that it tries: none was looked at since', '05:00:00'],
  ['failed on all and does nothing any more', { failed_in_a_row: 9, last_failed: '2026-11-22T07:44:00Z' }, 'No detector is working: 12 images wait, and nothing was done since', '06:30:00'],
  ['failed on one, and has had time for others', { failed_in_a_row: 1, last_failed: '2026-11-22T07:59:00Z' }, 'The detector fails on every image that it tries: 12 images wait, and none was looked at since', '05:00:00'],
  ['failed before it annotated others, and does nothing any more', { last_failed: '2026-11-22T04:59:00Z' }, 'No detector is working: 12 images wait, and nothing was done since', '06:30:00'],
])('tells of a detector that %s', (_, p, text, since) => {
  const known = of({ idle_since: '2026-11-22T06:30:00Z', last_annotated: '2026-11-22T05:00:00Z', devices: [{ device: 'a', waiting: 12, failed: 4 }], ...p })
  expect(notesOf([known], [])).toEqual([{ of: known, idle: true, text, since: since && at(since), failed: '4 images could not be looked at' }])
})

it.each<[string, Partial<Progress>]>([
  ['annotated all and then failed on the last few', { failed_in_a_row: 3, last_failed: '2026-11-22T05:14:59Z' }],
  ['failed on all that there was, a day ago', { last_annotated: '2026-11-21T06:00:00Z', failed_in_a_row: 9, last_failed: '2026-11-21T07:59:00Z' }],
  ['failed on two', { failed_in_a_row: 2, last_failed: '2026-11-22T07:59:00Z' }],
  ['has annotated others since', { failed_in_a_row: 0, last_failed: '2026-11-22T04:00:00Z' }],
  ['works, and fails on some', { last_annotated: '2026-11-22T07:50:00Z', failed_in_a_row: 4, last_failed: '2026-11-22T07:59:00Z' }],
])('does not call it a detector that fails on all where it %s, and nothing waits', (_, p) => {
  const known = of({ last_annotated: '2026-11-22T05:00:00Z', devices: [{ device: 'a', waiting: 0, failed: 9 }], ...p })
  expect(notesOf([known], [])).toEqual([{ of: known, idle: false, text: '', since: null, failed: '9 images could not be looked at' }])
})

it('says since when no detector works, though images wait', () => {
  const note = notesOf([of({ devices: some.slice(0, 1), at_least: true, idle_since: '2026-11-22T07:44:59Z' })], [])[0]
  expect(note?.idle).toBe(true)
  expect(note?.text).toBe('No detector is working: at least 12 images wait, and nothing was done since')
  expect(note?.since).toBe(Date.UTC(2026, 10, 22, 7, 44, 59) / 1000)
})

it('does not say of a detector with others in work that it fails on all because of two', () => {
  const p = of({ idle_since: '2026-11-22T07:59:00Z', last_annotated: '2026-11-22T05:00:00Z', devices: [{ device: 'a', waiting: 12, failed: 2 }], failed_in_a_row: 2, last_failed: '2026-11-22T07:59:00Z' })
  expect(notesOf([p], [])[0]).toMatchObject({ idle: false, text: '12 images wait for the detector' })
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
