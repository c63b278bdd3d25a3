// A new password, for others or oneself.
import { useState } from 'preact/hooks'
import { api } from '../api/http'
import { suggest } from '../lib/password'
import { FormDialog } from './dialog'
import './new-password.css'

/** As the commands that make accounts have it. The server takes shorter ones, for the old clients' sake. */
const LEAST = 11

/** Shown as it is typed: it is to be handed on, or noted. */
export function NewPassword() {
  const [value, set] = useState('')
  return (
    <div class="password">
      <label>
        Password, at least {LEAST} characters
        <input name="password" required minLength={LEAST} maxLength={1024} autocomplete="new-password" autocapitalize="none" spellcheck={false} value={value} onInput={(e) => set(e.currentTarget.value)} />
      </label>
      <button type="button" onClick={() => set(suggest())}>
        Suggest one
      </button>
    </div>
  )
}

export function ResetPassword({ user, mine, onClose, onDone }: { user: string; mine: boolean; onClose: () => void; onDone: () => void }) {
  async function submit(form: FormData) {
    await api('reset_password', { method: 'POST', body: [{ username: user, password: form.get('password') }] })
    onDone()
  }
  return (
    <FormDialog title={`New password for ${user}`} action="Set it" onClose={onClose} submit={submit}>
      <p>
        {mine
          ? 'This is yourself: you will be logged out here and everywhere, and need the new password to come back. Note it first.'
          : `${user} is logged out everywhere, programs that use the account among them, and needs the new password to come back.`}
      </p>
      <NewPassword />
    </FormDialog>
  )
}
