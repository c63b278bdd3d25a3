import { afterEach, describe, expect, it, vi } from 'vitest'
import { decodeSeries, getSeries } from './series'

afterEach(() => vi.unstubAllGlobals())

describe('series', () => {
  it('adds the differences up', () => {
    const [s] = decodeSeries([{ device: '5c173ff2', id: [101, 1, -3], images: 9, shown: 3, time: [1651363200, 1200, 1200], values: { insects: [4, null, 5] } }])
    expect(s).toEqual({
      device: '5c173ff2',
      id: [101, 102, 99],
      images: 9,
      shown: 3,
      time: [1651363200, 1651364400, 1651365600],
      values: { insects: [4, null, 5] },
    })
  })

  it('asks once for all devices, at a width that the API takes', async () => {
    const bodies: unknown[] = []
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
      bodies.push(JSON.parse(init.body as string))
      return Promise.resolve(new Response('[]'))
    })
    await getSeries({ start: 0, end: 86400, devices: [], variables: ['temperature'], width: 9999.6 })
    await getSeries({ start: 0, end: 86400, devices: ['5c173ff2'], variables: ['temperature'], width: 0 })
    expect(bodies).toEqual([
      { start: '1970-01-01T00:00:00Z', end: '1970-01-02T00:00:00Z', variables: ['temperature'], width: 4000 },
      { start: '1970-01-01T00:00:00Z', end: '1970-01-02T00:00:00Z', devices: ['5c173ff2'], variables: ['temperature'], width: 1 },
    ])
  })
})
