// The range, the devices, and the refresh button: what every page looks at.
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { useStore } from '../lib/store'
import { count, DAY, dayOf, parseTime } from '../lib/time'
import { finding, inScope, loading, refreshNow, showAll, stopFinding, useScope } from '../state/scope'
import { DEFAULT_DAYS, go, rangeOf, useView } from '../state/view'
import { Icon } from './icon'
import { Empty, IconButton } from './page'

/** No device is older: what is before it was mistyped. */
const EARLIEST = '2019-01-01'

export function ScopeBar() {
  const view = useView()
  const scope = useScope()
  const busy = useStore(loading)
  const [start, end] = rangeOf(view)
  const shown = { from: dayOf(start), to: dayOf(end - DAY) }
  const [typed, type] = useState<{ from: string; to: string; left?: true } | null>(null) // what is not in the address (yet)
  const search = useStore(finding)
  useEffect(() => type(null), [shown.from, shown.to])
  const { from, to } = typed ?? shown
  const wrong = !typed?.left ? '' : from < EARLIEST || to < EARLIEST ? `There are no images from before ${EARLIEST.slice(0, 4)}.` : from > to ? 'From is after To.' : ''

  function take(next: { from: string; to: string }) {
    if (!next.from || !next.to) return type(null) // a part of it is empty
    type({ ...next, left: true })
    if (next.from >= EARLIEST && next.from <= next.to && (next.from !== shown.from || next.to !== shown.to)) go({ range: next, zoom: null })
  }

  function choose(name: string) {
    const today = dayOf(Date.now() / 1000)
    if (name === 'week') take({ from: dayOf(Date.now() / 1000 - 6 * DAY), to: today })
    else if (name === 'month') take({ from: `${today.slice(0, 8)}01`, to: today })
    else if (name === 'year') take({ from: `${today.slice(0, 5)}01-01`, to: today })
    else if (name === 'all') void showAll()
  }

  const known = new Set((scope?.devices ?? []).map((d) => d.device))
  const unknown = scope ? view.devices.filter((d) => !known.has(d.toLowerCase())) : []
  return (
    <section class="scope-bar" aria-label="Range and devices">
      <DateField label="From" value={from} onType={(day) => type({ from: day, to })} onTake={(day) => take({ from: day, to })} wrong={wrong !== ''} />
      <DateField label="To" value={to} onType={(day) => type({ from, to: day })} onTake={(day) => take({ from, to: day })} wrong={wrong !== ''} />
      <button type="button" class="quiet" disabled={view.range === null} title="The range that one begins with" onClick={() => go({ range: null, zoom: null })}>
        Last {DEFAULT_DAYS} days
      </button>
      <label>
        <span class="sr-only">Other ranges</span>
        <select value="" disabled={search !== null} onChange={(e) => choose(e.currentTarget.value)}>
          <option value="">{search ? 'A moment…' : 'Other ranges'}</option>
          <option value="week">Last 7 days</option>
          <option value="month">This month</option>
          <option value="year">This year</option>
          <option value="all">All images</option>
        </select>
      </label>
      {search && (
        <button type="button" onClick={stopFinding}>
          <Icon name="close" /> Stop looking ({search.done} of {count(search.of, 'device')})
        </button>
      )}
      <DeviceChooser />
      <IconButton icon="refresh" label="Refresh" word="Refresh" class={busy ? 'turning' : ''} onClick={refreshNow} />
      {(wrong || view.misread) && (
        <p class="notice" role="status">
          {wrong || `The address names a range that cannot be read: these are the last ${DEFAULT_DAYS} days.`}
        </p>
      )}
      {unknown.length > 0 && (
        <p class="notice" role="status">
          {unknown.join(', ')} {unknown.length === 1 ? 'is' : 'are'} not known here.{' '}
          <button type="button" onClick={() => go({ devices: [] })}>
            All devices
          </button>
        </p>
      )}
    </section>
  )
}

/** A day. What is typed is taken when it is whole: with the last digit of the year, with Enter, or when the field is left; what
 * is chosen in the browser's calendar, at once. */
function DateField(props: { label: string; value: string; wrong: boolean; onType: (day: string) => void; onTake: (day: string) => void }) {
  const { value, onType, onTake } = props
  const typing = useRef(false)
  const year = useRef('') // of the last whole date
  if (value) year.current = value.slice(0, 4)
  return (
    <label>
      {props.label}
      <input
        type="date"
        min={EARLIEST}
        max="9999-12-31"
        value={value}
        aria-invalid={props.wrong || undefined}
        onKeyDown={(e) => {
          typing.current = e.key !== 'Enter' && e.key !== 'Tab'
          if (e.key === 'Enter') onTake(e.currentTarget.value)
        }}
        onPointerDown={() => (typing.current = false)}
        onInput={(e) => {
          const day = e.currentTarget.value
          const yearTyped = day >= EARLIEST && day.slice(0, 4) !== year.current
          if (typing.current && !yearTyped) onType(day)
          else onTake(day)
        }}
        onBlur={(e) => onTake(e.currentTarget.value)}
      />
    </label>
  )
}

/** What to show where there is no image in the range: where there are some. */
export function NoImages() {
  const view = useView()
  const scope = useScope()
  const search = useStore(finding)
  const chosen = new Set(view.devices.map((d) => d.toLowerCase()))
  const asked = scope?.devices.filter((d) => chosen.size === 0 || chosen.has(d.device.toLowerCase())) ?? []
  if (!scope || asked.length === 0) return <Empty>{scope?.devices.length === 0 ? 'No image has arrived yet.' : 'No images in this range. Choose another one, or other devices, above.'}</Empty>
  const newest = asked.reduce((last, d) => Math.max(last, parseTime(d.last_datetime)), 0)
  const days: [string, string] = [dayOf(newest - (DEFAULT_DAYS - 1) * DAY), dayOf(newest)]
  return (
    <Empty>
      No images in this range. The newest of {count(asked.length, 'device')} is of {days[1]}.{' '}
      <button type="button" class="primary" onClick={() => go({ range: { from: days[0], to: days[1] }, zoom: null })}>
        Show the {DEFAULT_DAYS} days to {days[1]}
      </button>{' '}
      <button type="button" disabled={search !== null} onClick={() => void showAll()}>
        Show all images
      </button>
    </Empty>
  )
}

function DeviceChooser() {
  const view = useView()
  const scope = useScope()
  const [open, setOpen] = useState(false)
  const [filter, setFilter] = useState('')
  const root = useRef<HTMLDivElement>(null)
  const id = useId()

  useEffect(() => {
    if (!open) return
    const outside = (e: Event) => {
      if (!root.current?.contains(e.target as Node)) setOpen(false)
    }
    const escape = (e: KeyboardEvent) => {
      if (e.key === 'Escape') setOpen(false)
    }
    addEventListener('pointerdown', outside)
    addEventListener('keydown', escape)
    return () => {
      removeEventListener('pointerdown', outside)
      removeEventListener('keydown', escape)
    }
  }, [open])

  const chosen = new Set(view.devices.map((d) => d.toLowerCase()))
  const all = scope?.devices ?? []
  const shown = all.filter((d) => d.device.includes(filter.toLowerCase()))

  function toggle(device: string) {
    const next = new Set(chosen)
    if (!next.delete(device)) next.add(device)
    go({ devices: [...next].sort() })
  }

  return (
    <div class="device-chooser" ref={root}>
      <button type="button" aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        <Icon name="device" />
        {chosen.size === 0 ? `All devices (${inScope(all, []).length})` : `${chosen.size} of ${all.length} devices`}
      </button>
      {open && (
        <div class="popover" id={id}>
          <input type="search" placeholder="Find a device" aria-label="Find a device" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />
          <button type="button" class="quiet" disabled={chosen.size === 0} onClick={() => go({ devices: [] })}>
            All devices
          </button>
          <ul>
            {shown.map((d) => (
              <li key={d.device}>
                <label>
                  <input type="checkbox" checked={chosen.has(d.device)} onChange={() => toggle(d.device)} />
                  <code>{d.device}</code>
                  <span class="muted">{d.images.toLocaleString('en')}</span>
                </label>
              </li>
            ))}
          </ul>
          {shown.length === 0 && <p class="muted">No such device.</p>}
        </div>
      )}
    </div>
  )
}
