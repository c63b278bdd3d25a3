// What detectors found on an image. The documents come from whoever may write: nothing in them is taken on trust.
import { wireTime } from '../lib/time'
import { newerFirst } from '../lib/version'
import { api } from './http'
import type { Annotation } from './types'

export interface Outline {
  /** For the d of an SVG path, in pixels of the original. */
  path: string
  /** Its corners, each x and y. */
  corners: readonly Corner[]
  /** #rrggbb */
  stroke: string
  name: string
  /** What the detector says of it; 0 where it says nothing. */
  value: number
}

export type Corner = readonly [x: number, y: number]

export interface Found {
  algorithm: string
  version: string
  outlines: Outline[]
}

/** Bounds on what is drawn: far more than any card holds. */
const MOST_OUTLINES = 20_000
const MOST_VERTICES = 20_000

/** Reads an annotation's document; null where it is none. Objects that cannot be drawn are left out. */
export function parseDocument(json: string): Outline[] | null {
  let document: unknown
  try {
    document = JSON.parse(json)
  } catch {
    return null
  }
  const list = (document as { annotations?: unknown } | null)?.annotations
  if (!Array.isArray(list)) return null
  const outlines: Outline[] = []
  for (const item of list.slice(0, MOST_OUTLINES) as unknown[]) {
    const { contour, stroke_colour, name, value } = (item ?? {}) as Record<string, unknown>
    const corners = cornersOf(contour)
    if (corners.length === 0) continue
    outlines.push({
      path: `M${corners.map((c) => c.join(' ')).join('L')}Z`,
      corners,
      stroke: typeof stroke_colour === 'string' && /^#[0-9a-f]{6}$/i.test(stroke_colour) ? stroke_colour : '#0000ff',
      name: typeof name === 'string' ? name.slice(0, 100) : '',
      value: typeof value === 'number' && Number.isFinite(value) ? value : 0,
    })
  }
  return outlines
}

/** The corners of a contour as OpenCV gives it: N x 1 x 2. None where it is none. */
export function cornersOf(contour: unknown): Corner[] {
  if (!Array.isArray(contour) || contour.length > MOST_VERTICES) return []
  const corners: Corner[] = []
  for (const vertex of contour as unknown[]) {
    const [x, y] = (Array.isArray(vertex) && Array.isArray(vertex[0]) ? vertex[0] : []) as unknown[]
    if (typeof x !== 'number' || typeof y !== 'number' || !Number.isFinite(x) || !Number.isFinite(y)) return []
    corners.push([x, y])
  }
  return corners
}

/** An image's newest annotation, whichever algorithm made it, as /v2/series has it. */
export function newest<T extends Pick<Annotation, 'id' | 'algo_version'>>(annotations: readonly T[]): T | undefined {
  let best: T | undefined
  for (const a of annotations) {
    if (!best || (newerFirst(a.algo_version, best.algo_version) || best.id - a.id) < 0) best = a
  }
  return best
}

/** What was found on an image by the newest detector; null where it was not looked at. */
export async function getFound(device: string, time: number, signal?: AbortSignal): Promise<Found | null> {
  const annotations = await api<Annotation[]>('get_uid_annotations/data', {
    method: 'POST',
    body: [{ device, datetime: wireTime(time) }],
    ...(signal ? { signal } : {}),
  })
  const a = newest(annotations)
  const outlines = a && parseDocument(a.json)
  return a && outlines ? { algorithm: a.algo_name, version: a.algo_version, outlines } : null
}
