// What uPlot draws of a device: lines on three axes, and a row of squares for the light.
import uPlot from 'uplot'
import type { DeviceSeries } from '../../api/series'
import { lightColour } from '../../lib/colour'
import { ahead, type Zone } from '../../lib/time'
import type { Span } from '../../lib/window'
import { drawLine, gapOf } from './lines'

export interface Look {
  temperature: string
  humidity: string
  insects: string
  grid: string
  text: string
  dark: boolean
  narrow: boolean
}

/** Colours as the style sheet has them now; a canvas does not follow it. */
export function lookOf(element: Element, dark: boolean, narrow: boolean): Look {
  const style = getComputedStyle(element)
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim()
  return {
    temperature: colour('temperature'),
    humidity: colour('humidity'),
    insects: colour('insects'),
    grid: colour('grid'),
    text: colour('muted'),
    dark,
    narrow,
  }
}

/** Widths of the axes, in pixels: the same for every panel, so that times stand above each other. */
export function axisWidth(narrow: boolean): { left: number; right: number } {
  return narrow ? { left: 26, right: 26 } : { left: 40, right: 40 }
}

/** The least room for a time on the axis, in pixels; lines of the grid stand at the same times. */
const SPACE = 64

/** Height of the row of light squares, below the lines, in pixels. */
const LIGHT_ROW = 12

export interface Scales {
  temperature: Span
  humidity: Span
  light: Span
}

export function columns(s: DeviceSeries): uPlot.AlignedData {
  const none: null[] = []
  return [s.time, s.values.temperature ?? none, s.values.humidity ?? none, s.values.insects ?? none] as uPlot.AlignedData
}

export interface PanelChart {
  width: number
  height: number
  look: Look
  scales: Scales
  zone: Zone
  window: () => Span
  series: () => DeviceSeries
}

const font = (look: Look) => `${look.narrow ? 10 : 11}px system-ui, sans-serif`

/** Times on the axis are the zone's: of the date that uPlot gets, the hours and minutes of this computer's zone are the zone's. */
export function tzDate(zone: Zone): (t: number) => Date {
  if (zone === 'local') return (t) => new Date(t * 1000)
  return (t) => {
    const shown = new Date((t + ahead(t, zone)) * 1000)
    return new Date(shown.getUTCFullYear(), shown.getUTCMonth(), shown.getUTCDate(), shown.getUTCHours(), shown.getUTCMinutes(), shown.getUTCSeconds())
  }
}

function axis(look: Look, scale: string, stroke: string, side: uPlot.Axis.Side, size: number): uPlot.Axis {
  return {
    scale,
    side,
    size,
    stroke,
    font: font(look),
    gap: 3,
    space: 24,
    grid: { show: false },
    ticks: { size: 3, stroke: look.grid, width: 1 },
    values: (_, splits) => splits.map((v) => (Number.isInteger(v) ? String(v) : v.toFixed(1))),
  }
}

const gaps = new WeakMap<object, number>()

/** Times and values lie on both axes as on a ruler; uPlot's own way to reckon pixels takes several times as long. */
const paths: uPlot.Series.PathBuilder = (u, i, from, to) => {
  const stroke = new Path2D()
  const values = u.data[i] as (number | null | undefined)[]
  const [times] = u.data
  let gap = gaps.get(values)
  if (gap === undefined) gaps.set(values, (gap = gapOf(times, values)))
  const x = u.scales.x as { min: number; max: number }
  const y = u.scales[u.series[i]?.scale ?? ''] as { min: number; max: number }
  const { left, top, width, height } = u.bbox
  const [perSecond, perUnit] = [width / (x.max - x.min), height / (y.max - y.min)]
  drawLine(stroke, times, values, from, to, (t) => left + (t - x.min) * perSecond, (v) => top + height - (v - y.min) * perUnit, Math.max(gap, 4 / perSecond))
  return { stroke }
}

function line(scale: string, stroke: string): uPlot.Series {
  return {
    scale,
    stroke,
    // of one pixel: without a graphics card a wider line through a thousand points takes fifty times as long to draw
    width: 1,
    // a missing value is bridged by the line, and has no point
    paths,
    points: { size: 5, width: 1, stroke, fill: stroke, show: areApart },
  }
}

/** Images that have points however near each other they are: in a long range, a line through a few of them is too short to be seen. */
const FEW = 24
/** The least room for a point, in pixels. */
const APART = 10

/** Whether the images in sight have points. */
export function areApart(u: Pick<uPlot, 'data' | 'valToPos'>, _: number, first: number, last: number): boolean {
  if (last - first < FEW) return true
  const [a, b] = [u.data[0][first], u.data[0][last]] as [number, number]
  return (u.valToPos(b, 'x') - u.valToPos(a, 'x')) / (last - first) >= APART
}

/** Steps of an axis that counts: whole numbers. */
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]

const countScale: uPlot.Scale = { auto: true, range: (_, __, max) => [0, Math.max(4, Math.ceil((max ?? 0) * 1.05))] }

export function panelOptions(c: PanelChart): uPlot.Options {
  const { left, right } = axisWidth(c.look.narrow)
  return {
    width: c.width,
    height: c.height,
    padding: [6, 0, LIGHT_ROW + 4, 0],
    legend: { show: false },
    tzDate: tzDate(c.zone),
    cursor: {
      x: true,
      y: false,
      drag: { x: false, y: false, setScale: false },
      points: { size: 8 },
      sync: { key: 'images', setSeries: false },
    },
    scales: {
      x: { time: true, auto: false, range: () => c.window() },
      t: { auto: false, range: () => c.scales.temperature },
      h: { auto: false, range: () => c.scales.humidity },
      n: countScale,
    },
    axes: [
      { scale: 'x', size: 0, space: SPACE, ticks: { show: false }, grid: { stroke: c.look.grid, width: 1 }, values: (_, splits) => splits.map(() => '') },
      axis(c.look, 't', c.look.temperature, 3, left),
      axis(c.look, 'h', c.look.humidity, 1, right),
      { ...axis(c.look, 'n', c.look.insects, 1, right), incrs: COUNTS },
    ],
    series: [{}, line('t', c.look.temperature), line('h', c.look.humidity), line('n', c.look.insects)],
    hooks: { draw: [(u) => drawLight(u, c.series(), c.scales.light, c.look.dark)] },
  }
}

/** One variable of several devices, in the place of their panels: as wide as those, for the same axis of times. */
export function compareOptions(c: { width: number; height: number; look: Look; zone: Zone; window: () => Span; counts: boolean; colours: string[] }): uPlot.Options {
  const { left, right } = axisWidth(c.look.narrow)
  return {
    width: c.width,
    height: c.height,
    padding: [6, 2 * right, 6, 0],
    legend: { show: false },
    tzDate: tzDate(c.zone),
    cursor: { x: true, y: false, drag: { x: false, y: false, setScale: false }, points: { show: false } },
    scales: { x: { time: true, auto: false, range: () => c.window() }, y: c.counts ? countScale : { auto: true } },
    axes: [
      { scale: 'x', size: 0, space: SPACE, ticks: { show: false }, grid: { stroke: c.look.grid, width: 1 }, values: (_, splits) => splits.map(() => '') },
      { ...axis(c.look, 'y', c.look.text, 3, left), grid: { show: true, stroke: c.look.grid, width: 1 }, ...(c.counts ? { incrs: COUNTS } : {}) },
    ],
    series: [{}, ...c.colours.map((colour) => line('y', colour))],
  }
}

/** One square for an image, side by side where there are many. */
function drawLight(u: uPlot, s: DeviceSeries, scale: Span, dark: boolean): void {
  const light = s.values.light
  if (!light) return
  const ratio = uPlot.pxRatio
  const { left, top, width, height } = u.bbox
  const y = top + height + 3 * ratio
  const side = (LIGHT_ROW - 2) * ratio
  const { min, max } = u.scales.x as { min: number; max: number }
  const perSecond = width / (max - min)
  u.ctx.save()
  u.ctx.beginPath()
  u.ctx.rect(left, y, width, side)
  u.ctx.clip()
  for (let i = lowerBound(s.time, min - side / perSecond); i < s.time.length; ) {
    const t = s.time[i] as number
    if (t > max + side / perSecond) break
    const value = light[i]
    let next = i + 1
    if (value !== null && value !== undefined) {
      while (next < s.time.length && ((s.time[next] as number) - t) * perSecond < ratio) next++ // those on the same pixel
      const room = next < s.time.length ? ((s.time[next] as number) - t) * perSecond : side
      const w = Math.max(ratio, Math.min(side, room))
      u.ctx.fillStyle = lightColour(value, scale, dark)
      u.ctx.fillRect(left + (t - min) * perSecond - w / 2, y, w, side)
    }
    i = next
  }
  u.ctx.restore()
}

function lowerBound(times: readonly number[], at: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] as number) < at) low = middle + 1
    else high = middle
  }
  return low
}

/** The axis of times that all panels share: a chart without lines, as wide as they are. */
export function axisOptions(width: number, look: Look, zone: Zone, window: () => Span): uPlot.Options {
  const { left, right } = axisWidth(look.narrow)
  return {
    width,
    height: 40,
    padding: [0, 2 * right, 0, left],
    legend: { show: false },
    tzDate: tzDate(zone),
    cursor: { show: false },
    scales: { x: { time: true, auto: false, range: () => window() }, y: { range: [0, 1] } },
    axes: [
      { scale: 'x', size: 40, stroke: look.text, font: font(look), grid: { show: false }, ticks: { size: 4, stroke: look.text, width: 1 }, space: SPACE, values: timeLabels },
      { scale: 'y', show: false },
    ],
    series: [{}, { show: false }],
  }
}

/** From ticks at least so many seconds apart on: the label, and what is added where a year, a day or an hour begins. */
const DATE = '\n{D} {MMM}'
const DATE_YEAR = '\n{D} {MMM} {YYYY}'
const timeLabels: uPlot.Axis.Values = [
  [365 * 86400, '{YYYY}', null, null, null, null, null, null, 1],
  [28 * 86400, '{MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [86400, '{D} {MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', DATE_YEAR, null, DATE, null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', DATE_YEAR, null, DATE, null, null, null, 1],
]
