package postgres

import (
	"encoding/binary"
	"math"

	"github.com/crossfade-io/crossfade/internal/change"
)

// digits reads an unsigned number of exactly len(b) digits.
func digits(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(b) > 0 && len(b) < 10
}

var monthDays = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// parseDate reads a date that exists, as days since 2000-01-01. Any other date is left to the server, which refuses it.
func parseDate(b []byte) (int, bool) {
	if len(b) != 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	y, ok1 := digits(b[:4])
	m, ok2 := digits(b[5:7])
	d, ok3 := digits(b[8:])
	if !ok1 || !ok2 || !ok3 || y < 1 || m < 1 || m > 12 || d < 1 {
		return 0, false
	}
	last := monthDays[m]
	if m == 2 && (y%4 == 0 && y%100 != 0 || y%400 == 0) {
		last++
	}
	if d > last {
		return 0, false
	}
	// Days since 0000-03-01 in the proleptic Gregorian calendar, with years that begin in March.
	if m <= 2 {
		y--
		m += 12
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1
	const epoch = 730425 // 2000-01-01
	return days - epoch, true
}

// parseClock reads HH:MM:SS[.ffffff] in microseconds, with any number of hour digits.
func parseClock(b []byte, maxHours int) (int64, bool) {
	colon := indexByte(b, ':')
	if colon < 1 || colon > 4 || len(b) < colon+6 || b[colon+3] != ':' {
		return 0, false
	}
	h, ok1 := digits(b[:colon])
	m, ok2 := digits(b[colon+1 : colon+3])
	s, ok3 := digits(b[colon+4 : colon+6])
	if !ok1 || !ok2 || !ok3 || h > maxHours || m > 59 || s > 59 {
		return 0, false
	}
	us := int64(h*3600+m*60+s) * 1_000_000
	if f := b[colon+6:]; len(f) > 0 {
		if f[0] != '.' || len(f) < 2 || len(f) > 7 {
			return 0, false
		}
		n, ok := digits(f[1:])
		if !ok {
			return 0, false
		}
		for range 7 - len(f) {
			n *= 10
		}
		us += int64(n)
	}
	return us, true
}

// parseTimestamp reads YYYY-MM-DD HH:MM:SS[.ffffff] in microseconds since 2000-01-01.
func parseTimestamp(b []byte) (int64, bool) {
	if len(b) < 19 || b[10] != ' ' {
		return 0, false
	}
	days, ok1 := parseDate(b[:10])
	us, ok2 := parseClock(b[11:], 23)
	return int64(days)*86_400_000_000 + us, ok1 && ok2
}

// parseInterval reads [-]HHH:MM:SS[.ffffff] in microseconds.
func parseInterval(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	us, ok := parseClock(b, 9999)
	if negative {
		us = -us
	}
	return us, ok
}

// appendUUID appends the 16 bytes of a uuid written in its usual form.
func appendUUID(dst []byte, v *change.Value) ([]byte, bool) {
	b := v.B
	if v.Kind == change.Bytes && len(b) == 16 {
		return append(dst, b...), true
	}
	if v.Kind != change.Text || len(b) != 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return dst, false
	}
	out := dst
	var hi byte
	half := false
	for i, c := range b {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			continue
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return dst, false
		}
		if half {
			out = append(out, hi<<4|c)
		}
		hi, half = c, !half
	}
	return out, true
}

// appendBits appends the length in bits and the bits, the first in the highest place.
func appendBits(dst, bits []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(bits)))
	var b byte
	for i, c := range bits {
		b = b<<1 | c&1
		if i%8 == 7 {
			dst = append(dst, b)
			b = 0
		}
	}
	if n := len(bits) % 8; n > 0 {
		dst = append(dst, b<<(8-n))
	}
	return dst
}

// appendNumeric appends the binary form of numeric: digits to the base 10000, the place of the first, sign, and decimals to show.
func appendNumeric(dst []byte, v *change.Value) ([]byte, bool) {
	var buf [24]byte
	b := v.B
	switch v.Kind {
	case change.Decimal:
	case change.Int, change.Uint:
		b = v.AppendText(buf[:0])
	default:
		return dst, false
	}
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	whole, fraction := b, []byte(nil)
	if dot := indexByte(b, '.'); dot >= 0 {
		whole, fraction = b[:dot], b[dot+1:]
		if len(fraction) == 0 {
			return dst, false
		}
	}
	if len(whole) == 0 || len(whole) > 100_000 || len(fraction) > 10_000 {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	weight := (len(whole)+3)/4 - 1
	leading := true
	group := func(n int) {
		if leading && n == 0 {
			weight--
			return
		}
		leading = false
		dst = append(dst, byte(n>>8), byte(n))
	}
	first := len(whole) % 4
	if first > 0 {
		n, ok := digits(whole[:first])
		if !ok {
			return dst[:start], false
		}
		group(n)
	}
	for i := first; i < len(whole); i += 4 {
		n, ok := digits(whole[i : i+4])
		if !ok {
			return dst[:start], false
		}
		group(n)
	}
	for i := 0; i < len(fraction); i += 4 {
		n, ok := digits(fraction[i:min(i+4, len(fraction))])
		if !ok {
			return dst[:start], false
		}
		for range i + 4 - len(fraction) {
			n *= 10
		}
		group(n)
	}
	for len(dst) > start+8 && dst[len(dst)-1] == 0 && dst[len(dst)-2] == 0 { // zero groups at the end are not stored
		dst = dst[:len(dst)-2]
	}
	count := (len(dst) - start - 8) / 2
	if count == 0 {
		weight, negative = 0, false
	}
	if weight > math.MaxInt16 || weight < math.MinInt16 {
		return dst[:start], false
	}
	binary.BigEndian.PutUint16(dst[start:], uint16(count))
	binary.BigEndian.PutUint16(dst[start+2:], uint16(int16(weight)))
	if negative {
		binary.BigEndian.PutUint16(dst[start+4:], 0x4000)
	}
	binary.BigEndian.PutUint16(dst[start+6:], uint16(len(fraction)))
	return dst, true
}
