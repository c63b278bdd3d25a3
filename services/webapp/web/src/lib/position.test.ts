import { describe, expect, it } from 'vitest'
import { positionOf, showPosition } from './position'

describe('a position', () => {
  it.each<[number | null, number | null, ReturnType<typeof positionOf>]>([
    [49.243626, -121.75516, { lat: 49.243626, lng: -121.75516, exchanged: false }],
    [-121.75516, 49.243626, { lat: 49.243626, lng: -121.75516, exchanged: true }],
    [-90, 180, { lat: -90, lng: 180, exchanged: false }],
    [180, -90, { lat: -90, lng: 180, exchanged: true }],
    [0, 10, { lat: 0, lng: 10, exchanged: false }],
    [0, 0, 'no fix'],
    [91, 91, 'impossible'],
    [181, 0, 'impossible'],
    [null, 4, 'not sent'],
    [4, null, 'not sent'],
  ])('of %s, %s', (lat, lng, want) => expect(positionOf(lat, lng)).toEqual(want))

  it('is shown with what is to be said of it', () => {
    expect(showPosition(49.243626, -121.75516, 31.4)).toEqual({ text: '49.24363, -121.75516, 31 m', lat: '49.24363', lng: '-121.75516' })
    expect(showPosition(-121.75516, 49.243626)).toMatchObject({ text: '49.24363, -121.75516', lat: '49.24363', title: expect.stringContaining('-121.75516, 49.243626') as string })
    expect(showPosition(0, 0, -1000)).toMatchObject({ text: 'no fix', lat: '', lng: '' })
    expect(showPosition(null, null)).toEqual({ text: '–', lat: '', lng: '' })
    expect(showPosition(400, 400).title).toBe('No place has these degrees')
  })
})
