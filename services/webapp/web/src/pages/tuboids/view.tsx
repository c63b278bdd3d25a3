// One tuboid, over the page: its shots one after the other, where it sat, and what it is taken for.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Label, Shot, Tuboid, TuboidData } from '../../api/types'
import { count, DAY, dayOf, parseTime, showDuration } from '../../lib/time'

import { formatView, setExtra, useView } from '../../state/view'
import { Dialog } from '../../ui/dialog'
import { Icon } from '../../ui/icon'
import { Link } from '../../ui/link'
import { ErrorBox, IconButton } from '../../ui/page'
import { When } from '../../ui/when'
import { useData, useLabels, useShots } from './load'
import { nameOf, newestFirst, spanOf, withoutLabels } from './names'
import { Tile } from './tile'

/** The time from shot to shot at speed 1, in milliseconds. */
const PACE = 500
const SPEEDS = ['0.5', '1', '2', '4'] as const
/** Shots that are shown as a row of small pictures; more are walked by the slider alone. */
const MOST_SMALL = 150
/** The side of a tile, in its own pixels. */
const TILE = 224

export function TuboidView({ id, others }: { id: string; others: readonly Tuboid[] }) {
  const { data, missing, error, retry } = useData(id, spanOf(id))
  const at = others.findIndex((t) => t.tuboid_id.toLowerCase() === id.toLowerCase())
  const before = at > 0 ? others[at - 1] : undefined
  const after = at >= 0 ? others[at + 1] : undefined
  const close = () => setExtra({ tuboid: null, shot: null }, { replace: false })
  const open = (t: Tuboid | undefined) => t && setExtra({ tuboid: t.tuboid_id, shot: null })
  const [playing, setPlaying] = useState(false)
  const [speed, setSpeed] = useState<string>('1')
  const view = useView()
  const n = data?.n_shots ?? 0
  const shot = Math.max(0, Math.min(n - 1, (Math.floor(Number(view.extra['shot'])) || 1) - 1))
  const step = (to: number) => setExtra({ shot: to === 0 ? null : String(to + 1) })
  const walk = (by: number) => {
    setPlaying(false)
    if (n > 0) step(Math.max(0, Math.min(n - 1, shot + by)))
  }

  useEffect(() => {
    if (!playing || n < 2) return
    const timer = setTimeout(() => step((shot + 1) % n), PACE / Number(speed))
    return () => clearTimeout(timer)
  }, [playing, shot, n, speed])

  function keys(e: KeyboardEvent) {
    if (e.altKey || e.ctrlKey || e.metaKey) return
    const target = e.target as HTMLElement
    if (target instanceof HTMLSelectElement || target instanceof HTMLInputElement) return // arrows are theirs
    switch (e.key) {
      case 'ArrowLeft':
        walk(-1)
        break
      case 'ArrowRight':
        walk(1)
        break
      case ' ':
        if (target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement) return // it presses the button
        setPlaying(!playing)
        break
      case 'PageUp':
        open(before)
        break
      case 'PageDown':
        open(after)
        break
      default:
        return
    }
    e.preventDefault()
  }

  return (
    <Dialog
      class="tuboid-view"
      onClose={close}
      onKeyDown={keys}
      title={
        <>
          Tuboid {id.split('.').at(-1)} of <code>{id.split('.')[0]}</code>
        </>
      }
    >
      <div class="tuboid-top">
        <IconButton icon="left" label="Previous tuboid (page up)" disabled={!before} onClick={() => open(before)} />
        <IconButton icon="right" label="Next tuboid (page down)" disabled={!after} onClick={() => open(after)} />
        <IconButton icon="close" label="Close (Esc)" onClick={close} />
      </div>
      {error && <ErrorBox error={error} retry={retry} />}
      {missing && <ErrorBox error={new Error('There is no such tuboid (any more).')} />}
      {data && (
        <Shots
          key={data.tuboid_id}
          tuboid={data}
          shot={shot}
          controls={
            <div class="shot-controls" role="group" aria-label="Shots">
              <IconButton icon="left" label="Previous shot (left arrow)" word="Previous" disabled={shot === 0} onClick={() => walk(-1)} />
              <IconButton icon={playing ? 'pause' : 'play'} label={playing ? 'Pause (space)' : 'Play (space)'} word={playing ? 'Pause' : 'Play'} pressed={playing} disabled={n < 2} onClick={() => setPlaying(!playing)} />
              <IconButton icon="right" label="Next shot (right arrow)" word="Next" disabled={shot === n - 1} onClick={() => walk(1)} />
              <input type="range" min="1" max={Math.max(1, n)} value={shot + 1} aria-label="Shot" disabled={n < 2} onInput={(e) => walk(Number(e.currentTarget.value) - 1 - shot)} />
              <label>
                Speed
                <select value={speed} onChange={(e) => setSpeed(e.currentTarget.value)}>
                  {SPEEDS.map((s) => (
                    <option key={s} value={s}>
                      {s} ×
                    </option>
                  ))}
                </select>
              </label>
            </div>
          }
          onShot={(i) => walk(i - shot)}
        />
      )}
    </Dialog>
  )
}

function Shots({ tuboid: t, shot, controls, onShot }: { tuboid: TuboidData; shot: number; controls: ComponentChildren; onShot: (i: number) => void }) {
  const { shots, error, retry } = useShots(t.tuboid_id)
  const { labels, error: labelsError, retry: retryLabels } = useLabels([t])
  const now = shots?.[shot] ?? null
  return (
    <>
      <div class="tuboid-body">
        <figure>
          <Tile url={t.tuboid} shots={t.n_shots} shot={shot} label={`Shot ${shot + 1} of ${t.n_shots}`} eager />
          {controls}
          <figcaption>
            Shot {shot + 1} of {t.n_shots}
            {now && (
              <>
                {', '}
                <When time={parseTime(now.datetime)} named /> <ImageLink tuboid={t} shot={now} />
              </>
            )}
          </figcaption>
          {error && <ErrorBox error={new Error(`When it was taken is not known. ${error.message}`)} retry={retry} />}
        </figure>
        <Context url={t.context} shot={now} />
      </div>
      {t.n_shots > 1 && t.n_shots <= MOST_SMALL && (
        <ol class="small-shots" aria-label="All shots">
          {Array.from({ length: t.n_shots }, (_, i) => (
            <li key={i}>
              <button type="button" aria-label={`Shot ${i + 1}`} aria-current={i === shot ? 'true' : undefined} onClick={() => onShot(i)}>
                <Tile url={t.tuboid} shots={t.n_shots} shot={i} label="" />
              </button>
            </li>
          ))}
        </ol>
      )}
      {labelsError && <ErrorBox error={withoutLabels(labelsError)} retry={retryLabels} />}
      <Facts tuboid={t} labels={labels.get(t.id) ?? null} />
    </>
  )
}

/** The image that a shot was cut from, on the Images page, with a range that it lies in. */
function ImageLink({ tuboid, shot }: { tuboid: Tuboid; shot: Shot }) {
  const view = useView()
  const time = parseTime(shot.datetime)
  const range = view.range ?? { from: dayOf(time - DAY), to: dayOf(time + DAY) }
  const href = formatView({ path: '/images', range, devices: [tuboid.device_series], zoom: null, image: { device: tuboid.device_series, time }, extra: {} })
  return (
    <Link href={href}>
      <Icon name="image" /> Whole image
    </Link>
  )
}

/** The picture of the whole card, with a frame around where the shot was cut out. */
function Context({ url, shot }: { url: string; shot: Shot | null }) {
  const [size, set] = useState<{ url: string; w: number; h: number } | null>(null)
  const side = shot && shot.scale > 0 ? TILE / shot.scale : 0
  const share = (v: number, of: number) => `${((100 * v) / of).toFixed(3)}%`
  return (
    <figure class="context">
      <span class="card">
        <img src={url} alt="The whole card" onLoad={(e) => set({ url, w: e.currentTarget.naturalWidth, h: e.currentTarget.naturalHeight })} />
        {shot && side > 0 && size?.url === url && (
          <span
            class="here"
            style={{ left: share(shot.x - side / 2, size.w), top: share(shot.y - side / 2, size.h), width: share(side, size.w), height: share(side, size.h) }}
          />
        )}
      </span>
      <figcaption class="muted">The card; the frame moves with the shots.</figcaption>
    </figure>
  )
}

function Facts({ tuboid: t, labels }: { tuboid: TuboidData; labels: readonly Label[] | null }) {
  const [from, to] = [parseTime(t.start_datetime), parseTime(t.end_datetime)]
  return (
    <div class="facts">
      <section aria-labelledby="labels-title">
        <h3 id="labels-title">Labels</h3>
        {labels === null && <p class="muted">…</p>}
        {labels?.length === 0 && <p class="muted">Not identified yet.</p>}
        {labels && labels.length > 0 && (
          <div class="table-box" role="region" aria-label="Table of labels" tabIndex={0}>
            <table>
              <thead>
                <tr>
                  {['Name', 'Type', 'Order', 'Family', 'Genus', 'Species', 'By', 'Version'].map((name) => (
                    <th key={name} scope="col">
                      {name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {newestFirst(labels).map((l) => (
                  <tr key={l.id}>
                    <th scope="row">{nameOf(l)}</th>
                    {[l.type, l.order, l.family, l.genus, l.species, l.algo_name].map((text, i) => (
                      <td key={i}>{text || '–'}</td>
                    ))}
                    <td title={l.algo_version}>{l.algo_version.slice(0, 18)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <dl>
        <div>
          <dt>Seen</dt>
          <dd>
            <When time={from} /> to <When time={to} named />, {showDuration(to - from)}, {count(t.n_shots, 'shot')}
          </dd>
        </div>
        <div>
          <dt>Series</dt>
          <dd>
            <When time={parseTime(t.start_datetime_series)} seconds={false} /> to <When time={parseTime(t.end_datetime_series)} seconds={false} />, {count(t.n_tuboids_series, 'tuboid')}
          </dd>
        </div>
        <div>
          <dt>Tracked by</dt>
          <dd>
            {t.algo_name_series} <span class="muted">{t.algo_version_series}</span>
          </dd>
        </div>
        <div>
          <dt>Name</dt>
          <dd>
            <code>{t.tuboid_id}</code>
          </dd>
        </div>
        <div>
          <dt>Files</dt>
          <dd>
            <a href={t.tuboid} target="_blank" rel="noreferrer">
              all shots
            </a>{' '}
            <a href={t.context} target="_blank" rel="noreferrer">
              card
            </a>{' '}
            <a href={t.metadata} target="_blank" rel="noreferrer">
              metadata
            </a>
          </dd>
        </div>
      </dl>
    </div>
  )
}
