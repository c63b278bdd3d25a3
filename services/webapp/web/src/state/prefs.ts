// What a person likes, kept in this browser: no part of what is looked at.
import { Store } from '../lib/store'
import { zoneNames, type Zone } from '../lib/time'

export type Theme = 'auto' | 'light' | 'dark'

function kept<T extends string>(name: string, allowed: readonly T[], first: T): Store<T> {
  let value = first
  try {
    const found = localStorage.getItem(name) as T | null
    if (found !== null && allowed.includes(found)) value = found
  } catch {
    // a browser that keeps nothing
  }
  const store = new Store<T>(value)
  store.follow(() => {
    try {
      localStorage.setItem(name, store.value)
    } catch {
      // as above
    }
  })
  return store
}

export const theme = kept<Theme>('theme', ['auto', 'light', 'dark'], 'auto')
export const zone = kept<Zone>('zone', ['utc', 'local', ...zoneNames()], 'utc')
export const contours = kept<'on' | 'off'>('contours', ['on', 'off'], 'on')

/** Whether the page is dark now; charts draw on canvases, which no style sheet reaches. */
export const dark = new Store(false)

export function followTheme(): void {
  const system = matchMedia('(prefers-color-scheme: dark)')
  const apply = () => {
    const now = theme.value === 'auto' ? system.matches : theme.value === 'dark'
    document.documentElement.dataset.theme = now ? 'dark' : 'light'
    dark.set(now)
  }
  theme.follow(apply)
  system.addEventListener('change', apply)
  apply()
}
