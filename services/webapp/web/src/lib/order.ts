// The order of tables: a column's name in the address, with a minus sign where it falls.

export interface Order {
  by: string
  falling: boolean
}

export function parseOrder(text: string | undefined, columns: readonly string[], first: string): Order {
  const name = (text || first).replace(/^-/, '')
  return columns.includes(name) ? { by: name, falling: (text || first).startsWith('-') } : parseOrder(first, columns, first)
}

export function formatOrder(order: Order): string {
  return (order.falling ? '-' : '') + order.by
}

/** What a click on a column's head asks for. */
export function turned(now: Order, by: string, fallsFirst = false): Order {
  return now.by === by ? { by, falling: !now.falling } : { by, falling: fallsFirst }
}

export type Sortable = string | number | null | undefined

/** A sorted copy; what is not known comes last either way, and equals keep their order. */
export function sorted<T>(rows: readonly T[], key: (row: T) => Sortable, falling: boolean): T[] {
  const sign = falling ? -1 : 1
  return [...rows].sort((x, y) => {
    const [a, b] = [key(x) ?? null, key(y) ?? null]
    if (a === null || b === null) return Number(a === null) - Number(b === null)
    return a < b ? -sign : a > b ? sign : 0
  })
}
