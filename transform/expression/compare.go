package expression

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/change"
)

func compareInts(a, b change.Value) (int, error) {
	if a.Kind == change.Uint || b.Kind == change.Uint {
		switch {
		case a.Kind != change.Uint:
			return -1, nil
		case b.Kind != change.Uint:
			return 1, nil
		}
		return cmp.Compare(a.N, b.N), nil
	}
	return cmp.Compare(a.Int(), b.Int()), nil
}

func compareExact(a, b change.Value) (int, error) {
	if a.Kind != change.Decimal && b.Kind != change.Decimal {
		return compareInts(a, b)
	}
	x, y, err := decimals(a, b)
	if err != nil {
		return 0, err
	}
	x, y = align(x, y)
	return x.n.Cmp(y.n), nil
}

func compareFloats(a, b change.Value) (int, error) { return cmp.Compare(toFloat(a), toFloat(b)), nil }

func compareBytes(a, b change.Value) (int, error) { return bytes.Compare(a.B, b.B), nil }

// compareMoments compares dates and moments; a date is its midnight, and missing digits of a fraction are zeros.
func compareMoments(a, b change.Value) (int, error) {
	const day, second = len("2024-01-31"), len("2024-01-31 10:00:00")
	x, y := a.B, b.B
	if len(x) < day || len(y) < day {
		return 0, fmt.Errorf("%q or %q is not a date", x, y)
	}
	if o := bytes.Compare(x[:day], y[:day]); o != 0 {
		return o, nil
	}
	clock := func(v []byte) (time, fraction []byte) {
		switch {
		case len(v) == day:
			return midnight, nil
		case len(v) > second:
			return v[day:second], bytes.TrimRight(v[second+1:], "0")
		}
		return v[day:], nil
	}
	xt, xf := clock(x)
	yt, yf := clock(y)
	if o := bytes.Compare(xt, yt); o != 0 {
		return o, nil
	}
	return bytes.Compare(xf, yf), nil
}

var midnight = []byte(" 00:00:00")

func compareTimes(a, b change.Value) (int, error) {
	x, ok := duration(a.B)
	if !ok {
		return 0, fmt.Errorf("%q is not a time", a.B)
	}
	y, ok := duration(b.B)
	if !ok {
		return 0, fmt.Errorf("%q is not a time", b.B)
	}
	return cmp.Compare(x, y), nil
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// isDate tells the form only: 0000-00-00 is a value of a MySQL column.
func isDate(b []byte) bool {
	return len(b) == 10 && b[4] == '-' && b[7] == '-' && allDigits(b[:4]) && allDigits(b[5:7]) && allDigits(b[8:])
}

func isMoment(b []byte) bool {
	if len(b) < 19 || !isDate(b[:10]) || b[10] != ' ' || b[13] != ':' || b[16] != ':' || !allDigits(b[11:13]) || !allDigits(b[14:16]) || !allDigits(b[17:19]) {
		return false
	}
	frac := b[19:]
	return len(frac) == 0 || len(frac) > 1 && len(frac) <= 7 && frac[0] == '.' && allDigits(frac[1:])
}

func isBits(b []byte) bool {
	for _, c := range b {
		if c != '0' && c != '1' {
			return false
		}
	}
	return len(b) > 0
}

// duration reads -?HH:MM:SS[.ffffff] as microseconds.
func duration(b []byte) (int64, bool) {
	s, neg := bytes.CutPrefix(b, []byte{'-'})
	i := bytes.IndexByte(s, ':')
	if i < 2 || i > 4 || len(s) < i+6 || s[i+3] != ':' || !allDigits(s[:i]) || !allDigits(s[i+1:i+3]) || !allDigits(s[i+4:i+6]) {
		return 0, false
	}
	hours, _ := strconv.ParseInt(string(s[:i]), 10, 64) // digits, four at most
	minutes, seconds := int64(s[i+1]-'0')*10+int64(s[i+2]-'0'), int64(s[i+4]-'0')*10+int64(s[i+5]-'0')
	micros := ((hours*60+minutes)*60 + seconds) * 1000000
	if frac := s[i+6:]; len(frac) > 0 {
		if frac[0] != '.' || len(frac) < 2 || len(frac) > 7 || !allDigits(frac[1:]) {
			return 0, false
		}
		unit := int64(100000)
		for _, c := range frac[1:] {
			micros += int64(c-'0') * unit
			unit /= 10
		}
	}
	if minutes > 59 || seconds > 59 {
		return 0, false
	}
	if neg {
		micros = -micros
	}
	return micros, true
}
