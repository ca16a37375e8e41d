package mysql

import (
	"fmt"
	"slices"

	"github.com/go-mysql-org/go-mysql/replication"
)

// field says how a column is stored in row images.
type field struct {
	typ  byte
	meta uint16
}

// tableMap is a TABLE_MAP_EVENT: the table that a number stands for until the end of the statement, and how its rows are stored.
type tableMap struct {
	id            uint64
	schema, table string
	mariadb       bool // written by MariaDB
	fields        []field
	nullable      []byte // a bit for each column

	// What the server adds about the columns, in part depending on binlog_row_metadata; nil when it does not say.
	unsigned   []byte // a bit for each numeric column, the highest bit first
	names      [][]byte
	charsets   []uint64 // collation of each character column
	enumSets   []uint64 // collation of each enum and set column
	enums      [][][]byte
	sets       [][][]byte
	collations struct{ character, enumSet []uint64 } // default collation, then pairs of column and collation
}

func (t *tableMap) String() string { return t.schema + "." + t.table }

// parseTableMap reads a TABLE_MAP_EVENT. The result shares no memory with body. Metadata of an unknown type of field is left out, as the server
// documents; a column of unknown type is an error because nothing after it could be found.
func parseTableMap(body []byte, mariadb bool) (*tableMap, error) {
	c := cursor{b: slices.Clone(body)}
	t := &tableMap{mariadb: mariadb, id: c.uint(6)}
	c.take(2) // flags
	t.schema, t.table = string(c.named()), string(c.named())
	n := c.packed()
	if n > 4096 { // MySQL's limit is 4096
		return nil, fmt.Errorf("table %s of %d columns", t, n)
	}
	types := c.take(int(n))
	meta := cursor{b: c.sized()}
	t.nullable = c.take((int(n) + 7) / 8)
	if err := c.err(); err != nil {
		return nil, err
	}
	t.fields = make([]field, len(types))
	for i, typ := range types {
		f, err := parseField(typ, &meta)
		if err != nil {
			return nil, fmt.Errorf("table %s, column %d: %w", t, i+1, err)
		}
		t.fields[i] = f
	}
	if meta.short || len(meta.b) > 0 {
		return nil, fmt.Errorf("table %s: %w", t, errShort)
	}
	return t, t.parseMetadata(&c)
}

// parseField reads the metadata of one column and finds what it really is: enum and set are stored as strings, long char columns have
// bits of their length in the type.
func parseField(typ byte, meta *cursor) (field, error) {
	f := field{typ: typ}
	switch typ {
	case typeTiny, typeShort, typeLong, typeLongLong, typeInt24, typeYear, typeDate, typeTimestamp, typeTime, typeDatetime:
	case typeFloat, typeDouble, typeTimestamp2, typeDatetime2, typeTime2, typeBlob, typeGeometry, typeJSON, typeVector:
		f.meta = uint16(meta.uint8())
	case typeVarchar, typeVarString, typeBit:
		f.meta = uint16(meta.uint(2))
	case typeNewDecimal:
		f.meta = uint16(meta.uint8()) << 8 // precision
		f.meta |= uint16(meta.uint8())     // scale
	case typeString:
		real, length := meta.uint8(), meta.uint8()
		switch {
		case real == typeEnum || real == typeSet:
			f.typ = byte(real)
			f.meta = uint16(length)
		case real&0x30 != 0x30:
			f.meta = uint16(length | (real&0x30^0x30)<<4)
		case real == typeString:
			f.meta = uint16(length)
		default:
			return f, fmt.Errorf("string of unknown type %d", real)
		}
	default:
		return f, fmt.Errorf("columns of type %d are not supported", typ)
	}
	return f, f.check()
}

// check refuses metadata that no column can have, so that the size of a value is never computed from it.
func (f field) check() error {
	ok := true
	switch f.typ {
	case typeTimestamp2, typeDatetime2, typeTime2:
		ok = f.meta <= 6
	case typeBlob, typeGeometry, typeJSON, typeVector:
		ok = f.meta >= 1 && f.meta <= 4
	case typeBit:
		bits := f.meta&0xff + 8*(f.meta>>8)
		ok = f.meta&0xff < 8 && bits >= 1 && bits <= 64
	case typeNewDecimal:
		precision, scale := f.meta>>8, f.meta&0xff
		ok = precision >= 1 && precision <= 65 && scale <= 30 && scale <= precision
	case typeEnum:
		ok = f.meta == 1 || f.meta == 2
	case typeSet:
		ok = f.meta >= 1 && f.meta <= 8
	case typeFloat:
		ok = f.meta == 4
	case typeDouble:
		ok = f.meta == 8
	}
	if !ok {
		return fmt.Errorf("impossible metadata %d of a column of type %d", f.meta, f.typ)
	}
	return nil
}

// size returns how many bytes the value at the start of b takes: prefix bytes of length, and the value behind them.
func (f field) size(b []byte) (prefix, n int, err error) {
	switch f.typ {
	case typeTiny, typeYear:
		n = 1
	case typeShort:
		n = 2
	case typeInt24, typeDate, typeTime:
		n = 3
	case typeLong, typeFloat, typeTimestamp:
		n = 4
	case typeLongLong, typeDouble, typeDatetime:
		n = 8
	case typeTimestamp2:
		n = 4 + fractionSize(int(f.meta))
	case typeDatetime2:
		n = 5 + fractionSize(int(f.meta))
	case typeTime2:
		n = 3 + fractionSize(int(f.meta))
	case typeNewDecimal:
		n = decimalSize(int(f.meta>>8), int(f.meta&0xff))
	case typeBit:
		n = int(f.meta >> 8)
		if f.meta&0xff != 0 {
			n++
		}
	case typeEnum, typeSet:
		n = int(f.meta)
	case typeString, typeVarchar, typeVarString:
		prefix = 1
		if f.meta > 255 {
			prefix = 2
		}
	case typeBlob, typeGeometry, typeJSON, typeVector:
		prefix = int(f.meta)
	default:
		return 0, 0, fmt.Errorf("values of type %d are not supported", f.typ)
	}
	if prefix > 0 {
		if len(b) < prefix {
			return 0, 0, errShort
		}
		n = int(littleEndian(b[:prefix]))
	}
	if len(b)-prefix < n {
		return 0, 0, errShort
	}
	return prefix, n, nil
}

// parseMetadata reads the optional part.
func (t *tableMap) parseMetadata(c *cursor) error {
	for len(c.b) > 0 && !c.short {
		kind := byte(c.uint8())
		v := cursor{b: c.sized()}
		switch kind {
		case replication.TABLE_MAP_OPT_META_SIGNEDNESS:
			t.unsigned = v.take(len(v.b))
		case replication.TABLE_MAP_OPT_META_DEFAULT_CHARSET:
			t.collations.character = v.numbers()
		case replication.TABLE_MAP_OPT_META_COLUMN_CHARSET:
			t.charsets = v.numbers()
		case replication.TABLE_MAP_OPT_META_COLUMN_NAME:
			for len(v.b) > 0 && !v.short {
				t.names = append(t.names, v.sized())
			}
		case replication.TABLE_MAP_OPT_META_SET_STR_VALUE:
			t.sets = v.labels()
		case replication.TABLE_MAP_OPT_META_ENUM_STR_VALUE:
			t.enums = v.labels()
		case replication.TABLE_MAP_OPT_META_ENUM_AND_SET_DEFAULT_CHARSET:
			t.collations.enumSet = v.numbers()
		case replication.TABLE_MAP_OPT_META_ENUM_AND_SET_COLUMN_CHARSET:
			t.enumSets = v.numbers()
		default: // geometry types, primary key, visibility, and what newer servers add: they say nothing about how rows are stored
			v.b = nil
		}
		c.short = c.short || v.short
	}
	if err := c.err(); err != nil {
		return fmt.Errorf("metadata of table %s: %w", t, err)
	}
	var err error
	if t.charsets, err = t.expand(t.charsets, t.collations.character, t.isCharacter); err == nil {
		t.enumSets, err = t.expand(t.enumSets, t.collations.enumSet, field.isEnumOrSet)
	}
	if err == nil {
		err = t.checkMetadata()
	}
	if err != nil {
		return fmt.Errorf("metadata of table %s: %w", t, err)
	}
	return nil
}

func (c *cursor) numbers() (out []uint64) {
	for len(c.b) > 0 && !c.short {
		out = append(out, c.packed())
	}
	return out
}

func (c *cursor) labels() (out [][][]byte) {
	for len(c.b) > 0 && !c.short {
		n := c.packed()
		if n > uint64(len(c.b)) {
			c.short = true
			return nil
		}
		column := make([][]byte, 0, n)
		for range n {
			column = append(column, c.sized())
		}
		out = append(out, column)
	}
	return out
}

// expand turns a default with exceptions into one number for each column of a kind.
func (t *tableMap) expand(each, defaults []uint64, of func(field) bool) ([]uint64, error) {
	if len(defaults) == 0 {
		return each, nil
	}
	out := make([]uint64, t.count(of))
	for i := range out {
		out[i] = defaults[0]
	}
	if len(defaults)%2 == 0 {
		return nil, errShort
	}
	for i := 1; i < len(defaults); i += 2 {
		if defaults[i] >= uint64(len(out)) {
			return nil, fmt.Errorf("character set of column %d of %d", defaults[i]+1, len(out))
		}
		out[defaults[i]] = defaults[i+1]
	}
	return out, nil
}

// checkMetadata compares the numbers of columns spoken of with those that there are.
func (t *tableMap) checkMetadata() error {
	for _, m := range []struct {
		what       string
		have, for_ int
	}{
		{"names", len(t.names), len(t.fields)},
		{"signs", 8 * len(t.unsigned), (t.count(field.isNumeric) + 7) / 8 * 8},
		{"character sets", len(t.charsets), t.count(t.isCharacter)},
		{"character sets of enums and sets", len(t.enumSets), t.count(field.isEnumOrSet)},
		{"enum labels", len(t.enums), t.count(func(f field) bool { return f.typ == typeEnum })},
		{"set labels", len(t.sets), t.count(func(f field) bool { return f.typ == typeSet })},
	} {
		if m.have != 0 && m.have != m.for_ {
			return fmt.Errorf("%d %s for %d columns", m.have, m.what, m.for_)
		}
	}
	return nil
}

func (t *tableMap) count(of func(field) bool) (n int) {
	for _, f := range t.fields {
		if of(f) {
			n++
		}
	}
	return n
}

func (f field) isNumeric() bool {
	switch f.typ {
	case typeTiny, typeShort, typeInt24, typeLong, typeLongLong, typeNewDecimal, typeFloat, typeDouble, typeYear:
		return true
	default:
		return false
	}
}

// isCharacter reports whether the metadata give the field a character set.
func (t *tableMap) isCharacter(f field) bool {
	switch f.typ {
	case typeString, typeVarString, typeVarchar, typeBlob:
		return true
	case typeGeometry:
		return t.mariadb
	default:
		return false
	}
}

func (f field) isEnumOrSet() bool { return f.typ == typeEnum || f.typ == typeSet }
