import { formatView } from '../../state/view'

/** The address of the list of all experiments. */
export function allOf(): string {
  return formatView({ path: '/experiments', range: null, devices: [], zoom: null, image: null, extra: {} })
}
