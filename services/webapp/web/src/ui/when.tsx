// Times as people read them, in the zone that they chose.
import { useEffect, useState } from 'preact/hooks'
import { useStore } from '../lib/store'
import { showTime, zoneName } from '../lib/time'
import { zone } from '../state/prefs'

export function When({ time, seconds = true, named = false }: { time: number; seconds?: boolean; named?: boolean }) {
  const now = useStore(zone)
  return (
    <time class="when" dateTime={new Date(time * 1000).toISOString()} title={zoneName(now, time)}>
      {showTime(time, now, seconds)}
      {named && <span class="muted"> {zoneName(now, time)}</span>}
    </time>
  )
}

/** The time now, in seconds, as often as that matters to what is shown in minutes. */
export function useNow(): number {
  const [now, set] = useState(() => Date.now() / 1000)
  useEffect(() => {
    const timer = setInterval(() => set(Date.now() / 1000), 30_000)
    return () => clearInterval(timer)
  }, [])
  return now
}
