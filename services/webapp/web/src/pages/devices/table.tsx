import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { DeviceState } from '../../api/types'
import type { Order } from '../../lib/order'
import { useStore } from '../../lib/store'
import { count, showDuration } from '../../lib/time'
import { zone } from '../../state/prefs'
import { useProgress, waitingOf, type Waiting } from '../../state/progress'
import { formatView, useView } from '../../state/view'
import type { Scope } from '../../state/scope'
import { Link } from '../../ui/link'
import { SortHead } from '../../ui/sort-head'
import { When } from '../../ui/when'
import { barsOf, kindNames } from './condition'
import type { Fill } from './insects'
import { imagesOf, nightOf } from './links'
import { Mark } from './mark'
import { Changed } from './morning'
import type { Row } from './row'
import { METHOD, reckoning, showTemperatures, signed, whyUnknown } from './words'

/** Columns: what they are sorted by, their names, classes, and what is said of them. */
const headsOf = (over: boolean): readonly (readonly [string, string, string, string])[] => [
  ['device', 'Device', '', ''],
  ['state', 'Condition', '', over ? 'Of the range, which is over' : 'Now, whatever the range; gaps are of the range'],
  ['last', 'Last image', '', over ? 'Of the range' : ''],
  ['images', 'Images per day', '', 'In the range'],
  ['gaps', 'Gaps', 'number', 'In the range: how often two images in a row or more are missing'],
  ...(over ? [] : [['delay', 'Upload delay', 'number', 'From the taking of the newest image to its arrival'] as const]),
  ['battery', 'Battery', 'number', 'Of the newest images'],
  ['temperature', over ? 'Temperature' : 'Climate', 'number', over ? 'In the range' : 'Of the newest images'],
  ['insects', 'Insects', 'number', 'On the last annotated image of the range'],
  ['caught', 'Caught', 'number', `In the range. ${METHOD}`],
  ['night', 'Last night', 'number', `From sunset to sunrise at the trap. ${METHOD}`],
]

/** Rows that are drawn until more are asked for: hundreds would make each sorting slow. */
const FIRST = 100

export function DeviceTable(props: { rows: readonly Row[]; scope: Scope; now: number; order: Order; onSort: (by: string) => void }) {
  const { rows, scope, now } = props
  const progress = useProgress()
  const [most, setMost] = useState(FIRST)
  const over = scope.end < now
  return (
    <>
      <div class="table-box devices" role="region" aria-label="Devices" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {headsOf(over).map(([by, text, name, title]) => (
                <SortHead key={by} by={by} class={name} order={props.order} onSort={props.onSort}>
                  <span title={title || undefined}>{text}</span>
                </SortHead>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, most).map((r) => (
              <Device key={r.state.device} row={r} waiting={waitingOf(progress, r.state.device)} now={now} over={over} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > most && (
        <button type="button" class="more" onClick={() => setMost(most + FIRST)}>
          {Math.min(FIRST, rows.length - most)} more of {count(rows.length, 'device')}
        </button>
      )}
    </>
  )
}

const measured = (v: number | null, unit: string, digits = 0) => (v === null ? '–' : `${v.toFixed(digits)} ${unit}`)

const ELSEWHEN = 'Known of the newest image alone, which is of another time'

function Device({ row, waiting, now, over }: { row: Row; waiting: Waiting | null; now: number; over: boolean }) {
  const view = useView()
  const inZone = useStore(zone)
  const { state: d, condition, fill, gaps, caught } = row
  return (
    <tr class={condition.kind}>
      <th scope="row">
        <Link href={imagesOf(d.device, view)} label={`${d.device}: images`}>
          <code>{d.device}</code>
        </Link>
        {d.device_version && <span class="muted version">{d.device_version}</span>}
      </th>
      <Cell name="Condition" class="condition">
        <span>
          <Mark kind={condition.kind} />
          <strong>{condition.notes[0] ?? kindNames.well}</strong>
        </span>
        {condition.notes.slice(1).map((note) => (
          <span class="note" key={note}>
            {note}
          </span>
        ))}
      </Cell>
      <Cell name="Last image">{over ? <LastOfRange row={row} /> : <LastOfAll newest={row.newest} now={now} />}</Cell>
      <Cell name="Images per day">
        <DayBars device={d} open={!over} ended={over || condition.kind === 'away'} />
      </Cell>
      <Cell name="Gaps" class="number">
        {gaps === null ? '–' : gaps.atLeast ? <span title="The images are too few to tell how many are missing">≥ {gaps.n}</span> : gaps.n}
        {gaps !== null && gaps.longest > 0 && <span class="muted">longest {showDuration(gaps.longest)}</span>}
      </Cell>
      {!over && (
        <Cell name="Upload delay" class="number">
          {!row.current ? <span title={ELSEWHEN}>–</span> : d.clock_ahead > 0 ? `clock ${showDuration(d.clock_ahead)} ahead` : showDuration(d.upload_delay)}
        </Cell>
      )}
      <Cell name="Battery" class="number">
        {row.current ? measured(d.battery, '%') : <span title={ELSEWHEN}>–</span>}
      </Cell>
      {over ? (
        <Cell name="Temperature in the range" class="number">
          {row.temperatures === null ? '–' : showTemperatures(row.temperatures)}
        </Cell>
      ) : (
        <Cell name="Climate" class="number">
          {row.current ? measured(d.temperature, '°C', 1) : <span title={ELSEWHEN}>–</span>}
          {row.current && <span class="muted">{measured(d.humidity, '% RH')}</span>}
        </Cell>
      )}
      <Cell name="Insects" class="number">
        {fill === null ? (
          '–'
        ) : (
          <span class="filled">
            <Line of={fill.line} />
            <strong>{fill.insects.toLocaleString('en')}</strong>
          </span>
        )}
        {waiting && waiting.waiting > 0 && (
          <span class="muted" title="Images of all days that the detector has not looked at yet">
            {waiting.atLeast && '≥ '}
            {waiting.waiting.toLocaleString('en')} waiting
          </span>
        )}
        {waiting && waiting.failed > 0 && (
          <span class="muted" title="Images of all days that the detector failed on, three times each">
            {waiting.atLeast && '≥ '}
            {waiting.failed.toLocaleString('en')} failed
          </span>
        )}
      </Cell>
      <Cell name="Caught in the range" class="number">
        {fill?.total ? (
          <>
            <span class="caught" title={reckoning(fill.total, inZone)}>
              {signed(fill.total.caught)}
            </span>
            <Changed caught={fill.total} />
          </>
        ) : (
          '–'
        )}
        {d.images > 0 && (
          <Link href={formatView({ ...view, extra: { ...view.extra, nights: d.device } })} label={`${d.device}: catches by night`}>
            by night
          </Link>
        )}
      </Cell>
      <Cell name="Last night" class="number">
        {caught === null || typeof caught === 'string' ? (
          <span title={caught === null ? undefined : whyUnknown[caught]}>–</span>
        ) : (
          <>
            <Link href={nightOf(d.device, row.night.span, view)} label={`${d.device}: ${signed(caught.caught)} last night, images`}>
              <span title={reckoning(caught, inZone)}>{signed(caught.caught)}</span>
            </Link>
            <Changed caught={caught} />
          </>
        )}
        {row.nightTemperatures && <span class="muted">{showTemperatures(row.nightTemperatures, 0)}</span>}
      </Cell>
    </tr>
  )
}

function LastOfAll({ newest, now }: { newest: number; now: number }) {
  return (
    <>
      <span class="ago">{ago(now - newest)}</span>
      <span class="muted">
        <When time={newest} seconds={false} />
      </span>
    </>
  )
}

/** Of a range that is over; what came later is named as such. */
function LastOfRange({ row: { last, newest } }: { row: Row }) {
  return (
    <>
      {last === null ? '–' : <When time={last} seconds={false} />}
      {last !== newest && (
        <>
          <span class="muted">newest of all</span>
          <span class="muted">
            <When time={newest} seconds={false} />
          </span>
        </>
      )}
    </>
  )
}

/** A cell; where the screen is narrow, it stands below others and its name is shown. */
function Cell({ name, class: kind = '', children }: { name: string; class?: string; children: ComponentChildren }) {
  return (
    <td class={kind}>
      <span class="cell-name" aria-hidden="true">
        {name}
      </span>
      <div>{children}</div>
    </td>
  )
}

function ago(seconds: number): string {
  return seconds < 0 ? `in ${showDuration(-seconds)}` : `${showDuration(seconds)} ago`
}

const WIDTH = 112
const HEIGHT = 26

function DayBars({ device: d, open, ended }: { device: DeviceState; open: boolean; ended: boolean }) {
  const { bars, expected, text } = barsOf(d, open, ended)
  const most = Math.max(1, (expected ?? 0) * 1.1, ...bars.map((b) => b.images))
  const w = WIDTH / bars.length
  const path = (poor: boolean) =>
    bars
      .map((b, i) => {
        if (b.poor !== poor) return ''
        const h = Math.max(poor ? 2 : 0, (b.images / most) * HEIGHT) // a day without any is seen too
        return h === 0 ? '' : `M${(i * w).toFixed(2)} ${HEIGHT}v${(-h).toFixed(2)}h${Math.max(0.5, w - 0.7).toFixed(2)}V${HEIGHT}z`
      })
      .join('')
  const line = HEIGHT - ((expected ?? 0) / most) * HEIGHT
  return (
    <svg class="bars" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={text}>
      <title>{text}</title>
      <path class="enough" d={path(false)} />
      <path class="poor" d={path(true)} />
      {expected !== null && <path class="expected" d={`M0 ${line.toFixed(1)}H${WIDTH}`} />}
    </svg>
  )
}

function Line({ of }: { of: Fill['line'] }) {
  const [first, last] = [of[0], of.at(-1)]
  if (!first || !last) return null
  const most = Math.max(1, ...of.map(([, n]) => n))
  const points = of.map(([t, n]) => `${(((t - first[0]) / (last[0] - first[0])) * 48).toFixed(1)},${(17 - (n / most) * 16).toFixed(1)}`)
  return (
    <svg class="line" viewBox="0 0 48 18" aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  )
}
