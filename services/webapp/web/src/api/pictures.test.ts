import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { parseTime } from '../lib/time'
import type { Image, ImageKey } from './types'

const T = parseTime('2020-06-20')
let asked: { path: string; keys: ImageKey[] }[] = []
let missing = new Set<string>()
let broken = false

beforeEach(() => {
  vi.resetModules() // a cache of its own for every test
  vi.useFakeTimers()
  asked = []
  missing = new Set()
  broken = false
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => {
    const keys = JSON.parse(init.body as string) as ImageKey[]
    asked.push({ path, keys })
    if (broken) return Promise.resolve(new Response('{"error":{"code":"unavailable","message":"S3 is away"}}', { status: 503 }))
    const images = keys.filter((k) => !missing.has(k.datetime)).map((k) => ({ ...k, device: k.device.toUpperCase(), url: `https://s3/${k.device}/${k.datetime}` }))
    return Promise.resolve(new Response(JSON.stringify(images.reverse()))) // in whatever order
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

it('asks for many pictures in one request, and for each once', async () => {
  const { getImage } = await import('./pictures')
  const all = Array.from({ length: 450 }, (_, i) => getImage('thumbnail-mini', '5c173ff2', T + i * 1200))
  const again = getImage('thumbnail-mini', '5C173FF2', T)
  await vi.runAllTimersAsync()
  const images = await Promise.all(all)
  expect(images.map((i) => parseTime((i as Image).datetime))).toEqual(Array.from({ length: 450 }, (_, i) => T + i * 1200))
  expect(await again).toBe(images[0])
  expect(asked.map((a) => a.keys.length)).toEqual([200, 200, 50])
  expect(asked[0]?.path).toBe('/api/get_images/thumbnail-mini')
})

it('gives nothing for an image that is not there', async () => {
  const { getImage } = await import('./pictures')
  missing.add('2020-06-20T00:20:00Z')
  const both = Promise.all([getImage('thumbnail', '5c173ff2', T), getImage('thumbnail', '5c173ff2', T + 1200)])
  await vi.runAllTimersAsync()
  expect((await both).map((i) => i === null)).toEqual([false, true])
})

it('asks again after a failure', async () => {
  const { getImage } = await import('./pictures')
  broken = true
  const first = getImage('image', '5c173ff2', T).catch((e: Error) => e.message)
  await vi.runAllTimersAsync()
  expect(await first).toBe('S3 is away.')
  broken = false
  const second = getImage('image', '5c173ff2', T)
  await vi.runAllTimersAsync()
  expect((await second)?.url).toBe('https://s3/5c173ff2/2020-06-20T00:00:00Z')
})

it('takes images that came by another way', async () => {
  const { getImage, noteImages } = await import('./pictures')
  noteImages('thumbnail', [{ device: '5c173ff2', datetime: '2020-06-20T00:00:00Z', url: 'https://s3/known' } as Image])
  expect((await getImage('thumbnail', '5c173ff2', T))?.url).toBe('https://s3/known')
  expect(asked).toEqual([])
})
