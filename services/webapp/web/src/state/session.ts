// Who is logged in. The session itself is a cookie that scripts cannot read.
import { request, useProof, whenProofIsRefused, whenSessionIsOver } from '../api/http'
import { Store, useStore } from '../lib/store'

export type Role = 'read-only' | 'read-write' | 'admin'

export interface Session {
  user: string
  role: Role
}

interface Reply {
  user: string | null
  role?: Role
  proof?: string
}

/** undefined: not known yet; null: nobody. */
export const session = new Store<Session | null | undefined>(undefined)
/** Why somebody who was logged in has to log in again. */
export const sessionNote = new Store('')

function take(reply: Reply): void {
  useProof(reply.user ?? '', reply.proof ?? '')
  if (reply.user !== null && reply.user === session.value?.user && reply.role === session.value.role) return
  session.set(reply.user !== null ? { user: reply.user, role: reply.role ?? 'read-only' } : null)
}

export async function openSession(): Promise<void> {
  whenSessionIsOver(() => {
    if (session.value) sessionNote.set('Your session is over. Log in again to go on where you were.')
    take({ user: null })
  })
  whenProofIsRefused(askAgain)
  await askAgain()
}

let asking: Promise<void> | null = null

/** Asks who is logged in now: many requests that are refused at once ask once. */
function askAgain(): Promise<void> {
  asking ??= request<Reply>('/session')
    .then(take)
    .finally(() => (asking = null))
  return asking
}

export async function logIn(username: string, password: string): Promise<void> {
  take(await request<Reply>('/session', { method: 'POST', body: { username, password } }))
  sessionNote.set('')
}

export async function logOut(): Promise<void> {
  await request('/session', { method: 'DELETE' })
  sessionNote.set('')
  take({ user: null })
}

export function useSession(): Session | null | undefined {
  return useStore(session)
}
