package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/work"
)

// twoAlgorithms asked for work.
type twoAlgorithms struct{ store.Work }

func (twoAlgorithms) Backlog(context.Context, string, time.Time) ([]store.Backlog, error) {
	return []store.Backlog{{AlgoName: "Alpha"}, {AlgoName: "beta"}}, nil
}

func TestABacklogIsAskedForWithoutCase(t *testing.T) {
	a := &api{Config: Config{Work: work.New(twoAlgorithms{}, slog.New(slog.DiscardHandler), time.Now)}}
	for body, want := range map[string][]string{
		`[]`:                      {"Alpha", "beta"},
		`[{"algo_name":"ALPHA"}]`: {"Alpha"},
		`[{"algo_name":"ALPHA"},{"algo_name":"alpha"}]`: {"Alpha"},
		`[{"algo_name":"alpha"},{"algo_name":"BETA"}]`:  {"Alpha", "beta"},
		`[{"algo_name":"Beta"},{"algo_name":"gamma"}]`:  {"beta"},
		`[{"algo_name":"gamma"},{}]`:                    {"Alpha", "beta"},
		`[{"algo_name":"gamma"}]`:                       nil,
	} {
		reply := httptest.NewRecorder()
		c, _ := gin.CreateTestContext(reply)
		c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		if err := a.getBacklog(c, &store.User{}); err != nil {
			t.Fatal(err)
		}
		var rows []struct {
			AlgoName string `json:"algo_name"`
		}
		if err := json.Unmarshal(reply.Body.Bytes(), &rows); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, r.AlgoName)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}
