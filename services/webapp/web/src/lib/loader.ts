// One load at a time of what may take long.
import { useEffect, useState } from 'preact/hooks'

type Work = (signal: AbortSignal) => Promise<void>

/**
 * What is asked for again while it is being loaded is loaded once more after that, however often it was asked for: what arrives
 * every few seconds would never let a long load come to its end. Where something else is asked for, the load ends at once.
 */
export class Loader {
  #what = ''
  #running: AbortController | null = null
  #next: Work | null = null

  /** `what` names all that the result depends on; `work` deals with its errors itself. */
  load(what: string, work: Work): void {
    if (this.#running && what === this.#what) {
      this.#next = work
      return
    }
    this.stop()
    this.#what = what
    void this.#run(work)
  }

  async #run(work: Work): Promise<void> {
    const mine = new AbortController()
    this.#running = mine
    try {
      await work(mine.signal)
    } finally {
      if (this.#running === mine) {
        this.#running = null
        const next = this.#next
        this.#next = null
        if (next) void this.#run(next)
      }
    }
  }

  /** Ends what is being loaded, and forgets what was to be loaded after it. */
  stop(): void {
    this.#running?.abort()
    this.#running = null
    this.#next = null
  }
}

/** A loader that ends with the component. */
export function useLoader(): Loader {
  const [loader] = useState(() => new Loader())
  useEffect(() => () => loader.stop(), [])
  return loader
}
