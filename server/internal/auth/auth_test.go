package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

var quiet = slog.New(slog.DiscardHandler)

// clock is moved by the tests.
type clock struct{ t atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(c.t.Load(), 0).UTC() }
func (c *clock) forward(d time.Duration) { c.t.Add(int64(d / time.Second)) }

func open(t testing.TB) *sqlstore.Store {
	t.Helper()
	db, err := sqlstore.OpenSQLite(filepath.Join(t.TempDir(), "auth.db"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func setUp(t testing.TB) (*auth.Authenticator, *sqlstore.Store, *clock) {
	t.Helper()
	db, c := open(t), &clock{}
	c.t.Store(1_800_000_000)
	a, err := auth.New(db, "a key that replicas share", quiet, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return a, db, c
}

func add(t testing.TB, a *auth.Authenticator, db *sqlstore.Store, name, password string) store.User {
	t.Helper()
	hash, err := a.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return addHash(t, db, name, hash)
}

func addHash(t testing.TB, db *sqlstore.Store, name, hash string) store.User {
	t.Helper()
	users, err := db.AddUsers(t.Context(), []store.User{{Username: name, PasswordHash: hash, CanWrite: true}})
	if err != nil {
		t.Fatal(err)
	}
	return users[0]
}

func wantCode(t *testing.T, err error, code spi.Code) {
	t.Helper()
	if err == nil || spi.CodeOf(err) != code {
		t.Errorf("got %v, want code %s", err, code)
	}
}

func TestRolesFollowTheFlags(t *testing.T) {
	for _, c := range []struct {
		isAdmin, canWrite bool
		want              auth.Role
	}{
		{false, false, auth.ReadOnly}, {true, false, auth.ReadOnly}, {false, true, auth.ReadWrite}, {true, true, auth.Admin},
	} {
		if got := auth.RoleOf(&store.User{IsAdmin: c.isAdmin, CanWrite: c.canWrite}); got != c.want {
			t.Errorf("is_admin=%v can_write=%v: %v, want %v", c.isAdmin, c.canWrite, got, c.want)
		}
	}
}

func TestAPasswordOpensOnlyItsOwnAccount(t *testing.T) {
	a, db, _ := setUp(t)
	want := add(t, a, db, "Ana", "ana's password")
	add(t, a, db, "bo", "bo's password")
	for _, c := range []struct {
		name, password string
		code           spi.Code
	}{
		{"Ana", "ana's password", ""},
		{"ana", "ana's password", ""}, // as MariaDB compares
		{"Ana", "bo's password", spi.CodeUnauthorized},
		{"Ana", "", spi.CodeUnauthorized},
		{"An_", "ana's password", spi.CodeUnauthorized},
		{"%", "ana's password", spi.CodeUnauthorized},
		{"Ana ", "ana's password", spi.CodeUnauthorized},
		{"nobody", "ana's password", spi.CodeUnauthorized},
		{"Ana", strings.Repeat("x", auth.MaxPassword+1), spi.CodeUnauthorized},
	} {
		got, err := a.Password(t.Context(), c.name, c.password, "192.0.2.1")
		switch {
		case c.code != "":
			wantCode(t, err, c.code)
		case err != nil || got.ID != want.ID:
			t.Errorf("%q %q: %+v, %v", c.name, c.password, got, err)
		}
	}
}

func TestATokenLivesADayAndVerifiesOnEveryReplica(t *testing.T) {
	a, db, c := setUp(t)
	user := add(t, a, db, "ana", "ana's password")
	token := a.Token(&user)
	if want := c.now().Add(24 * time.Hour).Unix(); token.Expiration != want {
		t.Errorf("expires at %d, want %d", token.Expiration, want)
	}
	replica, err := auth.New(db, "a key that replicas share", quiet, c.now)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := auth.New(db, "another key", quiet, c.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*auth.Authenticator{a, replica} {
		if got, err := r.CheckToken(t.Context(), token.Token); err != nil || got.ID != user.ID {
			t.Errorf("%+v, %v", got, err)
		}
	}
	_, err = stranger.CheckToken(t.Context(), token.Token)
	wantCode(t, err, spi.CodeUnauthorized)
	c.forward(24*time.Hour - time.Second)
	if _, err := a.CheckToken(t.Context(), token.Token); err != nil {
		t.Error(err)
	}
	c.forward(time.Second)
	_, err = a.CheckToken(t.Context(), token.Token)
	wantCode(t, err, spi.CodeUnauthorized)
}

func TestNoBitOfATokenMayBeChanged(t *testing.T) {
	a, db, _ := setUp(t)
	user := add(t, a, db, "ana", "ana's password")
	token := a.Token(&user).Token
	for i := range token {
		for _, c := range []byte{'A', 'B', '_', ':', 0} {
			if token[i] == c {
				continue
			}
			changed := token[:i] + string(c) + token[i+1:]
			// the last character holds two bits that base64 does not use
			if _, err := a.CheckToken(t.Context(), changed); err == nil && i < len(token)-1 {
				t.Fatalf("character %d changed to %q is taken", i, c)
			}
		}
	}
	for _, s := range []string{"", token[1:], token + "A", strings.Repeat("A", len(token))} {
		if _, err := a.CheckToken(t.Context(), s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestATokenDiesWithThePasswordAndWithTheAccount(t *testing.T) {
	a, db, _ := setUp(t)
	user := add(t, a, db, "ana", "ana's password")
	keeper := add(t, a, db, "keeper", "keeper's password")
	token := a.Token(&user).Token
	hash, err := a.HashPassword(t.Context(), "ana's password") // the same again: a reset is a reset
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetPasswordHash(t.Context(), user.ID, hash); err != nil {
		t.Fatal(err)
	}
	_, err = a.CheckToken(t.Context(), token)
	wantCode(t, err, spi.CodeUnauthorized)

	user.PasswordHash = hash
	token = a.Token(&user).Token
	if _, err := a.CheckToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, err := db.AddUsers(t.Context(), []store.User{{Username: "admin", PasswordHash: hash, IsAdmin: true, CanWrite: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.DeleteUsers(t.Context(), func(u *store.User) bool { return u.ID == user.ID }, keeper.ID); err != nil {
		t.Fatal(err)
	}
	_, err = a.CheckToken(t.Context(), token)
	wantCode(t, err, spi.CodeUnauthorized)
	addHash(t, db, "ana", hash) // made again, under another id
	_, err = a.CheckToken(t.Context(), token)
	wantCode(t, err, spi.CodeUnauthorized)
}

func TestAResetEndsARememberedPassword(t *testing.T) {
	a, db, _ := setUp(t)
	user := add(t, a, db, "ana", "old password")
	if _, err := a.Password(t.Context(), "ana", "old password", "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	hash, err := a.HashPassword(t.Context(), "new password")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetPasswordHash(t.Context(), user.ID, hash); err != nil {
		t.Fatal(err)
	}
	_, err = a.Password(t.Context(), "ana", "old password", "192.0.2.1")
	wantCode(t, err, spi.CodeUnauthorized)
	if _, err := a.Password(t.Context(), "ana", "new password", "192.0.2.1"); err != nil {
		t.Error(err)
	}
}

func TestManyWrongPasswordsSlowDownOneUserFromOneAddress(t *testing.T) {
	a, db, c := setUp(t)
	add(t, a, db, "ana", "ana's password")
	add(t, a, db, "bo", "bo's password")
	for range 10 {
		_, err := a.Password(t.Context(), "ana", "wrong", "192.0.2.1")
		wantCode(t, err, spi.CodeUnauthorized)
	}
	_, err := a.Password(t.Context(), "ANA", "wrong", "192.0.2.1")
	wantCode(t, err, spi.CodeRateLimited)
	var e *spi.Error
	if !errors.As(err, &e) || e.RetryAfter <= 0 || e.RetryAfter > time.Minute {
		t.Errorf("Retry-After %v", e.RetryAfter)
	}
	if _, err := a.Password(t.Context(), "bo", "bo's password", "192.0.2.1"); err != nil {
		t.Errorf("another user from the same address: %v", err)
	}
	if _, err := a.Password(t.Context(), "ana", "ana's password", "192.0.2.2"); err != nil {
		t.Errorf("the same user from another address: %v", err)
	}
	// the right password was verified a moment ago, and is remembered: a wrongly configured second device locks nobody out
	if _, err := a.Password(t.Context(), "ana", "ana's password", "192.0.2.1"); err != nil {
		t.Errorf("the user who is logged in: %v", err)
	}
	c.forward(e.RetryAfter)
	_, err = a.Password(t.Context(), "ana", "wrong", "192.0.2.1")
	wantCode(t, err, spi.CodeUnauthorized)
	_, err = a.Password(t.Context(), "ana", "wrong", "192.0.2.1")
	wantCode(t, err, spi.CodeRateLimited)
}

func TestAHostIsCountedWhateverItsAddress(t *testing.T) {
	for name, c := range map[string]struct {
		address func(i int) string
		code    spi.Code // of the attempt after those that fail
	}{
		"a host of IPv6 has all addresses of its network": {func(i int) string { return fmt.Sprintf("2001:db8:1:2:%x::%x", 7*i, i) }, spi.CodeRateLimited},
		"written in several ways":                         {func(i int) string { return []string{"2001:DB8:0::1", "2001:db8::%eth0", "2001:db8::0:2"}[i%3] }, spi.CodeRateLimited},
		"IPv4, written as such and as IPv6":               {func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] }, spi.CodeRateLimited},
		"other networks of IPv6":                          {func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }, spi.CodeUnauthorized},
		"other hosts of IPv4, written as IPv6":            {func(i int) string { return fmt.Sprintf("::ffff:192.0.2.%d", i) }, spi.CodeUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			a, db, _ := setUp(t)
			add(t, a, db, "ana", "ana's password")
			for i := range 10 {
				_, err := a.Password(t.Context(), "ana", "wrong", c.address(i))
				wantCode(t, err, spi.CodeUnauthorized)
			}
			_, err := a.Password(t.Context(), "ana", "wrong", c.address(10))
			wantCode(t, err, c.code)
		})
	}
}

func TestANameLongerThanAnyIsRefusedAndNotKept(t *testing.T) {
	var lines bytes.Buffer
	a, err := auth.New(open(t), "key", slog.New(slog.NewTextHandler(&lines, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", 40_000)
	for range 30 { // a count of failures would refuse these with another code
		_, err := a.Password(t.Context(), name, "password", "192.0.2.1")
		wantCode(t, err, spi.CodeUnauthorized)
	}
	if lines.Len() > 0 {
		t.Errorf("the log has %d bytes of it", lines.Len())
	}
}

func TestOneAddressDoesNotFillTheQueueOfLogIns(t *testing.T) {
	a, db, _ := setUp(t)
	ana := add(t, a, db, "ana", "ana's password")
	const guesses = 600
	errs := make(chan error, guesses)
	var wg sync.WaitGroup
	for i := range guesses {
		wg.Go(func() {
			_, err := a.Password(t.Context(), fmt.Sprint("nobody", i), "guess", "192.0.2.1")
			errs <- err
		})
	}
	for range guesses { // until the queue takes no more from there
		if err := <-errs; spi.CodeOf(err) == spi.CodeUnavailable {
			break
		}
	}
	if user, err := a.Password(t.Context(), "ana", "ana's password", "192.0.2.2"); err != nil || user.ID != ana.ID {
		t.Errorf("from elsewhere: %v", err)
	}
	wg.Wait()
}

func TestARightPasswordClearsTheCount(t *testing.T) {
	a, db, c := setUp(t)
	add(t, a, db, "ana", "ana's password")
	for range 4 {
		for range 9 {
			_, err := a.Password(t.Context(), "ana", "wrong", "192.0.2.1")
			wantCode(t, err, spi.CodeUnauthorized)
		}
		c.forward(10 * time.Minute) // past what is remembered, so that the password is verified again
		if _, err := a.Password(t.Context(), "ana", "ana's password", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
}

// counting counts how often the store was asked to replace a hash.
type counting struct {
	*sqlstore.Store
	swaps atomic.Int32
}

func (c *counting) SwapPasswordHash(ctx context.Context, id int64, old, hash string) (bool, error) {
	c.swaps.Add(1)
	return c.Store.SwapPasswordHash(ctx, id, old, hash)
}

// oldHash is the sha512-crypt of "old stack password", as the old stack stored it; made by openssl passwd -6.
const oldHash = "$6$rounds=656000$abcdefghijklmnop$7pWD4i6N6AzgK5.c0MR7vXU0wx1wBVx3YKaI8sbRPS3NJI0vy5QhmTucL/63M9q52Y2DtoorDpHUuRq8dIbvz1"

func TestAnOldHashIsReplacedOnceByABurstOfLogIns(t *testing.T) {
	db := &counting{Store: open(t)}
	a, err := auth.New(db, "key", quiet, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	addHash(t, db.Store, "ana", oldHash)
	var wg sync.WaitGroup
	var tokens [8]string
	for i := range tokens {
		wg.Go(func() {
			user, err := a.Password(t.Context(), "ana", "old stack password", "192.0.2.1")
			if err != nil {
				t.Error(err)
				return
			}
			tokens[i] = a.Token(&user).Token
		})
	}
	wg.Wait()
	for _, token := range tokens {
		if _, err := a.CheckToken(t.Context(), token); err != nil {
			t.Errorf("a token made at the log-in: %v", err)
		}
	}
	user, err := db.UserByName(t.Context(), "ana")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(user.PasswordHash, "$argon2id$v=19$m=65536,t=1,p=4$") {
		t.Errorf("the hash is %s", user.PasswordHash)
	}
	if n := db.swaps.Load(); n != 1 {
		t.Errorf("the hash was replaced %d times", n)
	}
	_, err = a.Password(t.Context(), "ana", "another", "192.0.2.1")
	wantCode(t, err, spi.CodeUnauthorized)
	if _, err := a.Password(t.Context(), "ana", "old stack password", "192.0.2.1"); err != nil {
		t.Error(err)
	}
}

func TestTheTimeOfARefusalDoesNotTellWhoHasAnOldAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where only waiting takes time, and hashing takes none
		a, db, _ := setUp(t)
		add(t, a, db, "bo", "bo's password")
		refused := func(name, password string) time.Duration {
			began := time.Now()
			_, err := a.Password(t.Context(), name, password, "192.0.2.1")
			wantCode(t, err, spi.CodeUnauthorized)
			return time.Since(began)
		}
		for _, name := range []string{"bo", "nobody"} {
			if took := refused(name, "wrong"); took != 0 {
				t.Errorf("%s waits for %s though there is no old account", name, took)
			}
		}
		addHash(t, db, "ana", oldHash)
		for _, name := range []string{"ana", "bo", "nobody"} {
			for length, want := range map[int]time.Duration{5: 1015 * time.Millisecond, 1000: 4 * time.Second} {
				if took := refused(name, strings.Repeat("x", length)); took != want {
					t.Errorf("%s waits for %s with %d bytes, want %s as all others", name, took, length, want)
				}
			}
		}
		began := time.Now()
		if _, err := a.Password(t.Context(), "ana", "old stack password", "192.0.2.1"); err != nil || time.Since(began) != 0 {
			t.Errorf("the right password: %v after %s", err, time.Since(began))
		}
		if took := refused("ana", "wrong"); took != 0 {
			t.Errorf("ana waits for %s though her hash was replaced", took)
		}
	})
}

func TestARefusalThatWaitedForItsTurnTellsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const busy = time.Minute
		db := &overtaken{open(t), func(context.Context, int64) error {
			time.Sleep(busy)
			return nil
		}}
		a, err := auth.New(db, "key", quiet, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		addHash(t, db.Store, "ana", oldHash)
		addHash(t, db.Store, "bo", oldHash)
		var logIns sync.WaitGroup
		for i := range max(2, runtime.GOMAXPROCS(0)) { // as many as are hashed at a time
			logIns.Go(func() {
				if _, err := a.Password(t.Context(), "ana", "old stack password", fmt.Sprintf("192.0.2.%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		_, err = a.Password(t.Context(), "nobody", "wrong", "198.51.100.1")
		wantCode(t, err, spi.CodeUnauthorized)
		if took, want := time.Since(began), busy+1015*time.Millisecond; took != want {
			t.Errorf("refused after %s, want %s: as long after its turn as where nobody is before it", took, want)
		}
		logIns.Wait()
	})
}

// overtaken has something happen to the account while a log-in is about to replace its old hash.
type overtaken struct {
	*sqlstore.Store
	by func(ctx context.Context, id int64) error
}

func (o *overtaken) SwapPasswordHash(ctx context.Context, id int64, old, hash string) (bool, error) {
	if err := o.by(ctx, id); err != nil {
		return false, err
	}
	return o.Store.SwapPasswordHash(ctx, id, old, hash)
}

func TestALogInWithAnOldHashIsRefusedWhenTheAccountChangesMeanwhile(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context, db *sqlstore.Store, id int64, newHash string) error{
		"a reset": func(ctx context.Context, db *sqlstore.Store, id int64, newHash string) error {
			return db.SetPasswordHash(ctx, id, newHash)
		},
		"a deletion": func(ctx context.Context, db *sqlstore.Store, id int64, _ string) error {
			_, err := db.DeleteUsers(ctx, func(u *store.User) bool { return u.ID == id }, 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := &overtaken{Store: open(t)}
			a, err := auth.New(db, "key", quiet, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			newHash, err := a.HashPassword(t.Context(), "new password")
			if err != nil {
				t.Fatal(err)
			}
			db.by = func(ctx context.Context, id int64) error { return change(ctx, db.Store, id, newHash) }
			if _, err := db.AddUsers(t.Context(), []store.User{{Username: "admin", PasswordHash: newHash, IsAdmin: true, CanWrite: true}}); err != nil {
				t.Fatal(err)
			}
			addHash(t, db.Store, "ana", oldHash)
			for range 2 { // at first, and from what is remembered
				_, err := a.Password(t.Context(), "ana", "old stack password", "192.0.2.1")
				wantCode(t, err, spi.CodeUnauthorized)
			}
		})
	}
}

func TestADamagedHashIsAFaultOfTheServers(t *testing.T) {
	a, db, _ := setUp(t)
	for i, hash := range []string{
		"", "$argon2id$", "$argon2id$v=19$m=65536,t=0,p=4$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=99999999,t=1,p=4$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5",
		"$argon2id$v=19$m=65536,t=1,p=4$c2FsdA$", "plain text", "$6$",
	} {
		name := string(rune('a' + i))
		addHash(t, db, name, hash)
		_, err := a.Password(t.Context(), name, "password", "192.0.2.1")
		wantCode(t, err, spi.CodeInternal)
	}
}

func BenchmarkCheckToken(b *testing.B) {
	a, db, _ := setUp(b)
	user := add(b, a, db, "ana", "ana's password")
	token := a.Token(&user).Token
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.CheckToken(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPasswordRemembered(b *testing.B) {
	a, db, _ := setUp(b)
	add(b, a, db, "ana", "ana's password")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Password(b.Context(), "ana", "ana's password", "192.0.2.1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPasswordHash(b *testing.B) {
	a, _, _ := setUp(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.HashPassword(b.Context(), "ana's password"); err != nil {
			b.Fatal(err)
		}
	}
}
