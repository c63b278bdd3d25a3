// Which images the detector failed on, and why; who may write lets it try them again.
import { useEffect, useState } from 'preact/hooks'
import { api, ApiError, isAbort } from '../api/http'
import type { Failure } from '../api/types'
import { count, parseTime, wireTime } from '../lib/time'
import { refresh } from '../state/scope'
import { useSession } from '../state/session'
import { formatView, useView } from '../state/view'
import { Dialog } from './dialog'
import { Link } from './link'
import { Busy, Empty, ErrorBox, IconButton } from './page'
import { When } from './when'

/** From before the first device until long after the last. */
const ALWAYS = { start_datetime: '2000-01-01T00:00:00Z', end_datetime: '2100-01-01T00:00:00Z' }

const asError = (e: unknown) => (e instanceof ApiError ? e : new Error(String(e)))

export function Failures({ devices, onClose }: { devices: readonly string[]; onClose: () => void }) {
  const view = useView()
  const session = useSession()
  const [failures, setFailures] = useState<Failure[] | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [tries, setTries] = useState(0)
  const [busy, setBusy] = useState(false)

  useEffect(() => {
    const mine = new AbortController()
    setError(null)
    api<Failure[]>('get_uid_failures', { method: 'POST', body: devices.map((device) => ({ device, ...ALWAYS })), signal: mine.signal }).then(setFailures, (e: unknown) => {
      if (!isAbort(e)) setError(asError(e))
    })
    return () => mine.abort()
  }, [devices.join(), tries])

  /** Lets those wait again that are listed, and no others. */
  async function again() {
    setBusy(true)
    try {
      const body = (failures ?? []).map((f) => ({ device: f.device, start_datetime: f.datetime, end_datetime: wireTime(parseTime(f.datetime) + 1) }))
      await api('retry_uid_failures', { method: 'POST', body })
      refresh()
      onClose()
    } catch (e) {
      setError(asError(e))
      setBusy(false)
    }
  }

  return (
    <Dialog title="Images that the detector failed on" class="small-dialog failures" onClose={onClose}>
      <IconButton icon="close" label="Close (Esc)" class="close" onClick={onClose} />
      {error && <ErrorBox error={error} retry={() => setTries(tries + 1)} />}
      {!failures && !error && <Busy what="Loading…" />}
      {failures?.length === 0 && <Empty>None any more.</Empty>}
      {failures && failures.length > 0 && (
        <>
          <p class="muted">
            It has tried {failures.length === 1 ? 'this one' : 'each'} three times, and leaves {failures.length === 1 ? 'it' : 'them'} alone until somebody lets it try again.
          </p>
          <ul>
            {failures.map((f) => (
              <li key={`${f.device} ${f.datetime} ${f.algo_name}`}>
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
