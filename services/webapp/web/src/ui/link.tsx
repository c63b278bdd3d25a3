import type { ComponentChildren } from 'preact'
import { visit } from '../state/view'

/** Follows a link of our own without loading the page anew. */
export function follow(e: MouseEvent & { currentTarget: HTMLAnchorElement }): void {
  if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
  e.preventDefault()
  visit(e.currentTarget.href)
}

/** A link to another view. */
export function Link({ href, label, class: name, children }: { href: string; label?: string; class?: string; children: ComponentChildren }) {
  return (
    <a href={href} class={name} aria-label={label} onClick={follow}>
      {children}
    </a>
  )
}
