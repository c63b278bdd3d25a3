// A tuboid's picture holds its shots as square tiles, from left to right and from above; the last row may not be full.

export interface Grid {
  columns: number
  rows: number
}

/** What the matcher makes; it stands for pictures that are not loaded yet. */
const COLUMNS = 4

export function usualGrid(shots: number): Grid {
  return { columns: COLUMNS, rows: Math.max(1, Math.ceil(shots / COLUMNS)) }
}

/** How the tiles lie in a picture of that size: the only way in which so many squares fill it, but for the last row. */
export function gridOf(width: number, height: number, shots: number): Grid {
  for (let columns = 1; columns <= shots; columns++) {
    const rows = Math.ceil(shots / columns)
    if (Math.abs((width / columns) * rows - height) < 1) return { columns, rows }
  }
  const usual = usualGrid(shots)
  return Math.abs((width / usual.columns) * usual.rows - height) < 1 ? usual : { columns: 1, rows: 1 } // no tiles: shown whole
}

/** Column and row of a shot's tile, both from 0. */
export function tileOf(grid: Grid, shot: number): [number, number] {
  const i = Math.max(0, Math.min(grid.columns * grid.rows - 1, shot))
  return [i % grid.columns, Math.floor(i / grid.columns)]
}
