package canonical

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/change"
)

// ParsePG reads a value of column col from text as PostgreSQL prints it under TimeZone UTC, DateStyle ISO, IntervalStyle postgres,
// bytea_output hex and extra_float_digits 1: the settings of every session of ours. A nil text is NULL. The value may alias text. It has the
// form in which the value was written: a timestamp(3) has three digits after the second, an interval none that are zeros at the end.
func ParsePG(col change.Column, text []byte) (change.Value, error) {
	if text == nil {
		return change.Value{Kind: change.Null}, nil
	}
	v, err := parse(col, text)
	if err != nil {
		return v, fmt.Errorf("column %s of type %s: %w", col.Name, col.Type, err)
	}
	return v, nil
}

func parse(col change.Column, b []byte) (change.Value, error) {
	c, err := classOf(col)
	if err != nil {
		return change.Value{}, err
	}
	of := func(k change.Kind, b []byte) (change.Value, error) { return change.Value{Kind: k, B: b}, nil }
	switch c {
	case integer:
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil {
			return change.Value{}, fmt.Errorf("%q is not an integer", b)
		}
		return change.NewInt(n), nil
	case numeric:
		return parseNumeric(col, b)
	case real32:
		f, err := strconv.ParseFloat(string(b), 32)
		if err != nil {
			return change.Value{}, fmt.Errorf("%q is not a number", b)
		}
		return change.NewFloat32(float32(f)), nil
	case double:
		f, err := strconv.ParseFloat(string(b), 64)
		if err != nil {
			return change.Value{}, fmt.Errorf("%q is not a number", b)
		}
		return change.NewFloat64(f), nil
	case boolean:
		switch string(b) {
		case "t", "true": // the latter by a cast to text
			return change.NewBool(true), nil
		case "f", "false":
			return change.NewBool(false), nil
		}
		return change.Value{}, fmt.Errorf("%q is not a boolean", b)
	case text, padded:
		return of(change.Text, b)
	case bytea:
		if !bytes.HasPrefix(b, []byte(`\x`)) {
			return change.Value{}, fmt.Errorf("bytea is not in hex: bytea_output of the session is not hex")
		}
		out := make([]byte, hex.DecodedLen(len(b)-2))
		if _, err := hex.Decode(out, b[2:]); err != nil {
			return change.Value{}, err
		}
		return of(change.Bytes, out)
	case date:
		if !dateText(b) {
			return change.Value{}, fmt.Errorf("%q is not a date in ISO style", b)
		}
		return of(change.Date, b)
	case timestamp:
		if !momentText(b) {
			return change.Value{}, fmt.Errorf("%q is not a timestamp in ISO style", b)
		}
		return of(change.DateTime, fullFraction(col.Type, b))
	case timestamptz:
		b, err := dropUTC(b)
		if err != nil {
			return change.Value{}, err
		}
		return of(change.Timestamp, fullFraction(col.Type, b))
	case interval:
		return parseInterval(b)
	case clocktime:
		if _, _, err := clock(b); err != nil {
			return change.Value{}, err
		}
		return of(change.Time, b)
	case bits:
		for _, d := range b {
			if d != '0' && d != '1' {
				return change.Value{}, fmt.Errorf("%q is not a bit string", b)
			}
		}
		return of(change.Bits, b)
	case jsonb, jsonText:
		return of(change.JSON, b)
	case uuid:
		return of(change.Text, b)
	default:
		return change.Value{}, fmt.Errorf("values of this type cannot be read")
	}
}

// parseNumeric gives an Int or Uint where the column's values are integers (an unsigned bigint of MySQL), so that keys read from both
// sides are the same bytes.
func parseNumeric(col change.Column, b []byte) (change.Value, error) {
	if col.Kind == change.Int || col.Kind == change.Uint {
		if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
			return change.NewInt(n), nil
		}
		if n, err := strconv.ParseUint(string(b), 10, 64); err == nil {
			return change.NewUint(n), nil
		}
	}
	d := bytes.TrimPrefix(b, []byte{'-'})
	whole, frac, point := bytes.Cut(d, []byte{'.'})
	if !special(b) && (len(whole) == 0 || !digits(whole) || !digits(frac) || point && len(frac) == 0) {
		return change.Value{}, fmt.Errorf("%q is not a number", b)
	}
	return change.Value{Kind: change.Decimal, B: b}, nil
}

func dateText(b []byte) bool {
	if infinite(b) {
		return true
	}
	b = bytes.TrimSuffix(b, bc)
	n := len(b) - 6 // years have four digits or more
	return n >= 4 && digits(b[:n]) && b[n] == '-' && digits(b[n+1:n+3]) && b[n+3] == '-' && digits(b[n+4:])
}

func momentText(b []byte) bool {
	if infinite(b) {
		return true
	}
	b = bytes.TrimSuffix(b, bc)
	day, clock, ok := bytes.Cut(b, []byte{' '})
	if !ok || !dateText(day) || len(clock) < 8 || clock[2] != ':' || clock[5] != ':' ||
		!digits(clock[:2]) || !digits(clock[3:5]) || !digits(clock[6:8]) {
		return false
	}
	frac := clock[8:]
	return len(frac) == 0 || frac[0] == '.' && len(frac) > 1 && digits(frac[1:])
}

// fullFraction gives a moment as many digits after the second as its type has: PostgreSQL leaves zeros out at the end, and the same moment has to be
// the same bytes when it is part of a key.
func fullFraction(typ string, b []byte) []byte {
	i := strings.IndexByte(typ, '(')
	if i < 0 || i+2 >= len(typ) || typ[i+2] != ')' || infinite(b) || bytes.HasSuffix(b, bc) {
		return b
	}
	want, have := int(typ[i+1]-'0'), 0
	if p := bytes.IndexByte(b, '.'); p >= 0 {
		have = len(b) - p - 1
	}
	if have >= want {
		return b
	}
	out := make([]byte, 0, len(b)+1+want)
	if out = append(out, b...); have == 0 {
		out = append(out, '.')
	}
	for ; have < want; have++ {
		out = append(out, '0')
	}
	return out
}

// dropUTC takes the zone off a timestamptz. Another zone than UTC means that the session is not set up, and values would shift.
func dropUTC(b []byte) ([]byte, error) {
	if infinite(b) {
		return b, nil
	}
	moment, era := b, ""
	if bytes.HasSuffix(b, bc) {
		moment, era = b[:len(b)-len(bc)], " BC"
	}
	n := len(moment) - len("+00")
	if n < 0 || string(moment[n:]) != "+00" || !momentText(moment[:n]) {
		return nil, fmt.Errorf("%q is not a timestamp in UTC: TimeZone of the session is not UTC", b)
	}
	if moment = moment[:n:n]; era != "" {
		moment = append(moment, era...)
	}
	return moment, nil
}

// parseInterval reads PostgreSQL's own style: "838:59:59", "-1 days +02:03:04.5", "1 year 2 mons 3 days". The value is its length as
// hours, minutes and seconds, with days of 24 hours and months of 30 days.
func parseInterval(b []byte) (change.Value, error) {
	if infinite(b) {
		return change.Value{Kind: change.Time, B: b}, nil
	}
	if bytes.IndexByte(b, ' ') < 0 {
		if _, _, err := clock(b); err != nil {
			return change.Value{}, err
		}
		return change.Value{Kind: change.Time, B: b}, nil
	}
	bad := fmt.Errorf("%q is not an interval in the style postgres", b)
	var hours, micros int64
	for rest := b; len(rest) > 0; {
		var word, unit []byte
		word, rest, _ = bytes.Cut(rest, []byte{' '})
		if bytes.IndexByte(word, ':') >= 0 {
			h, m, err := clock(bytes.TrimPrefix(word, []byte{'+'}))
			if err != nil || len(rest) > 0 {
				return change.Value{}, bad
			}
			hours += h
			micros = m
			break
		}
		unit, rest, _ = bytes.Cut(rest, []byte{' '})
		n, err := strconv.ParseInt(string(word), 10, 32)
		if err != nil {
			return change.Value{}, bad
		}
		switch string(unit) {
		case "year", "years":
			hours += n * 12 * 30 * 24
		case "mon", "mons":
			hours += n * 30 * 24
		case "day", "days":
			hours += n * 24
		default:
			return change.Value{}, bad
		}
	}
	return change.Value{Kind: change.Time, B: appendClock(nil, hours, micros)}, nil
}

// appendClock writes hours and microseconds, whose signs may differ, as -?HH:MM:SS[.ffffff].
func appendClock(dst []byte, hours, micros int64) []byte {
	if hours > 0 && micros < 0 {
		hours, micros = hours-1, micros+microsPerHour
	} else if hours < 0 && micros > 0 {
		hours, micros = hours+1, micros-microsPerHour
	}
	if hours < 0 || micros < 0 {
		dst = append(dst, '-')
		hours, micros = -hours, -micros
	}
	dst = fmt.Appendf(dst, "%02d:%02d:%02d", hours, micros/microsPerMinute, micros%microsPerMinute/1000000)
	if frac := micros % 1000000; frac != 0 {
		dst = bytes.TrimRight(fmt.Appendf(dst, ".%06d", frac), "0")
	}
	return dst
}
