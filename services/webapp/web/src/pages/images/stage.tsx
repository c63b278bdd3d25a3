// One picture, as large as there is room, with outlines over it; zoomed and moved by wheel, fingers and keys. Outlines are
// in pixels of the original, whatever size of the picture lies below them.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Outline } from '../../api/annotations'
import { rimOf } from '../../lib/colour'
import { boxOf, describe, outlineAt, type Box } from './outlines'

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
/** How far beside an outline one may point, in pixels of the screen: with a mouse, and with a finger. */
const BESIDE = { mouse: 4, finger: 14 }
/** Pixels that a finger may move while it taps. */
const TAP = 5

interface Props {
  width: number // of the original, in pixels
  height: number
  thumbnail: string
  /** The original's address; null: not loaded. */
  full: string | null
  outlines: readonly Outline[] | null
  /** The outline that is told of, by its index. */
  picked: number | null
  onPick: (i: number | null) => void
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
    const placed = { k, x, y }
    latest.current.place = placed // gestures come faster than pictures are drawn
    setPlace(placed)
    if (k > 1.2) p.onCloser()
  }
  const closer = (factor: number, cx: number, cy: number) => {
    const { place: now } = latest.current
    const k = bounded(now.k * factor)
    put({ k, x: cx - ((cx - now.x) * k) / now.k, y: cy - ((cy - now.y) * k) / now.k })
  }

  const boxes = useMemo(() => (p.outlines ?? []).map(boxOf), [p.outlines])
  const [over, setOver] = useState<number | null>(null) // the outline under the pointer
  // what was found is asked for again with each refresh, and mostly is the same
  useEffect(() => setOver(null), [p.outlines === null])

  /** The outline at a place of the frame. */
  function indexAt([x, y]: [number, number], type: string): number | null {
    const { place, size } = latest.current
    const each = p.width / Math.max(1, size.w * place.k) // pixels of the original for each of the frame's
    return outlineAt(p.outlines ?? [], boxes, (x - place.x) * each, (y - place.y) * each, (type === 'mouse' ? BESIDE.mouse : BESIDE.finger) * each)
  }

  const gestures = useRef({ put, closer, pixels, indexAt, onPick: p.onPick })
  gestures.current = { put, closer, pixels, indexAt, onPick: p.onPick } // which know the picture that is shown

  // what is picked by a key is told of, wherever the pointer rests, and brought into sight
  useEffect(() => {
    setOver(null)
    const box = p.picked === null ? undefined : boxes[p.picked]
    if (!box) return
    const { place, size } = latest.current
    const at = onScreen(box)
    const [x, y] = [at.x + at.w / 2, at.y + at.h / 2]
    if (x < 0 || y < 0 || x > size.w || y > size.h) put({ k: place.k, x: place.x + size.w / 2 - x, y: place.y + size.h / 2 - y })
  }, [p.picked])

  /** Where a box lies in the frame, in its pixels. */
  function onScreen(b: Box): Box {
    const { place, size } = latest.current
    const each = (size.w * place.k) / p.width
    return { x: place.x + b.x * each, y: place.y + b.y * each, w: b.w * each, h: b.h * each }
  }

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
    let tapped: [number, number] | null = null // where the one finger came down, as long as it stays there
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
      tapped = fingers.size === 1 && e.button === 0 ? at(e) : null
      element.setPointerCapture(e.pointerId)
    }
    const move = (e: PointerEvent) => {
      const before = fingers.get(e.pointerId)
      const now = at(e)
      if (!before) {
        if (e.pointerType === 'mouse') setOver(gestures.current.indexAt(now, e.pointerType))
        return
      }
      if (tapped && Math.hypot(now[0] - tapped[0], now[1] - tapped[1]) <= TAP) return
      tapped = null
      const wide = apart()
      fingers.set(e.pointerId, now)
      if (fingers.size === 2 && wide > 0) {
        const [a, b] = [...fingers.values()] as [[number, number], [number, number]]
        gestures.current.closer(apart() / wide, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
      } else {
        const { place } = latest.current
        gestures.current.put({ k: place.k, x: place.x + now[0] - before[0], y: place.y + now[1] - before[1] })
      }
    }
    const up = (e: PointerEvent) => {
      fingers.delete(e.pointerId)
      if (tapped && e.type === 'pointerup') gestures.current.onPick(gestures.current.indexAt(tapped, e.pointerType))
      tapped = null
    }
    const leave = () => setOver(null)
    const twice = (e: MouseEvent) => (latest.current.place.k > 1.01 ? gestures.current.put(WHOLE) : gestures.current.closer(Math.max(2, gestures.current.pixels()), ...at(e)))
    element.addEventListener('wheel', wheel, { passive: false })
    element.addEventListener('pointerdown', down)
    element.addEventListener('pointermove', move)
    element.addEventListener('pointerup', up)
    element.addEventListener('pointercancel', up)
    element.addEventListener('pointerleave', leave)
    element.addEventListener('dblclick', twice)
    return () => {
      element.removeEventListener('wheel', wheel)
      element.removeEventListener('pointerdown', down)
      element.removeEventListener('pointermove', move)
      element.removeEventListener('pointerup', up)
      element.removeEventListener('pointercancel', up)
      element.removeEventListener('pointerleave', leave)
      element.removeEventListener('dblclick', twice)
    }
  }, [])

  const index = over ?? p.picked
  const told = index === null ? undefined : p.outlines?.[index]
  const fullShown = p.full !== null && loaded === p.full
  return (
    <div class="stage" ref={box}>
      <div class={`frame ${over === null ? '' : 'over'}`} style={{ width: `${size.w}px`, height: `${size.h}px` }}>
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
              {told && (
                <g class="told">
                  <path class="rim" d={told.path} stroke={rimOf(told.stroke)} />
                  <path d={told.path} stroke={told.stroke} />
                </g>
              )}
            </svg>
          )}
        </div>
        {told && index !== null && <Told text={describe(told, boxes[index] as Box, index)} box={onScreen(boxes[index] as Box)} size={size} />}
      </div>
      {p.full && !fullShown && <span class="stage-note">Loading the full image…</span>}
    </div>
  )
}

/** What is said of an outline that is in sight, above it, or below where there is no room. */
function Told({ text, box, size }: { text: string; box: Box; size: { w: number; h: number } }) {
  if (box.x + box.w < 0 || box.y + box.h < 0 || box.x > size.w || box.y > size.h) return null
  const [room, gap] = [32, 6]
  const above = box.y >= room
  const y = above ? Math.min(box.y - gap, size.h - gap) : Math.min(Math.max(0, box.y + box.h) + gap, size.h - room)
  const x = Math.max(0, Math.min(size.w, box.x + box.w / 2))
  return (
    <span class="told-text" style={{ left: `${x}px`, top: `${y}px`, transform: `translate(${(-100 * x) / Math.max(1, size.w)}%, ${above ? -100 : 0}%)` }}>
      {text}
    </span>
  )
}
