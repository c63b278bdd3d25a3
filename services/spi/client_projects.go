package spi

import (
	"context"
	"iter"
)

// ProjectFilter names projects: those for which each of the fields given matches. Fields are id, name, description, notes,
// api_user, api_version and datetime_created; a value is as in [UserFilter].
type ProjectFilter map[string]any

// GetProjects gives the projects that match any of the filters, or all where there is none, of those that the caller has a
// permission on (admins: all), ordered by id.
func (c *Client) GetProjects(ctx context.Context, filters ...ProjectFilter) ([]Project, error) {
	return call[Project](ctx, c, "get_projects", filters, false)
}

// PutProjects makes projects, all or none, on which the caller gets [LevelAdmin]. CodeConflict where a name is there already.
//
// It is sent again only where the server refused it (429, 503): after a connection error, 502 or 504 it is open whether the
// projects were made, and GetProjects tells.
func (c *Client) PutProjects(ctx context.Context, projects ...NewProject) ([]Project, error) {
	return call[Project](ctx, c, "put_projects", projects, true)
}

// DeleteProjects deletes the projects that match any of the filters, of those on which the caller has [LevelAdmin] (admins:
// all), with their permissions and series, and gives them. Without filters it deletes nothing; a filter without fields is
// CodeInvalid.
//
// Where a reply is lost and the request sent again, projects that the first one deleted are not among those given.
func (c *Client) DeleteProjects(ctx context.Context, filters ...ProjectFilter) ([]Project, error) {
	return call[Project](ctx, c, "delete_projects", filters, false)
}

// GetProjectPermissions gives the permissions on the projects that GetProjects gives for these filters, ordered by id.
func (c *Client) GetProjectPermissions(ctx context.Context, filters ...ProjectFilter) ([]Permission, error) {
	return call[Permission](ctx, c, "get_project_permissions", filters, false)
}

// PutProjectPermissions sets permissions, all or none, and gives them; [LevelNone] removes one. CodeNotFound where a user is
// not there, or a project that the caller may know of; CodeForbidden without [LevelAdmin] on a project.
func (c *Client) PutProjectPermissions(ctx context.Context, permissions ...NewPermission) ([]Permission, error) {
	return call[Permission](ctx, c, "put_project_permissions", permissions, false)
}

// GetProjectSeries gives the rows of projects, each once, ordered by id. CodeNotFound where a project is not there, or the
// caller has no permission on it. See [Client.GetImages] for the sequence.
func (c *Client) GetProjectSeries(ctx context.Context, projectIDs ...int64) iter.Seq2[ProjectSeries, error] {
	type name struct {
		ProjectID int64 `json:"project_id"`
	}
	names := make([]name, len(projectIDs))
	for i, id := range projectIDs {
		names[i].ProjectID = id
	}
	return stream[ProjectSeries](ctx, c, "get_project_series", names, false)
}

// PutProjectSeries adds rows to projects, all or none. CodeForbidden without [LevelWrite] on a project, CodeNotFound where it
// is not there or the caller has no permission on it.
//
// It is sent again only where the server refused it (429, 503): after a connection error, 502 or 504 it is open whether the
// rows were added, and GetProjectSeries tells.
func (c *Client) PutProjectSeries(ctx context.Context, rows ...NewProjectSeries) ([]ProjectSeries, error) {
	return call[ProjectSeries](ctx, c, "put_project_series", rows, true)
}
