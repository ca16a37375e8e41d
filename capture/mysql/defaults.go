package mysql

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// defaulting is the value that an inserted row has in a column that its image leaves out.
//
// With binlog_row_image=MINIMAL or NOBLOB a session logs only the columns that its INSERT named; a replica puts the default into the others. So the
// missing value is the default of the schema version in force, and an inserted row is whole again before it leaves this package.
type defaulting struct {
	known bool
	value change.Value
}

// absentMeans finds the default of a column as a canonical value. It is unknown where information_schema does not say it exactly: expressions (the
// server logs those), rounded floats, times that depend on a session's zone, columns without a default.
func absentMeans(c *catalog.Column, f form) defaulting {
	if c.Generated != "" {
		return defaulting{known: true} // stays absent: the target computes it, or drops it
	}
	if c.DefaultIsExpr || c.AutoIncrement {
		return defaulting{}
	}
	if c.Default == nil {
		return defaulting{known: c.Nullable, value: change.Value{Kind: change.Null}}
	}
	s := *c.Default
	text := func(k change.Kind, ok bool) defaulting {
		return defaulting{known: ok, value: change.Value{Kind: k, B: []byte(s)}}
	}
	zero := "0000-00-00 00:00:00"
	switch f {
	case formInt8, formUint8, formInt16, formUint16, formInt24, formUint24, formInt32, formUint32, formInt64, formYear:
		n, err := strconv.ParseInt(s, 10, 64)
		return defaulting{known: err == nil, value: change.NewInt(n)}
	case formUint64:
		n, err := strconv.ParseUint(s, 10, 64)
		return defaulting{known: err == nil, value: change.NewUint(n)}
	case formDouble:
		d, err := strconv.ParseFloat(s, 64)
		return defaulting{known: err == nil, value: change.NewFloat64(d)}
	case formDecimal:
		_, decimals, _ := strings.Cut(s, ".")
		return text(change.Decimal, len(decimals) == c.Type.Scale)
	case formText, formEnum, formSet:
		return text(change.Text, true)
	case formChar:
		d := text(change.Text, true)
		d.value.B = bytes.TrimRight(d.value.B, " ")
		return d
	case formDate:
		return text(change.Date, len(s) == len("0000-00-00"))
	case formDateTime:
		return text(change.DateTime, len(s) == fractionLen(len(zero), c.Type.Fraction))
	case formTimestamp:
		return text(change.Timestamp, s == zero && c.Type.Fraction == 0)
	case formBits:
		digits, ok := strings.CutPrefix(s, "b'")
		digits, ok2 := strings.CutSuffix(digits, "'")
		if !ok || !ok2 || len(digits) > c.Type.Length {
			return defaulting{}
		}
		s = strings.Repeat("0", c.Type.Length-len(digits)) + digits
		return text(change.Bits, strings.Trim(s, "01") == "")
	default:
		return defaulting{}
	}
}

func fractionLen(n, digits int) int {
	if digits == 0 {
		return n
	}
	return n + 1 + digits
}
