// What pages are made of.
import { createContext, type ComponentChildren } from 'preact'
import { useContext, useEffect } from 'preact/hooks'
import type { ApiError } from '../api/http'
import { Icon, type IconName } from './icon'

/** The page's heading, with what belongs beside it. */
export function PageHead({ title, children }: { title: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} – Sticky Pi`
  }, [title])
  return (
    <div class="page-head">
      <h1>{title}</h1>
      {children}
    </div>
  )
}

/** A button that shows an icon; its label is read out, and shown as a hint, which fingers do not see: `word`, which the label should
 * begin with or hold, is shown beside the icon where there is room, and below it for fingers. */
export function IconButton(props: {
  icon: IconName
  label: string
  word?: string
  onClick: () => void
  pressed?: boolean
  disabled?: boolean
  class?: string
}) {
  return (
    <button
      type="button"
      class={`icon-button ${props.word ? 'worded' : ''} ${props.class ?? ''}`}
      aria-label={props.label}
      title={props.label}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
      {props.word && <span class="word">{props.word}</span>}
    </button>
  )
}

/** The error that is told above the page already: its parts need not tell it again. */
export const ToldAbove = createContext<Error | null>(null)

export function ErrorBox({ error, retry }: { error: ApiError | Error; retry?: () => void }) {
  if (useContext(ToldAbove)?.message === error.message) return null
  return (
    <div class="error-box" role="alert">
      <Icon name="alert" />
      <span>{error.message}</span>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

export function Busy({ what }: { what: string }) {
  return (
    <p class="busy" role="status">
      <span class="spinner" aria-hidden="true" />
      {what}
    </p>
  )
}

/** What to show where there is nothing to show. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}
