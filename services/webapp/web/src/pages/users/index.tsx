import { useEffect, useState } from 'preact/hooks'
import './users.css'
import { api, ApiError, isAbort } from '../../api/http'
import type { User } from '../../api/types'
import { exactly } from '../../lib/like'
import { formatOrder, parseOrder, sorted, turned, type Sortable } from '../../lib/order'
import { count, parseTime } from '../../lib/time'
import { useAgain } from '../../state/scope'
import { useSession } from '../../state/session'
import { setExtra, useView } from '../../state/view'
import { FormDialog } from '../../ui/dialog'
import { Icon } from '../../ui/icon'
import { NewPassword, ResetPassword } from '../../ui/new-password'
import { Busy, Empty, ErrorBox, PageHead } from '../../ui/page'
import { SortHead } from '../../ui/sort-head'
import { When } from '../../ui/when'
import { fieldsOf, ROLES, roleOf, roleWords } from './roles'

const columns: Record<string, (u: User) => Sortable> = {
  name: (u) => u.username.toLowerCase(),
  email: (u) => u.email?.toLowerCase(),
  role: (u) => ROLES.indexOf(roleOf(u)),
  made: (u) => u.datetime_created,
}

type Asked = { what: 'add' } | { what: 'reset' | 'delete'; user: User } | null

export default function UsersPage() {
  const view = useView()
  const me = useSession()?.user.toLowerCase()
  const [users, setUsers] = useState<User[] | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [changes, setChanges] = useState(0)
  const again = useAgain(error !== null)
  const [asked, ask] = useState<Asked>(null)
  const [done, setDone] = useState('')

  useEffect(() => {
    const mine = new AbortController()
    api<User[]>('get_users', { method: 'POST', body: [], signal: mine.signal }).then(
      (all) => {
        setUsers(all)
        setError(null)
      },
      (e: unknown) => {
        if (!isAbort(e)) setError(e instanceof ApiError ? e : new Error(String(e)))
      },
    )
    return () => mine.abort()
  }, [changes, again])

  const changed = (text: string) => {
    setDone(text)
    setChanges((n) => n + 1)
  }
  const order = parseOrder(view.extra['sort'], Object.keys(columns), 'name')
  const text = (view.extra['find'] ?? '').toLowerCase()
  const shown = sorted(users ?? [], columns[order.by] ?? (() => null), order.falling).filter((u) => `${u.username} ${u.email ?? ''} ${roleOf(u)}`.toLowerCase().includes(text))
  const sort = (by: string) => setExtra({ sort: formatOrder(turned(order, by)) })

  return (
    <>
      <PageHead title="Users">
        {users && <span class="muted">{count(users.length, 'user')}</span>}
        <span class="grow" />
        <button type="button" class="primary" onClick={() => ask({ what: 'add' })}>
          <Icon name="plus" /> Add a user
        </button>
      </PageHead>
      {error && <ErrorBox error={error} retry={() => setChanges(changes + 1)} />}
      <p class="done" role="status">
        {done && (
          <>
            <Icon name="check" /> {done}
          </>
        )}
      </p>
      {!users && !error && <Busy what="Loading the users…" />}
      {users && (
        <>
          <input type="search" class="find" placeholder="Find a user" aria-label="Find a user" value={view.extra['find'] ?? ''} onInput={(e) => setExtra({ find: e.currentTarget.value || null })} />
          {shown.length === 0 && <Empty>No such user.</Empty>}
          {shown.length > 0 && (
            <div class="table-box users" role="region" aria-label="Users" tabIndex={0}>
              <table>
                <thead>
                  <tr>
                    <SortHead by="name" order={order} onSort={sort}>
                      Name
                    </SortHead>
                    <SortHead by="role" order={order} onSort={sort}>
                      Role
                    </SortHead>
                    <SortHead by="email" order={order} onSort={sort}>
                      Email
                    </SortHead>
                    <SortHead by="made" order={order} onSort={sort}>
                      Since
                    </SortHead>
                    <td>
                      <span class="sr-only">What may be done</span>
                    </td>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((u) => {
                    const mine = u.username.toLowerCase() === me
                    return (
                      <tr key={u.id}>
                        <th scope="row">
                          {u.username} {mine && <span class="you">you</span>}
                        </th>
                        <td>
                          <span class={`role ${roleOf(u)}`}>{roleOf(u)}</span>
                        </td>
                        <td>{u.email ?? <span class="muted">–</span>}</td>
                        <td>
                          <When time={parseTime(u.datetime_created)} seconds={false} />
                          {u.api_user && <span class="muted"> by {u.api_user}</span>}
                        </td>
                        <td class="acts">
                          <button type="button" onClick={() => ask({ what: 'reset', user: u })} aria-label={`New password for ${u.username}`}>
                            <Icon name="key" /> New password
                          </button>
                          {mine ? (
                            <span class="muted not-me">Only another admin can delete you.</span>
                          ) : (
                            <button type="button" onClick={() => ask({ what: 'delete', user: u })} aria-label={`Delete ${u.username}`}>
                              <Icon name="trash" /> Delete
                            </button>
                          )}
                        </td>
                      </tr>
                    )
                  })}
                </tbody>
              </table>
            </div>
          )}
          <p class="muted">A role cannot be changed: delete the user, and add one of the same name. What they uploaded stays.</p>
        </>
      )}
      {asked?.what === 'add' && <Add onClose={() => ask(null)} onDone={changed} />}
      {asked?.what === 'reset' && <ResetPassword user={asked.user.username} mine={asked.user.username.toLowerCase() === me} onClose={() => ask(null)} onDone={() => changed(`${asked.user.username} has a new password.`)} />}
      {asked?.what === 'delete' && <Delete user={asked.user} onClose={() => ask(null)} onDone={changed} />}
    </>
  )
}

interface DialogProps {
  onClose: () => void
  onDone: (text: string) => void
}

function Add({ onClose, onDone }: DialogProps) {
  async function submit(form: FormData) {
    const text = (name: string) => String(form.get(name) ?? '').trim()
    const role = ROLES.find((r) => r === form.get('role')) ?? 'read-only'
    const email = text('email')
    await api('put_users', { method: 'POST', body: [{ username: text('username'), password: form.get('password'), ...(email ? { email } : {}), ...fieldsOf(role) }] })
    onDone(`${text('username')} can log in now.`)
  }
  return (
    <FormDialog title="Add a user" action="Add" onClose={onClose} submit={submit}>
      <label>
        User name
        <input name="username" required maxLength={32} autocomplete="off" autocapitalize="none" spellcheck={false} pattern="[^:]+" title="Anything but a colon" />
      </label>
      <label>
        Email (may be left out)
        <input name="email" type="email" maxLength={64} autocomplete="off" />
      </label>
      <fieldset>
        <legend>Role</legend>
        {ROLES.map((role) => (
          <label key={role}>
            <input type="radio" name="role" value={role} defaultChecked={role === 'read-only'} />
            <span>
              {role}: <span class="muted">{roleWords[role]}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <NewPassword />
    </FormDialog>
  )
}

function Delete({ user, onClose, onDone }: DialogProps & { user: User }) {
  async function submit() {
    const gone = await api<User[]>('delete_users', { method: 'POST', body: [{ id: user.id, username: exactly(user.username) }] })
    onDone(gone.length > 0 ? `${user.username} is deleted.` : `${user.username} was deleted already.`)
  }
  return (
    <FormDialog title={`Delete ${user.username}?`} action="Delete" danger onClose={onClose} submit={submit}>
      <p>
        {user.username} ({roleOf(user)}) cannot log in any more, nor can programs that use the account. Images, annotations and labels of theirs stay; their permissions for experiments go.
      </p>
    </FormDialog>
  )
}
