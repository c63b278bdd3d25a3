// What is asked or shown above the page; the browser's own dialog keeps the focus inside and gives it back.
import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { ErrorBox, ToldAbove } from './page'

interface Props {
  title: ComponentChildren
  class?: string
  onClose: () => void
  /** Keys of the dialog's own. It is focused itself then, and not its first button, which the space bar would press. */
  onKeyDown?: (e: KeyboardEvent) => void
  children: ComponentChildren
}

export function Dialog({ title, class: name = 'small-dialog', onClose, onKeyDown, children }: Props) {
  const element = useRef<HTMLDialogElement>(null)
  const id = useId()
  // at once: a key that is pressed meanwhile would be for what lies below
  useLayoutEffect(() => {
    const dialog = element.current
    if (!dialog) return
    const back = document.activeElement
    dialog.showModal()
    if (onKeyDown) dialog.focus()
    return () => {
      dialog.close()
      if (back instanceof HTMLElement && back.isConnected) back.focus()
    }
  }, [])
  return (
    <dialog
      ref={element}
      class={name}
      tabIndex={-1}
      aria-labelledby={id}
      onKeyDown={onKeyDown}
      onCancel={(e) => {
        e.preventDefault()
        onClose()
      }}
    >
      <h2 id={id}>{title}</h2>
      <ToldAbove.Provider value={null}>{children}</ToldAbove.Provider>
    </dialog>
  )
}

/** A form above the page: what it does is done before it closes, and what goes wrong is told inside. */
export function FormDialog(props: {
  title: string
  action: string // what the button says
  danger?: boolean
  onClose: () => void
  /** Does it. What it throws is shown. */
  submit: (form: FormData) => Promise<void>
  children: ComponentChildren
}) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error | null>(null)

  async function submit(e: SubmitEvent) {
    e.preventDefault()
    if (busy) return
    setBusy(true)
    setError(null)
    try {
      await props.submit(new FormData(e.currentTarget as HTMLFormElement))
      props.onClose()
    } catch (e) {
      setError(e instanceof Error ? e : new Error(String(e)))
      setBusy(false)
    }
  }

  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <form class="stacked" onSubmit={submit}>
        {props.children}
        {error && <ErrorBox error={error} />}
        <div class="dialog-buttons">
          <button type="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="submit" class={props.danger ? 'danger' : 'primary'} disabled={busy}>
            {busy ? 'A moment…' : props.action}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
