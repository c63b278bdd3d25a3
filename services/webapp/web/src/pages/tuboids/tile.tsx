import { useState } from 'preact/hooks'
import { gridOf, tileOf, usualGrid, type Grid } from './tiles'

/** One shot, cut out of the picture of all. It is loaded when it comes into sight. */
export function Tile({ url, shots, shot, label, eager = false }: { url: string; shots: number; shot: number; label: string; eager?: boolean }) {
  const [known, set] = useState<{ url: string; grid: Grid } | null>(null)
  const grid = known?.url === url ? known.grid : usualGrid(shots)
  const [column, row] = tileOf(grid, shot)
  return (
    <span class="tile">
      <img
        src={url}
        alt={label}
        loading={eager ? 'eager' : 'lazy'}
        decoding="async"
        draggable={false}
        style={{ width: `${grid.columns * 100}%`, height: `${grid.rows * 100}%`, left: `${-column * 100}%`, top: `${-row * 100}%` }}
        onLoad={(e) => set({ url, grid: gridOf(e.currentTarget.naturalWidth, e.currentTarget.naturalHeight, shots) })}
      />
    </span>
  )
}
