// The range, the devices, and the refresh button: what every page looks at.
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { useStore } from '../lib/store'
import { DAY, dayOf } from '../lib/time'
import { inScope, loading, refresh, useScope } from '../state/scope'
import { DEFAULT_DAYS, go, rangeOf, useView } from '../state/view'
import { Icon } from './icon'
import { IconButton } from './page'

export function ScopeBar() {
  const view = useView()
  const busy = useStore(loading)
  const [start, end] = rangeOf(view)
  const from = dayOf(start)
  const to = dayOf(end - DAY)

  function change(nextFrom: string, nextTo: string) {
    if (!nextFrom || !nextTo) return // half typed
    if (nextFrom > nextTo) [nextFrom, nextTo] = nextFrom === from ? [nextTo, nextTo] : [nextFrom, nextFrom]
    go({ range: { from: nextFrom, to: nextTo }, zoom: null })
  }

  return (
    <section class="scope-bar" aria-label="Range and devices">
      <label>
        From
        <input type="date" value={from} onChange={(e) => change(e.currentTarget.value, to)} />
      </label>
      <label>
        To
        <input type="date" value={to} onChange={(e) => change(from, e.currentTarget.value)} />
      </label>
      <button type="button" class="quiet" disabled={view.range === null} onClick={() => go({ range: null, zoom: null })}>
        Last {DEFAULT_DAYS} days
      </button>
      <DeviceChooser />
      <IconButton icon="refresh" label="Refresh" class={busy ? 'turning' : ''} onClick={refresh} />
    </section>
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
