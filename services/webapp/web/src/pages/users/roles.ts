import type { User } from '../../api/types'
import type { Role } from '../../state/session'

export const ROLES: readonly Role[] = ['read-only', 'read-write', 'admin']

/** The API's rule: without can_write an account is read only, whatever is_admin says. */
export function roleOf(u: Pick<User, 'can_write' | 'is_admin'>): Role {
  return !u.can_write ? 'read-only' : u.is_admin ? 'admin' : 'read-write'
}

/** The fields of put_users for a role. */
export function fieldsOf(role: Role): Pick<User, 'can_write' | 'is_admin'> {
  return { can_write: role !== 'read-only', is_admin: role === 'admin' }
}

export const roleWords: Record<Role, string> = {
  'read-only': 'sees everything, changes nothing',
  'read-write': 'also uploads images and annotations, and makes experiments',
  admin: 'also deletes, and looks after users',
}
