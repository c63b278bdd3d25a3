import { describe, expect, it } from 'vitest'
import { apart, clusters, namesOf, formatPlace, joinDateLine, lines, moved, parsePlace, placeOf, project, round125, scaleOf, spotsOf, type Spot } from './place'

const size = { width: 600, height: 400 }
const spot = (device: string, lat: number, lng: number, kind: Spot['kind'] = 'well'): Spot => ({ device, lat, lng, kind })

describe('the place of all devices', () => {
  it.each([
    [[spot('a', 49.2, -123.2), spot('b', 49.3, -123.0)]],
    [[spot('a', 0, 0), spot('b', 0, 50)]],
    [[spot('a', -17, 179.9), spot('b', -17.2, -179.8)]],
    [[spot('a', 70, 20)]],
  ])('shows them all, with room around', (spots) => {
    const joined = joinDateLine(spots)
    const place = placeOf(joined, size)
    for (const s of joined) {
      const [x, y] = project(place, size, s.lat, s.lng)
      expect(x > 20 && x < 580 && y > 20 && y < 380).toBe(true)
    }
    expect(parsePlace(formatPlace(place))).toMatchObject({ span: Number(place.span.toPrecision(4)) })
  })
})

it('devices without a usable position are left out', () =>
  expect(spotsOf([{ device: 'a', position: { lat: 49, lng: -123, exchanged: true }, kind: 'well' }, { device: 'b', position: null, kind: 'well' }])).toEqual([spot('a', 49, -123)]))

it.each([undefined, '', '1,2', '1,2,3,4', '91,0,1', 'a,b,c', '0,0,0', '0,0,1e9'])('%s is no place', (text) => expect(parsePlace(text)).toBeNull())

it('devices near each other are one, where the most urgent stands; equal places are never apart', () => {
  const spots = [spot('a', 49.2, -123.2), spot('b', 49.2, -123.2, 'silent'), spot('c', 49.3, -123)]
  const found = clusters(spots, placeOf(spots, size), size)
  expect(found.map((c) => c.spots.map((s) => s.device))).toEqual([['b', 'a'], ['c']])
  expect(found.map(apart)).toEqual([false, false])
  const wide = clusters(spots, { lat: 49, lng: -123, span: 90 }, size)
  expect(wide.map((c) => c.spots.length)).toEqual([3])
  expect(wide.map(apart)).toEqual([true])
})

describe('names beside the signs', () => {
  const at = (x: number, y: number, ...devices: string[]) => ({ x, y, spots: devices.map((d) => spot(d, 0, 0)) })
  const texts = (...all: ReturnType<typeof at>[]) => namesOf(all, size).map((n) => n && `${n.side} ${n.text}`)
  it('say how many more there are', () => expect(texts(at(100, 100, '1a2b3c01', '1a2b3c02'))).toEqual(['after 1a2b3c01 +1']))
  it('stand before a sign at the edge', () => expect(texts(at(590, 100, '1a2b3c01'))).toEqual(['before 1a2b3c01']))
  it('do not cover each other, nor other signs', () =>
    expect(texts(at(100, 100, '1a2b3c01'), at(140, 100, '1a2b3c02', '1a2b3c03', '1a2b3c04'), at(180, 100, '1a2b3c05'))).toEqual(['before 1a2b3c01', 'after +2', 'after 1a2b3c05']))
})

it('a drag moves what is drawn as far as the pointer went', () => {
  const place = { lat: 49, lng: -123, span: 0.2 }
  const [x, y] = project(place, size, 49.01, -123.02)
  const [x2, y2] = project(moved(place, size, 30, -12), size, 49.01, -123.02)
  expect(x2 - x).toBeCloseTo(30, 1) // a degree of longitude is not as wide further up
  expect(y2 - y).toBeCloseTo(-12)
})

describe('the scale', () => {
  it('has a round length of the right number of pixels', () => {
    const { metres, pixels } = scaleOf({ lat: 49, lng: 0, span: 1 }, size, 120)
    expect(metres).toBe(20_000)
    expect(pixels).toBeCloseTo((20_000 / 111_320) * 400)
  })
  it.each([
    [1.9, 1],
    [2, 2],
    [77, 50],
    [0.031, 0.02],
  ])('%s is rounded to %s', (v, want) => expect(round125(v)).toBeCloseTo(want))
  it('lines of degrees lie inside', () => {
    const { at, digits } = lines(49.05, 49.45)
    expect(at.map((v) => v.toFixed(digits))).toEqual(['49.1', '49.2', '49.3', '49.4'])
  })
})
