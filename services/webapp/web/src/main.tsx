import { render } from 'preact'
import { App } from './app'
import { followEvents } from './state/live'
import { followTheme } from './state/prefs'
import { followScope } from './state/scope'
import { openSession } from './state/session'
import { followAddress } from './state/view'
import './styles/base.css'
import './styles/layout.css'

followTheme()
followAddress()
followScope()
followEvents()
const root = document.getElementById('app')
if (!root) throw new Error('index.html lacks #app')
render(<App opened={openSession()} />, root)
