// Where the Images page shows what is told here.
import type { Span } from '../../lib/window'
import { pageAddress, type View } from '../../state/view'

export function imagesOf(device: string, view: View): string {
  return pageAddress('/images', { ...view, devices: [device], zoom: null })
}

export function nightOf(device: string, [start, end]: Span, view: View): string {
  return pageAddress('/images', { ...view, devices: [device], zoom: [Math.floor(start), Math.ceil(end)] })
}
