// One image, over the page: its picture with what the detector found, its neighbours, and all that is known of it.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { getFound, type Found, type Outline } from '../../api/annotations'
import { ApiError, isAbort } from '../../api/http'
import { getImage } from '../../api/pictures'
import type { Image } from '../../api/types'
import { LIGHT_MEANS, lightOf } from '../../lib/light'
import { showPosition } from '../../lib/position'
import { useStore } from '../../lib/store'
import { count, DAY, parseTime, showDuration, showTime, zoneName } from '../../lib/time'
import type { Span } from '../../lib/window'
import { contours, zone } from '../../state/prefs'
import { refresh, refreshes } from '../../state/scope'
import { go, imageName, type ImageRef } from '../../state/view'
import { Icon, type IconName } from '../../ui/icon'
import { ErrorBox, IconButton } from '../../ui/page'
import { boxOf, describe } from './outlines'
import { fetchThumbnails, Sequence } from './sequence'
import { Stage, type Wish, type Zoom } from './stage'

/** The time from picture to picture while playing, in milliseconds. */
const PACE = 500
/** How much closer one looks with each step of the zoom. */
const STEP = 1.5

interface State {
  image: Image | null
  before: Image | null
  after: Image | null
}

/** The image and its neighbours; image is null while it is looked for. */
function useNeighbours(ref: ImageRef, range: Span): State & { error: Error | null; missing: boolean; ahead: Image[] } {
  const [, drawAgain] = useState(0)
  const [error, setError] = useState<Error | null>(null)
  const [settled, setSettled] = useState('')
  const sequence = useMemo(
    // one that is opened by its address may lie outside the range
    () => new Sequence(ref.device, ref.time, [Math.min(range[0], ref.time - DAY), Math.max(range[1], ref.time + DAY)], fetchThumbnails),
    [ref.device, range],
  )
  const name = imageName(ref)
  const refreshed = useStore(refreshes)
  const seen = useRef(refreshed)
  useEffect(() => {
    if (seen.current !== refreshed) {
      seen.current = refreshed
      sequence.lookAgain()
    }
    const mine = new AbortController()
    sequence.around(ref.time, mine.signal).then(
      () => {
        setError(null)
        setSettled(name)
        drawAgain((n) => n + 1)
      },
      (e: unknown) => {
        if (!isAbort(e)) setError(e instanceof ApiError ? e : new Error(String(e)))
      },
    )
    return () => mine.abort()
  }, [sequence, name, refreshed])
  const i = sequence.indexOf(ref.time)
  return {
    image: sequence.images[i] ?? null,
    before: i > 0 ? (sequence.images[i - 1] ?? null) : null,
    after: i >= 0 ? (sequence.images[i + 1] ?? null) : null,
    ahead: i >= 0 ? sequence.images.slice(i + 1, i + 4) : [],
    error,
    missing: settled === name && i < 0,
  }
}

function useFound(image: Image | null): { found: Found | null; known: boolean } {
  const [state, set] = useState<{ id: number; found: Found | null } | null>(null)
  const refreshed = useStore(refreshes)
  useEffect(() => {
    if (!image) return
    const mine = new AbortController()
    getFound(image.device, parseTime(image.datetime), mine.signal).then(
      (found) => set({ id: image.id, found }),
      () => {}, // the picture is there all the same
    )
    return () => mine.abort()
  }, [image?.id, refreshed])
  return state && image && state.id === image.id ? { found: state.found, known: true } : { found: null, known: false }
}

export function ImageView({ image: ref, range }: { image: ImageRef; range: Span }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [playing, setPlaying] = useState(false)
  const [full, setFull] = useState<{ name: string; url: string } | null>(null)
  const [wish, setWish] = useState<Wish | null>(null)
  const [zoom, setZoom] = useState<Zoom | null>(null)
  const drawn = useStore(contours)
  const { image, before, after, ahead, error, missing } = useNeighbours(ref, range)
  const { found, known } = useFound(image)
  const name = imageName(ref)
  const outlines = drawn === 'on' && found && image ? found.outlines : null
  const [pick, setPick] = useState<{ of: string; i: number } | null>(null)
  const picked = pick?.of === name && outlines && pick.i < outlines.length ? pick.i : null
  const onPick = (i: number | null) => setPick(i === null ? null : { of: name, i })
  const shown = useRef(image)
  if (image) shown.current = image
  const stage = image ?? shown.current // the one before stays until the next is known

  useLayoutEffect(() => {
    const element = dialog.current
    if (!element) return
    const back = document.activeElement
    element.showModal()
    element.focus() // and not its first button, which the space bar would press
    return () => {
      element.close()
      if (back instanceof HTMLElement) back.focus()
    }
  }, [])

  // a button that is off once it was pressed takes the keys with it: they are taken back at once, so that none is lost
  useLayoutEffect(() => {
    const at = document.activeElement
    if (at === document.body || at?.matches(':disabled')) dialog.current?.focus()
  })

  const close = () => go({ image: null })
  const step = (to: Image | null) => {
    if (to) go({ image: { device: to.device, time: parseTime(to.datetime) } }, { replace: true })
  }

  useEffect(() => {
    if (!playing) return
    if (!after) {
      if (image) setPlaying(false) // the last one
      return
    }
    const timer = setTimeout(() => step(after), PACE)
    return () => clearTimeout(timer)
  }, [playing, after, image])

  // the next pictures are there when they are asked for
  useEffect(() => {
    for (const next of ahead) new Image().src = next.url
  }, [ahead[0]?.url])

  function loadFull() {
    if (full?.name === name || !image) return
    getImage('image', ref.device, ref.time).then(
      (i) => i && setFull({ name, url: i.url }),
      () => {},
    )
  }
  const fullUrl = full?.name === name ? full.url : null

  // the addresses of the original, to look at and to save
  const [original, setOriginal] = useState<{ name: string; url: string; saving: string } | null>(null)
  useEffect(() => {
    if (!image || playing) return
    let mine = true
    Promise.all([getImage('image', ref.device, ref.time), getImage('image-download', ref.device, ref.time)]).then(
      ([i, s]) => mine && i && s && setOriginal({ name, url: i.url, saving: s.url }),
      () => {},
    )
    return () => {
      mine = false
    }
  }, [image?.id, playing])

  function keys(e: KeyboardEvent) {
    if (e.altKey || e.ctrlKey || e.metaKey || e.target instanceof HTMLSelectElement) return
    const inButton = e.target instanceof HTMLButtonElement || e.target instanceof HTMLAnchorElement
    switch (e.key) {
      case 'ArrowLeft':
        setPlaying(false)
        step(before)
        break
      case 'ArrowRight':
        setPlaying(false)
        step(after)
        break
      case ' ':
        if (inButton) return // it presses the button
        setPlaying(!playing)
        break
      case 'n':
      case 'p': {
        const n = outlines?.length ?? 0
        if (n > 0) onPick(e.key === 'n' ? ((picked ?? -1) + 1) % n : ((picked ?? n) + n - 1) % n)
        break
      }
      case '+':
      case '=':
        setWish({ to: STEP })
        break
      case '-':
        setWish({ to: 1 / STEP })
        break
      case '0':
        setWish({ to: 'whole' })
        break
      case '1':
        setWish({ to: 'pixels' })
        break
      case 'c':
        contours.set(drawn === 'on' ? 'off' : 'on')
        break
      default:
        return
    }
    e.preventDefault()
  }

  return (
    <dialog
      class="image-view"
      ref={dialog}
      aria-label={`Image ${name}`}
      tabIndex={-1}
      onKeyDown={keys}
      onCancel={(e) => {
        e.preventDefault()
        close()
      }}
    >
      <div class="image-head">
        <h2>
          <code>{ref.device}</code> <ShownTime time={ref.time} />
        </h2>
        <span class="grow" />
        <IconButton icon="close" label="Close (Esc)" onClick={close} />
      </div>
      {error && <ErrorBox error={error} retry={refresh} />}
      {missing && <ErrorBox error={new Error('There is no such image (any more).')} />}
      <div class="image-row">
        <Neighbour image={before} label="Previous image" away={before ? `${showDuration(ref.time - parseTime(before.datetime))} earlier` : ''} onOpen={() => step(before)} />
        {stage ? (
          <Stage
            width={stage.width}
            height={stage.height}
            thumbnail={stage.url}
            full={fullUrl}
            outlines={outlines}
            picked={picked}
            onPick={onPick}
            label={`Photograph of the card of device ${ref.device}`}
            onCloser={loadFull}
            wish={wish}
            onZoom={setZoom}
          />
        ) : (
          <div class="stage" />
        )}
        <Neighbour image={after} label="Next image" away={after ? `${showDuration(parseTime(after.datetime) - ref.time)} later` : ''} onOpen={() => step(after)} />
      </div>
      <div class="image-controls" role="group" aria-label="Controls">
        <IconButton icon="left" label="Previous image (left arrow)" word="Previous" disabled={!before} onClick={() => step(before)} />
        <IconButton icon={playing ? 'pause' : 'play'} label={playing ? 'Pause (space)' : 'Play (space)'} word={playing ? 'Pause' : 'Play'} pressed={playing} disabled={missing} onClick={() => setPlaying(!playing)} />
        <IconButton icon="right" label="Next image (right arrow)" word="Next" disabled={!after} onClick={() => step(after)} />
        <IconButton icon="outline" label="Outlines (c)" word="Outlines" pressed={drawn === 'on'} disabled={missing} onClick={() => contours.set(drawn === 'on' ? 'off' : 'on')} />
        <Outlines outlines={outlines} picked={picked} onPick={onPick} />
        <ZoomButtons zoom={zoom} disabled={missing} onWish={setWish} />
        <CopyButton what="link to this view" text={location.href} icon="link" word="Link" />
        {original?.name === name ? (
          <>
            <a class="button" href={original.url} target="_blank" rel="noreferrer">
              <Icon name="external" /> Full image
            </a>
            <a class="button" href={original.saving} rel="noreferrer" title={`Save the full image as ${name}.jpg`}>
              <Icon name="download" /> Save
            </a>
          </>
        ) : (
          // their room is kept: what comes later would move the buttons from under the pointer
          <>
            <button type="button" disabled>
              <Icon name="external" /> Full image
            </button>
            <button type="button" disabled>
              <Icon name="download" /> Save
            </button>
          </>
        )}
      </div>
      {image && <Metadata image={image} found={found} known={known} />}
    </dialog>
  )
}

/** What was found, one by one: the one that is chosen is told of on the picture, and what is pointed at there is chosen here. */
function Outlines({ outlines, picked, onPick }: { outlines: readonly Outline[] | null; picked: number | null; onPick: (i: number | null) => void }) {
  const texts = useMemo(() => (outlines ?? []).map((o, i) => describe(o, boxOf(o), i)), [outlines])
  if (texts.length === 0) return null
  return (
    <>
      <select aria-label="Insect" title="What was found, by number and size in pixels of the photograph (n, p: the next, the one before)" value={picked ?? ''} onChange={(e) => onPick(e.currentTarget.value === '' ? null : Number(e.currentTarget.value))}>
        <option value="">{count(texts.length, 'insect')}</option>
        {texts.map((text, i) => (
          <option key={i} value={i}>
            {text}
          </option>
        ))}
      </select>
      <span class="sr-only" role="status">
        {picked === null ? '' : `Insect ${texts[picked]}`}
      </span>
    </>
  )
}

function ZoomButtons({ zoom, disabled, onWish }: { zoom: Zoom | null; disabled: boolean; onWish: (wish: Wish) => void }) {
  const off = disabled || !zoom
  return (
    <span class="image-zoom" role="group" aria-label="Zoom">
      <IconButton icon="zoomOut" label="Zoom out (−)" word="Out" disabled={off || zoom.whole} onClick={() => onWish({ to: 1 / STEP })} />
      <output class="number" aria-label="Zoom" title="100 %: a pixel of the screen for each of the photograph. Above that it is only enlarged.">
        {zoom ? `${Math.round(zoom.scale * 100)}\u00a0%` : '–'}
      </output>
      <IconButton icon="zoomIn" label="Zoom in (+)" word="In" disabled={off || zoom.most} onClick={() => onWish({ to: STEP })} />
      <button type="button" class="icon-button" aria-pressed={zoom?.pixels ?? false} disabled={off} title="1:1, a pixel of the screen for each of the photograph (1)" onClick={() => onWish({ to: 'pixels' })}>
        1:1
      </button>
      <IconButton icon="fit" label="Whole image (0)" word="Whole" disabled={off || zoom.whole} onClick={() => onWish({ to: 'whole' })} />
    </span>
  )
}

function ShownTime({ time }: { time: number }) {
  const now = useStore(zone)
  return (
    <time dateTime={new Date(time * 1000).toISOString()}>
      {showTime(time, now)} <span class="muted">{zoneName(now, time)}</span>
    </time>
  )
}

/** `away` says how long before or after it was taken. */
function Neighbour({ image, label, away, onOpen }: { image: Image | null; label: string; away: string; onOpen: () => void }) {
  return (
    <button type="button" class="neighbour" aria-label={away ? `${label}, ${away}` : label} title={label} disabled={!image} onClick={onOpen}>
      {image && <img src={image.url} alt="" />}
      <span class="muted">{away}</span>
    </button>
  )
}

function Metadata({ image, found, known }: { image: Image; found: Found | null; known: boolean }) {
  const number = (v: number | null, unit: string, digits = 1) => (v === null ? '–' : `${v.toFixed(digits)} ${unit}`)
  const light = lightOf(image)
  const position = showPosition(image.lat, image.lng, image.alt)
  const rows: [string, string, (string | undefined)?][] = [
    ['Temperature', image.temp !== null && image.temp < -300 ? 'sensor failed' : number(image.temp, '°C')],
    ['Humidity', image.hum !== null && image.hum < 0 ? 'sensor failed' : number(image.hum, '%')],
    ['Light', light === null ? '–' : light.toPrecision(3), LIGHT_MEANS],
    ['Insects', found ? String(found.outlines.length) : known ? 'not looked at yet' : '…'],
    ['Position', position.text, position.title],
    ['Battery', image.bat === null ? '–' : `${image.bat.toFixed(0)} %`],
    ['Uploader', image.api_user ?? '–'],
    ['Size', `${image.width} × ${image.height}`],
  ]
  return (
    <dl class="metadata">
      <div>
        <dt>Id</dt>
        <dd>
          <code>{image.id}</code>
        </dd>
      </div>
      <div>
        <dt>Name</dt>
        <dd>
          <code>{imageName({ device: image.device, time: parseTime(image.datetime) })}</code>
          <CopyButton what="name" text={imageName({ device: image.device, time: parseTime(image.datetime) })} />
        </dd>
      </div>
      {rows.map(([title, value, hint]) => (
        <div key={title}>
          <dt>{title}</dt>
          <dd title={hint}>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

function CopyButton({ what, text, icon = 'copy', word }: { what: string; text: string; icon?: IconName; word?: string }) {
  const [done, setDone] = useState(false)
  const copy = () =>
    navigator.clipboard?.writeText(text).then(
      () => {
        setDone(true)
        setTimeout(() => setDone(false), 1500)
      },
      () => {},
    )
  return <IconButton icon={done ? 'check' : icon} label={done ? 'Copied' : `Copy the ${what}`} {...(word ? { word } : {})} onClick={() => void copy()} />
}
