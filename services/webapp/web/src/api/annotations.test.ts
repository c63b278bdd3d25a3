import { describe, expect, it } from 'vitest'
import { cornersOf, newest, parseDocument } from './annotations'

const document = (annotations: unknown) => JSON.stringify({ annotations, metadata: {} })
const triangle = [[[2194, 1597]], [[2189, 1602]], [[2189, 1617]]]

describe('a document', () => {
  it('becomes paths in pixels of the original', () => {
    expect(parseDocument(document([{ contour: triangle, name: 'insect', value: 0, stroke_colour: '#00ff00', fill_colour: '#ff0000' }]))).toEqual([
      { path: 'M2194 1597L2189 1602L2189 1617Z', corners: [[2194, 1597], [2189, 1602], [2189, 1617]], stroke: '#00ff00', name: 'insect', value: 0 },
    ])
  })

  it.each(['', 'null', '[]', '{}', '{"annotations": 3}', '{"annotations": [', '7'])('that is %j is none', (text) => expect(parseDocument(text)).toBeNull())

  it('leaves out what cannot be drawn', () => {
    const bad = [null, 7, {}, { contour: [] }, { contour: [[1, 2]] }, { contour: [[['1', 2]]] }, { contour: [[[null, 2]]] }, { contour: 'M0 0' }]
    expect(parseDocument(document([...bad, { contour: triangle }]))).toHaveLength(1)
  })

  it('takes no colour that is more than a colour', () => {
    const [outline] = parseDocument(document([{ contour: triangle, stroke_colour: 'url(https://example.org/x)' }])) ?? []
    expect(outline?.stroke).toBe('#0000ff')
  })

  it('is bounded', () => {
    expect(parseDocument(document(Array.from({ length: 30_000 }, () => ({ contour: [[[1, 1]]] }))))?.length).toBe(20_000)
    expect(cornersOf(Array.from({ length: 30_000 }, () => [[1, 1]]))).toEqual([])
  })
})

describe('newest', () => {
  it('takes the latest version, whosever it is; of the same version, the one that came last', () => {
    const rows = [
      { id: 1, algo_version: '100-x' },
      { id: 5, algo_version: '1598113346-ad2c' },
      { id: 4, algo_version: '1598113346-ffff' },
      { id: 9, algo_version: 'odd' },
    ]
    expect(newest(rows)?.id).toBe(5)
    expect(newest([])).toBeUndefined()
  })
})
