// Which images the detector failed on, and why; who may write lets it try them again.
import { useEffect, useState } from 'preact/hooks'
import { getFailures, retryFailures, type FailureSpan } from '../api/failures'
import { ApiError, isAbort } from '../api/http'
import type { Failure } from '../api/types'
import { count, parseTime, wireTime } from '../lib/time'
import { refresh } from '../state/scope'
import { useSession } from '../state/session'
import { formatView, useView } from '../state/view'
import { Dialog } from './dialog'
import { Link } from './link'
import { Busy, Empty, ErrorBox, IconButton } from './page'
import { When } from './when'

interface Props {
  /** The detector, and whether it is the only one: it is named where it is not. */
  algorithm: string
  only: boolean
  spans: readonly FailureSpan[]
  /** False: there are more than these spans hold. */
  whole: boolean
  onClose: () => void
}

/** Failures that are drawn. */
const MOST = 1000

const asError = (e: unknown) => (e instanceof ApiError ? e : new Error(String(e)))

export function Failures({ algorithm, only, spans, whole, onClose }: Props) {
  const view = useView()
  const session = useSession()
  const [failures, setFailures] = useState<Failure[] | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [tries, setTries] = useState(0)
  const [busy, setBusy] = useState(false)

  useEffect(() => {
    const mine = new AbortController()
    setError(null)
    getFailures(algorithm, spans, mine.signal).then((all) => setFailures(all.slice(0, MOST)), (e: unknown) => {
      if (!isAbort(e)) setError(asError(e))
    })
    return () => mine.abort()
  }, [algorithm, JSON.stringify(spans), tries])

  /** Lets those wait again that are listed, and no others. */
  async function again() {
    setBusy(true)
    try {
      await retryFailures(algorithm, (failures ?? []).map((f) => ({ device: f.device, start_datetime: f.datetime, end_datetime: wireTime(parseTime(f.datetime) + 1) })))
      refresh()
      onClose()
    } catch (e) {
      setError(asError(e))
      setBusy(false)
    }
  }

  return (
    <Dialog title={only ? 'Images that the detector failed on' : `Images that the detector ${algorithm} failed on`} class="small-dialog failures" onClose={onClose}>
      <IconButton icon="close" label="Close (Esc)" class="close" onClick={onClose} />
      {error && <ErrorBox error={error} retry={() => setTries(tries + 1)} />}
      {!failures && !error && <Busy what="Loading…" />}
      {failures?.length === 0 && <Empty>{whole ? 'None any more.' : 'None of the newest images.'}</Empty>}
      {!whole && (
        <p class="muted">
          These are too many to be shown here. Some of the newest are; <code>spi failures</code> lists all.
        </p>
      )}
      {failures && failures.length > 0 && (
        <>
          <p class="muted">
            It has tried {failures.length === 1 ? 'this one' : 'each'} three times, and leaves {failures.length === 1 ? 'it' : 'them'} alone until somebody lets it try again.
          </p>
          <ul>
            {failures.map((f) => (
              <li key={`${f.device} ${f.datetime}`}>
                <Link href={formatView({ ...view, path: '/images', extra: {}, image: { device: f.device, time: parseTime(f.datetime) } })}>
                  <code>{f.device}</code> <When time={parseTime(f.datetime)} />
                </Link>
                <span class="muted">{f.reason}</span>
              </li>
            ))}
          </ul>
          {session && session.role !== 'read-only' && (
            <div class="dialog-buttons">
              <button type="button" disabled={busy} onClick={() => void again()}>
                Try {count(failures.length, 'image')} again
              </button>
            </div>
          )}
        </>
      )}
    </Dialog>
  )
}
