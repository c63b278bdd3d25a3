package httpapi

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// breaksOff is a store of users named by one letter, which goes away when the password of c is set.
type breaksOff struct{ store.Store }

func (breaksOff) UserByName(_ context.Context, name string) (store.User, error) {
	return store.User{ID: int64(name[0]), Username: name}, nil
}

func (breaksOff) SetPasswordHash(_ context.Context, id int64, _ string) error {
	if id == 'c' {
		return spi.Errorf(spi.CodeUnavailable, "the database went away")
	}
	return nil
}

func TestAResetThatBreaksOffSaysHowFarItGot(t *testing.T) {
	authenticator, err := auth.New(nil, "secret of this test", slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{Config: Config{Store: breaksOff{}, Auth: authenticator}}
	body := `[{"username":"a","password":"p"},{"username":"c","password":"p"},{"username":"d","password":"p"}]`
	err = a.resetPassword(requestOf(t, strings.NewReader(body), ""), &store.User{ID: 1, IsAdmin: true, CanWrite: true})
	if err == nil || spi.CodeOf(err) != spi.CodeUnavailable || !strings.Contains(err.Error(), "element 1: the database went away (the elements before it are done, those after it are not)") {
		t.Errorf("got %v", err)
	}
}
