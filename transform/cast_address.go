package transform

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/change"
)

// addressForm writes an address as a server prints it. Both write the longest run of zero groups, the first of several, as "::"; PostgreSQL from two
// groups on, MariaDB already one.
func addressForm(shortest int) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		a, err := netip.ParseAddr(string(v.B))
		if err != nil || a.Zone() != "" {
			return v, fmt.Errorf("%q is no address", v.B)
		}
		mark := len(s.buf)
		if a.Is4() {
			s.buf = a.AppendTo(s.buf)
		} else {
			s.buf = appendAddress(s.buf, a.As16(), shortest)
		}
		return change.Value{Kind: change.Text, B: s.keep(mark)}, nil
	}
}

func appendAddress(dst []byte, a [16]byte, shortest int) []byte {
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
