import { useEffect, useState } from 'preact/hooks'
import { api, ApiError, isAbort } from '../../api/http'
import type { Me, Permission, Project, ProjectSeries, User } from '../../api/types'
import { useAgain } from '../../state/scope'

const fail = (e: unknown) => (e instanceof ApiError ? e : new Error(String(e)))

export interface Known {
  me: Me
  projects: Project[]
  permissions: Permission[]
  /** Names of users, for admins alone: nobody else may ask for them. */
  users: ReadonlyMap<number, string>
}

export function useProjects(changes: number): { known: Known | null; error: Error | null } {
  const [known, set] = useState<Known | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const again = useAgain(error !== null)
  useEffect(() => {
    const mine = new AbortController()
    const post = { method: 'POST', body: [], signal: mine.signal } as const
    const load = async () => {
      const [me, projects, permissions] = await Promise.all([
        api<Me>('v2/me', { signal: mine.signal }),
        api<Project[]>('get_projects', post),
        api<Permission[]>('get_project_permissions', post),
      ])
      const users = me.role === 'admin' ? await api<User[]>('get_users', post) : []
      return { me, projects, permissions, users: new Map([...users.map((u) => [u.id, u.username] as const), [me.id, me.username]]) }
    }
    load().then(
      (all) => {
        set(all)
        setError(null)
      },
      (e: unknown) => {
        if (!isAbort(e)) setError(fail(e))
      },
    )
    return () => mine.abort()
  }, [changes, again])
  return { known, error }
}

/** The rows of a project; null: not known yet. */
export function useRows(project: number, changes: number): { rows: ProjectSeries[] | null; error: Error | null } {
  const [state, set] = useState<{ project: number; rows: ProjectSeries[] | null; error: Error | null }>({ project, rows: null, error: null })
  const again = useAgain(state.error !== null)
  useEffect(() => {
    const mine = new AbortController()
    api<ProjectSeries[]>('get_project_series', { method: 'POST', body: [{ project_id: project }], signal: mine.signal }).then(
      (rows) => set({ project, rows, error: null }),
      (e: unknown) => {
        if (!isAbort(e)) set({ project, rows: null, error: fail(e) })
      },
    )
    return () => mine.abort()
  }, [project, changes, again])
  return state.project === project ? state : { rows: null, error: null }
}
