package viewer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// TestEveryPageIsAccessible asks axe (https://github.com/dequelabs/axe-core), which knows the rules of WCAG 2.2, about every page.
func TestEveryPageIsAccessible(t *testing.T) {
	axe, err := os.ReadFile(filepath.Join(stack.Root(t), "services/webapp/web/node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Skip("axe-core is not installed: 'sh deploy.sh test' installs it with the pages' packages")
	}
	s := start(t)
	fillAll(t, s)
	for _, size := range []viewport{desktop, phone} {
		for _, theme := range []string{"light", "dark"} {
			b := open(t, s, size)
			call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
			check := func(name string) {
				t.Helper()
				eval[bool](b, string(axe)+"; true")
				text := run(b, chromedp.Evaluate[string](`axe.run().then((r) => JSON.stringify({rules: r.passes.length, violations: r.violations.map((v) => ({
					id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary) }))}))`, chromedp.EvalAwaitPromise))
				var found struct {
					Rules      int
					Violations []struct {
						ID, Impact, Help string
						Nodes            []string
					}
				}
				if err := json.Unmarshal([]byte(text), &found); err != nil || found.Rules == 0 {
					t.Fatalf("%s: axe says %s (%v)", name, text, err)
				}
				for _, v := range found.Violations {
					t.Errorf("%s, %d pixels wide, %s: %s (%s, %s):\n%s", name, size.width, theme, v.Help, v.ID, v.Impact, strings.Join(v.Nodes, "\n"))
				}
			}
			b.do(chromedp.Navigate(b.url), chromedp.WaitVisible(`input[name=username]`))
			check("log-in")
			b.logIn("/", stack.AdminName, stack.AdminPassword)
			for _, scene := range scenes {
				b.do(chromedp.Navigate(b.url + address(scene.path)))
				b.waitFor(scene.ready)
				if scene.then != nil {
					scene.then(b)
				}
				check(scene.name)
			}
		}
	}
}
