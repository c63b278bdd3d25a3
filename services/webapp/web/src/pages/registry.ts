// Every page of the viewer. A page is a file of its own, loaded when it is first opened; adding one is a line here.
import type { ComponentType } from 'preact'
import type { IconName } from '../ui/icon'
import type { Role } from '../state/session'

export interface Page {
  path: string
  title: string
  icon: IconName
  /** Who sees it; all where it is left out. The API decides who may do what. */
  only?: Role
  /** false: the range and the devices mean nothing to it. */
  scope?: false
  load: () => Promise<{ default: ComponentType }>
}

export const pages: readonly Page[] = [
  { path: '/experiments', title: 'Experiments', icon: 'flask', scope: false, load: () => import('./experiments') },
  { path: '/images', title: 'Images', icon: 'image', load: () => import('./images') },
  { path: '/tuboids', title: 'Tuboids', icon: 'track', load: () => import('./tuboids') },
  { path: '/data', title: 'Data', icon: 'table', load: () => import('./data') },
  { path: '/devices', title: 'Devices', icon: 'device', load: () => import('./devices') },
  { path: '/users', title: 'Users', icon: 'users', only: 'admin', scope: false, load: () => import('./users') },
]

/** Where one is after the log-in. */
export const HOME = '/images'
