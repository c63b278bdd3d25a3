import { useMemo } from 'preact/hooks'
import './devices.css'
import { formatOrder, parseOrder, turned, type Order } from '../../lib/order'
import { useStore } from '../../lib/store'
import { zone } from '../../state/prefs'
import { useScope } from '../../state/scope'
import { setExtra, useView } from '../../state/view'
import { Icon } from '../../ui/icon'
import { Busy, Empty, ErrorBox, PageHead } from '../../ui/page'
import { useNow } from '../../ui/when'
import { kindNames, KINDS, serverTime, type Kind } from './condition'
import { useCounts } from './load'
import { DeviceMap } from './map'
import { Mark } from './mark'
import { Morning } from './morning'
import { FALLS, inOrder, NAMES, rowsOf, type Row } from './row'
import { DeviceTable } from './table'

export default function DevicesPage() {
  const view = useView()
  const scope = useScope()
  const here = useNow()
  const inZone = useStore(zone)
  const { counts, error, retry } = useCounts(scope, view.devices)
  const now = scope ? serverTime(scope.devices, scope.loadedAt, here) : here
  const offset = inZone === 'utc' ? 0 : -new Date(now * 1000).getTimezoneOffset() * 60

  const all = useMemo(() => (scope ? rowsOf(scope, view.devices, counts, now, offset) : []), [scope, view.devices.join(), counts, now, offset])
  const show = KINDS.find((k) => k === view.extra['show']) ?? null
  const text = (view.extra['find'] ?? '').toLowerCase()
  const order = parseOrder(view.extra['sort'], NAMES, 'state')
  const rows = useMemo(() => inOrder(all.filter((r) => (!show || r.condition.kind === show) && r.state.device.includes(text)), order), [all, show, text, order.by, order.falling])
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
      {all.length === 0 ? (
        <Empty>No device has sent an image yet.</Empty>
      ) : (
        <>
          <Morning rows={all} counted={counts !== null} />
          {error && <ErrorBox error={error} retry={retry} />}
          <div class="filters">
            <Kinds rows={all} show={show} />
            <input
              type="search"
              placeholder="Find a device"
              aria-label="Find a device"
              value={view.extra['find'] ?? ''}
              onInput={(e) => setExtra({ find: e.currentTarget.value || null })}
            />
            {!asMap && <SortBy order={order} />}
          </div>
          {rows.length === 0 && <Empty>No such device.</Empty>}
          {rows.length > 0 && asMap && <DeviceMap rows={rows} />}
          {rows.length > 0 && !asMap && <DeviceTable rows={rows} scope={scope} now={now} order={order} onSort={(by) => setExtra({ sort: formatOrder(turned(order, by, FALLS.has(by))) })} />}
        </>
      )}
    </>
  )
}

function Kinds({ rows, show }: { rows: readonly Row[]; show: Kind | null }) {
  return (
    <div class="choice" role="group" aria-label="Condition">
      <button type="button" aria-pressed={show === null} onClick={() => setExtra({ show: null })}>
        All {rows.length}
      </button>
      {KINDS.map((kind) => {
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

/** For narrow screens, whose table has no heads. */
function SortBy({ order }: { order: Order }) {
  const names: [string, string][] = [
    ['state', 'Most urgent first'],
    ['device', 'Name'],
    ['-insects', 'Fullest first'],
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
