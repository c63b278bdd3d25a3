package command_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/services/kit/command"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
)

// asProgram, where it is set, makes the test's binary a program with these commands.
const asProgram = "COMMAND_TEST_PROGRAM"

type waitCmd struct{}

func (waitCmd) Run(ctx context.Context) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Println("ended by the signal")
	return nil
}

type failCmd struct{}

func (failCmd) Run() error { return errors.New("it did not work") }

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	command.Main("program", "A program.", &struct {
		Wait    waitCmd          `cmd:""`
		Fail    failCmd          `cmd:""`
		Version kong.VersionFlag `help:"Print the version."`
	}{})
}

func TestAProgramEndsAsItsCommandDoes(t *testing.T) {
	for args, want := range map[string]struct {
		status int
		output string
	}{
		"wait":      {0, "ended by the signal\n"},
		"fail":      {1, "program: it did not work\n"},
		"--version": {0, "unknown\n"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], args)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != want.status || !strings.HasSuffix(string(out), want.output) {
			t.Errorf("%s ends with %d and %q, want %d and %q", args, got, out, want.status, want.output)
		}
	}
}

func TestConfigureTellsWhatIsWrong(t *testing.T) {
	t.Setenv("DEBUG", "perhaps")
	_, log, err := command.Configure(func(src *config.Source) string { return src.Required("COMMAND_TEST_SECRET", "a secret") })
	if err == nil || !strings.Contains(err.Error(), "DEBUG") || !strings.Contains(err.Error(), "COMMAND_TEST_SECRET") || log == nil {
		t.Errorf("error %v, log %v", err, log)
	}
	t.Setenv("DEBUG", "true")
	t.Setenv("COMMAND_TEST_SECRET", "known")
	got, log, err := command.Configure(func(src *config.Source) string { return src.Required("COMMAND_TEST_SECRET", "a secret") })
	if err != nil || got != "known" || !log.Enabled(t.Context(), slog.LevelDebug) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHealthcheckAsksThisMachine(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("COMMAND_TEST_PORT", u.Port())
	if err := command.Healthcheck(t.Context(), "COMMAND_TEST_PORT", 1, "/healthz"); err != nil {
		t.Error(err)
	}
	status = http.StatusServiceUnavailable
	if err := command.Healthcheck(t.Context(), "COMMAND_TEST_PORT", 1, "/healthz"); err == nil {
		t.Error("it is not well and nothing is said")
	}
	t.Setenv("COMMAND_TEST_PORT", "none")
	if err := command.Healthcheck(t.Context(), "COMMAND_TEST_PORT", 1, "/healthz"); err == nil || !strings.Contains(err.Error(), "COMMAND_TEST_PORT") {
		t.Errorf("error %v", err)
	}
}
