import { useEffect, useId, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { DeviceSeries } from '../../api/series'
import { useStore } from '../../lib/store'
import { count, showTime, zoneName } from '../../lib/time'
import { nearest, panBy, zoomAt, type Span } from '../../lib/window'
import { zone } from '../../state/prefs'
import { go } from '../../state/view'
import { columns, panelOptions, type Look, type Scales } from './chart'
import { band, follow } from './gestures'
import { values } from './hover'
import { hovered, shownWindow } from './state'

/** How near a pointer must come to an image, in pixels. */
const NEAR = 24

export interface PanelProps {
  series: DeviceSeries
  /** Of the device in the whole range; the series may be that of a part. */
  images: number
  range: Span
  width: number
  height: number
  look: Look
  scales: Scales
  showSpan: (span: Span, done: boolean) => void
}

/** The chart of one device. It is drawn only while it is on the screen, or nearly. */
export function Panel(props: PanelProps) {
  const { series, look, height } = props
  const root = useRef<HTMLElement>(null)
  const place = useRef<HTMLDivElement>(null)
  const [visible, setVisible] = useState(false)
  const latest = useRef(props)
  latest.current = props
  const plot = useRef<uPlot | null>(null)
  const now = useStore(zone)
  const [said, say] = useState('')
  const at = useRef(-1) // the image that the keys are at
  const help = useId()

  useEffect(() => {
    if (!root.current) return
    const watch = new IntersectionObserver((entries) => setVisible(entries.at(-1)?.isIntersecting ?? false), { rootMargin: '200px 0px' })
    watch.observe(root.current)
    return () => watch.disconnect()
  }, [])

  useEffect(() => {
    if (!visible || !place.current || props.width === 0) return
    const u = new uPlot(
      panelOptions({
        width: props.width,
        height,
        look,
        zone: now,
        scales: props.scales,
        window: () => shownWindow.value,
        series: () => latest.current.series,
      }),
      columns(latest.current.series),
      place.current,
    )
    plot.current = u
    let frame = 0
    const unfollow = shownWindow.follow(() => {
      if (frame) return
      frame = requestAnimationFrame(() => {
        frame = 0
        const [min, max] = shownWindow.value
        u.setScale('x', { min, max })
      })
    })
    const ungesture = follow({
      element: u.over,
      window: () => shownWindow.value,
      range: () => latest.current.range,
      show: (span, done) => latest.current.showSpan(span, done),
      mark: band(u.over),
      click: (x) => {
        const index = hit(u, latest.current.series, x)
        if (index >= 0) open(latest.current.series, index)
      },
      hover: (x, touch) => {
        const index = x === null || touch ? -1 : hit(u, latest.current.series, x)
        const box = u.over.getBoundingClientRect()
        hovered.set(index < 0 ? null : { series: latest.current.series, index, x: box.left + u.valToPos(latest.current.series.time[index] as number, 'x'), y: box.top })
      },
    })
    return () => {
      unfollow()
      ungesture()
      cancelAnimationFrame(frame)
      plot.current = null
      u.destroy()
    }
  }, [visible, props.width, height, look, props.scales, now])

  useEffect(() => {
    plot.current?.setData(columns(series), false)
    plot.current?.redraw()
    at.current = -1
  }, [series])

  function keys(e: KeyboardEvent) {
    const { time } = series
    const span = shownWindow.value
    const first = at.current >= 0 ? at.current : nearest(time, (span[0] + span[1]) / 2)
    let next = -1
    switch (e.key) {
      case 'ArrowLeft':
      case 'ArrowRight': {
        if (e.shiftKey) {
          props.showSpan(panBy(span, ((e.key === 'ArrowLeft' ? -1 : 1) * (span[1] - span[0])) / 8, props.range), true)
          break
        }
        next = at.current < 0 ? first : first + (e.key === 'ArrowLeft' ? -1 : 1)
        break
      }
      case '+':
      case '=':
        props.showSpan(zoomAt(span, at.current >= 0 ? (time[at.current] as number) : (span[0] + span[1]) / 2, 0.5, props.range), true)
        break
      case '-':
        props.showSpan(zoomAt(span, (span[0] + span[1]) / 2, 2, props.range), true)
        break
      case '0':
        props.showSpan(props.range, true)
        break
      case 'Enter':
      case ' ':
        if (first >= 0) open(series, first)
        break
      default:
        return
    }
    e.preventDefault()
    const t = time[next]
    const u = plot.current
    if (t === undefined || !u) return
    at.current = next
    if (t < span[0] || t > span[1]) props.showSpan(panBy(span, t - (span[0] + span[1]) / 2, props.range), true)
    const box = u.over.getBoundingClientRect()
    hovered.set({ series, index: next, x: box.left + ((t - shownWindow.value[0]) / (shownWindow.value[1] - shownWindow.value[0])) * box.width, y: box.top })
    say(`${showTime(t, now)} ${zoneName(now, t)}. ${values(series, next).map(([name, value]) => `${name}: ${value}`).join(', ')}`)
  }

  return (
    <section
      class="panel"
      ref={root}
      tabIndex={0}
      role="group"
      aria-label={`Chart of device ${series.device}, ${count(props.images, 'image')}`}
      aria-describedby={help}
      onKeyDown={keys}
      onBlur={() => hovered.set(null)}
    >
      <h2>
        <code>{series.device}</code> <span class="muted">{count(props.images, 'image')}</span>
      </h2>
      <div class="plot" ref={place} style={{ height: `${height}px` }} />
      <span class="sr-only" id={help}>
        Left and right go from image to image, Enter opens it, plus and minus zoom, 0 shows the whole range.
      </span>
      <span class="sr-only" role="status">
        {said}
      </span>
    </section>
  )
}

function hit(u: uPlot, s: DeviceSeries, x: number): number {
  const index = nearest(s.time, u.posToVal(x, 'x'))
  return index >= 0 && Math.abs(u.valToPos(s.time[index] as number, 'x') - x) <= NEAR ? index : -1
}

export function open(s: DeviceSeries, index: number): void {
  hovered.set(null)
  go({ image: { device: s.device, time: s.time[index] as number } })
}
