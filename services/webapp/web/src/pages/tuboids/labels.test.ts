import { describe, expect, it } from 'vitest'
import type { Label, Tuboid } from '../../api/types'
import { noneKnown, withLabels } from './labels'

const tuboid = (id: number) => ({ id }) as Tuboid
const label = (id: number, tuboid: number) => ({ id, parent_tuboid_id: tuboid }) as Label
const [a, b, c] = [tuboid(1), tuboid(2), tuboid(3)]

describe('the labels that are known', () => {
  const first = withLabels(noneKnown, 0, [a, b], [a, b], [label(10, 1), label(11, 1)])

  it('are those found, and none where none was found', () =>
    expect(first).toEqual({ labels: new Map([[1, [label(10, 1), label(11, 1)]], [2, []]]), round: 0, asked: new Set([1, 2]) }))

  it('are added to by the next tuboids of the round', () => {
    const next = withLabels(first, 0, [c], [c], [label(12, 3)])
    expect([...next.labels.keys()]).toEqual([1, 2, 3])
    expect(next.asked).toEqual(new Set([1, 2, 3]))
  })

  it('stay in a new round until those of their tuboid arrive', () => {
    const next = withLabels(first, 1, [a, b], [b], [label(13, 2)])
    expect(next).toEqual({ labels: new Map([[1, [label(10, 1), label(11, 1)]], [2, [label(13, 2)]]]), round: 1, asked: new Set([2]) })
    expect(withLabels(next, 1, [a, b], [a], []).labels.get(1)).toEqual([])
  })

  it('go with a new round where their tuboid is shown no more', () => expect([...withLabels(first, 1, [b, c], [c], []).labels.keys()]).toEqual([2, 3]))

  it('are of no tuboid that was not asked for', () => expect(withLabels(noneKnown, 0, [a], [a], [label(14, 9)]).labels).toEqual(new Map([[1, []]])))
})
