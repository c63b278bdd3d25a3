import { expect, it } from 'vitest'
import { exactly } from './like'

it.each([
  ['anna', 'anna'],
  ['spi_uid', 'spi\\_uid'],
  ['100%', '100\\%'],
  ['a\\b', 'a\\\\b'],
])('%s is named by %s', (text, want) => expect(exactly(text)).toBe(want))
