import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import './data.css'
import { follow } from '../../ui/link'
import { newest } from '../../api/annotations'
import { api, ApiError, isAbort } from '../../api/http'
import type { Annotation, Image } from '../../api/types'
import { LIGHT_MEANS, lightOf } from '../../lib/light'
import { showPosition } from '../../lib/position'
import { useStore } from '../../lib/store'
import { count, DAY, parseTime, showTime, typedZone, wireTime, zoneName, type Zone } from '../../lib/time'
import { zone } from '../../state/prefs'
import { inScope, useScope } from '../../state/scope'
import { formatView, useView } from '../../state/view'
import { DetectorNotes } from '../../ui/detector'
import { Icon } from '../../ui/icon'
import { Busy, ErrorBox, PageHead } from '../../ui/page'
import { NoImages } from '../../ui/scope-bar'
import { blocksBetween, blocksOf, rowCount, type Block } from './rows'

/** Height of a row, in pixels; the style sheet has it too. */
const ROW = 30
/** Rows above and below those in sight that are made ready. */
const MARGIN = 20
/** Blocks that are kept. */
const MOST = 400

interface Row extends Image {
  insects: number | null
}

const key = (b: Block) => `${b.device} ${b.start}`

async function load(b: Block, signal: AbortSignal): Promise<Row[]> {
  const series = [{ device: b.device, start_datetime: wireTime(b.start), end_datetime: wireTime(b.start + DAY) }]
  const [images, annotations] = await Promise.all([
    api<Image[]>('get_image_series/metadata', { method: 'POST', body: series, signal }),
    api<Annotation[]>('get_uid_annotations_series/metadata', { method: 'POST', body: series, signal }),
  ])
  const found = new Map<number, Annotation[]>()
  for (const a of annotations) found.set(a.parent_image_id, [...(found.get(a.parent_image_id) ?? []), a])
  return images.map((i) => ({ ...i, insects: newest(found.get(i.id) ?? [])?.n_objects ?? null }))
}

const number = (v: number | null, digits: number) => (v === null ? '' : v.toFixed(digits))
const measured = (v: number | null, least: number) => (v === null || v < least ? '' : v.toFixed(1))

const positionHint = (r: Row) => showPosition(r.lat, r.lng).title

/** What is looked for most stands first: a phone shows two or three. */
const columns: readonly [string, string, (r: Row, zone: Zone) => string, (((r: Row) => string | undefined) | undefined)?, string?][] = [
  ['Insects', 'number', (r) => (r.insects === null ? '' : String(r.insects)), undefined, 'On the photograph; empty where the detector has not looked at it'],
  ['Temp. (°C)', 'number', (r) => measured(r.temp, -300)],
  ['Hum. (%)', 'number', (r) => measured(r.hum, 0)],
  ['Light (rel.)', 'number', (r) => number(lightOf(r), 1), undefined, LIGHT_MEANS],
  ['Battery (%)', 'number', (r) => number(r.bat, 0)],
  ['Latitude', 'number', (r) => showPosition(r.lat, r.lng).lat, positionHint],
  ['Longitude', 'number', (r) => showPosition(r.lat, r.lng).lng, positionHint],
  ['Version', '', (r) => r.device_version ?? ''],
  ['Size', '', (r) => `${r.width} × ${r.height}`],
  ['Uploader', '', (r) => r.api_user ?? ''],
  ['MD5', 'md5', (r) => r.md5],
]

export default function DataPage() {
  const view = useView()
  const scope = useScope()
  const blocks = useMemo(() => (scope ? blocksOf(inScope(scope.devices, view.devices), scope.start) : []), [scope, view.devices.join()])
  const total = rowCount(blocks)
  const query = scope && `start=${wireTime(scope.start)}&end=${wireTime(scope.end)}${view.devices.map((d) => `&device=${d}`).join('')}`
  return (
    <>
      <PageHead title="Data">
        <span class="muted">{scope && count(total, 'row')}</span>
        <span class="grow" />
        {query && total > 0 && (
          <>
            <a class="button" href={`/data.csv?${query}`} download title="For spreadsheets">
              <Icon name="download" /> data.csv
            </a>
            <a class="button primary" href={`/data.csv.gz?${query}`} download title="Compressed: for R and Python, and for many rows">
              <Icon name="download" /> data.csv.gz
            </a>
          </>
        )}
      </PageHead>
      <DetectorNotes />
      {!scope && <Busy what="Loading…" />}
      {scope && total === 0 && <NoImages />}
      {total > 0 && <Table blocks={blocks} total={total} />}
    </>
  )
}

function Table({ blocks, total }: { blocks: readonly Block[]; total: number }) {
  const view = useView()
  const inZone = useStore(zone)
  const root = useRef<HTMLDivElement>(null)
  const [sight, setSight] = useState({ first: 0, end: 60 })
  // rows of before stay until those of now are there
  const [rows, setRows] = useState(new Map<string, { of: readonly Block[]; rows: Row[] }>())
  const [error, setError] = useState<Error | null>(null)

  function measure() {
    const element = root.current
    if (!element) return
    const first = Math.max(0, Math.floor(element.scrollTop / ROW) - MARGIN)
    const end = Math.min(total, Math.ceil((element.scrollTop + element.clientHeight) / ROW) + MARGIN)
    setSight((now) => (now.first === first && now.end === end ? now : { first, end }))
  }
  useEffect(() => {
    measure()
    addEventListener('resize', measure)
    return () => removeEventListener('resize', measure)
  }, [total])

  const shown = blocksBetween(blocks, sight.first, sight.end)
  const missing = shown.filter((b) => rows.get(key(b))?.of !== blocks)
  const wanted = missing.map(key).join()
  const asked = useRef({ keys: new Set<string>(), stop: new AbortController() })
  useEffect(
    () => () => {
      asked.current.stop.abort()
      asked.current = { keys: new Set(), stop: new AbortController() }
    },
    [blocks],
  )
  useEffect(() => {
    if (!wanted) return
    // a table that is scrolled past asks for nothing
    const timer = setTimeout(() => {
      const { keys, stop } = asked.current
      for (const b of missing) {
        if (keys.has(key(b))) continue
        keys.add(key(b))
        load(b, stop.signal)
          .then(
            (loaded) => {
              setError(null)
              setRows((now) => new Map([...[...now].slice(-MOST), [key(b), { of: blocks, rows: loaded }]]))
            },
            (e: unknown) => {
              if (!isAbort(e)) setError(e instanceof ApiError ? e : new Error(String(e)))
            },
          )
          .finally(() => keys.delete(key(b)))
      }
    }, 120)
    return () => clearTimeout(timer)
  }, [wanted, rows, blocks])

  return (
    <>
      {error && <ErrorBox error={error} retry={() => setRows(new Map(rows))} />}
      <div class="data-table" ref={root} onScroll={measure} tabIndex={0} role="region" aria-label="Images in scope">
        <table aria-rowcount={total + 1}>
          <thead>
            <tr aria-rowindex={1}>
              <th scope="col">Device</th>
              {/* not how far from UTC: summer's and winter's rows stand in one table */}
              <th scope="col">Date ({typedZone(inZone)})</th>
              {columns.map(([title, kind, , , means]) => (
                <th key={title} scope="col" class={kind} title={means}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <Space rows={shown[0] ? Math.max(0, Math.max(sight.first, shown[0].row)) : 0} />
            {shown.flatMap((b) => {
              const loaded = rows.get(key(b))?.rows
              const from = Math.max(b.row, sight.first)
              const to = Math.min(b.row + b.count, sight.end)
              return Array.from({ length: Math.max(0, to - from) }, (_, i) => {
                const at = from + i
                const row = loaded?.[at - b.row]
                return (
                  <tr key={at} aria-rowindex={at + 2}>
                    <td>
                      <code>{b.device}</code>
                    </td>
                    {row ? (
                      <>
                        <td>
                          <a href={formatView({ ...view, path: '/images', image: { device: row.device, time: parseTime(row.datetime) } })} onClick={follow} title={zoneName(inZone, parseTime(row.datetime))}>
                            {showTime(parseTime(row.datetime), inZone)}
                          </a>
                        </td>
                        {columns.map(([title, kind, value, hint]) => (
                          <td key={title} class={kind} title={hint?.(row)}>
                            {value(row, inZone)}
                          </td>
                        ))}
                      </>
                    ) : (
                      <td colSpan={columns.length + 1} class="muted">
                        {loaded ? 'deleted meanwhile' : '…'}
                      </td>
                    )}
                  </tr>
                )
              })
            })}
            <Space rows={total - sight.end} />
          </tbody>
        </table>
      </div>
    </>
  )
}

/** The room of rows that are not made. */
function Space({ rows }: { rows: number }) {
  if (rows <= 0) return null
  return (
    <tr aria-hidden="true" class="space" style={{ height: `${rows * ROW}px` }}>
      <td colSpan={columns.length + 2} />
    </tr>
  )
}
