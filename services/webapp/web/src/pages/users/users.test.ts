import { describe, expect, it } from 'vitest'
import { fieldsOf, ROLES, roleOf } from './roles'

describe('roles', () => {
  it.each(ROLES)('%s goes to the wire and back', (role) => expect(roleOf(fieldsOf(role))).toBe(role))
  it('without can_write there is no admin', () => expect(roleOf({ can_write: false, is_admin: true })).toBe('read-only'))
})
