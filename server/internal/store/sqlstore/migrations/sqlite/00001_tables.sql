-- The tables of the embedded store: those of MariaDB, brought up to date. Datetimes are seconds since the epoch, UTC.
-- AUTOINCREMENT keeps the id of a deleted row from being given again: clients keep ids. Devices, user names and e-mail
-- addresses compare without case, as MariaDB's collation does.
-- +goose Up
CREATE TABLE IF NOT EXISTS images (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  device TEXT NOT NULL COLLATE NOCASE,
  datetime INTEGER NOT NULL,
  md5 TEXT NOT NULL,
  device_version TEXT,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  alt REAL,
  lat REAL,
  lng REAL,
  temp REAL,
  hum REAL,
  no_flash_shutter_speed REAL,
  no_flash_exposure_time REAL,
  no_flash_bv REAL,
  no_flash_iso REAL,
  lum REAL,
  bat REAL,
  but REAL,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS image_id ON images (device, datetime);
CREATE INDEX IF NOT EXISTS image_time ON images (datetime, device);

CREATE TABLE IF NOT EXISTS uid_annotations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent_image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  algo_name TEXT NOT NULL,
  algo_version TEXT NOT NULL,
  n_objects INTEGER NOT NULL,
  json TEXT NOT NULL,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS annotation_id ON uid_annotations (parent_image_id, algo_name, algo_version);

CREATE TABLE IF NOT EXISTS users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  username TEXT NOT NULL UNIQUE COLLATE NOCASE,
  email TEXT UNIQUE COLLATE NOCASE,
  password_hash TEXT NOT NULL,
  is_admin INTEGER NOT NULL DEFAULT 0,
  can_write INTEGER NOT NULL DEFAULT 1,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS tuboid_series (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  device TEXT NOT NULL COLLATE NOCASE,
  start_datetime INTEGER NOT NULL,
  end_datetime INTEGER NOT NULL,
  n_images INTEGER NOT NULL,
  n_tuboids INTEGER NOT NULL,
  algo_name TEXT NOT NULL,
  algo_version TEXT NOT NULL,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS tiled_series_id ON tuboid_series (device, start_datetime, end_datetime, algo_name, algo_version);

CREATE TABLE IF NOT EXISTS tiled_tuboids (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent_series_id INTEGER NOT NULL REFERENCES tuboid_series (id) ON DELETE CASCADE,
  tuboid_id TEXT NOT NULL UNIQUE COLLATE NOCASE,
  id_in_series INTEGER NOT NULL,
  start_datetime INTEGER NOT NULL,
  end_datetime INTEGER NOT NULL,
  n_shots INTEGER NOT NULL,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS parent_series_id ON tiled_tuboids (parent_series_id);

CREATE TABLE IF NOT EXISTS itc_labels (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent_tuboid_id INTEGER NOT NULL REFERENCES tiled_tuboids (id) ON DELETE CASCADE,
  algo_name TEXT NOT NULL,
  algo_version TEXT NOT NULL,
  label INTEGER NOT NULL,
  pattern TEXT NOT NULL,
  type TEXT NOT NULL,
  "order" TEXT,
  family TEXT,
  genus TEXT,
  species TEXT,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS label_id ON itc_labels (parent_tuboid_id, algo_name, algo_version);
