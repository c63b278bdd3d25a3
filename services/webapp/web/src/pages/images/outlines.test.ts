import { expect, it } from 'vitest'
import { parseDocument, type Outline } from '../../api/annotations'
import { boxOf, describe, outlineAt } from './outlines'

const contour = (...corners: [number, number][]) => corners.map((c) => [c])
const square = (x: number, y: number, side: number) => contour([x, y], [x + side, y], [x + side, y + side], [x, y + side])
const read = (...items: object[]) => parseDocument(JSON.stringify({ annotations: items })) as Outline[]
// a large one, one inside it, an L, and a single point
const some = read({ contour: square(100, 100, 100) }, { contour: square(120, 120, 20) }, { contour: contour([300, 100], [310, 100], [310, 190], [400, 190], [400, 200], [300, 200]) }, { contour: contour([500, 500]) })

it.each<[string, number, number, number, number | null]>([
  ['inside one', 180, 180, 0, 0],
  ['inside two, of which it is the smaller', 130, 130, 0, 1],
  ['in the corner that an L leaves out', 380, 120, 5, null],
  ['beside an L', 314, 150, 5, 2],
  ['beside one, too far away', 206, 150, 5, null],
  ['between two, nearer to the second', 295, 150, 150, 2],
  ['at a single point', 502, 502, 4, 3],
  ['nowhere', 0, 0, 20, null],
])('finds what is %s', (_, x, y, slack, want) => expect(outlineAt(some, some.map(boxOf), x, y, slack)).toBe(want))

it('says its number, its size, and what else is known', () => {
  const told = (item: object) => read(item).map((o) => describe(o, boxOf(o), 2))[0]
  expect(told({ contour: contour([10, 20], [72, 40], [30, 68]), name: 'insect', value: 0 })).toBe('3: 62 × 48 px')
  expect(told({ contour: square(0, 0, 9), name: 'moth', value: 0.91234 })).toBe('3: 9 × 9 px, moth, value 0.912')
  expect(told({ contour: square(0, 0, 9), name: 7, value: 'much' })).toBe('3: 9 × 9 px')
})
