import { describe, expect, it } from 'vitest'
import { parseTime } from '../../lib/time'
import { catchOf, caughtIn, fillOf, joined, pointsOf, temperaturesOf, type Points } from './insects'

const at = (text: string) => parseTime(text)
const night: [number, number] = [at('2022-06-09T18:00:00Z'), at('2022-06-10T06:00:00Z')]
/** An image an hour, from an hour before the night on. */
const points = (...insects: (number | null)[]): Points => ({ insects, time: insects.map((_, i) => night[0] - 3600 + i * 3600), temperature: insects.map(() => null) })
const hour = (i: number) => night[0] - 3600 + i * 3600

describe('what was caught', () => {
  it.each<[string, (number | null)[], number]>([
    ['is the last image’s number less the first’s', [12, 13, 20, 23], 11],
    ['counts images that were annotated alone', [null, 12, null, 23, null], 11],
    ['goes on with the new card where it was changed', [90, 95, 100, 0, 3, 4, 6], 10 + 6],
    ['goes on after two changes', [10, 31, 0, 0, 12, 13, 0, 1], 21 + 13 + 1],
    ['takes a new card that fills fast for a new one', [33, 0, 16, 18], 18],
    ['is not told by one empty image', [90, 95, 0, 99, 100, 101], 11],
    ['is not told by one image with far too many', [3, 4, 40, 4, 5], 2],
    ['is not told by a last image that is empty: the next one tells whether the card was changed', [90, 95, 97, 0], 7],
    ['is never below zero', [46, 44, 41], 0],
  ])('%s', (_, insects, want) => expect(catchOf(points(...insects))?.caught).toBe(want))

  it('names the images of each card, so that it can be checked by hand', () => {
    expect(catchOf(points(33, 34, 35, 0, 3, 6))).toEqual({
      caught: 8,
      cards: [
        { from: hour(0), to: hour(2), first: 33, last: 35 },
        { from: hour(3), to: hour(5), first: 0, last: 6 },
      ],
    })
  })

  it.each<[(number | null)[]]>([[[]], [[4]], [[null, null]], [[30, 0]]])('is not known of %j', (insects) => expect(catchOf(points(...insects))).toBeNull())
})

describe('what was caught in a night', () => {
  const whole = [10, 10, 10, 12, 15, 15, 20, 20, 21, 22, 22, 25, 30, 30, 44, 50]
  it('is of the images between sunset and sunrise', () => expect(caughtIn(points(...whole), night)).toMatchObject({ caught: 20, cards: [{ from: night[0], to: night[1] }] }))
  it('is never negative, and tells of a changed card', () => {
    expect(caughtIn(points(31, 31, 31, 31, 33, 33, 0, 0, 1, 1, 1, 2, 2, 2), night)).toMatchObject({ caught: 2 + 2, cards: [{ last: 33 }, { from: hour(6), first: 0 }] })
  })
  it.each<[string, Points, string]>([
    ['no images', points(), 'no images'],
    ['images of another night alone', { ...points(1, 2, 3), time: [1, 2, 3] }, 'no images'],
    ['images that the detector has not looked at', points(...whole.map(() => null)), 'not annotated'],
    ['an end that the detector has not looked at', points(...whole.map((n, i) => (i < 6 ? n : null))), 'not annotated'],
    ['an end without images', points(1, 2, 3, 4, 5), 'incomplete'],
  ])('is not known with %s', (_, p, why) => expect(caughtIn(p, night)).toBe(why))
})

describe('how full a trap is', () => {
  it('is what the last annotated image shows', () => {
    expect(fillOf(points(10, 12, 14, null))).toEqual({ insects: 14, at: hour(2), total: { caught: 4, cards: [{ from: hour(0), to: hour(2), first: 10, last: 14 }] }, line: [] })
    expect(fillOf(points(7))).toMatchObject({ insects: 7, total: null })
    expect(fillOf(points(null))).toBeNull()
  })
  it('has a line from five images on', () => expect(fillOf(points(1, 2, null, 3, 4, 5))?.line).toEqual([[hour(0), 1], [hour(1), 2], [hour(3), 3], [hour(4), 4], [hour(5), 5]]))
})

it('points of the last days are taken image by image, and none from before the range', () => {
  const coarse = points(1, 5, 9)
  const fine = { time: [hour(1), hour(1) + 60, hour(2)], insects: [5, 6, 9], temperature: [null, 1, 2] }
  expect(joined(coarse, fine, hour(0), hour(1))).toEqual({ time: [hour(0), hour(1), hour(1) + 60, hour(2)], insects: [1, 5, 6, 9], temperature: [null, null, 1, 2] })
  expect(joined(coarse, fine, hour(2), hour(1)).time).toEqual([hour(2)])
})

it('temperatures are the least and the greatest', () => {
  expect(temperaturesOf({ time: [1, 2, 3], insects: [], temperature: [4, null, -2.5] })).toEqual([-2.5, 4])
  expect(temperaturesOf(points(1, 2))).toBeNull()
})

it('a series without a column has none of its values', () => {
  expect(pointsOf({ device: 'a', images: 2, shown: 2, id: [1, 2], time: [10, 20], values: { insects: [null, 5] } })).toEqual({ time: [10, 20], insects: [null, 5], temperature: [null, null] })
})
