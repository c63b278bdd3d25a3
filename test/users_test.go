package test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestTheFirstCallsOfAnOperator(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		before := time.Now().Unix()
		var token map[string]any
		if err := json.Unmarshal(a.post("/get_token", "").ok().body, &token); err != nil {
			t.Fatal(err)
		}
		expiration, _ := token["expiration"].(float64)
		if _, ok := token["token"].(string); !ok || len(token) != 2 {
			t.Errorf("get_token gives %v", token)
		}
		const life = 24 * 60 * 60
		if e := int64(expiration); e < before+life || e > time.Now().Unix()+life {
			t.Errorf("the token ends %d s after now, not %d", e-before, life)
		}

		want := row{
			"username": "spi", "email": nil, "is_admin": false, "can_write": false, "password_hash": "***********",
			"api_user": stack.AdminName, "api_version": spi.APIVersion,
		}
		made := a.post("/put_users", `[{"username": "spi", "password": "spi password", "email": "", "can_write": false}]`).only()
		listed := a.post("/get_users", `[{"username": "spi"}]`).only()
		same(t, "the user as it is listed", made, listed)
		if !slices.Contains(column(a.post("/get_users", "").rows(), "username"), "spi") {
			t.Error("the list of all users lacks the new one")
		}
		if _, ok := made["id"].(float64); !ok {
			t.Errorf("the user's id is %v", made["id"])
		}
		if _, format, err := spi.ParseDatetime(made.text("datetime_created")); err != nil || *format != spi.DateV2 {
			t.Errorf("datetime_created is %q: %v", made.text("datetime_created"), err)
		}
		delete(made, "id")
		delete(made, "datetime_created")
		same(t, "the user made", want, made)
		a.as(basic("spi", "spi password")).post("/get_images/metadata", "[]").ok()
	})
}

func TestEveryWayToLogIn(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		user := a.newUser(readWrite)
		withPassword := a.as(basic(user, userPassword))
		token := withPassword.token()
		for name, l := range map[string]login{
			"password": basic(user, userPassword), "name in other case": basic(strings.ToUpper(user), userPassword),
			"token as the user name": basic(token, ""), "bearer": bearer(token),
			"bearer in lower case": func(r *http.Request) { r.Header.Set("Authorization", "bearer "+token) },
			"renewed token":        bearer(a.as(bearer(token)).token()),
			"renewed as user name": basic(a.as(basic(token, "")).token(), ""),
		} {
			t.Run(name, func(t *testing.T) {
				p := small(newDevice(), noon, 1)
				same(t, "api_user", user, a.within(t).as(l).put(p)[0].text("api_user"))
			})
		}
		for name, l := range map[string]login{
			"nothing": nobody, "wrong password": basic(user, userPassword+"x"), "no such user": basic("nobody at all", "x"),
			"token with a password": basic(token, "x"), "changed token": bearer(token[:len(token)-2] + "AA"), "short token": bearer("x"),
			"empty bearer": bearer(""), "empty names": basic("", ""), "a name without password": basic(user, ""),
			"another scheme": func(r *http.Request) { r.Header.Set("Authorization", "Digest username=admin") },
			"bad base64":     func(r *http.Request) { r.Header.Set("Authorization", "Basic ?") },
			"a pattern":      basic("%", userPassword), "a pattern for a letter": basic(user[:len(user)-1]+"_", userPassword),
			"an accent more": basic(strings.Replace(user, "u", "ü", 1), userPassword), "a blank more": basic(user+" ", userPassword),
			"SQL": basic("' OR '1'='1", "' OR '1'='1"), "NUL": basic(user+"\x00", userPassword), "invalid UTF-8": basic(user+"\xff", userPassword),
			"a huge password": basic(user, strings.Repeat("x", 20_000)),
		} {
			t.Run("refused: "+name, func(t *testing.T) {
				r := a.within(t).as(l).post("/get_token", "").refused(http.StatusUnauthorized)
				same(t, "WWW-Authenticate", `Basic realm="Authentication Required"`, r.header.Get("WWW-Authenticate"))
			})
		}
	})
}

func TestEachEndpointIsForItsRolesAlone(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		roles := []struct {
			name  string
			login login
			level int // 0 reader, 1 writer, 2 admin, -1 nobody
		}{
			{"nobody", nobody, -1},
			{"wrong password", nil, -1},
			{"read-only", basic(a.newUser(readOnly), userPassword), 0},
			{"admin who may not write", basic(a.newUser(frozen), userPassword), 0},
			{"read-write", basic(a.newUser(readWrite), userPassword), 1},
			{"admin", basic(a.newUser(admin), userPassword), 2},
		}
		for _, endpoint := range []struct {
			path  string
			level int
		}{
			{"/get_token", 0}, {"/get_images/metadata", 0}, {"/get_images/image", 0}, {"/get_images/thumbnail", 0},
			{"/get_images/thumbnail-mini", 0}, {"/get_image_series/metadata", 0}, {"/get_image_series/image", 0}, {"/reset_password", 0},
			{"/_put_new_images", 1},
			{"/get_users", 2}, {"/put_users", 2}, {"/delete_users", 2}, {"/delete_images", 2},
		} {
			for _, role := range roles {
				t.Run(endpoint.path+" "+role.name, func(t *testing.T) {
					a := a.within(t)
					if role.login == nil { // a user each, or the limit on failed log-ins would answer
						role.login = basic(a.newUser(admin), "not "+userPassword)
					}
					a = a.as(role.login)
					send := func(body string) *reply { return a.mistaken().post(endpoint.path, body) }
					if endpoint.path == "/_put_new_images" {
						p := small(newDevice(), noon, 1)
						send = func(string) *reply { return a.upload(v2(p.name(), p.data)...) }
					}
					switch r := send(""); {
					case role.level < 0:
						r.refused(http.StatusUnauthorized)
						same(t, "WWW-Authenticate", `Basic realm="Authentication Required"`, r.header.Get("WWW-Authenticate"))
						send(`[{"wrong`).refused(http.StatusUnauthorized)
					case role.level < endpoint.level:
						r.refused(http.StatusForbidden)
						send(`[{"wrong`).refused(http.StatusForbidden) // before anything is read of the request
					default:
						r.ok()
					}
				})
			}
		}
	})
}

func TestTokensDieWithTheAccountAndThePassword(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		works := func(t *testing.T, token string, want bool) {
			t.Helper()
			for _, l := range []login{bearer(token), basic(token, "")} {
				r := a.within(t).as(l).post("/get_images/metadata", "")
				if want {
					r.ok()
				} else {
					r.refused(http.StatusUnauthorized)
				}
			}
		}
		t.Run("reset password", func(t *testing.T) {
			a := a.within(t)
			user := a.newUser(readWrite)
			token := a.as(basic(user, userPassword)).token()
			works(t, token, true)
			a.call("/reset_password", row{"username": user, "password": "another password"}).ok()
			works(t, token, false)
			a.as(basic(user, userPassword)).post("/get_token", "").refused(http.StatusUnauthorized)
			works(t, a.as(basic(user, "another password")).token(), true)
		})
		t.Run("the same password again", func(t *testing.T) {
			a := a.within(t)
			user := a.newUser(readWrite)
			token := a.as(basic(user, userPassword)).token()
			a.call("/reset_password", row{"username": user, "password": userPassword}).ok()
			works(t, token, false)
			a.as(basic(user, userPassword)).token()
		})
		t.Run("deleted and made anew", func(t *testing.T) {
			a := a.within(t)
			user := a.newUser(readWrite)
			token := a.as(basic(user, userPassword)).token()
			same(t, "deleted", user, a.call("/delete_users", row{"username": user}).only().text("username"))
			works(t, token, false)
			a.as(basic(user, userPassword)).post("/get_token", "").refused(http.StatusUnauthorized)
			a.call("/put_users", row{"username": user, "password": userPassword}).ok()
			works(t, token, false)
			a.as(basic(user, userPassword)).token()
		})
	})
}

func TestPasswordsAreResetByTheirUserOrAnAdmin(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		reader, writer := a.newUser(readOnly), a.newUser(readWrite)
		asReader := a.as(basic(reader, userPassword))
		asReader.call("/reset_password", row{"username": writer, "password": "stolen"}).refused(http.StatusForbidden, "element 0")
		asReader.call("/reset_password", row{"username": reader, "password": "new one"}, row{"username": writer, "password": "stolen"}).
			refused(http.StatusForbidden, "element 1")
		asReader.call("/reset_password", row{"username": "%", "password": "stolen"}).refused(http.StatusForbidden)
		// each takes a hash, and a list has 250,000 elements
		asReader.call("/reset_password", row{"username": reader, "password": "a"}, row{"username": strings.ToUpper(reader), "password": "b"}).
			refused(http.StatusBadRequest, "element 1", "twice")
		a.as(basic(reader, userPassword)).token() // none of the requests above did anything
		a.as(basic(writer, userPassword)).token()

		same(t, "user", reader, asReader.call("/reset_password", row{"username": strings.ToUpper(reader), "password": "chosen by itself"}).only().text("username"))
		a.as(basic(reader, "chosen by itself")).token()
		a.as(basic(reader, userPassword)).post("/get_token", "").refused(http.StatusUnauthorized)

		a.call("/reset_password", row{"username": writer, "password": "chosen by admin"}).ok()
		a.as(basic(writer, "chosen by admin")).token()
		a.call("/reset_password", row{"username": writer, "password": "x"}, row{"username": "no such user", "password": "x"}).
			refused(http.StatusNotFound, "element 1")
		a.call("/reset_password", row{"username": "%", "password": "x"}).refused(http.StatusNotFound)
		a.as(basic(writer, "chosen by admin")).token()
	})
}

func TestFailedLogInsAreLimitedByUser(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		victim, other := a.newUser(readWrite), a.newUser(readWrite)
		loggedIn := a.as(basic(victim, userPassword))
		token := loggedIn.token()
		refused := 0
		for i := 0; ; i++ {
			r := a.as(basic(victim, "guess "+strconv.Itoa(i))).post("/get_token", "")
			if r.status == http.StatusTooManyRequests {
				r.refused(http.StatusTooManyRequests)
				if after, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || after < 1 {
					t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
				}
				break
			}
			r.refused(http.StatusUnauthorized)
			if refused++; refused == 100 {
				t.Fatal("100 wrong passwords in a row, and no limit")
			}
		}
		if refused < 5 {
			t.Errorf("limited after %d wrong passwords: people mistype", refused)
		}
		again := a.as(basic(strings.ToUpper(victim), "one more guess")).post("/get_token", "")
		if again.status == http.StatusUnauthorized { // one more attempt came due just now
			again = a.as(basic(strings.ToUpper(victim), "one more guess")).post("/get_token", "")
		}
		again.refused(http.StatusTooManyRequests)
		a.as(basic(other, userPassword)).token() // from the same address
		loggedIn.token()
		a.as(bearer(token)).token()
	})
}

func TestUsersAreMadeAllOrNone(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		there := newName("there")
		a.call("/put_users", row{"username": there, "password": "x", "email": there + "@example.org"}).ok()
		user := func(name, email string) row { return row{"username": name, "password": "x", "email": email} }
		fresh := func() string { return newName("fresh") }
		twice := fresh()
		for _, test := range []struct {
			name   string
			users  []row
			status int
		}{
			{"a name that is there", []row{user(fresh(), ""), user(there, "")}, http.StatusConflict},
			{"a name that is there in other case", []row{user(fresh(), ""), user(strings.ToUpper(there), "")}, http.StatusConflict},
			{"an address that is there", []row{user(fresh(), ""), user(fresh(), there+"@example.org")}, http.StatusConflict},
			{"a name twice", []row{user(twice, ""), user(twice, "")}, http.StatusConflict},
			{"an address twice", []row{user(fresh(), twice+"@example.org"), user(fresh(), twice+"@example.org")}, http.StatusConflict},
			{"one wrong", []row{user(fresh(), ""), {"username": fresh()}}, http.StatusBadRequest},
			{"one with a colon", []row{user(fresh(), ""), user("a:b", "")}, http.StatusBadRequest},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t).mistaken()
				a.call("/put_users", test.users...).refused(test.status)
				for _, u := range test.users {
					if name := u.text("username"); !strings.EqualFold(name, there) {
						if rows := a.call("/get_users", row{"username": name}).rows(); len(rows) > 0 {
							t.Errorf("user %s was made", name)
						}
					}
				}
			})
		}
		t.Run("many without an address", func(t *testing.T) {
			a := a.within(t)
			var users []row
			for _, email := range []any{"", "", nil, nil} {
				users = append(users, row{"username": newName("plain"), "password": "x", "email": email})
			}
			for _, u := range a.call("/put_users", users...).rows() {
				same[any](t, "email of "+u.text("username"), nil, u["email"])
			}
			a.call("/put_users", user(newName("plain"), "")).ok()
		})
		t.Run("roles in every way to write them", func(t *testing.T) {
			a := a.within(t)
			for _, test := range []struct{ given, want row }{
				{row{}, row{"is_admin": false, "can_write": true}},
				{row{"is_admin": 1, "can_write": 0}, row{"is_admin": true, "can_write": false}},
				{row{"is_admin": true, "can_write": true}, row{"is_admin": true, "can_write": true}},
				{row{"is_admin": nil, "can_write": nil}, row{"is_admin": false, "can_write": true}},
			} {
				u := user(newName("role"), "")
				for k, v := range test.given {
					u[k] = v
				}
				got := a.call("/put_users", u).only()
				same(t, "roles", test.want, row{"is_admin": got["is_admin"], "can_write": got["can_write"]})
			}
		})
	})
}

func TestUsersAreFoundAndDeletedByFilters(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		prefix := newName("filter") + "."
		var made []row
		for _, u := range []row{
			{"username": prefix + "anna", "email": prefix + "anna@example.org", "is_admin": true},
			{"username": prefix + "bob", "can_write": false},
			{"username": prefix + "b_b"},
			{"username": prefix + "b%b"},
		} {
			u["password"] = "x"
			made = append(made, a.call("/put_users", u).only())
		}
		names := func(indexes ...int) []string {
			out := []string{}
			for _, i := range indexes {
				out = append(out, made[i].text("username"))
			}
			return out
		}
		for _, test := range []struct {
			name    string
			filters []row
			want    []string
		}{
			{"exact", []row{{"username": prefix + "bob"}}, names(1)},
			{"without case", []row{{"username": strings.ToUpper(prefix) + "BOB"}}, names(1)},
			{"one character", []row{{"username": prefix + "b_b"}}, names(1, 2, 3)},
			{"escaped", []row{{"username": prefix + `b\_b`}, {"username": prefix + `b\%b`}}, names(2, 3)},
			{"all fields must match", []row{{"username": prefix + "%", "is_admin": 1}}, names(0)},
			{"booleans", []row{{"username": prefix + "%", "can_write": false}}, names(1)},
			{"null", []row{{"username": prefix + "%", "email": nil}}, names(1, 2, 3)},
			{"union, each once, by id", []row{{"username": prefix + "b_b"}, {"email": prefix + "%"}, {"id": made[1]["id"]}}, names(0, 1, 2, 3)},
			{"none", []row{{"username": prefix}}, names()},
		} {
			t.Run(test.name, func(t *testing.T) {
				same(t, "users", test.want, append([]string{}, column(a.within(t).call("/get_users", test.filters...).rows(), "username")...))
			})
		}
		a.mistaken().call("/get_users", row{"nmae": "x"}).refused(http.StatusBadRequest, "element 0", "nmae")

		t.Run("deletion", func(t *testing.T) {
			a := a.within(t)
			a.mistaken().call("/delete_users", row{}).refused(http.StatusBadRequest, "element 0")
			a.mistaken().call("/delete_users", row{"nmae": prefix + "bob"}).refused(http.StatusBadRequest, "nmae")
			// with the caller among them nobody goes
			a.call("/delete_users", row{"username": prefix + "%"}, row{"username": stack.AdminName}).refused(http.StatusForbidden)
			a.call("/delete_users", row{"username": "%"}).refused(http.StatusForbidden)
			same(t, "users", names(0, 1, 2, 3), column(a.call("/get_users", row{"username": prefix + "%"}).rows(), "username"))
			same(t, "deleted", made[2:3], a.call("/delete_users", row{"username": prefix + `b\_b`}).rows())
			same(t, "deleted", names(0, 1, 3), column(a.call("/delete_users", row{"username": prefix + "%"}).rows(), "username"))
			if rows := a.call("/get_users", row{"username": prefix + "%"}).rows(); len(rows) > 0 {
				t.Errorf("left: %v", rows)
			}
		})
	})
}

func TestAnAdminAlwaysRemains(t *testing.T) {
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		a := newAPI(t, s)
		second := a.newUser(admin)
		asSecond := a.as(basic(second, userPassword))
		a.call("/delete_users", row{"username": stack.UIDName}).ok()
		a.call("/put_users", row{"username": "frozen", "password": "x", "is_admin": true, "can_write": false}).ok()

		// each of the last two deletes the other, at once
		replies := a.together([]*http.Request{
			a.request(http.MethodPost, "/delete_users", jsonType, strings.NewReader(`[{"username":"`+second+`"}]`)),
			asSecond.request(http.MethodPost, "/delete_users", jsonType, strings.NewReader(`[{"username":"`+stack.AdminName+`"}]`)),
		})
		var left []string
		for i, asOne := range []*api{a, asSecond} {
			r := asOne.post("/get_users", `[{"is_admin":1,"can_write":1}]`)
			t.Logf("deletion: %d, afterwards: %d", replies[i].status, r.status)
			if r.status == http.StatusOK {
				left = column(r.rows(), "username")
			}
		}
		if len(left) != 1 {
			t.Fatalf("admins left: %v", left)
		}
	})
}
