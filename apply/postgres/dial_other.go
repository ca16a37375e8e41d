//go:build !linux

package postgres

import "syscall"

// userTimeout does nothing where the option does not exist; keepalives find a lost connection later.
func userTimeout(_, _ string, _ syscall.RawConn) error { return nil }
