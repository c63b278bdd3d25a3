// What still waits for the detector, above what it has found.
import { useState } from 'preact/hooks'
import type { Progress } from '../api/types'
import { failuresOf, notesOf, useProgress } from '../state/progress'
import { inScope, useScope } from '../state/scope'
import { useView } from '../state/view'
import { Failures } from './failures'
import { Icon } from './icon'
import { When } from './when'

const ALL_DAYS = 'Images of all days, not of the range alone; counted once a minute at most'

export function DetectorNotes() {
  const view = useView()
  const scope = useScope()
  const progress = useProgress()
  const [listed, setListed] = useState<Progress | null>(null)
  if (!progress || !scope || scope.devices.length === 0) return null
  if (progress.length === 0) {
    const images = inScope(scope.devices, view.devices).some((d) => d.images > 0)
    return images ? <p class="detector muted">No detector has asked for images here yet: nobody looks for insects on new ones.</p> : null
  }
  return (
    <>
      {notesOf(progress, view.devices).map((n) => (
        <p key={n.of.algo_name} class={`detector ${n.idle ? 'idle' : 'muted'}`} role={n.idle ? 'status' : undefined} title={ALL_DAYS}>
          {n.idle && <Icon name="alert" />}
          <span>
            {n.text}
            {n.since !== null && (
              <>
                {' '}
                <When time={n.since} seconds={false} named />
              </>
            )}
            {n.text && n.failed && '; '}
            {n.failed && (
              <button type="button" class="as-link" onClick={() => setListed(n.of)}>
                {n.failed}
              </button>
            )}
          </span>
        </p>
      ))}
      {listed && <Failures algorithm={listed.algo_name} only={progress.length === 1} {...failuresOf(listed, view.devices, scope.devices)} onClose={() => setListed(null)} />}
    </>
  )
}
