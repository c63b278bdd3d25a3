package local

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// makeSecrets writes the file of secrets, readable by its owner alone, where it is not there. It is whole or not there,
// even where the process is killed meanwhile.
func makeSecrets(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
		return nil
	}
	var b strings.Builder
	b.WriteString("# Secrets of this local server, made at its first start. Variables of the environment override them.\n")
	for _, name := range []string{"SECRET_API_KEY", "S3_ACCESS_KEY", "S3_PRIVATE_KEY", "API_ADMIN_PASSWORD", "UID_PASSWORD"} {
		fmt.Fprintf(&b, "%s=%s\n", name, rand.Text())
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	return nil
}
