import type { Kind } from './condition'

/** A condition's sign: its shape tells it as well as its colour. */
export function Mark({ kind }: { kind: Kind }) {
  return (
    <svg class={`mark ${kind}`} viewBox="-8 -8 16 16" aria-hidden="true">
      <Shape kind={kind} />
    </svg>
  )
}

/** Around the origin, 14 units wide. */
export function Shape({ kind }: { kind: Kind }) {
  switch (kind) {
    case 'silent':
      return (
        <>
          <path class="fill" d="M0-7.5 8 6.5H-8z" />
          <path class="sign" d="M0-3V2M0 4.2v.2" />
        </>
      )
    case 'check':
      return <path class="fill" d="M0-7.5 7.5 0 0 7.5-7.5 0z" />
    case 'well':
      return <circle class="fill" r="6" />
    case 'past':
      return <rect class="fill" x="-5.5" y="-5.5" width="11" height="11" rx="2" />
    case 'away':
      return <circle class="ring" r="5.5" />
  }
}
