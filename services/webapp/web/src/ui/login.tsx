import { useRef, useState } from 'preact/hooks'
import { ApiError } from '../api/http'
import { useStore } from '../lib/store'
import { logIn, sessionNote } from '../state/session'
import { ErrorBox } from './page'

/** The log-in, in the place of whatever page was asked for: the address stays, and nothing redirects. */
export function LogIn() {
  const [error, setError] = useState<Error | null>(null)
  const [busy, setBusy] = useState(false)
  const note = useStore(sessionNote)
  const password = useRef<HTMLInputElement>(null)

  async function submit(e: SubmitEvent) {
    e.preventDefault()
    const form = new FormData(e.currentTarget as HTMLFormElement)
    setBusy(true)
    setError(null)
    try {
      await logIn(String(form.get('username')).trim(), String(form.get('password')))
    } catch (e) {
      setError(e instanceof ApiError ? explain(e) : new Error(String(e)))
      setBusy(false)
      password.current?.select()
    }
  }

  return (
    <main class="log-in">
      <form onSubmit={submit} aria-labelledby="log-in-title">
        <img src="/favicon.svg" alt="" width="56" height="56" />
        <h1 id="log-in-title">Sticky Pi</h1>
        {note && <p role="status">{note}</p>}
        <label>
          User name
          <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
        </label>
        <label>
          Password
          <input ref={password} name="password" type="password" autocomplete="current-password" required />
        </label>
        {error && <ErrorBox error={error} />}
        <button type="submit" class="primary" disabled={busy}>
          {busy ? 'Logging in…' : 'Log in'}
        </button>
      </form>
    </main>
  )
}

function explain(e: ApiError): Error {
  if (e.code === 'rate_limited' && e.retryAfter > 0) return new Error(`Too many failed log-ins: try again in ${e.retryAfter} s.`)
  return e
}
