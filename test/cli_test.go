package test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// person is somebody with the command spi and a home of their own.
type person struct {
	t      *testing.T
	binary string
	home   string
	env    []string
}

// ran is how a command ended.
type ran struct {
	t            *testing.T
	asked        string
	status       int
	stdout, errs string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	return &person{t: t, binary: stack.Binary(t, "services/spi", "./cmd/spi"), home: t.TempDir()}
}

// loggedIn is a person with an account.
func loggedIn(t *testing.T, s *stack.Stack, user, password string) *person {
	t.Helper()
	p := newPerson(t)
	p.typing(password+"\n", "login", s.URL, "--user", user).done()
	return p
}

// command is one that runs with nothing of this machine's settings.
func (p *person) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Dir = p.home
	cmd.Env = append([]string{
		"HOME=" + p.home, "XDG_CONFIG_HOME=" + filepath.Join(p.home, ".config"), "XDG_CACHE_HOME=" + filepath.Join(p.home, ".cache"),
		"PATH=" + os.Getenv("PATH"), "TZ=UTC",
	}, p.env...)
	return cmd
}

func (p *person) run(args ...string) *ran { return p.typing("", args...) }

// typing gives a command its standard input, which is no terminal.
func (p *person) typing(input string, args ...string) *ran {
	p.t.Helper()
	cmd := p.command(p.t.Context(), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	r := &ran{t: p.t, asked: "spi " + strings.Join(args, " "), status: cmd.ProcessState.ExitCode(), stdout: out.String(), errs: errs.String()}
	for _, word := range []string{"goroutine ", "panic:", "DATA RACE", "%!"} {
		if strings.Contains(r.stdout+r.errs, word) {
			p.t.Errorf("%s shows %q:\n%s%s", r.asked, word, r.stdout, r.errs)
		}
	}
	return r
}

// done checks that it did what it should.
func (r *ran) done() *ran { r.t.Helper(); return r.ended(0) }

func (r *ran) ended(status int) *ran {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: exit status %d, want %d; it says:\n%s%s", r.asked, r.status, status, r.stdout, r.errs)
	}
	return r
}

// failed checks the exit status and that the last line says what is wrong, in these words.
func (r *ran) failed(status int, words ...string) *ran {
	r.t.Helper()
	r.ended(status)
	lines := strings.Split(strings.TrimSpace(r.errs), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "spi: ") {
		r.t.Errorf("%s: the last line is %q", r.asked, last)
	}
	for _, word := range words {
		if !strings.Contains(last, word) {
			r.t.Errorf("%s: %q does not say %q", r.asked, last, word)
		}
	}
	for _, word := range []string{"dial tcp", "x509:", "invalid:", "unauthorized:", "unavailable:", "Post \""} {
		if strings.Contains(r.errs, word) {
			r.t.Errorf("%s: %q is written for programmers (%q)", r.asked, r.errs, word)
		}
	}
	return r
}

// says checks what people read.
func (r *ran) says(words ...string) *ran {
	r.t.Helper()
	for _, word := range words {
		if !strings.Contains(r.stdout+r.errs, word) {
			r.t.Errorf("%s does not say %q but:\n%s%s", r.asked, word, r.stdout, r.errs)
		}
	}
	return r
}

// rows reads a result of --json.
func (r *ran) rows() []row {
	r.t.Helper()
	var rows []row
	if err := json.Unmarshal([]byte(r.done().stdout), &rows); err != nil {
		r.t.Fatalf("%s: not a JSON list (%v): %.300s", r.asked, err, r.stdout)
	}
	return rows
}

// threeForms runs a command that lists something, and gives the rows of --json. It checks that the table has a title and a
// line for each, and that --csv holds the same fields and values.
func (p *person) threeForms(args ...string) []row {
	p.t.Helper()
	rows := p.run(append(args, "--json")...).rows()
	if len(rows) == 0 {
		p.t.Fatalf("spi %s: nothing is there", strings.Join(args, " "))
	}
	table := strings.Split(strings.TrimSuffix(p.run(args...).done().stdout, "\n"), "\n")
	if len(table) != len(rows)+1 || strings.ToUpper(table[0]) != table[0] {
		p.t.Errorf("spi %s: the table of %d rows is\n%s", strings.Join(args, " "), len(rows), strings.Join(table, "\n"))
	}
	records, err := csv.NewReader(strings.NewReader(p.run(append(args, "--csv")...).done().stdout)).ReadAll()
	if err != nil || len(records) != len(rows)+1 {
		p.t.Fatalf("spi %s --csv: %d lines, %v", strings.Join(args, " "), len(records), err)
	}
	for i, want := range rows {
		for j, name := range records[0] {
			value, there := want[name]
			got := records[i+1][j]
			text, isText := value.(string)
			switch {
			case !there && name == "columns": // a project's own, which stand beside the others in JSON
			case !there && got != "", value == nil && got != "", isText && got != text:
				p.t.Errorf("spi %s: row %d has %s %q in CSV, %v in JSON", strings.Join(args, " "), i, name, got, value)
			}
		}
		for name := range want {
			if !slices.Contains(records[0], name) && !slices.Contains(records[0], "columns") {
				p.t.Errorf("spi %s: CSV has no %s", strings.Join(args, " "), name)
			}
		}
	}
	return rows
}

var cliDevices atomic.Int64

// card is a folder of photographs of a device that no other test has, one each 20 minutes from noon on.
func card(t *testing.T, n int) (dir, device string, files map[string][]byte) {
	t.Helper()
	device = fmt.Sprintf("c11%05x", cliDevices.Add(1))
	dir, files = t.TempDir(), map[string][]byte{}
	for i := range n {
		name := spitest.Name(device, noon.Add(time.Duration(i)*20*time.Minute))
		files[name] = spitest.JPEG(spitest.Photo{Width: 240, Height: 180, Seed: uint64(i)})
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, device, files
}

// tree gives the files below a folder that a download made, without the lock.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == ".spi-download.lock" {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(relative)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantFiles(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	got := tree(t, dir)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Fatalf("files in the folder (-want +got):\n%s", diff)
	}
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s has other bytes", name)
		}
	}
}

func (p *person) file(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func TestTheCommandLineFromACardToItsPictures(t *testing.T) {
	t.Parallel()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		p := loggedIn(t, s, stack.AdminName, stack.AdminPassword)
		dir, device, files := card(t, 8)
		p.run("upload", dir).done()

		rows := p.threeForms("list", "--since", "2020", "-d", device)
		var sums []string
		for _, r := range rows {
			sums = append(sums, r.text("device")+" "+r.text("md5"))
		}
		var want []string
		for _, name := range slices.Sorted(maps.Keys(files)) {
			want = append(want, device+" "+md5Hex(files[name]))
		}
		if diff := cmp.Diff(want, sums); diff != "" {
			t.Errorf("images (-want +got):\n%s", diff)
		}
		if n := len(p.run("list", "--since", noon.Format(time.DateOnly)+" 12:20", "--until", noon.Format(time.DateOnly)+" 13:00", "-d", device, "--json").rows()); n != 2 {
			t.Errorf("from 12:20 to before 13:00 there are %d images", n)
		}
		if n := len(p.run("list", "--since", noon.Format(time.DateOnly), "--until", noon.Format(time.DateOnly), "-d", device[:7]+"?", "--json").rows()); n < len(files) {
			t.Errorf("the day has %d images", n)
		}
		if urls := p.run("list", "--since", "2020", "-d", device, "--what", "image", "--json").rows(); !strings.HasPrefix(urls[0].text("url"), "http") {
			t.Errorf("with --what image: %v", urls[0])
		}
		p.run("list", "--since", "2030", "-d", device).done().says("there are no images")

		out := filepath.Join(p.home, "pictures")
		byDevice := map[string][]byte{}
		for name, data := range files {
			byDevice[device+"/"+name] = data
		}
		download := []string{"download", "--since", "2020", "-d", device, "--out", out}
		p.run(download...).done().says("8 images downloaded", "0 were there already")
		wantFiles(t, out, byDevice)

		// what is damaged or missing comes again, and only that
		names := slices.Sorted(maps.Keys(byDevice))
		if err := errors.Join(os.Truncate(filepath.Join(out, names[0]), 100), os.Remove(filepath.Join(out, names[1]))); err != nil {
			t.Fatal(err)
		}
		p.run(download...).done().says("2 images downloaded", "6 were there already")
		wantFiles(t, out, byDevice)
		p.run(append(download, "--trust")...).done().says("0 images downloaded", "8 were there already")

		small := filepath.Join(p.home, "small")
		p.run("download", "--since", "2020", "-d", device, "--out", small, "--what", "thumbnail-mini", "--name", "{date}/{time}-{device}.jpg", "-q").done()
		for name, data := range tree(t, small) {
			if !strings.HasPrefix(name, noon.Format(time.DateOnly)+"/1") || !bytes.HasPrefix(data, []byte{0xff, 0xd8}) {
				t.Errorf("%s: %d bytes", name, len(data))
			}
		}
		p.run("download", "--since", "2020", "-d", device, "--out", small, "--what", "metadata").done().says("8 images are in")
		table, err := csv.NewReader(bytes.NewReader(tree(t, small)["images.csv"])).ReadAll()
		if err != nil || len(table) != 9 {
			t.Errorf("images.csv has %d lines, %v", len(table), err)
		}

		if devices := p.threeForms("devices", "-d", device); devices[0].text("device") != device {
			t.Errorf("devices: %v", devices)
		}

		gone := slices.Sorted(maps.Keys(files))[0]
		p.run("delete", gone).failed(2, "1 image and", "--yes")
		p.run("delete", gone, "--yes").done().says(strings.TrimSuffix(gone, ".jpg"))
		p.run("delete", gone, "--yes").failed(1, "1 of 1 image was not there")
		if n := len(p.run("list", "--since", "2020", "-d", device, "--json").rows()); n != 7 {
			t.Errorf("after deleting one of 8 there are %d", n)
		}

		p.run("logout").done().says("logged out of " + s.URL)
		p.run("list", "--since", "2020").failed(4, "not logged in", "spi login")
		p.run("logout").done().says("not logged in")
	})
}

// imageOf is the image that a row is of.
func imageOf(r row) string { return r.text("device") + " " + r.text("datetime") }

func TestTheCommandLineAndWhatWasFoundOnImages(t *testing.T) {
	t.Parallel()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		p := loggedIn(t, s, stack.AdminName, stack.AdminPassword)
		dir, device, files := card(t, 3)
		p.run("upload", dir).done()
		p.run("annotations", "get", "--since", "2020", "-d", device).done().says("there are no annotations")

		document := func(name string, algorithm string) string {
			at := strings.TrimSuffix(strings.TrimPrefix(name, device+"."), ".jpg")
			return fmt.Sprintf(`{"annotations":[{"contour":[[[1,1]],[[9,1]],[[5,8]]],"name":"insect","value":0,"stroke_colour":"#0000ff","fill_colour":"#ff0000"}],`+
				`"metadata":{"algo_name":%q,"algo_version":%q,"device":%q,"datetime":%q,"md5":%q}}`, algorithm, matcherVersion, device, at, md5Hex(files[name]))
		}
		names := slices.Sorted(maps.Keys(files))
		algorithm := "detector-" + device
		one, list := p.file("one.json", document(names[0], algorithm)), p.file("list.json", "["+document(names[1], algorithm)+"]")
		p.run("annotations", "put", one, list).done().says("2 annotations stored")
		p.run("annotations", "put", one).failed(1, "already")
		p.run("annotations", "put", one, p.file("new.json", document(names[2], algorithm))).failed(3, "1 of 2 files").says("one.json: ", "1 annotation stored")
		p.typing(document(names[2], algorithm+"-2"), "annotations", "put", "-").done()
		p.run("annotations", "put", p.file("bad.json", "{")).failed(1, "bad.json", "not JSON")
		if rows := p.threeForms("annotations", "get", "--since", "2020", "-d", device); len(rows) != 4 || rows[0]["json"] != "" || rows[0]["n_objects"] != 1.0 {
			t.Errorf("annotations: %v", rows)
		} else {
			same(t, "devices and times", []string{
				device + " " + spi.FormatDatetime(noon, spi.DateV2), device + " " + spi.FormatDatetime(noon.Add(20*time.Minute), spi.DateV2),
				device + " " + spi.FormatDatetime(noon.Add(40*time.Minute), spi.DateV2), device + " " + spi.FormatDatetime(noon.Add(40*time.Minute), spi.DateV2),
			}, []string{imageOf(rows[0]), imageOf(rows[1]), imageOf(rows[2]), imageOf(rows[3])})
		}
		if rows := p.run("annotations", "get", "--since", "2020", "-d", device, "--full", "--json").rows(); rows[0].text("json") != document(names[0], algorithm) {
			t.Errorf("the document came back as %v", rows[0]["json"])
		}
		if out := p.run("annotations", "get", "--since", "2020", "-d", device, "--documents").done().stdout; out != strings.Join([]string{
			document(names[0], algorithm), document(names[1], algorithm), document(names[2], algorithm), document(names[2], algorithm+"-2"), "",
		}, "\n") {
			t.Errorf("documents:\n%s", out)
		}

		// a detector asks for work and fails three times
		c, err := spi.New(s.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
		if err != nil {
			t.Fatal(err)
		}
		always := spi.Series{Device: device, Start: spi.Datetime{Time: noon}, End: spi.Datetime{Time: noon.AddDate(0, 0, 1)}}
		for range 3 {
			var leased []spi.Image
			awaitThat(t, "an image is leased", func() (string, bool) { // not while another test's images are being deleted
				var err error
				leased, err = c.LeaseImages(t.Context(), spi.Metadata, spi.WorkRequest{Series: always, AlgoName: "failing-" + device, AlgoVersion: matcherVersion, Limit: 1})
				return fmt.Sprint(err), len(leased) == 1
			})
			if _, err := c.ReportFailures(t.Context(), spi.FailureReport{
				ImageKey: spi.ImageKey{Device: device, Datetime: leased[0].Datetime}, AlgoName: "failing-" + device, AlgoVersion: matcherVersion, Reason: "\x1b[31mred",
			}); err != nil {
				t.Fatal(err)
			}
		}
		awaitThat(t, "the backlog has the failed image", func() (string, bool) { // what took long to count is told for a while longer
			rows := p.run("backlog", "failing-"+device, "--json").rows()
			return fmt.Sprint(rows), len(rows) == 1 && rows[0]["failed"] == 1.0
		})
		p.threeForms("backlog", "failing-"+device)
		if rows := p.threeForms("failures", "--since", "2020", "-d", device, "--algorithm", "failing-"+device); len(rows) != 1 {
			t.Errorf("failures: %v", rows)
		}
		if out := p.run("failures", "--since", "2020", "-d", device).done().stdout; strings.Contains(out, "\x1b") || !strings.Contains(out, "[31mred") {
			t.Errorf("a terminal would obey a detector's words:\n%q", out)
		}
		p.run("failures", "--since", "2020", "-d", device, "--retry").done().says(device)
		p.run("failures", "--since", "2020", "-d", device).done().says("there are no failed images")

		var folders []string
		insects := []insect{newInsect(device, 0, 0), newInsect(device, 0, 1)}
		want := map[string][]byte{}
		for _, n := range insects {
			folder := filepath.Join(p.home, "tuboids", n.id())
			folders = append(folders, folder)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string][]byte{"tuboid.jpg": n.tuboid, "context.jpg": n.context, "metadata.txt": n.metadata} {
				want[n.series()+"/"+n.id()+"/"+name] = data
				p.file(filepath.Join("tuboids", n.id(), name), string(data))
			}
		}
		info, err := json.Marshal(insects[0].info(spi.DateV1))
		if err != nil {
			t.Fatal(err)
		}
		series := p.file("series.json", string(info))
		p.run(append([]string{"tuboids", "put", "--series", series}, folders...)...).done().says("2 tuboids uploaded")
		p.run("tuboids", "put", "--series", series, folders[0]).failed(1, "1 of 1").says("already")
		if rows := p.threeForms("tuboids", "get", "--since", "2020", "-d", device); rows[0].text("tuboid_id") != insects[0].id() {
			t.Errorf("tuboids: %v", rows)
		}
		out := filepath.Join(p.home, "insects")
		p.run("tuboids", "get", "--since", "2020", "-d", device, "--out", out).done().says("2 tuboids downloaded")
		wantFiles(t, out, want)
		p.run("tuboids", "get", "--since", "2020", "-d", device, "--out", out).done().says("2 were there already")

		label := fmt.Sprintf(`{"tuboid_id":%q,"algo_name":"itc","algo_version":%q,"label":3,"pattern":"^Insecta","type":"insect","order":"Diptera"}`, insects[0].id(), matcherVersion)
		p.typing(label, "labels", "put", "-").done().says("1 label stored")
		if rows := p.threeForms("labels", "get", insects[0].id(), insects[1].id()); len(rows) != 1 || rows[0].text("order") != "Diptera" {
			t.Errorf("labels: %v", rows)
		}
		if rows := p.typing(insects[0].id()+"\n", "labels", "get", "-", "--json").rows(); len(rows) != 1 {
			t.Errorf("labels of standard input: %v", rows)
		}

		bundle, source := "cli-"+device, filepath.Join(p.home, "bundle")
		if err := os.MkdirAll(filepath.Join(source, "config"), 0o755); err != nil {
			t.Fatal(err)
		}
		p.file("bundle/config/model.yaml", "a: 1\n")
		p.run("bundle", "push", bundle, source).done().says("config/model.yaml", "1 file uploaded")
		p.run("bundle", "push", bundle, source).done().says("0 files uploaded")
		if rows := p.threeForms("bundle", "list", bundle); rows[0].text("key") != "config/model.yaml" {
			t.Errorf("bundle: %v", rows)
		}
		// written before the server's own was pushed
		p.file("bundle/config/model.yaml", "a: 2\n")
		long := time.Now().Add(-24 * time.Hour)
		if err := os.Chtimes(filepath.Join(source, "config", "model.yaml"), long, long); err != nil {
			t.Fatal(err)
		}
		p.run("bundle", "push", bundle, source).failed(1, "the server keeps its own", "touch "+filepath.Join(source, "config", "model.yaml"))
		pulled := filepath.Join(p.home, "pulled")
		p.run("bundle", "pull", bundle, pulled, "--part", "data").done().says("1 file downloaded")
		wantFiles(t, pulled, map[string][]byte{"config/model.yaml": []byte("a: 1\n")})
		p.run("bundle", "pull", "no-"+bundle, pulled).failed(1, "there is no bundle")
	})
}

func TestTheCommandLineManagesPeopleAndProjects(t *testing.T) {
	t.Parallel()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		p := loggedIn(t, s, stack.AdminName, stack.AdminPassword)
		id := cliDevices.Add(1)
		anna, bob := fmt.Sprintf("anna_%d", id), fmt.Sprintf("annaX%d", id) // a name that the other one's, as a pattern, matches

		made := p.run("users", "add", anna, "--generate", "--email", anna+"@example.org").done()
		password := strings.TrimSpace(made.stdout)
		p.run("users", "add", bob, "--read-only", "--password-file", p.file("password", "the password of bob\n")).done().says("read only")
		p.run("users", "add", bob, "--generate").failed(1, "already")
		p.typing("short\n", "users", "add", "carl").failed(1, "5 characters", "at least 11")
		p.typing("", "users", "add", "carl").failed(2, "--password-file", "SPI_NEW_PASSWORD")
		p.run("users", "add", "carl", "--admin", "--read-only").failed(2, "--admin")
		var names []string
		for _, u := range p.threeForms("users", "list") {
			names = append(names, u.text("username"))
		}
		if !slices.Contains(names, anna) || !slices.Contains(names, bob) {
			t.Errorf("users: %v", names)
		}

		a := loggedIn(t, s, anna, password)
		a.run("users", "list").failed(4, "not allowed")
		a.run("projects", "create", "project "+anna, "--description", "moths", "--notes", "at night").done()
		a.run("projects", "create", "project "+anna).failed(1, "already")
		if rows := a.threeForms("projects", "list"); len(rows) != 1 || rows[0].text("notes") != "at night" {
			t.Errorf("projects: %v", rows)
		}
		a.run("projects", "add", "project "+anna, "-d", "5c173ff2", "--since", "2026-06-01", "--until", "2026-06-30", "-c", "site=Bern", "-c", "height=540.5").done()
		if rows := a.threeForms("projects", "series", "project "+anna); rows[0]["site"] != "Bern" || rows[0]["height"] != 540.5 ||
			rows[0]["start_datetime"] != "2026-06-01T00:00:00Z" || rows[0]["end_datetime"] != "2026-07-01T00:00:00Z" {
			t.Errorf("series: %v", rows)
		}
		p.run("projects", "permit", "project "+anna, bob, "read").done()
		if rows := p.threeForms("projects", "members", "project "+anna); len(rows) != 2 {
			t.Errorf("members: %v", rows)
		}
		a.run("projects", "members", "project "+anna).done().says("number ", "admin", "read")
		b := loggedIn(t, s, bob, "the password of bob")
		b.run("projects", "delete", "project "+anna, "--yes").failed(4, "not allowed")
		b.run("projects", "series", "nothing").failed(1, "there is no project")
		p.run("projects", "permit", "project "+anna, bob, "all").failed(2, "all")
		a.run("projects", "delete", "project "+anna).failed(2, "--yes")
		a.run("projects", "delete", "project "+anna, "--yes").done()

		a.run("users", "reset", anna, "--password-file", a.file("new", "another password\n")).done()
		a.run("list", "--since", "2020").failed(4, "spi login", anna)
		a.typing(password+"\n", "login", s.URL, "--user", anna).failed(4, "with that password")
		a.typing("another password\n", "login", s.URL, "--user", anna).done()

		p.run("users", "delete", anna, "--yes").done()
		p.run("users", "delete", anna, "--yes").failed(1, "there is no user")
		if rows := p.run("users", "list", "--json").rows(); !slices.Contains(column(rows, "username"), bob) {
			t.Errorf("with %s, %s was deleted", anna, bob)
		}
		p.run("users", "delete", bob, "--yes").done()
	})
}

func TestTheCommandLineLeadsANewUserToLogInAndUpload(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	help := p.run("--help").done().stdout
	login, upload := strings.Index(help, "spi login https://"), strings.Index(help, "spi upload FOLDER")
	if login < 0 || upload < login {
		t.Errorf("--help does not lead to login, then upload:\n%s", help)
	}
	if bare := p.run().done().stdout; bare != help {
		t.Errorf("without a command it says:\n%s", bare)
	}
	p.run("lisst").failed(2, `did you mean "list"`)
	p.run("list").failed(2, "--since", "spi list --help")
	p.run("list", "--since", "06/20/2026").failed(2, "the year first")
	p.run("list", "--since", "2026-06-20", "--until", "2026-06-19").failed(2, "the range is empty")
	p.run("list", "--since", "today", "--tz", "Europe/Atlantis").failed(2, "not a time zone")
	p.run("download", "--since", "today", "--out", "x", "--name", "../{name}").failed(2, "folder of --out")
	p.run("download", "--since", "today", "--out", "x", "--name", "{device}.jpg").failed(2, "several images one name")
	p.run("download", "--since", "today", "--out", "x", "--name", "{colour}/{name}").failed(2, "unknown {...}")
	p.run("version").done().says("spi ", "linux/")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code := p.run("completion", shell, "--code").done().stdout; !strings.Contains(code, "COMP_LINE") && !strings.Contains(code, "complete ") {
			t.Errorf("completion of %s: %s", shell, code)
		}
	}
	cmd := p.command(t.Context())
	cmd.Env = append(cmd.Env, "COMP_LINE=spi down", "COMP_POINT=8")
	if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != "download" {
		t.Errorf("the shell is offered %q (%v) for 'spi down'", out, err)
	}
}
