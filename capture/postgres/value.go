package postgres

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"github.com/crossfade-io/crossfade/internal/change"
)

// The settings under which the output functions of types print: of every session that reads, and of the one that is sent the log. They decide what the
// text of a value is, so both ways of reading give the same.
var outputSettings = map[string]string{
	"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "extra_float_digits": "1", "bytea_output": "hex", "lc_monetary": "C",
	"client_encoding": "UTF8", "xmlbinary": "base64",
}

// appendValue makes the canonical value of what a type's output function has printed. The value's bytes are those of text, or are appended to scratch.
func appendValue(kind change.Kind, text, scratch []byte) (change.Value, []byte, error) {
	switch kind {
	case change.Int:
		n, err := strconv.ParseInt(view(text), 10, 64)
		return change.NewInt(n), scratch, err
	case change.Float32:
		f, err := parseFloat(text, 32)
		return change.NewFloat32(float32(f)), scratch, err
	case change.Float64:
		f, err := parseFloat(text, 64)
		return change.NewFloat64(f), scratch, err
	case change.Bool:
		if len(text) == 1 && (text[0] == 't' || text[0] == 'f') {
			return change.NewBool(text[0] == 't'), scratch, nil
		}
		return change.Value{}, scratch, fmt.Errorf("%q is no boolean", text)
	case change.Bytes:
		if len(text) < 2 || text[0] != '\\' || text[1] != 'x' {
			return change.Value{}, scratch, fmt.Errorf("bytes that do not begin with \\x")
		}
		at := len(scratch)
		scratch, err := hex.AppendDecode(scratch, text[2:])
		return change.Value{Kind: kind, B: scratch[at:len(scratch):len(scratch)]}, scratch, err
	case change.Timestamp:
		return instant(text, scratch)
	case change.Decimal, change.Text, change.Date, change.Time, change.DateTime, change.JSON, change.Bits:
		return change.Value{Kind: kind, B: text}, scratch, nil
	default:
		return change.Value{}, scratch, fmt.Errorf("values of kind %s are not read", kind)
	}
}

// view is the text as a string for as long as nobody changes the bytes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// parseFloat reads what PostgreSQL prints, which with extra_float_digits of 1 and more is the shortest text of exactly that value.
func parseFloat(text []byte, bits int) (float64, error) {
	switch view(text) {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	return strconv.ParseFloat(view(text), bits)
}

// instant takes the zone away, which is always UTC: 2024-01-01 00:00:00+00, 0044-03-15 12:00:00+00 BC, infinity.
func instant(text, scratch []byte) (change.Value, []byte, error) {
	v := change.Value{Kind: change.Timestamp}
	zone := -1
	for i := len(text) - 1; i >= 0 && zone < 0; i-- {
		if text[i] == '+' {
			zone = i
		}
	}
	switch {
	case zone < 0 && (view(text) == "infinity" || view(text) == "-infinity"):
		v.B = text
		return v, scratch, nil
	case zone < 0 || len(text) < zone+3 || text[zone+1] != '0' || text[zone+2] != '0':
		return v, scratch, fmt.Errorf("%q is no instant in UTC", text)
	case len(text) == zone+3:
		v.B = text[:zone:zone]
		return v, scratch, nil
	case view(text[zone+3:]) == " BC":
		at := len(scratch)
		scratch = append(append(scratch, text[:zone]...), " BC"...)
		v.B = scratch[at:len(scratch):len(scratch)]
		return v, scratch, nil
	default:
		return v, scratch, fmt.Errorf("%q is no instant in UTC", text)
	}
}
