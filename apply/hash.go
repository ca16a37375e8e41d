package apply

import (
	"math/bits"
	"strings"

	"github.com/crossfade-io/crossfade/internal/change"
)

// hashBytes is the hash that decides lanes. The lane map outlives processes: it must never change (multiplication by odd constants and
// folding of the 128-bit product, eight bytes at a time).
func hashBytes(b []byte) uint64 {
	const k0, k1 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	h := uint64(len(b))*k1 ^ k0
	for len(b) >= 8 {
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = mix(h^w, k1)
		b = b[8:]
	}
	var w uint64
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return mix(mix(h^w, k1), k0)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func laneOf(hash uint64, lanes int) int {
	hi, _ := bits.Mul64(hash, uint64(lanes))
	return int(hi)
}

// hashable reports whether two keys of the table are equal exactly when their bytes are: integers, booleans, dates, binary strings, bits,
// and uuids once [canonicalKey] has seen them. Text under a collation, decimals, floats and times are not.
func hashable(t *change.Table) bool {
	for _, k := range t.Key {
		switch t.Columns[k].Kind {
		case change.Int, change.Bool, change.Bytes, change.Date, change.Bits:
		case change.Text:
			if !isUUID(t, k) {
				return false
			}
		default:
			return false
		}
	}
	return len(t.Key) > 0
}

func isUUID(t *change.Table, column int) bool {
	return strings.EqualFold(t.Columns[column].Type, "uuid")
}

// canonicalKey brings the uuids of a key into their one form, in place.
func canonicalKey(row change.Row, uuids []int) {
	for _, k := range uuids {
		if row[k].Kind == change.Text {
			row[k].B = canonicalUUID(row[k].B)
		}
	}
}

// canonicalUUID returns the form that PostgreSQL prints. What is no uuid is returned as it is: the target refuses it.
func canonicalUUID(b []byte) []byte {
	ok := len(b) == 36
	for i := 0; ok && i < 36; i++ {
		c := b[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			ok = c == '-'
		} else {
			ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		}
	}
	if ok {
		return b
	}
	out := make([]byte, 0, 36)
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		case c == '-' || c == '{' || c == '}':
			continue
		default:
			return b
		}
		if n := len(out); n == 8 || n == 13 || n == 18 || n == 23 {
			out = append(out, '-')
		}
		out = append(out, c)
	}
	if len(out) != 36 {
		return b
	}
	return out
}
