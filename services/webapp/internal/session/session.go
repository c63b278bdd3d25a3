// Package session keeps who is logged in, in the browser's own cookie: sealed, so that the browser can neither read nor
// change it, and only this server, or a replica with the same secret, can open it. It may import nothing of the project.
package session

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Idle is how long a session lives without a request. Its absolute end is the token's.
const Idle = 4 * time.Hour

// renewAfter is the age at which a cookie is sealed anew, so that not every reply carries one.
const renewAfter = 5 * time.Minute

// maxEnded bounds how many sessions that were ended are remembered, until the process ends. Only a session can be ended, so
// that nobody without an account can fill it.
const maxEnded = 100_000

// maxCookie is the longest cookie that is looked at, in bytes: browsers keep no longer one.
const maxCookie = 4096

// Session is somebody who is logged in.
type Session struct {
	ID      string    `json:"i"` // random, new at each log-in
	User    string    `json:"u"`
	Role    string    `json:"r"` // of the wire: "read-only", "read-write" or "admin"; the API checks it itself
	Token   string    `json:"t"` // of the API
	Expires time.Time `json:"e"` // the token's end
	Seen    time.Time `json:"s"` // the last request, give or take renewAfter
}

// ErrNone says that there is no session: it was never there, is over, or was made with another secret.
var ErrNone = errors.New("no session")

// Keeper seals and opens sessions. It is safe for concurrent use.
type Keeper struct {
	aead  cipher.AEAD
	proof []byte // key of the CSRF proofs
	now   func() time.Time

	mu    sync.Mutex
	ended *lru.Cache[string, struct{}]
	open  map[string]map[*context.CancelFunc]struct{} // by session: what ends with it
}

// New gives a keeper whose keys are derived from the secret.
func New(secret string, now func() time.Time) (*Keeper, error) {
	if secret == "" {
		return nil, errors.New("sessions need a secret")
	}
	seal, err := hkdf.Key(sha256.New, []byte(secret), nil, "sticky-pi viewer: sealed session 1", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("key of the sessions: %w", err)
	}
	proof, err := hkdf.Key(sha256.New, []byte(secret), nil, "sticky-pi viewer: CSRF proof 1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("key of the CSRF proofs: %w", err)
	}
	aead, err := chacha20poly1305.NewX(seal)
	if err != nil {
		return nil, fmt.Errorf("cipher of the sessions: %w", err)
	}
	ended, err := lru.New[string, struct{}](maxEnded)
	if err != nil {
		return nil, fmt.Errorf("list of ended sessions: %w", err)
	}
	return &Keeper{aead: aead, proof: proof, ended: ended, now: now, open: make(map[string]map[*context.CancelFunc]struct{})}, nil
}

// Start gives a new session, with an id of its own: one that was there before log-in is never taken over.
func (k *Keeper) Start(user, role, token string, expires time.Time) Session {
	return Session{ID: rand.Text(), User: user, Role: role, Token: token, Expires: expires, Seen: k.now()}
}

// Seal gives the cookie's value.
func (k *Keeper) Seal(s Session) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("sealing a session: %w", err)
	}
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(plain)+k.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(k.aead.Seal(nonce, nonce, plain, nil)), nil
}

// Open gives the session of a cookie, or [ErrNone].
func (k *Keeper) Open(cookie string) (Session, error) {
	if cookie == "" || len(cookie) > maxCookie {
		return Session{}, ErrNone
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || len(sealed) < k.aead.NonceSize() {
		return Session{}, ErrNone
	}
	plain, err := k.aead.Open(nil, sealed[:k.aead.NonceSize()], sealed[k.aead.NonceSize():], nil)
	if err != nil {
		return Session{}, ErrNone
	}
	var s Session
	if err := json.Unmarshal(plain, &s); err != nil {
		return Session{}, ErrNone
	}
	now := k.now()
	if !now.Before(s.Expires) || now.Sub(s.Seen) > Idle || k.ended.Contains(s.ID) {
		return Session{}, ErrNone
	}
	return s, nil
}

// Touch gives the session with this moment as its last request, and whether the browser should get it.
func (k *Keeper) Touch(s Session) (Session, bool) {
	if k.now().Sub(s.Seen) < renewAfter {
		return s, false
	}
	s.Seen = k.now()
	return s, true
}

// End ends the session in all its cookies, and what is open [Keeper.Within] it.
func (k *Keeper) End(s Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended.Add(s.ID, struct{}{})
	for cancel := range k.open[s.ID] {
		(*cancel)()
	}
}

// Within gives a context that ends with the session: once it is ended, and not where it is over by itself, with its token.
// cancel must be called.
func (k *Keeper) Within(ctx context.Context, s Session) (_ context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended.Contains(s.ID) {
		end()
	}
	if k.open[s.ID] == nil {
		k.open[s.ID] = make(map[*context.CancelFunc]struct{})
	}
	k.open[s.ID][&end] = struct{}{}
	return ctx, func() {
		end()
		k.mu.Lock()
		defer k.mu.Unlock()
		if delete(k.open[s.ID], &end); len(k.open[s.ID]) == 0 {
			delete(k.open, s.ID)
		}
	}
}

// Proof is what a page of this session sends with its writes: another site can make a browser send the cookie, but cannot
// read this.
func (k *Keeper) Proof(s Session) string {
	mac := hmac.New(sha256.New, k.proof)
	mac.Write([]byte(s.ID))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Proven says whether the proof is the session's.
func (k *Keeper) Proven(s Session, proof string) bool {
	return hmac.Equal([]byte(k.Proof(s)), []byte(proof))
}
