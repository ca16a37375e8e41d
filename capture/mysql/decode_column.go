package mysql

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// column turns the stored values of one column into canonical values.
type column struct {
	field
	form   form
	digits int        // fraction digits, or bits, or bytes of a binary(n)
	cs     *charset   // of text; nil when the bytes are UTF-8 as they are
	labels [][]byte   // of an enum or set, in UTF-8
	absent defaulting // what an insert without this column means
}

// form is how a value is written, apart from its size.
type form uint8

const (
	formInt8 form = iota + 1
	formUint8
	formInt16
	formUint16
	formInt24
	formUint24
	formInt32
	formUint32
	formInt64
	formUint64
	formYear
	formFloat
	formDouble
	formDecimal
	formText
	formChar
	formBytes
	formBinary
	formEnum
	formSet
	formBits
	formDate
	formTime
	formDateTime
	formTimestamp
	formJSON
	formUUID
	formInet4
	formInet6
)

// stored is how columns of a type are stored: the type in the log, and the form of its values.
type stored struct {
	typ      byte
	form     form
	unsigned form // of the unsigned variant, where it is another one
}

var storedAs = map[string]stored{
	"tinyint":            {typ: typeTiny, form: formInt8, unsigned: formUint8},
	"smallint":           {typ: typeShort, form: formInt16, unsigned: formUint16},
	"mediumint":          {typ: typeInt24, form: formInt24, unsigned: formUint24},
	"int":                {typ: typeLong, form: formInt32, unsigned: formUint32},
	"bigint":             {typ: typeLongLong, form: formInt64, unsigned: formUint64},
	"year":               {typ: typeYear, form: formYear},
	"float":              {typ: typeFloat, form: formFloat},
	"double":             {typ: typeDouble, form: formDouble},
	"decimal":            {typ: typeNewDecimal, form: formDecimal},
	"char":               {typ: typeString, form: formChar},
	"varchar":            {typ: typeVarchar, form: formText},
	"tinytext":           {typ: typeBlob, form: formText},
	"text":               {typ: typeBlob, form: formText},
	"mediumtext":         {typ: typeBlob, form: formText},
	"longtext":           {typ: typeBlob, form: formText},
	"binary":             {typ: typeString, form: formBinary},
	"varbinary":          {typ: typeVarchar, form: formBytes},
	"tinyblob":           {typ: typeBlob, form: formBytes},
	"blob":               {typ: typeBlob, form: formBytes},
	"mediumblob":         {typ: typeBlob, form: formBytes},
	"longblob":           {typ: typeBlob, form: formBytes},
	"enum":               {typ: typeEnum, form: formEnum},
	"set":                {typ: typeSet, form: formSet},
	"bit":                {typ: typeBit, form: formBits},
	"date":               {typ: typeDate, form: formDate},
	"time":               {typ: typeTime2, form: formTime},
	"datetime":           {typ: typeDatetime2, form: formDateTime},
	"timestamp":          {typ: typeTimestamp2, form: formTimestamp},
	"json":               {typ: typeJSON, form: formJSON},
	"geometry":           {typ: typeGeometry, form: formBytes},
	"point":              {typ: typeGeometry, form: formBytes},
	"linestring":         {typ: typeGeometry, form: formBytes},
	"polygon":            {typ: typeGeometry, form: formBytes},
	"multipoint":         {typ: typeGeometry, form: formBytes},
	"multilinestring":    {typ: typeGeometry, form: formBytes},
	"multipolygon":       {typ: typeGeometry, form: formBytes},
	"geomcollection":     {typ: typeGeometry, form: formBytes},
	"geometrycollection": {typ: typeGeometry, form: formBytes},
	"uuid":               {typ: typeString, form: formUUID},
	"inet4":              {typ: typeString, form: formInet4},
	"inet6":              {typ: typeString, form: formInet6},
}

// newColumn makes the decoder of a column, or says why the log's field is not that column.
func newColumn(c *catalog.Column, f field) (column, error) {
	t := &c.Type
	s, ok := storedAs[t.Name]
	if !ok {
		return column{}, fmt.Errorf("columns of type %s cannot be migrated", t.Full)
	}
	if f.typ != s.typ {
		if old := oldTemporal(f.typ); old != "" && (s.form == formTime || s.form == formDateTime || s.form == formTimestamp) {
			return column{}, fmt.Errorf("it is stored in the %s form of before MySQL 5.6; rebuild the table with ALTER TABLE ... FORCE and start again", old)
		}
		return column{}, fmt.Errorf("it is stored as type %d, not as %s", f.typ, t.Full)
	}
	out := column{field: f, form: s.form}
	if t.Unsigned && s.unsigned != 0 {
		out.form = s.unsigned
	}
	same := true // the metadata is that of the type
	switch s.form {
	case formText, formChar:
		cs, err := charsetOf(t.Charset)
		if err != nil {
			return column{}, err
		}
		if !cs.direct {
			out.cs = cs
		}
		if f.typ != typeBlob {
			same = int(f.meta) == t.Length*cs.width
		} else {
			same = int(f.meta) == blobPrefix(t.Name)
		}
	case formBytes:
		switch f.typ {
		case typeBlob:
			same = int(f.meta) == blobPrefix(t.Name)
		case typeVarchar:
			same = int(f.meta) == t.Length
		}
	case formUUID, formInet6:
		same = f.meta == 16
	case formInet4:
		same = f.meta == 4
	case formBinary:
		out.digits = t.Length
		same = int(f.meta) == t.Length
	case formEnum, formSet:
		for _, l := range t.Labels {
			out.labels = append(out.labels, []byte(l))
		}
		if s.form == formSet {
			same = len(t.Labels) <= 8*int(f.meta)
		} else {
			same = (len(t.Labels) < 256) == (f.meta == 1)
		}
	case formDecimal:
		same = int(f.meta>>8) == t.Precision && int(f.meta&0xff) == t.Scale
	case formBits:
		out.digits = t.Length
		same = 8*int(f.meta>>8)+int(f.meta&0xff) == t.Length
	case formTime, formDateTime, formTimestamp:
		out.digits = t.Fraction
		same = int(f.meta) == t.Fraction
	}
	if !same {
		return column{}, fmt.Errorf("it is stored with other lengths (%d) than %s has", f.meta, t.Full)
	}
	out.absent = absentMeans(c, out.form)
	return out, nil
}

func oldTemporal(typ byte) string {
	switch typ {
	case typeTimestamp:
		return "timestamp"
	case typeTime:
		return "time"
	case typeDatetime:
		return "datetime"
	default:
		return ""
	}
}

// blobPrefix is how many bytes the length of a text or blob takes.
func blobPrefix(name string) int {
	switch name {
	case "tinytext", "tinyblob":
		return 1
	case "text", "blob":
		return 2
	case "mediumtext", "mediumblob":
		return 3
	default:
		return 4
	}
}

// decode reads the value at the start of b and returns how many bytes it takes. The value's bytes are those of b, or are appended to scratch.
func (c *column) decode(b []byte, scratch []byte) (v change.Value, n int, _ []byte, err error) {
	switch c.form {
	case formInt8, formUint8, formYear:
		if len(b) < 1 {
			return v, 0, scratch, errShort
		}
		switch c.form {
		case formInt8:
			v = change.NewInt(int64(int8(b[0])))
		case formUint8:
			v = change.NewInt(int64(b[0]))
		default:
			v = change.NewInt(0)
			if b[0] != 0 {
				v = change.NewInt(1900 + int64(b[0]))
			}
		}
		return v, 1, scratch, nil
	case formInt16, formUint16:
		if len(b) < 2 {
			return v, 0, scratch, errShort
		}
		u := binary.LittleEndian.Uint16(b)
		if c.form == formInt16 {
			return change.NewInt(int64(int16(u))), 2, scratch, nil
		}
		return change.NewInt(int64(u)), 2, scratch, nil
	case formInt24, formUint24:
		if len(b) < 3 {
			return v, 0, scratch, errShort
		}
		u := uint24(b)
		if c.form == formInt24 {
			return change.NewInt(int64(int32(u<<8) >> 8)), 3, scratch, nil
		}
		return change.NewInt(int64(u)), 3, scratch, nil
	case formInt32, formUint32, formFloat:
		if len(b) < 4 {
			return v, 0, scratch, errShort
		}
		u := binary.LittleEndian.Uint32(b)
		switch c.form {
		case formInt32:
			v = change.NewInt(int64(int32(u)))
		case formUint32:
			v = change.NewInt(int64(u))
		default:
			v = change.NewFloat32(math.Float32frombits(u))
		}
		return v, 4, scratch, nil
	case formInt64, formUint64, formDouble:
		if len(b) < 8 {
			return v, 0, scratch, errShort
		}
		u := binary.LittleEndian.Uint64(b)
		switch c.form {
		case formInt64:
			v = change.NewInt(int64(u))
		case formUint64:
			v = change.NewUint(u)
		default:
			v = change.NewFloat64(math.Float64frombits(u))
		}
		return v, 8, scratch, nil
	}
	prefix, size, err := c.size(b)
	if err != nil {
		return v, 0, scratch, err
	}
	n = prefix + size
	v, scratch, err = c.value(b[prefix:n:n], scratch)
	return v, n, scratch, err
}

// value reads a value of known size.
func (c *column) value(b []byte, scratch []byte) (change.Value, []byte, error) {
	at := len(scratch)
	kind := change.Text
	var err error
	switch c.form {
	case formText, formChar:
		if c.form == formChar { // SELECT shows none either
			b = bytes.TrimRight(b, " ")
		}
		if c.cs == nil || c.cs.units == nil && isASCII(b) {
			return change.Value{Kind: change.Text, B: b}, scratch, nil
		}
		scratch, err = c.cs.appendUTF8(scratch, b)
		if c.form == formChar {
			scratch = scratch[:at+len(bytes.TrimRight(scratch[at:], " "))]
		}
	case formBytes:
		return change.Value{Kind: change.Bytes, B: b}, scratch, nil
	case formBinary:
		kind = change.Bytes
		if len(b) == c.digits {
			return change.Value{Kind: kind, B: b}, scratch, nil
		}
		if len(b) > c.digits {
			return change.Value{}, scratch, fmt.Errorf("%d bytes in a binary(%d)", len(b), c.digits)
		}
		scratch = append(scratch, b...)
		for range c.digits - len(b) { // the log leaves trailing zeros out
			scratch = append(scratch, 0)
		}
	case formEnum:
		i := littleEndian(b)
		if i > uint64(len(c.labels)) {
			return change.Value{}, scratch, fmt.Errorf("enum value %d of %d labels", i, len(c.labels))
		}
		if i == 0 {
			return change.Value{Kind: kind, B: empty}, scratch, nil
		}
		return change.Value{Kind: kind, B: c.labels[i-1]}, scratch, nil
	case formSet:
		return c.set(littleEndian(b), scratch)
	case formBits:
		kind = change.Bits
		scratch = appendBitString(scratch, b, c.digits)
	case formDecimal:
		kind = change.Decimal
		scratch, err = appendDecimal(scratch, b, int(c.meta>>8), int(c.meta&0xff))
	case formDate:
		kind = change.Date
		scratch = appendDate(scratch, b)
	case formTime:
		kind = change.Time
		scratch, err = appendTime2(scratch, b, c.digits)
	case formDateTime:
		kind = change.DateTime
		scratch, err = appendDateTime2(scratch, b, c.digits)
	case formTimestamp:
		kind = change.Timestamp
		scratch, err = appendTimestamp2(scratch, b, c.digits)
	case formJSON:
		kind = change.JSON
		scratch, err = appendJSON(scratch, b)
	case formUUID:
		scratch, err = appendUUIDText(scratch, b)
	case formInet4:
		scratch, err = appendInet4(scratch, b)
	case formInet6:
		scratch, err = appendInet6(scratch, b)
	default:
		err = fmt.Errorf("values of unknown form %d", c.form)
	}
	if err != nil {
		return change.Value{}, scratch, err
	}
	return change.Value{Kind: kind, B: scratch[at:len(scratch):len(scratch)]}, scratch, nil
}

// empty is the text without characters; a nil slice would do as well, but is easily taken for something else.
var empty = []byte{}

// set returns the labels of a set, joined in the order of definition.
func (c *column) set(mask uint64, scratch []byte) (change.Value, []byte, error) {
	if bits.Len64(mask) > len(c.labels) {
		return change.Value{}, scratch, fmt.Errorf("set value %b of %d labels", mask, len(c.labels))
	}
	switch bits.OnesCount64(mask) {
	case 0:
		return change.Value{Kind: change.Text, B: empty}, scratch, nil
	case 1:
		return change.Value{Kind: change.Text, B: c.labels[bits.TrailingZeros64(mask)]}, scratch, nil
	}
	at := len(scratch)
	for ; mask != 0; mask &= mask - 1 {
		if len(scratch) > at {
			scratch = append(scratch, ',')
		}
		scratch = append(scratch, c.labels[bits.TrailingZeros64(mask)]...)
	}
	return change.Value{Kind: change.Text, B: scratch[at:len(scratch):len(scratch)]}, scratch, nil
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
