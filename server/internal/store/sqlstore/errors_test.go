package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestErrorsNameOperationAndTableAndHideTheCause(t *testing.T) {
	s := &Store{dialect: mariadbDialect("spi")}
	for _, test := range []struct {
		err  error
		want spi.Code
	}{
		{&mysql.MySQLError{Number: 1062, Message: "secret"}, spi.CodeConflict},
		{&mysql.MySQLError{Number: 1406, Message: "secret"}, spi.CodeInvalid},
		{&mysql.MySQLError{Number: 1264, Message: "secret"}, spi.CodeInvalid},
		{&mysql.MySQLError{Number: 1040, Message: "secret"}, spi.CodeUnavailable}, // too many connections
		{&mysql.MySQLError{Number: 1205, Message: "secret"}, spi.CodeUnavailable}, // lock wait
		{&mysql.MySQLError{Number: 1213, Message: "secret"}, spi.CodeUnavailable}, // deadlock
		{&mysql.MySQLError{Number: 1053, Message: "secret"}, spi.CodeUnavailable}, // shutdown
		{&mysql.MySQLError{Number: 1021, Message: "secret"}, spi.CodeUnavailable}, // disk full
		{&mysql.MySQLError{Number: 1114, Message: "secret"}, spi.CodeUnavailable}, // table full
		{&mysql.MySQLError{Number: 1927, Message: "secret"}, spi.CodeUnavailable}, // killed
		{&mysql.MySQLError{Number: 1064, Message: "secret"}, spi.CodeInternal},    // syntax
		{&mysql.MySQLError{Number: 1146, Message: "secret"}, spi.CodeInternal},    // no such table
		{fmt.Errorf("secret: %w", mysql.ErrInvalidConn), spi.CodeUnavailable},
		{fmt.Errorf("secret: %w", driver.ErrBadConn), spi.CodeUnavailable},
		{fmt.Errorf("secret: %w", io.ErrUnexpectedEOF), spi.CodeUnavailable},
		{&net.OpError{Op: "dial", Err: errors.New("secret")}, spi.CodeUnavailable},
		{errors.New("secret"), spi.CodeInternal},
	} {
		err := s.fail(context.Background(), test.err, "reading", "table images")
		var typed *spi.Error
		if !errors.As(err, &typed) || typed.Code != test.want || !errors.Is(err, test.err) ||
			!strings.HasPrefix(typed.Message, "reading table images: ") || strings.Contains(typed.Message, "secret") {
			t.Errorf("%v became %v", test.err, err)
		}
	}
}

func TestTheCallersContextStaysRecognisable(t *testing.T) {
	s := &Store{dialect: mariadbDialect("spi")}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// The drivers answer a cancelled query with the connection's error.
	err := s.fail(ctx, mysql.ErrInvalidConn, "reading", "table images")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, mysql.ErrInvalidConn) || spi.CodeOf(err) != spi.CodeUnavailable {
		t.Error(err)
	}
}

func TestAClosedStoreIsUnavailable(t *testing.T) {
	s, err := OpenSQLite(filepath.Join(t.TempDir(), "spi.sqlite"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(context.Background()); err == nil || spi.CodeOf(err) != spi.CodeUnavailable {
		t.Error(err)
	}
}

func TestKeyedLocksLeaveNothingBehind(t *testing.T) {
	var k keyedLocks
	unlock, err := k.lock(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := k.lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	unlock()
	if len(k.locks) != 0 {
		t.Errorf("%d locks are left", len(k.locks))
	}
}

func TestInternedTextsAreBounded(t *testing.T) {
	in := make(interner)
	for i := range 3 * maxInterned {
		if s := fmt.Sprint(i); in.text([]byte(s)) != s || in.keep(s) != s {
			t.Fatal(s)
		}
	}
	if len(in) > maxInterned {
		t.Errorf("%d texts", len(in))
	}
}
