-- What detectors still have to do: see work.go; the tables are described in MariaDB's migration 3.
--
-- The names of algorithms compare without case, as in MariaDB.
-- +goose Up
DROP INDEX annotation_id;
CREATE UNIQUE INDEX annotation_id ON uid_annotations (parent_image_id, algo_name COLLATE NOCASE, algo_version COLLATE NOCASE);

CREATE TABLE uid_gate (
  id INTEGER PRIMARY KEY,
  algorithms INTEGER NOT NULL
) STRICT;
INSERT INTO uid_gate (id, algorithms) VALUES (1, 0);

CREATE TABLE uid_algorithms (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  version TEXT NOT NULL,
  version_time INTEGER NOT NULL,
  backfill_below INTEGER NOT NULL
) STRICT;

CREATE TABLE uid_intents (
  image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  algorithm_id INTEGER NOT NULL,
  device TEXT NOT NULL COLLATE NOCASE,
  datetime INTEGER NOT NULL,
  best_time INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 0,
  lease_user INTEGER,
  lease_until INTEGER,
  lease_time INTEGER,
  failures INTEGER NOT NULL DEFAULT 0,
  failed_version TEXT,
  failed_reason TEXT,
  failed_datetime INTEGER,
  failed_user TEXT,
  PRIMARY KEY (image_id, algorithm_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX intent_order ON uid_intents (algorithm_id, state, best_time, datetime, image_id);
CREATE INDEX intent_device ON uid_intents (state, device, datetime, image_id, algorithm_id, best_time);
CREATE INDEX intent_lease ON uid_intents (lease_until) WHERE lease_until IS NOT NULL;
