import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { DeviceState } from '../../api/types'
import type { Order } from '../../lib/order'
import { count, showDuration } from '../../lib/time'
import { useView } from '../../state/view'
import type { Scope } from '../../state/scope'
import { Link } from '../../ui/link'
import { SortHead } from '../../ui/sort-head'
import { When } from '../../ui/when'
import { barsInWords, barsOf, kindNames } from './condition'
import { imagesOf, nightOf } from './links'
import { Mark } from './mark'
import { signed } from './morning'
import type { Row } from './row'

const heads: readonly [string, string, string][] = [
  ['device', 'Device', ''],
  ['state', 'Condition', ''],
  ['last', 'Last image', ''],
  ['images', 'Images per day', ''],
  ['gaps', 'Gaps', 'number'],
  ['delay', 'Arrived after', 'number'],
  ['battery', 'Battery', 'number'],
  ['temperature', 'Climate', 'number'],
  ['insects', 'Insects', 'number'],
  ['night', 'Last night', 'number'],
]

/** Rows that are drawn until more are asked for: hundreds would make each sorting slow. */
const FIRST = 100

export function DeviceTable(props: { rows: readonly Row[]; scope: Scope; now: number; order: Order; onSort: (by: string) => void }) {
  const { rows, scope, now } = props
  const [most, setMost] = useState(FIRST)
  return (
    <>
      <div class="table-box devices" role="region" aria-label="Devices" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {heads.map(([by, text, name]) => (
                <SortHead key={by} by={by} class={name} order={props.order} onSort={props.onSort}>
                  {text}
                </SortHead>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, most).map((r) => (
              <Device key={r.state.device} row={r} now={now} open={scope.end > now} />
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

function Device({ row, now, open }: { row: Row; now: number; open: boolean }) {
  const view = useView()
  const { state: d, condition, fill } = row
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
      <Cell name="Last image">
        <span class="ago">{ago(now - row.last)}</span>
        <span class="muted">
          <When time={row.last} seconds={false} />
        </span>
      </Cell>
      <Cell name="Images per day">
        <Bars device={d} open={open} />
      </Cell>
      <Cell name="Gaps" class="number">
        {d.images === 0 ? '–' : d.gaps}
        {d.gaps > 0 && <span class="muted">longest {showDuration(d.longest_gap)}</span>}
      </Cell>
      <Cell name="Arrived after" class="number">
        {d.clock_ahead > 0 ? `clock ${showDuration(d.clock_ahead)} ahead` : showDuration(d.upload_delay)}
      </Cell>
      <Cell name="Battery" class="number">
        {measured(d.battery, '%')}
      </Cell>
      <Cell name="Climate" class="number">
        {measured(d.temperature, '°C', 1)}
        <span class="muted">{measured(d.humidity, '% humid')}</span>
      </Cell>
      <Cell name="Insects" class="number">
        {fill === null ? (
          '–'
        ) : (
          <span class="filled">
            <Line values={fill.line} />
            <strong>{fill.insects.toLocaleString('en')}</strong>
          </span>
        )}
        {fill !== null && <span class="muted">{signed(fill.growth)}</span>}
      </Cell>
      <Cell name="Last night" class="number">
        {row.caught === null ? (
          '–'
        ) : (
          <Link href={nightOf(d.device, row.night, view)} label={`${d.device}: ${signed(row.caught)} last night, images`}>
            {signed(row.caught)}
          </Link>
        )}
      </Cell>
    </tr>
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

function Bars({ device: d, open }: { device: DeviceState; open: boolean }) {
  const bars = barsOf(d.images_per_day, d.expected_per_day, open)
  const most = Math.max(1, (d.expected_per_day ?? 0) * 1.1, ...bars.map((b) => b.images))
  const w = WIDTH / bars.length
  const path = (poor: boolean) =>
    bars
      .map((b, i) => {
        if (b.poor !== poor) return ''
        const h = Math.max(poor ? 2 : 0, (b.images / most) * HEIGHT) // a day without any is seen too
        return h === 0 ? '' : `M${(i * w).toFixed(2)} ${HEIGHT}v${(-h).toFixed(2)}h${Math.max(0.5, w - 0.7).toFixed(2)}V${HEIGHT}z`
      })
      .join('')
  const text = barsInWords(d, bars)
  const line = HEIGHT - ((d.expected_per_day ?? 0) / most) * HEIGHT
  return (
    <svg class="bars" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={text}>
      <title>{text}</title>
      <path class="enough" d={path(false)} />
      <path class="poor" d={path(true)} />
      {d.expected_per_day !== null && <path class="expected" d={`M0 ${line.toFixed(1)}H${WIDTH}`} />}
    </svg>
  )
}

function Line({ values }: { values: readonly number[] }) {
  if (values.length < 2) return null
  const most = Math.max(1, ...values)
  const points = values.map((v, i) => `${((i / (values.length - 1)) * 48).toFixed(1)},${(17 - (v / most) * 16).toFixed(1)}`)
  return (
    <svg class="line" viewBox="0 0 48 18" aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  )
}
