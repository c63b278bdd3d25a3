// Colours that carry values. Those of light are dark blue for night, through green, to yellow for noon (after viridis, whose lightness
// rises evenly), as far as they have a contrast of 3 to 1 with the page: its night is too dark for a dark one, its noon too light for
// a light one.
type Colour = readonly [number, number, number]

const STEPS = 64

function scaleOf(...stops: readonly Colour[]): readonly string[] {
  return Array.from({ length: STEPS }, (_, i) => {
    const at = (i / (STEPS - 1)) * (stops.length - 1)
    const low = Math.min(Math.floor(at), stops.length - 2)
    const [a, b] = [stops[low], stops[low + 1]] as [Colour, Colour]
    const mix = (k: 0 | 1 | 2) => Math.round(a[k] + (b[k] - a[k]) * (at - low))
    return `rgb(${mix(0)} ${mix(1)} ${mix(2)})`
  })
}

const onLight = scaleOf([68, 1, 84], [71, 44, 122], [59, 81, 139], [40, 104, 140], [24, 122, 122], [34, 130, 78], [92, 134, 24], [142, 132, 0], [184, 124, 0])
const onDark = scaleOf([136, 96, 214], [112, 120, 222], [76, 142, 214], [46, 160, 190], [38, 172, 152], [64, 186, 112], [128, 204, 74], [190, 220, 50], [253, 231, 37])

/** The colour of a value between least and greatest. */
export function lightColour(value: number, [least, greatest]: readonly [number, number], dark: boolean): string {
  const share = greatest > least ? (value - least) / (greatest - least) : 0
  return (dark ? onDark : onLight)[Math.max(0, Math.min(STEPS - 1, Math.round(share * (STEPS - 1))))] as string
}

/** Colours that can be told apart on either background, for devices on one chart. */
export const deviceColours = ['#d1495b', '#2e86de', '#2a9d5c', '#c98a00', '#8e5bd0', '#0fa3a3', '#d0678f', '#7c8a2e', '#5a7690', '#b5651d'] as const

/** The colour beside a line of #rrggbb with which it can be seen on any ground: white beside dark ones, and black beside light ones. */
export function rimOf(colour: string): '#ffffff' | '#000000' {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) as [number, number, number]
  return 0.299 * r + 0.587 * g + 0.114 * b < 140 ? '#ffffff' : '#000000'
}
