import { describe, expect, it } from 'vitest'
import { formatOrder, parseOrder, sorted, turned } from './order'

describe('the order in an address', () => {
  it.each([
    ['name', { by: 'name', falling: false }],
    ['-age', { by: 'age', falling: true }],
    [undefined, { by: 'age', falling: true }],
    ['weight', { by: 'age', falling: true }],
    ['--name', { by: 'age', falling: true }],
  ])('%s', (text, want) => expect(parseOrder(text, ['name', 'age'], '-age')).toEqual(want))

  it('is written as it is read', () => expect(formatOrder(parseOrder('-age', ['age'], 'age'))).toBe('-age'))

  it('turns at the second click', () => {
    const once = turned({ by: 'name', falling: false }, 'age', true)
    expect(once).toEqual({ by: 'age', falling: true })
    expect(turned(once, 'age', true)).toEqual({ by: 'age', falling: false })
  })
})

it('what is not known is sorted last, rising and falling, and equals stay as they were', () => {
  const rows = [{ n: 2, v: 'a' }, { n: null, v: 'b' }, { n: 1, v: 'c' }, { n: 2, v: 'd' }]
  const names = (falling: boolean) => sorted(rows, (r) => r.n, falling).map((r) => r.v).join('')
  expect(names(false)).toBe('cadb')
  expect(names(true)).toBe('adcb')
})
