import { describe, expect, it } from 'vitest'
import { suggest } from './password'

describe('a suggested password', () => {
  it('is another one each time', () => expect(new Set(Array.from({ length: 50 }, () => suggest())).size).toBe(50))
  it('has 16 letters and digits that are not mistaken for each other', () => expect(suggest()).toMatch(/^[a-km-np-zA-HJ-NP-Z2-9]{16}$/))
  it('leaves out the bytes that would make some letters likelier', () => {
    let n = 0
    expect(suggest((b) => b.fill(n++ === 0 ? 255 : 0))).toBe('a'.repeat(16))
  })
})
