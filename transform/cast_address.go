package transform

import (
	"fmt"
	"net/netip"

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
			s.buf = change.AppendAddress(s.buf, a.As16(), shortest)
		}
		return change.Value{Kind: change.Text, B: s.keep(mark)}, nil
	}
}
