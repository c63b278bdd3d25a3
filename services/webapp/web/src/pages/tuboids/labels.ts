// The labels that are known, and when they were asked for.
import type { Label, Tuboid } from '../../api/types'

export interface KnownLabels {
  /** By the tuboids' numbers. */
  labels: ReadonlyMap<number, readonly Label[]>
  /** The refresh in which those of `asked` came; the others are from before it. */
  round: number
  asked: ReadonlySet<number>
}

export const noneKnown: KnownLabels = { labels: new Map(), round: 0, asked: new Set() }

/** With what was found for some tuboids. With a new round, labels of tuboids that nobody shows any more are let go. */
export function withLabels(before: KnownLabels, round: number, shown: readonly Tuboid[], some: readonly Tuboid[], found: readonly Label[]): KnownLabels {
  const more = new Map<number, Label[]>(some.map((t) => [t.id, []]))
  for (const l of found) more.get(l.parent_tuboid_id)?.push(l)
  const begun = before.round === round
  const still = new Set(shown.map((t) => t.id))
  const kept = begun ? [...before.labels] : [...before.labels].filter(([id]) => still.has(id))
  return { labels: new Map([...kept, ...more]), round, asked: new Set([...(begun ? before.asked : []), ...more.keys()]) }
}
