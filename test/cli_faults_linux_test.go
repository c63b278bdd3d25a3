package test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// authority signs certificates of servers.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key, a.cert = a.sign("authority of tests", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), true)
	return a
}

func (a *authority) sign(name string, from, until time.Time, isCA bool) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else if !isCA {
		template.DNSNames = []string{name}
	}
	parent, signer := a.cert, a.key
	if isCA {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

// serve puts a server of TLS before a handler, with a certificate for that name and time.
func (a *authority) serve(h http.Handler, name string, from, until time.Time) *httptest.Server {
	a.t.Helper()
	key, cert := a.sign(name, from, until, false)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // clients that do not trust it
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// front passes requests on to a server, whose answers change may alter.
func front(t *testing.T, to string, change func(*http.Response)) http.Handler {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
	if change != nil {
		p.ModifyResponse = func(r *http.Response) error { change(r); return nil }
	}
	return p
}

func plainServer(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestTheCommandLineSaysWhyAServerCannotBeUsed(t *testing.T) {
	t.Parallel()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		a, now := newAuthority(t), time.Now()
		ca := newPerson(t).file("ca.pem", a.pem())
		login := func(address string, more ...string) *ran {
			t.Helper()
			args := append([]string{"login", address, "--user", stack.AdminName}, more...)
			return newPerson(t).typing(stack.AdminPassword+"\n", args...)
		}
		api := front(t, s.URL, nil)

		closed := plainServer(t, api)
		closed.Close()
		login(closed.URL).failed(5, "nothing answers at "+closed.URL, "the server is running")

		private := a.serve(api, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))
		login(private.URL).failed(5, "nobody this computer trusts", "--ca-file")
		login(private.URL, "--ca-file", ca).done().says("logged in")
		login(private.URL, "--ca-file", newPerson(t).file("ca.pem", "nothing")).failed(1, "no certificate in PEM form")
		login(private.URL, "--ca-file", "/nonexistent").failed(1, "--ca-file", "no such file")

		expired := a.serve(api, "127.0.0.1", now.Add(-48*time.Hour), now.Add(-24*time.Hour))
		login(expired.URL, "--ca-file", ca).failed(5, "ended on "+now.Add(-24*time.Hour).UTC().Format("2006-01-02"), "this computer's clock says", "operator")
		early := a.serve(api, "127.0.0.1", now.Add(24*time.Hour), now.Add(48*time.Hour))
		login(early.URL, "--ca-file", ca).failed(5, "is not valid before "+now.Add(24*time.Hour).UTC().Format("2006-01-02"), "set the clock")
		other := a.serve(api, "other.example.org", now.Add(-time.Hour), now.Add(time.Hour))
		login(other.URL, "--ca-file", ca).failed(5, "for another name (other.example.org)")

		login("https"+strings.TrimPrefix(s.URL, "http")).failed(5, "does not speak HTTPS at that port")
		login("http"+strings.TrimPrefix(private.URL, "https")).failed(1, "is not the API", "HTTPS")
		login("ftp://127.0.0.1").failed(1, "write it as https://")
		login("https://me:secret@127.0.0.1").failed(1, "credentials")

		welcome := plainServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Welcome</html>") }))
		login(welcome.URL).failed(1, "what answers at "+welcome.URL+" is not the API of a Sticky Pi server")
		login(plainServer(t, http.NotFoundHandler()).URL).failed(1, "is not the API")
		away := plainServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":{"code":"unavailable","message":"the database is away"}}`)
		}))
		login(away.URL).failed(5, "the database is away", "try again later")

		newPerson(t).typing("wrong password\n", "login", s.URL, "--user", stack.AdminName).failed(4, "does not know user", "with that password")
		newPerson(t).run("login", s.URL, "--user", stack.AdminName).failed(2, "no password was given", "SPI_PASSWORD")
		newPerson(t).run("login", s.URL, "--user", stack.AdminName, "--password-file", os.DevNull).failed(1, "first line is empty")
		newPerson(t).run("login", s.URL).failed(2, "--user")

		clock := func(off time.Duration) string { // that goes on: the time until a log-in is none of the difference
			server := front(t, s.URL, func(r *http.Response) { r.Header.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat)) })
			return plainServer(t, server).URL
		}
		login(clock(-3 * time.Hour)).done().says("3h0m0s ahead of the server's")
		login(clock(6 * time.Hour)).done().says("6h0m0s behind the server's")
		ended := plainServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"token":"t","expiration":1600000000}`)
		}))
		login(ended.URL).failed(1, "have ended already", "clocks differ")
		if r := login(s.URL).done(); strings.Contains(r.errs, "clock") {
			t.Errorf("a clock that is right: %s", r.errs)
		}
	})
}

func TestTheCommandLineKeepsTheLogInForItsUserAlone(t *testing.T) {
	t.Parallel()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		p := loggedIn(t, s, stack.AdminName, stack.AdminPassword)
		path := filepath.Join(p.home, ".config", "sticky-pi", "login.json")
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), stack.AdminPassword) {
			t.Errorf("the password is kept (%v)", err)
		}

		// a token that is due is renewed, and kept
		change := func(what func(profile map[string]any)) {
			t.Helper()
			var settings map[string]map[string]map[string]any
			if err := json.Unmarshal(text, &settings); err != nil {
				t.Fatal(err)
			}
			what(settings["profiles"]["default"])
			changed, err := json.Marshal(settings)
			if err == nil {
				err = os.WriteFile(path, changed, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		change(func(profile map[string]any) { profile["renew"] = time.Now().Add(-time.Minute).Format(time.RFC3339) })
		before := time.Now()
		p.run("users", "list").done()
		var kept struct {
			Profiles map[string]struct {
				Token spi.Token `json:"token"`
				Renew time.Time `json:"renew"`
			} `json:"profiles"`
		}
		if renewed, err := os.ReadFile(path); err != nil || json.Unmarshal(renewed, &kept) != nil || !kept.Profiles["default"].Renew.After(before) ||
			kept.Profiles["default"].Token.Expiration < before.Add(23*time.Hour).Unix() {
			t.Errorf("after a renewal %s is kept, %v", renewed, err)
		}

		change(func(profile map[string]any) { profile["token"].(map[string]any)["token"] = "AQAAAAAAAAABAAAAA" })
		p.run("users", "list").failed(4, "does not take the log-in", "run 'spi login "+s.URL+" --user "+stack.AdminName+"'")
		p.run("users", "list", "--profile", "other").failed(4, "not logged in", "--profile other")
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.run("users", "list").failed(1, path, "delete that file")

		q := newPerson(t)
		q.env = []string{"SPI_HOST=" + s.URL, "SPI_USER=" + stack.AdminName, "SPI_PASSWORD_FILE=" + q.file("password", stack.AdminPassword+"\n")}
		q.run("users", "list").done().says(stack.AdminName)
		if _, err := os.Stat(filepath.Join(q.home, ".config")); err == nil {
			t.Error("a log-in of the environment was kept")
		}
		q.env = q.env[:1]
		q.run("users", "list").failed(2, "SPI_USER", "SPI_PASSWORD")

		a := newAuthority(t)
		private := a.serve(front(t, s.URL, nil), "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
		q.env = []string{"SPI_HOST=" + private.URL, "SPI_USER=" + stack.AdminName, "SPI_PASSWORD=" + stack.AdminPassword, "SPI_CA_FILE=" + q.file("ca.pem", a.pem())}
		q.run("users", "list").done()

		// a password beside a saved log-in is one that does not run out
		r := loggedIn(t, s, stack.AdminName, stack.AdminPassword)
		r.env = []string{"SPI_PASSWORD=" + stack.UIDPassword, "SPI_USER=" + stack.UIDName}
		r.run("users", "list").done()
		r.env[0] = "SPI_PASSWORD=another one"
		r.run("users", "list").failed(4, "spi login")
	})
}

func TestTheCommandLineAsksForAPasswordWithoutShowingIt(t *testing.T) {
	t.Parallel()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		p := newPerson(t)
		cmd := p.command(t.Context(), "login", s.URL, "--user", stack.AdminName)
		terminal, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		defer terminal.Close()
		in := bufio.NewReader(terminal)
		prompt, err := in.ReadString(':') // of the address
		if err == nil && !strings.HasPrefix(prompt, "Password of admin at http") {
			err = fmt.Errorf("the prompt begins with %q", prompt)
		}
		for n := 0; err == nil && n < 2; n++ { // the port's, and the prompt's own
			_, err = in.ReadString(':')
		}
		if err == nil {
			_, err = io.WriteString(terminal, stack.AdminPassword+"\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(in) // ends with an error of its own where the program closed the terminal
		if err := cmd.Wait(); err != nil || strings.Contains(string(rest), stack.AdminPassword) || !strings.Contains(string(rest), "logged in to "+s.URL) {
			t.Errorf("%v; the terminal shows %q", err, rest)
		}
		p.run("users", "list").done()
	})
}

func TestTheCommandLineAsksBeforeItDeletes(t *testing.T) {
	t.Parallel()
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		p := loggedIn(t, s, stack.AdminName, stack.AdminPassword)
		dir, device, files := card(t, 1)
		p.run("upload", dir).done()
		for _, test := range []struct {
			answer       string
			status, left int
		}{{"yes", 1, 1}, {"delete", 0, 0}} {
			cmd := p.command(t.Context(), append([]string{"delete"}, slices.Collect(maps.Keys(files))...)...)
			terminal, err := pty.Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(terminal)
			if question, err := in.ReadString(':'); err != nil || !strings.Contains(question, "1 image and what hangs on it will be deleted for good") {
				t.Fatalf("%q, %v", question, err)
			}
			if _, err := io.WriteString(terminal, test.answer+"\n"); err != nil {
				t.Fatal(err)
			}
			rest, _ := io.ReadAll(in) // ends with an error of its own where the program closed the terminal
			_ = cmd.Wait()
			_ = terminal.Close()
			if status := cmd.ProcessState.ExitCode(); status != test.status {
				t.Errorf("%q: exit status %d, %q", test.answer, status, rest)
			}
			if n := len(p.run("list", "--since", "2020", "-d", device, "--json").rows()); n != test.left {
				t.Errorf("after %q there are %d images", test.answer, n)
			}
		}
	})
}

func TestCtrlCAtThePasswordLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*exec.Cmd, *os.File){
		"key":    func(_ *exec.Cmd, terminal *os.File) { _, _ = io.WriteString(terminal, "abc\x03") },
		"signal": func(cmd *exec.Cmd, _ *os.File) { _ = cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) { interruptedPrompt(t, interrupt) })
	}
}

func interruptedPrompt(t *testing.T, interrupt func(*exec.Cmd, *os.File)) {
	p := newPerson(t)
	cmd := p.command(t.Context(), "login", "http://127.0.0.1:1", "--user", "anna")
	terminal, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	defer program.Close() // open until the end, which would put the terminal right by itself
	before, err := term.GetState(int(program.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(terminal)
	for range 3 {
		if _, err := in.ReadString(':'); err != nil {
			t.Fatal(err)
		}
	}
	interrupt(cmd, terminal)
	for line := ""; line != "spi: interrupted"; line = strings.TrimSpace(line) {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 130 {
		t.Errorf("exit status %d", status)
	}
	after, err := term.GetState(int(program.Fd()))
	if diff := cmp.Diff(before, after, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" || err != nil {
		t.Errorf("the terminal is not as it was: %v, %s", err, diff)
	}
}

func TestADownloadToAFullDiskLeavesNoHalfFile(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := syscall.Mount("tmpfs", out, "tmpfs", 0, "size=96k"); err != nil {
		t.Skipf("needs a small file system, which only root may mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(out, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		p := loggedIn(t, s, stack.AdminName, stack.AdminPassword)
		dir, device, files := card(t, 12)
		p.run("upload", dir).done()
		args := []string{"download", "--since", "2020", "-d", device, "--out", out}
		p.run(args...).failed(1, "the disk is full", out, "make room")
		there := tree(t, out)
		for name, data := range there {
			if want, known := files[strings.TrimPrefix(name, device+"/")]; known && string(want) == string(data) {
				delete(there, name)
			}
		}
		if len(there) > 0 {
			t.Errorf("the full disk holds what is no whole image: %v", there)
		}
		if err := syscall.Mount("", out, "", syscall.MS_REMOUNT, "size=8m"); err != nil {
			t.Fatal(err)
		}
		p.run(args...).done().says(" 0 failed")
		want := map[string][]byte{}
		for name, data := range files {
			want[device+"/"+name] = data
		}
		wantFiles(t, out, want)
		if err := os.RemoveAll(filepath.Join(out, device)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("", out, "", syscall.MS_REMOUNT, "size=96k"); err != nil {
			t.Fatal(err)
		}
	})
}

// hostileServer says of its images what the test wants, and gives pictures by the handler.
func hostileServer(t *testing.T, images string, picture http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /get_token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"token":"t","expiration":4102444800}`)
	})
	list := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.ReplaceAll(images, "URL", "http://"+r.Host+"/picture"))
	}
	mux.HandleFunc("POST /get_image_series/metadata", list)
	mux.HandleFunc("POST /get_images/image", list)
	mux.HandleFunc("GET /picture", picture)
	return plainServer(t, mux)
}

func TestADownloadTrustsNothingThatTheServerSays(t *testing.T) {
	t.Parallel()
	const picture = "a picture"
	image := func(id int, device, md5 string) string {
		name, _ := json.Marshal(device)
		return fmt.Sprintf(`{"id":%d,"device":%s,"datetime":"2026-06-20T12:00:00Z","md5":%q,"url":"URL"}`, id, name, md5)
	}
	s := hostileServer(t, "["+strings.Join([]string{
		image(1, "../../../evil", md5Hex([]byte(picture))), image(2, "/etc/evil", md5Hex([]byte(picture))),
		image(3, "\x1b]0;title\x07", md5Hex([]byte(picture))), image(4, "5c173ff2", md5Hex([]byte(picture))),
	}, ",")+"]", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, picture) })
	p := newPerson(t)
	p.typing("password\n", "login", s.URL, "--user", "anna").done()
	out := filepath.Join(p.home, "a", "b", "c", "d")
	r := p.run("download", "--since", "2026", "--out", out).failed(3, "3 of 4 images failed").says("not the name of a device", "1 image downloaded")
	if strings.ContainsAny(r.stdout+r.errs, "\x1b\x07") {
		t.Errorf("a terminal would obey the server: %q", r.errs)
	}
	wantFiles(t, filepath.Join(p.home, "a"), map[string][]byte{"b/c/d/5c173ff2/5c173ff2.2026-06-20_12-00-00.jpg": []byte(picture)})
	if table := p.run("list", "--since", "2026").done().stdout; strings.ContainsAny(table, "\x1b\x07") || strings.Count(table, "\n") != 5 {
		t.Errorf("a terminal would obey the server: %q", table)
	}
}

func TestAnInterruptedDownloadLeavesNoHalfFileAndGoesOn(t *testing.T) {
	t.Parallel()
	const picture = "a picture"
	begun, once := make(chan struct{}), sync.Once{}
	s := hostileServer(t, fmt.Sprintf(`[{"id":4,"device":"5c173ff2","datetime":"2026-06-20T12:00:00Z","md5":%q,"url":"URL"}]`, md5Hex([]byte(picture))),
		func(w http.ResponseWriter, r *http.Request) {
			first := false
			once.Do(func() { first = true })
			if !first {
				_, _ = io.WriteString(w, picture)
				return
			}
			_, _ = io.WriteString(w, "a pi")
			_ = http.NewResponseController(w).Flush()
			close(begun)
			<-r.Context().Done()
		})
	p := newPerson(t)
	p.typing("password\n", "login", s.URL, "--user", "anna").done()
	out := filepath.Join(p.home, "pictures")
	args := []string{"download", "--since", "2026", "--out", out}
	cmd := p.command(t.Context(), args...)
	errs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	p.run(args...).failed(1, "another download writes to "+out)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(errs)
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 130 || !strings.Contains(string(said), "interrupted; the same command goes on from here") {
		t.Errorf("exit status %d, %s", status, said)
	}
	wantFiles(t, out, map[string][]byte{})
	p.run(args...).done()
	wantFiles(t, out, map[string][]byte{"5c173ff2/5c173ff2.2026-06-20_12-00-00.jpg": []byte(picture)})
}
