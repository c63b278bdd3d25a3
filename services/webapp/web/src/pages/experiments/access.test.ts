import { describe, expect, it } from 'vitest'
import type { Me, Permission, ProjectSeries } from '../../api/types'
import { columnsOf, imagesOf, levelOf, may, valueOf } from './access'

const permission = (project: number, user: number, level: number): Permission => ({ id: 1, parent_project_id: project, parent_user_id: user, level })
const me = (role: Me['role']): Me => ({ id: 7, username: 'anna', role })

describe('what one may do with a project', () => {
  const all = [permission(1, 7, 2), permission(1, 8, 3), permission(2, 8, 3)]
  it('is one’s own level', () => {
    expect(levelOf(me('read-write'), 1, all)).toBe(2)
    expect(levelOf(me('read-write'), 2, all)).toBe(0)
  })
  it('is all for admins', () => expect(levelOf(me('admin'), 2, all)).toBe(3))
  it('is nothing but reading for those who are read only', () => {
    expect(may(me('read-only'), 3, 2)).toBe(false)
    expect([may(me('read-write'), 2, 2), may(me('read-write'), 2, 3)]).toEqual([true, false])
  })
})

const row = (device: string, start: string, end: string, more = {}): ProjectSeries => ({
  id: 1, project_id: 1, device, start_datetime: start, end_datetime: end, datetime_created: '', api_version: null, api_user: null, ...more,
})

describe('the images of rows', () => {
  it('are those of whole days', () =>
    expect(imagesOf([row('5C173FF2', '2020-07-01T00:00:00Z', '2020-08-01T00:00:00Z')])).toBe('/images?from=2020-07-01&to=2020-07-31&devices=5c173ff2'))
  it('are zoomed to where days are not whole', () =>
    expect(imagesOf([row('5c173ff2', '2020-07-01T12:00:00Z', '2020-07-03T06:00:00Z')])).toBe(
      '/images?from=2020-07-01&to=2020-07-03&devices=5c173ff2&zoom=2020-07-01_12-00-00~2020-07-03_06-00-00',
    ))
  it('span all rows and devices, each once', () =>
    expect(imagesOf([row('b', '2020-07-05T00:00:00Z', '2020-07-06T00:00:00Z'), row('a', '2020-07-01T00:00:00Z', '2020-07-02T00:00:00Z'), row('b', '2020-07-01T00:00:00Z', '2020-07-02T00:00:00Z')])).toBe(
      '/images?from=2020-07-01&to=2020-07-05&devices=a,b',
    ))
  it('of an empty span are those of its day', () => expect(imagesOf([row('a', '2020-07-05T00:00:00Z', '2020-07-05T00:00:00Z')])).toBe('/images?from=2020-07-05&to=2020-07-05&devices=a'))
  it('are none without rows', () => expect(imagesOf([])).toBeNull())
})

it('columns are those of all rows, without the server’s', () =>
  expect(columnsOf([row('a', '', '', { site: 'north', height: 1.5 }), row('b', '', '', { crop: null })])).toEqual(['crop', 'height', 'site']))

it.each<[string, string | number | null]>([
  ['', null],
  [' 1.5 ', 1.5],
  ['-3', -3],
  ['007', '007'],
  ['1e5', '1e5'],
  ['0x10', '0x10'],
  ['north', 'north'],
])('%j is %j', (text, want) => expect(valueOf(text)).toBe(want))
