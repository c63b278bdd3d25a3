// The window within the whole range: the shared axis of times, and below it a bar whose ends and middle can be moved.
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { useStore } from '../../lib/store'
import { showTime } from '../../lib/time'
import { fitSpan, panBy, type Span } from '../../lib/window'
import { zone } from '../../state/prefs'
import { axisOptions, axisWidth, type Look } from './chart'
import type { Loaded } from './load'
import { shownWindow } from './state'

interface Props {
  base: Loaded
  width: number
  look: Look
  showSpan: (span: Span, done: boolean) => void
}

export function TimeAxis({ width, look }: Props) {
  const place = useRef<HTMLDivElement>(null)
  const now = useStore(zone)
  useEffect(() => {
    if (!place.current || width === 0) return
    const u = new uPlot(axisOptions(width, look, now, () => shownWindow.value), [[0, 1], [null, null]], place.current)
    const unfollow = shownWindow.follow(() => {
      const [min, max] = shownWindow.value
      u.setScale('x', { min, max })
    })
    return () => {
      unfollow()
      u.destroy()
    }
  }, [width, look, now])
  return <div class="time-axis" ref={place} aria-hidden="true" />
}

type Part = 'from' | 'to' | 'both'

export function RangeSlider({ base, width, look, showSpan }: Props) {
  const bar = useRef<HTMLDivElement>(null)
  const density = useRef<HTMLCanvasElement>(null)
  const span = useStore(shownWindow)
  const now = useStore(zone)
  const { range } = base
  const { left, right } = axisWidth(look.narrow)
  const length = Math.max(1, width - left - 2 * right)
  const share = (t: number) => `${(100 * (t - range[0])) / (range[1] - range[0])}%`

  useEffect(() => {
    const canvas = density.current
    const context = canvas?.getContext('2d')
    if (!canvas || !context) return
    canvas.width = length
    canvas.height = 24
    const bins = new Uint32Array(Math.max(1, Math.round(length / 3)))
    for (const s of base.series) {
      for (const t of s.time) {
        const bin = Math.floor(((t - range[0]) / (range[1] - range[0])) * bins.length)
        if (bin >= 0 && bin < bins.length) bins[bin] = (bins[bin] as number) + 1
      }
    }
    const most = bins.reduce((a, b) => Math.max(a, b), 1)
    context.fillStyle = look.text
    bins.forEach((n, i) => {
      const h = Math.ceil((n / most) * 20)
      context.fillRect(i * 3, 24 - h, 2, h)
    })
  }, [base, length, look])

  function drag(part: Part) {
    return (down: PointerEvent) => {
      if (down.button !== 0 || !bar.current) return
      down.preventDefault()
      const target = down.currentTarget as HTMLElement
      target.focus()
      target.setPointerCapture(down.pointerId)
      const began = shownWindow.value
      const perPixel = (range[1] - range[0]) / bar.current.clientWidth
      const move = (e: PointerEvent) => showSpan(moved(part, began, (e.clientX - down.clientX) * perPixel), false)
      const up = () => {
        target.removeEventListener('pointermove', move)
        target.removeEventListener('pointerup', up)
        target.removeEventListener('pointercancel', up)
        showSpan(shownWindow.value, true)
      }
      target.addEventListener('pointermove', move)
      target.addEventListener('pointerup', up)
      target.addEventListener('pointercancel', up)
    }
  }

  function moved(part: Part, [a, b]: Span, by: number): Span {
    if (part === 'both') return panBy([a, b], by, range)
    const next: Span = part === 'from' ? [Math.min(Math.max(a + by, range[0]), b), b] : [a, Math.max(a, Math.min(b + by, range[1]))]
    return fitSpan(next, range)
  }

  function keys(part: Part) {
    return (e: KeyboardEvent) => {
      const step = (range[1] - range[0]) / (e.shiftKey ? 20 : 200)
      const by = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -step * 10, PageUp: step * 10 }[e.key]
      if (by === undefined) return
      e.preventDefault()
      showSpan(moved(part, span, by), true)
    }
  }

  const handle = (part: 'from' | 'to', label: string, value: number) => (
    <div
      class={`handle ${part}`}
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-valuemin={Math.round(range[0])}
      aria-valuemax={Math.round(range[1])}
      aria-valuenow={Math.round(value)}
      aria-valuetext={showTime(value, now, false)}
      onPointerDown={drag(part)}
      onKeyDown={keys(part)}
    />
  )

  return (
    <div class="range-slider" style={{ marginLeft: `${left}px`, width: `${length}px` }} ref={bar}>
      <canvas ref={density} aria-hidden="true" />
      <div class="window" style={{ left: share(span[0]), right: `${100 - (100 * (span[1] - range[0])) / (range[1] - range[0])}%` }}>
        <div
          class="middle"
          role="slider"
          tabIndex={0}
          aria-label="Window of time"
          aria-valuemin={Math.round(range[0])}
          aria-valuemax={Math.round(range[1])}
          aria-valuenow={Math.round((span[0] + span[1]) / 2)}
          aria-valuetext={`${showTime(span[0], now, false)} to ${showTime(span[1], now, false)}`}
          onPointerDown={drag('both')}
          onKeyDown={keys('both')}
        />
        {handle('from', 'Beginning of the window', span[0])}
        {handle('to', 'End of the window', span[1])}
      </div>
    </div>
  )
}
