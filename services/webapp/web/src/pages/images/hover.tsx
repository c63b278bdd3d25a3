// What is shown of the image that is pointed at.
import { useEffect, useState } from 'preact/hooks'
import { getImage } from '../../api/pictures'
import type { DeviceSeries, Variable } from '../../api/series'
import { useStore } from '../../lib/store'
import { showTime, zoneName } from '../../lib/time'
import { zone } from '../../state/prefs'
import { hovered } from './state'

const shown: readonly [Variable, string, (v: number) => string][] = [
  ['temperature', 'Temperature', (v) => `${v.toFixed(1)} °C`],
  ['humidity', 'Humidity', (v) => `${v.toFixed(1)} %`],
  ['light', 'Light', (v) => v.toPrecision(3)],
  ['insects', 'Insects', (v) => String(v)],
]

/** Names and values of an image, for people. */
export function values(s: DeviceSeries, index: number): [string, string][] {
  return shown.map(([variable, name, format]) => {
    const v = s.values[variable]?.[index]
    return [name, v === null || v === undefined ? '–' : format(v)]
  })
}

const WIDTH = 330

export function HoverCard() {
  const now = useStore(hovered)
  const inZone = useStore(zone)
  const [picture, setPicture] = useState<{ key: string; url: string } | null>(null)
  const device = now?.series.device ?? ''
  const time = now?.series.time[now.index] ?? 0
  const key = `${device} ${time}`

  useEffect(() => {
    if (!device) return
    let mine = true
    // a pointer that only passes by asks for nothing
    const timer = setTimeout(() => {
      getImage('thumbnail-mini', device, time).then(
        (image) => mine && image && setPicture({ key, url: image.url }),
        () => {}, // the card does without it
      )
    }, 40)
    return () => {
      mine = false
      clearTimeout(timer)
    }
  }, [key])

  if (!now) return null
  const left = Math.max(4, Math.min(now.x - WIDTH / 2, document.documentElement.clientWidth - WIDTH - 4))
  const above = now.y > 350 // else it would lie over the range and the tools
  return (
    <div class="hover-card" role="tooltip" style={above ? { left: `${left}px`, bottom: `${innerHeight - now.y + 6}px` } : { left: `${left}px`, top: `${now.y + 150}px` }}>
      <div class="mini">{picture?.key === key && <img src={picture.url} alt="" width="128" height="96" />}</div>
      <dl>
        <dt class="sr-only">Device</dt>
        <dd>
          <code>{device}</code>
        </dd>
        <dt class="sr-only">Date</dt>
        <dd>
          {showTime(time, inZone)} <span class="muted">{zoneName(inZone, time)}</span>
        </dd>
        {values(now.series, now.index).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}
