// One picture, as large as there is room, with outlines over it; zoomed and moved by wheel, fingers and keys. Outlines are
// in pixels of the original, whatever size of the picture lies below them.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Outline } from '../../api/annotations'
import { rimOf } from '../../lib/colour'

export interface Place {
  k: number // 1: as large as there is room
  x: number // of the picture's left upper corner, in pixels
  y: number
}

const WHOLE: Place = { k: 1, x: 0, y: 0 }
/** Pixels of the screen for each of the photograph's, across, at most: more shows nothing more. */
const ENLARGED = 8
/** Width of the outlines on the screen, in pixels, however close one looks. */
const STROKE = 1.6

interface Props {
  width: number // of the original, in pixels
  height: number
  thumbnail: string
  /** The original's address; null: not loaded. */
  full: string | null
  outlines: readonly Outline[] | null
  label: string
  /** Called when one looks closer than the thumbnail allows. */
  onCloser: () => void
  /** What the zoom should become; null: what it is. */
  wish: Wish | null
  onZoom: (zoom: Zoom) => void
}

/** The whole picture, a pixel of the screen for each of the photograph's, or so many times what it is; each object is obeyed once. */
export interface Wish {
  to: 'whole' | 'pixels' | number
}

export interface Zoom {
  /** Pixels of the screen for each of the photograph's, across. */
  scale: number
  /** The whole picture is shown; it cannot be enlarged further; `scale` is 1. */
  whole: boolean
  most: boolean
  pixels: boolean
}

export function Stage(p: Props) {
  const box = useRef<HTMLDivElement>(null)
  const [size, setSize] = useState({ w: 0, h: 0 })
  const [place, setPlace] = useState<Place>(WHOLE)
  const [loaded, setLoaded] = useState('')
  const latest = useRef({ place, size })
  latest.current = { place, size }

  useLayoutEffect(() => {
    const element = box.current
    if (!element) return
    const measure = () => {
      const w = Math.min(element.clientWidth, (element.clientHeight * p.width) / p.height)
      setSize({ w, h: (w * p.height) / p.width })
    }
    measure()
    const watch = new ResizeObserver(measure)
    watch.observe(element)
    return () => watch.disconnect()
  }, [p.width, p.height])

  /** The k at which a pixel of the photograph is one of the screen; below 1 where the whole picture is enlarged. */
  const pixels = () => p.width / Math.max(1, latest.current.size.w * devicePixelRatio)
  const bounded = (k: number) => Math.max(1, Math.min(ENLARGED * pixels(), k))

  function put(next: Place) {
    const { w, h } = latest.current.size
    const k = bounded(next.k)
    // the picture covers its own place: no empty space comes in
    const x = Math.min(0, Math.max(w - w * k, next.x))
    const y = Math.min(0, Math.max(h - h * k, next.y))
    setPlace({ k, x, y })
    if (k > 1.2) p.onCloser()
  }
  const closer = (factor: number, cx: number, cy: number) => {
    const { place: now } = latest.current
    const k = bounded(now.k * factor)
    put({ k, x: cx - ((cx - now.x) * k) / now.k, y: cy - ((cy - now.y) * k) / now.k })
  }

  const gestures = useRef({ put, closer, pixels })
  gestures.current = { put, closer, pixels } // which know the picture that is shown

  useEffect(() => {
    const { size, place } = latest.current
    if (!p.wish) return
    const { to } = p.wish
    const factor = typeof to === 'number' ? to : (to === 'pixels' ? pixels() : 1) / place.k
    closer(factor, size.w / 2, size.h / 2) // around the middle of what is shown
  }, [p.wish])

  // where the window gets another size the picture stays inside, and no larger than it may be
  useEffect(() => put(latest.current.place), [size.w, size.h])

  const scale = size.w === 0 ? 0 : place.k / pixels()
  useEffect(() => {
    if (scale > 0) p.onZoom({ scale, whole: place.k === 1, most: place.k >= bounded(Infinity), pixels: Math.abs(scale - 1) < 0.001 })
  }, [scale, place.k])

  useEffect(() => {
    const element = box.current?.firstElementChild as HTMLElement | null
    if (!element) return
    const at = (e: { clientX: number; clientY: number }): [number, number] => {
      const r = element.getBoundingClientRect()
      return [e.clientX - r.left, e.clientY - r.top]
    }
    const fingers = new Map<number, [number, number]>()
    const apart = () => {
      const [a, b] = [...fingers.values()]
      return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0
    }
    const wheel = (e: WheelEvent) => {
      e.preventDefault()
      gestures.current.closer(Math.exp(-Math.max(-1, Math.min(1, e.deltaY / 300))), ...at(e))
    }
    const down = (e: PointerEvent) => {
      fingers.set(e.pointerId, at(e))
      element.setPointerCapture(e.pointerId)
    }
    const move = (e: PointerEvent) => {
      const before = fingers.get(e.pointerId)
      if (!before) return
      const wide = apart()
      const now = at(e)
      fingers.set(e.pointerId, now)
      if (fingers.size === 2 && wide > 0) {
        const [a, b] = [...fingers.values()] as [[number, number], [number, number]]
        gestures.current.closer(apart() / wide, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
      } else {
        const { place } = latest.current
        gestures.current.put({ k: place.k, x: place.x + now[0] - before[0], y: place.y + now[1] - before[1] })
      }
    }
    const up = (e: PointerEvent) => fingers.delete(e.pointerId)
    const twice = (e: MouseEvent) => (latest.current.place.k > 1.01 ? setPlace(WHOLE) : gestures.current.closer(Math.max(2, gestures.current.pixels()), ...at(e)))
    element.addEventListener('wheel', wheel, { passive: false })
    element.addEventListener('pointerdown', down)
    element.addEventListener('pointermove', move)
    element.addEventListener('pointerup', up)
    element.addEventListener('pointercancel', up)
    element.addEventListener('dblclick', twice)
    return () => {
      element.removeEventListener('wheel', wheel)
      element.removeEventListener('pointerdown', down)
      element.removeEventListener('pointermove', move)
      element.removeEventListener('pointerup', up)
      element.removeEventListener('pointercancel', up)
      element.removeEventListener('dblclick', twice)
    }
  }, [])

  const fullShown = p.full !== null && loaded === p.full
  return (
    <div class="stage" ref={box}>
      <div class="frame" style={{ width: `${size.w}px`, height: `${size.h}px` }}>
        <div class="moved" style={{ transform: `translate(${place.x}px, ${place.y}px) scale(${place.k})` }}>
          <img src={p.thumbnail} alt={p.label} draggable={false} />
          {p.full && <img class={fullShown ? '' : 'loading'} src={p.full} alt="" draggable={false} onLoad={() => setLoaded(p.full ?? '')} />}
          {p.outlines && (
            <svg class="outlines" viewBox={`0 0 ${p.width} ${p.height}`} preserveAspectRatio="none" aria-hidden="true" style={{ '--stroke': `${STROKE / place.k}px` }}>
              {p.outlines.map((o, i) => (
                <path key={i} class="rim" d={o.path} stroke={rimOf(o.stroke)} />
              ))}
              {p.outlines.map((o, i) => (
                <path key={-i - 1} d={o.path} stroke={o.stroke} />
              ))}
            </svg>
          )}
        </div>
      </div>
      {p.full && !fullShown && <span class="stage-note">Loading the full image…</span>}
    </div>
  )
}
