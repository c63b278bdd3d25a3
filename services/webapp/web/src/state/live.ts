// New images and annotations, as they arrive: they make what is shown be asked for again, a few seconds later and not more
// often than that. The stream is a sign that something is new, and not the data itself.
import { parseTime } from '../lib/time'
import { request } from '../api/http'
import { pause } from '../lib/pause'
import { Store } from '../lib/store'
import { askScope, refresh, refreshArrived } from './scope'
import { openSession, session } from './session'
import { rangeOf, view } from './view'

/** How long what arrives is gathered, and the least time between two askings, in milliseconds. */
const GATHER = 2_000
const PAUSE = 10_000

/** Whether events are arriving: 'on', or 'off' while there is no connection. */
export const live = new Store<'on' | 'off'>('off')

let stream: EventSource | null = null
let user = '' // whose stream it is
let missed = false // there was a time without a stream
let failures = 0
let timer = 0
let whole = false // what is gathered may concern anything, and not images and annotations alone
let last = 0

function arrived(anything: boolean): void {
  whole ||= anything
  if (timer) return
  const wait = Math.max(GATHER, last + PAUSE - Date.now())
  timer = window.setTimeout(() => {
    timer = 0
    if (document.hidden) return // the stream begins anew once somebody looks
    last = Date.now()
    if (whole) refresh()
    else refreshArrived()
    whole = false
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
  if (chosen && t >= start && t < end) arrived(false)
}

/** One stream while somebody is logged in and looks at the page: without HTTP/2, browsers keep six connections to a server,
 * and half a dozen pages in the background would have them all. */
function connect(): void {
  if (stream && (document.hidden || session.value?.user !== user)) {
    stream.close()
    stream = null
    missed = true
    live.set('off')
  }
  if (stream || document.hidden || !session.value) return
  user = session.value.user
  const mine = new EventSource('/api/v2/events')
  stream = mine
  mine.addEventListener('open', () => {
    live.set('on')
    failures = 0
    if (missed) arrived(true)
    missed = false
  })
  mine.addEventListener('image', take)
  mine.addEventListener('annotation', take)
  mine.addEventListener('reset', () => arrived(true))
  mine.addEventListener('error', () => {
    if (stream !== mine) return
    live.set('off')
    missed = true
    // a server that was only restarted is back by now; of one that is not, the page has to tell
    if (++failures === 2) askScope()
    // where the server refused, the browser does not try again
    if (mine.readyState !== EventSource.CLOSED) return
    stream = null
    setTimeout(() => void again(), pause(failures))
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
  document.addEventListener('visibilitychange', connect)
  connect()
}
