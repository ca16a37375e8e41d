package mysql

import (
	"fmt"
	"net/netip"

	"github.com/crossfade-io/crossfade/internal/change"
)

// MariaDB's types UUID, INET4 and INET6, as they are stored and as it prints them.

// appendUUIDText appends a stored UUID as text. Those of versions 1 to 5 are stored with their parts in reverse, so that they order by time: which
// ones are is told by where the bits of version and variant lie.
func appendUUIDText(dst, b []byte) ([]byte, error) {
	if len(b) > 16 {
		return dst, fmt.Errorf("%d bytes in a uuid", len(b))
	}
	var id [16]byte
	copy(id[:], b) // the log leaves trailing zeros out
	if swapped(id[:]) {
		var m [16]byte
		copy(m[0:4], id[12:16])
		copy(m[4:6], id[10:12])
		copy(m[6:8], id[8:10])
		copy(m[8:10], id[6:8])
		copy(m[10:16], id[0:6])
		id = m
	}
	return appendUUID(dst, id), nil
}

func swapped(s []byte) bool {
	return s[6]&0x80 != 0 && s[8] > 0 && s[8] < 0x60
}

func appendInet4(dst, b []byte) ([]byte, error) {
	if len(b) > 4 {
		return dst, fmt.Errorf("%d bytes in an inet4", len(b))
	}
	var a [4]byte
	copy(a[:], b)
	return netip.AddrFrom4(a).AppendTo(dst), nil
}

// appendInet6 writes the address as MariaDB does: already one group of zeros becomes "::".
func appendInet6(dst, b []byte) ([]byte, error) {
	if len(b) > 16 {
		return dst, fmt.Errorf("%d bytes in an inet6", len(b))
	}
	var a [16]byte
	copy(a[:], b)
	return change.AppendAddress(dst, a, 1), nil
}
