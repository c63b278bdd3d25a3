// What is being looked at stands in the page's address, and only there: every view can be shared, and the browser's
// back button works. Parameters of one page alone live in `extra`.
import { DAY, dayOf, nameTime, parseTime } from '../lib/time'
import { Store, useStore } from '../lib/store'

export interface ImageRef {
  device: string
  time: number
}

export interface View {
  path: string
  /** Days, UTC, both included; null: the last 28 days. */
  range: { from: string; to: string } | null
  devices: string[] // none: all
  zoom: [number, number] | null // seconds
  image: ImageRef | null
  extra: Record<string, string>
  /** The address names a range that cannot be read. */
  misread?: true
}

export const DEFAULT_DAYS = 28

const known = new Set(['from', 'to', 'devices', 'zoom', 'image'])

export function parseView(path: string, search: string): View {
  const q = new URLSearchParams(search)
  const extra: Record<string, string> = {}
  for (const [name, value] of q) if (!known.has(name)) extra[name] = value
  const range = parseRange(q.get('from'), q.get('to'))
  return {
    ...(!range && (q.has('from') || q.has('to')) ? { misread: true } : {}),
    // one slash at the beginning: two would make it another host's address
    path: '/' + path.replace(/^\/+|\/+$/g, ''),
    range,
    devices: (q.get('devices') ?? '').split(',').filter((d) => /^[0-9a-z]{1,32}$/i.test(d)),
    zoom: parseZoom(q.get('zoom')),
    image: parseImage(q.get('image')),
    extra,
  }
}

function parseRange(from: string | null, to: string | null): View['range'] {
  if (!from || !to) return null
  const a = parseTime(from)
  const b = parseTime(to)
  if (Number.isNaN(a) || Number.isNaN(b) || from.length !== 10 || to.length !== 10) return null
  return a > b ? { from: to, to: from } : { from, to }
}

function parseZoom(text: string | null): View['zoom'] {
  const [a, b] = (text ?? '').split('~').map(parseTime)
  return a !== undefined && b !== undefined && b > a ? [a, b] : null
}

/** An image is named as its file is, without the suffix: 5c173ff2.2020-06-20_21-33-24. */
export function parseImage(text: string | null): ImageRef | null {
  const m = /^([0-9a-z]{1,32})\.(.+)$/i.exec(text ?? '')
  const time = parseTime(m?.[2] ?? '')
  return m?.[1] && !Number.isNaN(time) ? { device: m[1], time } : null
}

export function imageName(image: ImageRef): string {
  return `${image.device}.${nameTime(image.time)}`
}

export function formatView(view: View): string {
  const q: string[] = []
  // written by hand: these characters need no escaping in a query, and people read the address
  if (view.range) q.push(`from=${view.range.from}`, `to=${view.range.to}`)
  if (view.devices.length > 0) q.push(`devices=${view.devices.join(',')}`)
  if (view.zoom) q.push(`zoom=${nameTime(view.zoom[0])}~${nameTime(view.zoom[1])}`)
  if (view.image) q.push(`image=${imageName(view.image)}`)
  for (const [name, value] of Object.entries(view.extra)) q.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
  return view.path + (q.length > 0 ? '?' + q.join('&') : '')
}

/** The range in seconds, its end excluded. */
export function rangeOf(view: Pick<View, 'range'>, now = Date.now() / 1000): [number, number] {
  if (view.range) return [parseTime(view.range.from), parseTime(view.range.to) + DAY]
  const end = parseTime(dayOf(now)) + DAY
  return [end - DEFAULT_DAYS * DAY, end]
}

export const view = new Store<View>({ path: '/', range: null, devices: [], zoom: null, image: null, extra: {} })

/** Begins to follow the address. */
export function followAddress(): void {
  addEventListener('popstate', read)
  read()
}

function read(): void {
  clearTimeout(later)
  later = 0
  view.set(parseView(location.pathname, location.search))
}

/** Browsers let a page write its address some three times a second (Safari: 100 times in 30 s) and refuse more: after the
 * first AT_ONCE times, what a finger drags is written now and then, and where it comes to rest. In milliseconds. */
const WRITE_EVERY = 400
const AT_ONCE = 15
let later = 0 // the timer of what is still to be written
let written = 0 // when that was last done
let saved = 0 // milliseconds in which it was not

function write(): void {
  clearTimeout(later)
  later = 0
  const now = Date.now()
  saved = Math.min(saved + Math.max(0, now - written), AT_ONCE * WRITE_EVERY) - WRITE_EVERY
  written = now
  history.replaceState(null, '', formatView(view.value))
}

/** Goes to an address of ours as a link does. */
export function visit(address: string): void {
  if (later) write()
  history.pushState(null, '', address)
  read()
}

/** Changes what is looked at. `replace`: without a step for the back button. */
export function go(change: Partial<View>, { replace = false } = {}): void {
  const next = { ...view.value, ...change }
  if ('range' in change) delete next.misread
  const address = formatView(next)
  if (address === formatView(view.value) && next.misread === view.value.misread) return
  if (!replace) {
    if (later) write()
    history.pushState(null, '', address)
  }
  view.set(next)
  if (!replace || later) return
  const soon = WRITE_EVERY - saved - Math.max(0, Date.now() - written)
  if (soon > 0) later = window.setTimeout(write, soon)
  else write()
}

/** Changes parameters of this page alone; null takes one away. */
export function setExtra(changes: Record<string, string | null>, options = { replace: true }): void {
  const extra = { ...view.value.extra }
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete extra[name]
    else extra[name] = value
  }
  go({ extra }, options)
}

export function useView(): View {
  return useStore(view)
}

/** The address of a page with the same range and devices. */
export function pageAddress(path: string, from: View = view.value): string {
  return formatView({ ...from, path, image: null, extra: {}, ...(path === '/images' ? {} : { zoom: null }) })
}
