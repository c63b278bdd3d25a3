import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { api } from '../api/http'
import { followScope, refresh, refreshArrived, refreshes, refreshNow, scope, scopeError, showAll, slowRefreshes } from './scope'
import { session } from './session'
import { parseView, view, type View } from './view'

beforeEach(() => vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** By how much both have grown since. */
function grown(): () => [number, number] {
  const [all, slow] = [refreshes.value, slowRefreshes.value]
  return () => [refreshes.value - all, slowRefreshes.value - slow]
}

it('what arrives by itself refreshes the slow not more than once a minute', () => {
  refresh()
  const by = grown()
  for (let i = 1; i <= 11; i++) {
    vi.advanceTimersByTime(10_000)
    refreshArrived()
  }
  expect(by()).toEqual([11, 1]) // after 60 s; the next would be after 120 s
})

it('a refresh that somebody asks for is of everything at once', () => {
  const by = grown()
  refresh()
  refresh()
  expect(by()).toEqual([2, 2])
})

/** The address once all images were looked for, of a server with images on two days, and another one was gone to meanwhile. */
async function foundAfter(address: string): Promise<View> {
  vi.setSystemTime('2022-07-01T00:00:00Z')
  let answer = () => {}
  const waits = new Promise<void>((done) => (answer = done))
  vi.stubGlobal('history', { pushState: () => {}, replaceState: () => {} })
  vi.stubGlobal('fetch', async () => {
    await waits
    return Response.json([{ device: 'a', images_per_day: Array.from({ length: 3650 }, (_, day) => (day === 3600 || day === 3610 ? 1 : 0)) }])
  })
  view.set(parseView('/data', '?from=2022-06-01&to=2022-06-02&devices=a'))
  const found = showAll()
  const [path = '', query = ''] = address.split('?')
  view.set(parseView(path, query))
  answer()
  await found
  return view.value
}

it('all images are gone to from whichever page of the range', async () => {
  expect(await foundAfter('/devices?from=2022-06-01&to=2022-06-02&devices=a')).toMatchObject({ path: '/devices', range: { from: '2022-05-14', to: '2022-05-24' } })
})

it('who has gone on to another range, or to other devices, stays there', async () => {
  expect(await foundAfter('/data?from=2022-06-01&to=2022-06-03&devices=a')).toMatchObject({ range: { from: '2022-06-01', to: '2022-06-03' } })
  expect(await foundAfter('/data?from=2022-06-01&to=2022-06-02&devices=b')).toMatchObject({ range: { from: '2022-06-01', to: '2022-06-02' }, devices: ['b'] })
})

it('what arrives while the devices are being loaded has them loaded once more after that; who presses a button has them at once', async () => {
  const asked: { signal: AbortSignal; answer: () => void }[] = []
  vi.stubGlobal('fetch', (_: string, { signal }: { signal: AbortSignal }) => new Promise((done) => asked.push({ signal, answer: () => done(Response.json([])) })))
  const told = () => asked.map(({ signal }) => (signal.aborted ? 'ended' : 'in flight or done'))
  const answered = async (i: number) => {
    asked[i]?.answer()
    await vi.advanceTimersByTimeAsync(0)
  }
  session.set({ user: 'ana', role: 'admin' })
  view.set(parseView('/images', '?from=2022-06-01&to=2022-06-02'))
  followScope()
  for (let i = 0; i < 5; i++) refreshArrived()
  expect(told()).toEqual(['in flight or done'])
  await answered(0)
  expect(scope.value).toMatchObject({ devices: [] })
  expect(told()).toEqual(['in flight or done', 'in flight or done'])
  refreshNow()
  expect(told()).toEqual(['in flight or done', 'ended', 'in flight or done'])
  await answered(2)
  expect(asked).toHaveLength(3)
  session.set(null)
})

it('what waits for a load that fails is loaded in its place: nothing is asked for again after it, nor when something else of the address changes', async () => {
  const asked: ((reply: Response) => void)[] = []
  vi.stubGlobal('window', globalThis)
  vi.stubGlobal('fetch', () => new Promise<Response>((answer) => asked.push(answer)))
  const busy = () => Response.json({ error: { code: 'unavailable', message: 'busy' } }, { status: 503, headers: { 'Retry-After': '20' } })
  const address = '?from=2022-07-01&to=2022-07-02'
  view.set(parseView('/images', address))
  session.set({ user: 'ana', role: 'admin' })
  followScope()
  refreshArrived()
  for (const [i, reply] of [busy(), Response.json([])].entries()) {
    expect(asked).toHaveLength(i + 1)
    asked[i]?.(reply)
    await vi.advanceTimersByTimeAsync(0)
  }
  view.set(parseView('/devices', address))
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked).toHaveLength(2)
  session.set(null)
})

it('a load that the server never answers is given up, told of, and tried again by itself', async () => {
  const asked: { signal: AbortSignal; answer: (reply: Response) => void }[] = []
  vi.stubGlobal('window', globalThis)
  vi.stubGlobal('fetch', (_: string, { signal }: { signal: AbortSignal }) => new Promise<Response>((answer, fail) => {
    asked.push({ signal, answer })
    signal.addEventListener('abort', () => fail(new DOMException('aborted', 'AbortError')))
  }))
  view.set(parseView('/images', '?from=2022-08-01&to=2022-08-02'))
  session.set({ user: 'ana', role: 'admin' })
  followScope()
  await vi.advanceTimersByTimeAsync(119_000)
  expect([asked.length, asked[0]?.signal.aborted, scopeError.value]).toEqual([1, false, null])
  await vi.advanceTimersByTimeAsync(2_000)
  expect([asked[0]?.signal.aborted, scopeError.value?.message]).toEqual([true, 'Nothing came from the server for two minutes. Check the connection and try again.'])
  await vi.advanceTimersByTimeAsync(10_000) // the longest that it waits the first time is 5 s
  expect(asked).toHaveLength(2)
  asked[1]?.answer(Response.json([]))
  await vi.advanceTimersByTimeAsync(0)
  expect([scopeError.value, scope.value?.devices]).toEqual([null, []])
  // what is answered in time is not ended after it, and what is not asked by itself has it all asked for again
  const other = api('v2/other', { signal: new AbortController().signal }).catch((e: unknown) => String(e))
  const before = refreshes.value
  await vi.advanceTimersByTimeAsync(130_000)
  expect([asked[1]?.signal.aborted, await other, refreshes.value > before]).toEqual([false, 'Error: Nothing came from the server for two minutes. Check the connection and try again.', true])
  session.set(null)
})
