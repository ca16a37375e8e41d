package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/crossfade-io/crossfade/internal/change"
)

// The types whose binary form we write. Any other type is written as text, which the server reads.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidJSON        = 114
	oidFloat4      = 700
	oidFloat8      = 701
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidInterval    = 1186
	oidTimetz      = 1266
	oidNumeric     = 1700
	oidBit         = 1560
	oidVarbit      = 1562
	oidUUID        = 2950
	oidJSONB       = 3802
	oidTextArray   = 1009
)

// outcome says what became of a value in binary form.
type outcome uint8

const (
	written outcome = iota
	asText          // no binary form: let the server read the text, and judge it
)

// refusedValue is a value that the column would change in silence, or cannot hold.
type refusedValue struct{ reason string }

func (e *refusedValue) Error() string { return e.reason }

func refuse(c *column, v *change.Value, why string) error {
	text := v.String()
	if len(text) > 60 {
		text = text[:60] + "..."
	}
	return &refusedValue{fmt.Sprintf("column %s: the %s value %q %s", c.name, v.Kind, text, why)}
}

// fits checks what the server would not: that nothing of the value is rounded or cut off in silence.
func (c *column) fits(v *change.Value) error {
	switch c.oid {
	case oidNumeric:
		scale := c.scale()
		if scale < 0 || v.Kind != change.Decimal && v.Kind != change.Text {
			return nil
		}
		if dot := indexByte(v.B, '.'); dot >= 0 && len(v.B)-dot-1 > scale && !onlyZeros(v.B[dot+1+scale:]) {
			return refuse(c, v, fmt.Sprintf("has more than %d decimals", scale))
		}
	case oidVarchar, oidBpchar:
		if n := c.length(); n >= 0 && len(v.B) > n && utf8.RuneCount(v.B) > n {
			return refuse(c, v, fmt.Sprintf("is longer than %d characters", n))
		}
	case oidTimestamp, oidTimestamptz, oidTime, oidTimetz, oidInterval:
		f := c.fraction()
		b := bytes.TrimSuffix(v.B, []byte(" BC"))
		if dot := indexByte(b, '.'); f < 6 && dot >= 0 && len(b)-dot-1 > f && !onlyZeros(b[dot+1+f:]) {
			return refuse(c, v, fmt.Sprintf("has more than %d digits of a second", f))
		}
	case oidDate:
		if v.Kind == change.DateTime || v.Kind == change.Timestamp || v.Kind == change.Text && len(v.B) > 10 {
			return refuse(c, v, "has a time of day")
		}
	case oidFloat4:
		if v.Kind == change.Float64 && !math.IsNaN(v.Float64()) && float64(float32(v.Float64())) != v.Float64() {
			return refuse(c, v, "is no 32-bit float")
		}
	}
	return nil
}

func indexByte(b []byte, c byte) int {
	for i := range b {
		if b[i] == c {
			return i
		}
	}
	return -1
}

func onlyZeros(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}

// binary appends the value in the binary form of the column's type, without its length.
func (c *column) binary(dst []byte, v *change.Value) ([]byte, outcome, error) {
	if err := c.fits(v); err != nil {
		return dst, written, err
	}
	switch c.oid {
	case oidInt8, oidInt4, oidInt2:
		return c.integer(dst, v)
	case oidText, oidVarchar, oidBpchar:
		if v.Kind == change.Bytes {
			return dst, written, refuse(c, v, "is binary, the column holds text")
		}
		if v.Kind == change.Text || v.Kind == change.JSON {
			return append(dst, v.B...), written, nil
		}
		return v.AppendText(dst), written, nil
	case oidBytea:
		if v.Kind != change.Bytes {
			return dst, written, refuse(c, v, "is not binary, the column is")
		}
		return append(dst, v.B...), written, nil
	case oidBool:
		if v.Kind == change.Bool || v.Kind == change.Int && v.N <= 1 {
			return append(dst, byte(v.N)), written, nil
		}
	case oidFloat8:
		switch v.Kind {
		case change.Float64:
			return binary.BigEndian.AppendUint64(dst, v.N), written, nil
		case change.Float32:
			return binary.BigEndian.AppendUint64(dst, math.Float64bits(float64(v.Float32()))), written, nil
		}
	case oidFloat4:
		switch v.Kind {
		case change.Float32:
			return binary.BigEndian.AppendUint32(dst, uint32(v.N)), written, nil
		case change.Float64:
			return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(v.Float64()))), written, nil
		}
	case oidNumeric:
		if out, ok := appendNumeric(dst, v); ok {
			return out, written, nil
		}
	case oidDate:
		if v.Kind == change.Date {
			if days, ok := parseDate(v.B); ok {
				return binary.BigEndian.AppendUint32(dst, uint32(int32(days))), written, nil
			}
		}
	case oidTimestamp, oidTimestamptz: // without a zone it is UTC, as it is for the server
		if v.Kind == change.DateTime || v.Kind == change.Timestamp {
			if us, ok := parseTimestamp(v.B); ok {
				return binary.BigEndian.AppendUint64(dst, uint64(us)), written, nil
			}
		}
	case oidTime:
		if v.Kind == change.Time {
			if us, ok := parseClock(v.B, 24); ok && us <= 24*3600*1_000_000 {
				return binary.BigEndian.AppendUint64(dst, uint64(us)), written, nil
			}
		}
	case oidInterval:
		if v.Kind == change.Time {
			if us, ok := parseInterval(v.B); ok {
				dst = binary.BigEndian.AppendUint64(dst, uint64(us))
				return binary.BigEndian.AppendUint64(dst, 0), written, nil // days, months
			}
		}
	case oidJSON:
		if v.Kind == change.JSON || v.Kind == change.Text {
			return append(dst, v.B...), written, nil
		}
	case oidJSONB:
		if v.Kind == change.JSON || v.Kind == change.Text {
			return append(append(dst, 1), v.B...), written, nil
		}
	case oidUUID:
		if out, ok := appendUUID(dst, v); ok {
			return out, written, nil
		}
	case oidBit, oidVarbit:
		if v.Kind == change.Bits {
			return appendBits(dst, v.B), written, nil
		}
	default:
		if c.label && v.Kind == change.Text {
			return append(dst, v.B...), written, nil
		}
	}
	return dst, asText, nil
}

func (c *column) integer(dst []byte, v *change.Value) ([]byte, outcome, error) {
	if v.Kind != change.Int && v.Kind != change.Bool {
		if v.Kind == change.Uint {
			return dst, written, refuse(c, v, "is above what the column holds")
		}
		return dst, asText, nil
	}
	n := int64(v.N)
	switch c.oid {
	case oidInt8:
		return binary.BigEndian.AppendUint64(dst, v.N), written, nil
	case oidInt4:
		if n != int64(int32(n)) {
			return dst, written, refuse(c, v, "is not between -2147483648 and 2147483647")
		}
		return binary.BigEndian.AppendUint32(dst, uint32(n)), written, nil
	default:
		if n != int64(int16(n)) {
			return dst, written, refuse(c, v, "is not between -32768 and 32767")
		}
		return binary.BigEndian.AppendUint16(dst, uint16(n)), written, nil
	}
}

// text appends the value as the server's input function reads it.
func (c *column) text(dst []byte, v *change.Value) []byte {
	switch v.Kind {
	case change.Bytes:
		const hex = "0123456789abcdef"
		dst = append(dst, '\\', 'x')
		for _, b := range v.B {
			dst = append(dst, hex[b>>4], hex[b&15])
		}
		return dst
	default: // a moment without a zone is UTC, as the session is
		return v.AppendText(dst)
	}
}

// arrayOf appends the column's values of all rows as one array parameter, and says whether it is binary.
func (c *column) arrayOf(dst []byte, rows []change.Row, index int) (out []byte, format int16, err error) {
	start := len(dst)
	if c.cast != "" {
		return c.textArray(dst, rows, index)
	}
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, c.oid)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(rows)))
	dst = append(dst, 0, 0, 0, 1)
	for i := range rows {
		v := &rows[i][index]
		if v.Kind == change.Null {
			dst[start+7] = 1
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		var o outcome
		if dst, o, err = c.binary(dst, v); err != nil {
			return dst, 0, &rowError{row: i, err: err}
		}
		if o == asText {
			return c.textArray(dst[:start], rows, index)
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst, 1, nil
}

func (c *column) textArray(dst []byte, rows []change.Row, index int) (out []byte, format int16, err error) {
	dst = append(dst, '{')
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		v := &rows[i][index]
		if v.Kind == change.Null {
			dst = append(dst, "NULL"...)
			continue
		}
		if err := c.fits(v); err != nil {
			return dst, 0, &rowError{row: i, err: err}
		}
		dst = append(dst, '"')
		at := len(dst)
		dst = c.text(dst, v)
		if needsEscape(dst[at:]) {
			raw := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(dst[at:]))
			dst = append(dst[:at], raw...)
		}
		dst = append(dst, '"')
	}
	return append(dst, '}'), 0, nil
}

func needsEscape(b []byte) bool {
	for _, c := range b {
		if c == '"' || c == '\\' {
			return true
		}
	}
	return false
}

// scalar appends one value as a parameter of its own.
func (c *column) scalar(dst []byte, v *change.Value) (out []byte, format int16, err error) {
	out, o, err := c.binary(dst, v)
	if err != nil {
		return dst, 0, err
	}
	if o == asText {
		return c.text(dst, v), 0, nil
	}
	return out, 1, nil
}

// rowError is a value that cannot be sent, with the row of the statement that it is in.
type rowError struct {
	row int
	err error
}

func (e *rowError) Error() string { return e.err.Error() }
func (e *rowError) Unwrap() error { return e.err }
