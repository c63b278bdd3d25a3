package test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
)

const opsDomain = "pi.test"

// ops is a copy of what an operator has: deploy.sh, the compose files and the two env files.
type ops struct {
	dir     string // the copy
	data    string // LOCAL_VOLUME_ROOT
	tools   string // programs that stand in for the machine's
	path    string // PATH behind tools
	env     map[string]string
	secrets map[string]string
}

func newOps(t *testing.T) *ops {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	o := &ops{
		dir: t.TempDir(), data: t.TempDir(), tools: t.TempDir(), path: os.Getenv("PATH"),
		env: map[string]string{"ROOT_DOMAIN_NAME": opsDomain},
		secrets: map[string]string{
			"SECRET_API_KEY": "a secret that signs", "S3_HOST": "s3." + opsDomain, "S3_ACCESS_KEY": "access", "S3_PRIVATE_KEY": "private-key",
			"S3_BUCKET_NAME": "sticky-pi", "MYSQL_PASSWORD": `pa$$word "of" ${HOME}`, "API_ADMIN_PASSWORD": "admin-password",
			"ADMIN_EMAIL": "admin@pi.test", "UID_PASSWORD": "worker-password",
		},
	}
	o.env["LOCAL_VOLUME_ROOT"] = o.data
	sources := []string{"deploy.sh", "nginx"}
	for _, pattern := range []string{"docker-compose*.yml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			sources = append(sources, filepath.Base(f))
		}
	}
	for _, name := range sources {
		if out, err := exec.CommandContext(t.Context(), "cp", "-r", filepath.Join(root, name), o.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return o
}

// tool puts a shell script in front of the program of that name.
func (o *ops) tool(t *testing.T, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (o *ops) write(t *testing.T) {
	t.Helper()
	for name, values := range map[string]map[string]string{".env": o.env, ".secret.env": o.secrets} {
		var text strings.Builder
		for _, key := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(&text, "%s=%s\n", key, values[key])
		}
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs deploy.sh in the folder, without what the caller's environment sets, and gives its exit status and all it printed.
func (o *ops) run(t *testing.T, folder string, args ...string) (int, string) {
	t.Helper()
	return o.runBy(t, nil, folder, args...)
}

// answered is run on a terminal at which somebody types the answer.
func (o *ops) answered(t *testing.T, answer, folder string, args ...string) (int, string) {
	t.Helper()
	hands, terminal, err := pty.Open()
	if err != nil {
		t.Skipf("no terminal can be made: %v", err)
	}
	defer func() { _ = errors.Join(hands.Close(), terminal.Close()) }()
	if _, err := io.WriteString(hands, answer+"\n"); err != nil {
		t.Fatal(err)
	}
	return o.runBy(t, terminal, folder, args...)
}

func (o *ops) runBy(t *testing.T, stdin *os.File, folder string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{filepath.Join(o.dir, "deploy.sh")}, args...)...)
	cmd.Dir = folder
	if stdin != nil {
		cmd.Stdin = stdin
	}
	cmd.Env = []string{"PATH=" + o.tools + ":" + o.path, "HOME=" + os.Getenv("HOME"), "LC_ALL=C"}
	if host, ok := os.LookupEnv("DOCKER_HOST"); ok {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+host)
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// freeTCPPort is one that nobody is given by chance: those of the system's own choice are given to others before they are used.
func freeTCPPort(t *testing.T) string {
	t.Helper()
	port, err := ports.Free(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// certificate writes a certificate that ends at that time where certbot would.
func (o *ops) certificate(t *testing.T, end time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: opsDomain}, DNSNames: []string{opsDomain},
		NotBefore: end.Add(-90 * 24 * time.Hour), NotAfter: end,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(o.data, "data/certbot/conf/live", opsDomain)
	if err := os.MkdirAll(live, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(live, "fullchain.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}

// smallDisk mounts a file system of that size, or skips the test.
func smallDisk(t *testing.T, flags uintptr, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size); err != nil {
		t.Skipf("needs a file system of its own, which only root may mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// healthy is a machine on which doctor finds nothing: a stand-in for Docker, name servers that point here, a synchronized
// clock, a valid certificate and a real S3 server of a provider.
func healthy(t *testing.T) *ops {
	t.Helper()
	s3 := kittest.NewS3(t)
	o := newOps(t)
	o.env["HTTP_PORT"], o.env["HTTPS_PORT"] = freeTCPPort(t), freeTCPPort(t)
	o.env["MIN_FREE_MB"] = "10"
	o.env["S3_INTERNAL_URL"] = s3.Endpoint
	o.secrets["S3_HOST"] = "s3.provider.test"
	o.secrets["S3_ACCESS_KEY"], o.secrets["S3_PRIVATE_KEY"] = s3.AccessKey, s3.SecretKey
	o.fakeDocker(t, "2.29.1")
	o.tool(t, "getent", `echo "127.0.0.1 STREAM $2"`)
	o.tool(t, "timedatectl", "echo yes")
	o.certificate(t, time.Now().Add(60*24*time.Hour))
	return o
}

func (o *ops) fakeDocker(t *testing.T, compose string) {
	t.Helper()
	o.tool(t, "docker", `case "$*" in
info) ;;
version*) echo 28.0.0 ;;
*"compose version"*) echo `+compose+` ;;
*) [ "$1" = compose ] ;;
esac`)
}

func TestDoctorNamesWhatIsWrong(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "curl", "--help", "all").Output(); err != nil || !bytes.Contains(out, []byte("--aws-sigv4")) {
		t.Skip("needs curl 7.75 or newer")
	}
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		o := healthy(t)
		o.write(t)
		if status, out := o.run(t, t.TempDir(), "doctor"); status != 0 || strings.Contains(out, "FAIL") {
			t.Errorf("exit status %d:\n%s", status, out)
		}
	})
	tests := []struct {
		name  string
		plant func(*testing.T, *ops) // before the files are written
		after func(*testing.T, *ops) // after that
		want  string                 // in the one FAIL line
	}{
		{name: "a missing variable", plant: func(_ *testing.T, o *ops) { delete(o.secrets, "UID_PASSWORD") }, want: "UID_PASSWORD is not set: add a line UID_PASSWORD=value to .*/.secret.env"},
		{name: "a short password", plant: func(_ *testing.T, o *ops) { o.secrets["API_ADMIN_PASSWORD"] = "short" }, want: "API_ADMIN_PASSWORD is shorter than 11 characters: .*/.secret.env"},
		{name: "a domain that stands for another", plant: func(_ *testing.T, o *ops) {
			o.env["ROOT_DOMAIN_NAME"] = "example.org"
		}, want: "ROOT_DOMAIN_NAME is 'example.org'.*/.env"},
		{name: "a number that is none", plant: func(_ *testing.T, o *ops) { o.env["API_PORT"] = "http" }, want: "API_PORT is 'http': write a number into .*/.env"},
		{name: "an authority's root that is not there", plant: func(_ *testing.T, o *ops) { o.env["ACME_CA_BUNDLE"] = "/none/root.pem" }, want: "ACME_CA_BUNDLE is '/none/root.pem', and there is no such file"},
		{name: "an authority's root without its folder", plant: func(_ *testing.T, o *ops) { o.env["ACME_CA_BUNDLE"] = "root.pem" }, want: "write the file's whole path"},
		{name: "no mailbox", plant: func(_ *testing.T, o *ops) { o.secrets["ADMIN_EMAIL"] = "root" }, want: "ADMIN_EMAIL is 'root'"},
		{name: "a secret that others read", after: func(t *testing.T, o *ops) {
			if err := os.Chmod(filepath.Join(o.dir, ".secret.env"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, want: "chmod 600 .*/.secret.env"},
		{name: "a line that is no setting", after: func(t *testing.T, o *ops) {
			if err := os.WriteFile(filepath.Join(o.dir, ".env"), []byte("# settings\nDEBUG = true\nROOT_DOMAIN_NAME="+opsDomain+
				"\nLOCAL_VOLUME_ROOT="+o.data+"\nMIN_FREE_MB=10\nS3_INTERNAL_URL="+o.env["S3_INTERNAL_URL"]+
				"\nHTTP_PORT="+o.env["HTTP_PORT"]+"\nHTTPS_PORT="+o.env["HTTPS_PORT"]+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, want: "line 2 of .*/.env"},
		{name: "a port that is taken", after: func(t *testing.T, o *ops) {
			l, err := net.Listen("tcp", ":"+o.env["HTTPS_PORT"])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, want: "port [0-9]+: taken"},
		{name: "a name that points elsewhere", plant: func(t *testing.T, o *ops) {
			o.tool(t, "getent", `[ "$2" = api.pi.test ] && echo "198.51.100.7 STREAM" || echo "127.0.0.1 STREAM"`)
		}, want: "api.pi.test points to 198.51.100.7"},
		{name: "a name that is not known", plant: func(t *testing.T, o *ops) {
			o.tool(t, "getent", `[ "$2" = webapp.pi.test ] && exit 2; echo "127.0.0.1 STREAM"`)
		}, want: "webapp.pi.test is not known"},
		{name: "an expired certificate", plant: func(t *testing.T, o *ops) { o.certificate(t, time.Now().Add(-time.Hour)) }, want: "certificate: it ran out on"},
		{name: "a certificate that is not renewed", plant: func(t *testing.T, o *ops) {
			o.certificate(t, time.Now().Add(5*24*time.Hour))
		}, want: "certificate: it runs out on"},
		{name: "a full disk", plant: func(t *testing.T, o *ops) {
			o.env["LOCAL_VOLUME_ROOT"] = filepath.Join(smallDisk(t, 0, "1m"), "data")
		}, want: "disk: [01] MB are free"},
		{name: "a volume that cannot be written", plant: func(t *testing.T, o *ops) {
			o.env["LOCAL_VOLUME_ROOT"] = smallDisk(t, syscall.MS_RDONLY, "100m")
		}, want: "volume: .* cannot be written"},
		{name: "a file in the volume's place", plant: func(_ *testing.T, o *ops) {
			o.env["LOCAL_VOLUME_ROOT"] = filepath.Join(o.dir, "deploy.sh", "data")
		}, want: "deploy.sh is in the way of LOCAL_VOLUME_ROOT"},
		{name: "a wrong key of S3", plant: func(_ *testing.T, o *ops) { o.secrets["S3_PRIVATE_KEY"] = `wrong"key"` + `\` }, want: "S3: .* refuses the keys: mend S3_ACCESS_KEY and S3_PRIVATE_KEY"},
		{name: "an access key that S3 does not know", plant: func(_ *testing.T, o *ops) { o.secrets["S3_ACCESS_KEY"] = "unknown" }, want: "S3: .* refuses the keys"},
		{name: "an S3 that is away", plant: func(t *testing.T, o *ops) {
			o.env["S3_INTERNAL_URL"] = "http://127.0.0.1:" + freeTCPPort(t)
		}, want: "S3: .* does not answer"},
		{name: "a clock that differs from that of S3", plant: func(t *testing.T, o *ops) {
			target, err := url.Parse(o.env["S3_INTERNAL_URL"])
			if err != nil {
				t.Fatal(err)
			}
			proxy := &httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
				ModifyResponse: func(r *http.Response) error {
					r.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
					return nil
				},
			}
			server := httptest.NewServer(proxy)
			t.Cleanup(server.Close)
			o.env["S3_INTERNAL_URL"] = server.URL
		}, want: "S3: the clock .* differ by 36[0-9][0-9] seconds"},
		{name: "a clock that nothing sets", plant: func(t *testing.T, o *ops) { o.tool(t, "timedatectl", "echo no") }, want: "clock: nothing sets it"},
		{name: "no engine", plant: func(t *testing.T, o *ops) {
			o.tool(t, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
		}, want: "docker: the Docker engine does not answer"},
		{name: "an old compose", plant: func(t *testing.T, o *ops) { o.fakeDocker(t, "2.10.2") }, want: "docker: docker compose 2.21 or newer is needed, and this is 2.10.2"},
		{name: "no compose", plant: func(t *testing.T, o *ops) {
			o.tool(t, "docker", `[ "$1" = info ]`)
			o.tool(t, "docker-compose", "exit 1")
		}, want: "docker: docker compose is needed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := healthy(t)
			if tt.plant != nil {
				tt.plant(t, o)
			}
			o.write(t)
			if tt.after != nil {
				tt.after(t, o)
			}
			status, out := o.run(t, t.TempDir(), "doctor")
			failed := regexp.MustCompile(`(?m)^FAIL .*`).FindAllString(out, -1)
			if status != 1 || len(failed) != 1 || !regexp.MustCompile(tt.want).MatchString(failed[0]) {
				t.Errorf("exit status %d, want 1 and one line FAIL with %s:\n%s", status, tt.want, out)
			}
			for _, secret := range o.secrets {
				if len(secret) > 8 && strings.Contains(out, secret) && !strings.Contains(secret, "test") && secret != "sticky-pi" {
					t.Errorf("%q is in the output:\n%s", secret, out)
				}
			}
		})
	}
}

// needImage skips the test where there is no Docker engine, or no such image to be had.
func needImage(t *testing.T, image string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "info").CombinedOutput(); err != nil {
		t.Skipf("needs a Docker engine: %v: %s", err, bytes.TrimSpace(out))
	}
	if out, err := exec.CommandContext(t.Context(), "docker", "image", "inspect", image).CombinedOutput(); err != nil {
		if pulled, pullErr := exec.CommandContext(t.Context(), "docker", "pull", "-q", image).CombinedOutput(); pullErr != nil {
			t.Skipf("needs the image %s: %s%s", image, out, pulled)
		}
	}
}

// TestDatabaseBackups runs the stack's database alone.
func TestDatabaseBackups(t *testing.T) {
	const image = "mariadb:11.8"
	needImage(t, image)
	o := newOps(t)
	project := "sticky-pi-ops-" + strings.ToLower(rand.Text())[:8]
	o.env["COMPOSE_PROJECT_NAME"] = project
	o.env["DB_BUFFER_POOL"] = "64M"
	// the API's image is another test's: here the database alone is in question
	o.env["STICKY_PI_TAG"] = project
	o.write(t)
	o.startDatabase(t, project, image)
	db := &opsDatabase{container: project + "-spi_db-1", password: o.secrets["MYSQL_PASSWORD"]}
	db.plant(t)
	backups := t.TempDir()

	t.Run("a backup under load holds what was acknowledged before it", func(t *testing.T) {
		acknowledged, stop := db.writeOn(t)
		for acknowledged() < 5 {
			time.Sleep(20 * time.Millisecond)
		}
		least := acknowledged()
		status, out := o.run(t, backups, "mysql-backup")
		most := stop()
		if status != 0 {
			t.Fatalf("exit status %d:\n%s", status, out)
		}
		first := filepath.Join(backups, "spi_db.dump."+time.Now().Format(time.DateOnly)+".sql.gz")
		wantMode(t, first, 0o600)
		wantMode(t, first+".sha256", 0o600)
		wantSum(t, first)
		if status, out := o.run(t, backups, "verify-backup", filepath.Base(first)); status != 0 || !strings.Contains(out, "the content of every row is right") {
			t.Errorf("verify-backup: exit status %d:\n%s", status, out)
		}

		db.sql(t, "DROP TABLE uid_annotations; DELETE FROM images; DROP TABLE loaded; CREATE TABLE later (a int)")
		if status, out := o.run(t, backups, "mysql-restore", first); status == 0 || !strings.Contains(out, "--yes") {
			t.Errorf("a restore that nobody agreed to: exit status %d:\n%s", status, out)
		}
		if status, out := o.run(t, backups, "mysql-restore", first, "--yes"); status != 0 {
			t.Fatalf("mysql-restore: exit status %d:\n%s", status, out)
		}
		db.wantPlanted(t)
		loaded, err := strconv.Atoi(db.sql(t, "SELECT COUNT(*) FROM loaded"))
		if err != nil || loaded < least || loaded > most {
			t.Errorf("%d rows of the load are back, want %d to %d (%v)", loaded, least, most, err)
		}
		// all of them, and no hole between
		if got := db.sql(t, "SELECT MAX(n) - COUNT(*) FROM loaded"); got != "0" {
			t.Errorf("rows between are missing: %s", got)
		}
		if got := db.sql(t, "SHOW TABLES LIKE 'later'"); got != "" {
			t.Errorf("the table %s was made after the backup", got)
		}
		if got := db.sql(t, "SHOW DATABASES LIKE 'sticky-pi_%'"); got != "" {
			t.Errorf("left behind: %s", got)
		}
	})

	t.Run("a second backup on one day has a name of its own", func(t *testing.T) {
		status, out := o.run(t, t.TempDir(), "mysql-backup", backups)
		second := filepath.Join(backups, "spi_db.dump."+time.Now().Format(time.DateOnly)+"-2.sql.gz")
		if status != 0 {
			t.Fatalf("exit status %d:\n%s", status, out)
		}
		wantSum(t, second)
	})

	good, err := filepath.Glob(filepath.Join(backups, "*-2.sql.gz"))
	if err != nil || len(good) != 1 {
		t.Fatalf("backups: %q %v", good, err)
	}
	refused := []struct {
		name  string
		spoil string // a shell command that makes $2 of $1
		want  string
	}{
		{"cut short", `head -c 900 "$1" >"$2"`, "no whole gzip file"},
		{"cut short before it was compressed", `gzip -dc "$1" | sed '/^-- Dump completed/d' | gzip >"$2"`, "its last line is missing"},
		{"changed", `gzip -dc "$1" | sed s/dev1/dev2/ | gzip >"$2"; cp "$1.sha256" "$2.sha256"`, "is not what was backed up"},
		{"of other tables", `gzip -dc "$1" | sed 's/` + "`users`/`others`" + `/' | gzip >"$2"`, "not of a Sticky Pi database"},
		{"of whole databases", `(echo 'USE ` + "`mysql`" + `;'; gzip -dc "$1") | gzip >"$2"`, "of whole databases"},
		{"with a statement that fails", `gzip -dc "$1" | sed 's/^INSERT INTO .users. VALUES/INSERT INTO nowhere VALUES/' | gzip >"$2"`, "the data is as it was"},
		{"that is no dump", `echo hello >"$2"`, "no whole gzip file"},
	}
	for _, tt := range refused {
		t.Run("a dump is refused: "+tt.name, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "bad.sql.gz")
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", tt.spoil, "sh", good[0], bad).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			status, out := o.run(t, backups, "mysql-restore", bad, "--yes")
			if status != 1 || !strings.Contains(out, tt.want) {
				t.Errorf("exit status %d, want 1 and %q:\n%s", status, tt.want, out)
			}
			db.wantPlanted(t)
		})
	}

	t.Run("a full disk leaves no half file", func(t *testing.T) {
		disk := smallDisk(t, 0, "16k")
		status, out := o.run(t, disk, "mysql-backup")
		if status != 1 || !strings.Contains(out, "nothing is left of it") {
			t.Errorf("exit status %d:\n%s", status, out)
		}
		wantEmpty(t, disk)
	})

	t.Run("a dump that breaks off leaves nothing", func(t *testing.T) {
		dir := t.TempDir()
		// a view without its table, at which the dump stops
		db.sql(t, "CREATE TABLE gone (a int); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone")
		status, out := o.run(t, dir, "mysql-backup")
		if status != 1 {
			t.Errorf("exit status %d:\n%s", status, out)
		}
		wantEmpty(t, dir)
		db.sql(t, "DROP VIEW broken")
	})

	t.Run("a forgotten password of root does not stop a restore", func(t *testing.T) {
		db.root(t, "REVOKE ALL ON `sticky-pi\\_restore`.* FROM 'sticky-pi'@'%'; ALTER USER root@localhost IDENTIFIED BY 'forgotten'")
		db.sql(t, "DELETE FROM images")
		if status, out := o.run(t, backups, "mysql-restore", good[0], "--yes"); status != 0 || !strings.Contains(out, "root's password is not known") {
			t.Errorf("exit status %d:\n%s", status, out)
		}
		db.wantPlanted(t)
	})
}

// TestLogsDoNotTakeBrokenSettingsForAServiceThatIsNotThere has a compose that refuses its files, as it does where a variable lacks.
func TestLogsDoNotTakeBrokenSettingsForAServiceThatIsNotThere(t *testing.T) {
	o := newOps(t)
	o.write(t)
	o.tool(t, "docker", `case "$*" in
*"compose version"*) echo 2.40.0 ;;
*"config --services"*) echo "required variable X is missing a value" >&2; exit 15 ;;
esac`)
	status, out := o.run(t, o.dir, "logs", "api")
	if status != 1 || !strings.Contains(out, "required variable X") || !strings.Contains(out, "does not take the settings") || strings.Contains(out, "no service") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// TestLogsEndAsComposeDoes has a compose that writes its log and then fails, as it does where the engine goes away.
func TestLogsEndAsComposeDoes(t *testing.T) {
	o := newOps(t)
	o.write(t)
	for want, ending := range map[int]string{0: "exit 0", 3: "exit 3"} {
		o.tool(t, "docker", `case "$*" in
*"compose version"*) echo 2.40.0 ;;
"ps -aq"*) echo 0123456789ab ;;
*"config --services"*) echo spi_api ;;
*" logs "*) printf '\033[2Kspi_api-1  | a line\n'; `+ending+` ;;
esac`)
		if status, out := o.run(t, o.dir, "logs", "api"); status != want || !strings.HasSuffix(out, "spi_api-1  | a line\n") || strings.Contains(out, "\033") {
			t.Errorf("status %d, want %d:\n%q", status, want, out)
		}
	}
}

// TestLogsTakeServicesAndOptionsInAnyOrder has a compose that tells what it is asked for.
func TestLogsTakeServicesAndOptionsInAnyOrder(t *testing.T) {
	o := newOps(t)
	o.write(t)
	o.tool(t, "docker", `case "$*" in
*"compose version"*) echo 2.40.0 ;;
"ps -aq"*) echo 0123456789ab ;;
*"config --services"*) printf '%s\n' spi_api spi_db certbot ;;
*" logs "*) echo "asked:${*##* logs}" ;;
esac`)
	for args, want := range map[string]string{
		"":                        "--tail 200",
		"api":                     "--tail 200 spi_api",
		"-f api":                  "--tail 200 -f spi_api",
		"api -f":                  "--tail 200 spi_api -f",
		"--follow mysql":          "--tail 200 --follow spi_db",
		"--tail 5 api db":         "--tail 200 --tail 5 spi_api spi_db",
		"--since 10m certbot":     "--tail 200 --since 10m certbot",
		"spi_api -n 3 --no-color": "--tail 200 spi_api -n 3 --no-color",
	} {
		status, out := o.run(t, o.dir, append([]string{"logs"}, strings.Fields(args)...)...)
		if status != 0 || !strings.HasSuffix(out, "asked: "+want+"\n") {
			t.Errorf("logs %s: status %d, want %q:\n%s", args, status, want, out)
		}
	}
	if status, out := o.run(t, o.dir, "logs", "-f", "apo"); status != 2 || !strings.Contains(out, "there is no service apo") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// TestProdTakesItsStepsInOrder has a docker that only notes what it is asked for.
func TestProdTakesItsStepsInOrder(t *testing.T) {
	for _, tt := range []struct {
		name     string
		args     []string
		registry string // what fetching ends with
		status   int
		want     []string
	}{
		{"as it is", []string{"prod"}, "exit 0", 0, []string{"build", "up", "prune"}},
		{"on the newest public images", []string{"prod", "--pull"}, "exit 0", 0, []string{"pull", "build --pull", "up", "prune"}},
		{"without a registry", []string{"prod", "--pull"}, "exit 1", 1, []string{"pull"}},
		{"misspelt", []string{"prod", "--pul"}, "exit 0", 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOps(t)
			o.env["MYSQL_HOST"] = "db.pi.test" // one of somebody's own, which nobody waits for
			o.write(t)
			notes := filepath.Join(t.TempDir(), "steps")
			if err := os.WriteFile(notes, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			o.tool(t, "docker", `note() { echo "$*" >>'`+notes+`'; }
case "$*" in
*"compose version"*) echo 2.40.0 ;;
*" pending") echo none ;;
*" pull --quiet --ignore-buildable") note pull; `+tt.registry+` ;;
*" build --pull") note build --pull ;;
*" build") note build ;;
*" up -d --remove-orphans") note up ;;
"image prune --force --filter label=org.opencontainers.image.source="*) note prune ;;
esac`)
			status, out := o.run(t, o.dir, tt.args...)
			text, err := os.ReadFile(notes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Join(tt.want, "\n"), strings.TrimSpace(string(text))); status != tt.status || diff != "" {
				t.Errorf("status %d, want %d; steps (-want +got):\n%s\n%s", status, tt.status, diff, out)
			}
		})
	}
}

// TestSettingsAreNoChangeOfTheSources looks at the version that is given to docker to build.
func TestSettingsAreNoChangeOfTheSources(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	o := newOps(t)
	o.tool(t, "docker", `case "$*" in
*"compose version"*) echo 2.40.0 ;;
"ps -aq"*) echo 0123456789ab ;;
*" logs "*) echo "version $STICKY_PI_VERSION" ;;
esac`)
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", o.dir, "-c", "user.name=test", "-c", "user.email=test@pi.test"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	want := func(version string) {
		t.Helper()
		if status, out := o.run(t, t.TempDir(), "logs"); status != 0 || !strings.Contains(out, "version "+version+"\n") {
			t.Errorf("status %d, want version %s:\n%s", status, version, out)
		}
	}
	o.write(t)
	want("unknown")
	git("init", "-q")
	git("add", ".env", "deploy.sh", "docker-compose.yml")
	git("commit", "-q", "-m", "a release")
	commit := git("describe", "--always")
	o.env["DEBUG"] = "true"
	o.write(t)
	want(commit)
	if err := os.WriteFile(filepath.Join(o.dir, "docker-compose.yml"), []byte("services: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(commit + "-dirty")
	if os.Geteuid() == 0 { // as root often does, on what somebody else has cloned
		if err := os.Chown(o.dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		want(commit + "-dirty")
	}
}

// TestDownStopsNothingByAccident has containers that only sleep under the names of the services: who is stopped is in question,
// and what compose says of containers is its own.
func TestDownStopsNothingByAccident(t *testing.T) {
	const image = "nginx:stable"
	needImage(t, image)
	here, there := newOps(t), newOps(t)
	// a folder that a shell takes for several words
	odd := filepath.Join(t.TempDir(), "a friend's copy")
	if err := os.Rename(there.dir, odd); err != nil {
		t.Fatal(err)
	}
	there.dir = odd
	project := "sticky-pi-ops-" + strings.ToLower(rand.Text())[:8]
	for _, o := range []*ops{here, there} {
		o.env["COMPOSE_PROJECT_NAME"] = project
		o.env["STICKY_PI_TAG"] = project
		o.write(t)
	}
	projects := map[string]string{"prod": project, "devel": project + "-devel"}
	compose := func(ctx context.Context, o *ops, stack string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "-p", projects[stack], "-f", "-"}, args...)...)
		cmd.Dir = o.dir
		sleeper := "{image: '" + image + "', entrypoint: [sleep, '1000'], init: true, network_mode: none}"
		cmd.Stdin = strings.NewReader("services: {spi_api: " + sleeper + ", spi_uid: " + sleeper + "}")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	up := func(o *ops, stacks ...string) {
		t.Helper()
		for _, stack := range stacks {
			compose(t.Context(), o, stack, "up", "-d")
		}
	}
	t.Cleanup(func() {
		for stack := range projects {
			compose(context.WithoutCancel(t.Context()), here, stack, "down", "-t", "0")
		}
	})
	// running gives the stacks that have containers
	running := func() (stacks []string) {
		t.Helper()
		for _, stack := range []string{"prod", "devel"} {
			out, err := exec.CommandContext(t.Context(), "docker", "ps", "-aq", "--filter", "label=com.docker.compose.project="+projects[stack]).Output()
			if err != nil {
				t.Fatal(err)
			}
			if len(out) > 0 {
				stacks = append(stacks, stack)
			}
		}
		return stacks
	}
	for _, tt := range []struct {
		name   string
		up     func()
		args   []string
		status int
		says   []string
		left   []string
		answer string // typed at a terminal
	}{
		{"nothing up", func() {}, []string{"down"}, 0, []string{"nothing is up"}, nil, ""},
		{"the logs of nothing", func() {}, []string{"logs", "api"}, 1, []string{"nothing is running: 'sh deploy.sh prod' starts it"}, nil, ""},
		{"the status of nothing", func() {}, []string{"status"}, 1, []string{"nothing is running: 'sh deploy.sh prod' starts it"}, nil, ""},
		{"the logs of what is no service", func() {}, []string{"logs", "apo"}, 2, []string{"there is no service apo"}, nil, ""},
		{"an account without a name", func() {}, []string{"user", "add"}, 2, []string{"write the account's name"}, nil, ""},
		{"production alone", func() { up(here, "prod") }, []string{"down"}, 0, []string{"stopping prod: spi_api spi_uid; its data stays in " + here.data}, nil, ""},
		{"production by hand, which was not meant", func() { up(here, "prod") }, []string{"down"}, 1, []string{"Stop production, " + opsDomain + "?", "nothing was changed"}, []string{"prod"}, "no"},
		{"production by hand", func() {}, []string{"down"}, 0, []string{"Stop production, " + opsDomain + "?", "stopping prod:"}, nil, "yes"},
		{"production by hand and by name", func() { up(here, "prod") }, []string{"down", "prod"}, 0, []string{"stopping prod:"}, nil, "no"},
		{"devel by hand", func() { up(here, "devel") }, []string{"down"}, 0, []string{"stopping devel:"}, nil, "no"},
		{"a second API of devel", func() { up(here, "devel") }, []string{"scale", "api=2"}, 1, []string{"devel runs one API"}, []string{"devel"}, ""},
		{"devel alone", func() { up(here, "devel") }, []string{"down"}, 0, []string{"stopping devel: spi_api spi_uid;"}, nil, ""},
		{"both", func() { up(here, "prod", "devel") }, []string{"down"}, 1, []string{
			"nothing was stopped", "'sh deploy.sh down devel' stops devel", "'sh deploy.sh down prod' stops production",
		}, []string{"prod", "devel"}, ""},
		{"another word", func() {}, []string{"down", "all"}, 2, []string{"down takes prod or devel"}, []string{"prod", "devel"}, ""},
		{"another command while both are up", func() {}, []string{"logs"}, 0, []string{"both up: this is about production"}, []string{"prod", "devel"}, ""},
		{"devel of both", func() {}, []string{"down", "devel"}, 0, []string{"stopping devel:"}, []string{"prod"}, ""},
		{"devel once more", func() {}, []string{"down", "devel"}, 0, []string{"nothing of devel is up"}, []string{"prod"}, ""},
		{"production of both", func() { up(here, "devel") }, []string{"down", "prod"}, 0, []string{"stopping prod:"}, []string{"devel"}, ""},
		{"of another checkout", func() {
			compose(t.Context(), here, "devel", "down", "-t", "0")
			up(there, "prod")
		}, []string{"down"}, 1, []string{
			"nothing was stopped", "sh '" + strings.ReplaceAll(there.dir, "'", `'\''`) + "/deploy.sh' down; sh deploy.sh down prod",
		}, []string{"prod"}, ""},
		{"of another checkout, by its name", func() {}, []string{"down", "prod"}, 0, []string{"stopping prod:"}, nil, ""},
		{"of a checkout that was moved away", func() {
			up(there, "prod")
			if err := os.Rename(there.dir, there.dir+"-elsewhere"); err != nil {
				t.Fatal(err)
			}
		}, []string{"down"}, 0, []string{"stopping prod:"}, nil, ""},
	} {
		tt.up()
		run := here.run
		if tt.answer != "" {
			run = func(t *testing.T, folder string, args ...string) (int, string) {
				return here.answered(t, tt.answer, folder, args...)
			}
		}
		status, out := run(t, here.data, tt.args...)
		for _, want := range tt.says {
			if status != tt.status || !strings.Contains(out, want) {
				t.Errorf("%s: status %d, want %d and %q:\n%s", tt.name, status, tt.status, want, out)
			}
		}
		if left := running(); !slices.Equal(left, tt.left) {
			t.Fatalf("%s: %v are up, want %v:\n%s", tt.name, left, tt.left, out)
		}
	}
}

// startDatabase starts the stack's database as deploy.sh does.
func (o *ops) startDatabase(t *testing.T, project, image string) {
	t.Helper()
	environ := []string{
		"PATH=" + o.path, "HOME=" + os.Getenv("HOME"), "COMPOSE_PROJECT_NAME=" + project, "LOCAL_VOLUME_ROOT=" + o.data, "DB_BUFFER_POOL=64M",
		"ROOT_DOMAIN_NAME=" + opsDomain, "WEBAPP_SECRET=the viewer is not run",
	}
	for name, value := range o.secrets {
		environ = append(environ, name+"="+value)
	}
	compose := func(ctx context.Context, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "--env-file", "/dev/null", "-f", "docker-compose.yml",
			"-f", "docker-compose.prod.yml", "--profile", "*"}, args...)...)
		cmd.Dir, cmd.Env = o.dir, environ
		return cmd.CombinedOutput()
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if out, err := compose(ctx, "down", "-v", "-t", "2"); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		// the database's files are its own user's
		if out, err := exec.CommandContext(ctx, "docker", "run", "--rm", "-v", o.data+":/v", "--entrypoint", "rm", image, "-rf", "/v/mysql").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	if out, err := compose(t.Context(), "up", "-d", "--wait", "spi_db"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// opsDatabase is a database in a container.
type opsDatabase struct{ container, password string }

func (d *opsDatabase) try(ctx context.Context, user, database, sql string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", "exec", "-i", "-e", "MYSQL_PWD", d.container, "mariadb", "--default-character-set=utf8mb4", "-N", "-B", "-u", user, database)
	cmd.Env = append(os.Environ(), "MYSQL_PWD="+d.password)
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (d *opsDatabase) sql(t *testing.T, sql string) string {
	t.Helper()
	out, err := d.try(t.Context(), "sticky-pi", "sticky-pi", sql)
	if err != nil {
		t.Fatalf("%s: %v: %s", sql, err, out)
	}
	return out
}

func (d *opsDatabase) root(t *testing.T, sql string) {
	t.Helper()
	if out, err := d.try(t.Context(), "root", "mysql", sql); err != nil {
		t.Fatalf("%s: %v: %s", sql, err, out)
	}
}

const opsImages = 3000

// plant makes tables with what is hard for dumps: brackets, quotes and line ends in texts, bytes, numbers, foreign keys.
func (d *opsDatabase) plant(t *testing.T) {
	t.Helper()
	d.sql(t, `
CREATE TABLE users (id int AUTO_INCREMENT PRIMARY KEY, username varchar(99), password_hash varchar(99), raw varbinary(99)) CHARSET=utf8mb4;
INSERT INTO users (username, password_hash, raw) VALUES
	('a(b', 'x\'),(1,"\\', x'00270a5c28'), ('näme\n(1),', 'INSERT INTO z VALUES\n(1);\n', NULL), ('', NULL, '');
CREATE TABLE images (id int AUTO_INCREMENT PRIMARY KEY, device varchar(8), temp double) CHARSET=utf8mb4;
INSERT INTO images (device, temp) SELECT 'dev1', seq / 7 FROM seq_1_to_`+strconv.Itoa(opsImages)+`;
CREATE TABLE uid_annotations (id int AUTO_INCREMENT PRIMARY KEY, parent_image_id int NOT NULL, json longtext,
	CONSTRAINT of_image FOREIGN KEY (parent_image_id) REFERENCES images (id) ON DELETE CASCADE) CHARSET=utf8mb4;
INSERT INTO uid_annotations (parent_image_id, json) SELECT id, CONCAT('{"a": "(', MD5(id), ')"}') FROM images;
CREATE TABLE loaded (n int PRIMARY KEY);
CREATE TABLE nothing (n int PRIMARY KEY);`)
}

func (d *opsDatabase) wantPlanted(t *testing.T) {
	t.Helper()
	for sql, want := range map[string]string{
		"SELECT COUNT(*) FROM images": strconv.Itoa(opsImages),
		"SELECT COUNT(*) FROM images i JOIN uid_annotations a ON a.parent_image_id = i.id":              strconv.Itoa(opsImages),
		"SELECT COUNT(*) FROM uid_annotations WHERE json LIKE CONCAT('%(', MD5(parent_image_id), ')%')": strconv.Itoa(opsImages),
		"SELECT COUNT(*) FROM images WHERE temp = id / 7e0 OR ABS(temp - id / 7) < 1e-4":                strconv.Itoa(opsImages),
		"SELECT COUNT(*) FROM nothing":                                             "0",
		`SELECT HEX(raw) FROM users WHERE password_hash = 'x\'),(1,"\\'`:           "00270A5C28",
		`SELECT COUNT(*) FROM users WHERE username = 'näme\n(1),' AND raw IS NULL`: "1",
		"SELECT table_name FROM information_schema.referential_constraints WHERE constraint_schema = 'sticky-pi' AND referenced_table_name = 'images' AND unique_constraint_schema = 'sticky-pi'": "uid_annotations",
	} {
		if got := d.sql(t, sql); got != want {
			t.Errorf("%s gives %s, want %s", sql, got, want)
		}
	}
}

// writeOn inserts row after row, each acknowledged before the next; stop says how many there are in the end.
func (d *opsDatabase) writeOn(t *testing.T) (acknowledged func() int, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "docker", "exec", "-i", "-e", "MYSQL_PWD", d.container, "mariadb", "-N", "-B", "--unbuffered", "-u", "sticky-pi", "sticky-pi")
	cmd.Env = append(os.Environ(), "MYSQL_PWD="+d.password)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	written := make(chan int, 1)
	quit := make(chan struct{})
	go func() {
		n := 0
		for {
			select {
			case <-quit:
				written <- n
				return
			case <-time.After(2 * time.Millisecond):
			}
			n++
			if _, err := fmt.Fprintf(in, "INSERT INTO loaded VALUES (%d);\n", n); err != nil {
				written <- n
				return
			}
		}
	}()
	count := func() int {
		n, err := strconv.Atoi(d.sql(t, "SELECT COUNT(*) FROM loaded"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return count, func() int {
		close(quit)
		<-written
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		cancel()
		return count()
	}
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != want {
		t.Errorf("%s has the mode %v", path, st.Mode())
	}
}

// wantSum lets sha256sum itself check a backup.
func wantSum(t *testing.T, path string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sha256sum", "--strict", "-c", filepath.Base(path)+".sha256")
	cmd.Dir = filepath.Dir(path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%s holds %v (%v)", dir, entries, err)
	}
}
