// Addresses of pictures: asked for when one is about to be shown, many in one request, and kept. They are stable, so that
// the browser's own cache keeps the pictures.
import { nameTime, parseTime, wireTime } from '../lib/time'
import { api, SHARED } from './http'
import type { Image, What } from './types'

/** Keys of one request at most. */
const BATCH = 200
/** How long further keys are waited for, in milliseconds. */
const WAIT = 20
/** Presigned addresses live for some days; ours are asked for again long before. */
const KEEP = 12 * 3600 * 1000
const MOST = 20_000

interface Entry {
  image: Promise<Image | null>
  at: number
}

interface Waiting {
  device: string
  time: number
  settle: (image: Image | null) => void
  fail: (e: unknown) => void
}

const kept = new Map<string, Entry>()
const waiting = new Map<What, Map<string, Waiting>>()

const keyOf = (device: string, time: number) => `${device.toLowerCase()}.${nameTime(time)}`

/** The image with the address of its picture; null: it is not there (any more). */
export function getImage(what: What, device: string, time: number): Promise<Image | null> {
  const key = keyOf(device, time)
  const found = kept.get(`${what} ${key}`)
  if (found && Date.now() - found.at < KEEP) return found.image
  const image = new Promise<Image | null>((settle, fail) => {
    let batch = waiting.get(what)
    if (!batch) {
      batch = new Map()
      waiting.set(what, batch)
      setTimeout(() => send(what), WAIT)
    }
    batch.set(key, { device, time, settle, fail })
  })
  keep(`${what} ${key}`, image)
  return image
}

/** Notes images that came by another way. */
export function noteImages(what: What, images: readonly Image[]): void {
  for (const image of images) keep(`${what} ${keyOf(image.device, parseTime(image.datetime))}`, Promise.resolve(image))
}

function keep(key: string, image: Promise<Image | null>): void {
  kept.delete(key)
  kept.set(key, { image, at: Date.now() })
  image.catch(() => kept.delete(key)) // to be asked for again
  for (const oldest of kept.keys()) {
    if (kept.size <= MOST) break
    kept.delete(oldest)
  }
}

function send(what: What): void {
  const all = [...(waiting.get(what)?.entries() ?? [])]
  waiting.delete(what)
  for (let i = 0; i < all.length; i += BATCH) void ask(what, new Map(all.slice(i, i + BATCH)))
}

async function ask(what: What, batch: Map<string, Waiting>): Promise<void> {
  try {
    const images = await api<Image[]>(`get_images/${what}`, {
      method: 'POST',
      body: [...batch.values()].map((w) => ({ device: w.device, datetime: wireTime(w.time) })),
      signal: SHARED,
    })
    for (const image of images) {
      const key = keyOf(image.device, parseTime(image.datetime))
      batch.get(key)?.settle(image)
      batch.delete(key)
    }
    for (const missing of batch.values()) missing.settle(null)
  } catch (e) {
    for (const w of batch.values()) w.fail(e)
  }
}
