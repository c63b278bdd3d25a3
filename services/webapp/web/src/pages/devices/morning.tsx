// What one asks first in the morning: what came last night, and which traps are full.
import type { ComponentChildren } from 'preact'
import { useStore } from '../../lib/store'
import { count, showTime, zoneName } from '../../lib/time'
import { zone } from '../../state/prefs'
import { useView } from '../../state/view'
import { Link } from '../../ui/link'
import { increase, type Catch } from './insects'
import { imagesOf, nightOf } from './links'
import { nightName, shortDay } from './night'
import { known, type Row } from './row'
import { changesOf, notCounted, reckoning, showTemperatures, signed } from './words'

const MOST = 5
/** Nights that begin further apart than this, in seconds, are told apart. */
const SAME = 3600

export function Morning({ rows, counted, now, over }: { rows: readonly Row[]; counted: boolean; now: number; over: boolean }) {
  return (
    <div class={`morning ${counted ? '' : 'waiting'}`}>
      <LastNight rows={rows} counted={counted} now={now} over={over} />
      <Fullest rows={rows} counted={counted} />
    </div>
  )
}

function LastNight({ rows, counted, now, over }: { rows: readonly Row[]; counted: boolean; now: number; over: boolean }) {
  const view = useView()
  const inZone = useStore(zone)
  const told = rows.flatMap((r) => {
    const c = known(r.caught)
    return c ? [{ ...r, caught: c }] : []
  })
  const listed = told.filter((r) => r.caught.caught > 0 || r.caught.cards.length > 1).sort((a, b) => b.caught.caught - a.caught.caught)
  const sum = told.reduce((n, r) => n + r.caught.caught, 0)
  const used = rows.filter((r) => r.condition.kind !== 'away')
  const first = (told[0] ?? used[0])?.night
  const degrees = used.flatMap((r) => r.nightTemperatures ?? [])
  const apart = first && told.some((r) => Math.abs(r.night.span[0] - first.span[0]) > SAME)
  const not = notCounted(used)
  return (
    <section aria-labelledby="last-night">
      <h2 id="last-night">{over ? 'Last night with images' : 'Last night'}</h2>
      {!counted && <p class="muted">…</p>}
      {counted && !first && <p class="muted">No trap is in use.</p>}
      {counted && first && (
        <>
          {told.length > 0 && (
            <p>
              <strong>{sum === 0 ? 'Nothing new' : count(sum, 'insect')}</strong> on {count(told.length, 'trap')}
              {degrees.length > 0 && <>, {showTemperatures([Math.min(...degrees), Math.max(...degrees)])}</>}
            </p>
          )}
          <p class="muted">
            Night of {nightName(first.evening, now)}, <Clock time={first.span[0]} /> to <Clock time={first.span[1]} /> {zoneName(inZone, first.span[1])}
            {first.bySun ? ' (sunset to sunrise)' : ' (18 to 6 o’clock: no sunset is known)'}
            {apart && '; of other traps by their own sun'}
          </p>
          {not && <p class="muted">{not}</p>}
        </>
      )}
      {listed.length > 0 && (
        <ol>
          {listed.slice(0, MOST).map((r) => (
            <Trap key={r.state.device} device={r.state.device} href={nightOf(r.state.device, r.night.span, view)} what="images of last night">
              <Amount of={r.caught.caught} most={listed[0]?.caught.caught ?? 1} text={signed(r.caught.caught)} title={reckoning(r.caught, inZone)} />
              <Changed caught={r.caught} />
            </Trap>
          ))}
        </ol>
      )}
      {listed.length > MOST && <p class="muted">and {count(listed.length - MOST, 'trap')} more</p>}
    </section>
  )
}

function Fullest({ rows, counted }: { rows: readonly Row[]; counted: boolean }) {
  const view = useView()
  const inZone = useStore(zone)
  const full = rows.flatMap((r) => (r.fill && r.fill.insects > 0 ? [{ device: r.state.device, fill: r.fill }] : [])).sort((a, b) => b.fill.insects - a.fill.insects)
  return (
    <section aria-labelledby="fullest">
      <h2 id="fullest">Fullest traps</h2>
      {!counted && <p class="muted">…</p>}
      {counted && full.length === 0 && <p class="muted">{rows.every((r) => r.state.images === 0) ? 'No images in this range.' : 'No insect was found in this range.'}</p>}
      {full.length > 0 && (
        <>
          <p class="muted">Insects on the last annotated image; in brackets, how many of them came in the range, on this card</p>
          <ol>
            {full.slice(0, MOST).map(({ device, fill }) => {
              const card = fill.total?.cards.at(-1)
              return (
                <Trap key={device} device={device} href={imagesOf(device, view)} what="images">
                  <Amount
                    of={fill.insects}
                    most={full[0]?.fill.insects ?? 1}
                    text={`${fill.insects.toLocaleString('en')}${card ? ` (${signed(increase(card))})` : ''}`}
                    title={fill.total ? reckoning(fill.total, inZone) : 'One annotated image'}
                  />
                  {fill.total && <Changed caught={fill.total} />}
                </Trap>
              )
            })}
          </ol>
        </>
      )}
    </section>
  )
}

function Trap({ device, href, what, children }: { device: string; href: string; what: string; children: ComponentChildren }) {
  return (
    <li>
      <Link href={href} label={`${device}: ${what}`}>
        <code>{device}</code>
      </Link>
      {children}
    </li>
  )
}

function Amount({ of, most, text, title }: { of: number; most: number; text: string; title: string }) {
  return (
    <>
      <svg class="amount" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect width={Math.max(1, (100 * of) / Math.max(1, most))} height="10" rx="1" />
      </svg>
      <span class="number" title={title}>
        {text}
      </span>
    </>
  )
}

/** When the card was changed last: the image that shows the new one first. */
export function Changed({ caught }: { caught: Catch }) {
  const inZone = useStore(zone)
  const change = changesOf(caught).at(-1)
  if (!change) return null
  const [before, at] = change
  const text = showTime(at, inZone, false)
  return (
    <span class="muted changed" title={`Between ${showTime(before, inZone, false)} and ${text} ${zoneName(inZone, at)}`}>
      card changed <time dateTime={new Date(at * 1000).toISOString()}>{`${shortDay(text)} ${text.slice(11)}`}</time>
    </span>
  )
}

function Clock({ time }: { time: number }) {
  const inZone = useStore(zone)
  const text = showTime(time, inZone, false)
  return (
    <time dateTime={new Date(time * 1000).toISOString()} title={`${text} ${zoneName(inZone, time)}`}>
      {text.slice(11)}
    </time>
  )
}
