// What crosses the wire: docs/PROTOCOL.md, services/spi. Absent values are null.

export interface Image {
  id: number
  device: string
  datetime: string
  md5: string
  device_version: string | null
  width: number
  height: number
  alt: number | null
  lat: number | null
  lng: number | null
  temp: number | null
  hum: number | null
  no_flash_shutter_speed: number | null
  no_flash_exposure_time: number | null
  no_flash_bv: number | null
  no_flash_iso: number | null
  lum: number | null
  bat: number | null
  but: number | null
  datetime_created: string
  api_version: string | null
  api_user: string | null
  url: string
}

export interface ImageKey {
  device: string
  datetime: string
}

export type What = 'metadata' | 'image' | 'image-download' | 'thumbnail' | 'thumbnail-mini'

export interface Annotation {
  id: number
  parent_image_id: number
  algo_name: string
  algo_version: string
  n_objects: number
  json: string
  datetime_created: string
}

export interface DeviceState {
  device: string
  device_version: string | null
  images: number
  images_per_day: number[]
  interval: number | null
  expected_per_day: number | null
  gaps: number
  longest_gap: number
  last_id: number
  last_datetime: string
  silence: number
  upload_delay: number
  clock_ahead: number
  temperature: number | null
  humidity: number | null
  battery: number | null
  lat: number | null
  lng: number | null
  alt: number | null
}

/** What one algorithm has not annotated yet (GET /v2/progress). */
export interface Progress {
  algo_name: string
  algo_version: string
  waiting: number
  failed: number
  at_least: boolean // there may be more
  devices: { device: string; waiting: number; failed: number }[]
  failed_in_a_row: number // after the newest annotation
  idle_since: string | null
  last_annotated: string | null
  last_failed: string | null
  counted: string
}

/** An image that a detector failed on three times. */
export interface Failure {
  device: string
  datetime: string
  algo_name: string
  reason: string
  datetime_last: string
}

export interface User {
  id: number
  username: string
  email: string | null
  is_admin: boolean
  can_write: boolean
  api_user: string | null
  api_version: string | null
  datetime_created: string
}

export interface Me {
  id: number
  role: 'read-only' | 'read-write' | 'admin'
  username: string
}

/** What get_tiled_tuboid_series asks for: series that lie inside, both bounds included. */
export interface Span {
  device: string
  start_datetime: string
  end_datetime: string
}

export interface Tuboid {
  id: number
  parent_series_id: number
  tuboid_id: string // DEVICE.START.END.ALGOVERSION.NNNN
  id_in_series: number
  start_datetime: string
  end_datetime: string
  n_shots: number
  algo_name_series: string
  algo_version_series: string
  n_tuboids_series: number
  device_series: string
  start_datetime_series: string
  end_datetime_series: string
  datetime_created: string
  api_user: string | null
}

/** A tuboid with the addresses of its files. */
export interface TuboidData extends Tuboid {
  metadata: string
  tuboid: string
  context: string
}

export interface Shot {
  datetime: string
  x: number // of the tile's centre, in pixels of the image
  y: number
  scale: number // pixels of the tile for each of the image
}

export interface Label {
  id: number
  parent_tuboid_id: number
  algo_name: string
  algo_version: string
  label: number
  pattern: string
  type: string
  order: string | null
  family: string | null
  genus: string | null
  species: string | null
  datetime_created: string
  api_user: string | null
}

export interface Project {
  id: number
  name: string
  description: string | null
  notes: string | null
  datetime_created: string
  api_user: string | null
}

export interface Permission {
  id: number
  parent_project_id: number
  parent_user_id: number
  level: number // 1: read, 2: write, 3: admin
}

/** A row of a project: its own fields, and columns that it was given. */
export interface ProjectSeries {
  id: number
  project_id: number
  device: string
  start_datetime: string
  end_datetime: string
  datetime_created: string
  api_version: string | null
  api_user: string | null
  [column: string]: string | number | null
}
