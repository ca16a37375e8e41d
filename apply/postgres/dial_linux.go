package postgres

import "syscall"

// userTimeout bounds how long data may stay unacknowledged before a connection counts as lost: without it a host that vanishes is noticed after
// a quarter of an hour.
func userTimeout(_, _ string, c syscall.RawConn) error {
	const tcpUserTimeout = 0x12
	var err error
	if e := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, 30_000)
	}); e != nil {
		return e
	}
	return err
}
