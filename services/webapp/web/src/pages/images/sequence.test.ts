import { describe, expect, it, vi } from 'vitest'
import type { Image } from '../../api/types'
import { DAY, parseTime, wireTime } from '../../lib/time'
import { Sequence, type Fetch } from './sequence'

const T = parseTime('2020-06-20')
const signal = new AbortController().signal

/** A device with images at these times. */
function device(times: number[]) {
  return vi.fn<Fetch>((name, [start, end]) =>
    Promise.resolve(times.filter((t) => t >= start && t < end).map((t) => ({ device: name, datetime: wireTime(t) }) as Image)),
  )
}

async function walk(times: number[], from: number, limits: [number, number]) {
  const fetch = device(times)
  const s = new Sequence('5c173ff2', from, limits, fetch)
  await s.around(from, signal)
  return { s, fetch }
}

const every20 = Array.from({ length: 2000 }, (_, i) => T + i * 1200)

describe('a sequence', () => {
  it('knows the neighbours of the image that is looked at', async () => {
    const at = every20[1000] as number
    const { s } = await walk(every20, at, [T, T + 40 * DAY])
    const i = s.indexOf(at)
    expect(s.times.slice(i - 1, i + 2)).toEqual([at - 1200, at, at + 1200])
  })

  it('is walked to both its ends, each image once, in a bounded number of requests', async () => {
    const { s, fetch } = await walk(every20, every20[1000] as number, [T, T + 40 * DAY])
    const seen: number[] = []
    for (let t: number | undefined = every20[0] as number; t !== undefined; t = s.times[s.indexOf(t) + 1]) {
      await s.around(t, signal)
      seen.push(t)
    }
    expect(seen).toEqual(every20)
    expect(fetch.mock.calls.length).toBeLessThan(150)
  })

  it('passes a long silence', async () => {
    const times = [T, T + 20 * DAY, T + 39 * DAY]
    const { s, fetch } = await walk(times, T + 20 * DAY, [T, T + 40 * DAY])
    expect(s.times).toEqual(times)
    expect(fetch.mock.calls.length).toBeLessThan(20)
  })

  it('finds the images that came meanwhile, once it looks again', async () => {
    const times = [T, T + 1200]
    const { s } = await walk(times, T + 1200, [T, T + DAY])
    times.push(T + 2400)
    await s.around(T + 1200, signal)
    expect(s.times).toHaveLength(2)
    s.lookAgain()
    await s.around(T + 1200, signal)
    expect(s.times).toEqual(times)
  })

  it('does not find an image that is not there, and finds those around it', async () => {
    const { s } = await walk([T, T + 1200], T + 600, [T, T + DAY])
    expect(s.indexOf(T + 600)).toBe(-1)
    expect(s.times).toEqual([T, T + 1200])
  })
})
