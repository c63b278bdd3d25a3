package server

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/httpapi"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// User is an account, as an operator on the server's machine sees it.
type User struct {
	Username, Email   string
	IsAdmin, CanWrite bool
	Created           time.Time
}

// Role says what the account may do.
func (u User) Role() string {
	return auth.RoleOf(&store.User{IsAdmin: u.IsAdmin, CanWrite: u.CanWrite}).String()
}

// Users are the accounts of a database, for whoever has the server's configuration: no account is needed to change them.
type Users struct {
	db   database
	auth *auth.Authenticator
}

// OpenUsers opens the database, which must be up to date, to look at its accounts. [Users.Close] ends it.
func OpenUsers(cfg Config, log *slog.Logger) (*Users, error) {
	db, err := openDatabase(cfg, log)
	if err != nil {
		return nil, err
	}
	a, err := auth.New(db, cfg.Secret, log, time.Now)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Users{db: db, auth: a}, nil
}

// Close closes the database.
func (u *Users) Close() error { return u.db.Close() }

// List gives all accounts in the order in which they were made.
func (u *Users) List(ctx context.Context) ([]User, error) {
	rows, err := u.db.Users(ctx, nil)
	users := make([]User, len(rows))
	for i, r := range rows {
		users[i] = User{Username: r.Username, Email: r.Email.V, IsAdmin: r.IsAdmin, CanWrite: r.CanWrite, Created: r.DatetimeCreated}
	}
	return users, err
}

// Add makes an account. CodeInvalid, CodeConflict.
func (u *Users) Add(ctx context.Context, user User, password string) error {
	if err := httpapi.CheckAccount(user.Username, user.Email, password); err != nil {
		return err
	}
	hash, err := u.auth.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	_, err = u.db.AddUsers(ctx, []store.User{{
		Username: user.Username, Email: sql.Null[string]{V: user.Email, Valid: user.Email != ""}, PasswordHash: hash,
		IsAdmin: user.IsAdmin, CanWrite: user.CanWrite,
		Provenance: store.Provenance{
			DatetimeCreated: time.Now().UTC().Truncate(time.Second),
			APIVersion:      sql.Null[string]{V: spi.APIVersion, Valid: true},
		},
	}})
	return err
}

// Reset gives an account a new password, which ends its tokens. CodeInvalid, CodeNotFound.
func (u *Users) Reset(ctx context.Context, username, password string) error {
	user, err := u.byName(ctx, username)
	if err != nil {
		return err
	}
	if err := httpapi.CheckAccount(user.Username, "", password); err != nil {
		return err
	}
	hash, err := u.auth.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	return u.db.SetPasswordHash(ctx, user.ID, hash)
}

// Delete deletes an account. CodeNotFound; CodeForbidden for the last admin.
func (u *Users) Delete(ctx context.Context, username string) error {
	user, err := u.byName(ctx, username)
	if err != nil {
		return err
	}
	const nobody = 0 // there is no account that asks, and so none to keep
	_, err = u.db.DeleteUsers(ctx, func(other *store.User) bool { return other.ID == user.ID }, nobody)
	return err
}

func (u *Users) byName(ctx context.Context, username string) (store.User, error) {
	user, err := u.db.UserByName(ctx, username)
	if err != nil && spi.CodeOf(err) == spi.CodeNotFound {
		return user, spi.Errorf(spi.CodeNotFound, "there is no user %q", username)
	}
	return user, err
}

// Pending says whether [Migrate] has anything to do. It changes nothing.
func Pending(ctx context.Context, cfg Config, log *slog.Logger) (bool, error) {
	db, err := openDatabase(cfg, log)
	if err != nil {
		return false, err
	}
	pending, err := db.Pending(ctx)
	return pending, errors.Join(err, db.Close())
}
