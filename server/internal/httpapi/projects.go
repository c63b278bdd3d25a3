package httpapi

import (
	"database/sql"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of projects and their series.
const (
	maxProjectName   = 32     // characters
	maxProjectText   = 10_000 // characters of a description or of notes
	maxColumns       = 100    // free columns of a row
	maxColumnText    = 4096   // characters of a value
	maxColumnNumeral = 64     // bytes of a number as it is written
)

// columnName is what a free column may be called.
var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// projectSeriesFields are the fields of a project's series that are not free; those that are true are read.
var projectSeriesFields = map[string]bool{
	"project_id": true, "device": true, "start_datetime": true, "end_datetime": true,
	"id": false, "parent_project_id": false, "datetime_created": false, "api_version": false, "api_user": false,
}

func (a *api) projectRoutes(g *gin.Engine) {
	// What a user may do is said by the levels; a user who is read only has to leave the writing to others all the same.
	g.POST("/get_projects", a.as(auth.ReadOnly, a.getProjects))
	g.POST("/put_projects", a.as(auth.ReadWrite, a.putProjects))
	g.POST("/delete_projects", a.as(auth.ReadWrite, a.deleteProjects))
	g.POST("/get_project_permissions", a.as(auth.ReadOnly, a.getPermissions))
	g.POST("/put_project_permissions", a.as(auth.ReadWrite, a.putPermissions))
	g.POST("/get_project_series", a.as(auth.ReadOnly, a.getProjectSeries))
	g.POST("/put_project_series", a.as(auth.ReadWrite, a.putProjectSeries))
}

func access(by *store.User, level int) store.ProjectAccess {
	return store.ProjectAccess{UserID: by.ID, Admin: auth.RoleOf(by) == auth.Admin, MinLevel: level}
}

// projectFields gives the fields of a project as text, for filters. Dates are compared in both formats.
var projectFields = filterFields[store.Project]{
	"id":          func(p *store.Project) []sql.Null[string] { return is(strconv.FormatInt(p.ID, 10)) },
	"name":        func(p *store.Project) []sql.Null[string] { return is(p.Name) },
	"description": func(p *store.Project) []sql.Null[string] { return []sql.Null[string]{p.Description} },
	"notes":       func(p *store.Project) []sql.Null[string] { return []sql.Null[string]{p.Notes} },
	"api_user":    func(p *store.Project) []sql.Null[string] { return []sql.Null[string]{p.APIUser} },
	"api_version": func(p *store.Project) []sql.Null[string] { return []sql.Null[string]{p.APIVersion} },
	"datetime_created": func(p *store.Project) []sql.Null[string] {
		return is(spi.FormatDatetime(p.DatetimeCreated, spi.DateV2), spi.FormatDatetime(p.DatetimeCreated, spi.DateV1))
	},
}

// replyRows streams rows that are in memory.
func replyRows[T any](c *gin.Context, rows []T, format spi.DateFormat, appendRow func([]byte, *T, spi.DateFormat) []byte) error {
	l := newList(c, format)
	for i := range rows {
		if err := l.done(appendRow(l.row(), &rows[i], format)); err != nil {
			return err
		}
	}
	return l.end()
}

func (a *api) getProjects(c *gin.Context, by *store.User) error {
	filters, format, err := projectFields.read(c, "a project")
	if err != nil {
		return err
	}
	projects, err := a.Projects.Projects(c.Request.Context(), access(by, store.LevelRead), anyOfOrAll(filters))
	if err != nil {
		return err
	}
	return replyRows(c, projects, format, appendProject)
}

func (a *api) putProjects(c *gin.Context, by *store.User) error {
	var projects []store.Project
	format, err := elements(c, func(e *element) error {
		p := store.Project{
			Name: e.line("name", 1, maxProjectName), Description: e.optionalProse("description"), Notes: e.optionalProse("notes"), Provenance: a.provenance(by),
		}
		if strings.TrimSpace(p.Name) != p.Name {
			e.fail("name", "begins or ends with a blank")
		}
		projects = append(projects, p)
		return nil
	})
	if err != nil {
		return err
	}
	if projects, err = a.Projects.AddProjects(c.Request.Context(), projects, by.ID); err != nil {
		return err
	}
	return replyRows(c, projects, format, appendProject)
}

// optionalProse gives a text of any number of lines that may be absent or null.
func (e *element) optionalProse(field string) sql.Null[string] {
	if !e.has(field) {
		return sql.Null[string]{}
	}
	s := e.text(field, maxProjectText)
	e.checkProse(field, s)
	return sql.Null[string]{V: s, Valid: true}
}

func (e *element) checkProse(field, s string) {
	if strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
	}) {
		e.fail(field, "holds a character that is no part of a text")
	}
}

func (a *api) deleteProjects(c *gin.Context, by *store.User) error {
	filters, format, err := projectFields.read(c, "a project")
	if err != nil {
		return err
	}
	if err := nameSomething(filters, "project"); err != nil {
		return err
	}
	var projects []store.Project
	if len(filters) > 0 {
		if projects, err = a.Projects.DeleteProjects(c.Request.Context(), access(by, store.LevelAdmin), anyOf(filters)); err != nil {
			return err
		}
	}
	return replyRows(c, projects, format, appendProject)
}

func (a *api) getPermissions(c *gin.Context, by *store.User) error {
	filters, format, err := projectFields.read(c, "a project")
	if err != nil {
		return err
	}
	permissions, err := a.Projects.Permissions(c.Request.Context(), access(by, store.LevelRead), anyOfOrAll(filters))
	if err != nil {
		return err
	}
	return replyRows(c, permissions, format, appendPermission)
}

func (a *api) putPermissions(c *gin.Context, by *store.User) error {
	var permissions []store.Permission
	format, err := elements(c, func(e *element) error {
		p := store.Permission{
			ParentProjectID: int64(e.whole("project_id", 1)), ParentUserID: int64(e.whole("user_id", 1)), Level: e.whole("level", 0), Provenance: a.provenance(by),
		}
		if p.Level > store.LevelAdmin {
			e.fail("level", "must be 1 (read), 2 (write), 3 (admin), or 0 for none")
		}
		permissions = append(permissions, p)
		return nil
	})
	if err != nil {
		return err
	}
	if permissions, err = a.Projects.SetPermissions(c.Request.Context(), permissions, access(by, store.LevelAdmin)); err != nil {
		return err
	}
	return replyRows(c, permissions, format, appendPermission)
}

func (a *api) getProjectSeries(c *gin.Context, by *store.User) error {
	var ids []int64
	format, err := elements(c, func(e *element) error {
		ids = append(ids, int64(e.whole("project_id", 1)))
		return nil
	})
	if err != nil {
		return err
	}
	l := newList(c, format)
	if err := a.Projects.ProjectSeries(c.Request.Context(), ids, access(by, store.LevelRead), func(r *store.ProjectSeries) error {
		return l.done(appendProjectSeries(l.row(), r, format))
	}); err != nil {
		return err
	}
	return l.end()
}

func (a *api) putProjectSeries(c *gin.Context, by *store.User) error {
	var rows []store.ProjectSeries
	format, err := elements(c, func(e *element) error {
		s := aSeries(e)
		if len(s.Device) != 8 || strings.Trim(s.Device, "0123456789abcdefABCDEF") != "" {
			e.fail("device", "must be 8 hexadecimal digits")
		}
		if s.End.Before(s.Start) {
			e.fail("end_datetime", "is before start_datetime")
		}
		rows = append(rows, store.ProjectSeries{
			ParentProjectID: int64(e.whole("project_id", 1)), Device: s.Device, StartDatetime: s.Start, EndDatetime: s.End,
			Columns: e.columns(), Provenance: a.provenance(by),
		})
		return nil
	})
	if err != nil {
		return err
	}
	if rows, err = a.Projects.AddProjectSeries(c.Request.Context(), rows, access(by, store.LevelWrite)); err != nil {
		return err
	}
	return replyRows(c, rows, format, appendProjectSeries)
}

// columns gives the free columns as an object: all fields that are not a series' own.
func (e *element) columns() json.RawMessage {
	b := []byte{'{'}
	n := 0
	for _, field := range slices.Sorted(maps.Keys(e.fields)) {
		if own, known := projectSeriesFields[strings.ToLower(field)]; known {
			if !own || field != strings.ToLower(field) {
				e.fail(field, "cannot be the name of a column: the server gives it itself")
			}
			continue
		}
		if !columnName.MatchString(field) {
			e.fail(strconv.QuoteToASCII(field[:min(len(field), 80)]), "cannot be the name of a column: it must have 1 to 64 letters, digits and _, and no digit first")
			break
		}
		if n++; n > maxColumns {
			e.fail(field, "is one column too many: a row has at most %d", maxColumns)
			break
		}
		if n > 1 {
			b = append(b, ',')
		}
		b = append(appendText(b, field), ':')
		b = e.appendColumn(b, field)
	}
	if b = append(b, '}'); len(b) > store.MaxProjectColumns {
		e.fail("columns", "have %d bytes together; at most %d are possible", len(b), store.MaxProjectColumns)
	}
	return b
}

// appendColumn appends a free column's value: a string, which may be a date, a number, or null for one that is absent.
func (e *element) appendColumn(b []byte, field string) []byte {
	raw := e.fields[field]
	switch kind(raw) {
	case "null":
		return append(b, "null"...)
	case "a string":
		s := e.text(field, maxColumnText)
		e.checkProse(field, s)
		return appendText(b, s)
	case "a number":
		if _, err := strconv.ParseFloat(string(raw), 64); err != nil || len(raw) > maxColumnNumeral {
			e.fail(field, "is no number that can be used")
		}
		return append(b, raw...)
	}
	e.fail(field, "must be a string, a number or a date, not %s", kind(raw))
	return b
}

func appendProject(b []byte, p *store.Project, f spi.DateFormat) []byte {
	b = append(b, `{"api_user":`...)
	b = appendNullText(b, p.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, p.APIVersion)
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, p.DatetimeCreated, f)
	b = append(b, `,"description":`...)
	b = appendNullText(b, p.Description)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, p.ID, 10)
	b = append(b, `,"name":`...)
	b = appendText(b, p.Name)
	b = append(b, `,"notes":`...)
	b = appendNullText(b, p.Notes)
	return append(b, '}')
}

func appendPermission(b []byte, p *store.Permission, f spi.DateFormat) []byte {
	b = append(b, `{"api_user":`...)
	b = appendNullText(b, p.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, p.APIVersion)
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, p.DatetimeCreated, f)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, p.ID, 10)
	b = append(b, `,"level":`...)
	b = strconv.AppendInt(b, int64(p.Level), 10)
	b = append(b, `,"parent_project_id":`...)
	b = strconv.AppendInt(b, p.ParentProjectID, 10)
	b = append(b, `,"parent_user_id":`...)
	b = strconv.AppendInt(b, p.ParentUserID, 10)
	return append(b, '}')
}

// appendProjectSeries appends a row, its free columns among its own by their names. A string that is a date, in the exact
// form of either generation, is one to clients: it is given in the reply's.
func appendProjectSeries(b []byte, r *store.ProjectSeries, f spi.DateFormat) []byte {
	fields := make(map[string]json.RawMessage)
	// The server wrote the object itself: where it cannot be read any more, there is nothing of it to show.
	_ = json.Unmarshal(r.Columns, &fields)
	for field, raw := range fields {
		var s string
		if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
			continue
		}
		if t, format, err := spi.ParseDatetime(s); err == nil && format != nil {
			fields[field] = appendTime(nil, t, f)
		}
	}
	fields["api_user"] = appendNullText(nil, r.APIUser)
	fields["api_version"] = appendNullText(nil, r.APIVersion)
	fields["datetime_created"] = appendTime(nil, r.DatetimeCreated, f)
	fields["device"] = appendText(nil, r.Device)
	fields["end_datetime"] = appendTime(nil, r.EndDatetime, f)
	fields["id"] = strconv.AppendInt(nil, r.ID, 10)
	fields["project_id"] = strconv.AppendInt(nil, r.ParentProjectID, 10)
	fields["start_datetime"] = appendTime(nil, r.StartDatetime, f)
	before := byte('{')
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		b = append(b, before)
		b = append(appendText(b, field), ':')
		b = append(b, fields[field]...)
		before = ','
	}
	return append(b, '}')
}
