package mysql

import (
	"fmt"
	"strconv"
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
	for i, n := range a {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(n), 10)
	}
	return dst, nil
}

// appendInet6 writes the address as MariaDB does: the longest run of zero groups, the first of several, becomes "::", and what is IPv4 inside is
// written so.
func appendInet6(dst, b []byte) ([]byte, error) {
	if len(b) > 16 {
		return dst, fmt.Errorf("%d bytes in an inet6", len(b))
	}
	var a [16]byte
	copy(a[:], b)
	var groups [8]uint16
	for i := range groups {
		groups[i] = uint16(a[2*i])<<8 | uint16(a[2*i+1])
	}
	gap, length := -1, 0
	for i := 0; i < 8; i++ {
		n := 0
		for i+n < 8 && groups[i+n] == 0 {
			n++
		}
		if n > length {
			gap, length = i, n
		}
		i += n
	}
	for i := 0; i < 8; i++ {
		switch {
		case i == gap:
			if i == 0 {
				dst = append(dst, ':')
			}
			dst = append(dst, ':')
			i += length - 1
		case i == 6 && gap == 0 && (length == 6 || length == 5 && groups[5] == 0xffff):
			return appendInet4(dst, a[12:])
		default:
			dst = strconv.AppendUint(dst, uint64(groups[i]), 16)
			if i < 7 {
				dst = append(dst, ':')
			}
		}
	}
	return dst, nil
}
