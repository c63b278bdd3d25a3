package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/upload"
)

// quiet is an app without a terminal, whose words go to a file.
func quiet(t *testing.T) (a *app, said func() string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	a = &app{globals: globals{Settings: filepath.Join(t.TempDir(), "login.json"), Profile: "default"}, in: out, out: out, errs: out}
	return a, func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	asked := func(err error) error {
		return spi.Wrap(spi.CodeUnavailable, &url.Error{Op: "Post", URL: "https://api.example.org/get_users", Err: err}, "the connection to the server failed")
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	for _, test := range []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		words  string
	}{
		{"no such host", nil, asked(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "api.example.org", IsNotFound: true}}), exitUnreachable, "there is no server by the name of api.example.org"},
		{"no name server", nil, asked(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "api.example.org", IsTimeout: true}}), exitUnreachable, "is this computer online?"},
		{"no route", nil, asked(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}), exitUnreachable, "the connection to https://api.example.org failed"},
		{"time-out", nil, asked(&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}), exitUnreachable, "does not answer in time"},
		{"unknown authority", nil, asked(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), exitUnreachable, "--ca-file"},
		{"another certificate fault", nil, asked(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}}), exitUnreachable, "is not valid"},
		{"rate limit", nil, &spi.Error{Code: spi.CodeRateLimited, Message: "too many failed log-ins", RetryAfter: 90 * time.Second}, exitUnreachable, "try again in 1m30s"},
		{"server's fault", nil, spi.Wrap(spi.CodeInternal, errors.New("POST get_users: status 500, request \"R1\""), "something broke"), exitFailed, "request \"R1\"): tell its operator"},
		{"not allowed", nil, spi.Errorf(spi.CodeForbidden, "this needs a user who is admin"), exitLogin, "not allowed: this needs"},
		{"token ended", nil, spi.Errorf(spi.CodeUnauthorized, "the token is not valid"), exitLogin, "spi login https://api.YOUR-SERVER --user YOU"},
		{"full disk", nil, fmt.Errorf("writing: %w", &fs.PathError{Op: "write", Path: "/media/x.jpg", Err: syscall.ENOSPC}), exitFailed, "the disk is full (/media/x.jpg): make room"},
		{"file of this machine", nil, spi.Wrap(spi.CodeInvalid, &fs.PathError{Op: "open", Path: "x.yaml", Err: fs.ErrPermission}, "\"x.yaml\" cannot be read"), exitFailed, "cannot be read: open x.yaml: permission denied"},
		{"interrupted", ended, fmt.Errorf("get_users: %w", context.Canceled), exitInterrupted, "spi: interrupted\n"},
		{"control characters", nil, spi.Errorf(spi.CodeInvalid, "device \x1b[2J\nis none\xff"), exitFailed, "device ?[2J is none?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, said := quiet(t)
			ctx := t.Context()
			if test.ctx != nil {
				ctx = test.ctx
			}
			if status := a.exit(ctx, test.err); status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			if line := said(); !strings.HasPrefix(line, "spi: ") || !strings.Contains(line, test.words) || strings.Count(line, "\n") != 1 {
				t.Errorf("it says %q, want %q in one line", line, test.words)
			}
		})
	}
	a, said := quiet(t)
	if status := a.exit(t.Context(), nil); status != exitDone || said() != "" {
		t.Errorf("no error: exit status %d, %q", status, said())
	}
}

type measured struct {
	Name  string       `json:"name"`
	At    spi.Datetime `json:"at"`
	Value *float64     `json:"value"`
	N     int64        `json:"n"`
	Yes   bool         `json:"yes,omitempty"`
	own   int
}

func TestResultsInEachForm(t *testing.T) {
	at := spi.Datetime{Time: time.Date(2026, 6, 20, 21, 33, 24, 0, time.UTC)}
	rows := []measured{{Name: "a,\"b\"\n&c", At: at, Value: new(21.9), N: 3, Yes: true, own: 1}, {Name: "längere Namen"}}
	columns := []column[measured]{
		{"NAME", func(m measured) string { return m.Name }},
		{"AT", func(m measured) string { return shown(m.At, time.FixedZone("here", 7200)) }},
		{"VALUE", func(m measured) string { return orDash(m.Value, number(1)) }},
	}
	for _, test := range []struct {
		name  string
		flags outputFlags
		want  string
	}{
		{"table", outputFlags{}, "NAME           AT                   VALUE\na,\"b\" &c       2026-06-20 23:33:24  21.9\nlängere Namen  -                    -\n"},
		{"JSON", outputFlags{JSON: true}, "[\n{\"name\":\"a,\\\"b\\\"\\n&c\",\"at\":\"2026-06-20T21:33:24Z\",\"value\":21.9,\"n\":3,\"yes\":true},\n" +
			"{\"name\":\"längere Namen\",\"at\":null,\"value\":null,\"n\":0}\n]\n"},
		{"CSV", outputFlags{CSV: true}, "name,at,value,n,yes\n\"a,\"\"b\"\"\n&c\",2026-06-20T21:33:24Z,21.9,3,true\nlängere Namen,,,0,false\n"},
	} {
		a, said := quiet(t)
		if err := show(a, test.flags, each(rows), columns...); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(test.want, said()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	a, said := quiet(t)
	if err := show(a, outputFlags{JSON: true}, each([]measured{}), columns...); err != nil || said() != "[]\n" {
		t.Errorf("no rows: %q, %v", said(), err)
	}
}

func TestTextThatWouldBeAFormulaIsTextInCSV(t *testing.T) {
	rows := []measured{}
	for _, name := range []string{"=1+1", "+1", "-1", "@a", "\t=1", " =1", "a=1", ""} {
		rows = append(rows, measured{Name: name, Value: new(-2.5)})
	}
	a, said := quiet(t)
	if err := show(a, outputFlags{CSV: true}, each(rows)); err != nil {
		t.Fatal(err)
	}
	want := "name,at,value,n,yes\n'=1+1,,-2.5,0,false\n'+1,,-2.5,0,false\n'-1,,-2.5,0,false\n'@a,,-2.5,0,false\n" +
		"'\t=1,,-2.5,0,false\n' =1,,-2.5,0,false\na=1,,-2.5,0,false\n,,-2.5,0,false\n"
	if diff := cmp.Diff(want, said()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNothingThatATerminalObeysIsInTheResults(t *testing.T) {
	const odd = "a\u009b2Jb\u007f\u0085\u202e\U000e0001\x1bc\u2028d é 中"
	obeyed := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
	rows := []measured{{Name: odd}}
	for _, flags := range []outputFlags{{}, {JSON: true}, {CSV: true}} {
		a, said := quiet(t)
		if err := show(a, flags, each(rows), column[measured]{"NAME", func(m measured) string { return m.Name }}); err != nil {
			t.Fatal(err)
		}
		if text := said(); strings.ContainsFunc(text, obeyed) || !strings.Contains(text, "é 中") {
			t.Errorf("%+v: %q", flags, text)
		}
		if flags.JSON {
			var back []measured
			if err := json.Unmarshal([]byte(said()), &back); err != nil || back[0].Name != odd {
				t.Errorf("it comes back as %+v, %v", back, err)
			}
		}
	}

	var out bytes.Buffer
	if err := writeDocument(&out, spi.Annotation{JSON: "{\"name\":\n \"\u009b é\",\"value\":0.10}"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("{\"name\":\"\\u009b é\",\"value\":0.10}\n", out.String()); diff != "" {
		t.Errorf("a document (-want +got):\n%s", diff)
	}
	if err := writeDocument(&out, spi.Annotation{ID: 7, JSON: "\x1b[2J"}); err == nil || !strings.Contains(err.Error(), "annotation 7") {
		t.Errorf("a document that is none: %v", err)
	}
}

func TestACommandLineThatIsWrongIsToldInOneHarmlessLine(t *testing.T) {
	a, said := quiet(t)
	if status := run([]string{"list", "\x1b[2J\nx"}, a.in, a.out, a.errs); status != exitUsage {
		t.Errorf("exit status %d", status)
	}
	if text := said(); strings.Count(text, "\n") != 1 || strings.Contains(text, "\x1b") || !strings.Contains(text, "?[2J x") {
		t.Errorf("%q", text)
	}
}

func TestPasswordsThatCanBeReadOnTheWay(t *testing.T) {
	for host, want := range map[string]bool{
		"http://api.example.org": true, "http://192.168.1.5:8080": true, "HTTP://api.example.org": true, "https://api.example.org": false,
		"http://localhost:8080": false, "http://127.0.0.1": false, "http://127.9.9.9": false, "http://[::1]:80": false, "http://localhost.example.org": true,
	} {
		if got := insecure(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

func TestTheVersionIsSaidInBothWays(t *testing.T) {
	var said []string
	for _, arg := range []string{"version", "--version"} {
		a, text := quiet(t)
		if status := run([]string{arg}, a.in, a.out, a.errs); status != exitDone {
			t.Errorf("%s: exit status %d", arg, status)
		}
		said = append(said, text())
	}
	if !strings.HasPrefix(said[0], "spi ") || said[0] != said[1] {
		t.Errorf("%q", said)
	}
}

func TestMeasuredValuesInCSVHaveTheirDigits(t *testing.T) {
	a, said := quiet(t)
	if err := show(a, outputFlags{CSV: true}, each([]measured{{Name: "a", Value: new(float64(float32(20.7)))}})); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("name,at,value,n,yes\na,,20.7,0,false\n", said()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOneIsSaidInTheSingular(t *testing.T) {
	for _, test := range []struct {
		report upload.Report
		want   string
	}{
		{upload.Report{Complete: true, Found: 1, AlreadyThere: 1, Ignored: 1}, "0 of 1 images uploaded (0.0 kB), 1 was there already; 1 other file ignored"},
		{upload.Report{Complete: true, Found: 2, AlreadyThere: 2, Ignored: 2}, "0 of 2 images uploaded (0.0 kB), 2 were there already; 2 other files ignored"},
		{upload.Report{Complete: true, DryRun: true, Found: 1, AlreadyThere: 1}, "0 of 1 images would be uploaded (0.0 kB), 1 is there already"},
		{upload.Report{Complete: true, DryRun: true, Found: 1, WouldUpload: 1}, "1 of 1 images would be uploaded (0.0 kB), 0 are there already"},
	} {
		if got := uploadSummary(test.report); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// annotatedServer has images of two devices, as many of each, and on every third of them two annotations.
func annotatedServer(t *testing.T, each int) (client *spi.Client, asked *[]int) {
	t.Helper()
	imageAt := func(i int) (device string, at time.Time) {
		return []string{"5c173ff2", "5c173ff3"}[i/each], time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(i%each) * time.Minute)
	}
	asked = new([]int)
	mux := http.NewServeMux()
	mux.HandleFunc("/get_image_series/metadata", func(w http.ResponseWriter, _ *http.Request) {
		var images []spi.Image
		for i := range 2 * each {
			device, at := imageAt(i)
			images = append(images, spi.Image{ID: int64(1000 - i), Device: device, Datetime: spi.Datetime{Time: at}})
		}
		_ = json.NewEncoder(w).Encode(images)
	})
	mux.HandleFunc("/get_uid_annotations_series/metadata", func(w http.ResponseWriter, r *http.Request) {
		var series []spi.Series
		if err := json.NewDecoder(r.Body).Decode(&series); err != nil {
			t.Error(err)
		}
		*asked = append(*asked, len(series))
		rows := []spi.Annotation{{ID: 1, ParentImageID: 5000}} // of an image that came a moment ago
		for i := range 2 * each {
			device, at := imageAt(i)
			inside := slices.ContainsFunc(series, func(s spi.Series) bool {
				return s.Device == device && !at.Before(s.Start.Time) && at.Before(s.End.Time)
			})
			if inside && i%3 == 0 {
				rows = append(rows, spi.Annotation{ID: int64(2 * i), ParentImageID: int64(1000 - i)}, spi.Annotation{ID: int64(2*i + 1), ParentImageID: int64(1000 - i)})
			}
		}
		_ = json.NewEncoder(w).Encode(rows)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	client, err := spi.New(s.URL, spi.WithToken("t"))
	if err != nil {
		t.Fatal(err)
	}
	return client, asked
}

func TestAnnotationsNameTheirImages(t *testing.T) {
	client, asked := annotatedServer(t, 7)
	rows, err := spi.Collect(annotations(t.Context(), client, spi.AnnotationRows, 4, []spi.Series{{Device: "%"}}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%s %s %d", r.Device, r.Datetime.Format("15:04"), r.ID))
	}
	want := []string{
		"5c173ff2 00:00 0", "5c173ff2 00:00 1", "5c173ff2 00:03 6", "5c173ff2 00:03 7", "5c173ff2 00:06 12", "5c173ff2 00:06 13",
		"5c173ff3 00:02 18", "5c173ff3 00:02 19", "5c173ff3 00:05 24", "5c173ff3 00:05 25",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{1, 2, 1, 1}, *asked); diff != "" { // 14 images, 4 at a time
		t.Errorf("series in each question (-want +got):\n%s", diff)
	}

	for range annotations(t.Context(), client, spi.AnnotationRows, 4, []spi.Series{{Device: "%"}}) {
		break // a reader that has enough
	}
	if len(*asked) != 5 {
		t.Errorf("%d questions for the first row alone", len(*asked)-4)
	}
}

func TestARenewedTokenReplacesNoOtherLogIn(t *testing.T) {
	mine := profile{Host: "https://a.example", User: "anna", Token: spi.Token{Token: "old"}}
	other := profile{Host: "https://b.example", User: "anna", Token: spi.Token{Token: "b"}}
	renewed := mine
	renewed.Token.Token = "new"
	for _, test := range []struct {
		name      string
		now, want map[string]profile
	}{
		{"the same log-in", map[string]profile{"default": mine}, map[string]profile{"default": renewed}},
		{"another log-in since", map[string]profile{"default": other}, map[string]profile{"default": other}},
		{"logged out since", map[string]profile{"other": mine}, map[string]profile{"other": mine}},
	} {
		path := filepath.Join(t.TempDir(), "login.json")
		if err := changeSettings(path, func(s *settings) { s.Profiles = test.now }); err != nil {
			t.Fatal(err)
		}
		if err := renewProfile(path, "default", renewed); err != nil {
			t.Error(err)
		}
		got, err := loadSettings(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got.Profiles); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestAListThatBreaksOffDoesNotLookWhole(t *testing.T) {
	broken := errors.New("the reply broke off")
	rows := func(yield func(measured, error) bool) {
		_ = yield(measured{Name: "first"}, nil) && yield(measured{}, broken)
	}
	for _, flags := range []outputFlags{{}, {JSON: true}, {CSV: true}} {
		a, said := quiet(t)
		if err := show(a, flags, rows, column[measured]{"NAME", func(m measured) string { return m.Name }}); !errors.Is(err, broken) {
			t.Errorf("the error is %v", err)
		}
		if out := said(); !strings.Contains(out, "first") || flags.JSON && json.Valid([]byte(out)) {
			t.Errorf("it shows %q", out)
		}
	}
}

func TestALongTableKeepsItsColumnsAndNotItsRows(t *testing.T) {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	var all []int
	for i := range alignedRows + 10 {
		all = append(all, i)
	}
	if err := showTable(w, each(all), []column[int]{{"N", func(i int) string { return fmt.Sprint(i) }}, {"X", func(int) string { return "x" }}}); err != nil {
		t.Fatal(err)
	}
	_ = w.Flush()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(all)+1 {
		t.Errorf("%d lines", len(lines))
	}
	for i, line := range lines[1:] {
		if want := fmt.Sprintf("%-5dx", i); line != want {
			t.Errorf("line %d is %q, want %q", i, line, want)
		}
	}
}

func TestProgressInWords(t *testing.T) {
	p := &progress{verb: "uploaded", noun: "images", started: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	later := p.started.Add(10 * time.Second)
	p.state = p.ownState
	p.Expect(3)
	p.Skipped()
	p.Moved(5 << 20)
	p.Done()
	if got, want := p.line(later), "1 of 3 or more images uploaded, 1 there already; 5.0 MB, 512.0 kB/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.Counted()
	if got, want := p.line(later), "1 of 3 images uploaded, 1 there already; 5.0 MB, 512.0 kB/s, 10s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.Failed()
	if got, want := p.line(later), "1 of 3 images uploaded, 1 there already, 1 failed; 5.0 MB, 512.0 kB/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestANarrowTerminalShowsTheTimeThatIsLeft(t *testing.T) {
	words := []string{"5.0 MB", "512.0 kB/s", "10s left"}
	for width, want := range map[int]string{80: " 5.0 MB, 512.0 kB/s, 10s left", 41: " 5.0 MB, 512.0 kB/s, 10s left", 40: " 512.0 kB/s, 10s left", 32: " 10s left", 9: " 10s left", 8: "", 0: ""} {
		if got := fitting(words, width); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
}

func TestTemplatesNameEachImageOnceAndStayInTheFolder(t *testing.T) {
	for _, template := range []string{"{name}", "{device}/{date}/{name}", "{id}.jpg", "{device}-{year}{month}{day}-{time}.jpg", "a/../{name}"} {
		if err := checkTemplate(template); err != nil {
			t.Errorf("%q: %v", template, err)
		}
	}
	for _, template := range []string{"", "/{name}", "../{name}", "{name}/../..", "{name}/", "{device}.jpg", "{date}/{time}.jpg", "{colour}/{name}", "{name"} {
		if err := checkTemplate(template); err == nil {
			t.Errorf("%q is taken", template)
		}
	}
}

func TestNamesOfImages(t *testing.T) {
	want := spi.ImageKey{Device: "5c173ff2", Datetime: spi.Datetime{Time: time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)}}
	for _, name := range []string{"5c173ff2.2020-06-20_21-33-24", "5c173ff2.2020-06-20_21-33-24.jpg", "card/5c173ff2.2020-06-20_21-33-24.jpg", `E:\5c173ff2.2020-06-20_21-33-24.JPG`} {
		key, err := keyOf(name)
		if err != nil || key != want {
			t.Errorf("%q: %v, %v", name, key, err)
		}
	}
	for _, name := range []string{"", "5c173ff2", "5c%.2020-06-20_21-33-24", "5c173ff2.yesterday.jpg", "........2020-06-20"} {
		if _, err := keyOf(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

func FuzzPathsFromTheServerStayInTheFolder(f *testing.F) {
	for _, s := range []string{"5c173ff2", "../../x", "5c173ff2.2020-06-20_21-33-24.2020-06-21_21-33-24.1-a.0001", "a/b.c.d.e.f", ".....", "CON", "5c173ff2.a.b.c..", "5c173ff2...."} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, s string) {
		d := &downloads{downloadCmd: downloadCmd{Out: dir, Name: "{device}/{name}", What: "image"}}
		if path, err := d.path(wanted{device: s, taken: 1}); err == nil && filepath.Dir(filepath.Dir(path)) != dir {
			t.Errorf("an image of device %q goes to %s", s, path)
		}
		if path, err := tuboidFolder(s); err == nil && filepath.Dir(filepath.Dir(filepath.Join(dir, path))) != dir {
			t.Errorf("tuboid %q goes to %s", s, path)
		}
	})
}
