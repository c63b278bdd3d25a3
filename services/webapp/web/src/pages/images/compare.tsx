// One variable of several devices on one chart.
import { useEffect, useMemo, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import type { DeviceSeries, Variable } from '../../api/series'
import { deviceColours } from '../../lib/colour'
import { useStore } from '../../lib/store'
import type { Span } from '../../lib/window'
import { nearest } from '../../lib/window'
import { zone } from '../../state/prefs'
import { compareOptions, type Look } from './chart'
import { band, follow } from './gestures'
import { open } from './panel'
import { hovered, shownWindow } from './state'

/** What can be compared, as the address and the chooser name it. */
export const comparable: readonly [Variable, string][] = [
  ['temperature', 'Temperature (°C)'],
  ['humidity', 'Relative humidity (%)'],
  ['light', 'Light (relative)'],
  ['insects', 'Insects'],
]

/** More lines than colours cannot be told apart. */
const MOST = deviceColours.length
/** How near a pointer must come to an image, in pixels, across and up. */
const NEAR = 30

interface Props {
  series: readonly DeviceSeries[]
  variable: Variable
  range: Span
  width: number
  look: Look
  showSpan: (span: Span, done: boolean) => void
}

export function Compare(props: Props) {
  const { variable, width, look } = props
  const place = useRef<HTMLDivElement>(null)
  const now = useStore(zone)
  const shown = props.series.slice(0, MOST)
  const latest = useRef({ ...props, shown })
  latest.current = { ...props, shown }
  const names = shown.map((s) => s.device).join()

  const data = useMemo(() => {
    const tables = shown.map((s) => [s.time, s.values[variable] ?? s.time.map(() => null)] as uPlot.AlignedData)
    return tables.length > 0 ? uPlot.join(tables) : ([[], []] as uPlot.AlignedData)
  }, [props.series, variable])

  useEffect(() => {
    if (!place.current || width === 0) return
    const u = new uPlot(
      compareOptions({ width, height: 380, look, zone: now, window: () => shownWindow.value, counts: variable === 'insects', colours: latest.current.shown.map((_, i) => deviceColours[i] as string) }),
      data,
      place.current,
    )
    let frame = 0
    const unfollow = shownWindow.follow(() => {
      if (frame) return
      frame = requestAnimationFrame(() => {
        frame = 0
        const [min, max] = shownWindow.value
        u.setScale('x', { min, max })
      })
    })
    let pointerY = 0
    const at = (e: PointerEvent) => (pointerY = e.clientY - u.over.getBoundingClientRect().top)
    u.over.addEventListener('pointermove', at)
    u.over.addEventListener('pointerdown', at)
    const hit = (x: number): [DeviceSeries, number] | null => {
      let best: [DeviceSeries, number] | null = null
      let least = NEAR
      for (const s of latest.current.shown) {
        const i = nearest(s.time, u.posToVal(x, 'x'))
        const value = s.values[latest.current.variable]?.[i]
        if (i < 0 || value === null || value === undefined) continue
        const away = Math.hypot(u.valToPos(s.time[i] as number, 'x') - x, u.valToPos(value, 'y') - pointerY)
        if (away < least) [best, least] = [[s, i], away]
      }
      return best
    }
    const ungesture = follow({
      element: u.over,
      window: () => shownWindow.value,
      range: () => latest.current.range,
      show: (span, done) => latest.current.showSpan(span, done),
      mark: band(u.over),
      click: (x) => {
        const found = hit(x)
        if (found) open(...found)
      },
      hover: (x, touch) => {
        const found = x === null || touch ? null : hit(x)
        const box = u.over.getBoundingClientRect()
        hovered.set(found && { series: found[0], index: found[1], x: box.left + u.valToPos(found[0].time[found[1]] as number, 'x'), y: box.top + pointerY })
      },
    })
    return () => {
      unfollow()
      ungesture()
      cancelAnimationFrame(frame)
      u.over.removeEventListener('pointermove', at)
      u.over.removeEventListener('pointerdown', at)
      u.destroy()
    }
  }, [data, names, variable, width, look, now])

  return (
    <section class="panel compare" aria-label={`${comparable.find(([v]) => v === variable)?.[1] ?? ''} of ${shown.length} devices`}>
      <h2>{comparable.find(([v]) => v === variable)?.[1]}</h2>
      <ul class="legend">
        {shown.map((s, i) => (
          <li key={s.device}>
            <span class="swatch" style={{ background: deviceColours[i] }} />
            <code>{s.device}</code>
          </li>
        ))}
        {props.series.length > MOST && (
          <li class="muted">
            and {props.series.length - MOST} more: choose up to {MOST} devices above to see others
          </li>
        )}
      </ul>
      <div class="plot" ref={place} style={{ height: '380px' }} />
    </section>
  )
}
