import type { Image } from '../api/types'

/** What the number means, for people. */
export const LIGHT_MEANS =
  'Relative, without a unit: more is brighter. Devices of 2022 tell it themselves (lum). For those of 2020 it is reckoned from their photograph without flash: log10(1 + brightness) / exposure time. Numbers of the two cannot be compared.'

/** An image's light intensity, as the series have it: measured by devices of 2022, reckoned from the exposure before. */
export function lightOf(i: Pick<Image, 'lum' | 'no_flash_bv' | 'no_flash_exposure_time'>): number | null {
  if (i.lum !== null) return i.lum
  if (i.no_flash_bv === null || !i.no_flash_exposure_time) return null
  const light = Math.log10(1 + i.no_flash_bv) / i.no_flash_exposure_time
  return Number.isFinite(light) ? light : null
}
