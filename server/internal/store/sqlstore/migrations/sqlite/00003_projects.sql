-- Projects: studies, who may do what with them, and their series. The free columns of all projects' series are JSON, so
-- that a new project needs no table of its own.
--
-- The names of algorithms that the unique indexes of series and labels hold compare without case, as in MariaDB.
-- +goose Up
DROP INDEX tiled_series_id;
CREATE UNIQUE INDEX tiled_series_id
  ON tuboid_series (device, start_datetime, end_datetime, algo_name COLLATE NOCASE, algo_version COLLATE NOCASE);
DROP INDEX label_id;
CREATE UNIQUE INDEX label_id ON itc_labels (parent_tuboid_id, algo_name COLLATE NOCASE, algo_version COLLATE NOCASE);

CREATE TABLE projects (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  description TEXT,
  notes TEXT,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;

CREATE TABLE project_permissions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent_project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  parent_user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  level INTEGER NOT NULL,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;
CREATE UNIQUE INDEX permission_id ON project_permissions (parent_project_id, parent_user_id);
CREATE INDEX permission_user ON project_permissions (parent_user_id);

CREATE TABLE project_series (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent_project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  device TEXT NOT NULL COLLATE NOCASE,
  start_datetime INTEGER NOT NULL,
  end_datetime INTEGER NOT NULL,
  free_columns TEXT NOT NULL,
  datetime_created INTEGER NOT NULL,
  api_version TEXT,
  api_user TEXT
) STRICT;
CREATE INDEX project_series_project ON project_series (parent_project_id);
