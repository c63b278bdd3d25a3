// Which of the outlines one points at, and what is said of one. All in pixels of the original.
import type { Corner, Outline } from '../../api/annotations'

export interface Box {
  x: number
  y: number
  w: number
  h: number
}

export function boxOf({ corners }: Outline): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity]
  for (const [x, y] of corners) {
    left = Math.min(left, x)
    right = Math.max(right, x)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y)
  }
  return { x: left, y: top, w: right - left, h: bottom - top }
}

/** The index of the outline at a place, the smallest of those around it, or else the nearest that is not further away than
 * `slack`; null where there is none. */
export function outlineAt(outlines: readonly Outline[], boxes: readonly Box[], x: number, y: number, slack: number): number | null {
  let best: { i: number; away: number; area: number } | null = null
  for (const [i, b] of boxes.entries()) {
    if (x < b.x - slack || x > b.x + b.w + slack || y < b.y - slack || y > b.y + b.h + slack) continue
    const away = distance((outlines[i] as Outline).corners, x, y)
    if (away > slack) continue
    const area = b.w * b.h
    if (!best || away < best.away || (away === best.away && area < best.area)) best = { i, away, area }
  }
  return best?.i ?? null
}

/** How far it is from a place to a polygon; 0 inside. */
function distance(corners: readonly Corner[], x: number, y: number): number {
  let inside = false
  let least = Infinity
  let [ax, ay] = corners.at(-1) as Corner
  for (const [bx, by] of corners) {
    if (by > y !== ay > y && x < ((ax - bx) * (y - by)) / (ay - by) + bx) inside = !inside
    const long = (bx - ax) ** 2 + (by - ay) ** 2
    const along = long === 0 ? 0 : Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / long))
    least = Math.min(least, Math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
    ;[ax, ay] = [bx, by]
  }
  return inside ? 0 : least
}

/** 3: 62 × 48 px; with the name where it is not the usual one, and the value where there is one. */
export function describe(outline: Outline, box: Box, i: number): string {
  const name = outline.name && outline.name !== 'insect' ? `, ${outline.name}` : ''
  const value = outline.value === 0 ? '' : `, value ${Number(outline.value.toPrecision(3))}`
  return `${i + 1}: ${Math.round(box.w)} × ${Math.round(box.h)} px${name}${value}`
}
