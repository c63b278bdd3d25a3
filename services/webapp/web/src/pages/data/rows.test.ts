import { describe, expect, it } from 'vitest'
import type { DeviceState } from '../../api/types'
import { DAY } from '../../lib/time'
import { blocksBetween, blocksOf, rowCount } from './rows'

const device = (name: string, images_per_day: number[]) => ({ device: name, images_per_day }) as DeviceState
const blocks = blocksOf([device('a', [2, 0, 3]), device('b', [0, 0, 0]), device('c', [4, 1, 0])], 1000 * DAY)

describe('the rows', () => {
  it('are counted by device and day, without days that have none', () => {
    expect(blocks).toEqual([
      { device: 'a', start: 1000 * DAY, row: 0, count: 2 },
      { device: 'a', start: 1002 * DAY, row: 2, count: 3 },
      { device: 'c', start: 1000 * DAY, row: 5, count: 4 },
      { device: 'c', start: 1001 * DAY, row: 9, count: 1 },
    ])
    expect(rowCount(blocks)).toBe(10)
    expect(rowCount([])).toBe(0)
  })

  it.each([
    [0, 1, [0]],
    [1, 3, [0, 2]],
    [2, 5, [2]],
    [4, 10, [2, 5, 9]],
    [10, 20, []],
  ])('from %d to %d are in the blocks that begin at %j', (first, end, want) => {
    expect(blocksBetween(blocks, first, end).map((b) => b.row)).toEqual(want)
  })
})
