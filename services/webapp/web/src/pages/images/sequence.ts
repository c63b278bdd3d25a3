// The images of one device, before and after the one that is looked at: loaded in pieces, as one walks along.
import { api } from '../../api/http'
import { noteImages } from '../../api/pictures'
import type { Image } from '../../api/types'
import { parseTime, wireTime } from '../../lib/time'
import { nearest, type Span } from '../../lib/window'

/** Half the width of the first piece, in seconds: some 36 images of a device on either side. */
const FIRST = 12 * 3600
/** How many images should be known on either side. */
const AHEAD = 8

export type Fetch = (device: string, span: Span, signal: AbortSignal) => Promise<Image[]>

export const fetchThumbnails: Fetch = async (device, [start, end], signal) => {
  const images = await api<Image[]>('get_image_series/thumbnail', {
    method: 'POST',
    body: [{ device, start_datetime: wireTime(start), end_datetime: wireTime(end) }],
    signal,
  })
  noteImages('thumbnail', images)
  return images
}

export class Sequence {
  images: Image[] = []
  times: number[] = []
  #known: Span
  #steps = { before: FIRST, after: FIRST }

  /** Images outside the limits are not looked for. */
  constructor(
    readonly device: string,
    at: number,
    readonly limits: Span,
    readonly fetch: Fetch,
  ) {
    this.#known = [at, at]
  }

  /** The index of the image of that time; -1: it is not known. */
  indexOf(time: number): number {
    const i = nearest(this.times, time)
    return this.times[i] === time ? i : -1
  }

  /** New images come at the end: it is looked at again. */
  lookAgain(): void {
    const last = this.times.at(-1)
    if (last !== undefined) this.#known[1] = last
  }

  /** Makes sure that the image's neighbours are known, as far as there are any. Gives whether something was added. */
  async around(time: number, signal: AbortSignal): Promise<boolean> {
    let added = false
    if (time < this.#known[0] || time > this.#known[1] || this.images.length === 0) {
      this.#known = [time, time]
      this.images = []
      this.times = []
      await this.#load([time, time + 1], signal) // the image itself, which may lie outside the limits
      added = true
    }
    for (;;) {
      const i = nearest(this.times, time)
      const before = i < AHEAD && this.#known[0] > this.limits[0]
      const after = this.times.length - 1 - i < AHEAD && this.#known[1] < this.limits[1]
      if (!before && !after) return added
      if (before) {
        const start = Math.max(this.limits[0], this.#known[0] - this.#steps.before)
        this.#steps.before *= 4 // a long silence is passed in a few steps
        await this.#load([start, this.#known[0]], signal)
      }
      if (after) {
        const end = Math.min(this.limits[1], this.#known[1] + this.#steps.after)
        this.#steps.after *= 4
        await this.#load([this.#known[1], end], signal)
      }
      added = true
    }
  }

  async #load(span: Span, signal: AbortSignal): Promise<void> {
    if (span[1] <= span[0]) return
    const images = await this.fetch(this.device, span, signal)
    const all = new Map([...this.images, ...images].map((i) => [parseTime(i.datetime), i]))
    this.times = [...all.keys()].sort((a, b) => a - b)
    this.images = this.times.map((t) => all.get(t) as Image)
    this.#known = [Math.min(this.#known[0], span[0]), Math.max(this.#known[1], span[1])]
    if (images.length > 0) this.#steps = { before: FIRST, after: FIRST }
  }
}
