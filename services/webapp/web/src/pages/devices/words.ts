// Numbers of insects and temperatures, and how they came about, in words.
import { count, showTime, wireTime, zoneName, type Zone } from '../../lib/time'
import type { Span } from '../../lib/window'
import { increase, type Catch, type Unknown } from './insects'
import { known, type Row } from './row'

export const signed = (n: number) => (n > 0 ? `+${n.toLocaleString('en')}` : '0')

/** How a catch was reckoned, a line for each card: it can be checked on the chart. */
export function reckoning(c: Catch, zone: Zone): string {
  const cards = c.cards.map((k) => {
    const less = k.last < k.first ? ' (fewer: fallen off, or not recognised)' : ''
    return `${k.first} on ${showTime(k.from, zone, false)}, ${k.last} on ${showTime(k.to, zone, false)} ${zoneName(zone, k.to)}: ${signed(increase(k))}${less}`
  })
  return cards.join('\nCard changed\n')
}

export const METHOD = 'Insects on the last annotated image, less those on the first one; card by card where the card was changed, which is where two images in a row show half of the insects or fewer.'

/** Between which images the card was changed. */
export const changesOf = (c: Catch): Span[] => c.cards.slice(1).map((k, i) => [c.cards[i]?.to ?? k.from, k.from])

export const whyUnknown: Record<Unknown, string> = {
  'no images': 'no images',
  'not annotated': 'not looked at by the detector yet',
  incomplete: 'images of a part of it only',
}

/** Of devices whose catch is not known: how many for which reason. */
export function notCounted(rows: readonly Row[]): string {
  const reasons = (Object.keys(whyUnknown) as Unknown[]).map((why) => [rows.filter((r) => r.caught === why).length, whyUnknown[why]] as const)
  const sum = reasons.reduce((n, [of]) => n + of, 0)
  return sum === 0 ? '' : `${count(sum, 'trap')} not counted: ${reasons.flatMap(([n, why]) => (n > 0 ? [`${why} (${n})`] : [])).join(', ')}`
}

/** -2.1 to 8.0 °C, or one value. */
export function showTemperatures([least, most]: Span, digits = 1): string {
  const [a, b] = [least, most].map((t) => t.toFixed(digits).replace('-', '−'))
  return a === b ? `${a}\u00a0°C` : `${a} to ${b}\u00a0°C`
}

/** One line for each device: what it caught in the range and in the last night. Numbers, names and times need no quotes. */
export function caughtCSV(rows: readonly Row[]): string {
  const time = (t: number | undefined) => (t === undefined ? '' : wireTime(t))
  const number = (n: number | null | undefined) => (n === null || n === undefined ? '' : String(n))
  const lines = rows.map((r) => {
    const total = r.fill?.total
    const night = known(r.caught)
    return [
      r.state.device, r.state.images, time(total?.cards[0]?.from), time(total?.cards.at(-1)?.to), number(total?.cards[0]?.first), number(total?.cards.at(-1)?.last),
      total ? changesOf(total).map(([, to]) => wireTime(to)).join(' ') : '', number(total?.caught), number(r.temperatures?.[0]), number(r.temperatures?.[1]),
      time(r.night.span[0]), time(r.night.span[1]), number(night?.caught), number(r.nightTemperatures?.[0]), number(r.nightTemperatures?.[1]),
    ].join(',')
  })
  const head =
    'device,images,first_annotated_utc,last_annotated_utc,insects_first,insects_last,card_changes_utc,caught,temperature_min,temperature_max,last_night_start_utc,last_night_end_utc,caught_last_night,night_temperature_min,night_temperature_max'
  return [head, ...lines, ''].join('\r\n')
}
