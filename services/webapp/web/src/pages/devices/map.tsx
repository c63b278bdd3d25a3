// Where the devices stand, on plain ground: lines of degrees and a scale, and nothing that comes from elsewhere.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { showPosition } from '../../lib/position'
import { count } from '../../lib/time'
import { setExtra, useView } from '../../state/view'
import { Icon } from '../../ui/icon'
import { Link } from '../../ui/link'
import { Empty, IconButton } from '../../ui/page'
import { kindNames, type Kind } from './condition'
import { imagesOf } from './links'
import { Mark, Shape } from './mark'
import { apart, clusters, formatPlace, joinDateLine, lines, moved, namesOf, parsePlace, placeOf, project, scaleOf, spotsOf, zoomed, type Cluster, type Name, type Place, type Size, type Spot } from './place'
import type { Row } from './row'

const HEIGHT = 440
/** Names of devices without a position that are told. */
const NOWHERE = 12

export function DeviceMap({ rows, kinds }: { rows: readonly Row[]; kinds: readonly Kind[] }) {
  const view = useView()
  const box = useRef<HTMLDivElement>(null)
  const [size, setSize] = useState<Size>({ width: 0, height: HEIGHT })
  const [drag, setDrag] = useState<{ id: number; x: number; y: number; from: Place } | null>(null)
  const spots = useMemo(
    () => joinDateLine(spotsOf(rows.map((r) => ({ device: r.state.device, position: r.position, kind: r.condition.kind })))),
    [rows],
  )
  useLayoutEffect(() => {
    const element = box.current
    if (!element) return
    const measure = () => setSize({ width: element.clientWidth, height: Math.min(HEIGHT, Math.max(280, element.clientWidth * 0.8)) })
    measure()
    const watch = new ResizeObserver(measure)
    watch.observe(element)
    return () => watch.disconnect()
  }, [])

  const nowhere = rows.filter((r) => !r.position)
  if (spots.length === 0) return <Empty>None of these devices has sent a usable position.</Empty>
  const whole = placeOf(spots, { width: size.width || 1, height: size.height })
  const place = parsePlace(view.extra['at']) ?? whole
  const show = (p: Place) => setExtra({ at: formatPlace(p) })
  const found = size.width > 0 ? clusters(spots, place, size) : []
  const names = namesOf(found, size)
  const chosen = found.find((c) => c.spots.some((s) => s.device === view.extra['on'])) ?? null

  function keys(e: KeyboardEvent) {
    const by: Record<string, [number, number]> = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }
    const step = by[e.key]
    if (step) show(moved(place, size, ...step))
    else if (e.key === '+') show(zoomed(place, 0.5))
    else if (e.key === '-') show(zoomed(place, 2))
    else return
    e.preventDefault()
  }

  return (
    <div class="map-area">
      <div class="map" ref={box}>
        <svg
          width={size.width}
          height={size.height}
          viewBox={`0 0 ${size.width} ${size.height}`}
          role="group"
          aria-label={`Map of ${count(spots.length, 'device')}`}
          onPointerDown={(e) => {
            if (e.button === 0 && !(e.target as Element).closest('.cluster')) setDrag({ id: e.pointerId, x: e.clientX, y: e.clientY, from: place })
          }}
          onPointerMove={(e) => {
            if (drag?.id !== e.pointerId) return
            e.currentTarget.setPointerCapture(e.pointerId)
            show(moved(drag.from, size, e.clientX - drag.x, e.clientY - drag.y))
          }}
          onPointerUp={() => setDrag(null)}
          onPointerCancel={() => setDrag(null)}
        >
          <Ground place={place} size={size} />
          {found.map((c, i) => (
            <Marker key={c.spots[0]?.device} cluster={c} name={names[i] ?? null} chosen={c === chosen} onOpen={() => setExtra({ on: c.spots[0]?.device ?? null })} />
          ))}
          <Scale place={place} size={size} />
        </svg>
        <div class="map-buttons" role="group" aria-label="Map" onKeyDown={keys}>
          <IconButton icon="zoomIn" label="Closer (+)" onClick={() => show(zoomed(place, 0.5))} />
          <IconButton icon="zoomOut" label="Further away (-)" onClick={() => show(zoomed(place, 2))} />
          <IconButton icon="fit" label="All devices" disabled={view.extra['at'] === undefined} onClick={() => setExtra({ at: null, on: null })} />
        </div>
      </div>
      <ul class="map-key" aria-label="Signs">
        {kinds.map((kind) => (
          <li key={kind}>
            <Mark kind={kind} /> {kindNames[kind]}
          </li>
        ))}
        {nowhere.length > 0 && (
          <li class="muted">
            {count(nowhere.length, 'device')} without a usable position: {nowhere.slice(0, NOWHERE).map((r) => r.state.device).join(', ')}
            {nowhere.length > NOWHERE && '…'}
          </li>
        )}
      </ul>
      {chosen && <Chosen cluster={chosen} rows={rows} onCloser={() => show(placeOf(chosen.spots, size))} />}
    </div>
  )
}

function Ground({ place, size }: { place: Place; size: Size }) {
  const [x0] = project(place, size, place.lat, place.lng - 1)
  const across = size.width / (size.width / 2 - x0) // degrees of longitude
  const lats = lines(place.lat - place.span / 2, place.lat + place.span / 2)
  const lngs = lines(place.lng - across / 2, place.lng + across / 2)
  return (
    <g class="ground" aria-hidden="true">
      {lats.at.map((lat) => {
        const y = project(place, size, lat, 0)[1]
        return (
          <g key={`y${lat}`}>
            <path d={`M0 ${y}H${size.width}`} />
            <text x="4" y={y - 3}>
              {degrees(lat, lats.digits, 'N', 'S')}
            </text>
          </g>
        )
      })}
      {lngs.at.map((lng) => {
        const x = project(place, size, 0, lng)[0]
        return (
          <g key={`x${lng}`}>
            <path d={`M${x} 0V${size.height}`} />
            <text x={x + 3} y={size.height - 5}>
              {degrees(((((lng + 180) % 360) + 360) % 360) - 180, lngs.digits, 'E', 'W')}
            </text>
          </g>
        )
      })}
    </g>
  )
}

const degrees = (v: number, digits: number, above: string, below: string) => `${Math.abs(v).toFixed(digits)}° ${v >= 0 ? above : below}`

function Scale({ place, size }: { place: Place; size: Size }) {
  const { metres, pixels } = scaleOf(place, size, Math.min(140, size.width / 4))
  const x = size.width - pixels - 12
  return (
    <g class="scale">
      <path d={`M${x} ${size.height - 28}v5h${pixels}v-5`} />
      <text x={x + pixels / 2} y={size.height - 30} text-anchor="middle">
        {metres >= 1000 ? `${metres / 1000} km` : `${metres} m`}
      </text>
    </g>
  )
}

function Marker({ cluster, name, chosen, onOpen }: { cluster: Cluster; name: Name | null; chosen: boolean; onOpen: () => void }) {
  const [first] = cluster.spots
  if (!first) return null
  const n = cluster.spots.length
  const text = `${first.device}${n === 1 ? '' : ` +${n - 1}`}, ${kindNames[first.kind].toLowerCase()}${n === 1 ? '' : `, ${count(n, 'device')} here`}`
  return (
    <g
      class={`cluster ${chosen ? 'chosen' : ''}`}
      transform={`translate(${cluster.x.toFixed(1)} ${cluster.y.toFixed(1)})`}
      role="button"
      tabindex={0}
      aria-label={text}
      aria-pressed={chosen}
      onClick={onOpen}
      onKeyDown={(e) => {
        if (e.key !== 'Enter' && e.key !== ' ') return
        e.preventDefault()
        onOpen()
      }}
    >
      <circle class="touch" r="15" />
      <g class={`mark ${first.kind}`}>
        <Shape kind={first.kind} />
      </g>
      {name && (
        <text x={name.side === 'before' ? -12 : 12} y="4" text-anchor={name.side === 'before' ? 'end' : 'start'}>
          {name.text}
        </text>
      )}
    </g>
  )
}

function Chosen({ cluster, rows, onCloser }: { cluster: Cluster; rows: readonly Row[]; onCloser: () => void }) {
  const view = useView()
  const here = new Map<string, Spot>(cluster.spots.map((s) => [s.device, s]))
  const many = cluster.spots.length > 1
  return (
    <section class="map-chosen" aria-label="Devices at the chosen place">
      <ul>
        {rows
          .filter((r) => here.has(r.state.device))
          .map((r) => (
            <li key={r.state.device}>
              <Mark kind={r.condition.kind} />
              <Link href={imagesOf(r.state.device, view)} label={`${r.state.device}: images`}>
                <code>{r.state.device}</code>
              </Link>
              <span>{r.condition.notes.join(', ') || kindNames.well}</span>
              <Where lat={r.state.lat} lng={r.state.lng} />
            </li>
          ))}
      </ul>
      {many && apart(cluster) && (
        <button type="button" onClick={onCloser}>
          <Icon name="zoomIn" /> Show them apart
        </button>
      )}
    </section>
  )
}

function Where({ lat, lng }: { lat: number | null; lng: number | null }) {
  const { text, title } = showPosition(lat, lng)
  return (
    <span class="muted" title={title}>
      {text}
      {title && ' (exchanged)'}
    </span>
  )
}
