import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import 'uplot/dist/uPlot.min.css'
import './images.css'
import { lightColour } from '../../lib/colour'
import { LIGHT_MEANS } from '../../lib/light'
import { useStore } from '../../lib/store'
import { fitSpan, isWhole, panBy, zoomAt, type Span } from '../../lib/window'
import { dark } from '../../state/prefs'
import { go, rangeOf, useView } from '../../state/view'
import { DetectorNotes } from '../../ui/detector'
import { Busy, ErrorBox, IconButton, PageHead, ToldAbove } from '../../ui/page'
import { NoImages } from '../../ui/scope-bar'
import { lookOf, type Scales } from './chart'
import { comparable, Compare } from './compare'
import { HoverCard } from './hover'
import { ImageView } from './image-view'
import { covering, extent, useSeries } from './load'
import { Panel } from './panel'
import { RangeSlider, TimeAxis } from './slider'
import { shownWindow } from './state'

const NARROW = 620

export default function ImagesPage() {
  const view = useView()
  const [start, end] = rangeOf(view)
  const range = useMemo<Span>(() => [start, end], [start, end])
  const root = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  const isDark = useStore(dark)
  const narrow = width < NARROW
  const look = useMemo(() => lookOf(document.documentElement, isDark, narrow), [isDark, narrow])

  useLayoutEffect(() => {
    const element = root.current
    if (!element) return
    const measure = () => setWidth(element.clientWidth)
    measure()
    const watch = new ResizeObserver(measure)
    watch.observe(element)
    return () => watch.disconnect()
  }, [])

  const zoom = useMemo<Span | null>(() => (view.zoom ? fitSpan(view.zoom, range) : null), [view.zoom?.[0], view.zoom?.[1], range])
  useLayoutEffect(() => shownWindow.set(zoom ?? range), [zoom, range])
  const { base, detail, error, loading, retry } = useSeries(range, view.devices, zoom, width)

  const showSpan = useMemo(() => {
    return (span: Span, done: boolean) => {
      const fitted = fitSpan(span, range)
      shownWindow.set(fitted)
      if (done) go({ zoom: isWhole(fitted, range) ? null : [Math.floor(fitted[0]), Math.ceil(fitted[1])] }, { replace: true })
    }
  }, [range])

  const scales = useMemo<Scales>(() => {
    const t = extent(base?.series ?? [], 'temperature') ?? [0, 30]
    const room = Math.max(1, (t[1] - t[0]) * 0.06)
    return { temperature: [t[0] - room, t[1] + room], humidity: [0, 102], light: extent(base?.series ?? [], 'light', 0.02) ?? [0, 1] }
  }, [base])

  const compared = comparable.find(([variable]) => variable === view.extra.compare)?.[0]
  const current = base && covering(base, detail, zoom ?? range)
  const fine = useMemo(() => new Map((current?.series ?? []).map((s) => [s.device, s])), [current])

  return (
    <>
      <PageHead title="Images">
        {!compared && <Legend light={scales.light} />}
        <span class="grow" />
        <label>
          <span class="sr-only">Charts</span>
          <select value={compared ?? ''} onChange={(e) => go({ extra: e.currentTarget.value ? { compare: e.currentTarget.value } : {} })}>
            <option value="">One chart a device</option>
            {comparable.map(([variable, title]) => (
              <option key={variable} value={variable}>
                Compare: {title}
              </option>
            ))}
          </select>
        </label>
        <ZoomButtons range={range} showSpan={showSpan} zoomed={zoom !== null} />
      </PageHead>
      <DetectorNotes />
      <div ref={root}>
        {error && <ErrorBox error={error} retry={retry} />}
        {loading && base?.range !== range && <Busy what="Loading the series…" />}
        {base && base.series.length === 0 && <NoImages />}
        {base && base.series.length > 0 && (
          <>
            {compared && current && <Compare series={current.series} variable={compared} range={range} width={width} look={look} showSpan={showSpan} />}
            {!compared && base.series.map((s) => (
              <Panel
                key={s.device}
                series={fine.get(s.device) ?? { ...s, id: [], time: [], values: {} }}
                images={s.images}
                range={range}
                width={width}
                height={narrow ? 120 : 150}
                look={look}
                scales={scales}
                showSpan={showSpan}
              />
            ))}
            <div class="time-bar">
              <TimeAxis base={base} width={width} look={look} showSpan={showSpan} />
              <RangeSlider base={base} width={width} look={look} showSpan={showSpan} />
            </div>
          </>
        )}
      </div>
      <HoverCard />
      {view.image && (
        <ToldAbove.Provider value={null}>
          <ImageView image={view.image} range={range} />
        </ToldAbove.Provider>
      )}
    </>
  )
}

function Legend({ light }: { light: Span }) {
  const scale = useRef<HTMLCanvasElement>(null)
  const isDark = useStore(dark)
  useEffect(() => {
    const context = scale.current?.getContext('2d')
    if (!context) return
    for (let x = 0; x < 64; x++) {
      context.fillStyle = lightColour(x, [0, 63], isDark)
      context.fillRect(x, 0, 1, 10)
    }
  }, [isDark])
  const short = (v: number) => Number(v.toPrecision(2)).toString()
  return (
    <ul class="legend" aria-label="Legend">
      <li class="temperature">Temperature (°C)</li>
      <li class="humidity">Relative humidity (%)</li>
      <li class="insects">Insects</li>
      <li class="light" title={LIGHT_MEANS}>
        Light (relative) {short(light[0])}
        <canvas ref={scale} width="64" height="10" aria-hidden="true" />
        {short(light[1])}
      </li>
    </ul>
  )
}

function ZoomButtons({ range, showSpan, zoomed }: { range: Span; showSpan: (span: Span, done: boolean) => void; zoomed: boolean }) {
  const middle = ([a, b]: Span) => (a + b) / 2
  const zoomBy = (factor: number) => showSpan(zoomAt(shownWindow.value, middle(shownWindow.value), factor, range), true)
  const pan = (share: number) => {
    const [a, b] = shownWindow.value
    showSpan(panBy([a, b], share * (b - a), range), true)
  }
  return (
    <div class="zoom-buttons" role="group" aria-label="Zoom">
      <IconButton icon="left" label="Earlier" word="Earlier" disabled={!zoomed} onClick={() => pan(-0.5)} />
      <IconButton icon="zoomOut" label="Zoom out" word="Out" disabled={!zoomed} onClick={() => zoomBy(2)} />
      <IconButton icon="zoomIn" word="In" label="Zoom in (or drag over a chart)" onClick={() => zoomBy(0.5)} />
      <IconButton icon="right" label="Later" word="Later" disabled={!zoomed} onClick={() => pan(0.5)} />
      <IconButton icon="fit" label="Whole range" word="Whole" disabled={!zoomed} onClick={() => showSpan(range, true)} />
    </div>
  )
}
