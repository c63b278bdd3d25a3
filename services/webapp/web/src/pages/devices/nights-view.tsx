// What one trap caught night by night, over the page; and the same of many traps, as a file.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { ApiError, isAbort } from '../../api/http'
import { save } from '../../lib/save'
import { useStore } from '../../lib/store'
import { count, dayOf, showTime, zoneName, type Zone } from '../../lib/time'
import { zone } from '../../state/prefs'
import type { Scope } from '../../state/scope'
import { setExtra, useView } from '../../state/view'
import { Dialog } from '../../ui/dialog'
import { Icon } from '../../ui/icon'
import { Link } from '../../ui/link'
import { Busy, Empty, ErrorBox, IconButton } from '../../ui/page'
import { nightOf } from './links'
import { Changed } from './morning'
import { nightName } from './night'
import { daysWith, loadNights, NIGHTS_HEAD, nightLines, nightsIn, sumOf, trimmed, type NightCatch } from './nights'
import type { Row } from './row'
import { METHOD, reckoning, showTemperatures, signed, whyUnknown } from './words'

interface Props {
  scope: Scope
  now: number // the server's, in seconds
  inZone: Zone
}

const asError = (e: unknown) => (e instanceof ApiError ? e : new Error(String(e)))

/** The nights of a device that are over and lie in the range, as far as it has images. */
function nightsOf({ state, position }: Row, { scope, now, inZone }: Props) {
  const days = daysWith(state.images_per_day, scope.start)
  return days ? nightsIn([days[0], Math.min(days[1], scope.end, now)], position, inZone) : []
}

const fileName = (what: string, scope: Scope) => `${what}.${dayOf(scope.start)}.${dayOf(scope.end - 1)}.csv`

export function NightsView(props: Props & { row: Row }) {
  const { row, scope } = props
  const device = row.state.device
  const [loaded, setLoaded] = useState<NightCatch[]>([])
  const [done, setDone] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const [tries, setTries] = useState(0)
  const close = () => setExtra({ nights: null }, { replace: false })
  // as they are when this is opened, or another range chosen
  const nights = useMemo(() => nightsOf(row, props), [scope.start, scope.end, row.position === null && props.inZone])

  useEffect(() => {
    const mine = new AbortController()
    const found: NightCatch[] = []
    setLoaded([])
    setDone(false)
    setError(null)
    loadNights(device, nights, mine.signal, (some) => {
      found.push(...some)
      setLoaded([...found])
    }).then(
      () => setDone(true),
      (e: unknown) => {
        if (!isAbort(e)) setError(asError(e))
      },
    )
    return () => mine.abort()
  }, [nights, tries])

  const shown = useMemo(() => trimmed(loaded), [loaded])
  const sum = sumOf(shown)
  const bySun = nights.some((n) => n.bySun)
  return (
    <Dialog
      class="nights-view"
      onClose={close}
      title={
        <>
          Catches by night: <code>{device}</code>
        </>
      }
    >
      <IconButton icon="close" label="Close (Esc)" class="close" onClick={close} />
      {error && <ErrorBox error={error} retry={() => setTries(tries + 1)} />}
      {!done && !error && <Busy what={`Night ${loaded.length + 1} of ${nights.length}…`} />}
      {done && shown.length === 0 && <Empty>No night of this range has images.</Empty>}
      {shown.length > 0 && (
        <>
          <div class="night-sum">
            <p>
              <strong>{sum.counted}</strong> {sum.lacking && <span class="muted">{sum.lacking}</span>}
            </p>
            <button type="button" disabled={!done} onClick={() => save(fileName(`nights.${device}`, scope), [NIGHTS_HEAD, ...nightLines(device, shown), ''].join('\r\n'))}>
              <Icon name="download" /> CSV
            </button>
          </div>
          <Bars nights={shown} />
          <NightTable device={device} nights={shown} />
          <p class="muted">
            {METHOD} Of each night alone, {bySun ? 'from sunset to sunrise at the trap' : 'from 18 to 6 o’clock, as no sunset is known'}: what comes by day is in none, so that
            nights do not add up to what came in the range. A night counts where its first and last three hours have annotated images.
          </p>
        </>
      )}
    </Dialog>
  )
}

/** A bar for each night, the first one left; grey where it is not known. */
function Bars({ nights }: { nights: readonly NightCatch[] }) {
  const caught = nights.map((n) => (typeof n.caught === 'string' ? null : n.caught.caught))
  const most = Math.max(1, ...caught.map((n) => n ?? 0))
  const [first, last] = [nights[0]?.night.evening ?? '', nights.at(-1)?.night.evening ?? '']
  return (
    <figure class="night-bars">
      <span class="most" aria-hidden="true">
        {most.toLocaleString('en')}
      </span>
      <svg viewBox={`0 0 ${nights.length} 100`} preserveAspectRatio="none" role="img" aria-label={`Insects caught in each night from ${first} to ${last}: ${most} at most; the table below has them all`}>
        {nights.map((n, i) => {
          const of = caught[i] ?? null
          const title = `${n.night.evening}: ${typeof n.caught === 'string' ? whyUnknown[n.caught] : signed(n.caught.caught)}`
          return (
            <g key={n.night.evening}>
              <title>{title}</title>
              <rect class={of === null ? 'unknown' : 'whole'} x={i} width="1" height="100" />
              {of === null && <rect class="unknown-foot" x={i} y="94" width="1" height="6" />}
              {of !== null && of > 0 && <rect class="caught-bar" x={i + 0.1} width="0.8" y={100 - (100 * of) / most} height={(100 * of) / most} />}
            </g>
          )
        })}
      </svg>
      <figcaption class="muted">
        <span>{first}</span>
        {caught.includes(null) && <span class="grey-key">not counted</span>}
        <span>{last}</span>
      </figcaption>
    </figure>
  )
}

function NightTable({ device, nights }: { device: string; nights: readonly NightCatch[] }) {
  const view = useView()
  const inZone = useStore(zone)
  const last = nights.at(-1)?.night.span[1] ?? 0 // of its year, nights are called without it
  return (
    <div class="table-box nights" role="region" aria-label="Nights" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Night of</th>
            <th scope="col" class="number">
              Caught
            </th>
            <th scope="col" class="number">
              Images
            </th>
            <th scope="col" class="number">
              Insects
            </th>
            <th scope="col" class="number">
              °C
            </th>
          </tr>
        </thead>
        <tbody>
          {[...nights].reverse().map((n) => {
            const known = typeof n.caught === 'string' ? null : n.caught
            return (
              <tr key={n.night.evening}>
                <th scope="row" title={`${showTime(n.night.span[0], inZone, false)} to ${showTime(n.night.span[1], inZone, false)} ${zoneName(inZone, n.night.span[1])}`}>
                  <Link href={nightOf(device, n.night.span, view)} label={`${nightName(n.night.evening, last)}: images`}>
                    {nightName(n.night.evening, last)}
                  </Link>
                </th>
                <td class="number">
                  {typeof n.caught === 'string' ? <span class="muted why">{whyUnknown[n.caught]}</span> : <strong title={reckoning(n.caught, inZone)}>{signed(n.caught.caught)}</strong>}
                  {known && known.cards.length > 1 && (
                    <div>
                      <Changed caught={known} />
                    </div>
                  )}
                </td>
                <td class="number" title={n.annotated === n.images ? undefined : `${n.annotated} of ${count(n.images, 'image')} were looked at by the detector`}>
                  {n.annotated === n.images ? n.images : `${n.annotated} of ${n.images}`}
                </td>
                <td class="number">{known ? `${known.cards[0]?.first} → ${known.cards.at(-1)?.last}` : '–'}</td>
                <td class="number">{n.temperatures ? showTemperatures(n.temperatures, 0).replace(/\s°C$/, '') : '–'}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

/** The nights of all devices that are below as it is pressed, one device after the other; pressed again, it stops. It stays in its
 * place, as what arrives meanwhile changes the rows and their order. */
export function SaveNights(props: Props & { rows: readonly Row[] }) {
  const { rows, scope } = props
  const [at, setAt] = useState<{ done: number; of: number } | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const running = useRef<AbortController | null>(null)
  useEffect(() => () => running.current?.abort(), [])
  const some = rows.filter((r) => r.state.images > 0)

  async function collect() {
    const mine = new AbortController()
    running.current = mine
    setError(null)
    const lines = [NIGHTS_HEAD]
    try {
      for (const [i, row] of some.entries()) {
        setAt({ done: i, of: some.length })
        const found: NightCatch[] = []
        await loadNights(row.state.device, nightsOf(row, props), mine.signal, (part) => found.push(...part))
        lines.push(...nightLines(row.state.device, trimmed(found)))
      }
      save(fileName('nights', scope), [...lines, ''].join('\r\n'))
    } catch (e) {
      if (!isAbort(e)) setError(asError(e))
    } finally {
      setAt(null)
    }
  }

  return (
    <>
      <button
        type="button"
        disabled={at === null && some.length === 0}
        title="What each of these devices caught in each night of the range, for spreadsheets"
        onClick={() => (at === null ? void collect() : running.current?.abort())}
      >
        <Icon name={at === null ? 'download' : 'close'} /> {at === null ? 'Nights (CSV)' : `Stop (${at.done} of ${at.of})`}
      </button>
      {error && <ErrorBox error={error} retry={() => void collect()} />}
    </>
  )
}
