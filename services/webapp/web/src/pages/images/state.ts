// What the parts of the page share while one looks at it.
import type { DeviceSeries } from '../../api/series'
import { Store } from '../../lib/store'
import type { Span } from '../../lib/window'

/** The window that all charts show; the address follows it when a gesture is over. */
export const shownWindow = new Store<Span>([0, 1])

/** The image that is pointed at, and where on the screen. */
export interface Hovered {
  series: DeviceSeries
  index: number
  x: number
  y: number
}
export const hovered = new Store<Hovered | null>(null)
