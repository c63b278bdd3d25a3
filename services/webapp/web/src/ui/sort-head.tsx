import type { ComponentChildren } from 'preact'
import type { Order } from '../lib/order'

/** The head of a column that a table can be sorted by. */
export function SortHead(props: { by: string; order: Order; onSort: (by: string) => void; class?: string; children: ComponentChildren }) {
  const mine = props.order.by === props.by
  return (
    <th scope="col" class={props.class} aria-sort={mine ? (props.order.falling ? 'descending' : 'ascending') : undefined}>
      <button type="button" class="sort" onClick={() => props.onSort(props.by)}>
        {props.children}
        <span aria-hidden="true" class="arrow">
          {mine ? (props.order.falling ? '▼' : '▲') : ''}
        </span>
      </button>
    </th>
  )
}
