package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/crossfade-io/crossfade/apply"
)

// code of an error of the server; 0: it is none.
func code(err error) uint16 {
	var e *gomysql.MyError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// retryable are the errors that trying again may cure: locks, resources, servers that shut down or do not take writes for now.
var retryable = map[uint16]bool{
	1205: true, 1213: true, 3572: true, // lock wait, deadlock
	1040: true, 1203: true, 1041: true, 1037: true, 1038: true, 1021: true, 1114: true, // connections, memory, disk
	1053: true, 1077: true, 1079: true, 1152: true, 1158: true, 1159: true, 1160: true, 1161: true, 1317: true, 1927: true, 3168: true, 4031: true, // shutdown, network, killed
	1290: true, 1836: true, 1792: true, 1223: true, // read-only for now
}

// rowCodes are the errors that one row is to blame for.
var rowCodes = map[uint16]bool{
	1048: true, 1062: true, 1169: true, 1264: true, 1265: true, 1292: true, 1300: true, 1364: true, 1366: true, 1367: true, 1406: true, 1411: true, 1416: true, 1425: true, 1426: true,
	1439: true, 1452: true, 1644: true, 1690: true, 3037: true, 3140: true, 3141: true, 3157: true, 3158: true, 3819: true, 4025: true, 3643: true, 3854: true, 1982: true, 1118: true,
}

// classify turns an error that is not about a row into a LostError where trying again may cure it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var lost *apply.LostError
	if errors.As(err, &lost) {
		return err
	}
	if n := code(err); n != 0 {
		if retryable[n] {
			return &apply.LostError{Err: err}
		}
		return err
	}
	var netError net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &netError) || errors.Is(err, gomysql.ErrBadConn) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "connection was bad") {
		return &apply.LostError{Err: err}
	}
	return err
}

// duplicateIn is the index that a message about a duplicate names, without its table.
func duplicateIn(message string) string {
	at := strings.LastIndex(message, "for key '")
	if at < 0 {
		return ""
	}
	name := strings.TrimSuffix(message[at+len("for key '"):], "'")
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		name = name[dot+1:]
	}
	return name
}
