package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/session"
)

var start = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

type clock struct{ now time.Time }

func keeper(t testing.TB, secret string, c *clock) *session.Keeper {
	t.Helper()
	k, err := session.New(secret, func() time.Time { return c.now })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, k *session.Keeper, s session.Session) string {
	t.Helper()
	value, err := k.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestACookieIsOpenedByEveryReplicaAndAfterARestart(t *testing.T) {
	c := &clock{start}
	k := keeper(t, "a secret of the tests", c)
	s := k.Start("anna", "admin", "token-of-anna", start.Add(24*time.Hour))
	got, err := keeper(t, "a secret of the tests", c).Open(seal(t, k, s))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Error(diff)
	}
}

func TestACookieShowsNothingOfTheSession(t *testing.T) {
	k := keeper(t, "a secret of the tests", &clock{start})
	s := k.Start("anna", "admin", "token-of-anna", start.Add(time.Hour))
	one, other := seal(t, k, s), seal(t, k, s)
	if one == other {
		t.Error("the same session is sealed to the same value twice")
	}
	if strings.Contains(one, "anna") {
		t.Errorf("the cookie %s holds the name", one)
	}
}

func TestWhatIsNoSessionIsNotOpened(t *testing.T) {
	c := &clock{start}
	k := keeper(t, "a secret of the tests", c)
	whole := seal(t, k, k.Start("anna", "admin", "token-of-anna", start.Add(24*time.Hour)))
	flip := []byte(whole)
	flip[len(flip)/2] ^= 1
	for name, value := range map[string]string{
		"nothing": "", "rubbish": "rubbish!", "short": "YWJj", "long": strings.Repeat("A", 10_000),
		"changed": string(flip), "cut": whole[:len(whole)-4], "of another secret": seal(t, keeper(t, "another secret", c), session.Session{ID: "x", Expires: start.Add(time.Hour), Seen: start}),
	} {
		if s, err := k.Open(value); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestASessionEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // from the log-in to the look
		seen  time.Duration // from the log-in to the last request
		end   bool
		open  bool
	}{
		{name: "not within its time", after: time.Hour, open: true},
		{name: "where nobody asks for long", after: session.Idle + time.Minute},
		{name: "not where somebody asks", after: session.Idle + time.Minute, seen: time.Hour, open: true},
		{name: "with its token, whoever asks", after: 24 * time.Hour, seen: 24*time.Hour - time.Minute},
		{name: "by log-out, in every copy of its cookie", after: time.Minute, end: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &clock{start}
			k := keeper(t, "a secret of the tests", c)
			s := k.Start("anna", "admin", "token-of-anna", start.Add(24*time.Hour))
			c.now = start.Add(tt.seen)
			s, _ = k.Touch(s)
			cookie := seal(t, k, s)
			if tt.end {
				k.End(s)
			}
			c.now = start.Add(tt.after)
			if _, err := k.Open(cookie); (err == nil) != tt.open {
				t.Errorf("open: %v, want %v", err == nil, tt.open)
			}
		})
	}
}

func TestWhatIsOpenWithinASessionEndsWithIt(t *testing.T) {
	k := keeper(t, "a secret of the tests", &clock{start})
	one, other := k.Start("anna", "admin", "t", start.Add(time.Hour)), k.Start("anna", "admin", "t", start.Add(time.Hour))
	over := func(s session.Session) (func() bool, func()) {
		ctx, cancel := k.Within(t.Context(), s)
		t.Cleanup(cancel)
		return func() bool { return ctx.Err() != nil }, cancel
	}
	closed, closeIt := over(one)
	first, _ := over(one)
	second, _ := over(one)
	stays, _ := over(other)
	closeIt()
	if !closed() || first() || second() || stays() {
		t.Fatal("one ends by itself, alone")
	}
	k.End(one)
	if !first() || !second() || stays() {
		t.Errorf("over: %v and %v, and of another session %v", first(), second(), stays())
	}
	if late, _ := over(one); !late() {
		t.Error("what is opened after the end goes on")
	}
}

func TestEverySessionHasAnIDAndAProofOfItsOwn(t *testing.T) {
	k := keeper(t, "a secret of the tests", &clock{start})
	one, other := k.Start("anna", "admin", "t", start), k.Start("anna", "admin", "t", start)
	if one.ID == other.ID || len(one.ID) < 26 { // 130 bits
		t.Errorf("ids %q and %q", one.ID, other.ID)
	}
	if !k.Proven(one, k.Proof(one)) || k.Proven(one, k.Proof(other)) || k.Proven(one, "") {
		t.Error("a proof is not that of its session alone")
	}
}

func FuzzOpen(f *testing.F) {
	k := keeper(f, "a secret of the tests", &clock{start})
	f.Add(seal(f, k, k.Start("anna", "admin", "t", start.Add(-time.Hour)))) // over
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, value string) {
		if s, err := k.Open(value); err == nil {
			t.Errorf("%q was opened: %+v", value, s)
		}
	})
}
