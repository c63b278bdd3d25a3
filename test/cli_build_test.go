package test

import (
	"bufio"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestTheClientIsBuiltForSixSystemsAsOneFileEach(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the client six times")
	}
	root := stack.Root(t)
	cmd := exec.CommandContext(t.Context(), "sh", "deploy.sh", "build-client")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dist := filepath.Join(root, ".build", "dist")

	got := map[string]string{}
	for _, build := range []struct{ name, machine string }{
		{"spi-linux-amd64", elf.EM_X86_64.String()}, {"spi-linux-arm64", elf.EM_AARCH64.String()}, {"spi-linux-armv7", elf.EM_ARM.String()},
	} {
		f, err := elf.Open(filepath.Join(dist, build.name))
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := f.ImportedLibraries()
		if err != nil || len(libraries) > 0 || f.Section(".interp") != nil {
			t.Errorf("%s is not static: %v, %v", build.name, libraries, err)
		}
		got[build.name] = f.Machine.String()
		_ = f.Close()
	}
	for _, name := range []string{"spi-darwin-amd64", "spi-darwin-arm64"} {
		f, err := macho.Open(filepath.Join(dist, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = f.Cpu.String()
		_ = f.Close()
	}
	f, err := pe.Open(filepath.Join(dist, "spi-windows-amd64.exe"))
	if err != nil {
		t.Fatal(err)
	}
	got["spi-windows-amd64.exe"] = fmt.Sprintf("%#x", f.Machine)
	_ = f.Close()
	want := map[string]string{
		"spi-linux-amd64": "EM_X86_64", "spi-linux-arm64": "EM_AARCH64", "spi-linux-armv7": "EM_ARM",
		"spi-darwin-amd64": "CpuAmd64", "spi-darwin-arm64": "CpuArm64", "spi-windows-amd64.exe": "0x8664",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}

	sums, err := os.Open(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	lines := 0
	for in := bufio.NewScanner(sums); in.Scan(); lines++ {
		fields := strings.Fields(in.Text())
		data, err := os.ReadFile(filepath.Join(dist, fields[1]))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != fields[0] {
			t.Errorf("SHA256SUMS is wrong about %s", fields[1])
		}
	}
	if lines != len(want) {
		t.Errorf("SHA256SUMS has %d lines", lines)
	}

	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dist, "spi-linux-amd64"), "version").Output()
		if err != nil || !strings.HasPrefix(string(out), "spi ") || strings.Contains(string(out), "unknown") {
			t.Errorf("spi version: %q, %v", out, err)
		}
	}
}
