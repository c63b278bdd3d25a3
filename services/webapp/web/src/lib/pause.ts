/** The first and the longest pause, in milliseconds. */
const LEAST = 2_000
const MOST = 60_000

/** How long to wait before asking again after so many failures, in milliseconds: longer each time, and not as long as all
 * other pages wait, which would come back at the same moment. `told` is what the server asked for, in seconds. */
export function pause(failures: number, told = 0): number {
  return Math.max(told * 1000, Math.min(MOST, LEAST * 2 ** (failures - 1))) * (0.75 + Math.random() / 2)
}
