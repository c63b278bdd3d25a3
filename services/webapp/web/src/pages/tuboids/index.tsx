import { useMemo, useState } from 'preact/hooks'
import './tuboids.css'
import type { Label, Tuboid } from '../../api/types'
import { formatOrder, parseOrder, sorted, type Sortable } from '../../lib/order'
import { count, parseTime, showDuration } from '../../lib/time'
import { formatView, rangeOf, setExtra, useView } from '../../state/view'
import { Link } from '../../ui/link'
import { Busy, Empty, ErrorBox, IconButton, PageHead } from '../../ui/page'
import { When } from '../../ui/when'
import { useData, useLabels, useTuboids } from './load'
import { holds, nameOf, newestFirst, seriesSpan, withoutLabels } from './names'
import { Tile } from './tile'
import { TuboidView } from './view'

const PER_PAGE = 48

const orders: Record<string, (t: Tuboid) => Sortable> = {
  start: (t) => t.start_datetime,
  shots: (t) => t.n_shots,
  device: (t) => t.tuboid_id,
}
const choices: readonly [string, string][] = [
  ['-start', 'Newest first'],
  ['start', 'Oldest first'],
  ['-shots', 'Longest in sight first'],
  ['device', 'By device and number'],
]

export default function TuboidsPage() {
  const view = useView()
  const [start, end] = rangeOf(view)
  const { tuboids, error, retry } = useTuboids(start, end, view.devices)
  const text = view.extra['label']?.trim() ?? ''
  const order = parseOrder(view.extra['sort'], Object.keys(orders), '-start')
  const inOrder = useMemo(() => sorted(tuboids ?? [], orders[order.by] ?? (() => null), order.falling), [tuboids, order.by, order.falling])

  // where one looks for a label, all have to be known; and else those of the page
  const all = useLabels(text ? inOrder : [])
  const found = useMemo(() => (text ? inOrder.filter((t) => all.labels.get(t.id)?.some((l) => holds(l, text))) : inOrder), [inOrder, text, all.labels])
  const pages = Math.max(1, Math.ceil(found.length / PER_PAGE))
  const page = Math.max(1, Math.min(pages, Math.floor(Number(view.extra['page'])) || 1))
  const shown = useMemo(() => found.slice((page - 1) * PER_PAGE, page * PER_PAGE), [found, page])
  const here = useLabels(shown)
  const open = view.extra['tuboid']
  const labelsError = all.error ?? here.error
  const retryLabels = () => {
    all.retry()
    here.retry()
  }

  return (
    <>
      <PageHead title="Tuboids">
        {tuboids && <span class="muted">{count(found.length, 'tuboid')}</span>}
        <span class="grow" />
      </PageHead>
      {error && <ErrorBox error={error} retry={retry} />}
      {!error && labelsError && <ErrorBox error={withoutLabels(labelsError)} retry={retryLabels} />}
      {!tuboids && !error && <Busy what="Loading the tuboids…" />}
      {tuboids?.length === 0 && <Empty>No series of tuboids lies in this range. Choose another one, or other devices, above.</Empty>}
      {tuboids && tuboids.length > 0 && (
        <>
          <div class="tuboid-filters">
            <label>
              Sort by
              <select value={formatOrder(order)} onChange={(e) => setExtra({ sort: e.currentTarget.value, page: null })}>
                {choices.map(([value, name]) => (
                  <option key={value} value={value}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <input type="search" placeholder="Find a label" aria-label="Find a label" value={text} onInput={(e) => setExtra({ label: e.currentTarget.value || null, page: null })} />
            {text && !all.done && !all.error && <Busy what="Loading the labels…" />}
            <span class="grow" />
            {pages > 1 && <Pages page={page} pages={pages} />}
          </div>
          {shown.length === 0 && all.done && <Empty>No tuboid has such a label.</Empty>}
          <ul class="tuboids">
            {shown.map((t) => (
              <Card key={t.tuboid_id} tuboid={t} labels={(here.labels.get(t.id) ?? all.labels.get(t.id)) || null} />
            ))}
          </ul>
          {pages > 1 && shown.length > 0 && <Pages page={page} pages={pages} />}
        </>
      )}
      {open && <TuboidView key="view" id={open} others={found} />}
    </>
  )
}

function Pages({ page, pages }: { page: number; pages: number }) {
  const to = (n: number) => setExtra({ page: n === 1 ? null : String(n) }, { replace: false })
  return (
    <div class="pages" role="group" aria-label="Pages of tuboids">
      <IconButton icon="left" label="Previous page" disabled={page <= 1} onClick={() => to(page - 1)} />
      <span>
        Page {page} of {pages.toLocaleString('en')}
      </span>
      <IconButton icon="right" label="Next page" disabled={page >= pages} onClick={() => to(page + 1)} />
    </div>
  )
}

/** The first shot, which the server cuts out; where it cannot, the page does, of the picture of all. */
function FirstTile({ tuboid: t }: { tuboid: Tuboid }) {
  const [whole, setWhole] = useState(false)
  if (whole) return <CutTile tuboid={t} />
  return (
    <span class="tile">
      <img class="whole" src={`/api/v2/tuboid_tile?tuboid_id=${encodeURIComponent(t.tuboid_id)}`} alt="" loading="lazy" decoding="async" draggable={false} onError={() => setWhole(true)} />
    </span>
  )
}

function CutTile({ tuboid: t }: { tuboid: Tuboid }) {
  const { data, error } = useData(t.tuboid_id, seriesSpan(t))
  if (data) return <Tile url={data.tuboid} shots={t.n_shots} shot={0} label="" />
  return <span class="tile">{error && <span class="no-picture">The picture could not be loaded.</span>}</span>
}

function Card({ tuboid: t, labels }: { tuboid: Tuboid; labels: readonly Label[] | null }) {
  const view = useView()
  const first = labels && newestFirst(labels)[0]
  const [from, to] = [parseTime(t.start_datetime), parseTime(t.end_datetime)]
  const href = formatView({ ...view, extra: { ...view.extra, tuboid: t.tuboid_id } })
  return (
    <li>
      <Link class="tuboid" href={href}>
        <FirstTile key={t.tuboid_id} tuboid={t} />
        <strong class={first ? '' : 'muted'}>{first ? nameOf(first) : labels ? 'Not identified' : '…'}</strong>
        <span class="muted">
          <code>{t.device_series}</code> · {String(t.id_in_series).padStart(4, '0')}
        </span>
        <span class="muted">
          <When time={from} seconds={false} />
        </span>
        <span class="muted">
          {count(t.n_shots, 'shot')} in {showDuration(to - from)}
        </span>
      </Link>
    </li>
  )
}
