import { afterEach, describe, expect, it, vi } from 'vitest'
import { DAY, parseTime } from '../lib/time'
import { formatView, go, imageName, parseImage, parseView, rangeOf, view, type View } from './view'

const blank: View = { path: '/images', range: null, devices: [], zoom: null, image: null, extra: {} }

describe('the address', () => {
  it.each<View>([
    blank,
    { ...blank, path: '/devices', devices: ['5c173ff2', '0a5bb6f4'] },
    { ...blank, range: { from: '2020-06-01', to: '2020-06-28' }, zoom: [parseTime('2020-06-02'), parseTime('2020-06-03')] },
    { ...blank, image: { device: '5c173ff2', time: parseTime('2020-06-20_21-33-24') }, extra: { compare: 'temperature', q: 'a&b=c d' } },
  ])('of a view gives the view: %j', (view) => {
    const url = new URL(formatView(view), 'http://host')
    expect(parseView(url.pathname, url.search)).toEqual(view)
  })

  it('is short where nothing was chosen', () => expect(formatView(blank)).toBe('/images'))

  it.each([
    '?zoom=2020-06-02_00-00-00~2020-06-01_00-00-00',
    '?zoom=~',
    '?image=5c173ff2',
    '?image=..%2Fx.2020-06-20_21-33-24',
    '?devices=%25,<b>,a b',
  ])('%s says nothing', (search) => expect(parseView('/images/', search)).toEqual(blank))

  it.each(['?from=2020-06-31&to=2020-07-01', '?from=banana', '?from=2020-07-02', '?from=2020-07-02T00:00:00Z&to=2020-07-03'])('%s names no range, and that is known', (search) =>
    expect(parseView('/images/', search)).toEqual({ ...blank, misread: true }),
  )
  it('may name the later day first', () => expect(parseView('/images', '?from=2020-07-02&to=2020-07-01').range).toEqual({ from: '2020-07-01', to: '2020-07-02' }))
})

it.each(['//evil.example.net', '//evil.example.net/', '///evil.example.net'])('%s stays an address of this host', (path) => {
  expect(new URL(formatView(parseView(path, '')), 'http://host').host).toBe('host')
})

describe('the address of what changes often', () => {
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('is written less often than browsers refuse, and at last as it is', () => {
    vi.useFakeTimers()
    const history = { replaceState: vi.fn(), pushState: vi.fn() }
    vi.stubGlobal('history', history)
    vi.stubGlobal('window', globalThis)
    for (let i = 0; i < 30 * 60; i++) {
      go({ extra: { at: String(i) } }, { replace: true })
      vi.advanceTimersByTime(1000 / 60)
    }
    expect(view.value.extra).toEqual({ at: '1799' })
    vi.advanceTimersByTime(1000)
    expect(history.replaceState.mock.calls.length).toBeLessThan(100)
    expect(history.replaceState.mock.lastCall).toEqual([null, '', '/?at=1799'])
  })

  it('is not lost where another one follows', () => {
    vi.useFakeTimers()
    vi.setSystemTime(Date.now() + 3600_000)
    const history = { replaceState: vi.fn(), pushState: vi.fn() }
    vi.stubGlobal('history', history)
    vi.stubGlobal('window', globalThis)
    go({ extra: { at: 'first' } }, { replace: true })
    expect(history.replaceState.mock.lastCall).toEqual([null, '', '/?at=first'])
    for (let i = 0; i < 50; i++) go({ extra: { at: String(i) } }, { replace: true })
    expect(history.replaceState.mock.lastCall).not.toEqual([null, '', '/?at=49'])
    go({ path: '/data', extra: {} })
    vi.advanceTimersByTime(1000)
    expect(history.replaceState.mock.lastCall).toEqual([null, '', '/?at=49'])
    expect(history.pushState.mock.calls).toEqual([[null, '', '/data']])
  })
})

describe('the range', () => {
  it('is the days from the first to the last, both whole', () => {
    expect(rangeOf({ range: { from: '2020-06-20', to: '2020-06-20' } })).toEqual([parseTime('2020-06-20'), parseTime('2020-06-21')])
  })

  it('is the last 28 days to today where none is chosen', () => {
    const [start, end] = rangeOf({ range: null }, parseTime('2026-03-05_13-00-00'))
    expect(end).toBe(parseTime('2026-03-06'))
    expect(end - start).toBe(28 * DAY)
  })
})

it('names images as their files are named', () => {
  const image = { device: '5c173ff2', time: parseTime('2020-06-20_21-33-24') }
  expect(imageName(image)).toBe('5c173ff2.2020-06-20_21-33-24')
  expect(parseImage(imageName(image))).toEqual(image)
})
