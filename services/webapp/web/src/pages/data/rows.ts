// The table's rows without the rows: how many images a device has on each day is known (GET /v2/devices), and so which
// images a part of the table shows. They are asked for a day of a device at a time, when they come into sight.
import type { DeviceState } from '../../api/types'
import { DAY } from '../../lib/time'

/** The images of one device and day. */
export interface Block {
  device: string
  start: number // the day's beginning, seconds
  row: number // of its first image, from 0
  count: number
}

/** Blocks in the table's order: device, then time. `start` is the first day's beginning. */
export function blocksOf(devices: readonly DeviceState[], start: number): Block[] {
  const blocks: Block[] = []
  let row = 0
  for (const d of devices) {
    d.images_per_day.forEach((count, day) => {
      if (count === 0) return
      blocks.push({ device: d.device, start: start + day * DAY, row, count })
      row += count
    })
  }
  return blocks
}

export function rowCount(blocks: readonly Block[]): number {
  const last = blocks.at(-1)
  return last ? last.row + last.count : 0
}

/** The blocks that hold the rows from `first` up to, and without, `end`. */
export function blocksBetween(blocks: readonly Block[], first: number, end: number): Block[] {
  let low = 0
  let high = blocks.length
  while (low < high) {
    const middle = (low + high) >> 1
    const b = blocks[middle] as Block
    if (b.row + b.count <= first) low = middle + 1
    else high = middle
  }
  const found: Block[] = []
  for (let i = low; i < blocks.length && (blocks[i] as Block).row < end; i++) found.push(blocks[i] as Block)
  return found
}
