package test_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// project is the path that every module of go.work begins with. Paths in the rules below are relative to it.
const project = "github.com/sticky-pi/sticky-pi-server/"

// A rule says which packages of this project a package may import, besides those of its own rule. A pattern is a path, or
// a path and "/..." for it and everything below. The rule with the longest pattern that fits a package holds for it.
type rule struct {
	of  string
	may []string
}

// rules are the layers of docs/ARCHITECTURE.md. A package without a rule is a violation, so that the table stays complete.
var rules = []rule{
	{of: "services/kit/..."},
	{of: "services/spi/...", may: []string{"services/kit/..."}},
	{of: "services/webapp", may: append([]string{"services/webapp/internal/...", "services/webapp/web"}, clientSide...)},
	{of: "services/webapp/cmd/...", may: append([]string{"services/webapp"}, clientSide...)},
	{of: "services/webapp/internal/...", may: clientSide},
	{of: "services/webapp/internal/front/..."},
	{of: "services/webapp/internal/session/..."},
	{of: "services/webapp/web/..."},
	{of: "services/webapp/internal/ui/...", may: append([]string{"services/webapp/internal/front", "services/webapp/internal/session"}, clientSide...)},
	{of: "services/monitor/...", may: clientSide},
	// the detector: cmd -> ml -> {worker, models, bundle}; a kind of detector knows of no other, and of nothing but pictures
	{of: "ml", may: append([]string{"ml/internal/..."}, clientSide...)},
	{of: "ml/cmd/...", may: append([]string{"ml", "ml/internal/..."}, clientSide...)},
	{of: "ml/internal/worker/...", may: append([]string{"ml/internal/detect", "ml/internal/photograph"}, clientSide...)},
	{of: "ml/internal/models/...", may: append([]string{"ml/internal/bundle", "ml/internal/detect/..."}, clientSide...)},
	{of: "ml/internal/bundle/...", may: append([]string{"ml/internal/stall"}, clientSide...)},
	{of: "ml/internal/photograph/...", may: append([]string{"ml/internal/stall"}, clientSide...)},
	{of: "ml/internal/stall/..."},
	{of: "ml/internal/evaluate/...", may: []string{"ml/internal/detect", "ml/internal/svg"}},
	{of: "ml/internal/svg/..."},
	{of: "ml/internal/safetensors/..."},
	{of: "ml/internal/detect"},
	{of: "ml/internal/detect/outlines/...", may: []string{"ml/internal/detect"}},
	{of: "ml/internal/detect/builtin/...", may: []string{"ml/internal/detect", "ml/internal/detect/outlines", "ml/internal/safetensors"}},
	{of: "ml/internal/detect/onnx/...", may: []string{"ml/internal/detect", "ml/internal/detect/outlines"}},
	// local mode wires the services through the one package that each exports
	{of: "services/local/...", may: append([]string{"server", "services/webapp", "services/monitor", "ml"}, clientSide...)},
	{of: "test/...", may: []string{"..."}},

	// the API: cmd -> httpapi -> {auth, ingest, work, plot, events} -> {store, blob}; implementations are named where things are wired
	{of: "server", may: append([]string{"server/internal/..."}, clientSide...)},
	{of: "server/cmd/...", may: append([]string{"server", "server/internal/..."}, clientSide...)},
	{of: "server/internal/httpapi/...", may: append([]string{
		"server/internal/auth", "server/internal/ingest", "server/internal/tuboids", "server/internal/work", "server/internal/store",
		"server/internal/blob", "server/internal/plot", "server/internal/events",
	}, clientSide...)},
	{of: "server/internal/plot/...", may: []string{"server/internal/store"}},
	{of: "server/internal/events/...", may: append([]string{"server/internal/store"}, clientSide...)},
	{of: "server/internal/auth/...", may: storesOnly},
	{of: "server/internal/ingest/...", may: storesOnly},
	{of: "server/internal/tuboids/...", may: storesOnly},
	{of: "server/internal/fsck/...", may: append([]string{"server/internal/ingest/...", "server/internal/tuboids"}, storesOnly...)},
	{of: "server/internal/work/...", may: storesOnly},
	{of: "server/internal/s3copy/...", may: append([]string{"server/internal/blob"}, clientSide...)},
	{of: "server/internal/store/...", may: clientSide},
	{of: "server/internal/store/sqlstore/...", may: append([]string{"server/internal/store"}, clientSide...)},
	{of: "server/internal/store/storetest/...", may: append([]string{"server/internal/store"}, clientSide...)},
	{of: "server/internal/blob/...", may: clientSide},
	{of: "server/internal/blob/s3blob/...", may: append([]string{"server/internal/blob"}, clientSide...)},
	{of: "server/internal/blob/blobtest/...", may: append([]string{"server/internal/blob"}, clientSide...)},
}

var (
	clientSide = []string{"services/kit/...", "services/spi/..."}
	storesOnly = append([]string{"server/internal/store", "server/internal/blob"}, clientSide...)
)

// tests are the rules for _test.go files: they stay within what their module may know, but may wire it as they like.
var tests = []rule{
	{of: "services/kit/..."},
	{of: "services/spi/...", may: []string{"services/kit/..."}},
	{of: "services/webapp/...", may: clientSide},
	{of: "services/monitor/...", may: clientSide},
	{of: "ml/...", may: clientSide},
	{of: "services/local/...", may: append([]string{"server", "services/webapp", "services/monitor", "ml"}, clientSide...)},
	{of: "server/...", may: clientSide},
	{of: "test/...", may: []string{"..."}},
}

// keepers are packages of others that only some of ours may name, outside _test.go files and test/. database/sql is not
// among them: its sql.Null is how rows hold what may be absent; without a driver there is no way from it to a database.
var keepers = []struct {
	pkg string
	may []string
}{
	{"github.com/gin-gonic/gin/...", []string{"server/internal/httpapi/...", "services/webapp/internal/ui/..."}},
	{"github.com/go-sql-driver/mysql/...", []string{"server/internal/store/sqlstore/...", "services/kit/kittest"}},
	{"modernc.org/sqlite/...", []string{"server/internal/store/sqlstore/..."}},
	{"github.com/pressly/goose/v3/...", []string{"server/internal/store/sqlstore/..."}},
	{"github.com/aws/aws-sdk-go-v2/...", []string{"server/internal/blob/s3blob/..."}},
	{"github.com/versity/versitygw/...", []string{"services/kit/s3gw/..."}},
	{"github.com/yalue/onnxruntime_go/...", []string{"ml/internal/detect/onnx"}},
}

// A node is a package and what it names.
type node struct {
	path    string   // full import path
	imports []string // by its ordinary files
	tests   []string // by its _test.go files
}

// violations checks a graph of packages against the rules and says, a line each, what breaks which.
func violations(graph []node) []string {
	var found []string
	for _, n := range graph {
		from, ours := strings.CutPrefix(n.path, project)
		if !ours {
			continue
		}
		for _, to := range n.imports {
			found = append(found, checkRule(from, to, rules, "")...)
			found = append(found, checkHelper(from, to)...)
			found = append(found, checkKeeper(from, to)...)
		}
		for _, to := range n.tests {
			found = append(found, checkRule(from, to, tests, "'s tests")...)
		}
		// a package that imports nothing of the project needs a rule all the same
		found = append(found, checkRule(from, n.path, rules, "")...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func checkRule(from, to string, table []rule, what string) []string {
	to, ours := strings.CutPrefix(to, project)
	if !ours {
		return nil
	}
	var best *rule
	for i, r := range table {
		if fits(r.of, from) && (best == nil || len(r.of) > len(best.of)) {
			best = &table[i]
		}
	}
	if best == nil {
		return []string{fmt.Sprintf("%s%s: no rule says what it may import: add one", from, what)}
	}
	// below a rule's own pattern there may be a package with a rule of its own, which is then another layer
	if fits(best.of, to) && (what != "" || !narrower(to, best.of, table)) {
		return nil
	}
	if fitsAny(best.may, to) {
		return nil
	}
	return []string{fmt.Sprintf("%s%s imports %s, and may import only %s", from, what, to, strings.Join(append([]string{best.of}, best.may...), ", "))}
}

// narrower says whether a rule with a longer pattern than of holds for path.
func narrower(path, of string, table []rule) bool {
	return slices.ContainsFunc(table, func(r rule) bool { return len(r.of) > len(of) && fits(r.of, path) })
}

// checkHelper keeps the packages that start real servers or hold suites for tests (kittest, storetest ...) out of programs.
func checkHelper(from, to string) []string {
	to, ours := strings.CutPrefix(to, project)
	if !ours || !isHelper(to) || isHelper(from) || fits("test/...", from) {
		return nil
	}
	if fits("services/local/...", from) && strings.Contains(from, "demo") {
		return nil // local mode's generated images
	}
	return []string{fmt.Sprintf("%s imports %s, which is for tests", from, to)}
}

func isHelper(path string) bool {
	return !fits("test/...", path) && slices.ContainsFunc(strings.Split(path, "/"), func(e string) bool { return strings.HasSuffix(e, "test") })
}

func checkKeeper(from, to string) []string {
	if fits("test/...", from) {
		return nil
	}
	for _, k := range keepers {
		if fits(k.pkg, to) && !fitsAny(k.may, from) {
			return []string{fmt.Sprintf("%s imports %s, which only %s may", from, to, strings.Join(k.may, ", "))}
		}
	}
	return nil
}

func fits(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	prefix, below := strings.CutSuffix(pattern, "/...")
	return path == prefix || below && strings.HasPrefix(path, prefix+"/")
}

func fitsAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, path) })
}

// TestImportRulesHold lists every package of go.work, as it is built with and without libjpeg-turbo, onnxruntime and vector kernels. go test does not know
// that the outcome depends on other modules: -count=1 or -shuffle=on keeps it from answering from its cache.
func TestImportRulesHold(t *testing.T) {
	modules := strings.Fields(string(goList(t, nil, "-m")))
	for i, m := range modules {
		modules[i] = m + "/..."
	}
	var graph []node
	for _, env := range [][]string{{"CGO_ENABLED=0", "GOFLAGS="}, {"CGO_ENABLED=1", "GOFLAGS=-tags=turbojpeg,onnx", "GOEXPERIMENT=simd"}} {
		args := append([]string{"-e", "-json=ImportPath,Imports,TestImports,XTestImports"}, modules...)
		graph = append(graph, decodeGraph(t, goList(t, env, args...))...)
	}

	for _, want := range []string{"services/kit", "services/spi", "server/internal/store", "test"} {
		if !slices.ContainsFunc(graph, func(n node) bool { return n.path == project+want }) {
			t.Errorf("the list of packages lacks %s: it is not whole", want)
		}
	}
	for _, v := range violations(graph) {
		t.Error(v)
	}
}

func goList(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return out
}

func decodeGraph(t *testing.T, list []byte) []node {
	t.Helper()
	var graph []node
	for dec := json.NewDecoder(strings.NewReader(string(list))); ; {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return graph
		} else if err != nil {
			t.Fatalf("output of go list: %v", err)
		}
		graph = append(graph, node{path: p.ImportPath, imports: p.Imports, tests: append(p.TestImports, p.XTestImports...)})
	}
}

// TestImportRulesForbid shows that the check can fail: it runs on graphs of one import each.
func TestImportRulesForbid(t *testing.T) {
	const gin, sql = "github.com/gin-gonic/gin", "github.com/go-sql-driver/mysql"
	for _, tt := range []struct {
		from, to string
		test     bool   // the import stands in a _test.go file
		want     string // in the one violation; empty: allowed
	}{
		{from: "services/kit/config", to: "services/kit/logging"},
		{from: "services/kit/config", to: "services/spi", want: "may import only services/kit/..."},
		{from: "services/kit/config", to: "services/spi", test: true, want: "tests imports services/spi"},
		{from: "services/spi", to: "services/kit/logging"},
		{from: "services/spi", to: "server", want: "may import only"},
		{from: "services/spi", to: "server", test: true, want: "may import only"},
		{from: "services/webapp/internal/pages", to: "services/spi"},
		{from: "services/webapp", to: "server", want: "may import only"},
		{from: "services/webapp/internal/session", to: "services/spi", want: "may import only"},
		{from: "services/webapp/internal/ui", to: "services/webapp/internal/session"},
		{from: "services/webapp/internal/front", to: gin, want: "only server/internal/httpapi/..., services/webapp/internal/ui/... may"},
		{from: "ml/internal/detect", to: "services/webapp", want: "may import only"},
		{from: "ml", to: "ml/internal/worker"},
		{from: "ml/cmd/spi-uid", to: "ml/internal/evaluate"},
		{from: "ml/internal/worker", to: "services/spi"},
		{from: "ml/internal/worker", to: "ml/internal/models", want: "may import only"},
		{from: "ml/internal/worker", to: "ml/internal/detect/builtin", want: "may import only"},
		{from: "ml/internal/detect/builtin", to: "services/spi", want: "may import only"},
		{from: "ml/internal/detect/builtin", to: "ml/internal/detect/onnx", want: "may import only"},
		{from: "ml/internal/detect/onnx", to: "ml/internal/detect/builtin", test: true},
		{from: "ml/internal/unheardof", to: "ml/internal/detect", want: "no rule"},
		{from: "services/local", to: "ml/internal/worker", want: "may import only"},
		{from: "ml", to: "github.com/yalue/onnxruntime_go", want: "only ml/internal/detect/onnx may"},
		{from: "services/unheardof", to: "services/kit/config", want: "no rule"},
		{from: "services/unheardof", to: "fmt", want: "no rule"},

		{from: "services/local", to: "server"},
		{from: "services/local/cmd/sticky-pi", to: "services/local"},
		{from: "services/local", to: "services/webapp"},
		{from: "services/local", to: "services/webapp/pages", want: "may import only"},
		{from: "services/local", to: "server/internal/store", want: "may import only"},
		{from: "services/local", to: "services/kit/kittest", want: "is for tests"},
		{from: "services/local/internal/demo", to: "services/spi/spitest"},
		{from: "server", to: "services/local", want: "may import only"},
		{from: "server", to: "services/local", test: true, want: "may import only"},
		{from: "services/local", to: "test", want: "may import only"},
		{from: "test/load", to: "services/local"},

		{from: "server", to: "server/internal/store/sqlstore"},
		{from: "server/cmd/spi-api", to: "server/internal/httpapi"},
		{from: "server/internal/httpapi", to: "server/internal/ingest"},
		{from: "server/internal/httpapi", to: "server/internal/ingest/exif", want: "may import only"},
		{from: "server/internal/httpapi", to: "server/internal/store/sqlstore", want: "may import only"},
		{from: "server/internal/httpapi", to: "server/internal/store/sqlstore", test: true},
		{from: "server/internal/httpapi", to: "server/internal/blob/s3blob", want: "may import only"},
		{from: "server/internal/auth", to: "server/internal/httpapi", want: "may import only"},
		{from: "server/internal/ingest", to: "server/internal/auth", want: "may import only"},
		{from: "server/internal/ingest", to: "server/internal/ingest/exif"},
		{from: "server/internal/ingest", to: "server/internal/blob"},
		{from: "server/internal/store", to: "server/internal/blob", want: "may import only"},
		{from: "server/internal/store", to: "server/internal/store/sqlstore", want: "may import only"},
		{from: "server/internal/store/sqlstore", to: "server/internal/store"},
		{from: "server/internal/store/sqlstore", to: "server/internal/store/storetest", want: "may import only"},
		{from: "server/internal/store/sqlstore", to: "server/internal/store/storetest", test: true},
		{from: "server/internal/unheardof", to: "server/internal/store", want: "no rule"},

		{from: "server/internal/httpapi", to: gin},
		{from: "server/internal/store/sqlstore", to: gin, want: "only server/internal/httpapi/..., services/webapp/internal/ui/... may"},
		{from: "server/internal/auth", to: gin, want: "only server/internal/httpapi/..., services/webapp/internal/ui/... may"},
		{from: "server", to: gin + "/binding", want: "only server/internal/httpapi/..., services/webapp/internal/ui/... may"},
		{from: "server/internal/httpapi", to: sql, want: "only server/internal/store/sqlstore/..."},
		{from: "server/internal/httpapi", to: sql, test: true},
		{from: "server/internal/store", to: "modernc.org/sqlite/lib", want: "only server/internal/store/sqlstore/..."},
		{from: "server/internal/ingest", to: "github.com/aws/aws-sdk-go-v2/service/s3", want: "only server/internal/blob/s3blob/..."},
		{from: "server", to: "services/kit/kittest", want: "is for tests"},
		{from: "server", to: "services/kit/kittest", test: true},
		{from: "services/spi/spitest", to: "services/kit/kittest"},
	} {
		to := tt.to
		if strings.HasPrefix(to, "serv") || to == "test" || strings.HasPrefix(to, "ml") {
			to = project + to
		}
		n := node{path: project + tt.from, imports: []string{to}}
		if tt.test {
			n = node{path: project + tt.from, imports: []string{"fmt"}, tests: []string{to}}
		}
		got := violations([]node{n})
		switch {
		case tt.want == "" && len(got) > 0:
			t.Errorf("%s -> %s (test: %v) is allowed, and gave %q", tt.from, tt.to, tt.test, got)
		case tt.want != "" && (len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), tt.want)):
			t.Errorf("%s -> %s (test: %v) gave %q, want %q", tt.from, tt.to, tt.test, got, tt.want)
		}
	}
}
