package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// member is a user and what they may do.
type member struct {
	name string
	*api
	id    any
	level int // on the project of the test
}

// member makes a user with that level on a project; 0: none.
func (a *api) member(project any, level int, more row) member {
	a.t.Helper()
	name := a.newUser(more)
	m := member{name: name, api: a.as(basic(name, userPassword)), level: level, id: a.call("/get_users", row{"username": name}).only()["id"]}
	if level > 0 {
		got := a.call("/put_project_permissions", row{"project_id": project, "user_id": m.id, "level": level}).only()
		same[any](a.t, "level", float64(level), got["level"])
	}
	return m
}

// newProject makes a project as the api's user, and gives its row.
func (a *api) newProject() row {
	a.t.Helper()
	return a.call("/put_projects", row{"name": newName("project")}).only()
}

func projectRow(id any, device string, more row) row {
	r := row{"project_id": id, "device": device, "start_datetime": "2020-07-01T00:00:00Z", "end_datetime": "2020-08-01T00:00:00Z"}
	for field, value := range more {
		r[field] = value
	}
	return r
}

// TestUsersSeeAndChangeOnlyWhatTheirLevelAllows asks every endpoint as a user of every kind, on a project that they may have
// to do with and on one of somebody else.
func TestUsersSeeAndChangeOnlyWhatTheirLevelAllows(t *testing.T) {
	kinds := []struct {
		name   string
		level  int
		user   row
		reads  bool
		writes int // status of put_project_series
		rules  int // status of put_project_permissions
		drops  bool
		makes  int  // status of put_projects
		all    bool // sees the project of somebody else too
	}{
		{"no level", 0, readWrite, false, 404, 404, false, 200, false},
		{"read", 1, readWrite, true, 403, 403, false, 200, false},
		{"write", 2, readWrite, true, 200, 403, false, 200, false},
		{"admin of the project", 3, readWrite, true, 200, 200, true, 200, false},
		{"read only, no level", 0, readOnly, false, 403, 403, false, 403, false},
		{"read only, level read", 1, readOnly, true, 403, 403, false, 403, false},
		{"read only, level admin", 3, readOnly, true, 403, 403, false, 403, false},
		{"admin who may not write", 0, frozen, false, 403, 403, false, 403, false},
		{"global admin", 0, admin, true, 200, 200, true, 200, true},
		{"global admin with level read", 1, admin, true, 200, 200, true, 200, true},
	}
	each(t, func(t *testing.T, a *api) {
		for _, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				a := a.within(t)
				project, foreign := a.newProject(), a.newProject()
				id, other := project["id"], foreign["id"]
				stored := a.call("/put_project_series", projectRow(id, "08038ade", nil), projectRow(other, "08038ade", nil)).rows()
				m := a.member(id, kind.level, kind.user)
				stranger := a.call("/get_users", row{"username": a.newUser(readOnly)}).only()["id"]
				byName := []row{{"name": project["name"]}, {"name": foreign["name"]}}

				var visible []row
				if kind.reads {
					visible = append(visible, project)
				}
				if kind.all {
					visible = append(visible, foreign)
				}
				seen := m.call("/get_projects", byName...).rows()
				same(t, "projects", column(visible, "id"), column(seen, "id"))
				every := m.post("/get_projects", "").rows()
				same(t, "of all projects", kind.reads, slices.Contains(column(every, "id"), fmt.Sprint(id)))
				same(t, "of all projects, the other", kind.all, slices.Contains(column(every, "id"), fmt.Sprint(other)))
				permissions := m.call("/get_project_permissions", byName...).rows()
				for _, p := range permissions {
					if !slices.Contains(column(visible, "id"), fmt.Sprint(p["parent_project_id"])) {
						t.Errorf("the permission %v of a project that may not be seen", p)
					}
				}
				same(t, "there are permissions", len(visible) > 0, len(permissions) > 0)

				wantSeries := func(project any, may bool, row1 row) {
					t.Helper()
					r := m.call("/get_project_series", row{"project_id": project})
					if !may {
						r.refused(http.StatusNotFound, "element 0", "no project")
						return
					}
					same(t, "series", row1, r.only())
				}
				wantSeries(id, kind.reads, stored[0])
				wantSeries(other, kind.all, stored[1])

				status := func(r *reply, want int) {
					t.Helper()
					if want == http.StatusOK {
						r.ok()
					} else {
						r.refused(want)
					}
				}
				onOther := http.StatusNotFound
				switch {
				case kind.all:
					onOther = http.StatusOK
				case kind.user["can_write"] != nil: // read only: refused before anything is looked up
					onOther = http.StatusForbidden
				}
				status(m.call("/put_project_series", projectRow(id, "00000001", nil)), kind.writes)
				status(m.call("/put_project_series", projectRow(other, "00000001", nil)), onOther)
				status(m.call("/put_project_permissions", row{"project_id": id, "user_id": stranger, "level": 1}), kind.rules)
				status(m.call("/put_project_permissions", row{"project_id": other, "user_id": stranger, "level": 1}), onOther)
				// nobody lifts themselves
				if kind.rules != http.StatusOK {
					m.call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": 3}).refused(kind.rules)
				}
				series := map[int]int{http.StatusOK: 2}[kind.writes]
				same(t, "rows of the project", max(series, 1), len(a.call("/get_project_series", row{"project_id": id}).rows()))
				same(t, "rows of the other", map[bool]int{true: 2, false: 1}[kind.all], len(a.call("/get_project_series", row{"project_id": other}).rows()))

				made := m.call("/put_projects", row{"name": newName("own")})
				status(made, kind.makes)
				if kind.makes == http.StatusOK {
					own := made.only()
					p := m.call("/get_project_permissions", row{"id": own["id"]}).only()
					same(t, "the maker's permission", []any{m.id, float64(3), own["id"]}, []any{p["parent_user_id"], p["level"], p["parent_project_id"]})
					same(t, "deleted", fmt.Sprint(own["id"]), fmt.Sprint(m.call("/delete_projects", row{"id": own["id"]}).only()["id"]))
				}

				deleted := m.call("/delete_projects", byName...)
				if kind.makes != http.StatusOK {
					deleted.refused(http.StatusForbidden)
				} else {
					var want []row
					if kind.drops {
						want = append(want, project)
					}
					if kind.all {
						want = append(want, foreign)
					}
					same(t, "deleted", column(want, "id"), column(deleted.rows(), "id"))
				}
				left := column(a.call("/get_projects", byName...).rows(), "id")
				same(t, "the project is left", !kind.drops, slices.Contains(left, fmt.Sprint(id)))
				same(t, "the other is left", !kind.all, slices.Contains(left, fmt.Sprint(other)))
				if kind.drops {
					a.call("/get_project_series", row{"project_id": id}).refused(http.StatusNotFound)
				}
			})
		}
		for _, path := range []string{
			"/get_projects", "/put_projects", "/delete_projects", "/get_project_permissions", "/put_project_permissions", "/get_project_series", "/put_project_series",
		} {
			a.as(nobody).post(path, "").refused(http.StatusUnauthorized)
			same(t, "Allow", http.MethodPost, a.get(path).refused(http.StatusMethodNotAllowed).header.Get("Allow"))
			if !strings.Contains(path, "get_project") || path == "/get_project_series" {
				same(t, path+" without elements", "[]", string(a.post(path, "null").ok().body))
			}
		}
	})
}

func TestProjectsAreMadeFoundAndDeleted(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		one, two := newName("Alpha"), newName("beta")
		made := a.call("/put_projects", row{"name": one, "description": "Berry farms\nof the north", "notes": "<b>"}, row{"name": two, "notes": nil}).rows()
		want := row{
			"id": made[0]["id"], "datetime_created": made[0]["datetime_created"], "name": one, "description": "Berry farms\nof the north", "notes": "<b>",
			"api_user": stack.AdminName, "api_version": spi.APIVersion,
		}
		same(t, "project", want, made[0])
		a.call("/put_projects", row{"name": newName("new")}, row{"name": strings.ToUpper(one)}).refused(http.StatusConflict, "element 1")
		same(t, "none of the request was made", 0, len(a.call("/get_projects", row{"name": "new%"}).rows()))
		for _, filter := range []row{
			{"name": one}, {"name": strings.ToUpper(one[:4]) + one[4:]}, {"name": one[:3] + "%", "description": "berry%"}, {"id": made[0]["id"]},
			{"notes": "<_>", "api_user": stack.AdminName, "name": one},
		} {
			same(t, fmt.Sprint(filter), made[:1], a.call("/get_projects", filter).rows())
		}
		same(t, "no description", made[1:], a.call("/get_projects", row{"description": nil, "name": two}).rows())
		same(t, "union", made, a.call("/get_projects", row{"name": two}, row{"name": one}, row{"name": two}).rows())
		same(t, "an unescaped _", 0, len(a.call("/get_projects", row{"name": "\\_" + one[1:]}).rows()))
		for _, path := range []string{"/get_projects", "/delete_projects", "/get_project_permissions"} {
			a.mistaken().call(path, row{"nam": one}).refused(http.StatusBadRequest, "element 0", "nam")
		}
		a.mistaken().call("/delete_projects", row{}).refused(http.StatusBadRequest, "element 0")
		same(t, "deleted", made, a.call("/delete_projects", row{"name": one}, row{"name": two}).rows())
		same(t, "left", 0, len(a.call("/get_projects", row{"name": one}, row{"name": two}).rows()))

		for name, bad := range map[string]row{
			"no name": {}, "an empty name": {"name": ""}, "a number": {"name": 5}, "33 characters": {"name": strings.Repeat("é", 33)},
			"a line feed": {"name": "a\nb"}, "a blank at the end": {"name": "a "}, "null": {"name": nil},
		} {
			r := a.mistaken().call("/put_projects", bad)
			if r.refused(http.StatusBadRequest, "element 0", "name"); t.Failed() {
				t.Fatal(name)
			}
		}
	})
}

func TestPermissionsAreSetAndGoWithTheirUser(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		project := a.newProject()
		id := project["id"]
		m := a.member(id, 1, readWrite)
		own := func() []row { return a.call("/get_project_permissions", row{"id": id}).rows() }
		before := own()
		same(t, "permissions", 2, len(before))
		raised := a.call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": 2}).only()
		same(t, "the same row", before[1]["id"], raised["id"])
		same(t, "permissions", []row{before[0], raised}, own())
		removed := a.call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": 0}).only()
		same[any](t, "level", 0.0, removed["level"])
		same(t, "permissions", before[:1], own())
		same(t, "removed again", 0, len(a.call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": 0}).rows()))

		a.call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": 1}, row{"project_id": id, "user_id": 1 << 30, "level": 1}).
			refused(http.StatusNotFound, "element 1", "user")
		a.call("/put_project_permissions", row{"project_id": 1 << 30, "user_id": m.id, "level": 1}).refused(http.StatusNotFound, "element 0", "project")
		for _, level := range []any{-1, 4, 1.5, "1", true, nil} {
			a.mistaken().call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": level}).refused(http.StatusBadRequest, "element 0", "level")
		}
		same(t, "permissions", before[:1], own())

		a.call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": 3}).only()
		a.call("/delete_users", row{"username": m.name}).only()
		same(t, "permissions", before[:1], own())
		a.call("/delete_projects", row{"id": id}).only()
	})
}

func TestSeriesOfProjectsKeepTheirColumns(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		id := a.newProject()["id"]
		sent := []row{
			projectRow(id, "08038ade", row{"site": "Ö\"\\\n<b>&", "height": 1.5, "count": 0, "seen_datetime": "2020-07-04T10:00:00Z", "day": "2020-07-04", "Zone": "", "absent": nil, "_1": -1e-7}),
			projectRow(id, "FFFFFFFF", nil),
		}
		stored := a.call("/put_project_series", sent...).rows()
		for i := range sent {
			want := row{"id": stored[i]["id"], "datetime_created": stored[i]["datetime_created"], "api_user": stack.AdminName, "api_version": spi.APIVersion}
			for field, value := range sent[i] {
				want[field] = value
				if n, ok := value.(int); ok {
					want[field] = float64(n)
				}
			}
			same(t, "row", want, stored[i])
		}
		same(t, "rows", stored, a.call("/get_project_series", row{"project_id": id}, row{"project_id": id}).rows())
		// numbers come back as they were written, and dates in the form of the request's
		got := a.post("/put_project_series", fmt.Sprintf(`[{"project_id":%v,"device":"08038ade","start_datetime":"2020-07-01_00-00-00","end_datetime":"2020-07-01",`+
			`"big":12345678901234567890,"one":1.0,"when":"2020-07-04T10:00:00Z"}]`, id)).ok()
		for _, text := range []string{`"big":12345678901234567890,`, `"one":1.0,`, `"when":"2020-07-04_10-00-00"`, `"end_datetime":"2020-07-01_00-00-00"`} {
			if !strings.Contains(string(got.body), text) {
				t.Errorf("%s does not hold %s", got.body, text)
			}
		}
		rows := 3
		for name, bad := range map[string]struct {
			row   row
			field string
		}{
			"a digit first":        {row{"1a": 1}, "1a"},
			"a blank in the name":  {row{"a b": 1}, "a b"},
			"no name":              {row{"": 1}, "column"},
			"quotes in the name":   {row{"a'; DROP TABLE projects; --": 1}, "column"},
			"a long name":          {row{strings.Repeat("a", 65): 1}, "column"},
			"a list":               {row{"a": []int{1}}, "a"},
			"an object":            {row{"a": row{}}, "a"},
			"a boolean":            {row{"a": true}, "a"},
			"the server's own":     {row{"id": 1}, "id"},
			"the server's in caps": {row{"API_USER": "x"}, "API_USER"},
			"a long text":          {row{"a": strings.Repeat("a", 4097)}, "a"},
			"no device":            {row{"device": "%"}, "device"},
			"the end first":        {row{"end_datetime": "2020-06-01"}, "end_datetime"},
			"a project's name":     {row{"project_id": "1"}, "project_id"},
		} {
			t.Run(name, func(t *testing.T) {
				a.within(t).mistaken().call("/put_project_series", projectRow(id, "08038ade", nil), projectRow(id, "08038ade", bad.row)).
					refused(http.StatusBadRequest, "element 1", bad.field)
			})
		}
		many, large := row{}, row{}
		for i := range 101 {
			many[fmt.Sprintf("c%03d", i)] = i
		}
		for i := range 5 {
			large[fmt.Sprintf("c%d", i)] = strings.Repeat("é", 2000)
		}
		a.mistaken().call("/put_project_series", projectRow(id, "08038ade", many)).refused(http.StatusBadRequest, "element 0", "100")
		a.mistaken().call("/put_project_series", projectRow(id, "08038ade", large)).refused(http.StatusBadRequest, "element 0", "bytes")
		delete(many, "c100")
		a.call("/put_project_series", projectRow(id, "08038ade", many)).only()
		same(t, "rows", rows+1, len(a.call("/get_project_series", row{"project_id": id}).rows()))
		a.call("/delete_projects", row{"id": id}).only()
	})
}

func TestHostileFieldsOfProjectsAreRefusedOrMeanNothing(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		// a user of their own, so that patterns reach nothing of others
		m := a.member(nil, 0, readWrite)
		id := m.newProject()["id"]
		for path, right := range map[string]func() row{
			"/get_projects": func() row {
				return row{"id": nil, "name": nil, "description": nil, "notes": nil, "api_user": nil, "api_version": nil, "datetime_created": nil}
			},
			"/get_project_permissions": func() row { return row{"id": nil, "name": nil} },
			// with a second field that no project has, so that a pattern deletes none
			"/delete_projects":         func() row { return row{"name": nil, "description": nil, "datetime_created": "never"} },
			"/put_projects":            func() row { return row{"name": newName("hostile"), "description": nil, "notes": nil} },
			"/put_project_permissions": func() row { return row{"project_id": id, "user_id": m.id, "level": 3} },
			"/get_project_series":      func() row { return row{"project_id": id} },
			"/put_project_series":      func() row { return projectRow(id, "08038ade", row{"free": 1}) },
		} {
			for field := range right() {
				if path == "/delete_projects" && field == "datetime_created" {
					continue
				}
				t.Run(path+" "+field, func(t *testing.T) { m.within(t).hostile(path, field, right) })
			}
			if path == "/put_project_permissions" { // level 0 is a right value too
				a.call("/put_project_permissions", row{"project_id": id, "user_id": m.id, "level": 3}).only()
			}
		}
		same(t, "the user's project", fmt.Sprint(id), fmt.Sprint(m.call("/get_projects", row{"id": id}).only()["id"]))
		m.post("/delete_projects", `[{"name":"%"}]`).ok()
	})
}
