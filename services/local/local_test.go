package local

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
)

// stopper ends a run once it says anything, which is that it is ready.
type stopper context.CancelFunc

func (s stopper) Write(p []byte) (int, error) {
	s()
	return len(p), nil
}

func TestTheDatabaseIsForItsOwnerAlone(t *testing.T) {
	t.Setenv("UID_WORKERS", "0")
	port, err := ports.Free(t.Context(), 0, viewerOffset, s3Offset, metricsOffset)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir() // which others can read
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	pattern := filepath.Join(data, databaseFile+"*")
	for _, start := range []string{"the first start", "a start on files that an older program made for everybody"} {
		ctx, stop := context.WithCancel(t.Context())
		if err := Run(ctx, Options{Port: port, Bind: "127.0.0.1", Data: data, Out: stopper(stop), Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		stop()
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has the mode %v, %v", start, file, info.Mode(), err)
			}
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestWhatSQLiteLeftBesideTheDatabaseIsForItsOwnerAloneToo(t *testing.T) {
	database := filepath.Join(t.TempDir(), databaseFile)
	files := []string{database, database + "-wal", database + "-shm"}
	for _, file := range files {
		if err := os.WriteFile(file, []byte("kept"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := makePrivate(database); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if content, readErr := os.ReadFile(file); err != nil || info.Mode().Perm() != 0o600 || string(content) != "kept" {
			t.Errorf("%s has the mode %v, %v, and holds %q, %v", file, info.Mode(), err, content, readErr)
		}
	}
}

func TestAPortThatIsTakenIsNamedWithWhatToDo(t *testing.T) {
	t.Setenv("UID_WORKERS", "0")
	for part, offset := range map[string]int{"API": 0, "viewer": viewerOffset, "S3": s3Offset, "metrics": metricsOffset} {
		t.Run(part, func(t *testing.T) {
			port, err := ports.Free(t.Context(), 0, viewerOffset, s3Offset, metricsOffset)
			if err != nil {
				t.Fatal(err)
			}
			taken := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset))
			var lc net.ListenConfig
			l, err := lc.Listen(t.Context(), "tcp", taken)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			err = Run(t.Context(), Options{Port: port, Bind: "127.0.0.1", Data: t.TempDir(), Out: io.Discard, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), "cannot listen on "+taken) || !strings.Contains(err.Error(), "stop what uses the port, or choose another") {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}
