package canonical

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/change"
)

// The first byte of a form.
const (
	formNull  = 0
	formValue = 1
)

// AppendCanonical appends the canonical form of v, a value of the column col of a target of that engine, to dst. After an error dst holds an unspecified tail.
func AppendCanonical(dst []byte, engine change.Engine, col change.Column, v change.Value) ([]byte, error) {
	if v.Kind == change.Null {
		return append(dst, formNull), nil
	}
	if v.Kind == change.Absent {
		return dst, fmt.Errorf("column %s: an absent value cannot be compared", col.Name)
	}
	c, err := classOn(engine, col)
	if err != nil {
		return dst, fmt.Errorf("column %s: %w", col.Name, err)
	}
	dst = append(dst, formValue)
	switch c {
	case integer:
		if v.Kind != change.Int {
			return dst, wrongKind(col, v)
		}
		return binary.BigEndian.AppendUint64(dst, v.N), nil
	case numeric:
		return appendNumeric(dst, col, v)
	case real32:
		if v.Kind != change.Float32 {
			return dst, wrongKind(col, v)
		}
		b := uint32(v.N)
		if f := v.Float32(); f != f {
			b = math.Float32bits(float32(math.NaN()))
		}
		return binary.BigEndian.AppendUint32(dst, b), nil
	case double:
		if v.Kind != change.Float64 {
			return dst, wrongKind(col, v)
		}
		b := v.N
		if f := v.Float64(); f != f {
			b = math.Float64bits(math.NaN())
		}
		return binary.BigEndian.AppendUint64(dst, b), nil
	case boolean:
		if v.Kind != change.Bool || v.N > 1 {
			return dst, wrongKind(col, v)
		}
		return append(dst, byte(v.N)), nil
	case text:
		return appendBytes(dst, col, v, change.Text, v.B)
	case padded:
		return appendBytes(dst, col, v, change.Text, bytes.TrimRight(v.B, " "))
	case bytea:
		return appendBytes(dst, col, v, change.Bytes, v.B)
	case date:
		return appendBytes(dst, col, v, change.Date, v.B)
	case timestamp:
		return appendBytes(dst, col, v, change.DateTime, trimFraction(v.B))
	case timestamptz:
		return appendBytes(dst, col, v, change.Timestamp, trimFraction(v.B))
	case interval:
		return appendInterval(dst, col, v)
	case clocktime:
		return appendBytes(dst, col, v, change.Time, trimFraction(v.B))
	case bits:
		return appendBytes(dst, col, v, change.Bits, v.B)
	case jsonText:
		return appendBytes(dst, col, v, change.JSON, v.B)
	case jsonb:
		if v.Kind != change.JSON {
			return dst, wrongKind(col, v)
		}
		if dst, err = appendJSON(dst, v.B); err != nil {
			return dst, fmt.Errorf("column %s: %w", col.Name, err)
		}
		return dst, nil
	case uuid:
		return appendUUID(dst, col, v)
	default:
		return dst, fmt.Errorf("column %s: values of type %q cannot be compared", col.Name, col.Type)
	}
}

// AppendRow appends the forms of all values of a row of a target of that engine whose columns are cols.
func AppendRow(dst []byte, engine change.Engine, cols []change.Column, row change.Row) ([]byte, error) {
	if len(row) != len(cols) {
		return dst, fmt.Errorf("a row of %d values for %d columns", len(row), len(cols))
	}
	var err error
	for i := range cols {
		if dst, err = AppendCanonical(dst, engine, cols[i], row[i]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendBytes(dst []byte, col change.Column, v change.Value, want change.Kind, b []byte) ([]byte, error) {
	if v.Kind != want {
		return dst, wrongKind(col, v)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...), nil
}

// trimFraction drops zeros at the end of a fraction of seconds, in front of an era if there is one.
func trimFraction(b []byte) []byte {
	if bytes.IndexByte(b, '.') < 0 || bytes.HasSuffix(b, bc) {
		return b
	}
	return bytes.TrimSuffix(bytes.TrimRight(b, "0"), []byte{'.'})
}

var bc = []byte(" BC")

// appendNumeric writes the digits without zeros that carry nothing: -?digits[.digits], zero as 0.
func appendNumeric(dst []byte, col change.Column, v change.Value) ([]byte, error) {
	var few [24]byte
	var b []byte
	switch v.Kind {
	case change.Int, change.Uint:
		b = v.AppendText(few[:0])
	case change.Decimal:
		b = v.B
	default:
		return dst, wrongKind(col, v)
	}
	if special(b) {
		dst = binary.AppendUvarint(dst, uint64(len(b)))
		return append(dst, b...), nil
	}
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	whole, frac := b, []byte(nil)
	if i := bytes.IndexByte(b, '.'); i >= 0 {
		whole, frac = b[:i], b[i+1:]
	}
	if len(whole)+len(frac) == 0 || !digits(whole) || !digits(frac) {
		return dst, fmt.Errorf("column %s: %q is not a decimal number", col.Name, v.B)
	}
	whole = bytes.TrimLeft(whole, "0")
	frac = bytes.TrimRight(frac, "0")
	n := max(len(whole), 1)
	if len(frac) > 0 {
		n += 1 + len(frac)
	}
	neg = neg && len(whole)+len(frac) > 0 // -0 is 0
	if neg {
		n++
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	if neg {
		dst = append(dst, '-')
	}
	if len(whole) == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, whole...)
	if len(frac) > 0 {
		dst = append(dst, '.')
		dst = append(dst, frac...)
	}
	return dst, nil
}

// special reports the numerics that are not numbers. MySQL has none; a foreign write to the target may have put one there.
func special(b []byte) bool {
	switch string(b) {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	return false
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// appendInterval writes the length: hours as a 64 bit number, then the microseconds that are left, both with the sign.
func appendInterval(dst []byte, col change.Column, v change.Value) ([]byte, error) {
	if v.Kind != change.Time {
		return dst, wrongKind(col, v)
	}
	if infinite(v.B) {
		dst = append(dst, 1)
		return append(dst, v.B[0]), nil // i or -
	}
	hours, micros, err := clock(v.B)
	if err != nil {
		return dst, fmt.Errorf("column %s: %w", col.Name, err)
	}
	dst = append(dst, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(hours))
	return binary.BigEndian.AppendUint64(dst, uint64(micros)), nil
}

func infinite(b []byte) bool {
	switch string(b) {
	case "infinity", "-infinity":
		return true
	}
	return false
}

const (
	microsPerHour   = 3600 * 1000000
	microsPerMinute = 60 * 1000000
)

// clock reads -?H..H:MM:SS[.ffffff]. Hours and the rest have the same sign.
func clock(b []byte) (hours, micros int64, err error) {
	bad := func() (int64, int64, error) { return 0, 0, fmt.Errorf("%q is not a time", b) }
	s := b
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		s = s[1:]
	}
	i := bytes.IndexByte(s, ':')
	if i < 1 || !digits(s[:i]) {
		return bad()
	}
	if hours, err = strconv.ParseInt(string(s[:i]), 10, 64); err != nil {
		return bad()
	}
	s = s[i+1:]
	if len(s) < 5 || s[2] != ':' || !digits(s[:2]) || !digits(s[3:5]) {
		return bad()
	}
	minute, second := int64(s[0]-'0')*10+int64(s[1]-'0'), int64(s[3]-'0')*10+int64(s[4]-'0')
	if minute > 59 || second > 59 {
		return bad()
	}
	micros = minute*microsPerMinute + second*1000000
	if s = s[5:]; len(s) > 0 {
		if s[0] != '.' || len(s) < 2 || len(s) > 7 || !digits(s[1:]) {
			return bad()
		}
		unit := int64(100000)
		for _, c := range s[1:] {
			micros += int64(c-'0') * unit
			unit /= 10
		}
	}
	if neg {
		return -hours, -micros, nil
	}
	return hours, micros, nil
}

func appendUUID(dst []byte, col change.Column, v change.Value) ([]byte, error) {
	if v.Kind != change.Text {
		return dst, wrongKind(col, v)
	}
	half, n := byte(0), 0
	for i, c := range v.B {
		var d byte
		switch {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c >= 'a' && c <= 'f':
			d = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			d = c - 'A' + 10
		case c == '-' && (i == 8 || i == 13 || i == 18 || i == 23):
			continue
		default:
			return dst, fmt.Errorf("column %s: %q is not a uuid", col.Name, v.B)
		}
		if n++; n%2 == 1 {
			half = d << 4
		} else {
			dst = append(dst, half|d)
		}
	}
	if n != 32 || len(v.B) != 36 {
		return dst, fmt.Errorf("column %s: %q is not a uuid", col.Name, v.B)
	}
	return dst, nil
}
