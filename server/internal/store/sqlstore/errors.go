package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// failure is what an error of a driver means.
type failure struct {
	code    spi.Code
	message string // safe to show
	again   bool   // the transaction lost against another: repeat it
	locked  bool   // it waited for another's rows, too long or as long as it was to
}

// Messages of failures that pass.
const (
	noAnswer   = "the database does not answer; try again"
	noSpace    = "the database's disk is full; try again later"
	noPower    = "the database is overloaded; try again"
	readOnly   = "the database takes no changes just now; try again later"
	lockedRows = "the rows are locked by another request; try again"
)

const noParent = "what it belongs to is not there"

// fail turns a driver's error into the typed one, whose message names the operation and the table. Errors that are typed
// already pass. The caller's own context error stays in the chain, whatever the driver makes of it.
func (s *Store) fail(ctx context.Context, err error, operation, table string) error {
	if err == nil {
		return nil
	}
	var typed *spi.Error
	if errors.As(err, &typed) {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		if !errors.Is(err, cause) {
			err = errors.Join(cause, err)
		}
		return spi.Wrap(spi.CodeUnavailable, err, "%s %s: given up: %s", operation, table, cause)
	}
	f := failure{code: spi.CodeUnavailable, message: noAnswer}
	if !s.closed.Load() && !isConnectionLoss(err) {
		f = s.dialect.classify(err)
	}
	return spi.Wrap(f.code, err, "%s %s: %s", operation, table, f.message)
}

// isConnectionLoss recognises the errors of a connection, whatever the database.
func isConnectionLoss(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &network)
}

func isConflict(s *Store, err error) bool {
	return err != nil && s.dialect.classify(err).code == spi.CodeConflict
}
