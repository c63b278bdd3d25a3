// The colour scale of light: dark blue for night, through green, to yellow for noon; light on dark and dark on light alike
// (after viridis, whose lightness rises evenly).
const stops: readonly [number, number, number][] = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
]

const STEPS = 64
const scale = Array.from({ length: STEPS }, (_, i) => {
  const at = (i / (STEPS - 1)) * (stops.length - 1)
  const low = Math.min(Math.floor(at), stops.length - 2)
  const [a, b] = [stops[low], stops[low + 1]] as [[number, number, number], [number, number, number]]
  const mix = (k: 0 | 1 | 2) => Math.round(a[k] + (b[k] - a[k]) * (at - low))
  return `rgb(${mix(0)} ${mix(1)} ${mix(2)})`
})

/** The colour of a value between least and greatest. */
export function lightColour(value: number, [least, greatest]: readonly [number, number]): string {
  const share = greatest > least ? (value - least) / (greatest - least) : 0
  return scale[Math.max(0, Math.min(STEPS - 1, Math.round(share * (STEPS - 1))))] as string
}

/** Colours that can be told apart on either background, for devices on one chart. */
export const deviceColours = ['#d1495b', '#2e86de', '#2a9d5c', '#c98a00', '#8e5bd0', '#0fa3a3', '#d0678f', '#7c8a2e', '#5a7690', '#b5651d'] as const

/** The colour beside a line of #rrggbb with which it can be seen on any ground: white beside dark ones, and black beside light ones. */
export function rimOf(colour: string): '#ffffff' | '#000000' {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) as [number, number, number]
  return 0.299 * r + 0.587 * g + 0.114 * b < 140 ? '#ffffff' : '#000000'
}
