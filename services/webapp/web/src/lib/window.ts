// The window of time that charts show: zoom and pan, bounded by the range.

export type Span = [number, number]

/** The narrowest window, in seconds. */
export const NARROWEST = 120

/** Puts a window inside the range, as wide as it is where that fits. */
export function fitSpan([a, b]: Span, [start, end]: Span): Span {
  const width = Math.min(Math.max(b - a, NARROWEST), end - start)
  const middle = (a + b) / 2
  const from = Math.min(Math.max(b - a >= NARROWEST ? a : middle - width / 2, start), end - width)
  return [from, from + width]
}

/** Zooms by a factor (below 1: in) around a moment, which stays where it is. */
export function zoomAt([a, b]: Span, at: number, factor: number, range: Span): Span {
  const width = Math.min(Math.max((b - a) * factor, NARROWEST), range[1] - range[0])
  const share = (at - a) / (b - a)
  const from = at - share * width
  return fitSpan([from, from + width], range)
}

/** Moves a window by seconds. */
export function panBy([a, b]: Span, by: number, range: Span): Span {
  return fitSpan([a + by, b + by], range)
}

export function isWhole([a, b]: Span, [start, end]: Span): boolean {
  return a <= start && b >= end
}

/** The index of the time that is nearest; -1 where there is none. Times rise. */
export function nearest(times: ArrayLike<number>, at: number): number {
  let low = 0
  let high = times.length - 1
  if (high < 0) return -1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] as number) < at) low = middle + 1
    else high = middle
  }
  const before = times[low - 1]
  return before !== undefined && at - before <= (times[low] as number) - at ? low - 1 : low
}
