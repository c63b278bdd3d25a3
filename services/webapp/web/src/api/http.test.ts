import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { api, isAbort } from './http'

beforeEach(() => vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** A server whose reply comes in parts, each so many milliseconds after the one before; the last of them, or silence. One that is given
 * up ends as Chromium ends it. */
function slowly(parts: string[], every: number, ends: boolean): void {
  vi.stubGlobal('fetch', (_: string, { signal }: { signal: AbortSignal }) => {
    const body = new ReadableStream<Uint8Array>({
      async start(to) {
        signal.addEventListener('abort', () => to.error(new TypeError('Failed to fetch')))
        for (const part of parts) {
          await new Promise((done) => setTimeout(done, every))
          to.enqueue(new TextEncoder().encode(part))
        }
        if (ends) to.close()
      },
    })
    return Promise.resolve(new Response(body))
  })
}

it('a reply over a slow line is waited for as long as it comes', async () => {
  slowly(['[1', ',2', ',3', ',4', ']'], 100_000, true)
  const reply = api('v2/devices', { signal: new AbortController().signal })
  await vi.advanceTimersByTimeAsync(500_000)
  expect(await reply).toEqual([1, 2, 3, 4])
})

it('a reply of which nothing more comes is given up', async () => {
  slowly(['[1', ',2'], 100_000, false)
  const reply = api('v2/devices', { signal: new AbortController().signal }).catch((e: unknown) => String(e))
  let over = false
  void reply.then(() => (over = true))
  await vi.advanceTimersByTimeAsync(319_000)
  expect(over).toBe(false)
  await vi.advanceTimersByTimeAsync(2_000)
  expect([over, await reply]).toEqual([true, 'Error: Nothing came from the server for two minutes. Check the connection and try again.'])
})

it('a load that nobody waits for any more, while its reply comes, has not failed', async () => {
  slowly(['[1', ',2'], 100_000, false)
  const mine = new AbortController()
  const reply = api('v2/devices', { signal: mine.signal }).catch(isAbort)
  await vi.advanceTimersByTimeAsync(150_000)
  mine.abort()
  expect(await reply).toBe(true)
})
