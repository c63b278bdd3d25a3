// Mouse, wheel, fingers and keys on a chart. A mouse that is dragged chooses a window; with shift or the middle button, or
// with a finger, it moves it. Two fingers, or ctrl and the wheel, zoom; the wheel alone scrolls the page.
import { panBy, zoomAt, type Span } from '../../lib/window'

export interface Chart {
  element: HTMLElement
  window: () => Span
  range: () => Span
  /** Shows a window; `done`: the gesture is over. */
  show: (span: Span, done: boolean) => void
  /** Marks what is being chosen, in pixels from the left; null: nothing. */
  mark: (from: number, to: number) => void
  /** A click or a tap, at pixels from the left. */
  click: (x: number) => void
  /** The pointer is here, or gone. */
  hover: (x: number | null, touch: boolean) => void
}

/** Shows what is being chosen on a chart: what `mark` takes. */
export function band(over: HTMLElement): Chart['mark'] {
  const shade = document.createElement('div')
  shade.className = 'band'
  over.append(shade)
  return (from, to) => {
    shade.style.left = `${from}px`
    shade.style.width = `${Math.max(0, to - from)}px`
  }
}

/** How far a pointer may move in a click, in pixels. */
const STILL = 5

interface Finger {
  x: number
  y: number
}

export function follow(c: Chart): () => void {
  const fingers = new Map<number, Finger>()
  let start: { x: number; window: Span; mode: 'choose' | 'pan' | 'pinch'; moved: boolean; apart: number } | null = null

  const width = () => c.element.clientWidth || 1
  const xOf = (e: PointerEvent | WheelEvent) => e.clientX - c.element.getBoundingClientRect().left
  const timeAt = (x: number, [a, b]: Span) => a + (x / width()) * (b - a)
  const apart = () => {
    const [p, q] = [...fingers.values()]
    return p && q ? Math.max(10, Math.abs(p.x - q.x)) : 1
  }
  const middle = () => {
    const [p, q] = [...fingers.values()]
    return p && q ? (p.x + q.x) / 2 : (p?.x ?? 0)
  }

  function down(e: PointerEvent) {
    if (e.button > 1) return
    if (e.button === 1) e.preventDefault()
    const x = xOf(e)
    fingers.set(e.pointerId, { x, y: e.clientY })
    c.element.setPointerCapture(e.pointerId)
    const touch = e.pointerType === 'touch'
    const mode = fingers.size > 1 ? 'pinch' : touch || e.shiftKey || e.button === 1 ? 'pan' : 'choose'
    start = { x: mode === 'pinch' ? middle() : x, window: c.window(), mode, moved: mode === 'pinch', apart: apart() }
  }

  function move(e: PointerEvent) {
    const x = xOf(e)
    const finger = fingers.get(e.pointerId)
    if (!finger || !start) {
      c.hover(x, e.pointerType === 'touch')
      return
    }
    finger.x = x
    if (Math.abs(x - start.x) > STILL) start.moved = true
    if (!start.moved) return
    c.hover(null, false)
    const [a, b] = start.window
    switch (start.mode) {
      case 'choose':
        c.mark(Math.min(start.x, x), Math.max(start.x, x))
        break
      case 'pan':
        c.show(panBy(start.window, ((start.x - x) / width()) * (b - a), c.range()), false)
        break
      case 'pinch': {
        const zoomed = zoomAt(start.window, timeAt(start.x, start.window), start.apart / apart(), c.range())
        c.show(panBy(zoomed, ((start.x - middle()) / width()) * (zoomed[1] - zoomed[0]), c.range()), false)
      }
    }
  }

  function up(e: PointerEvent) {
    const x = xOf(e)
    const was = start
    fingers.delete(e.pointerId)
    if (fingers.size > 0) return // a pinch ends with its last finger
    start = null
    if (!was) return
    if (!was.moved) {
      if (e.type === 'pointerup') c.click(x)
      return
    }
    if (was.mode === 'choose') {
      c.mark(0, 0)
      if (e.type !== 'pointerup') return
      const [from, to] = [Math.max(0, Math.min(was.x, x)), Math.min(width(), Math.max(was.x, x))]
      c.show([timeAt(from, was.window), timeAt(to, was.window)], true)
    } else {
      c.show(c.window(), true)
    }
  }

  function leave() {
    if (!start) c.hover(null, false)
  }

  let wheelRests = 0
  function wheel(e: WheelEvent) {
    const sideways = Math.abs(e.deltaX) > Math.abs(e.deltaY)
    if (!e.ctrlKey && !e.metaKey && !sideways && !e.shiftKey) return
    e.preventDefault()
    const unit = e.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1
    const now = c.window()
    if (e.ctrlKey || e.metaKey) {
      c.show(zoomAt(now, timeAt(xOf(e), now), Math.exp(Math.max(-1, Math.min(1, (e.deltaY * unit) / 300))), c.range()), false)
    } else {
      const by = (sideways ? e.deltaX : e.deltaY) * unit
      c.show(panBy(now, (by / width()) * (now[1] - now[0]), c.range()), false)
    }
    clearTimeout(wheelRests)
    wheelRests = window.setTimeout(() => c.show(c.window(), true), 200)
  }

  const { element } = c
  element.addEventListener('pointerdown', down)
  element.addEventListener('pointermove', move)
  element.addEventListener('pointerup', up)
  element.addEventListener('pointercancel', up)
  element.addEventListener('pointerleave', leave)
  element.addEventListener('wheel', wheel, { passive: false })
  return () => {
    clearTimeout(wheelRests)
    element.removeEventListener('pointerdown', down)
    element.removeEventListener('pointermove', move)
    element.removeEventListener('pointerup', up)
    element.removeEventListener('pointercancel', up)
    element.removeEventListener('pointerleave', leave)
    element.removeEventListener('wheel', wheel)
  }
}
