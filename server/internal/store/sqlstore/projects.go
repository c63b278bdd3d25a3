package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

var _ store.Projects = (*Store)(nil)

// The lengths of MariaDB's columns of projects. A TEXT holds 65,535 bytes.
const (
	maxProjectName = 32
	maxProjectText = 65_535 / 4 // characters
)

const (
	projectColumns       = "id, name, description, notes, datetime_created, api_version, api_user"
	permissionColumns    = "id, parent_project_id, parent_user_id, level, datetime_created, api_version, api_user"
	projectSeriesColumns = "id, parent_project_id, device, start_datetime, end_datetime, free_columns, datetime_created, api_version, api_user"
)

func newProjectReader() *rowReader[store.Project] {
	r := &rowReader[store.Project]{}
	p := &r.row
	r.places = append([]any{&intoInt64{&p.ID}, &intoText{&p.Name, nil}, &intoNullText{&p.Description, nil}, &intoNullText{&p.Notes, nil}},
		provenancePlaces(&p.Provenance, nil)...)
	return r
}

func newPermissionReader() *rowReader[store.Permission] {
	r := &rowReader[store.Permission]{}
	p := &r.row
	r.places = append([]any{&intoInt64{&p.ID}, &intoInt64{&p.ParentProjectID}, &intoInt64{&p.ParentUserID}, &intoInt{&p.Level}},
		provenancePlaces(&p.Provenance, make(interner))...)
	return r
}

func newProjectSeriesReader() *rowReader[store.ProjectSeries] {
	r, in := &rowReader[store.ProjectSeries]{}, make(interner)
	p := &r.row
	r.places = append([]any{
		&intoInt64{&p.ID}, &intoInt64{&p.ParentProjectID}, &intoText{&p.Device, in}, &intoTime{&p.StartDatetime},
		&intoTime{&p.EndDatetime}, &intoJSON{&p.Columns},
	}, provenancePlaces(&p.Provenance, in)...)
	return r
}

// intoJSON copies: a driver's bytes do not outlive the row.
type intoJSON struct{ p *json.RawMessage }

func (j intoJSON) Scan(src any) error {
	var s string
	err := intoText{&s, nil}.Scan(src)
	*j.p = json.RawMessage(s)
	return err
}

// projectsOf gives the projects that the access allows and for which match is true, ordered by id. There are few: they are
// matched in Go, where both databases agree.
func (s *Store) projectsOf(ctx context.Context, q querier, access store.ProjectAccess, match func(*store.Project) bool, lock string) ([]store.Project, error) {
	all, err := newProjectReader().all(q.QueryContext(ctx, "SELECT "+projectColumns+" FROM projects ORDER BY id"+lock))
	if err != nil {
		return nil, err
	}
	var levels map[int64]int
	if !access.Admin {
		if levels, err = levelsOf(ctx, q, access.UserID); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(p store.Project) bool {
		level := levels[p.ID]
		return !access.Admin && (level < access.MinLevel || level < store.LevelRead) || match != nil && !match(&p)
	}), nil
}

// levelsOf gives the user's levels by project.
func levelsOf(ctx context.Context, q querier, user int64) (map[int64]int, error) {
	all, err := newPermissionReader().all(q.QueryContext(ctx, "SELECT "+permissionColumns+" FROM project_permissions WHERE parent_user_id = ?", user))
	if err != nil {
		return nil, err
	}
	levels := make(map[int64]int, len(all))
	for _, p := range all {
		levels[p.ParentProjectID] = p.Level
	}
	return levels, nil
}

// mayChange fails unless the asker has the level on every project, of which a request's element is named by its place:
// CodeNotFound for a project of which they may know nothing, CodeForbidden for the others. The projects are locked, in one
// order for all requests.
func (s *Store) mayChange(ctx context.Context, tx *sql.Tx, projects []int64, by store.ProjectAccess, level int) error {
	ids := slices.Clone(projects)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	there := make(map[int64]bool, len(ids))
	for some := range slices.Chunk(ids, idsPerQuery) {
		found, err := scanIDs(tx.QueryContext(ctx, "SELECT id FROM projects WHERE id IN ("+placeholders(len(some))+") ORDER BY id"+s.dialect.forUpdate, anys(some)...))
		if err != nil {
			return err
		}
		for _, id := range found {
			there[id] = true
		}
	}
	var levels map[int64]int
	if !by.Admin {
		var err error
		if levels, err = levelsOf(ctx, tx, by.UserID); err != nil {
			return err
		}
	}
	for i, id := range projects {
		switch {
		case !there[id], !by.Admin && levels[id] < store.LevelRead:
			return spi.Errorf(spi.CodeNotFound, "element %d: there is no project with id %d", i, id)
		case !by.Admin && levels[id] < level:
			return spi.Errorf(spi.CodeForbidden, "element %d: your level on project %d is %d; this needs %d", i, id, levels[id], level)
		}
	}
	return nil
}

// lockUsers locks those of the users that are there, and gives them.
func (s *Store) lockUsers(ctx context.Context, tx *sql.Tx, users []int64) (map[int64]bool, error) {
	ids := slices.Clone(users)
	slices.Sort(ids)
	there := make(map[int64]bool)
	for some := range slices.Chunk(slices.Compact(ids), idsPerQuery) {
		found, err := scanIDs(tx.QueryContext(ctx, "SELECT id FROM users WHERE id IN ("+placeholders(len(some))+") ORDER BY id"+s.dialect.forUpdate, anys(some)...))
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			there[id] = true
		}
	}
	return there, nil
}

func checkProject(p *store.Project) error {
	if p.Name == "" {
		return spi.Errorf(spi.CodeInvalid, "writing table projects: name is empty")
	}
	if err := checkTexts("projects", field{"name", p.Name, maxProjectName}, field{"description", p.Description.V, maxProjectText},
		field{"notes", p.Notes.V, maxProjectText}); err != nil {
		return err
	}
	return checkProvenance("projects", p.Provenance)
}

// AddProjects makes all of the projects or none, and the user their admin.
func (s *Store) AddProjects(ctx context.Context, projects []store.Project, userID int64) ([]store.Project, error) {
	if len(projects) == 0 {
		return nil, nil
	}
	for i := range projects {
		if err := checkProject(&projects[i]); err != nil {
			return nil, ofElement(i, err)
		}
	}
	added := make([]store.Project, len(projects))
	err := s.inTx(ctx, "writing", "table projects", func(tx *sql.Tx) error {
		users, err := s.lockUsers(ctx, tx, []int64{userID})
		if err != nil {
			return err
		}
		if !users[userID] {
			return spi.Errorf(spi.CodeNotFound, "there is no user with id %d", userID)
		}
		for i, p := range projects {
			p.DatetimeCreated = p.DatetimeCreated.UTC().Truncate(time.Second)
			p.ID, err = insert(ctx, tx, "INSERT INTO projects (name, description, notes, datetime_created, api_version, api_user) VALUES (?, ?, ?, ?, ?, ?)",
				p.Name, p.Description, p.Notes, s.dialect.datetime(p.DatetimeCreated), p.APIVersion, p.APIUser)
			if isConflict(s, err) {
				return spi.Wrap(spi.CodeConflict, err, "element %d: there is a project %q already", i, p.Name)
			}
			if err != nil {
				return err
			}
			if _, err := s.insertPermission(ctx, tx, store.Permission{
				ParentProjectID: p.ID, ParentUserID: userID, Level: store.LevelAdmin, Provenance: p.Provenance,
			}); err != nil {
				return err
			}
			added[i] = p
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

func (s *Store) insertPermission(ctx context.Context, tx *sql.Tx, p store.Permission) (int64, error) {
	return insert(ctx, tx, `INSERT INTO project_permissions (parent_project_id, parent_user_id, level, datetime_created, api_version, api_user)
		VALUES (?, ?, ?, ?, ?, ?)`, p.ParentProjectID, p.ParentUserID, p.Level, s.dialect.datetime(p.DatetimeCreated), p.APIVersion, p.APIUser)
}

// Projects gives the projects that the access allows and for which match is true, ordered by id.
func (s *Store) Projects(ctx context.Context, access store.ProjectAccess, match func(*store.Project) bool) ([]store.Project, error) {
	found, err := s.projectsOf(ctx, s.read, access, match, "")
	return found, s.fail(ctx, err, "reading", "table projects")
}

// DeleteProjects deletes those projects, with permissions and series.
func (s *Store) DeleteProjects(ctx context.Context, access store.ProjectAccess, match func(*store.Project) bool) ([]store.Project, error) {
	var deleted []store.Project
	err := s.inTx(ctx, "deleting from", "table projects", func(tx *sql.Tx) (err error) {
		if deleted, err = s.projectsOf(ctx, tx, access, match, s.dialect.forUpdate); err != nil {
			return err
		}
		for i := range deleted {
			if _, err := tx.ExecContext(ctx, "DELETE FROM projects WHERE id = ?", deleted[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// Permissions gives the permissions on those projects, ordered by id.
func (s *Store) Permissions(ctx context.Context, access store.ProjectAccess, match func(*store.Project) bool) ([]store.Permission, error) {
	projects, err := s.projectsOf(ctx, s.read, access, match, "")
	if err != nil {
		return nil, s.fail(ctx, err, "reading", "table projects")
	}
	var found []store.Permission
	r := newPermissionReader()
	for some := range slices.Chunk(projects, idsPerQuery) {
		ids := make([]any, len(some))
		for i := range some {
			ids[i] = some[i].ID
		}
		read, err := r.all(s.read.QueryContext(ctx, "SELECT "+permissionColumns+" FROM project_permissions WHERE parent_project_id IN ("+placeholders(len(ids))+")", ids...))
		if err != nil {
			return nil, s.fail(ctx, err, "reading", "table project_permissions")
		}
		found = append(found, read...)
	}
	slices.SortFunc(found, func(a, b store.Permission) int { return cmp.Compare(a.ID, b.ID) })
	return found, nil
}

// SetPermissions sets the levels, all or none.
func (s *Store) SetPermissions(ctx context.Context, permissions []store.Permission, by store.ProjectAccess) ([]store.Permission, error) {
	projects, users := make([]int64, len(permissions)), make([]int64, len(permissions))
	for i := range permissions {
		p := &permissions[i]
		if p.Level < 0 || p.Level > store.LevelAdmin {
			return nil, spi.Errorf(spi.CodeInvalid, "element %d: %d is no level", i, p.Level)
		}
		if err := checkProvenance("project_permissions", p.Provenance); err != nil {
			return nil, ofElement(i, err)
		}
		projects[i], users[i] = p.ParentProjectID, p.ParentUserID
	}
	var set []store.Permission
	err := s.inTx(ctx, "writing", "table project_permissions", func(tx *sql.Tx) error {
		set = nil
		if err := s.mayChange(ctx, tx, projects, by, store.LevelAdmin); err != nil {
			return err
		}
		there, err := s.lockUsers(ctx, tx, users)
		if err != nil {
			return err
		}
		for i, p := range permissions {
			if !there[p.ParentUserID] {
				return spi.Errorf(spi.CodeNotFound, "element %d: there is no user with id %d", i, p.ParentUserID)
			}
			p.DatetimeCreated = p.DatetimeCreated.UTC().Truncate(time.Second)
			if p.ID, err = s.setPermission(ctx, tx, p); err != nil {
				return err
			}
			if p.ID != 0 {
				set = append(set, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// setPermission gives the id of the row that was written or, with level 0, deleted; 0 where there was none to delete. The
// project is locked.
func (s *Store) setPermission(ctx context.Context, tx *sql.Tx, p store.Permission) (int64, error) {
	ids, err := scanIDs(tx.QueryContext(ctx, "SELECT id FROM project_permissions WHERE parent_project_id = ? AND parent_user_id = ?",
		p.ParentProjectID, p.ParentUserID))
	switch {
	case err != nil:
		return 0, err
	case len(ids) == 0 && p.Level == 0:
		return 0, nil
	case len(ids) == 0:
		return s.insertPermission(ctx, tx, p)
	case p.Level == 0:
		_, err = tx.ExecContext(ctx, "DELETE FROM project_permissions WHERE id = ?", ids[0])
	default:
		_, err = tx.ExecContext(ctx, "UPDATE project_permissions SET level = ?, datetime_created = ?, api_version = ?, api_user = ? WHERE id = ?",
			p.Level, s.dialect.datetime(p.DatetimeCreated), p.APIVersion, p.APIUser, ids[0])
	}
	return ids[0], err
}

func checkProjectSeries(r *store.ProjectSeries) error {
	if len(r.Columns) > store.MaxProjectColumns {
		return spi.Errorf(spi.CodeInvalid, "writing table project_series: the free columns have %d bytes; at most %d are possible",
			len(r.Columns), store.MaxProjectColumns)
	}
	if err := checkTexts("project_series", field{"device", r.Device, maxDevice}, field{"a free column", string(r.Columns), store.MaxProjectColumns}); err != nil {
		return err
	}
	if err := checkYears("project_series", r.StartDatetime, r.EndDatetime); err != nil {
		return err
	}
	return checkProvenance("project_series", r.Provenance)
}

// AddProjectSeries adds all rows or none.
func (s *Store) AddProjectSeries(ctx context.Context, rows []store.ProjectSeries, by store.ProjectAccess) ([]store.ProjectSeries, error) {
	projects := make([]int64, len(rows))
	for i := range rows {
		if err := checkProjectSeries(&rows[i]); err != nil {
			return nil, ofElement(i, err)
		}
		projects[i] = rows[i].ParentProjectID
	}
	added := make([]store.ProjectSeries, len(rows))
	err := s.inTx(ctx, "writing", "table project_series", func(tx *sql.Tx) error {
		if err := s.mayChange(ctx, tx, projects, by, store.LevelWrite); err != nil {
			return err
		}
		for i, r := range rows {
			r.DatetimeCreated = r.DatetimeCreated.UTC().Truncate(time.Second)
			var err error
			r.ID, err = insert(ctx, tx, `INSERT INTO project_series (parent_project_id, device, start_datetime, end_datetime, free_columns,
				datetime_created, api_version, api_user) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				r.ParentProjectID, r.Device, s.dialect.datetime(r.StartDatetime), s.dialect.datetime(r.EndDatetime), string(r.Columns),
				s.dialect.datetime(r.DatetimeCreated), r.APIVersion, r.APIUser)
			if err != nil {
				return err
			}
			added[i] = r
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// ProjectSeries calls fn with the rows of the projects of those ids, ordered by id.
func (s *Store) ProjectSeries(ctx context.Context, projectIDs []int64, access store.ProjectAccess, fn func(*store.ProjectSeries) error) error {
	visible, err := s.projectsOf(ctx, s.read, access, nil, "")
	if err != nil {
		return s.fail(ctx, err, "reading", "table projects")
	}
	there := make(map[int64]bool, len(visible))
	for i := range visible {
		there[visible[i].ID] = true
	}
	wanted := make(map[int64]bool)
	for i, id := range projectIDs {
		if !there[id] {
			return spi.Errorf(spi.CodeNotFound, "element %d: there is no project with id %d", i, id)
		}
		wanted[id] = true
	}
	ids, err := idsWhere(ctx, s.read, "project_series", "parent_project_id", slices.Sorted(maps.Keys(wanted)))
	if err != nil {
		return s.fail(ctx, err, "reading", "table project_series")
	}
	return eachByID(ctx, s, newProjectSeriesReader(), "project_series", projectSeriesColumns, ids, fn)
}
