package compose

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// testCommandLine takes a card's photographs to the stack and back by the command spi, on a machine of its own that knows
// the stack by its names and its certificate authority.
func (c *composed) testCommandLine(t *testing.T, password string) {
	photographs, err := filepath.Glob(filepath.Join(stack.SharedData(t, "raw_images"), "*.jpg"))
	if err != nil || len(photographs) == 0 {
		t.Fatalf("photographs: %v %v", photographs, err)
	}
	home := t.TempDir()
	card := filepath.Join(home, "card")
	if err := os.Mkdir(card, 0o755); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for _, path := range photographs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		want[name] = data
		if err := os.WriteFile(filepath.Join(card, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string][]byte{"ca.pem": c.rootPEM, "password": []byte(password)} {
		if err := os.WriteFile(filepath.Join(home, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(home, "spi"), "./cmd/spi")
	build.Dir = filepath.Join(stack.Root(t), "services", "spi")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building spi: %v\n%s", err, out)
	}

	network := c.project + "_edge"
	nginx := docker(t, "inspect", c.name(t, "spi_nginx"), "--format", `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`)
	name := c.project + "-field"
	container(t, name, "--network", network, "--add-host", "api."+composeDomain+":"+nginx, "--add-host", "s3."+composeDomain+":"+nginx,
		"-v", home+":/home", "-e", "HOME=/home", "-w", "/home", "--entrypoint", "sleep", "nginx:stable", "1000")
	spi := func(args ...string) { docker(t, append([]string{"exec", name, "/home/spi"}, args...)...) }
	spi("login", "https://api."+composeDomain, "--user", "admin", "--password-file", "/home/password", "--ca-file", "/home/ca.pem")
	spi("upload", "/home/card")
	spi("download", "--since", "2020-01-01", "--until", "2023-01-01", "--out", "/home/back")
	spi("upload", "/home/card") // nothing is left to do, which is no error

	got := map[string][]byte{}
	err = filepath.WalkDir(filepath.Join(home, "back"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		got[filepath.Base(path)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s: %d bytes went up, %d others came back", name, len(data), len(got[name]))
		}
	}
}
