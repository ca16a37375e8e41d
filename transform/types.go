package transform

import (
	"fmt"
	"math"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform/expression"
)

// class groups source values that convert alike.
type class uint8

const (
	noClass class = iota
	ints
	decimals
	floats32
	floats64
	floats // of an expression: either width
	texts
	binaries
	dates
	datetimes
	timestamps
	times
	bitStrings
	jsons
	bools
	uuids
	inets   // addresses of MariaDB, of either length
	printed // of PostgreSQL: what a type without a class of its own prints
)

var classNames = map[class]string{ints: "an integer", decimals: "a decimal", floats32: "a float", floats64: "a double", floats: "a float", texts: "text",
	binaries: "binary", dates: "a date", datetimes: "a datetime", timestamps: "a timestamp", times: "a time", bitStrings: "bits", jsons: "JSON", bools: "a boolean", uuids: "a uuid", inets: "an address",
	printed: "a value of this type"}

// sourceType is what is known of the values that a column is made from.
type sourceType struct {
	class class
	// low and high bound integers.
	low  int64
	high uint64
	// precision and scale of decimals; 0: unknown.
	precision, scale int
	// length in characters, bytes or bits; 0: unknown.
	length   int
	fraction int
	labels   []string // of an enum
	padded   bool     // filled up with blanks to its length
}

// sourceTypeOf describes the values of a column of that engine; false for a type that cannot be moved.
func sourceTypeOf(e change.Engine, t *catalog.Type) (sourceType, bool) {
	if e == change.Postgres {
		return postgresTypeOf(t), true
	}
	return mysqlTypeOf(t)
}

func mysqlTypeOf(t *catalog.Type) (sourceType, bool) {
	signed := func(bits int) sourceType {
		if t.Unsigned {
			return sourceType{class: ints, high: math.MaxUint64 >> (64 - bits)}
		}
		return sourceType{class: ints, low: -1 << (bits - 1), high: math.MaxUint64 >> (65 - bits)}
	}
	switch t.Name {
	case "tinyint":
		return signed(8), true
	case "smallint":
		return signed(16), true
	case "mediumint":
		return signed(24), true
	case "int":
		return signed(32), true
	case "bigint":
		return signed(64), true
	case "year":
		return sourceType{class: ints, high: 2155}, true
	case "decimal":
		return sourceType{class: decimals, precision: t.Precision, scale: t.Scale}, true
	case "float":
		return sourceType{class: floats32}, true
	case "double":
		return sourceType{class: floats64}, true
	case "char", "varchar":
		return sourceType{class: texts, length: t.Length}, true
	case "tinytext", "text", "mediumtext", "longtext", "set":
		return sourceType{class: texts}, true
	case "enum":
		return sourceType{class: texts, labels: t.Labels}, true
	case "binary", "varbinary":
		return sourceType{class: binaries, length: t.Length}, true
	case "tinyblob", "blob", "mediumblob", "longblob",
		"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection", "geometrycollection":
		return sourceType{class: binaries}, true
	case "bit":
		return sourceType{class: bitStrings, length: max(t.Length, 1)}, true
	case "date":
		return sourceType{class: dates}, true
	case "datetime":
		return sourceType{class: datetimes, fraction: t.Fraction}, true
	case "timestamp":
		return sourceType{class: timestamps, fraction: t.Fraction}, true
	case "time":
		return sourceType{class: times, fraction: t.Fraction}, true
	case "json":
		return sourceType{class: jsons}, true
	case "uuid":
		return sourceType{class: uuids}, true
	case "inet4", "inet6":
		return sourceType{class: inets}, true
	default:
		return sourceType{}, false
	}
}

// mysqlTypes are the names that a rule may match.
var mysqlTypes = map[string]bool{}

func init() {
	for _, n := range []string{"tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal", "float", "double", "char", "varchar", "tinytext", "text", "mediumtext",
		"longtext", "set", "enum", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring", "polygon", "multipoint",
		"multilinestring", "multipolygon", "geomcollection", "geometrycollection", "bit", "date", "datetime", "timestamp", "time", "json", "uuid", "inet4", "inet6"} {
		mysqlTypes[n] = true
	}
}

// expressionType describes the values of an expression.
func expressionType(t expression.Type) (sourceType, error) {
	switch t {
	case expression.Bool:
		return sourceType{class: bools}, nil
	case expression.Int:
		return sourceType{class: ints, low: math.MinInt64, high: math.MaxUint64}, nil
	case expression.Decimal:
		return sourceType{class: decimals}, nil
	case expression.Float:
		return sourceType{class: floats}, nil
	case expression.Text:
		return sourceType{class: texts}, nil
	case expression.Bytes:
		return sourceType{class: binaries}, nil
	case expression.Date:
		return sourceType{class: dates}, nil
	case expression.DateTime:
		return sourceType{class: datetimes, fraction: 6}, nil
	case expression.Timestamp:
		return sourceType{class: timestamps, fraction: 6}, nil
	case expression.Time:
		return sourceType{class: times, fraction: 6}, nil
	case expression.Bits:
		return sourceType{class: bitStrings}, nil
	case expression.JSON:
		return sourceType{class: jsons}, nil
	default:
		return sourceType{}, fmt.Errorf("a value of type %s has no type in the target", t)
	}
}

// defaultType is what a source type becomes when no rule says otherwise. It holds every value of the source type.
func (s sourceType) defaultType() pgType {
	switch s.class {
	case ints:
		switch {
		case s.low >= math.MinInt16 && s.high <= math.MaxInt16:
			return pgType{base: pgSmallint}
		case s.low >= math.MinInt32 && s.high <= math.MaxInt32:
			return pgType{base: pgInteger}
		case s.high <= math.MaxInt64 || s.low < 0: // an expression's result: above bigint it is refused
			return pgType{base: pgBigint}
		}
		return pgType{base: pgNumeric, mods: 2, a: 20}
	case decimals:
		if s.precision > 0 {
			return pgType{base: pgNumeric, mods: 2, a: s.precision, b: s.scale}
		}
		return pgType{base: pgNumeric}
	case floats32:
		return pgType{base: pgReal}
	case floats64, floats:
		return pgType{base: pgDouble}
	case texts:
		if s.length > 0 {
			return pgType{base: pgVarchar, mods: 1, a: s.length}
		}
		return pgType{base: pgText}
	case binaries:
		return pgType{base: pgBytea}
	case dates:
		return pgType{base: pgDate}
	case datetimes:
		return pgType{base: pgTimestamp, mods: 1, a: s.fraction}
	case timestamps:
		return pgType{base: pgTimestamptz, mods: 1, a: s.fraction}
	case times:
		return pgType{base: pgInterval}
	case bitStrings:
		return pgType{base: pgBit, mods: 1, a: max(s.length, 1)}
	case jsons:
		return pgType{base: pgJSONB}
	case bools:
		return pgType{base: pgBoolean}
	case uuids:
		return pgType{base: pgUUID}
	case inets:
		return pgType{base: pgInet}
	case printed:
		return pgType{base: pgText}
	default:
		return pgType{}
	}
}

// complete gives a type without modifiers those that hold the source's values.
func (t pgType) complete(s sourceType) pgType {
	if t.mods > 0 {
		return t
	}
	switch t.base {
	case pgTimestamp, pgTimestamptz:
		t.mods, t.a = 1, 6
		if s.class == datetimes || s.class == timestamps {
			t.a = s.fraction
		} else if s.class == dates {
			t.a = 0
		}
	case pgNumeric:
		if s.class == decimals && s.precision > 0 {
			t.mods, t.a, t.b = 2, s.precision, s.scale
		}
	case pgChar:
		t.mods, t.a = 1, max(s.length, 1)
	case pgVarchar:
		if s.class == texts && s.length > 0 {
			t.mods, t.a = 1, s.length
		}
	case pgBit:
		t.mods, t.a = 1, max(s.length, 1)
	}
	return t
}

// kindIn is the form of the target column's values. An integer in a numeric without decimals stays an integer, so that it can be hashed.
func (s sourceType) kindIn(t pgType) change.Kind {
	if t.base == pgNumeric && (s.class == ints || s.class == bitStrings) && t.b == 0 {
		return change.Int
	}
	return t.kind()
}
