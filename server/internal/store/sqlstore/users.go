package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// UserByName finds the account with that name, compared without case.
func (s *Store) UserByName(ctx context.Context, username string) (store.User, error) {
	absent := spi.Errorf(spi.CodeNotFound, "there is no user %.64q", username)
	if !isText(username) {
		return store.User{}, absent
	}
	u, err := scanUser(s.read.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE username = ?", username).Scan)
	// MariaDB also takes names for equal that differ in accents or in spaces at the end.
	if errors.Is(err, sql.ErrNoRows) || err == nil && fold(u.Username) != fold(username) {
		return store.User{}, absent
	}
	return u, s.fail(ctx, err, "reading", "table users")
}

// UserByID finds an account.
func (s *Store) UserByID(ctx context.Context, id int64) (store.User, error) {
	u, err := scanUser(s.read.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE id = ?", id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return store.User{}, spi.Errorf(spi.CodeNotFound, "there is no user with id %d", id)
	}
	return u, s.fail(ctx, err, "reading", "table users")
}

// Users gives the accounts for which match is true, ordered by id.
func (s *Store) Users(ctx context.Context, match func(*store.User) bool) ([]store.User, error) {
	all, err := allUsers(ctx, s.read, "")
	if err != nil {
		return nil, s.fail(ctx, err, "reading", "table users")
	}
	if match == nil {
		return all, nil
	}
	var found []store.User
	for i := range all {
		if match(&all[i]) {
			found = append(found, all[i])
		}
	}
	return found, nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// allUsers reads all accounts, ordered by id. There are few: they are matched in Go, where both databases agree.
func allUsers(ctx context.Context, q querier, lock string) (users []store.User, err error) {
	rows, err := q.QueryContext(ctx, "SELECT "+userColumns+" FROM users ORDER BY id"+lock)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		u, err := scanUser(rows.Scan)
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// AddUsers makes all of the accounts or none.
func (s *Store) AddUsers(ctx context.Context, users []store.User) ([]store.User, error) {
	if len(users) == 0 {
		return nil, nil
	}
	for i := range users {
		if err := checkUser(&users[i]); err != nil {
			return nil, err
		}
	}
	added := make([]store.User, len(users))
	err := s.inTx(ctx, "writing", "table users", func(tx *sql.Tx) error {
		for i, u := range users {
			u.DatetimeCreated = u.DatetimeCreated.UTC().Truncate(time.Second)
			if u.Email.V == "" {
				u.Email = sql.Null[string]{} // addresses are unique, none is not
			}
			result, err := tx.ExecContext(ctx, `INSERT INTO users (username, email, password_hash, is_admin, can_write,
				datetime_created, api_version, api_user) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				u.Username, u.Email, u.PasswordHash, zeroOne(u.IsAdmin), zeroOne(u.CanWrite),
				s.dialect.datetime(u.DatetimeCreated), u.APIVersion, u.APIUser)
			if isConflict(s, err) {
				err = userConflict(err, &u)
				if len(users) > 1 { // alone, as for an operator who makes one, it needs no number
					err = ofElement(i, err)
				}
				return err
			}
			if err != nil {
				return err
			}
			if u.ID, err = result.LastInsertId(); err != nil {
				return err
			}
			added[i] = u
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// userConflict says which of the two unique fields is taken. Both drivers end their message with the name of the index,
// behind the value, which is the user's.
func userConflict(err error, u *store.User) error {
	text := err.Error()
	for _, before := range []string{" for key ", "constraint failed: "} {
		if i := strings.LastIndex(text, before); i >= 0 {
			text = text[i:]
		}
	}
	if u.Email.Valid && strings.Contains(text, "email") {
		return spi.Wrap(spi.CodeConflict, err, "there is a user with the e-mail address %q already", u.Email.V)
	}
	return spi.Wrap(spi.CodeConflict, err, "there is a user %q already", u.Username)
}

func zeroOne(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// DeleteUsers deletes the accounts for which match is true: all or none.
func (s *Store) DeleteUsers(ctx context.Context, match func(*store.User) bool, keep int64) ([]store.User, error) {
	var deleted []store.User
	err := s.inTx(ctx, "deleting from", "table users", func(tx *sql.Tx) error {
		deleted = nil
		// All rows are locked, not only those to delete: of two requests that each spare another admin, the second sees
		// what the first has left.
		all, err := allUsers(ctx, tx, s.dialect.forUpdate)
		if err != nil {
			return err
		}
		admins, ids := 0, []any(nil)
		for i := range all {
			u := &all[i]
			switch {
			case !match(u):
				if u.IsAdmin && u.CanWrite {
					admins++
				}
			case u.ID == keep:
				return spi.Errorf(spi.CodeForbidden, "user %q cannot delete itself", u.Username)
			default:
				deleted = append(deleted, *u)
				ids = append(ids, u.ID)
			}
		}
		if len(deleted) == 0 {
			return nil
		}
		if admins == 0 {
			return spi.Errorf(spi.CodeForbidden, "the last admin cannot be deleted")
		}
		for len(ids) > 0 {
			n := min(len(ids), idsPerQuery)
			if err := s.endLeases(ctx, tx, ids[:n]); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM users WHERE id IN ("+placeholders(n)+")", ids[:n]...); err != nil {
				return err
			}
			ids = ids[n:]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// SetPasswordHash replaces the account's hash.
func (s *Store) SetPasswordHash(ctx context.Context, id int64, hash string) error {
	done, err := s.updateHash(ctx, hash, "id = ?", id)
	if err == nil && !done {
		return spi.Errorf(spi.CodeNotFound, "there is no user with id %d", id)
	}
	return err
}

// SwapPasswordHash replaces the hash only where it still is old.
func (s *Store) SwapPasswordHash(ctx context.Context, id int64, old, hash string) (bool, error) {
	return s.updateHash(ctx, hash, "id = ? AND "+s.dialect.sameHash, id, old)
}

func (s *Store) updateHash(ctx context.Context, hash, where string, args ...any) (done bool, err error) {
	if err := checkTexts("users", field{"password_hash", hash, maxHash}); err != nil {
		return false, err
	}
	err = s.inTx(ctx, "writing", "table users", func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE users SET password_hash = ? WHERE "+where, append([]any{hash}, args...)...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		done = n == 1
		return err
	})
	return done, err
}
