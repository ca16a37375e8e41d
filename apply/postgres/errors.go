package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/apply"
)

// retryable are the SQLSTATEs, or their classes, that trying again may cure.
var retryable = map[string]bool{
	"08": true, "40": true, "53": true, "57": true, "58": true, // connection, serialization and deadlock, resources, intervention, system
	"55P03": true, "55006": true, // lock not available, object in use
	"25006": true, // read only: the address leads to a standby for now
	"26000": true, // prepared statement vanished: something between us resets connections
	"25P04": true, // transaction_timeout
}

// rowCodes are the SQLSTATEs that one row is to blame for.
func isRowCode(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || code == "21000"
}

// classify turns an error of pgconn that is not about a row into a LostError where trying again may cure it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var lost *apply.LostError
	if errors.As(err, &lost) {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if len(pg.Code) == 5 && (retryable[pg.Code] || retryable[pg.Code[:2]]) {
			return &apply.LostError{Err: err}
		}
		return err
	}
	var netError net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &netError) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) {
		return &apply.LostError{Err: err}
	}
	return err
}
