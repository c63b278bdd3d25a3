// What takes the server more than one request to work out.
import { pause } from '../lib/pause'
import { ApiError } from './http'

/** Asks, and asks again as long as the server says that it is busy, or that it is working out the days: it gets further each time. */
export async function patiently<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await ask()
    } catch (e) {
      if (!(e instanceof ApiError && (e.status === 503 || e.status === 429) && e.retryAfter > 0)) throw e
      await new Promise((done) => setTimeout(done, pause(failures, e.retryAfter)))
      signal?.throwIfAborted()
    }
  }
}
