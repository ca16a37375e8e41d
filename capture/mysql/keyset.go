package mysql

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Statements are built with the values in them: text is written as hexadecimal, so that no quoting, no mode and no connection character set can change
// a value. What a column is compared with is always a constant of its own kind, so that the server can use the index.

func appendName(dst []byte, name string) []byte {
	dst = append(dst, '`')
	for i := range len(name) {
		if name[i] == '`' {
			dst = append(dst, '`')
		}
		dst = append(dst, name[i])
	}
	return append(dst, '`')
}

func appendTable(dst []byte, t *catalog.Table) []byte {
	return appendName(append(appendName(dst, t.Schema), '.'), t.Name)
}

// appendFrom appends FROM and makes the server read in the order of the key.
func appendFrom(dst []byte, t *catalog.Table) []byte {
	dst = appendTable(append(dst, " FROM "...), t)
	dst = appendName(append(dst, " FORCE INDEX ("...), t.KeyName)
	return append(dst, ')')
}

func appendKeyNames(dst []byte, t *catalog.Table) []byte {
	for i, k := range t.Key {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendName(dst, t.Columns[k].Name)
	}
	return dst
}

// appendRange appends the condition after < key <= upTo, nil being no limit. "(a, b) > (x, y)" would not use the index, so it is written out:
// a > x OR (a = x AND b > y), with the range of the first column beside it.
func appendRange(dst []byte, t *catalog.Table, after, upTo change.Row) ([]byte, error) {
	word := " WHERE "
	for _, side := range []struct {
		row             change.Row
		outer, op, last string
	}{{after, " >= ", " > ", " > "}, {upTo, " <= ", " < ", " <= "}} {
		if side.row == nil {
			continue
		}
		if len(side.row) != len(t.Key) {
			return nil, fmt.Errorf("key of %d values for a key of %d columns", len(side.row), len(t.Key))
		}
		dst = append(dst, word...)
		word = " AND "
		var err error
		if len(t.Key) > 1 {
			if dst, err = appendComparison(dst, t, 0, side.outer, side.row); err != nil {
				return nil, err
			}
			dst = append(dst, " AND ("...)
		}
		for n := range t.Key {
			if n > 0 {
				dst = append(dst, " OR ("...)
			}
			for i := range n {
				if dst, err = appendComparison(dst, t, i, " = ", side.row); err != nil {
					return nil, err
				}
				dst = append(dst, " AND "...)
			}
			op := side.op
			if n == len(t.Key)-1 {
				op = side.last
			}
			if dst, err = appendComparison(dst, t, n, op, side.row); err != nil {
				return nil, err
			}
			if n > 0 {
				dst = append(dst, ')')
			}
		}
		if len(t.Key) > 1 {
			dst = append(dst, ')')
		}
	}
	return dst, nil
}

func appendComparison(dst []byte, t *catalog.Table, i int, op string, row change.Row) ([]byte, error) {
	c := &t.Columns[t.Key[i]]
	if c.Type.Name == "enum" && op != " = " && row[i].Kind == change.Text {
		return appendEnumComparison(dst, c, op, row[i].B)
	}
	return appendLiteral(append(appendName(dst, c.Name), op...), c, row[i])
}

// appendEnumComparison names the numbers one by one: the server has no range over an enum, only single values of it.
func appendEnumComparison(dst []byte, c *catalog.Column, op string, v []byte) ([]byte, error) {
	n, err := labelNumber(&c.Type, v)
	if err != nil {
		return nil, fmt.Errorf("key column %s: %w", c.Name, err)
	}
	first, last := uint64(0), uint64(len(c.Type.Labels))
	switch op {
	case " > ":
		first = n + 1
	case " >= ":
		first = n
	case " < ":
		if n == 0 {
			return append(dst, "FALSE"...), nil
		}
		last = n - 1
	case " <= ":
		last = n
	default:
		return nil, fmt.Errorf("comparison %q", op)
	}
	if first > last {
		return append(dst, "FALSE"...), nil
	}
	dst = append(appendName(dst, c.Name), " IN ("...)
	for i := first; i <= last; i++ {
		if i > first {
			dst = append(dst, ", "...)
		}
		dst = strconv.AppendUint(dst, i, 10)
	}
	return append(dst, ')'), nil
}

// appendKeyCondition appends the condition that the row has one of the keys, as many as limit allows, and returns how many it took. A list of tuples
// would be shorter, but the server compares an enum in it with the wrong thing and finds nothing.
func appendKeyCondition(dst []byte, t *catalog.Table, keys []change.Row, limit int) (_ []byte, n int, err error) {
	limit += len(dst)
	if len(t.Key) == 1 {
		c := &t.Columns[t.Key[0]]
		dst = append(appendName(dst, c.Name), " IN ("...)
		for ; n < len(keys) && n < maxListed && len(dst) < limit; n++ {
			if len(keys[n]) != 1 {
				return nil, 0, fmt.Errorf("key of %d values for a key of one column", len(keys[n]))
			}
			if n > 0 {
				dst = append(dst, ", "...)
			}
			if dst, err = appendLiteral(dst, c, keys[n][0]); err != nil {
				return nil, 0, err
			}
		}
		return append(dst, ')'), n, nil
	}
	for ; n < len(keys) && n < maxListedMany && len(dst) < limit; n++ {
		if len(keys[n]) != len(t.Key) {
			return nil, 0, fmt.Errorf("key of %d values for a key of %d columns", len(keys[n]), len(t.Key))
		}
		if n > 0 {
			dst = append(dst, " OR "...)
		}
		for i := range t.Key {
			if i == 0 {
				dst = append(dst, '(')
			} else {
				dst = append(dst, " AND "...)
			}
			if dst, err = appendComparison(dst, t, i, " = ", keys[n]); err != nil {
				return nil, 0, err
			}
		}
		dst = append(dst, ')')
	}
	return dst, n, nil
}

// appendLiteral appends a key value as a constant that compares with the column as the column orders itself.
func appendLiteral(dst []byte, c *catalog.Column, v change.Value) ([]byte, error) {
	kind, ok := c.Type.Kind(change.MySQL)
	if v.Kind == change.Uint && kind == change.Int {
		return strconv.AppendUint(dst, v.N, 10), nil
	}
	if !ok || v.Kind != kind {
		return nil, fmt.Errorf("key column %s (%s): a %s value", c.Name, c.Type.Full, v.Kind)
	}
	switch v.Kind {
	case change.Int:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case change.Float32: // as a double: 0.1 as a float is another number than 0.1
		return strconv.AppendFloat(dst, float64(v.Float32()), 'e', -1, 64), nil
	case change.Float64:
		return strconv.AppendFloat(dst, v.Float64(), 'e', -1, 64), nil
	case change.Decimal:
		if !isNumber(v.B) {
			return nil, fmt.Errorf("key column %s: %q is not a decimal number", c.Name, v.B)
		}
		return append(dst, v.B...), nil
	case change.Text:
		switch c.Type.Name {
		case "enum", "set": // they are ordered by number, but compare with a text as text
			n, err := labelNumber(&c.Type, v.B)
			if err != nil {
				return nil, fmt.Errorf("key column %s: %w", c.Name, err)
			}
			return strconv.AppendUint(dst, n, 10), nil
		}
		dst = append(dst, "_utf8mb4 X'"...)
		return append(hex.AppendEncode(dst, v.B), '\''), nil
	case change.Bytes:
		dst = append(dst, "X'"...)
		return append(hex.AppendEncode(dst, v.B), '\''), nil
	case change.Date, change.Time, change.DateTime, change.Timestamp:
		for _, b := range v.B {
			if (b < '0' || b > '9') && b != '-' && b != ':' && b != '.' && b != ' ' {
				return nil, fmt.Errorf("key column %s: %q is not a %s", c.Name, v.B, v.Kind)
			}
		}
		return append(append(append(dst, '\''), v.B...), '\''), nil
	case change.Bits:
		for _, b := range v.B {
			if b != '0' && b != '1' {
				return nil, fmt.Errorf("key column %s: %q is not a string of bits", c.Name, v.B)
			}
		}
		return append(append(append(dst, "b'"...), v.B...), '\''), nil
	default:
		return nil, fmt.Errorf("key column %s (%s): values of kind %s cannot be compared", c.Name, c.Type.Full, v.Kind)
	}
}

func isNumber(b []byte) bool {
	digits := 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '-' && i == 0, c == '.' && i > 0:
		default:
			return false
		}
	}
	return digits > 0
}

// labelNumber is the number by which an enum or set stores a value: the place of the label, or the sum of the bits of the members.
func labelNumber(t *catalog.Type, v []byte) (uint64, error) {
	if t.Name == "enum" {
		for i, l := range t.Labels {
			if l == string(v) {
				return uint64(i + 1), nil
			}
		}
		if len(v) == 0 {
			return 0, nil // what an invalid value was stored as
		}
		return 0, fmt.Errorf("%q is not a label of %s", v, t.Full)
	}
	var n uint64
	for rest := v; len(rest) > 0; {
		member := rest
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			member, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		found := false
		for i, l := range t.Labels {
			if l == string(member) {
				n |= 1 << i
				found = true
				break
			}
		}
		if !found {
			return 0, fmt.Errorf("%q is not a member of %s", member, t.Full)
		}
	}
	return n, nil
}
