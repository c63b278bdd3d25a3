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

export type What = 'metadata' | 'image' | 'thumbnail' | 'thumbnail-mini'

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
