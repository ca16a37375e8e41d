package mysql

import (
	"fmt"
	"strconv"
	"unsafe"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// rowReader turns rows of a SELECT, as the text protocol sends them, into canonical values. A row is valid until the next one is read; nothing is
// allocated for it.
type rowReader struct {
	table   *catalog.Table
	columns []int // of the table, in the order of the SELECT
	how     []conversion
	row     change.Row
	scratch []byte // values of one row that are not the bytes that were sent
}

// conversion says how a column's text becomes its value.
type conversion struct {
	kind   change.Kind
	how    how
	column *catalog.Column
	cs     *charset // of text that is not UTF-8
}

type how uint8

const (
	asIs     how = iota // the text is the value
	asInt               // a signed integer, or a year
	asUint              // an unsigned integer
	asFloat             // a double that was widened from a float
	asDouble            //
	asNumber            // a decimal that may have leading zeros (ZEROFILL)
	asBits              // big-endian bytes
	asText              // in the character set of the column: the server would send what it cannot convert as '?', so it is converted here, as in the binlog
)

// allColumns are the positions of all columns of the table.
func allColumns(t *catalog.Table) []int {
	all := make([]int, len(t.Columns))
	for i := range all {
		all[i] = i
	}
	return all
}

func newRowReader(t *catalog.Table, columns []int) (*rowReader, error) {
	r := &rowReader{table: t, columns: columns, how: make([]conversion, len(columns)), row: make(change.Row, len(columns))}
	for i, k := range columns {
		c := &t.Columns[k]
		kind, ok := c.Type.Kind(change.MySQL)
		if !ok {
			return nil, fmt.Errorf("column %s.%s: type %s is not supported: leave the table out, or drop the column", t, c.Name, c.Type.Full)
		}
		v := conversion{kind: kind, column: c}
		switch kind {
		case change.Int:
			if v.how = asInt; c.Type.Unsigned || c.Type.Name == "year" {
				v.how = asUint
			}
		case change.Float32:
			v.how = asFloat
		case change.Float64:
			v.how = asDouble
		case change.Decimal:
			v.how = asNumber
		case change.Bits:
			v.how = asBits
		case change.Text:
			if v.how = asIs; c.Type.Charset != "" {
				cs, err := charsetOf(c.Type.Charset)
				if err != nil {
					return nil, fmt.Errorf("column %s.%s: %w", t, c.Name, err)
				}
				if !cs.direct {
					v.how, v.cs = asText, cs
				}
			}
		case change.Bytes, change.Date, change.Time, change.DateTime, change.Timestamp, change.JSON:
			v.how = asIs
		default:
			return nil, fmt.Errorf("column %s.%s: values of kind %s are not read", t, c.Name, kind)
		}
		r.how[i] = v
	}
	return r, nil
}

// appendSelect appends the list of what is selected. A float is widened to a double first: as text the server shows only six digits of it. It is multiplied,
// not added to or cast: the sign of zero stays, and every version can do it.
func (r *rowReader) appendSelect(dst []byte) []byte {
	dst = append(dst, "SELECT "...)
	for i := range r.how {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendName(dst, r.how[i].column.Name)
		if r.how[i].how == asFloat || r.how[i].how == asDouble {
			dst = append(dst, "*1e0"...)
		}
	}
	return dst
}

// check compares what the server sends with what the catalog says. A column changed since would otherwise be read as what it was.
func (r *rowReader) check(fields []gomysql.Field) error {
	if len(fields) != len(r.how) {
		return fmt.Errorf("%d columns in the result, %d were selected", len(fields), len(r.how))
	}
	for i := range fields {
		if err := r.how[i].check(&fields[i]); err != nil {
			return &capture.Stop{Object: r.table.String() + "." + r.how[i].column.Name, Reason: err.Error(),
				Remedy: "undo the change of the table, or start the migration again"}
		}
	}
	return nil
}

const binaryCharset = 63

func (v *conversion) check(f *gomysql.Field) error {
	t := &v.column.Type
	var want []byte
	switch t.Name {
	case "tinyint":
		want = []byte{gomysql.MYSQL_TYPE_TINY}
	case "smallint":
		want = []byte{gomysql.MYSQL_TYPE_SHORT}
	case "mediumint":
		want = []byte{gomysql.MYSQL_TYPE_INT24}
	case "int":
		want = []byte{gomysql.MYSQL_TYPE_LONG}
	case "bigint":
		want = []byte{gomysql.MYSQL_TYPE_LONGLONG}
	case "year":
		want = []byte{gomysql.MYSQL_TYPE_YEAR}
	case "float", "double":
		want = []byte{gomysql.MYSQL_TYPE_DOUBLE}
	case "decimal":
		want = []byte{gomysql.MYSQL_TYPE_NEWDECIMAL}
	case "char", "binary", "enum", "set", "uuid", "inet4", "inet6":
		want = []byte{gomysql.MYSQL_TYPE_STRING}
	case "varchar", "varbinary":
		want = []byte{gomysql.MYSQL_TYPE_VAR_STRING}
	case "tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob":
		want = []byte{gomysql.MYSQL_TYPE_BLOB}
	case "bit":
		want = []byte{gomysql.MYSQL_TYPE_BIT}
	case "date":
		want = []byte{gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE}
	case "time":
		want = []byte{gomysql.MYSQL_TYPE_TIME}
	case "datetime":
		want = []byte{gomysql.MYSQL_TYPE_DATETIME}
	case "timestamp":
		want = []byte{gomysql.MYSQL_TYPE_TIMESTAMP}
	case "json":
		want = []byte{gomysql.MYSQL_TYPE_JSON}
	default: // the spatial types
		want = []byte{gomysql.MYSQL_TYPE_GEOMETRY}
	}
	same := false
	for _, w := range want {
		same = same || f.Type == w
	}
	if !same {
		return fmt.Errorf("the column was %s, and now has wire type %d", t.Full, f.Type)
	}
	isEnum, isSet := f.Flag&gomysql.ENUM_FLAG != 0, f.Flag&gomysql.SET_FLAG != 0
	if isEnum != (t.Name == "enum") || isSet != (t.Name == "set") {
		return fmt.Errorf("the column was %s, and now is an enum (%t) or a set (%t)", t.Full, isEnum, isSet)
	}
	switch v.kind {
	case change.Int:
		if t.Name != "year" && (f.Flag&gomysql.UNSIGNED_FLAG != 0) != t.Unsigned {
			return fmt.Errorf("the column was %s, and now has another sign", t.Full)
		}
	case change.Decimal:
		if int(f.Decimal) != t.Scale {
			return fmt.Errorf("the column was %s, and now has %d decimals", t.Full, f.Decimal)
		}
	case change.Time, change.DateTime, change.Timestamp:
		if int(f.Decimal) != t.Fraction {
			return fmt.Errorf("the column was %s, and now has %d digits after the second", t.Full, f.Decimal)
		}
	case change.Bits:
		if int(f.ColumnLength) != t.Length {
			return fmt.Errorf("the column was %s, and now has %d bits", t.Full, f.ColumnLength)
		}
	case change.Text:
		if f.Charset == binaryCharset && t.Charset != "" {
			return fmt.Errorf("the column was %s, and now is binary", t.Full)
		}
	case change.Bytes:
		if f.Charset != binaryCharset {
			return fmt.Errorf("the column was %s, and now is text", t.Full)
		}
	case change.Float32, change.Float64, change.Date, change.JSON:
	default:
		return fmt.Errorf("the column is %s: values of kind %s are not read", t.Full, v.kind)
	}
	return nil
}

// read reads one row.
func (r *rowReader) read(p []byte) (change.Row, error) {
	if cap(r.scratch) > 1<<20 { // one very large row must not hold its memory for ever
		r.scratch = nil
	}
	r.scratch = r.scratch[:0] // it may grow and move; what was there stays valid
	t := texts(p)
	for i := range r.how {
		b, null, err := t.next()
		if err != nil {
			return nil, err
		}
		v := &r.row[i]
		if null {
			*v = change.Value{Kind: change.Null}
			continue
		}
		c := &r.how[i]
		switch c.how {
		case asIs:
			*v = change.Value{Kind: c.kind, B: b}
		case asInt, asUint:
			n, ok := parseInt(b, c.how == asInt)
			if !ok {
				return nil, c.malformed(b)
			}
			*v = change.Value{Kind: change.Int, N: n}
			if c.how == asUint {
				*v = change.NewUint(n)
			}
		case asDouble:
			f, err := parseFloat(b)
			if err != nil {
				return nil, c.malformed(b)
			}
			*v = change.NewFloat64(f)
		case asFloat:
			f, err := parseFloat(b)
			if err != nil || float64(float32(f)) != f {
				return nil, c.malformed(b)
			}
			*v = change.NewFloat32(float32(f))
		case asNumber:
			if b = trimZeros(b); !isNumber(b) {
				return nil, c.malformed(b)
			}
			*v = change.Value{Kind: change.Decimal, B: b}
		case asBits:
			start := len(r.scratch)
			if r.scratch, err = appendBits(r.scratch, b, c.column.Type.Length); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.column.Name, err)
			}
			*v = change.Value{Kind: change.Bits, B: r.scratch[start:len(r.scratch):len(r.scratch)]}
		case asText:
			if c.cs.units == nil && isASCII(b) {
				*v = change.Value{Kind: change.Text, B: b}
				continue
			}
			start := len(r.scratch)
			if r.scratch, err = c.cs.appendUTF8(r.scratch, b); err != nil {
				return nil, &capture.Stop{Object: r.table.String() + "." + c.column.Name, Reason: fmt.Sprintf("a value is not text in the character set of its column: %v", err),
					Remedy: fmt.Sprintf("correct the row: HEX(%s) begins with '%X'", quoteName(c.column.Name), b[:min(len(b), 64)])}
			}
			*v = change.Value{Kind: change.Text, B: r.scratch[start:len(r.scratch):len(r.scratch)]}
		default:
			return nil, fmt.Errorf("column %s: unknown conversion %d", c.column.Name, c.how)
		}
	}
	if len(t) != 0 {
		return nil, fmt.Errorf("%d bytes after the last value of a row", len(t))
	}
	return r.row, nil
}

func (v *conversion) malformed(b []byte) error {
	return fmt.Errorf("column %s (%s): %q is not one of its values", v.column.Name, v.column.Type.Full, b)
}

// parseInt reads a decimal integer; n holds the bits of an int64 when signed.
func parseInt(b []byte, signed bool) (n uint64, ok bool) {
	negative := signed && len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	for i, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false
		}
		if i >= 18 && (n > (1<<64-1)/10 || n*10 > 1<<64-1-d) {
			return 0, false
		}
		n = n*10 + d
	}
	switch {
	case negative:
		return -n, n <= 1<<63
	case signed:
		return n, n < 1<<63
	default:
		return n, true
	}
}

func parseFloat(b []byte) (float64, error) {
	return strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 64) // the text is not kept
}

// trimZeros removes the zeros that ZEROFILL puts before a number, all but one before the point.
func trimZeros(b []byte) []byte {
	for len(b) > 1 && b[0] == '0' && b[1] != '.' {
		b = b[1:]
	}
	return b
}

// appendBits appends the last n bits of a big-endian number, highest first.
func appendBits(dst, b []byte, n int) ([]byte, error) {
	if len(b)*8 < n || len(b)*8 >= n+8 {
		return dst, fmt.Errorf("%d bytes for %d bits", len(b), n)
	}
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, '0'+b[len(b)-1-i/8]>>(i%8)&1)
	}
	return dst, nil
}
