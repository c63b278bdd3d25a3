// The one place where requests are made. Sessions are the server's: the page only holds the proof that a write needs.

/** What went wrong, in the server's words. Codes are the API's (docs/PROTOCOL.md); 'network' is our own. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    /** seconds; 0: not said */
    readonly retryAfter = 0,
  ) {
    super(message)
  }
}

let mine = { user: '', proof: '' }
let onSessionOver = () => {}
let onHang = () => {}
let askAgain = () => Promise.resolve()

/** What state/session.ts hands over: whose session it is, with the proof of writes; what to do once the server says that it
 * is over; and how to ask for it again. */
export function useProof(user: string, proof: string): void {
  mine = { user, proof }
}
export function whenSessionIsOver(callback: () => void): void {
  onSessionOver = callback
}
/** What is to be done once a load was given up. */
export function whenALoadHangs(callback: () => void): void {
  onHang = callback
}
export function whenProofIsRefused(callback: () => Promise<void>): void {
  askAgain = callback
}

export interface Options {
  method?: 'GET' | 'POST' | 'DELETE'
  body?: unknown
  /** Of what is loaded, and not of what is written: it has a deadline. */
  signal?: AbortSignal
}

/** The signal of a load that several wait for: nobody gives it up before its deadline. */
export const SHARED = new AbortController().signal

/** For how long nothing of a reply may come, in milliseconds: the viewer's server gives the API as long to begin it. A load that hangs
 * would hold up all that wait for its end; one over a slow line goes on. */
const HANGS_AFTER = 120_000

/** Asks this server and gives the JSON that it answers. Throws an ApiError, or the signal's AbortError. */
export async function request<T>(path: string, options: Options = {}): Promise<T> {
  const { signal } = options
  if (!signal) return exchange(path, options)
  const own = new AbortController()
  const end = () => own.abort()
  let timer = setTimeout(end, HANGS_AFTER)
  const arrives = () => {
    clearTimeout(timer)
    timer = setTimeout(end, HANGS_AFTER)
  }
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  try {
    return await exchange<T>(path, { ...options, signal: own.signal }, arrives)
  } catch (e) {
    signal.throwIfAborted() // a browser may say no more of the reply that it was reading than that it failed
    if (!own.signal.aborted) throw e
    onHang()
    throw new ApiError('network', 'Nothing came from the server for two minutes. Check the connection and try again.', 0)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}

/** `arrives` is called with every part of the reply. */
async function exchange<T>(path: string, options: Options, arrives?: () => void): Promise<T> {
  const { method = 'GET', signal } = options
  const sent = mine
  let reply = await send(path, options)
  if (reply.status === 403 && method !== 'GET' && !(path === '/session' && method === 'POST')) {
    // the browser may have another session since, by a log-in in another tab; what one user meant is not done as another
    if (mine === sent) await askAgain().catch(() => {})
    if (mine.user === sent.user && mine.proof !== sent.proof) reply = await send(path, options)
  }
  if (reply.status === 204) return undefined as T
  if (!reply.ok) throw await failure(reply, path)
  try {
    return (await (arrives ? watched(reply, arrives) : reply).json()) as T
  } catch (e) {
    if (signal?.aborted) throw e
    throw new ApiError('network', 'The reply broke off. Try again.', reply.status)
  }
}

function watched(reply: Response, arrives: () => void): Response {
  const parts = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(part, to) {
      arrives()
      to.enqueue(part)
    },
  })
  return new Response(reply.body?.pipeThrough(parts))
}

async function send(path: string, { method = 'GET', body, signal }: Options): Promise<Response> {
  try {
    return await fetch(path, {
      method,
      credentials: 'same-origin',
      redirect: 'error',
      headers: {
        Accept: 'application/json',
        ...(method === 'GET' ? {} : { 'X-CSRF-Token': mine.proof }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (e) {
    if (signal?.aborted) throw e
    throw new ApiError('network', 'The server cannot be reached. Check the connection and try again.', 0)
  }
}

async function failure(reply: Response, path: string): Promise<ApiError> {
  let code = 'internal'
  let message = `The server answered ${reply.status}.`
  try {
    const text = (await reply.json()) as { error?: { code?: string; message?: string } }
    code = text.error?.code ?? code
    message = sentence(text.error?.message ?? message)
  } catch {
    // not the server's own words, then: a gateway's page
  }
  if (reply.status === 401 && path !== '/session') onSessionOver()
  return new ApiError(code, message, reply.status, Number(reply.headers.get('Retry-After')) || 0)
}

/** The API's messages begin small and have no full stop. */
function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}

/** Asks one of the API's endpoints, by its own path. */
export function api<T>(endpoint: string, options?: Options): Promise<T> {
  return request<T>(`/api/${endpoint}`, options)
}

/** Whether an error only says that nobody waits for the reply any more. */
export function isAbort(e: unknown): boolean {
  return e instanceof DOMException && e.name === 'AbortError'
}
