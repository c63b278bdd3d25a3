import { expect, it } from 'vitest'
import { lightColour, rimOf } from './colour'

/** WCAG's relative luminance of #rrggbb or rgb(r g b). */
function luminance(colour: string): number {
  const parts = colour.startsWith('#') ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) : (colour.match(/\d+/g) ?? []).map(Number)
  const [r, g, b] = parts.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)) as [number, number, number]
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number]
  return (high + 0.05) / (low + 0.05)
}

// --bg and --surface of base.css
it.each([
  ['light', ['#f6f6f3', '#ffffff']],
  ['dark', ['#14161a', '#1c1f25']],
])('squares of light can be seen on the %s page, and brighter is lighter', (theme, grounds) => {
  const colours = Array.from({ length: 64 }, (_, i) => lightColour(i, [0, 63], theme === 'dark'))
  for (const colour of colours) for (const ground of grounds) expect(contrast(colour, ground), `${colour} on ${ground}`).toBeGreaterThanOrEqual(3)
  const lightness = colours.map(luminance)
  expect(lightness).toEqual([...lightness].sort((a, b) => a - b))
})

it.each([
  ['#0000ff', '#ffffff'],
  ['#ff0000', '#ffffff'],
  ['#000000', '#ffffff'],
  ['#ffff00', '#000000'],
  ['#00FF00', '#000000'],
  ['#ffffff', '#000000'],
])('beside %s is %s', (line, rim) => expect(rimOf(line)).toBe(rim))
