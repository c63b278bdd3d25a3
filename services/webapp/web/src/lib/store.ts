// A value that components follow. What is more than one component's own is kept in one of these, outside the tree.
import { useEffect, useState } from 'preact/hooks'

export class Store<T> {
  #value: T
  #followers = new Set<() => void>()

  constructor(value: T) {
    this.#value = value
  }

  get value(): T {
    return this.#value
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return
    this.#value = value
    for (const follower of [...this.#followers]) follower()
  }

  /** Calls back after each change, until the function that it gives is called. */
  follow(callback: () => void): () => void {
    this.#followers.add(callback)
    return () => this.#followers.delete(callback)
  }
}

/** The store's value; the component is drawn again when it changes. */
export function useStore<T>(store: Store<T>): T {
  const [value, set] = useState(store.value)
  useEffect(() => {
    set(() => store.value) // it may have changed since the component was drawn
    return store.follow(() => set(() => store.value))
  }, [store])
  return value
}
