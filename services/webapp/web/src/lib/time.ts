// Times are seconds since the epoch (UTC) everywhere; text only at the edges: the wire, addresses, and what people read.

/** UTC, this computer's, or one of the time zone database: America/Vancouver. */
export type Zone = 'utc' | 'local' | `${string}/${string}`

/** The names that this browser knows, in order. */
export function zoneNames(): Zone[] {
  return Intl.supportedValuesOf('timeZone').filter((name): name is `${string}/${string}` => name.includes('/'))
}

const formats = new Map<Zone, Intl.DateTimeFormat>()

/** By how many seconds the zone's clock is ahead of UTC at a time. */
export function ahead(t: number, zone: Zone): number {
  if (zone === 'utc') return 0
  if (zone === 'local') return -new Date(t * 1000).getTimezoneOffset() * 60
  let format = formats.get(zone)
  if (!format) formats.set(zone, (format = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' })))
  const name = format.formatToParts(t * 1000).find((p) => p.type === 'timeZoneName')?.value ?? ''
  const m = /^GMT([+-])(\d\d):(\d\d)/.exec(name) // GMT alone: none
  return m ? (m[1] === '-' ? -1 : 1) * (Number(m[2]) * 3600 + Number(m[3]) * 60) : 0
}

export const DAY = 86400

const pad = (n: number, digits = 2) => String(n).padStart(digits, '0')

/** Reads 2020-06-20T21:33:24Z, 2020-06-20_21-33-24 or 2020-06-20 (midnight), all UTC; NaN for anything else. */
export function parseTime(text: string): number {
  const m = /^(\d{4})-(\d\d)-(\d\d)(?:[T_](\d\d)[:-](\d\d)[:-](\d\d)Z?)?$/.exec(text)
  if (!m) return NaN
  const [year, month, day, hour, minute, second] = m.slice(1).map((s) => Number(s ?? 0)) as [number, number, number, number, number, number]
  const ms = Date.UTC(year, month - 1, day, hour, minute, second)
  const d = new Date(ms)
  // the 31st of June, or 25 o'clock, would be another day's
  if (d.getUTCMonth() !== month - 1 || d.getUTCDate() !== day || d.getUTCHours() !== hour || minute > 59 || second > 59) return NaN
  return ms / 1000
}

/** The wire's form: 2020-06-20T21:33:24Z. */
export function wireTime(t: number): string {
  return new Date(Math.round(t) * 1000).toISOString().slice(0, 19) + 'Z'
}

/** The form in names of images: 2020-06-20_21-33-24. */
export function nameTime(t: number): string {
  return wireTime(t).slice(0, 19).replace('T', '_').replaceAll(':', '-')
}

/** The day, UTC: 2020-06-20. */
export function dayOf(t: number): string {
  return wireTime(t).slice(0, 10)
}

/** For people: 2020-06-20 21:33:24, in the zone. */
export function showTime(t: number, zone: Zone, seconds = true): string {
  const text = wireTime(Math.round(t) + ahead(t, zone)).slice(0, 19).replace('T', ' ')
  return seconds ? text : text.slice(0, 16)
}

/** How the zone is called beside a time. */
export function zoneName(zone: Zone, t = Date.now() / 1000): string {
  if (zone === 'utc') return 'UTC'
  const minutes = ahead(t, zone) / 60
  const sign = minutes < 0 ? '−' : '+'
  const abs = Math.abs(minutes)
  return `UTC${sign}${pad(Math.floor(abs / 60))}:${pad(abs % 60)}`
}

/** Seconds of a date and time as a browser's field gives them, in the zone: 2020-06-20T21:33, or with seconds. NaN for anything else. */
export function typedTime(text: string, zone: Zone): number {
  const shown = parseTime(text.length === 16 ? `${text}:00` : text)
  if (Number.isNaN(shown)) return NaN
  // the zone's offset is that of the time that is looked for
  return shown - ahead(shown - ahead(shown, zone), zone)
}

/** How the zone is called beside such a field. It names no offset: that is the typed date's own, and may not be today's. */
export function typedZone(zone: Zone): string {
  return zone === 'utc' ? 'UTC' : zone === 'local' ? 'local time' : zone
}

/** A length of time for people: 45 s, 12 min, 3 h, 2 days. */
export function showDuration(seconds: number): string {
  const s = Math.abs(seconds)
  const sign = seconds < 0 ? '−' : ''
  if (s < 90) return `${sign}${Math.round(s)} s`
  if (s < 90 * 60) return `${sign}${Math.round(s / 60)} min`
  if (s < 48 * 3600) return `${sign}${Math.round(s / 3600)} h`
  return `${sign}${Math.round(s / DAY)} days`
}

/** A number with its unit: 1 image, 2,016 images. */
export function count(n: number, one: string): string {
  return `${n.toLocaleString('en')} ${one}${n === 1 ? '' : 's'}`
}
