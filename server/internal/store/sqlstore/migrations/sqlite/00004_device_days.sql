-- What is worth remembering of a device's images of one UTC day: see days.go. All of it can be made again from images and
-- uid_annotations, so the table may be emptied at any time.
-- +goose Up

-- device is in small letters, day counts from 1970-01-01. version rises with every change of the day's images or annotations;
-- the rest holds as long as kept is the same number.
CREATE TABLE device_days (
  device TEXT NOT NULL,
  day INTEGER NOT NULL,
  version INTEGER NOT NULL,
  kept INTEGER,
  images INTEGER NOT NULL DEFAULT 0,
  first_at INTEGER NOT NULL DEFAULT 0,
  last_at INTEGER NOT NULL DEFAULT 0,
  step INTEGER NOT NULL DEFAULT 0,
  gaps INTEGER NOT NULL DEFAULT 0,
  longest INTEGER NOT NULL DEFAULT 0,
  points BLOB,
  PRIMARY KEY (device, day)
) STRICT;

CREATE INDEX day_summary ON device_days (device, day, version, kept, images, first_at, last_at, step, gaps, longest);
