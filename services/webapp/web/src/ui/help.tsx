// The keys, and what numbers mean: `?` opens it from wherever one is.
import { useEffect } from 'preact/hooks'
import { LIGHT_MEANS } from '../lib/light'
import { Dialog } from './dialog'
import { IconButton } from './page'

const groups: readonly [string, readonly (readonly [string, string])[]][] = [
  [
    'A chart',
    [
      ['← →', 'from image to image'],
      ['Enter, click', 'open the image'],
      ['+ −', 'closer, further away'],
      ['0', 'the whole range'],
      ['Shift ← →', 'earlier, later'],
      ['Drag', 'zoom to what is marked'],
      ['Shift and drag, one finger', 'move'],
      ['Ctrl and wheel, two fingers', 'zoom'],
    ],
  ],
  [
    'An image',
    [
      ['← →', 'the images before and after'],
      ['Space', 'play them'],
      ['c', 'outlines on and off'],
      ['n, p', 'the next insect, the one before'],
      ['Wheel, two fingers, drag', 'zoom and move'],
      ['+ −', 'closer, further away'],
      ['1, 0', 'pixel by pixel, the whole image'],
      ['Esc', 'close'],
    ],
  ],
  [
    'A tuboid',
    [
      ['← →', 'the shots before and after'],
      ['Space', 'play them'],
      ['Page Up, Page Down', 'other tuboids'],
    ],
  ],
]

/** Whether keys that are pressed there are text. */
const isTyping = (e: EventTarget | null) => e instanceof HTMLElement && (e.isContentEditable || /^(input|textarea|select)$/i.test(e.tagName))

/** Calls back when `?` is pressed, but not into a field. */
export function useHelpKey(open: () => void): void {
  useEffect(() => {
    const pressed = (e: KeyboardEvent) => {
      if (e.key !== '?' || e.altKey || e.ctrlKey || e.metaKey || isTyping(e.target)) return
      e.preventDefault()
      open()
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [])
}

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys and numbers" class="small-dialog help" onClose={onClose}>
      <IconButton icon="close" label="Close (Esc)" class="close" onClick={onClose} />
      {groups.map(([title, keys]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {keys.map(([key, does]) => (
              <div key={key}>
                <dt>{key}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <section>
        <h3>Numbers</h3>
        <dl>
          <div>
            <dt>Light</dt>
            <dd>{LIGHT_MEANS}</dd>
          </div>
          <div>
            <dt>Insects</dt>
            <dd>On the photograph, not how many came since the one before. Devices tells what was caught.</dd>
          </div>
        </dl>
      </section>
    </Dialog>
  )
}
