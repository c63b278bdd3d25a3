// New images and annotations, as they arrive: they make what is shown be asked for again, a few seconds later and not more
// often than that. The stream is a sign that something is new, and not the data itself.
import { parseTime } from '../lib/time'
import { request } from '../api/http'
import { Store } from '../lib/store'
import { refresh } from './scope'
import { openSession, session } from './session'
import { rangeOf, view } from './view'

/** How long what arrives is gathered, and the least time between two askings, in milliseconds. */
const GATHER = 2_000
const PAUSE = 10_000

/** Whether events are arriving: 'on', or 'off' while there is no connection. */
export const live = new Store<'on' | 'off'>('off')

let stream: EventSource | null = null
let timer = 0
let last = 0

function arrived(): void {
  if (timer) return
  const wait = Math.max(GATHER, last + PAUSE - Date.now())
  timer = window.setTimeout(() => {
    timer = 0
    last = Date.now()
    if (document.hidden) {
      // nobody looks: once somebody does
      document.addEventListener('visibilitychange', refresh, { once: true })
      return
    }
    refresh()
  }, wait)
}

function take(e: MessageEvent<string>): void {
  let event: { device?: unknown; datetime?: unknown }
  try {
    event = JSON.parse(e.data) as typeof event
  } catch {
    return
  }
  const t = parseTime(String(event.datetime))
  const [start, end] = rangeOf(view.value)
  const { devices } = view.value
  const chosen = devices.length === 0 || devices.some((d) => d.toLowerCase() === String(event.device).toLowerCase())
  if (chosen && t >= start && t < end) arrived()
}

function connect(): void {
  if (!session.value) {
    stream?.close()
    stream = null
    live.set('off')
    return
  }
  if (stream) return
  const mine = new EventSource('/api/v2/events')
  stream = mine
  mine.addEventListener('open', () => live.set('on'))
  mine.addEventListener('image', take)
  mine.addEventListener('annotation', take)
  mine.addEventListener('reset', arrived)
  mine.addEventListener('error', () => {
    live.set('off')
    // where the server refused, the browser does not try again
    if (mine.readyState !== EventSource.CLOSED || stream !== mine) return
    stream = null
    setTimeout(() => void again(), 30_000)
  })
}

/** After a refusal: is there still a session? */
async function again(): Promise<void> {
  if (!session.value || stream) return
  const { user } = await request<{ user: string | null }>('/session').catch(() => ({ user: session.value?.user ?? null }))
  if (user === null) await openSession().catch(() => {})
  else connect()
}

export function followEvents(): void {
  session.follow(connect)
  connect()
}
