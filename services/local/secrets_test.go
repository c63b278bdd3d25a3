package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
)

func TestSecretsAreMadeOnceForTheOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".secret.env")
	if err := makeSecrets(path); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	src := config.LoadFrom(func(string) (string, bool) { return "", false }, path)
	seen := map[string]bool{}
	for _, name := range []string{"SECRET_API_KEY", "S3_ACCESS_KEY", "S3_PRIVATE_KEY", "API_ADMIN_PASSWORD", "UID_PASSWORD"} {
		seen[src.Secret(name, "a secret", server.MinPassword)] = true
	}
	if err := src.Err(); err != nil || len(seen) != 5 {
		t.Errorf("%d different secrets, %v", len(seen), err)
	}
	if err := makeSecrets(path); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(first) {
		t.Errorf("made again: %v", err)
	}
}
