package spi

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

const tuboidName = "08038ade.2020-07-08_20-00-00.2020-07-09_15-00-00.1606980656-a.0028"

const oneTuboid = `{"algo_name_series":"m","algo_version_series":"1606980656-a","api_user":"anna","api_version":"3.0.0",` +
	`"datetime_created":"2020-12-03T10:12:40Z","device_series":"08038ade","end_datetime":"2020-07-09T14:31:07Z","end_datetime_series":"2020-07-09T15:00:00Z",` +
	`"id":7,"id_in_series":28,"n_shots":37,"n_tuboids_series":45,"parent_series_id":3,"start_datetime":"2020-07-09T03:16:42Z",` +
	`"start_datetime_series":"2020-07-08T20:00:00Z","tuboid_id":"` + tuboidName + `"}`

func at(s string) Datetime {
	t, _, err := ParseDatetime(s)
	if err != nil {
		panic(err)
	}
	return Datetime{t}
}

var theTuboid = Tuboid{
	ID: 7, ParentSeriesID: 3, TuboidID: tuboidName, IDInSeries: 28, Start: at("2020-07-09T03:16:42Z"), End: at("2020-07-09T14:31:07Z"), NShots: 37,
	AlgoNameSeries: "m", AlgoVersionSeries: "1606980656-a", NTuboidsSeries: 45, DeviceSeries: "08038ade", StartSeries: at("2020-07-08T20:00:00Z"),
	EndSeries: at("2020-07-09T15:00:00Z"), DatetimeCreated: at("2020-12-03T10:12:40Z"), APIVersion: new("3.0.0"), APIUser: new("anna"),
}

func aTuboid() TuboidUpload {
	return TuboidUpload{
		TuboidID: tuboidName,
		Series: TuboidSeriesInfo{
			Device: "08038ade", Start: at("2020-07-08T20:00:00Z"), End: at("2020-07-09T15:00:00Z"), AlgoName: "m", AlgoVersion: "1606980656-a", NTuboids: 45, NImages: 57,
		},
		Metadata: []byte("lines"), Tuboid: []byte("tiles"), Context: []byte("picture"),
	}
}

func TestPutTuboidSendsTheFormWithChecksums(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
		}
		got := map[string]string{}
		for name, headers := range r.MultipartForm.File {
			f, err := headers[0].Open()
			if err != nil {
				t.Error(err)
			}
			data, _ := io.ReadAll(f)
			got[name] = string(data)
			sum := md5.Sum(data)
			expect(t, name+".md5", r.FormValue(name+".md5"), hex.EncodeToString(sum[:]))
		}
		expect(t, "form", got, map[string]string{
			"tuboid_id": `"` + tuboidName + `"`, "metadata": "lines", "tuboid": "tiles", "context": "picture",
			"series_info": `{"device":"08038ade","start_datetime":"2020-07-08T20:00:00Z","end_datetime":"2020-07-09T15:00:00Z",` +
				`"algo_name":"m","algo_version":"1606980656-a","n_tuboids":45,"n_images":57}`,
		})
		write(w, "[["+oneTuboid+"]]")
	})
	c, _ := newClient(t, s)
	got, err := c.PutTuboid(t.Context(), aTuboid())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "tuboid", got, theTuboid)
}

func TestPutTuboidThatWasStoredBeforeTheConnectionBrokeCountsAsUploaded(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, n int) {
		switch {
		case r.URL.Path == "/get_tiled_tuboid_series/metadata":
			body, _ := io.ReadAll(r.Body)
			expect(t, "asked for", string(body), `[{"device":"08038ade","start_datetime":"2020-07-08T20:00:00Z","end_datetime":"2020-07-09T15:00:00Z"}]`)
			write(w, "["+oneTuboid+"]")
		case n == 0:
			drop(w)
		default:
			refuse(w, CodeConflict, "it is there already")
		}
	})
	c, waited := newClient(t, s)
	got, err := c.PutTuboid(t.Context(), aTuboid())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "tuboid", got, theTuboid)
	expect(t, "waits", waited.all, []time.Duration{time.Second})
}

func TestPutTuboidGivesConflictsAndGivesUp(t *testing.T) {
	for name, test := range map[string]struct {
		answer   func(w http.ResponseWriter, r *http.Request, n int)
		code     Code
		requests int
	}{
		"there before": {func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, CodeConflict, "there") }, CodeConflict, 1},
		"refused, then there": {func(w http.ResponseWriter, _ *http.Request, n int) {
			refuse(w, []Code{CodeUnavailable, CodeConflict}[min(n, 1)], "no")
		}, CodeConflict, 2},
		"broken, then full": {func(w http.ResponseWriter, _ *http.Request, n int) {
			switch n {
			case 0:
				drop(w)
			case 1:
				refuse(w, CodeConflict, "full")
			default:
				write(w, "[]")
			}
		}, CodeConflict, 3},
		"invalid":        {func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, CodeInvalid, "no") }, CodeInvalid, 1},
		"away":           {func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, CodeUnavailable, "no") }, CodeUnavailable, 3},
		"cut short":      {func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "[["+oneTuboid) }, CodeUnavailable, 3},
		"nothing":        {func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "[]") }, CodeInternal, 1},
		"two for one":    {func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "[["+oneTuboid+","+oneTuboid+"]]") }, CodeInternal, 1},
		"a list too few": {func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, "["+oneTuboid+"]") }, CodeUnavailable, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, test.answer)
			c, _ := newClient(t, s)
			_, err := c.PutTuboid(t.Context(), aTuboid())
			expectCode(t, err, test.code)
			expect(t, "requests", len(s.requests())-1, test.requests) // but the log-in
		})
	}
}

func TestTuboidsLabelsAndProjectsAreAskedForAsTheProtocolSays(t *testing.T) {
	var got []string
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.URL.EscapedPath()+" "+string(body))
		write(w, "[]")
	})
	c, _ := newClient(t, s)
	ctx, span := t.Context(), Series{Device: "%", Start: at("2020-07-08"), End: at("2020-07-09")}
	for _, call := range []func() error{
		func() error { _, err := Collect(c.GetTuboidSeries(ctx, TuboidData, span)); return err },
		func() error { _, err := c.DeleteTuboids(ctx, span); return err },
		func() error {
			_, err := c.PutLabels(ctx, NewLabel{TuboidID: "t", AlgoName: "a", AlgoVersion: "v", Label: -1, Pattern: "p", Type: "y", Order: new("o")})
			return err
		},
		func() error { _, err := Collect(c.GetLabels(ctx, "t", "u")); return err },
		func() error { _, err := c.GetProjects(ctx); return err },
		func() error { _, err := c.PutProjects(ctx, NewProject{Name: "p", Notes: new("n")}); return err },
		func() error { _, err := c.DeleteProjects(ctx, ProjectFilter{"id": 1}); return err },
		func() error { _, err := c.GetProjectPermissions(ctx, ProjectFilter{"name": "p%"}); return err },
		func() error {
			_, err := c.PutProjectPermissions(ctx, NewPermission{ProjectID: 1, UserID: 2, Level: LevelWrite})
			return err
		},
		func() error { _, err := Collect(c.GetProjectSeries(ctx, 1, 2)); return err },
		func() error {
			_, err := c.PutProjectSeries(ctx, NewProjectSeries{
				ProjectID: 1, Device: "08038ade", Start: span.Start, End: span.End, Columns: map[string]any{"site": "a", "h": 1.5, "at": span.Start, "no": nil},
			})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	const spanText = `[{"device":"%","start_datetime":"2020-07-08T00:00:00Z","end_datetime":"2020-07-09T00:00:00Z"}]`
	expect(t, "requests", got, []string{
		"/get_tiled_tuboid_series/data " + spanText,
		"/delete_tiled_tuboids " + spanText,
		`/put_itc_labels [{"tuboid_id":"t","algo_name":"a","algo_version":"v","label":-1,"pattern":"p","type":"y","order":"o"}]`,
		`/_get_itc_labels [{"tuboid_id":"t"},{"tuboid_id":"u"}]`,
		"/get_projects []",
		`/put_projects [{"name":"p","notes":"n"}]`,
		`/delete_projects [{"id":1}]`,
		`/get_project_permissions [{"name":"p%"}]`,
		`/put_project_permissions [{"project_id":1,"user_id":2,"level":2}]`,
		`/get_project_series [{"project_id":1},{"project_id":2}]`,
		`/put_project_series [{"at":"2020-07-08T00:00:00Z","device":"08038ade","end_datetime":"2020-07-09T00:00:00Z","h":1.5,"no":null,"project_id":1,"site":"a","start_datetime":"2020-07-08T00:00:00Z"}]`,
	})
	_, err := c.PutProjectSeries(ctx, NewProjectSeries{Columns: map[string]any{"device": "a"}})
	expectCode(t, err, CodeInvalid)
	expect(t, "requests", len(got), 11)
}

func TestRowsOfTuboidsLabelsAndProjectsAreRead(t *testing.T) {
	const usual = `"api_user":null,"api_version":"3.0.0","datetime_created":"2020-12-03_10-12-40","id":1,`
	replies := map[string]string{
		"/delete_tiled_tuboids":         `[{` + usual + `"algo_name":"m","algo_version":"v","device":"08038ade","end_datetime":"2020-07-09_15-00-00","n_images":57,"n_tuboids":45,"start_datetime":"2020-07-08_20-00-00"}]`,
		"/put_itc_labels":               `[{` + usual + `"algo_name":"a","algo_version":"v","family":null,"genus":"g","label":5,"order":null,"parent_tuboid_id":7,"pattern":"p","species":null,"type":"t"}]`,
		"/get_projects":                 `[{` + usual + `"description":null,"name":"farms","notes":"n"}]`,
		"/put_project_permissions":      `[{` + usual + `"level":3,"parent_project_id":1,"parent_user_id":2}]`,
		"/get_project_series":           `[{` + usual + `"device":"08038ade","end_datetime":"2020-07-09_15-00-00","h":12345678901234567890,"none":null,"project_id":4,"site":"a","start_datetime":"2020-07-08_20-00-00"}]`,
		"/get_tiled_tuboid_series/data": `[` + oneTuboid[:len(oneTuboid)-1] + `,"tuboid":"http://t","metadata":"http://m","context":"http://c"}]`,
	}
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ int) { write(w, replies[r.URL.Path]) })
	c, _ := newClient(t, s)
	created, version := at("2020-12-03_10-12-40"), new("3.0.0")
	start, end := at("2020-07-08_20-00-00"), at("2020-07-09_15-00-00")

	series, err := c.DeleteTuboids(t.Context())
	expect(t, "error", err, nil)
	expect(t, "series", series, []TuboidSeries{{ID: 1, DatetimeCreated: created, APIVersion: version, TuboidSeriesInfo: TuboidSeriesInfo{
		Device: "08038ade", Start: start, End: end, AlgoName: "m", AlgoVersion: "v", NTuboids: 45, NImages: 57,
	}}})
	labels, err := c.PutLabels(t.Context(), NewLabel{})
	expect(t, "error", err, nil)
	expect(t, "labels", labels, []Label{{
		ID: 1, ParentTuboidID: 7, AlgoName: "a", AlgoVersion: "v", Label: 5, Pattern: "p", Type: "t", Genus: new("g"), DatetimeCreated: created, APIVersion: version,
	}})
	projects, err := c.GetProjects(t.Context())
	expect(t, "error", err, nil)
	expect(t, "projects", projects, []Project{{ID: 1, Name: "farms", Notes: new("n"), DatetimeCreated: created, APIVersion: version}})
	permissions, err := c.PutProjectPermissions(t.Context())
	expect(t, "error", err, nil)
	expect(t, "permissions", permissions, []Permission{{ID: 1, ParentProjectID: 1, ParentUserID: 2, Level: LevelAdmin, DatetimeCreated: created, APIVersion: version}})
	rows, err := Collect(c.GetProjectSeries(t.Context(), 4))
	expect(t, "error", err, nil)
	expect(t, "rows", rows, []ProjectSeries{{
		ID: 1, ProjectID: 4, Device: "08038ade", Start: start, End: end, DatetimeCreated: created, APIVersion: version,
		Columns: map[string]any{"site": "a", "h": json.Number("12345678901234567890"), "none": nil},
	}})
	tuboids, err := Collect(c.GetTuboidSeries(t.Context(), TuboidData))
	expect(t, "error", err, nil)
	want := theTuboid
	want.TuboidURL, want.MetadataURL, want.ContextURL = "http://t", "http://m", "http://c"
	expect(t, "tuboids", tuboids, []Tuboid{want})

	for _, bad := range []string{`{}`, `[]`, `{"id":"1"}`, `{` + usual + `"device":"a","end_datetime":"2020-07-09","project_id":4,"start_datetime":"2020-07-08","a":{}}`} {
		var row ProjectSeries
		if err := json.Unmarshal([]byte(bad), &row); err == nil {
			t.Errorf("%s was read as %+v", bad, row)
		}
	}
}
