import { expect, it } from 'vitest'
import { lightOf } from './light'

it.each([
  [{ lum: 95.3, no_flash_bv: 2.36, no_flash_exposure_time: 0.02 }, 95.3],
  [{ lum: 0, no_flash_bv: null, no_flash_exposure_time: null }, 0],
  [{ lum: null, no_flash_bv: 9, no_flash_exposure_time: 0.5 }, 2],
  [{ lum: null, no_flash_bv: 9, no_flash_exposure_time: 0 }, null],
  [{ lum: null, no_flash_bv: -1, no_flash_exposure_time: 0.5 }, null],
  [{ lum: null, no_flash_bv: null, no_flash_exposure_time: 0.5 }, null],
])('the light of %j is %j', (image, want) => expect(lightOf(image)).toBe(want))
