import { describe, expect, it } from 'vitest'
import type { Label } from '../../api/types'
import { holds, nameOf, newestFirst, spanOf } from './names'
import { gridOf, tileOf, usualGrid } from './tiles'

describe('the tiles of a picture', () => {
  it.each([
    // width, height, shots, columns, rows: the first two are of real tuboids
    [896, 2240, 37, 4, 10],
    [896, 672, 11, 4, 3],
    [224, 224, 1, 1, 1],
    [672, 224, 3, 3, 1],
    [896, 224, 3, 4, 1], // the row is not full
    [448, 448, 4, 2, 2],
  ])('of %s × %s pixels and %s shots lie in %s × %s', (width, height, shots, columns, rows) => expect(gridOf(width, height, shots)).toEqual({ columns, rows }))

  it('are one where they fit in no way', () => expect(gridOf(100, 37, 5)).toEqual({ columns: 1, rows: 1 }))

  it('are read as one reads', () => {
    const grid = usualGrid(11)
    expect([0, 3, 4, 10, 99].map((i) => tileOf(grid, i))).toEqual([[0, 0], [3, 0], [0, 1], [2, 2], [3, 2]])
  })
})

describe('the name of a tuboid', () => {
  it('tells its series', () =>
    expect(spanOf('08038ade.2020-07-08_20-00-00.2020-07-09_15-00-00.1606980656-91e2199fccf371d3d690b2856613e8f5.0028')).toEqual({
      device: '08038ade', start_datetime: '2020-07-08T20:00:00Z', end_datetime: '2020-07-09T15:00:00Z',
    }))
  it.each(['', 'x', '08038ade.2020-07-08_20-00-00.2020-07-09_15-00-00.1-a', '%.2020-07-08_20-00-00.2020-07-09_15-00-00.1-a.0028', '08038ade.x.y.1-a.0028'])('%s is none', (id) =>
    expect(spanOf(id)).toBeNull(),
  )
})

const label = (more: Partial<Label>): Label => ({
  id: 1, parent_tuboid_id: 1, algo_name: 'a', algo_version: '1600000000-x', label: 3, pattern: 'p', type: '', order: null, family: null, genus: null, species: null,
  datetime_created: '', api_user: null, ...more,
})

describe('labels', () => {
  it.each<[Partial<Label>, string]>([
    [{ genus: 'Drosophila', species: 'suzukii', family: 'Drosophilidae' }, 'Drosophila suzukii'],
    [{ genus: 'Drosophila', species: 'Drosophila suzukii' }, 'Drosophila suzukii'],
    [{ genus: 'Drosophila' }, 'Drosophila'],
    [{ family: 'Culicidae', order: 'Diptera', type: 'Insecta' }, 'Culicidae'],
    [{ order: 'Diptera', type: 'Insecta' }, 'Diptera'],
    [{ type: 'Background' }, 'Background'],
    [{}, 'p'],
  ])('%j is called %s', (more, want) => expect(nameOf(label(more))).toBe(want))

  it('of a newer version come first', () => {
    const all = [label({ id: 1, algo_version: '1600000000-z' }), label({ id: 2, algo_version: '1700000000-a' }), label({ id: 3, algo_version: 'draft' })]
    expect(newestFirst(all).map((l) => l.id)).toEqual([2, 1, 3])
  })

  it('are found by any of their names', () => {
    const l = label({ family: 'Culicidae', order: 'Diptera' })
    expect([holds(l, 'culi'), holds(l, 'DIPT'), holds(l, 'lepi')]).toEqual([true, true, false])
  })
})
