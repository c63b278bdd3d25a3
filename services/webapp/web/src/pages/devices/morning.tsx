// What one asks first in the morning: which traps are silent, what came last night, and which traps are full.
import { count } from '../../lib/time'
import { useView } from '../../state/view'
import { Link } from '../../ui/link'
import { When } from '../../ui/when'
import { imagesOf, nightOf } from './links'
import type { Row } from './row'

const MOST = 5

export const signed = (n: number) => (n > 0 ? `+${n.toLocaleString('en')}` : n < 0 ? `−${(-n).toLocaleString('en')}` : '0')

export function Morning({ rows, counted }: { rows: readonly Row[]; counted: boolean }) {
  const view = useView()
  const told = rows.filter((r) => r.caught !== null)
  const came = told.filter((r) => (r.caught as number) > 0).sort((a, b) => (b.caught as number) - (a.caught as number))
  const sum = came.reduce((n, r) => n + (r.caught as number), 0)
  const full = rows.filter((r) => r.fill !== null && r.fill.insects > 0).sort((a, b) => (b.fill?.insects ?? 0) - (a.fill?.insects ?? 0))
  const night = told[0]?.night
  return (
    <div class="morning">
      <section aria-labelledby="last-night">
        <h2 id="last-night">Last night</h2>
        {!counted && <p class="muted">…</p>}
        {counted && told.length === 0 && <p class="muted">The images of last night are not there, or the detector has not looked at them yet.</p>}
        {night && (
          <p class="muted">
            {came.length === 0 ? 'Nothing new' : count(sum, 'insect')} on {count(told.length, 'trap')}, <When time={night[0]} seconds={false} /> to <When time={night[1]} seconds={false} named />
          </p>
        )}
        <ol>
          {came.slice(0, MOST).map((r) => (
            <li key={r.state.device}>
              <Link href={nightOf(r.state.device, r.night, view)} label={`${r.state.device}: images of last night`}>
                <code>{r.state.device}</code>
              </Link>
              <Amount of={r.caught as number} most={came[0]?.caught ?? 1} text={signed(r.caught as number)} />
            </li>
          ))}
        </ol>
      </section>
      <section aria-labelledby="fullest">
        <h2 id="fullest">Fullest traps</h2>
        {!counted && <p class="muted">…</p>}
        {counted && full.length === 0 && <p class="muted">No insect was found in this range.</p>}
        {full.length > 0 && <p class="muted">Insects on the last image, and how many came since the range began or the card was changed</p>}
        <ol>
          {full.slice(0, MOST).map((r) => (
            <li key={r.state.device}>
              <Link href={imagesOf(r.state.device, view)} label={`${r.state.device}: images`}>
                <code>{r.state.device}</code>
              </Link>
              <Amount of={r.fill?.insects ?? 0} most={full[0]?.fill?.insects ?? 1} text={`${r.fill?.insects.toLocaleString('en')} (${signed(r.fill?.growth ?? 0)})`} />
            </li>
          ))}
        </ol>
      </section>
    </div>
  )
}

function Amount({ of, most, text }: { of: number; most: number; text: string }) {
  return (
    <>
      <svg class="amount" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect width={Math.max(1, (100 * of) / Math.max(1, most))} height="10" rx="1" />
      </svg>
      <span class="number">{text}</span>
    </>
  )
}
