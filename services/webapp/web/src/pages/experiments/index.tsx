import { useState } from 'preact/hooks'
import './experiments.css'
import { api } from '../../api/http'
import type { Project } from '../../api/types'
import { formatOrder, parseOrder, sorted, turned, type Sortable } from '../../lib/order'
import { count, parseTime } from '../../lib/time'
import { formatView, setExtra, useView } from '../../state/view'
import { FormDialog } from '../../ui/dialog'
import { Icon } from '../../ui/icon'
import { Link } from '../../ui/link'
import { Busy, Empty, ErrorBox, PageHead } from '../../ui/page'
import { SortHead } from '../../ui/sort-head'
import { When } from '../../ui/when'
import { levelNames, levelOf, may } from './access'
import { allOf } from './address'
import { useProjects, type Known } from './load'
import { ProjectView } from './project'

const columns: Record<string, (p: Project) => Sortable> = {
  name: (p) => p.name.toLowerCase(),
  made: (p) => p.datetime_created,
}

export default function ExperimentsPage() {
  const view = useView()
  const [changes, setChanges] = useState(0)
  const [adding, setAdding] = useState(false)
  const { known, error } = useProjects(changes)
  const changed = () => setChanges((n) => n + 1)
  const wanted = view.extra['project']
  const project = known?.projects.find((p) => String(p.id) === wanted)

  if (known && wanted !== undefined) {
    return project ? (
      <ProjectView key={project.id} project={project} known={known} onChange={changed} />
    ) : (
      <>
        <PageHead title="Experiments" />
        <Empty>
          There is no such experiment, or nobody has let you see it. <Link href={allOf()}>All experiments</Link>
        </Empty>
      </>
    )
  }
  return (
    <>
      <PageHead title="Experiments">
        {known && <span class="muted">{count(known.projects.length, 'experiment')}</span>}
        <span class="grow" />
        {known && known.me.role !== 'read-only' && (
          <button type="button" class="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" /> New experiment
          </button>
        )}
      </PageHead>
      {error && <ErrorBox error={error} retry={changed} />}
      {!known && !error && <Busy what="Loading the experiments…" />}
      {known && known.projects.length === 0 && (
        <Empty>
          There is no experiment that you may see.
          {known.me.role === 'read-only' ? ' Ask an admin of one to let you.' : ' Make one to keep devices and times together under a name.'}
        </Empty>
      )}
      {known && known.projects.length > 0 && <List known={known} />}
      {adding && (
        <NewProject
          onClose={() => setAdding(false)}
          onDone={(p) => {
            changed()
            setExtra({ project: String(p.id) }, { replace: false })
          }}
        />
      )}
    </>
  )
}

function List({ known }: { known: Known }) {
  const view = useView()
  const order = parseOrder(view.extra['sort'], Object.keys(columns), 'name')
  const text = (view.extra['find'] ?? '').toLowerCase()
  const shown = sorted(known.projects, columns[order.by] ?? (() => null), order.falling).filter((p) => `${p.name} ${p.description ?? ''}`.toLowerCase().includes(text))
  const sort = (by: string) => setExtra({ sort: formatOrder(turned(order, by)) })
  return (
    <>
      <input
        type="search"
        class="find-project"
        placeholder="Find an experiment"
        aria-label="Find an experiment"
        value={view.extra['find'] ?? ''}
        onInput={(e) => setExtra({ find: e.currentTarget.value || null })}
      />
      {shown.length === 0 && <Empty>No such experiment.</Empty>}
      {shown.length > 0 && (
        <div class="table-box" role="region" aria-label="Experiments" tabIndex={0}>
          <table class="projects">
            <thead>
              <tr>
                <SortHead by="name" order={order} onSort={sort}>
                  Name
                </SortHead>
                <th scope="col">Description</th>
                <th scope="col">You may</th>
                <th scope="col">Members</th>
                <SortHead by="made" order={order} onSort={sort}>
                  Since
                </SortHead>
              </tr>
            </thead>
            <tbody>
              {shown.map((p) => (
                <tr key={p.id}>
                  <th scope="row">
                    <Link href={formatView({ ...view, extra: { ...view.extra, project: String(p.id) } })}>{p.name}</Link>
                  </th>
                  <td>
                    <div class="description">{p.description ?? ''}</div>
                  </td>
                  <td class="rights">{rightsOf(known, p)}</td>
                  <td class="members-count">{known.permissions.filter((m) => m.parent_project_id === p.id).length}</td>
                  <td>
                    <When time={parseTime(p.datetime_created)} seconds={false} />
                    {p.api_user && <span class="muted"> by {p.api_user}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  )
}

/** What one may do with a project, in a word. */
function rightsOf(known: Known, p: Project): string {
  const level = levelOf(known.me, p.id, known.permissions)
  return may(known.me, level, 1) ? levelNames[level] : levelNames[1]
}

function NewProject({ onClose, onDone }: { onClose: () => void; onDone: (p: Project) => void }) {
  async function submit(form: FormData) {
    const text = (name: string) => String(form.get(name) ?? '').trim()
    const [made] = await api<Project[]>('put_projects', {
      method: 'POST',
      body: [{ name: text('name'), ...(text('description') ? { description: text('description') } : {}), ...(text('notes') ? { notes: text('notes') } : {}) }],
    })
    if (made) onDone(made)
  }
  return (
    <FormDialog title="New experiment" action="Make it" onClose={onClose} submit={submit}>
      <p class="muted">Name and description cannot be changed later. You can do everything with it, and let others see or change it.</p>
      <label>
        Name
        <input name="name" required maxLength={32} autocomplete="off" />
      </label>
      <label>
        Description (may be left out)
        <textarea name="description" rows={2} maxLength={10000} />
      </label>
      <label>
        Notes (may be left out)
        <textarea name="notes" rows={2} maxLength={10000} />
      </label>
    </FormDialog>
  )
}
