import { expect, it } from 'vitest'
import { rimOf } from './colour'

it.each([
  ['#0000ff', '#ffffff'],
  ['#ff0000', '#ffffff'],
  ['#000000', '#ffffff'],
  ['#ffff00', '#000000'],
  ['#00FF00', '#000000'],
  ['#ffffff', '#000000'],
])('beside %s is %s', (line, rim) => expect(rimOf(line)).toBe(rim))
