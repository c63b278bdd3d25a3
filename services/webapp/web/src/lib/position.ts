// Where a device says that it stands, as far as that can be.

export interface Position {
  lat: number // degrees
  lng: number
  /** The device sent them the other way round. */
  exchanged: boolean
}

/** Why a device has no usable position. */
export type NoPosition = 'not sent' | 'no fix' | 'impossible'

/**
 * Devices of 2020 wrote latitude and longitude into each other's place: seen where the latitude is none and the longitude
 * could be one. 0/0 is what a receiver without satellites gives.
 */
export function positionOf(lat: number | null, lng: number | null): Position | NoPosition {
  if (lat === null || lng === null) return 'not sent'
  if (lat === 0 && lng === 0) return 'no fix'
  if (Math.abs(lat) <= 90 && Math.abs(lng) <= 180) return { lat, lng, exchanged: false }
  if (Math.abs(lat) <= 180 && Math.abs(lng) <= 90) return { lat: lng, lng: lat, exchanged: true }
  return 'impossible'
}

/** What to show of it, with what is to be said of it; latitude first. An altitude without a fix is none. */
export function showPosition(lat: number | null, lng: number | null, alt: number | null = null): { text: string; lat: string; lng: string; title?: string } {
  const p = positionOf(lat, lng)
  if (p === 'not sent') return { text: '–', lat: '', lng: '' }
  if (p === 'no fix') return { text: 'no fix', lat: '', lng: '', title: 'The GPS receiver found no satellites: it gave 0, 0' }
  if (p === 'impossible') return { text: `${lat}, ${lng} (impossible)`, lat: String(lat), lng: String(lng), title: 'No place has these degrees' }
  const shown = { lat: p.lat.toFixed(5), lng: p.lng.toFixed(5) }
  return {
    ...shown,
    text: `${shown.lat}, ${shown.lng}${alt === null ? '' : `, ${alt.toFixed(0)} m`}`,
    ...(p.exchanged ? { title: `The device sent latitude and longitude in each other’s place: ${lat}, ${lng}` } : {}),
  }
}
