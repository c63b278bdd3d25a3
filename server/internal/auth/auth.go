// Package auth says who is asking and what they may do: passwords, tokens, roles and the limit on failed log-ins. It may
// import internal/store for the accounts and services/spi for the typed error; it knows no HTTP.
//
// Nothing here is shared between replicas but the key and the database: a token verifies on each of them, while the
// remembered log-ins and the counts of failed ones are each replica's own.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Times and numbers that users notice; docs/PROTOCOL.md names them.
const (
	TokenLife   = 24 * time.Hour
	rememberFor = 5 * time.Minute      // a verified password is not hashed again for so long
	failures    = 10                   // wrong passwords in a row before 429 ...
	refill      = 30 * time.Second     // ... and then one more attempt each
	remembered  = 10_000               // pairs, and (user, host) counts, kept at most
	maxWaiting  = 256                  // log-ins that wait for their hash; those beyond are told to try again ...
	maxOfOne    = 32                   // ... as are those of one host
	retryLogin  = 5 * time.Second      // what they are to wait
	refusal     = time.Second          // what a refusal takes at least while accounts have old hashes ...
	refusalByte = 3 * time.Millisecond // ... and for each byte of the password: those take longer for longer ones
)

// MaxPassword bounds a password's length in bytes, since hashing takes time in proportion.
const MaxPassword = 1024

// maxUsername is more bytes than any account's name has: 32 characters.
const maxUsername = 32 * utf8.UTFMax

// Role is what an account may do. A higher role may all that a lower one may.
type Role uint8

// The roles.
const (
	ReadOnly Role = iota
	ReadWrite
	Admin
)

func (r Role) String() string { return [...]string{"read only", "read-write", "admin"}[r] }

// RoleOf derives the role: without can_write an account is read only, whatever is_admin says.
func RoleOf(u *store.User) Role {
	switch {
	case !u.CanWrite:
		return ReadOnly
	case u.IsAdmin:
		return Admin
	}
	return ReadWrite
}

// Accounts is what auth needs of the store.
type Accounts interface {
	UserByName(ctx context.Context, username string) (store.User, error)
	UserByID(ctx context.Context, id int64) (store.User, error)
	Users(ctx context.Context, match func(*store.User) bool) ([]store.User, error)
	SwapPasswordHash(ctx context.Context, id int64, old, hash string) (bool, error)
}

// Authenticator verifies passwords and tokens. It is safe for concurrent use.
type Authenticator struct {
	accounts Accounts
	log      *slog.Logger
	now      func() time.Time

	tokenKey, passwordKey []byte // from the configured secret: the same in every replica
	pairKey               []byte // of this process: keys of remembered pairs

	hashing  *semaphore.Weighted // argon2id takes 64 MiB a time
	waiting  queue
	flights  singleflight.Group
	verified *lru.Cache[[sha256.Size]byte, time.Time]
	failed   *lru.Cache[string, *rate.Limiter]
	decoy    string // hash that log-ins of unknown users are checked against, so that they take as long
}

// New gives an authenticator. secret signs tokens: replicas must share it.
func New(accounts Accounts, secret string, log *slog.Logger, now func() time.Time) (*Authenticator, error) {
	a := &Authenticator{
		accounts: accounts, log: log, now: now,
		tokenKey:    derive(secret, "sticky-pi token"),
		passwordKey: derive(secret, "sticky-pi password fingerprint"),
		pairKey:     make([]byte, sha256.Size),
		hashing:     semaphore.NewWeighted(int64(max(2, runtime.GOMAXPROCS(0)))),
		waiting:     queue{of: make(map[string]int)},
		decoy:       decoyHash,
	}
	if _, err := rand.Read(a.pairKey); err != nil {
		return nil, err
	}
	var err error
	if a.verified, err = lru.New[[sha256.Size]byte, time.Time](remembered); err != nil {
		return nil, err
	}
	a.failed, err = lru.New[string, *rate.Limiter](remembered)
	return a, err
}

func derive(secret, purpose string) []byte {
	return sum([]byte(secret), []byte(purpose))
}

func sum(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

var (
	errWrongPassword = spi.Errorf(spi.CodeUnauthorized, "wrong user name or password")
	errBadToken      = spi.Errorf(spi.CodeUnauthorized, "the token is not valid (any more): ask for a new one with get_token")
)

// Password verifies a user's password. client is the address that asks: failures are counted by user and host, so that
// nobody can lock another out. CodeUnauthorized, CodeRateLimited with RetryAfter, or an error of the store.
func (a *Authenticator) Password(ctx context.Context, username, password, client string) (store.User, error) {
	if len(password) > MaxPassword || len(username) > maxUsername { // names that failed are kept, and logged
		return store.User{}, errWrongPassword
	}
	user, err := a.accounts.UserByName(ctx, username)
	known := err == nil
	if !known {
		if spi.CodeOf(err) != spi.CodeNotFound {
			return store.User{}, err
		}
		user = store.User{PasswordHash: a.decoy}
	}
	pair := a.pair(&user, password)
	if a.remembers(pair) {
		return user, nil
	}
	// A burst of the same pair costs one hash. It does not end with the request that happened to be first.
	flight := a.flights.DoChan(username+"\x00"+host(client)+"\x00"+string(pair[:]), func() (any, error) {
		ctx := context.WithoutCancel(ctx)
		user, turn, err := a.verify(ctx, user, known, username, password, client)
		if errors.Is(err, errWrongPassword) {
			a.takeAsLong(ctx, turn, len(password))
		}
		return user, err
	})
	select {
	case <-ctx.Done():
		return store.User{}, ctx.Err()
	case r := <-flight:
		if r.Err != nil {
			return store.User{}, r.Err
		}
		return r.Val.(store.User), nil
	}
}

// verify checks the password of that user, or of nobody, once it is this log-in's turn to be hashed: since when, it says too.
func (a *Authenticator) verify(ctx context.Context, user store.User, known bool, username, password, client string) (_ store.User, turn time.Time, err error) {
	from := host(client)
	who := strings.ToLower(username) + "\x00" + from
	if !a.waiting.enter(from) {
		e := spi.Errorf(spi.CodeUnavailable, "too many log-ins at once: try again")
		e.RetryAfter = retryLogin
		return store.User{}, turn, e
	}
	defer a.waiting.leave(from)
	limit, ok := a.failed.Get(who)
	if !ok {
		limit = rate.NewLimiter(rate.Every(refill), failures)
		if previous, there, _ := a.failed.PeekOrAdd(who, limit); there {
			limit = previous
		}
	}
	// Counted before the hash is made, so that parallel guesses do not all slip through; a right password clears it.
	if now := a.now(); !limit.AllowN(now, 1) {
		missing := 1 - limit.TokensAt(now)
		e := spi.Errorf(spi.CodeRateLimited, "too many failed log-ins of this user from this address: wait and try again")
		e.RetryAfter = time.Duration(missing * float64(refill)).Round(time.Second)
		return store.User{}, turn, e
	}
	if err := a.hashing.Acquire(ctx, 1); err != nil {
		return store.User{}, turn, err
	}
	turn = time.Now()
	if known && a.remembers(a.pair(&user, password)) { // since it waited
		a.hashing.Release(1)
		a.failed.Remove(who)
		return user, turn, nil
	}
	right, current, err := checkPassword(user.PasswordHash, password)
	if err == nil && right && known && !current {
		user, right, err = a.upgrade(ctx, user, password)
	}
	a.hashed()
	switch {
	case err != nil:
		return store.User{}, turn, err
	case !right || !known:
		a.log.InfoContext(ctx, "log-in refused", "user", username, "known", known, "client", client)
		return store.User{}, turn, errWrongPassword
	}
	a.failed.Remove(who)
	a.verified.Add(a.pair(&user, password), a.now().Add(rememberFor))
	return user, turn, nil
}

// takeAsLong ends when a log-in whose turn came then, and that is refused, has taken as long as any other. A hash of the old stack
// takes three times as long to check as one of today, or as that of nobody, and with a long password thirty times: without this,
// the time would tell who has such an account. It waits, since to hash more would help those who keep the server busy with guesses.
func (a *Authenticator) takeAsLong(ctx context.Context, turn time.Time, passwordLen int) {
	old, err := a.accounts.Users(ctx, func(u *store.User) bool { return !isArgon2id(u.PasswordHash) })
	if err != nil || len(old) > 0 {
		time.Sleep(refusal + time.Duration(passwordLen)*refusalByte - time.Since(turn))
	}
}

// host is what stands for a client where log-ins are counted: of an IPv6 address the network, since a host of IPv6 has all 2^64
// addresses of a /64 to itself.
func host(client string) string {
	address, err := netip.ParseAddr(client)
	if err != nil {
		return client
	}
	address = address.Unmap()
	if address.Is4() {
		return address.String()
	}
	return netip.PrefixFrom(address.WithZone(""), 64).Masked().String()
}

// queue counts the log-ins that wait, so that one host does not take the places of all.
type queue struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by host; without those of which none waits
}

func (q *queue) enter(from string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all == maxWaiting || q.of[from] == maxOfOne {
		return false
	}
	q.all++
	q.of[from]++
	return true
}

func (q *queue) leave(from string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all--
	if q.of[from]--; q.of[from] == 0 {
		delete(q.of, from)
	}
}

// remembers says whether the pair was verified a short while ago.
func (a *Authenticator) remembers(pair [sha256.Size]byte) bool {
	until, ok := a.verified.Get(pair)
	return ok && a.now().Before(until)
}

// upgrade replaces an old hash, of that password, by one of today's kind. right is false where the password does not count
// any more.
func (a *Authenticator) upgrade(ctx context.Context, user store.User, password string) (_ store.User, right bool, err error) {
	hash, err := newHash(password)
	if err != nil {
		return user, false, err
	}
	swapped, err := a.accounts.SwapPasswordHash(ctx, user.ID, user.PasswordHash, hash)
	if err != nil {
		// The log-in itself is right; the next one tries again.
		a.log.WarnContext(ctx, "an old password hash could not be replaced", "user", user.Username, "error", err)
		return user, true, nil
	}
	if swapped {
		user.PasswordHash = hash
		return user, true, nil
	}
	// Another log-in was faster, or the password was reset or the account deleted meanwhile: what counts is what is there now.
	now, err := a.accounts.UserByID(ctx, user.ID)
	if err != nil {
		if spi.CodeOf(err) == spi.CodeNotFound {
			err = nil
		}
		return user, false, err
	}
	right, _, err = checkPassword(now.PasswordHash, password)
	return now, right, err
}

// HashPassword gives the hash to store for a password.
func (a *Authenticator) HashPassword(ctx context.Context, password string) (string, error) {
	if err := a.hashing.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer a.hashed()
	return newHash(password)
}

// hashed ends the use of a.hashing. A hash leaves 64 MiB of garbage, several times what the server needs otherwise; left to
// itself the collector would give that back to the system only after minutes.
func (a *Authenticator) hashed() {
	debug.FreeOSMemory()
	a.hashing.Release(1)
}

// pair is the key under which a verified password is remembered. The account's hash is in it, so that a reset ends it.
func (a *Authenticator) pair(u *store.User, password string) (key [sha256.Size]byte) {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(u.ID))
	copy(key[:], sum(a.pairKey, id[:], []byte(u.PasswordHash), []byte{0}, []byte(password)))
	return key
}

// A token is, in unpadded URL-safe base64: version (1 byte), user id (8), expiration in epoch seconds (8), fingerprint of
// the user's password hash (16), HMAC-SHA256 of all that (32). Any replica can verify it; it dies with the account and
// with the password.
const (
	tokenVersion     = 1
	fingerprintBytes = 16
	tokenBody        = 1 + 8 + 8 + fingerprintBytes
	tokenBytes       = tokenBody + sha256.Size
)

// Token makes a token for the user, to expire after [TokenLife].
func (a *Authenticator) Token(u *store.User) spi.Token {
	expires := a.now().Add(TokenLife).Unix()
	b := make([]byte, 0, tokenBytes)
	b = append(b, tokenVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(u.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(expires))
	b = append(b, a.fingerprint(u)...)
	b = append(b, sum(a.tokenKey, b)...)
	return spi.Token{Token: base64.RawURLEncoding.EncodeToString(b), Expiration: expires}
}

func (a *Authenticator) fingerprint(u *store.User) []byte {
	return sum(a.passwordKey, []byte(u.PasswordHash))[:fingerprintBytes]
}

// CheckToken gives the user that a token stands for. CodeUnauthorized, or an error of the store.
func (a *Authenticator) CheckToken(ctx context.Context, token string) (store.User, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return store.User{}, errBadToken
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != tokenBytes || b[0] != tokenVersion {
		return store.User{}, errBadToken
	}
	if !hmac.Equal(b[tokenBody:], sum(a.tokenKey, b[:tokenBody])) {
		return store.User{}, errBadToken
	}
	id := int64(binary.BigEndian.Uint64(b[1:]))
	expires := int64(binary.BigEndian.Uint64(b[9:]))
	if a.now().Unix() >= expires {
		return store.User{}, errBadToken
	}
	user, err := a.accounts.UserByID(ctx, id)
	if err != nil {
		if spi.CodeOf(err) == spi.CodeNotFound {
			return store.User{}, errBadToken
		}
		return store.User{}, err
	}
	if !hmac.Equal(b[17:tokenBody], a.fingerprint(&user)) {
		return store.User{}, errBadToken
	}
	return user, nil
}
