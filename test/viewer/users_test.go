package viewer

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// userRow is the row of a user, as an expression.
func userRow(name string) string {
	return `[...document.querySelectorAll('.users tbody tr')].find((r) => r.querySelector('th').firstChild.textContent.trim() === '` + name + `')`
}

func TestAnAdminAddsResetsAndDeletesUsers(t *testing.T) {
	s := start(t)
	fillPeople(t, s)
	c := client(t, s)
	b := open(t, s, desktop)
	b.logIn("/users", stack.AdminName, stack.AdminPassword)
	b.waitFor(userRow("reader"))
	for user, want := range map[string]string{"reader": "read-only", "rita": "read-write", "second_admin": "admin"} {
		if got := eval[string](b, userRow(user)+`.querySelector('.role').innerText`); got != want {
			t.Errorf("%s is shown as %s, want %s", user, got, want)
		}
	}

	// two names of which the one, as a pattern, would be the other too
	for _, name := range []string{"field_1", "fieldX1"} {
		b.do(chromedp.Click(`.page-head .primary`), chromedp.WaitVisible(`dialog input[name=username]`))
		b.do(chromedp.SendKeys(`dialog input[name=username]`, name), chromedp.SendKeys(`dialog input[name=password]`, userPassword), chromedp.Click(`dialog input[value="read-write"]`), chromedp.Click(`dialog button[type=submit]`))
		b.waitFor(`document.querySelector('dialog') === null && ` + userRow(name))
	}
	if _, err := as(t, s, "field_1", userPassword).GetProjects(t.Context()); err != nil {
		t.Errorf("the new user: %v", err)
	}
	b.do(chromedp.Click(`.page-head .primary`), chromedp.WaitVisible(`dialog input[name=username]`))
	b.do(chromedp.SendKeys(`dialog input[name=username]`, "field_1"))
	b.press(`dialog button`, `Suggest one`)
	b.do(chromedp.Click(`dialog button[type=submit]`))
	b.waitFor(`document.querySelector('dialog [role=alert]')?.innerText.includes('field_1')`) // there is one
	b.press(`dialog button`, `Cancel`)

	b.do(chromedp.Click(`button[aria-label="New password for field_1"]`), chromedp.WaitVisible(`dialog input[name=password]`))
	b.do(chromedp.SendKeys(`dialog input[name=password]`, "another password"), chromedp.Click(`dialog button[type=submit]`))
	b.waitFor(`document.querySelector('dialog') === null && document.querySelector('.done').innerText.includes('field_1 has a new password.')`)
	if _, err := as(t, s, "field_1", userPassword).GetProjects(t.Context()); spi.CodeOf(err) != spi.CodeUnauthorized {
		t.Errorf("with the old password: %v", err)
	}
	if _, err := as(t, s, "field_1", "another password").GetProjects(t.Context()); err != nil {
		t.Errorf("with the new password: %v", err)
	}

	b.do(chromedp.Click(`button[aria-label="Delete field_1"]`), chromedp.WaitVisible(`dialog .danger`))
	b.press(`dialog button`, `Cancel`)
	b.waitFor(`document.querySelector('dialog') === null`)
	if !slices.Contains(usernames(t, c), "field_1") {
		t.Error("a user was deleted though the question was cancelled")
	}
	b.do(chromedp.Click(`button[aria-label="Delete field_1"]`), chromedp.WaitVisible(`dialog .danger`), chromedp.Click(`dialog .danger`))
	b.waitFor(`document.querySelector('.done').innerText.includes('field_1 is deleted.') && !(` + userRow("field_1") + `)`)
	if got := usernames(t, c); slices.Contains(got, "field_1") || !slices.Contains(got, "fieldX1") {
		t.Errorf("there are %v", got)
	}

	if eval[bool](b, userRow(stack.AdminName)+`.innerText.includes('Delete')`) {
		t.Error("an admin can delete himself")
	}
	b.quietBut("409")
}

func TestUsersAreForAdminsAlone(t *testing.T) {
	s := start(t)
	fillPeople(t, s)
	b := open(t, s, desktop)
	b.logIn("/users", "reader", userPassword)
	b.waitFor(`document.querySelector('main h1')?.innerText === 'No such page'`)
	if eval[bool](b, `document.querySelector('nav.side').innerText.includes('Users')`) || b.asked("/api/get_users") > 0 {
		t.Error("who is read only is shown the way to the users")
	}
	// a page that lies about who is there, with the session's own proof
	forge := func(endpoint, body string, proof bool) string {
		header := `{'Content-Type': 'application/json'}`
		if proof {
			header = `{'Content-Type': 'application/json', 'X-CSRF-Token': (await (await fetch('/session')).json()).proof}`
		}
		return run(b, chromedp.Evaluate[string](`(async () => { const r = await fetch('/api/`+endpoint+`', {method: 'POST', headers: `+header+`, body: '`+body+`'}); return r.status + ' ' + await r.text() })()`, chromedp.EvalAwaitPromise))
	}
	for endpoint, body := range map[string]string{
		"get_users":               `[]`,
		"put_users":               `[{"username":"evil","password":"evil-password","is_admin":true}]`,
		"delete_users":            `[{"username":"rita"}]`,
		"reset_password":          `[{"username":"admin","password":"evil-password"}]`,
		"put_projects":            `[{"name":"evil"}]`,
		"delete_projects":         `[{"name":"%"}]`,
		"put_project_series":      `[{"project_id":1,"device":"5c173ff2","start_datetime":"2020-06-20","end_datetime":"2020-06-21"}]`,
		"put_project_permissions": `[{"project_id":1,"user_id":2,"level":3}]`,
	} {
		for _, proof := range []bool{true, false} {
			if got := forge(endpoint, body, proof); !strings.HasPrefix(got, "403 ") {
				t.Errorf("%s, proof %v: %s", endpoint, proof, got)
			}
		}
	}
	c := client(t, s)
	if got := usernames(t, c); slices.Contains(got, "evil") || !slices.Contains(got, "rita") {
		t.Errorf("there are %v", got)
	}
	if projects, err := c.GetProjects(t.Context()); err != nil || len(projects) != 2 {
		t.Errorf("projects: %v, %v", projects, err)
	}
}

func TestWhoResetsTheirOwnPasswordIsToldSoAndLogsInAgain(t *testing.T) {
	s := start(t)
	fillPeople(t, s)
	b := open(t, s, desktop)
	b.logIn("/users", "second_admin", userPassword)
	b.waitFor(userRow("second_admin"))
	b.do(chromedp.Click(`button[aria-label="New password for second_admin"]`), chromedp.WaitVisible(`dialog input[name=password]`))
	if text := eval[string](b, `document.querySelector('dialog').innerText`); !strings.Contains(text, "This is yourself: you will be logged out") {
		t.Errorf("the question is %q", text)
	}
	b.do(chromedp.SendKeys(`dialog input[name=password]`, "another password"), chromedp.Click(`dialog button[type=submit]`), chromedp.WaitVisible(`input[name=username]`))
	b.typeLogIn("second_admin", "another password")
	b.waitFor(userRow("second_admin"))
}

func TestWhoeverIsLoggedInChoosesANewPassword(t *testing.T) {
	s := start(t)
	fillPeople(t, s)
	b := open(t, s, desktop)
	b.logIn("/devices", "reader", userPassword)
	b.do(chromedp.Click(`header .who`), chromedp.WaitVisible(`dialog input[name=password]`))
	b.do(chromedp.SendKeys(`dialog input[name=password]`, "too short"), chromedp.Click(`dialog button[type=submit]`))
	b.waitFor(`document.querySelector('dialog input[name=password]').validity.tooShort`)
	if b.asked("/api/reset_password") > 0 {
		t.Error("a password that is too short was sent")
	}
	b.do(chromedp.SendKeys(`dialog input[name=password]`, " by far, but no more"), chromedp.Click(`dialog button[type=submit]`), chromedp.WaitVisible(`input[name=username]`))
	if _, err := as(t, s, "reader", userPassword).GetProjects(t.Context()); spi.CodeOf(err) != spi.CodeUnauthorized {
		t.Errorf("with the old password: %v", err)
	}
	b.typeLogIn("reader", "too short by far, but no more")
	b.waitFor(`document.querySelector('header .who')?.innerText === 'reader'`)
}

// as is a client of another user.
func as(t testing.TB, s *stack.Stack, user, password string) *spi.Client {
	t.Helper()
	c, err := spi.New(s.URL, spi.WithPassword(user, password))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func usernames(t testing.TB, c *spi.Client) []string {
	t.Helper()
	users, err := c.GetUsers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.Username
	}
	return names
}

// quietBut is quiet, but for what the browser itself says of replies with a status that was meant.
func (b *tab) quietBut(status string) {
	b.Helper()
	for _, line := range b.console() {
		if !strings.Contains(line, "status of "+status) {
			b.Errorf("the console says: %s", line)
		}
	}
}
