import type { ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ApiError, request } from './api/http'
import { pause } from './lib/pause'
import { useStore } from './lib/store'
import { count, zoneName, zoneNames, type Zone } from './lib/time'
import { HOME, pages, type Page } from './pages/registry'
import { live } from './state/live'
import { theme, zone } from './state/prefs'
import { inScope, refreshNow, scopeError, useScope } from './state/scope'
import { logOut, useSession, type Session } from './state/session'
import { go, pageAddress, useView } from './state/view'
import { Help, useHelpKey } from './ui/help'
import { Icon } from './ui/icon'
import { follow } from './ui/link'
import { LogIn } from './ui/login'
import { ResetPassword } from './ui/new-password'
import { Busy, ErrorBox, IconButton, PageHead, ToldAbove } from './ui/page'
import { ScopeBar } from './ui/scope-bar'

export function App({ opened }: { opened: Promise<void> }) {
  const session = useSession()
  const [error, setError] = useState<Error | null>(null)
  useEffect(() => {
    opened.catch((e: unknown) => setError(e instanceof ApiError ? e : new Error(String(e))))
  }, [opened])
  // of another user nothing stays
  if (session) return <Shell key={session.user} session={session} />
  if (session === null) return <LogIn />
  if (error) {
    return (
      <main class="log-in">
        <ErrorBox error={error} retry={() => location.reload()} />
      </main>
    )
  }
  return null // a moment
}

function Shell({ session }: { session: Session }) {
  const view = useView()
  const [menu, setMenu] = useState(false)
  const [resetting, setResetting] = useState(false)
  const [help, setHelp] = useState(false)
  useHelpKey(() => setHelp(true))
  const problem = useStore(scopeError)
  const page = pages.find((p) => p.path === view.path)
  const told = page?.scope === false ? null : problem
  useEffect(() => {
    if (view.path === '/') go({ path: HOME }, { replace: true })
    setMenu(false)
  }, [view.path])

  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <IconButton icon={menu ? 'close' : 'menu'} label="Menu" class="only-narrow" pressed={menu} onClick={() => setMenu(!menu)} />
        <a class="brand" href={pageAddress(HOME)} onClick={follow}>
          <img src="/favicon.svg" alt="" width="26" height="26" /> Sticky Pi
        </a>
        <Count />
        <Live />
        <span class="grow" />
        <ZoneSwitch />
        <ThemeSwitch />
        <IconButton icon="help" label="Keys and numbers (?)" class="only-wide" onClick={() => setHelp(true)} />
        <button type="button" class="quiet who" title={`${session.user}, ${session.role}: choose a new password`} onClick={() => setResetting(true)}>
          {session.user}
        </button>
        <IconButton icon="logout" label="Log out" onClick={() => void logOut().catch(() => location.reload())} />
      </header>
      <nav class={`side ${menu ? 'open' : ''}`} aria-label="Pages">
        <ul>
          {pages
            .filter((p) => !p.only || p.only === session.role)
            .map((p) => (
              <li key={p.path}>
                <a href={pageAddress(p.path, view)} aria-current={p === page ? 'page' : undefined} onClick={follow}>
                  <Icon name={p.icon} />
                  {p.title}
                </a>
              </li>
            ))}
          <li class="only-narrow">
            <button type="button" class="quiet" onClick={() => setResetting(true)}>
              <Icon name="key" /> {session.user}: new password
            </button>
          </li>
          <li class="only-narrow">
            <button type="button" class="quiet" onClick={() => setHelp(true)}>
              <Icon name="help" /> Keys and numbers
            </button>
          </li>
        </ul>
      </nav>
      {help && <Help onClose={() => setHelp(false)} />}
      {resetting && <ResetPassword user={session.user} mine onClose={() => setResetting(false)} onDone={() => setResetting(false)} />}
      <main id="main" tabIndex={-1}>
        {page?.scope !== false && <ScopeBar />}
        {told && <ErrorBox error={told} retry={refreshNow} />}
        <ToldAbove.Provider value={told}>
          {page && (!page.only || page.only === session.role) ? <PageView key={page.path} page={page} /> : view.path !== '/' && <NoPage />}
        </ToldAbove.Provider>
      </main>
    </div>
  )
}

function PageView({ page }: { page: Page }) {
  const [Component, set] = useState<ComponentType | null>(null)
  const [error, setError] = useState<Error | null>(null)
  useEffect(() => {
    const mine = new AbortController()
    page.load().then(
      (module) => set(() => module.default),
      () => {
        setError(new Error('This page could not be loaded: the network may have changed, or the server been updated.'))
        void reloadOnce(mine.signal)
      },
    )
    return () => mine.abort()
  }, [page])
  if (error) return <ErrorBox error={error} retry={() => location.reload()} />
  return Component ? <Component /> : <Busy what="Loading…" />
}

/** How long one reload by itself has to be enough, in milliseconds. */
const RELOADED_FOR = 5 * 60_000

/** Loads all anew as soon as the server answers, unless that was done just now: a browser need not ask again for code that it has
 * failed to load, nor does the code for its style sheet. The address holds all that is shown. */
async function reloadOnce(signal: AbortSignal): Promise<void> {
  const name = 'reloaded'
  try {
    if (Date.now() - Number(sessionStorage.getItem(name)) < RELOADED_FOR) return
    for (let tries = 1; ; tries++) {
      await new Promise((done) => setTimeout(done, pause(tries)))
      if (await request('/session', { signal }).then(() => true, () => signal.aborted)) break
    }
    if (signal.aborted) return
    sessionStorage.setItem(name, String(Date.now()))
  } catch {
    return // a browser that keeps nothing would do it again and again
  }
  location.reload()
}

function NoPage() {
  return (
    <>
      <PageHead title="No such page" />
      <p>
        There is nothing at this address, or it is not for you. <a href={pageAddress(HOME)} onClick={follow}>Images</a> is a good place to begin.
      </p>
    </>
  )
}

function Count() {
  const view = useView()
  const scope = useScope()
  const n = scope && inScope(scope.devices, view.devices).reduce((sum, d) => sum + d.images, 0)
  return (
    <span class="count" role="status">
      {n !== null && (
        <>
          {count(n, 'image')}
          <span class="only-wide"> in scope</span>
        </>
      )}
    </span>
  )
}

function Live() {
  const now = useStore(live)
  const title = now === 'on' ? 'Live: new images appear by themselves' : 'Not live: the connection is being made again'
  return (
    <span class={`live ${now}`} title={title}>
      <span class="sr-only">{title}</span>
    </span>
  )
}

function ZoneSwitch() {
  const now = useStore(zone)
  return (
    <label class="zone" title="The time zone of all times that are shown; traps do not tell theirs">
      <Icon name="clock" />
      <span class="sr-only">Time zone</span>
      <select value={now} onChange={(e) => zone.set(e.currentTarget.value as Zone)}>
        <option value="utc">UTC</option>
        <option value="local">Here ({zoneName('local')})</option>
        {[...regions].map(([region, names]) => (
          <optgroup key={region} label={region}>
            {names.map((name) => (
              <option key={name} value={name}>
                {name.slice(region.length + 1).replaceAll('_', ' ')}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
    </label>
  )
}

/** The zones of each part of the world. */
const regions = new Map<string, Zone[]>()
for (const name of zoneNames()) {
  const region = name.slice(0, name.indexOf('/'))
  regions.set(region, [...(regions.get(region) ?? []), name])
}

const nextTheme = { auto: 'light', light: 'dark', dark: 'auto' } as const
const themeIcon = { auto: 'auto', light: 'sun', dark: 'moon' } as const

function ThemeSwitch() {
  const now = useStore(theme)
  return <IconButton icon={themeIcon[now]} label={`Theme: ${now}`} onClick={() => theme.set(nextTheme[now])} />
}
