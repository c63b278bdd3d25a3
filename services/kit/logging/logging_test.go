package logging_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
)

func TestTheContextsAttributesStandInEveryLine(t *testing.T) {
	var out bytes.Buffer
	log := logging.New(&out, logging.Options{JSON: true}).With("service", "api")
	outer := logging.With(t.Context(), slog.String("request_id", "r1"))
	one, two := logging.With(outer, slog.String("user", "ana")), logging.With(outer, slog.String("user", "bo"))
	log.InfoContext(one, "hello", "n", 1)
	log.InfoContext(two, "hello")
	log.DebugContext(outer, "not shown")
	var got []map[string]any
	for dec := json.NewDecoder(&out); dec.More(); {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		got = append(got, line)
	}
	want := []map[string]any{
		{"level": "INFO", "msg": "hello", "service": "api", "request_id": "r1", "user": "ana", "n": 1.0},
		{"level": "INFO", "msg": "hello", "service": "api", "request_id": "r1", "user": "bo"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAQuietLogHasWarningsAndDebugGoesBeforeIt(t *testing.T) {
	for _, tt := range []struct {
		options logging.Options
		want    string
	}{
		{logging.Options{}, "INFO WARN"}, {logging.Options{Quiet: true}, "WARN"}, {logging.Options{Quiet: true, Debug: true}, "DEBUG INFO WARN"},
	} {
		log := logging.New(io.Discard, tt.options)
		var got []string
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
			if log.Enabled(t.Context(), level) {
				got = append(got, level.String())
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v logs %v, want %s", tt.options, got, tt.want)
		}
	}
}
