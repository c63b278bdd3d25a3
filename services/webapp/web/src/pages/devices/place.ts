// Where devices stand, on a plain drawing: degrees to pixels, and who is drawn as one.
import type { Position } from '../../lib/position'
import { type Kind, KINDS } from './condition'

export interface Spot {
  device: string
  lat: number
  lng: number
  kind: Kind
}

/** What the map shows: its middle, and the degrees of latitude from top to bottom. */
export interface Place {
  lat: number
  lng: number
  span: number
}

export interface Size {
  width: number
  height: number
}

const LEAST = 0.0005 // degrees: some 50 m
const MOST = 170
const METRES = 111_320 // of a degree of latitude

export function parsePlace(text: string | undefined): Place | null {
  const [lat, lng, span, ...more] = (text ?? '').split(',').map(Number)
  if (lat === undefined || lng === undefined || span === undefined || more.length > 0) return null
  if (!(Math.abs(lat) <= 90 && Math.abs(lng) <= 540 && span >= LEAST && span <= MOST)) return null
  return { lat, lng, span }
}

export function formatPlace(p: Place): string {
  return [p.lat.toFixed(5), p.lng.toFixed(5), Number(p.span.toPrecision(4))].join()
}

/** The spots of those devices whose position is usable. */
export function spotsOf(devices: readonly { device: string; position: Position | null; kind: Kind }[]): Spot[] {
  return devices.flatMap(({ device, position, kind }) => (position ? [{ device, lat: position.lat, lng: position.lng, kind }] : []))
}

/** Longitudes that lie to both sides of the date line are drawn beside each other. */
export function joinDateLine(spots: readonly Spot[]): Spot[] {
  const lngs = spots.map((s) => s.lng)
  if (Math.max(...lngs) - Math.min(...lngs) <= 180) return [...spots]
  return spots.map((s) => (s.lng < 0 ? { ...s, lng: s.lng + 360 } : s))
}

const shrink = (p: Place) => Math.max(0.05, Math.cos((p.lat * Math.PI) / 180)) // of a degree of longitude

/** The place that shows all spots, with a margin. */
export function placeOf(spots: readonly Spot[], { width, height }: Size): Place {
  const lats = spots.map((s) => s.lat)
  const lngs = spots.map((s) => s.lng)
  const lat = (Math.min(...lats) + Math.max(...lats)) / 2
  const lng = (Math.min(...lngs) + Math.max(...lngs)) / 2
  const across = ((Math.max(...lngs) - Math.min(...lngs)) * shrink({ lat, lng, span: 1 }) * height) / width
  return bounded({ lat, lng, span: Math.max((Math.max(...lats) - Math.min(...lats)) * 1.35, across * 1.35, 0.004) })
}

export function bounded(p: Place): Place {
  return { lat: Math.max(-85, Math.min(85, p.lat)), lng: Math.max(-540, Math.min(540, p.lng)), span: Math.max(LEAST, Math.min(MOST, p.span)) }
}

/** Pixels of a spot, from the map's left upper corner. */
export function project(p: Place, { width, height }: Size, lat: number, lng: number): [number, number] {
  const k = height / p.span
  return [width / 2 + (lng - p.lng) * shrink(p) * k, height / 2 - (lat - p.lat) * k]
}

/** The place moved by so many pixels. */
export function moved(p: Place, { height }: Size, dx: number, dy: number): Place {
  const k = p.span / height
  return bounded({ ...p, lat: p.lat + dy * k, lng: p.lng - (dx * k) / shrink(p) })
}

export function zoomed(p: Place, factor: number): Place {
  return bounded({ ...p, span: p.span * factor })
}

export interface Cluster {
  x: number
  y: number
  spots: Spot[] // the most urgent first
}

/** Devices nearer to each other than so many pixels are drawn as one, where the most urgent of them stands. */
export function clusters(spots: readonly Spot[], p: Place, size: Size, near = 30): Cluster[] {
  const all: Cluster[] = []
  const urgent = [...spots].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind))
  for (const s of urgent) {
    const [x, y] = project(p, size, s.lat, s.lng)
    if (x < -near || y < -near || x > size.width + near || y > size.height + near) continue
    const other = all.find((c) => Math.hypot(c.x - x, c.y - y) < near)
    if (other) other.spots.push(s)
    else all.push({ x, y, spots: [s] })
  }
  return all
}

export interface Name {
  text: string
  side: 'before' | 'after' // of the sign
}

/** Width of a letter, and of the room around a sign and a name, in pixels. */
const LETTER = 7.3
const ROOM = 8

/**
 * What is written beside the clusters, in their order: a device's name with how many more there are, or that number alone, or
 * nothing, as far as no other sign or name stands there.
 */
export function namesOf(all: readonly Cluster[], { width }: Size): (Name | null)[] {
  const taken: [number, number, number][] = all.map((c) => [c.x - ROOM, c.x + ROOM, c.y]) // from, to, and the line
  return all.map((c, own) => {
    const more = c.spots.length > 1 ? `+${c.spots.length - 1}` : ''
    for (const text of [`${c.spots[0]?.device ?? ''} ${more}`.trim(), more]) {
      const long = text.length * LETTER
      for (const side of ['after', 'before'] as const) {
        const from = side === 'after' ? c.x + ROOM + 2 : c.x - ROOM - 2 - long
        const free = text !== '' && from >= 0 && from + long <= width && taken.every(([a, b, y], i) => i === own || Math.abs(y - c.y) > 2 * ROOM || b < from || a > from + long)
        if (!free) continue
        taken.push([from, from + long, c.y])
        return { text, side }
      }
    }
    return null
  })
}

/** Whether zooming in could draw them apart. */
export function apart(c: Cluster): boolean {
  const [first] = c.spots
  return first !== undefined && c.spots.some((s) => Math.abs(s.lat - first.lat) > LEAST / 20 || Math.abs(s.lng - first.lng) > LEAST / 20)
}

/** 1, 2 or 5 times a power of ten, not above the value. */
export function round125(value: number): number {
  const ten = 10 ** Math.floor(Math.log10(value))
  const share = value / ten
  return (share >= 5 ? 5 : share >= 2 ? 2 : 1) * ten
}

/** A length for the scale that takes at most so many pixels: its metres, and its pixels. */
export function scaleOf(p: Place, { height }: Size, most: number): { metres: number; pixels: number } {
  const perMetre = height / p.span / METRES
  const metres = round125(most / perMetre)
  return { metres, pixels: metres * perMetre }
}

/** The degrees of lines to draw between two bounds, some five of them. */
export function lines(from: number, to: number): { at: number[]; digits: number } {
  const step = round125((to - from) / 3)
  const at: number[] = []
  for (let i = Math.ceil(from / step); i * step <= to; i++) at.push(i * step)
  return { at, digits: Math.max(0, -Math.floor(Math.log10(step))) }
}
