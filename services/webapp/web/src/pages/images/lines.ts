// The lines of a chart: broken where there were no images, and cheap where there are many on a pixel.

/** Takes a path, as Path2D does. */
export interface Pen {
  moveTo(x: number, y: number): void
  lineTo(x: number, y: number): void
}

type Values = ArrayLike<number | null | undefined>

/** The least time without a value that breaks a line, in seconds. */
const LEAST_GAP = 6 * 3600

/** From how many seconds without a value on a line is broken: several of the usual intervals. */
export function gapOf(times: ArrayLike<number>, values: Values): number {
  const apart: number[] = []
  let last = NaN
  for (let i = 0; i < times.length; i++) {
    if (values[i] === null || values[i] === undefined) continue
    const t = times[i] as number
    if (!Number.isNaN(last)) apart.push(t - last)
    last = t
  }
  const sorted = Float64Array.from(apart).sort()
  return Math.max(LEAST_GAP, 3 * (sorted[sorted.length >> 1] ?? 0))
}

/** Draws the values from one index to another. `x` and `y` give pixels. Missing values are bridged. Where more points than
 * `dense` are on a pixel, each column of pixels is one stroke from its least to its greatest value: that is what could be seen
 * of them, at a third of the cost. */
export function drawLine(pen: Pen, times: ArrayLike<number>, values: Values, from: number, to: number, x: (t: number) => number, y: (v: number) => number, gap: number, dense = 4): void {
  const across = Math.abs(x(times[to] ?? 0) - x(times[from] ?? 0))
  const columns = to - from > dense * Math.max(1, across)
  let last = NaN // the time of the point before
  let at = NaN // the column
  let [low, high, before, after] = [0, 0, NaN, NaN] // of it; and of the one before
  const flush = (linked: boolean) => {
    if (Number.isNaN(at)) return
    const a = linked && after < low ? after : low
    const b = linked && before > high ? before : high
    pen.moveTo(at, a)
    pen.lineTo(at, b > a ? b : a + 1)
    before = low
    after = high
  }
  let linked = false
  for (let i = from; i <= to; i++) {
    const v = values[i]
    if (v === null || v === undefined) continue
    const t = times[i] as number
    const broken = !(t - last <= gap)
    last = t
    if (!columns) {
      if (broken) pen.moveTo(x(t), y(v))
      else pen.lineTo(x(t), y(v))
      continue
    }
    const column = Math.round(x(t))
    const height = y(v)
    if (column === at && !broken) {
      low = Math.min(low, height)
      high = Math.max(high, height)
      continue
    }
    flush(linked)
    linked = !broken && !Number.isNaN(at)
    // columns that hold nothing lie between: a line leads over them
    if (linked && Math.abs(column - at) > 1) {
      pen.moveTo(at, (low + high) / 2)
      pen.lineTo(column, height)
    }
    at = column
    low = high = height
  }
  flush(linked)
}
