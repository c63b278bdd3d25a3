package httpapi

import (
	"database/sql"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Widths of the users table's columns, in characters.
const (
	maxUsername = 32
	maxEmail    = 64
)

func (a *api) getToken(c *gin.Context, user *store.User) error {
	drain(c)
	t := a.Auth.Token(user)
	b := append(make([]byte, 0, 160), `{"expiration":`...)
	b = strconv.AppendInt(b, t.Expiration, 10)
	b = append(b, `,"token":`...)
	b = appendText(b, t.Token)
	c.Data(http.StatusOK, "application/json", append(b, '}'))
	return nil
}

// userFields gives the fields of an account as text, for filters. Dates are compared in both formats.
var userFields = filterFields[store.User]{
	"id":          func(u *store.User) []sql.Null[string] { return is(strconv.FormatInt(u.ID, 10)) },
	"username":    func(u *store.User) []sql.Null[string] { return is(u.Username) },
	"email":       func(u *store.User) []sql.Null[string] { return []sql.Null[string]{u.Email} },
	"is_admin":    func(u *store.User) []sql.Null[string] { return is(zeroOne(u.IsAdmin)) },
	"can_write":   func(u *store.User) []sql.Null[string] { return is(zeroOne(u.CanWrite)) },
	"api_user":    func(u *store.User) []sql.Null[string] { return []sql.Null[string]{u.APIUser} },
	"api_version": func(u *store.User) []sql.Null[string] { return []sql.Null[string]{u.APIVersion} },
	"datetime_created": func(u *store.User) []sql.Null[string] {
		return is(spi.FormatDatetime(u.DatetimeCreated, spi.DateV2), spi.FormatDatetime(u.DatetimeCreated, spi.DateV1))
	},
}

func is(texts ...string) []sql.Null[string] {
	out := make([]sql.Null[string], len(texts))
	for i, t := range texts {
		out[i] = sql.Null[string]{V: t, Valid: true}
	}
	return out
}

func zeroOne(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func userFilters(c *gin.Context) ([]filter[store.User], spi.DateFormat, error) {
	return userFields.read(c, "a user")
}

func replyUsers(c *gin.Context, users []store.User, format spi.DateFormat) error {
	return replyRows(c, users, format, appendUser)
}

func (a *api) getUsers(c *gin.Context, _ *store.User) error {
	filters, format, err := userFilters(c)
	if err != nil {
		return err
	}
	users, err := a.Store.Users(c.Request.Context(), anyOfOrAll(filters))
	if err != nil {
		return err
	}
	return replyUsers(c, users, format)
}

func (a *api) putUsers(c *gin.Context, by *store.User) error {
	var users []store.User
	var passwords []string
	format, err := elements(c, func(e *element) error {
		u := store.User{
			Username: e.text("username", maxUsername),
			IsAdmin:  e.flag("is_admin", false),
			CanWrite: e.flag("can_write", true),
		}
		if why := badUsername(u.Username); why != "" {
			e.fail("username", "%s", why)
		}
		if e.has("email") {
			u.Email.V = e.text("email", maxEmail)
			u.Email.Valid = u.Email.V != ""
			if !printable(u.Email.V) {
				e.fail("email", "holds a character that is not printable")
			}
		}
		passwords = append(passwords, password(e))
		users = append(users, u)
		return nil
	})
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	for i := range users {
		if users[i].PasswordHash, err = a.Auth.HashPassword(ctx, passwords[i]); err != nil {
			return err
		}
		users[i].Provenance = a.provenance(by)
	}
	if len(users) > 0 {
		if users, err = a.Store.AddUsers(ctx, users); err != nil {
			return err
		}
	}
	return replyUsers(c, users, format)
}

func (a *api) deleteUsers(c *gin.Context, by *store.User) error {
	filters, format, err := userFilters(c)
	if err != nil {
		return err
	}
	if err := nameSomething(filters, "user"); err != nil {
		return err
	}
	var users []store.User
	if len(filters) > 0 {
		if users, err = a.Store.DeleteUsers(c.Request.Context(), anyOf(filters), by.ID); err != nil {
			return err
		}
	}
	return replyUsers(c, users, format)
}

func (a *api) resetPassword(c *gin.Context, by *store.User) error {
	type reset struct{ username, password string }
	var resets []reset
	format, err := elements(c, func(e *element) error {
		resets = append(resets, reset{e.text("username", maxUsername), password(e)})
		return nil
	})
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	users := make([]store.User, len(resets))
	seen := make(map[int64]bool, len(resets))
	admin := auth.RoleOf(by) == auth.Admin
	for i, r := range resets {
		users[i], err = a.Store.UserByName(ctx, r.username)
		switch {
		case err != nil && spi.CodeOf(err) != spi.CodeNotFound:
			return err
		case !admin && (err != nil || users[i].ID != by.ID): // says nothing of who there is
			return spi.Errorf(spi.CodeForbidden, "element %d: only an admin may reset another user's password", i)
		case err != nil:
			return spi.Errorf(spi.CodeNotFound, "element %d: there is no user %q", i, r.username)
		case seen[users[i].ID]: // a list is long, and each of its passwords takes a hash
			return spi.Errorf(spi.CodeInvalid, "element %d: the user %q is named twice", i, users[i].Username)
		}
		seen[users[i].ID] = true
	}
	for i, r := range resets {
		if users[i].PasswordHash, err = a.Auth.HashPassword(ctx, r.password); err != nil {
			return ofElement(i, len(resets), err)
		}
		if err := a.Store.SetPasswordHash(ctx, users[i].ID, users[i].PasswordHash); err != nil {
			return ofElement(i, len(resets), err)
		}
	}
	return replyUsers(c, users, format)
}

func password(e *element) string {
	p := e.text("password", auth.MaxPassword)
	if p == "" {
		e.fail("password", "is empty: an empty password stands for a token")
	}
	if len(p) > auth.MaxPassword {
		e.fail("password", "is longer than %d bytes", auth.MaxPassword)
	}
	return p
}

func badUsername(name string) string {
	switch {
	case name == "":
		return "is empty"
	case strings.Contains(name, ":"):
		return "holds a colon, which HTTP's Basic authentication cannot send"
	case strings.TrimSpace(name) != name:
		return "begins or ends with a blank"
	case !printable(name):
		return "holds a character that is not printable"
	}
	return ""
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
}

func (a *api) provenance(by *store.User) store.Provenance {
	return store.Provenance{
		DatetimeCreated: a.Now().UTC().Truncate(time.Second),
		APIVersion:      sql.Null[string]{V: spi.APIVersion, Valid: true},
		APIUser:         sql.Null[string]{V: by.Username, Valid: true},
	}
}
