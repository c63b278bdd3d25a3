package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// ProjectStore is what the suite of projects needs: permissions hang on users.
type ProjectStore interface {
	store.Store
	store.Projects
}

// RunProjects runs the suite of [store.Projects]. open gives an empty store for each test and closes it at the test's end.
func RunProjects(t *testing.T, open func(t *testing.T) ProjectStore) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, ProjectStore)
	}{
		{"ProjectsKeepTheirValues", testProjectValues},
		{"ProjectsThatDoNotFitAreRefused", testProjectInvalid},
		{"ProjectsAreMadeAllOrNone", testProjectsAllOrNone},
		{"OneOfManyMakesAProject", testProjectContention},
		{"ProjectsAreSeenAndDeletedByLevel", testProjectLevels},
		{"PermissionsAreSetByLevel", testPermissionLevels},
		{"PermissionsAreSetAllOrNone", testPermissionsAllOrNone},
		{"PermissionsGoWithTheirUser", testPermissionsOfDeletedUsers},
		{"SeriesOfProjectsKeepTheirValues", testProjectSeriesValues},
		{"SeriesOfProjectsAreAddedByLevel", testProjectSeriesLevels},
		{"ManySeriesOfProjectsComeInOrder", testManyProjectSeries},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func project(name string) store.Project { return store.Project{Name: name, Provenance: made()} }

func addProjects(t *testing.T, s store.Projects, user int64, projects ...store.Project) []store.Project {
	t.Helper()
	added, err := s.AddProjects(background(t), projects, user)
	must(t, err)
	return added
}

var allProjects = store.ProjectAccess{Admin: true, MinLevel: store.LevelAdmin}

func projectNames(t *testing.T, s store.Projects, access store.ProjectAccess) []string {
	t.Helper()
	projects, err := s.Projects(background(t), access, nil)
	must(t, err)
	var names []string
	for _, p := range projects {
		names = append(names, p.Name)
	}
	return names
}

func permission(project, user int64, level int) store.Permission {
	return store.Permission{ParentProjectID: project, ParentUserID: user, Level: level, Provenance: made()}
}

func setPermissions(t *testing.T, s store.Projects, permissions ...store.Permission) []store.Permission {
	t.Helper()
	set, err := s.SetPermissions(background(t), permissions, allProjects)
	must(t, err)
	return set
}

func permissions(t *testing.T, s store.Projects) []store.Permission {
	t.Helper()
	all, err := s.Permissions(background(t), allProjects, nil)
	must(t, err)
	return all
}

// byUser is one user for each level, 0 to 3, on a project.
func byUser(t *testing.T, s ProjectStore, project int64) [4]store.ProjectAccess {
	t.Helper()
	var access [4]store.ProjectAccess
	for level, u := range add(t, s, user("none"), user("reads"), user("writes"), user("rules")) {
		access[level].UserID = u.ID
		setPermissions(t, s, permission(project, u.ID, level))
	}
	return access
}

func testProjectValues(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	full := store.Project{
		Name: strings.Repeat("ü", 32), Description: text(strings.Repeat("𝄞", 65_535/4)), Notes: text("two\nlines\t\"'\\ <b>"),
		Provenance: store.Provenance{DatetimeCreated: at("2024-02-29T23:59:59Z"), APIVersion: text("12345678"), APIUser: text(strings.Repeat("y", 32))},
	}
	bare := store.Project{Name: "bare", Provenance: store.Provenance{DatetimeCreated: at("1999-12-31T23:59:59Z")}}
	empty := project("empty")
	empty.Description = text("")
	added := addProjects(t, s, maker.ID, full, bare, empty)
	for i, want := range []store.Project{full, bare, empty} {
		want.ID = added[i].ID
		equal(t, added[i], want)
	}
	read, err := s.Projects(background(t), allProjects, nil)
	must(t, err)
	equal(t, read, added)
	read, err = s.Projects(background(t), allProjects, func(p *store.Project) bool { return p.Name == "bare" })
	must(t, err)
	equal(t, read, added[1:2])
	got := permissions(t, s)
	for i := range got {
		want := permission(added[i].ID, maker.ID, store.LevelAdmin)
		want.ID, want.Provenance = got[i].ID, added[i].Provenance
		equal(t, got[i], want)
	}
	equal(t, len(addProjects(t, s, maker.ID)), 0)
}

func testProjectInvalid(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	for name, change := range map[string]func(*store.Project){
		"no name":                  func(p *store.Project) { p.Name = "" },
		"a name of 33 characters":  func(p *store.Project) { p.Name = strings.Repeat("n", 33) },
		"a name that is no text":   func(p *store.Project) { p.Name = "\xff" },
		"too long a description":   func(p *store.Project) { p.Description = text(strings.Repeat("d", 65_536/4)) },
		"notes with a NUL":         func(p *store.Project) { p.Notes = text("\x00") },
		"a maker of 33 characters": func(p *store.Project) { p.APIUser = text(strings.Repeat("m", 33)) },
	} {
		bad := project("bad")
		change(&bad)
		if _, err := s.AddProjects(background(t), []store.Project{project("good"), bad}, maker.ID); err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", name, err)
		}
	}
	_, err := s.AddProjects(background(t), []store.Project{project("good")}, maker.ID+100)
	wantCode(t, err, spi.CodeNotFound)
	equal(t, len(projectNames(t, s, allProjects)), 0)
}

func testProjectsAllOrNone(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	addProjects(t, s, maker.ID, project("there"))
	for _, bad := range []string{"there", "THERE", "New"} {
		_, err := s.AddProjects(background(t), []store.Project{project("new"), project(bad)}, maker.ID)
		wantCode(t, err, spi.CodeConflict)
		if !strings.Contains(err.Error(), "element 1: ") || !strings.Contains(err.Error(), bad) {
			t.Errorf("%v does not name %q", err, bad)
		}
		equal(t, projectNames(t, s, allProjects), []string{"there"})
		equal(t, len(permissions(t, s)), 1)
	}
}

func testProjectContention(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.AddProjects(background(t), []store.Project{project("one")}, maker.ID); err != nil && spi.CodeOf(err) != spi.CodeConflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, projectNames(t, s, allProjects), []string{"one"})
	equal(t, len(permissions(t, s)), 1)
}

func testProjectLevels(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	made := addProjects(t, s, maker.ID, project("one"), project("two"))
	users := byUser(t, s, made[1].ID)
	for level, access := range users {
		for access.MinLevel = range 4 {
			var want []string
			if level > 0 && level >= access.MinLevel {
				want = []string{"two"}
			}
			equal(t, projectNames(t, s, access), want)
			perms, err := s.Permissions(background(t), access, nil)
			must(t, err)
			equal(t, len(perms), 4*len(want))
		}
	}
	for level, access := range users[:3] {
		access.MinLevel = store.LevelAdmin
		deleted, err := s.DeleteProjects(background(t), access, nil)
		must(t, err)
		if len(deleted) > 0 {
			t.Errorf("level %d deleted %v", level, deleted)
		}
	}
	_, err := s.AddProjectSeries(background(t), []store.ProjectSeries{projectSeries(made[1].ID, `{}`)}, allProjects)
	must(t, err)
	access := users[3]
	access.MinLevel = store.LevelAdmin
	deleted, err := s.DeleteProjects(background(t), access, func(p *store.Project) bool { return p.Name == "one" })
	must(t, err)
	equal(t, len(deleted), 0)
	deleted, err = s.DeleteProjects(background(t), access, nil)
	must(t, err)
	equal(t, deleted, made[1:])
	equal(t, projectNames(t, s, allProjects), []string{"one"})
	equal(t, len(permissions(t, s)), 1)
	deleted, err = s.DeleteProjects(background(t), allProjects, nil)
	must(t, err)
	equal(t, deleted, made[:1])
	if again := addProjects(t, s, maker.ID, project("two")); again[0].ID <= made[1].ID {
		t.Errorf("id %d was given again", again[0].ID)
	}
}

func testPermissionLevels(t *testing.T, s ProjectStore) {
	other := add(t, s, user("maker"), user("other"))
	made := addProjects(t, s, other[0].ID, project("one"), project("two"))
	users := byUser(t, s, made[0].ID)
	for level, want := range []spi.Code{spi.CodeNotFound, spi.CodeForbidden, spi.CodeForbidden, ""} {
		_, err := s.SetPermissions(background(t), []store.Permission{permission(made[0].ID, other[1].ID, store.LevelRead)}, users[level])
		if want == "" {
			must(t, err)
		} else {
			wantCode(t, err, want)
		}
		// Of the other project nobody may know.
		_, err = s.SetPermissions(background(t), []store.Permission{permission(made[1].ID, other[1].ID, store.LevelRead)}, users[level])
		wantCode(t, err, spi.CodeNotFound)
	}
	before := permissions(t, s)
	last := before[len(before)-1]
	equal(t, last.Level, store.LevelRead)

	raised := permission(made[0].ID, other[1].ID, store.LevelWrite)
	raised.APIUser = text("someone")
	set := setPermissions(t, s, raised)
	raised.ID = last.ID
	equal(t, set, []store.Permission{raised})
	equal(t, permissions(t, s)[len(before)-1], raised)

	removed := raised
	removed.Level = 0
	equal(t, setPermissions(t, s, removed), []store.Permission{removed})
	equal(t, permissions(t, s), before[:len(before)-1])
	equal(t, len(setPermissions(t, s, removed)), 0)
	equal(t, len(setPermissions(t, s)), 0)
}

func testPermissionsAllOrNone(t *testing.T, s ProjectStore) {
	users := add(t, s, user("maker"), user("other"))
	id := addProjects(t, s, users[0].ID, project("one"))[0].ID
	before := permissions(t, s)
	for name, test := range map[string]struct {
		bad  store.Permission
		code spi.Code
	}{
		"no such project":  {permission(id+100, users[1].ID, 1), spi.CodeNotFound},
		"no such user":     {permission(id, users[1].ID+100, 1), spi.CodeNotFound},
		"a level below":    {permission(id, users[1].ID, -1), spi.CodeInvalid},
		"a level above":    {permission(id, users[1].ID, 4), spi.CodeInvalid},
		"a negative id":    {permission(-1, users[1].ID, 1), spi.CodeNotFound},
		"an id of 64 bits": {permission(id, 1<<62, 1), spi.CodeNotFound},
	} {
		_, err := s.SetPermissions(background(t), []store.Permission{permission(id, users[1].ID, 1), test.bad}, allProjects)
		wantCode(t, err, test.code)
		if !strings.Contains(err.Error(), "element 1: ") {
			t.Errorf("%s: %v does not name the element", name, err)
		}
		equal(t, permissions(t, s), before)
	}
}

func testPermissionsOfDeletedUsers(t *testing.T, s ProjectStore) {
	users := add(t, s, admin("root"), user("a"), user("b"))
	id := addProjects(t, s, users[1].ID, project("one"))[0].ID
	kept := setPermissions(t, s, permission(id, users[2].ID, store.LevelRead))
	_, err := s.DeleteUsers(background(t), func(u *store.User) bool { return u.Username == "a" }, users[0].ID)
	must(t, err)
	equal(t, permissions(t, s), kept)
	equal(t, projectNames(t, s, allProjects), []string{"one"})
}

func projectSeries(project int64, columns string) store.ProjectSeries {
	return store.ProjectSeries{
		ParentProjectID: project, Device: "08038ade", StartDatetime: at("2020-07-08T20:00:00Z"), EndDatetime: at("2020-07-09T15:00:00Z"),
		Columns: json.RawMessage(columns), Provenance: made(),
	}
}

func seriesOfProjects(t *testing.T, s store.Projects, ids ...int64) (found []store.ProjectSeries) {
	t.Helper()
	must(t, s.ProjectSeries(background(t), ids, store.ProjectAccess{Admin: true}, func(r *store.ProjectSeries) error {
		found = append(found, *r)
		return nil
	}))
	return found
}

func testProjectSeriesValues(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	projects := addProjects(t, s, maker.ID, project("one"), project("two"))
	one, two := projects[0].ID, projects[1].ID
	bare := projectSeries(two, `{}`)
	bare.Device, bare.Provenance = "FFFFFFFF", store.Provenance{DatetimeCreated: at("1999-12-31T23:59:59Z")}
	long := projectSeries(one, `{"a":"`+strings.Repeat("é", store.MaxProjectColumns/2-4)+`"}`)
	rows := []store.ProjectSeries{projectSeries(two, `{"lat":1.50,"site":"Ö\"\\ \u00e9"}`), projectSeries(one, `{}`), bare, long}
	by := store.ProjectAccess{UserID: maker.ID}
	added, err := s.AddProjectSeries(background(t), rows, by)
	must(t, err)
	for i := range rows {
		rows[i].ID = added[i].ID
	}
	equal(t, added, rows)
	equal(t, seriesOfProjects(t, s, two, one, two), rows)
	equal(t, seriesOfProjects(t, s, one), []store.ProjectSeries{rows[1], rows[3]})
	equal(t, len(seriesOfProjects(t, s)), 0)
	none, err := s.AddProjectSeries(background(t), nil, by)
	must(t, err)
	equal(t, len(none), 0)

	for name, change := range map[string]func(*store.ProjectSeries){
		"a device of 9 characters":   func(r *store.ProjectSeries) { r.Device = "08038ade0" },
		"too long columns":           func(r *store.ProjectSeries) { r.Columns = slices.Concat(long.Columns, []byte("    ")) },
		"columns that are no text":   func(r *store.ProjectSeries) { r.Columns = json.RawMessage("\xff") },
		"a date beyond the calendar": func(r *store.ProjectSeries) { r.EndDatetime = r.EndDatetime.AddDate(9000, 0, 0) },
		"a maker of 33 characters":   func(r *store.ProjectSeries) { r.APIUser = text(strings.Repeat("m", 33)) },
	} {
		bad := projectSeries(one, `{}`)
		change(&bad)
		if _, err := s.AddProjectSeries(background(t), []store.ProjectSeries{projectSeries(one, `{}`), bad}, by); err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", name, err)
		}
	}
	equal(t, len(seriesOfProjects(t, s, one)), 2)
}

func testProjectSeriesLevels(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	made := addProjects(t, s, maker.ID, project("one"), project("two"))
	one, two := made[0].ID, made[1].ID
	users := byUser(t, s, one)
	ignore := func(*store.ProjectSeries) error { return nil }
	for level, want := range []struct{ write, read spi.Code }{
		{spi.CodeNotFound, spi.CodeNotFound}, {spi.CodeForbidden, ""}, {"", ""}, {"", ""},
	} {
		check := func(what string, err error, want spi.Code) {
			t.Helper()
			if want == "" {
				must(t, err)
			} else {
				wantCode(t, err, want)
				if !strings.Contains(err.Error(), "element ") {
					t.Errorf("%s: %v does not name the element", what, err)
				}
			}
		}
		access := users[level]
		access.MinLevel = store.LevelRead
		_, err := s.AddProjectSeries(background(t), []store.ProjectSeries{projectSeries(one, fmt.Sprintf(`{"level":%d}`, level))}, access)
		check("write", err, want.write)
		check("read", s.ProjectSeries(background(t), []int64{one}, access, ignore), want.read)
		// One that may not be seen spoils the whole request.
		_, err = s.AddProjectSeries(background(t), []store.ProjectSeries{projectSeries(one, `{"spoilt":1}`), projectSeries(two, `{}`)}, access)
		check("write both", err, map[bool]spi.Code{true: spi.CodeForbidden, false: spi.CodeNotFound}[level == 1])
		check("read both", s.ProjectSeries(background(t), []int64{one, two}, access, ignore), spi.CodeNotFound)
	}
	var columns []string
	for _, r := range seriesOfProjects(t, s, one) {
		columns = append(columns, string(r.Columns))
	}
	equal(t, columns, []string{`{"level":2}`, `{"level":3}`})
	_, err := s.AddProjectSeries(background(t), []store.ProjectSeries{projectSeries(two+100, `{}`)}, allProjects)
	wantCode(t, err, spi.CodeNotFound)
	wantCode(t, s.ProjectSeries(background(t), []int64{two + 100}, allProjects, ignore), spi.CodeNotFound)
	enough := errors.New("enough")
	if err := s.ProjectSeries(background(t), []int64{one}, allProjects, func(*store.ProjectSeries) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func testManyProjectSeries(t *testing.T, s ProjectStore) {
	maker := add(t, s, user("maker"))[0]
	made := addProjects(t, s, maker.ID, project("one"), project("two"))
	var rows []store.ProjectSeries
	for i := range 2500 {
		r := projectSeries(made[i%2].ID, `{}`)
		r.StartDatetime = r.StartDatetime.Add(-time.Duration(i) * time.Second)
		rows = append(rows, r)
	}
	added, err := s.AddProjectSeries(background(t), rows, allProjects)
	must(t, err)
	equal(t, seriesOfProjects(t, s, made[1].ID, made[0].ID), added)
}
