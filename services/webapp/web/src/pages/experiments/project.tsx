// One experiment: its series, who may see it, and what may be done with it.
import { useState } from 'preact/hooks'
import { api } from '../../api/http'
import type { Permission, Project, ProjectSeries } from '../../api/types'
import { exactly } from '../../lib/like'
import { formatOrder, parseOrder, sorted, turned } from '../../lib/order'
import { useStore } from '../../lib/store'
import { count, parseTime, showDuration, typedTime, typedZone, wireTime } from '../../lib/time'
import { zone } from '../../state/prefs'
import { useScope } from '../../state/scope'
import { setExtra, useView } from '../../state/view'
import { FormDialog } from '../../ui/dialog'
import { Icon } from '../../ui/icon'
import { Link } from '../../ui/link'
import { Busy, Empty, ErrorBox, IconButton, PageHead } from '../../ui/page'
import { SortHead } from '../../ui/sort-head'
import { When } from '../../ui/when'
import { columnsOf, imagesOf, levelNames, levelOf, may, valueOf, type Level } from './access'
import { allOf } from './address'
import { useRows, type Known } from './load'

const PER_PAGE = 100

type Asked = 'row' | 'member' | 'delete' | { leave: Permission } | null

interface Props {
  project: Project
  known: Known
  onChange: () => void
}

export function ProjectView({ project, known, onChange }: Props) {
  const [added, setAdded] = useState(0)
  const { rows, error } = useRows(project.id, added)
  const [asked, ask] = useState<Asked>(null)
  const level = levelOf(known.me, project.id, known.permissions)
  const all = rows && imagesOf(rows)
  const close = () => ask(null)
  return (
    <>
      <PageHead title={project.name}>
        <span class="grow" />
        {may(known.me, level, 3) && (
          <button type="button" onClick={() => ask('delete')}>
            <Icon name="trash" /> Delete
          </button>
        )}
      </PageHead>
      <p class="back">
        <Link href={allOf()}>All experiments</Link>
      </p>
      {project.description && <p class="prose">{project.description}</p>}
      {project.notes && <p class="prose muted">{project.notes}</p>}

      <section aria-labelledby="series-title">
        <div class="part-head">
          <h2 id="series-title">Series</h2>
          {rows && <span class="muted">{rows.length.toLocaleString('en')}</span>}
          <span class="grow" />
          {all && (
            <Link class="button" href={all}>
              <Icon name="image" /> Images of all
            </Link>
          )}
          {may(known.me, level, 2) && (
            <button type="button" onClick={() => ask('row')}>
              <Icon name="plus" /> Add a series
            </button>
          )}
        </div>
        {error && <ErrorBox error={error} retry={() => setAdded(added + 1)} />}
        {!rows && !error && <Busy what="Loading the series…" />}
        {rows?.length === 0 && <Empty>No series yet: a series is a device, from when to when.</Empty>}
        {rows && rows.length > 0 && <Rows rows={rows} />}
      </section>

      <Members project={project} known={known} level={level} onAdd={() => ask('member')} onLeave={(p) => ask({ leave: p })} onChange={onChange} />

      {asked === 'row' && <AddRow project={project} columns={columnsOf(rows ?? [])} onClose={close} onDone={() => setAdded(added + 1)} />}
      {asked === 'member' && <AddMember project={project} known={known} onClose={close} onDone={onChange} />}
      {asked === 'delete' && <DeleteProject project={project} rows={rows} onClose={close} onDone={onChange} />}
      {asked !== null && typeof asked === 'object' && (
        <FormDialog title="Give up your own permission?" action="Give it up" danger onClose={close} submit={() => set(project, known.me.id, 0).then(onChange)}>
          <p>This is yourself. {known.me.role === 'admin' ? 'As an admin you will see the experiment all the same.' : 'You will not see the experiment any more until somebody lets you.'}</p>
        </FormDialog>
      )}
    </>
  )
}

async function set(project: Project, user: number, level: number): Promise<void> {
  await api('put_project_permissions', { method: 'POST', body: [{ project_id: project.id, user_id: user, level }] })
}

function Rows({ rows }: { rows: readonly ProjectSeries[] }) {
  const view = useView()
  const columns = columnsOf(rows)
  const order = parseOrder(view.extra['rows'], ['device', 'start_datetime', 'end_datetime', ...columns], 'start_datetime')
  const inOrder = sorted(rows, (r) => r[order.by], order.falling)
  const pages = Math.ceil(rows.length / PER_PAGE)
  const page = Math.max(1, Math.min(pages, Math.floor(Number(view.extra['page'])) || 1))
  const sort = (by: string) => setExtra({ rows: formatOrder(turned(order, by)), page: null })
  return (
    <>
      <div class="table-box" role="region" aria-label="Table of series" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <SortHead by="device" order={order} onSort={sort}>
                Device
              </SortHead>
              <th scope="col">Images</th>
              <SortHead by="start_datetime" order={order} onSort={sort}>
                From
              </SortHead>
              <SortHead by="end_datetime" order={order} onSort={sort}>
                To
              </SortHead>
              <th scope="col">Length</th>
              {columns.map((name) => (
                <SortHead key={name} by={name} order={order} onSort={sort}>
                  {name}
                </SortHead>
              ))}
            </tr>
          </thead>
          <tbody>
            {inOrder.slice((page - 1) * PER_PAGE, page * PER_PAGE).map((r) => {
              const [start, end] = [parseTime(r.start_datetime), parseTime(r.end_datetime)]
              return (
                <tr key={r.id}>
                  <th scope="row">
                    <code>{r.device}</code>
                  </th>
                  <td>
                    <Link href={imagesOf([r]) ?? ''} label={`Open the images of ${r.device} from ${r.start_datetime}`}>
                      <Icon name="image" /> Open
                    </Link>
                  </td>
                  <td>
                    <When time={start} seconds={false} />
                  </td>
                  <td>
                    <When time={end} seconds={false} />
                  </td>
                  <td>{showDuration(end - start)}</td>
                  {columns.map((name) => (
                    <td key={name}>{r[name] ?? <span class="muted">–</span>}</td>
                  ))}
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {pages > 1 && (
        <div class="row-pages" role="group" aria-label="Pages of series">
          <IconButton icon="left" label="Previous page" disabled={page <= 1} onClick={() => setExtra({ page: String(page - 1) })} />
          Page {page} of {pages}
          <IconButton icon="right" label="Next page" disabled={page >= pages} onClick={() => setExtra({ page: String(page + 1) })} />
        </div>
      )}
    </>
  )
}

function Members(props: { project: Project; known: Known; level: Level; onAdd: () => void; onLeave: (p: Permission) => void; onChange: () => void }) {
  const { project, known } = props
  const [error, setError] = useState<Error | null>(null)
  const members = known.permissions.filter((p) => p.parent_project_id === project.id)
  const mayChange = may(known.me, props.level, 3)
  const nameOf = (id: number) => known.users.get(id) ?? `user ${id}`

  function change(p: Permission, level: number) {
    if (p.parent_user_id === known.me.id && level < p.level && known.me.role !== 'admin') {
      props.onLeave(p)
      return
    }
    setError(null)
    set(project, p.parent_user_id, level).then(props.onChange, (e: unknown) => {
      setError(e instanceof Error ? e : new Error(String(e)))
      props.onChange() // shows what it is
    })
  }

  return (
    <section aria-labelledby="members-title">
      <div class="part-head">
        <h2 id="members-title">Members</h2>
        <span class="muted">{members.length}</span>
        <span class="grow" />
        {mayChange && (
          <button type="button" onClick={props.onAdd}>
            <Icon name="plus" /> Let somebody in
          </button>
        )}
      </div>
      {error && <ErrorBox error={error} />}
      {members.length === 0 && <p class="muted">Nobody but the server’s admins.</p>}
      <ul class="members">
        {members.map((p) => (
          <li key={p.id}>
            <span>
              {nameOf(p.parent_user_id)} {p.parent_user_id === known.me.id && <span class="muted">(you)</span>}
            </span>
            {mayChange ? (
              <select value={String(p.level)} aria-label={`What ${nameOf(p.parent_user_id)} may do`} onChange={(e) => change(p, Number(e.currentTarget.value))}>
                {([1, 2, 3, 0] as const).map((l) => (
                  <option key={l} value={String(l)}>
                    {l === 0 ? 'remove' : levelNames[l]}
                  </option>
                ))}
              </select>
            ) : (
              <span class="muted">{levelNames[p.level as Level]}</span>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}

interface DialogProps {
  project: Project
  onClose: () => void
  onDone: () => void
}

function AddRow({ project, columns, onClose, onDone }: DialogProps & { columns: readonly string[] }) {
  const now = useStore(zone)
  const devices = useScope()?.devices ?? []

  async function submit(form: FormData) {
    const text = (name: string) => String(form.get(name) ?? '').trim()
    const [start, end] = [typedTime(text('start'), now), typedTime(text('end'), now)]
    if (Number.isNaN(start) || Number.isNaN(end)) throw new Error('Fill in both times.')
    if (end < start) throw new Error('The end is before the start.')
    const free: Record<string, string | number | null> = {}
    for (const name of columns) free[name] = valueOf(text(`column ${name}`))
    if (text('new name')) free[text('new name')] = valueOf(text('new value'))
    await api('put_project_series', {
      method: 'POST',
      body: [{ ...free, project_id: project.id, device: text('device'), start_datetime: wireTime(start), end_datetime: wireTime(end) }],
    })
    onDone()
  }

  return (
    <FormDialog title="Add a series" action="Add" onClose={onClose} submit={submit}>
      <label>
        Device
        <input name="device" required pattern="[0-9a-fA-F]{8}" title="8 hexadecimal digits" list="known-devices" autocomplete="off" autocapitalize="none" spellcheck={false} />
        <datalist id="known-devices">
          {devices.map((d) => (
            <option key={d.device} value={d.device} />
          ))}
        </datalist>
      </label>
      <label>
        From ({typedZone(now)})
        <input name="start" type="datetime-local" required />
      </label>
      <label>
        To ({typedZone(now)}), itself not included
        <input name="end" type="datetime-local" required />
      </label>
      {columns.map((name) => (
        <label key={name}>
          {name}
          <input name={`column ${name}`} maxLength={4096} autocomplete="off" />
        </label>
      ))}
      <div class="new-column">
        <label>
          One more column
          <input name="new name" pattern="[A-Za-z_][A-Za-z0-9_]{0,63}" title="Letters, digits and _, no digit first" placeholder="name" autocomplete="off" />
        </label>
        <label>
          Its value
          <input name="new value" maxLength={4096} autocomplete="off" />
        </label>
      </div>
    </FormDialog>
  )
}

function AddMember({ project, known, onClose, onDone }: DialogProps & { known: Known }) {
  const inside = new Set(known.permissions.filter((p) => p.parent_project_id === project.id).map((p) => p.parent_user_id))
  const others = [...known.users].filter(([id]) => !inside.has(id)).sort((a, b) => a[1].localeCompare(b[1]))

  async function submit(form: FormData) {
    await set(project, Number(form.get('user')), Number(form.get('level')))
    onDone()
  }

  return (
    <FormDialog title="Let somebody in" action="Let in" onClose={onClose} submit={submit}>
      {known.me.role === 'admin' ? (
        <label>
          User
          <select name="user" required>
            {others.map(([id, name]) => (
              <option key={id} value={String(id)}>
                {name}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <label>
          Number of the user
          <input name="user" type="number" min="1" step="1" required />
          <span class="muted">Names of users are for the server’s admins alone: they can tell the number, or let somebody in. Yours is {known.me.id}.</span>
        </label>
      )}
      <label>
        May
        <select name="level">
          <option value="1">read: see it</option>
          <option value="2">write: also add series</option>
          <option value="3">admin: also let others in, and delete it</option>
        </select>
      </label>
    </FormDialog>
  )
}

function DeleteProject({ project, rows, onClose, onDone }: DialogProps & { rows: readonly ProjectSeries[] | null }) {
  async function submit() {
    await api('delete_projects', { method: 'POST', body: [{ id: project.id, name: exactly(project.name) }] })
    setExtra({ project: null, rows: null, page: null })
    onDone()
  }
  return (
    <FormDialog title={`Delete ${project.name}?`} action="Delete" danger onClose={onClose} submit={submit}>
      <p>
        The experiment goes with {rows ? count(rows.length, 'row') : 'the rows'} of its table and all permissions, for everybody. Images are not touched. This cannot be undone.
      </p>
    </FormDialog>
  )
}
