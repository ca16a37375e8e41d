package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/crossfade-io/crossfade/internal/change"
)

// castMySQL finds the conversion of values of type s to a type of MySQL or MariaDB, the only list of pairs there is. A pair that is not in it is refused.
func castMySQL(s sourceType, t *myType, p *policy) (conversion, error) {
	c, ok := conversion{}, false
	v := t.values
	switch {
	case v.class == texts:
		c, ok = mysqlText(s, t), true
	case v.class == binaries:
		c, ok = mysqlBytes(s, t)
	case s.class == ints && v.class == ints:
		c, ok = mysqlInts(s, v, t.Full), true
	case s.class == bools && v.class == ints:
		c, ok = conversion{to: as(change.Int), back: as(change.Bool), key: true}, true
	case (s.class == ints || s.class == decimals) && v.class == decimals:
		same := s.class == decimals && s.precision > 0 && v.scale == s.scale
		c, ok = conversion{key: same}, true
		if !same || v.precision < s.precision {
			to := numericOf(pgType{base: pgNumeric, mods: 2, a: v.precision, b: v.scale})
			c.to = func(sc *scratch, x change.Value) (change.Value, error) {
				w, err := to(sc, x)
				if err != nil {
					err = fmt.Errorf("%w (the column is %s)", err, t.Full)
				}
				w.Kind = change.Decimal
				return w, err
			}
		}
	case s.class == decimals && v.class == ints:
		check := mysqlInts(s, v, t.Full).to
		c, ok = conversion{key: s.precision > 0 && s.scale == 0, back: func(sc *scratch, x change.Value) (change.Value, error) {
			mark := len(sc.buf)
			sc.buf = x.AppendText(sc.buf)
			return change.Value{Kind: change.Decimal, B: sc.keep(mark)}, nil
		}, to: func(sc *scratch, x change.Value) (change.Value, error) {
			n, err := unsignedNumber(x.B)
			if err != nil || check == nil {
				return n, err
			}
			return check(sc, n)
		}}, true
	case slices.Contains([]class{floats32, floats64, floats}, s.class) && (v.class == floats32 || v.class == floats64):
		c, ok = conversion{to: mysqlFloat(v.class, t.oneZero)}, true
	case s.class == dates && v.class == dates:
		c, ok = conversion{to: mysqlDate(false), key: true}, true
	case s.class == dates && v.class == datetimes:
		c, ok = conversion{to: midnight(p, change.DateTime, v.fraction)}, true
	case s.class == datetimes && v.class == datetimes, s.class == timestamps && v.class == datetimes:
		c, ok = mysqlMoment(s, v, change.DateTime, s.class), true
	case s.class == timestamps && v.class == timestamps:
		c, ok = mysqlMoment(s, v, change.Timestamp, s.class), true
	case s.class == datetimes && v.class == timestamps:
		return c, errors.New("a datetime has no zone: map it as datetime")
	case s.class == times && v.class == times:
		c, ok = conversion{to: mysqlTime(v.fraction), back: nil, key: true}, true
	case s.class == printed && v.class == times: // an interval of PostgreSQL without days
		fill := mysqlTime(v.fraction)
		c, ok = conversion{key: true, back: as(change.Text), to: func(sc *scratch, x change.Value) (change.Value, error) {
			if bytes.IndexByte(x.B, ' ') >= 0 || bytes.IndexByte(x.B, ':') < 0 {
				return x, fmt.Errorf("%.40q has days or months: map the column as varchar(60)", x.B)
			}
			x.Kind = change.Time
			return fill(sc, x)
		}}, true
	case s.class == bitStrings && v.class == bitStrings && s.length == v.length:
		c, ok = conversion{key: true}, true
	case s.class == jsons && v.class == jsons:
		c, ok = conversion{to: mysqlJSON}, true
	case s.class == texts && v.class == jsons:
		c, ok = conversion{to: func(sc *scratch, x change.Value) (change.Value, error) {
			if !json.Valid(x.B) {
				return x, errors.New("the text is not JSON: map the column as text")
			}
			x.Kind = change.JSON
			return mysqlJSON(sc, x)
		}}, true
	case s.class == uuids && v.class == uuids, s.class == inets && v.class == inets:
		c, ok = conversion{key: true}, true
	case s.class == texts && v.class == uuids:
		c, ok = conversion{to: exactUUID, key: true}, true
	case (s.class == texts || s.class == printed) && v.class == inets: // which the server reads
		c, ok = conversion{key: true}, true
	}
	if !ok {
		return c, fmt.Errorf("%s cannot become %s", classNames[s.class], t.Full)
	}
	return c, nil
}

// mysqlInts checks the range of a type.
func mysqlInts(s, v sourceType, full string) conversion {
	c := conversion{key: true}
	if s.class == ints && s.low >= v.low && s.high <= v.high {
		return c
	}
	c.to = func(_ *scratch, x change.Value) (change.Value, error) {
		fits := x.Kind == change.Int && x.Int() >= v.low && (x.Int() < 0 || uint64(x.Int()) <= v.high) || x.Kind == change.Uint && x.N <= v.high
		if !fits {
			return x, fmt.Errorf("%s does not fit into %s: map the column as a larger type", x, full)
		}
		return x, nil
	}
	return c
}

// unsignedNumber reads a decimal whose decimals are all zeros, up to the largest unsigned number of 64 bits.
func unsignedNumber(b []byte) (change.Value, error) {
	if n, err := wholeNumber(b); err == nil {
		return n, nil
	}
	whole, frac, _ := bytes.Cut(b, []byte{'.'})
	n, err := strconv.ParseUint(string(whole), 10, 64)
	if err != nil || len(bytes.TrimRight(frac, "0")) > 0 {
		return change.Value{}, fmt.Errorf("%.70q is not a whole number of 64 bits", b)
	}
	return change.NewUint(n), nil
}

// mysqlFloat refuses what is no number, which MySQL does not have. MariaDB has one zero, without a sign.
func mysqlFloat(to class, oneZero bool) converter {
	return func(_ *scratch, x change.Value) (change.Value, error) {
		f := 0.0
		if x.Kind == change.Float32 {
			f = float64(x.Float32())
		} else {
			f = x.Float64()
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return x, fmt.Errorf("%s, which MySQL does not have: correct the row, or fill the column by value", x)
		}
		if oneZero && f == 0 {
			f = math.Abs(f)
		}
		if to == floats64 {
			return change.NewFloat64(f), nil
		}
		if float64(float32(f)) != f {
			return x, fmt.Errorf("%s is no 32-bit float: map the column as double", x)
		}
		return change.NewFloat32(float32(f)), nil
	}
}

// mysqlDate refuses dates that MySQL does not have; those that do not exist it has.
func mysqlDate(moment bool) converter {
	return func(_ *scratch, x change.Value) (change.Value, error) {
		if len(x.B) < 10 || x.B[4] != '-' || x.B[7] != '-' || !moment && len(x.B) != 10 || bytes.HasSuffix(x.B, []byte("BC")) {
			return x, fmt.Errorf("%.40q is outside the years 0 to 9999 that MySQL has: correct the row, or map the column as varchar(40)", x.B)
		}
		return x, nil
	}
}

// mysqlMoment gives a moment the digits of its column.
func mysqlMoment(s, v sourceType, kind change.Kind, from class) conversion {
	check, back := mysqlDate(true), change.DateTime
	if from == timestamps {
		back = change.Timestamp
	}
	return conversion{key: v.fraction >= s.fraction,
		to: func(sc *scratch, x change.Value) (change.Value, error) {
			if _, err := check(sc, x); err != nil {
				return x, err
			}
			if kind == change.Timestamp && string(x.B[:4]) != "0000" && (string(x.B) < "1970-01-01 00:00:01" || string(x.B) > "2106-02-07 06:28:16") {
				return x, fmt.Errorf("%.40q is outside the years that a timestamp of MySQL has: map the column as datetime", x.B)
			}
			b, err := sc.fraction(x.B, v.fraction)
			return change.Value{Kind: kind, B: b}, err
		},
		back: func(sc *scratch, x change.Value) (change.Value, error) {
			b, err := sc.fraction(x.B, s.fraction)
			return change.Value{Kind: back, B: b}, err
		}}
}

// mysqlTime gives a time of day, or a length of time, the digits of its column.
func mysqlTime(fraction int) converter {
	return func(sc *scratch, x change.Value) (change.Value, error) {
		mark, have := len(sc.buf), 0
		if dot := bytes.IndexByte(x.B, '.'); dot >= 0 {
			have = len(x.B) - dot - 1
		}
		if have > fraction {
			return x, fmt.Errorf("%.40q has more than %d digits after the second: map the column as time with more", x.B, fraction)
		}
		if have == fraction {
			return x, nil
		}
		if sc.buf = append(sc.buf, x.B...); have == 0 {
			sc.buf = append(sc.buf, '.')
		}
		for ; have < fraction; have++ {
			sc.buf = append(sc.buf, '0')
		}
		x.B = sc.keep(mark)
		return x, nil
	}
}

// textBytes is how many bytes the types without a length hold.
var textBytes = map[string]int{"tinytext": 255, "text": 65535, "mediumtext": 16777215, "tinyblob": 255, "blob": 65535, "mediumblob": 16777215}

// mysqlText writes a value as text: text as it is, others as they print.
func mysqlText(s sourceType, t *myType) conversion {
	labels, name, length := t.values.labels, t.Name, t.Length
	c := conversion{key: s.class == texts || s.class == printed || s.class == uuids || s.class == inets}
	c.to = func(sc *scratch, x change.Value) (change.Value, error) {
		b := x.B
		switch mark := len(sc.buf); x.Kind {
		case change.Bool:
			if b = []byte("false"); x.N != 0 {
				b = []byte("true")
			}
		case change.Int, change.Uint, change.Float32, change.Float64:
			sc.buf = x.AppendText(sc.buf)
			b = sc.keep(mark)
		case change.Bytes:
			if !utf8.Valid(b) {
				return x, errors.New("the bytes are not UTF-8: map the column as a binary type")
			}
		}
		switch {
		case labels != nil && !slices.Contains(labels, string(b)):
			return x, fmt.Errorf("%.40q is no label of %s", b, t.Full)
		case name == "char" && s.class == texts && s.padded: // PostgreSQL fills char(n) up with blanks, MySQL takes them away
			b = bytes.TrimRight(b, " ")
		case name == "char" && len(b) > 0 && b[len(b)-1] == ' ':
			return x, errors.New("blanks at the end, which char(n) loses: map the column as varchar or longtext")
		}
		if length > 0 && labels == nil && len(b) > length && utf8.RuneCount(b) > length {
			return x, fmt.Errorf("%d characters do not fit into %s: map the column as a longer type", utf8.RuneCount(b), t.Full)
		}
		if most := textBytes[name]; most > 0 && len(b) > most {
			return x, fmt.Errorf("%d bytes do not fit into %s: map the column as longtext", len(b), t.Full)
		}
		return change.Value{Kind: change.Text, B: b}, nil
	}
	c.back = func(_ *scratch, x change.Value) (change.Value, error) { return x, nil }
	return c
}

func mysqlBytes(s sourceType, t *myType) (conversion, bool) {
	if s.class != binaries && s.class != texts && s.class != uuids {
		return conversion{}, false
	}
	c := conversion{key: s.class == binaries}
	c.to = func(sc *scratch, x change.Value) (change.Value, error) {
		if s.class == uuids {
			return uuidBytes(sc, x)
		}
		x.Kind = change.Bytes
		switch most := max(t.Length, textBytes[t.Name]); {
		case t.Name == "binary" && len(x.B) != t.Length:
			return x, fmt.Errorf("%d bytes for %s, which fills them up: map the column as varbinary", len(x.B), t.Full)
		case most > 0 && len(x.B) > most:
			return x, fmt.Errorf("%d bytes do not fit into %s: map the column as a longer type", len(x.B), t.Full)
		}
		return x, nil
	}
	return c, true
}

// mysqlJSON refuses documents whose numbers MySQL would change: it keeps 64-bit integers and doubles.
func mysqlJSON(_ *scratch, x change.Value) (change.Value, error) {
	for i := 0; i < len(x.B); {
		switch c := x.B[i]; {
		case c == '"':
			for i++; i < len(x.B) && x.B[i] != '"'; i++ {
				if x.B[i] == '\\' {
					i++
				}
			}
			i++
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(x.B) && bytes.IndexByte([]byte("0123456789.eE+-"), x.B[end]) >= 0 {
				end++
			}
			if !mysqlNumber(string(x.B[i:end])) {
				return x, fmt.Errorf("the JSON number %.60s is neither a 64-bit integer nor a double, and MySQL would change it: map the column as longtext", x.B[i:end])
			}
			i = end
		default:
			i++
		}
	}
	return x, nil
}

// mysqlNumber reports whether a JSON number keeps its value.
func mysqlNumber(s string) bool {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return true
	}
	if _, err := strconv.ParseUint(s, 10, 64); err == nil {
		return true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return false
	}
	return sameDecimal(s, strconv.FormatFloat(f, 'e', -1, 64))
}

// sameDecimal compares two numbers by their digits and their exponent.
func sameDecimal(a, b string) bool {
	m1, e1, ok1 := decimalParts(a)
	m2, e2, ok2 := decimalParts(b)
	return ok1 && ok2 && m1 == m2 && (e1 == e2 || m1 == "0" || m1 == "-0")
}

// decimalParts writes a number as digits without zeros at either end, and the power of ten of the last digit.
func decimalParts(s string) (digits string, exponent int, ok bool) {
	sign := ""
	if s != "" && s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if i := bytes.IndexAny([]byte(s), "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil {
			return "", 0, false
		}
		s = s[:i]
	}
	if i := bytes.IndexByte([]byte(s), '.'); i >= 0 {
		exponent -= len(s) - i - 1
		s = s[:i] + s[i+1:]
	}
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	for len(s) > 1 && s[len(s)-1] == '0' {
		s, exponent = s[:len(s)-1], exponent+1
	}
	return sign + s, exponent, s != ""
}
