import { useMemo } from 'preact/hooks'
import './devices.css'
import { formatOrder, parseOrder, turned, type Order } from '../../lib/order'
import { save } from '../../lib/save'
import { useStore } from '../../lib/store'
import { dayOf } from '../../lib/time'
import { zone } from '../../state/prefs'
import { useScope } from '../../state/scope'
import { setExtra, useView } from '../../state/view'
import { DetectorNotes } from '../../ui/detector'
import { Icon } from '../../ui/icon'
import { Busy, Empty, ErrorBox, PageHead } from '../../ui/page'
import { useNow } from '../../ui/when'
import { kindNames, kindsOf, serverTime, type Kind } from './condition'
import { usePoints } from './load'
import { DeviceMap } from './map'
import { Mark } from './mark'
import { Morning } from './morning'
import { FALLS, inOrder, NAMES, rowsOf, type Row } from './row'
import { NightsView, SaveNights } from './nights-view'
import { DeviceTable } from './table'
import { caughtCSV } from './words'

export default function DevicesPage() {
  const view = useView()
  const scope = useScope()
  const here = useNow()
  const inZone = useStore(zone)
  const { points, error, retry } = usePoints(scope, view.devices)
  const now = scope ? serverTime(scope.devices, scope.loadedAt, here) : here

  const all = useMemo(() => (scope ? rowsOf(scope, view.devices, points, now, inZone) : []), [scope, view.devices.join(), points, now, inZone])
  const over = scope !== null && scope.end < now
  const kinds = kindsOf(over)
  const show = kinds.find((k) => k === view.extra['show']) ?? null
  const text = (view.extra['find'] ?? '').toLowerCase()
  const order = parseOrder(view.extra['sort'], NAMES, 'state')
  const rows = useMemo(() => inOrder(all.filter((r) => (!show || r.condition.kind === show) && r.state.device.includes(text)), order), [all, show, text, order.by, order.falling])
  const nightly = all.find((r) => r.state.device === view.extra['nights']?.toLowerCase())
  const asMap = view.extra['as'] === 'map'

  if (!scope) {
    return (
      <>
        <PageHead title="Devices" />
        <Busy what="Loading the devices…" />
      </>
    )
  }
  return (
    <>
      <PageHead title="Devices">
        <span class="grow" />
        <div class="choice" role="group" aria-label="Show as">
          <button type="button" aria-pressed={!asMap} onClick={() => setExtra({ as: null, at: null })}>
            <Icon name="list" /> List
          </button>
          <button type="button" aria-pressed={asMap} onClick={() => setExtra({ as: 'map' })}>
            <Icon name="map" /> Map
          </button>
        </div>
      </PageHead>
      <DetectorNotes />
      {all.length === 0 ? (
        <Empty>No device has sent an image yet.</Empty>
      ) : (
        <>
          <Morning rows={all} counted={points !== null} now={now} over={over} />
          {error && <ErrorBox error={error} retry={retry} />}
          <div class="filters">
            <Kinds rows={all} kinds={kinds} show={show} />
            <input
              type="search"
              placeholder="Find a device"
              aria-label="Find a device"
              value={view.extra['find'] ?? ''}
              onInput={(e) => setExtra({ find: e.currentTarget.value || null })}
            />
            {!asMap && <SortBy order={order} />}
            {!asMap && <SaveNights rows={rows} scope={scope} now={now} inZone={inZone} />}
            {!asMap && <SaveCaught rows={rows} name={`caught.${dayOf(scope.start)}.${dayOf(scope.end - 1)}.csv`} ready={points !== null} />}
          </div>
          {rows.length === 0 && <Empty>No such device.</Empty>}
          {rows.length > 0 && asMap && <DeviceMap rows={rows} kinds={kinds} />}
          {rows.length > 0 && !asMap && <DeviceTable rows={rows} scope={scope} now={now} order={order} onSort={(by) => setExtra({ sort: formatOrder(turned(order, by, FALLS.has(by))) })} />}
          {nightly && <NightsView key={nightly.state.device} row={nightly} scope={scope} now={now} inZone={inZone} />}
        </>
      )}
    </>
  )
}

function Kinds({ rows, kinds, show }: { rows: readonly Row[]; kinds: readonly Kind[]; show: Kind | null }) {
  return (
    <div class="choice" role="group" aria-label="Condition">
      <button type="button" aria-pressed={show === null} onClick={() => setExtra({ show: null })}>
        All {rows.length}
      </button>
      {kinds.map((kind) => {
        const n = rows.filter((r) => r.condition.kind === kind).length
        return (
          <button key={kind} type="button" aria-pressed={show === kind} disabled={n === 0 && show !== kind} onClick={() => setExtra({ show: kind })}>
            <Mark kind={kind} /> {kindNames[kind]} {n}
          </button>
        )
      })}
    </div>
  )
}

/** What each of the devices below caught, for spreadsheets. */
function SaveCaught({ rows, name, ready }: { rows: readonly Row[]; name: string; ready: boolean }) {
  return (
    <button type="button" disabled={!ready || rows.length === 0} title="What each of these devices caught in the range and last night, for spreadsheets" onClick={() => save(name, caughtCSV(rows))}>
      <Icon name="download" /> Catches (CSV)
    </button>
  )
}

/** For narrow screens, whose table has no heads. */
function SortBy({ order }: { order: Order }) {
  const names: [string, string][] = [
    ['state', 'Most urgent first'],
    ['device', 'Name'],
    ['-insects', 'Fullest first'],
    ['-caught', 'Most caught in the range'],
    ['-night', 'Most caught last night'],
    ['battery', 'Emptiest battery first'],
    ['-last', 'Newest image first'],
  ]
  const now = formatOrder(order)
  return (
    <label class="sort-by">
      Sort by
      <select value={now} onChange={(e) => setExtra({ sort: e.currentTarget.value })}>
        {!names.some(([value]) => value === now) && <option value={now}>{now.replace('-', '')}</option>}
        {names.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}
