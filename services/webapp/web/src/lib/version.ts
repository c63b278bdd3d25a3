const LATEST = 2n ** 63n - 1n

/** The time in an algorithm's version, TIMESTAMP-MD5, as the server reads it (spi.VersionTime): another form has none, -1. */
export function versionTime(version: string): bigint {
  const digits = version.split('-', 1)[0] ?? ''
  const time = /^[0-9]+$/.test(digits) ? BigInt(digits) : -1n
  return time > LATEST ? -1n : time
}

/** Sorts versions by their times, the newest first. */
export function newerFirst(a: string, b: string): number {
  const [ta, tb] = [versionTime(a), versionTime(b)]
  return ta === tb ? 0 : ta > tb ? -1 : 1
}
