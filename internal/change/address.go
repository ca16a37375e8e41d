package change

import (
	"net/netip"
	"strconv"
)

// AppendAddress appends an IPv6 address as MariaDB (shortest 1) and PostgreSQL (shortest 2) print it: the longest run of at least that many groups of zeros,
// the first of several, becomes "::", and what is IPv4 inside is written so.
func AppendAddress(dst []byte, a [16]byte, shortest int) []byte {
	var groups [8]uint16
	for i := range groups {
		groups[i] = uint16(a[2*i])<<8 | uint16(a[2*i+1])
	}
	gap, length := -1, shortest-1
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
			return netip.AddrFrom4([4]byte(a[12:])).AppendTo(dst)
		default:
			dst = strconv.AppendUint(dst, uint64(groups[i]), 16)
			if i < 7 {
				dst = append(dst, ':')
			}
		}
	}
	return dst
}
