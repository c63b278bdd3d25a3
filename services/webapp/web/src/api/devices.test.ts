import { expect, it } from 'vitest'
import { DAY, parseTime } from '../lib/time'
import { getDevices } from './devices'
import type { DeviceState } from './types'

const end = parseTime('2022-07-01')

/** A server with so many devices; it notes of each request how many days and devices are asked for. */
function server(n: number) {
  const names = Array.from({ length: n }, (_, i) => i.toString(16).padStart(8, '0'))
  const asked: [number, number][] = []
  const ask = async (path: string): Promise<DeviceState[]> => {
    const q = new URL(path, 'http://x').searchParams
    const some = q.getAll('device')
    asked.push([(parseTime(q.get('end') ?? '') - parseTime(q.get('start') ?? '')) / DAY, some.length])
    return names.filter((name) => some.length === 0 || some.includes(name)).map((device) => ({ device }) as DeviceState)
  }
  return { names, asked, ask }
}

it('a short range is one request', async () => {
  const { names, asked, ask } = server(2000)
  expect((await getDevices(end - 28 * DAY, end, { ask })).map((d) => d.device)).toEqual(names)
  expect(asked).toEqual([[28, 0]])
})

it('ten years of many devices are several, each of as many as the server takes', async () => {
  const { names, asked, ask } = server(300)
  const told: [number, number][] = []
  expect((await getDevices(end - 3650 * DAY, end, { ask, progress: (...p) => told.push(p) })).map((d) => d.device)).toEqual(names)
  expect(asked).toEqual([[1, 0], [3650, 136], [3650, 136], [3650, 28]])
  expect(told).toEqual([[0, 300], [136, 300], [272, 300]])
})

it('no address is longer than nginx takes, be the range a little longer than a year', async () => {
  const { names, ask } = server(2000)
  const longest: number[] = []
  const noting = (path: string) => {
    longest.push(path.length)
    return ask(path)
  }
  expect((await getDevices(end - 400 * DAY, end, { ask: noting })).map((d) => d.device)).toEqual(names)
  expect(Math.max(...longest)).toBeLessThan(8000)
})

it('of some devices alone, these are asked for', async () => {
  const { asked, ask } = server(300)
  expect(await getDevices(end - 3650 * DAY, end, { ask, only: ['00000003', '00000001'] })).toEqual([{ device: '00000001' }, { device: '00000003' }])
  expect(asked).toEqual([[3650, 2]])
})

it('nothing more is asked for once one request has failed', async () => {
  const { asked, ask } = server(300)
  let n = 0
  const failing = (path: string) => (++n === 3 ? Promise.reject(new Error('stopped')) : ask(path))
  await expect(getDevices(end - 3650 * DAY, end, { ask: failing })).rejects.toThrow('stopped')
  expect(asked).toHaveLength(2)
})
