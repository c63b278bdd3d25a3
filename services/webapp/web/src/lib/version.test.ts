import { expect, it } from 'vitest'
import { newerFirst, versionTime } from './version'

// the table that the Go function is held against; a glob, since a build of the viewer alone has no such file
const [table] = Object.values(
  import.meta.glob<{ version: string; time: string }[]>('../../../../spi/testdata/version_times.json', { eager: true, import: 'default' }),
)

it('reads every version as the server does', () => {
  expect(table?.length).toBeGreaterThan(20)
  expect(table?.map(({ version }) => ({ version, time: String(versionTime(version)) }))).toEqual(table)
})

it('puts the newest first, and those without a time last', () => {
  expect(['draft', '100-x', '9223372036854775806-x', '9223372036854775807-x', '0-x'].sort(newerFirst)).toEqual([
    '9223372036854775807-x', '9223372036854775806-x', '100-x', '0-x', 'draft',
  ])
})
