import { describe, expect, it } from 'vitest'
import { ALGORITHM, contourPath, newest, parseDocument } from './annotations'
import type { Annotation } from './types'

const document = (annotations: unknown) => JSON.stringify({ annotations, metadata: {} })
const triangle = [[[2194, 1597]], [[2189, 1602]], [[2189, 1617]]]

describe('a document', () => {
  it('becomes paths in pixels of the original', () => {
    expect(parseDocument(document([{ contour: triangle, name: 'insect', value: 0, stroke_colour: '#00ff00', fill_colour: '#ff0000' }]))).toEqual([
      { path: 'M2194 1597L2189 1602L2189 1617Z', stroke: '#00ff00', name: 'insect' },
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
    expect(contourPath(Array.from({ length: 30_000 }, () => [[1, 1]]))).toBe('')
  })
})

describe('newest', () => {
  const row = (algo_name: string, algo_version: string) => ({ algo_name, algo_version }) as Annotation

  it('takes the latest version of each algorithm, ours first', () => {
    const rows = [row('a', '100-x'), row(ALGORITHM, '9-z'), row(ALGORITHM, '1598113346-ad2c'), row('a', '99-x'), row(ALGORITHM, 'odd')]
    expect(newest(rows).map((a) => `${a.algo_name} ${a.algo_version}`)).toEqual([`${ALGORITHM} 1598113346-ad2c`, 'a 100-x'])
  })
})
