package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Levels of a permission on a project. No row is level 0. Each may all that those below it may.
const (
	LevelRead  = 1 // see the project, its permissions and its series
	LevelWrite = 2 // add series
	LevelAdmin = 3 // set permissions, delete the project
)

// Project is a study: a name for series of devices and times.
type Project struct {
	ID          int64
	Name        string // unique, compared without case, at most 32 characters
	Description sql.Null[string]
	Notes       sql.Null[string]
	Provenance
}

// Permission is what a user may do with a project. (ParentProjectID, ParentUserID) is unique. Its Provenance is that of the
// level as it stands. It goes with its project and with its user.
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
	Columns                    json.RawMessage // an object of the free columns, at most MaxProjectColumns bytes
	Provenance
}

// MaxProjectColumns bounds, in bytes, the free columns of one row: pages of rows are held in memory.
const MaxProjectColumns = 16 << 10

// ProjectAccess says for whom projects are looked up: an admin sees all, others those with at least that level. Where it
// says who asks for a change, MinLevel does not count.
type ProjectAccess struct {
	UserID   int64
	Admin    bool
	MinLevel int
}

// Projects keeps studies, who may do what with them, and their series. Errors are as those of [Store], and so are
// callbacks. A project that the user has no permission on is as one that is not there: CodeNotFound where it is named.
// Messages name an element by its index.
type Projects interface {
	// AddProjects makes all of the projects or none, gives the user LevelAdmin on each, and gives them. CodeConflict for a
	// name that is there, CodeNotFound where the user is not.
	AddProjects(ctx context.Context, projects []Project, userID int64) ([]Project, error)
	// Projects gives the projects that the access allows and for which match is true (nil: all), ordered by id.
	Projects(ctx context.Context, access ProjectAccess, match func(*Project) bool) ([]Project, error)
	// DeleteProjects deletes those projects, all or none, with permissions and series, and gives them.
	DeleteProjects(ctx context.Context, access ProjectAccess, match func(*Project) bool) ([]Project, error)
	// Permissions gives the permissions on those projects, ordered by id.
	Permissions(ctx context.Context, access ProjectAccess, match func(*Project) bool) ([]Permission, error)
	// SetPermissions sets the levels, all or none, and gives the rows in the order of the request. Level 0 removes the row,
	// which is then given with that level; where there was none, none is given. CodeForbidden unless by is a global admin or
	// has LevelAdmin on each project; CodeNotFound for a project or user that is not there, CodeInvalid for another level.
	SetPermissions(ctx context.Context, permissions []Permission, by ProjectAccess) ([]Permission, error)
	// AddProjectSeries adds all rows or none, and gives them. CodeForbidden without LevelWrite, CodeNotFound for a project
	// that is not there.
	AddProjectSeries(ctx context.Context, rows []ProjectSeries, by ProjectAccess) ([]ProjectSeries, error)
	// ProjectSeries calls fn with the rows of the projects of those ids, once each, ordered by id. CodeNotFound for a project
	// that is not there, or that the access does not allow.
	ProjectSeries(ctx context.Context, projectIDs []int64, access ProjectAccess, fn func(*ProjectSeries) error) error
}
