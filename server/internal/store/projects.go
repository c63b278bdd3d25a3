package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Levels of a permission on a project. No row is level 0.
const (
	LevelRead  = 1
	LevelWrite = 2
	LevelAdmin = 3
)

// Project is a study: a name for series of devices and times.
type Project struct {
	ID          int64
	Name        string // unique, at most 32 characters
	Description sql.Null[string]
	Notes       sql.Null[string]
	Provenance
}

// Permission is what a user may do with a project. (ParentProjectID, ParentUserID) is unique.
type Permission struct {
	ID              int64
	ParentProjectID int64
	ParentUserID    int64
	Level           int
	Provenance
}

// ProjectSeries is one row of a project: a device, from when to when, and the project's own columns.
type ProjectSeries struct {
	ID                         int64
	ParentProjectID            int64
	Device                     string
	StartDatetime, EndDatetime time.Time
	Columns                    json.RawMessage // an object of the free columns
	Provenance
}

// ProjectAccess says for whom projects are looked up: an admin sees all, others those with at least that level.
type ProjectAccess struct {
	UserID   int64
	Admin    bool
	MinLevel int
}

// Projects keeps studies, who may do what with them, and their series.
type Projects interface {
	// AddProjects makes all of the projects or none, gives the user LevelAdmin on each, and gives them. CodeConflict for a
	// name that is there.
	AddProjects(ctx context.Context, projects []Project, userID int64) ([]Project, error)
	// Projects gives the projects that the access allows and for which match is true (nil: all), ordered by id.
	Projects(ctx context.Context, access ProjectAccess, match func(*Project) bool) ([]Project, error)
	// DeleteProjects deletes those projects, with permissions and series, and gives them.
	DeleteProjects(ctx context.Context, access ProjectAccess, match func(*Project) bool) ([]Project, error)
	// Permissions gives the permissions on those projects, ordered by id.
	Permissions(ctx context.Context, access ProjectAccess, match func(*Project) bool) ([]Permission, error)
	// SetPermissions sets the levels, all or none (level 0 removes the row), and gives the rows. by is who asks: CodeForbidden
	// unless they are a global admin or have LevelAdmin on each project; CodeNotFound for a project (that they may see) or
	// user that is not there.
	SetPermissions(ctx context.Context, permissions []Permission, by ProjectAccess) ([]Permission, error)
	// AddProjectSeries adds all rows or none, and gives them. CodeForbidden without LevelWrite, CodeNotFound for a project
	// that is not there or that the user may not see.
	AddProjectSeries(ctx context.Context, rows []ProjectSeries, by ProjectAccess) ([]ProjectSeries, error)
	// ProjectSeries calls fn with the rows of the projects of those ids that the access allows, ordered by id. CodeNotFound
	// for a project that is not there or that the user may not see.
	ProjectSeries(ctx context.Context, projectIDs []int64, access ProjectAccess, fn func(*ProjectSeries) error) error
}
