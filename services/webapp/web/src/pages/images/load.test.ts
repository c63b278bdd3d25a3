import { describe, expect, it } from 'vitest'
import type { DeviceSeries } from '../../api/series'
import { covering, extent, needsDetail, type Detail, type Loaded } from './load'

const series = (images: number, shown: number, values: DeviceSeries['values'] = {}): DeviceSeries => ({ device: 'a', images, shown, id: [], time: [], values })
const base: Loaded = { range: [0, 1000], series: [series(5000, 800)] }

describe('more detail is asked for', () => {
  it.each<[string, boolean, Loaded, Detail | null, [number, number]]>([
    ['for a part of what was thinned out', true, base, null, [100, 200]],
    ['not for the whole range', false, base, null, [0, 1000]],
    ['not where everything is there', false, { range: [0, 1000], series: [series(800, 800)] }, null, [100, 200]],
    ['not again for a part of what is there', false, base, { range: [50, 250], series: [series(400, 300)], of: base }, [100, 200]],
    ['for what lies beside it', true, base, { range: [50, 250], series: [series(400, 400)], of: base }, [200, 300]],
    ['again once the whole was loaded again', true, { ...base }, { range: [50, 250], series: [series(400, 400)], of: base }, [100, 200]],
    ['not for what lies outside: that is of another range, which is being loaded', false, base, null, [2000, 2100]],
    ['for a much smaller part of it', true, base, { range: [50, 250], series: [series(400, 300)], of: base }, [100, 120]],
    ['not for any part of what is whole', false, base, { range: [50, 250], series: [series(400, 400)], of: base }, [100, 120]],
  ])('%s', (_, want, base, detail, zoom) => expect(needsDetail(base, detail, zoom)).toBe(want))
})

it('draws the finer series where it covers the window', () => {
  const detail: Detail = { range: [50, 250], series: [], of: base }
  expect(covering(base, detail, [100, 200])).toBe(detail)
  expect(covering(base, detail, [100, 300])).toBe(base)
  expect(covering(base, null, [100, 200])).toBe(base)
})

it('finds the least and the greatest, and leaves single ones far away out', () => {
  const all = [series(3, 3, { light: [5, null, 1] }), series(2, 2, { light: [3] })]
  expect(extent(all, 'light')).toEqual([1, 5])
  expect(extent(all, 'humidity')).toBeNull()
  const far = series(101, 101, { light: [...Array.from({ length: 100 }, (_, i) => i), 1e6] })
  expect(extent([far], 'light', 0.02)).toEqual([0, 98])
})
