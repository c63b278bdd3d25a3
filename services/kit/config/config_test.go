package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
)

func environ(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheEnvironmentComesBeforeFilesAndEarlierFilesBeforeLater(t *testing.T) {
	secret := write(t, ".secret.env", "A=secret\nB=secret\nC=secret\n")
	plain := write(t, ".env", "A=plain\nB=plain\nC=plain\nD=plain\nE=\n")
	src := config.LoadFrom(environ(map[string]string{"A": "environment", "B": ""}), secret, plain, "/no/such/file")
	got := map[string]string{}
	for _, name := range []string{"A", "B", "C", "D", "E"} {
		got[name] = src.String(name, "default")
	}
	want := map[string]string{"A": "environment", "B": "secret", "C": "secret", "D": "plain", "E": "default"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := src.Err(); err != nil {
		t.Error(err)
	}
}

func TestAnEnvFileMayReferToOneBehindIt(t *testing.T) {
	secret := write(t, ".secret.env", "S3_HOST=s3.${ROOT_DOMAIN_NAME}\nQUOTED='s3.${ROOT_DOMAIN_NAME}'\n")
	plain := write(t, ".env", "ROOT_DOMAIN_NAME=example.org")
	src := config.LoadFrom(environ(nil), secret, plain)
	for _, name := range []string{"S3_HOST", "QUOTED"} {
		if got := src.Expanded(name, ""); got != "s3.example.org" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if err := src.Err(); err != nil {
		t.Error(err)
	}
}

func TestASecretMayStandInAFileOfItsOwn(t *testing.T) {
	path := write(t, "password", "from a file\n")
	src := config.LoadFrom(environ(map[string]string{"PASSWORD_FILE": path}), write(t, ".env", "PASSWORD=from env file\n"))
	if got := src.Secret("PASSWORD", "a password", 5); got != "from a file" {
		t.Errorf("got %q", got)
	}
	if err := src.Err(); err != nil {
		t.Error(err)
	}
}

func TestEveryMistakeIsNamedInALineWithItsMend(t *testing.T) {
	src := config.LoadFrom(environ(map[string]string{
		"SHORT": "abc", "PORT": "70000", "NUMBER": "many", "FLAG": "perhaps", "URL": "ftp://x", "NETS": "10.0.0.0/8, here",
		"HOST": "s3.${NOWHERE}", "GONE_FILE": "/no/such/file",
	}))
	src.Required("MISSING", "something")
	src.Secret("SHORT", "a password", 11)
	src.Port("PORT", 1)
	src.Int("NUMBER", 1)
	src.Bool("FLAG", false)
	src.URL("URL", "")
	src.CIDRs("NETS")
	src.Expanded("HOST", "")
	src.String("GONE", "")
	err := src.Err()
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, name := range []string{"MISSING", "SHORT", "PORT", "NUMBER", "FLAG", "URL", "NETS", "HOST", "GONE_FILE"} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], name+": ") {
			t.Fatalf("line %d does not name %s:\n%v", i, name, err)
		}
	}
	if len(lines) != 9 {
		t.Errorf("%d lines:\n%v", len(lines), err)
	}
}

func TestValuesAreRead(t *testing.T) {
	src := config.LoadFrom(environ(map[string]string{
		"ROOT": "example.org", "HOST": "s3.${ROOT}", "PASSWORD": "pa${ROOT}ss$word", "PORT": "8080", "FLAG": "True", "OFF": "0",
		"URL": "http://spi_s3:7070/", "NETS": "172.16.0.0/12,127.0.0.1",
	}))
	check := func(name string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	check("HOST", src.Expanded("HOST", ""), "s3.example.org")
	check("PASSWORD", src.Secret("PASSWORD", "", 1), "pa${ROOT}ss$word")
	check("PORT", src.Port("PORT", 1), 8080)
	check("FLAG", src.Bool("FLAG", false), true)
	check("OFF", src.Bool("OFF", true), false)
	check("URL", src.URL("URL", ""), "http://spi_s3:7070")
	check("NETS", src.CIDRs("NETS"), []string{"172.16.0.0/12", "127.0.0.1"})
	if err := src.Err(); err != nil {
		t.Error(err)
	}
}
