package storetest

import (
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func user(name string) store.User {
	return store.User{
		Username: name, PasswordHash: "$argon2id$" + name, CanWrite: true,
		Provenance: store.Provenance{DatetimeCreated: at("2024-05-01T10:00:00Z"), APIVersion: text("3.0.0"), APIUser: text("spi")},
	}
}

func admin(name string) store.User {
	u := user(name)
	u.IsAdmin = true
	return u
}

func add(t *testing.T, s store.Store, users ...store.User) []store.User {
	t.Helper()
	added, err := s.AddUsers(background(t), users)
	must(t, err)
	return added
}

func usernames(users []store.User) []string {
	var n []string
	for _, u := range users {
		n = append(n, u.Username)
	}
	return n
}

func all(t *testing.T, s store.Store) []string {
	t.Helper()
	users, err := s.Users(background(t), nil)
	must(t, err)
	return usernames(users)
}

func testUserByName(t *testing.T, s store.Store) {
	made := add(t, s, user("Quentin"), user("zoe"), user("a_b"), user("100%"), user("o'neil\\"), user("日本"))
	for name, want := range map[string]*store.User{
		"Quentin": &made[0], "quentin": &made[0], "QUENTIN": &made[0],
		"zoe": &made[1], "zoé": nil, "zoë": nil, "zoe ": nil, " zoe": nil, "z%": nil, "%": nil, "": nil, "zo_": nil,
		"a_b": &made[2], "axb": nil, "100%": &made[3], "100": nil, "1000": nil, "o'neil\\": &made[4], "o'neil": nil,
		"' OR 1=1 -- ": nil, "日本": &made[5], "日": nil, "zoe\x00": nil, "\xff\xfe": nil, strings.Repeat("x", 5000): nil,
	} {
		u, err := s.UserByName(background(t), name)
		if want == nil {
			wantCode(t, err, spi.CodeNotFound)
			continue
		}
		must(t, err)
		equal(t, u, *want)
		u, err = s.UserByID(background(t), want.ID)
		must(t, err)
		equal(t, u, *want)
	}
	for _, id := range []int64{0, -1, 1 << 40} {
		_, err := s.UserByID(background(t), id)
		wantCode(t, err, spi.CodeNotFound)
	}
}

func testUserValues(t *testing.T, s store.Store) {
	full := store.User{
		Username: strings.Repeat("ü", 32), Email: text("A.B+c@example.org"), PasswordHash: strings.Repeat("$6$", 42), IsAdmin: true,
		Provenance: store.Provenance{DatetimeCreated: at("2024-02-29T23:59:59Z"), APIVersion: text("12345678"), APIUser: text(strings.Repeat("y", 32))},
	}
	bare := store.User{Username: "bare", PasswordHash: "h", Provenance: store.Provenance{DatetimeCreated: at("1999-12-31T23:59:59Z")}}
	emptyMail := user("none")
	emptyMail.Email = text("")
	made := add(t, s, full, bare, emptyMail)
	emptyMail.Email = sql.Null[string]{}
	for i, want := range []store.User{full, bare, emptyMail} {
		want.ID = made[i].ID
		equal(t, made[i], want)
	}
	read, err := s.Users(background(t), nil)
	must(t, err)
	equal(t, read, made)
}

func testUsersFilter(t *testing.T, s store.Store) {
	equal(t, all(t, s), []string(nil))
	equal(t, len(add(t, s)), 0)
	add(t, s, user("c"), admin("a"))
	add(t, s, user("b"))
	equal(t, all(t, s), []string{"c", "a", "b"})
	found, err := s.Users(background(t), func(u *store.User) bool { return !u.IsAdmin })
	must(t, err)
	equal(t, usernames(found), []string{"c", "b"})
}

func testAddUsersConflicts(t *testing.T, s store.Store) {
	first := user("spi")
	first.Email = text("spi@example.org")
	add(t, s, first)
	mail := user("other")
	mail.Email = text("SPI@example.org")
	// A value that looks like the other index's name must not confuse the message.
	trap := user("SPI")
	trap.Email = text("x@example.org")
	for name, test := range map[string]struct {
		users []store.User
		names string
	}{
		"a name that is there":          {[]store.User{user("new"), user("spi")}, `element 1: there is a user "spi"`},
		"a name without case":           {[]store.User{user("new"), trap}, `element 1: there is a user "SPI"`},
		"an address that is there":      {[]store.User{user("new"), mail}, `element 1: there is a user with the e-mail address "SPI@example.org"`},
		"a name twice in one request":   {[]store.User{user("new"), user("x"), user("New")}, `element 2: there is a user "New"`},
		"a conflict at the first place": {[]store.User{user("Spi"), user("new")}, `element 0: there is a user "Spi"`},
		"one user alone":                {[]store.User{user("spi")}, `there is a user "spi"`},
	} {
		_, err := s.AddUsers(background(t), test.users)
		wantCode(t, err, spi.CodeConflict)
		if !strings.HasPrefix(err.Error(), "conflict: "+test.names) {
			t.Errorf("%s: %v does not begin with %q", name, err, test.names)
		}
		equal(t, all(t, s), []string{"spi"})
	}
	// Any number of accounts may lack an address.
	add(t, s, user("a"), user("b"))
}

func testAddUsersInvalid(t *testing.T, s store.Store) {
	for name, change := range map[string]func(*store.User){
		"no name":                       func(u *store.User) { u.Username = "" },
		"a name of 33 characters":       func(u *store.User) { u.Username = strings.Repeat("n", 33) },
		"a name that is no text":        func(u *store.User) { u.Username = "\xff" },
		"a name with a NUL":             func(u *store.User) { u.Username = "a\x00b" },
		"an address of 65 characters":   func(u *store.User) { u.Email = text(strings.Repeat("e", 65)) },
		"a hash of 129 characters":      func(u *store.User) { u.PasswordHash = strings.Repeat("h", 129) },
		"a maker of 33 characters":      func(u *store.User) { u.APIUser = text(strings.Repeat("m", 33)) },
		"a version of 9 characters":     func(u *store.User) { u.APIVersion = text("123456789") },
		"a time that is no date of SQL": func(u *store.User) { u.DatetimeCreated = u.DatetimeCreated.AddDate(9000, 0, 0) },
	} {
		bad := user("bad")
		change(&bad)
		if _, err := s.AddUsers(background(t), []store.User{user("good"), bad}); err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", name, err)
		}
		equal(t, all(t, s), []string(nil))
	}
}

func testDeleteUsers(t *testing.T, s store.Store) {
	readOnlyAdmin := admin("readonly")
	readOnlyAdmin.CanWrite = false
	made := add(t, s, admin("root"), user("a"), admin("second"), readOnlyAdmin, user("b"))
	everybody := func(*store.User) bool { return true }
	_, err := s.DeleteUsers(background(t), everybody, made[0].ID)
	wantCode(t, err, spi.CodeForbidden)
	_, err = s.DeleteUsers(background(t), everybody, 0)
	wantCode(t, err, spi.CodeForbidden)
	// An admin that may not write is none: it does not count as the last.
	_, err = s.DeleteUsers(background(t), func(u *store.User) bool { return u.IsAdmin && u.CanWrite }, 0)
	wantCode(t, err, spi.CodeForbidden)
	equal(t, len(all(t, s)), 5)

	deleted, err := s.DeleteUsers(background(t), func(u *store.User) bool { return u.Username != "root" && u.Username != "b" }, made[0].ID)
	must(t, err)
	equal(t, deleted, made[1:4])
	equal(t, all(t, s), []string{"root", "b"})
	deleted, err = s.DeleteUsers(background(t), func(*store.User) bool { return false }, made[0].ID)
	must(t, err)
	equal(t, len(deleted), 0)
	// An id is not given twice, or a token of the deleted account would be the new one's.
	if again := add(t, s, user("a")); again[0].ID <= made[4].ID {
		t.Errorf("id %d was given again", again[0].ID)
	}
}

func testDeleteUsersConcurrently(t *testing.T, s store.Store) {
	admins := []string{"a0", "a1", "a2", "a3", "a4", "a5"}
	for _, name := range admins {
		add(t, s, admin(name))
	}
	var wg sync.WaitGroup
	for _, name := range admins {
		wg.Go(func() {
			_, err := s.DeleteUsers(background(t), func(u *store.User) bool { return u.Username == name }, 0)
			if err != nil && spi.CodeOf(err) != spi.CodeForbidden {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, len(all(t, s)), 1)
}

func testPasswordHash(t *testing.T, s store.Store) {
	u := add(t, s, user("spi"), user("other"))[0]
	hash := func() string {
		found, err := s.UserByID(background(t), u.ID)
		must(t, err)
		return found.PasswordHash
	}
	must(t, s.SetPasswordHash(background(t), u.ID, "New"))
	must(t, s.SetPasswordHash(background(t), u.ID, "New"))
	equal(t, hash(), "New")
	for _, old := range []string{"new", "NEW", "New ", "Néw", "", "\x00", "\xff"} {
		swapped, err := s.SwapPasswordHash(background(t), u.ID, old, "swapped")
		must(t, err)
		equal(t, swapped, false)
	}
	equal(t, hash(), "New")
	for range 2 { // to the same hash is a swap too
		swapped, err := s.SwapPasswordHash(background(t), u.ID, hash(), "swapped")
		must(t, err)
		equal(t, swapped, true)
	}
	equal(t, hash(), "swapped")
	wantCode(t, s.SetPasswordHash(background(t), u.ID+100, "x"), spi.CodeNotFound)
	swapped, err := s.SwapPasswordHash(background(t), u.ID+100, "x", "y")
	must(t, err)
	equal(t, swapped, false)
	wantCode(t, s.SetPasswordHash(background(t), u.ID, strings.Repeat("x", 129)), spi.CodeInvalid)
	other, err := s.UserByName(background(t), "other")
	must(t, err)
	equal(t, other.PasswordHash, "$argon2id$other")
}

func testSwapConcurrently(t *testing.T, s store.Store) {
	u := add(t, s, user("spi"))[0]
	var wg sync.WaitGroup
	var mu sync.Mutex
	wins := 0
	for i := range 8 {
		wg.Go(func() {
			swapped, err := s.SwapPasswordHash(background(t), u.ID, u.PasswordHash, strings.Repeat("x", i+1))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if swapped {
				wins++
			}
		})
	}
	wg.Wait()
	equal(t, wins, 1)
}
