package transform

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/change"
)

// base is a PostgreSQL type without modifiers.
type base uint8

const (
	noType base = iota
	pgSmallint
	pgInteger
	pgBigint
	pgNumeric
	pgReal
	pgDouble
	pgBoolean
	pgVarchar
	pgChar
	pgText
	pgBytea
	pgDate
	pgTimestamp
	pgTimestamptz
	pgInterval
	pgBit
	pgJSONB
	pgJSON
	pgUUID
	pgInet
	pgSame // a type of PostgreSQL that only a column of the same type becomes
)

// pgType is a PostgreSQL type. mods says how many of a and b count: length, fraction, or precision and scale.
type pgType struct {
	base base
	mods int
	a, b int
	// name and held: of pgSame, as format_type writes it, and the form of its values.
	name string
	held change.Kind
}

var pgNames = map[base]string{
	pgSmallint: "smallint", pgInteger: "integer", pgBigint: "bigint", pgNumeric: "numeric", pgReal: "real", pgDouble: "double precision",
	pgBoolean: "boolean", pgVarchar: "character varying", pgChar: "character", pgText: "text", pgBytea: "bytea", pgDate: "date",
	pgTimestamp: "timestamp", pgTimestamptz: "timestamp", pgInterval: "interval", pgBit: "bit", pgJSONB: "jsonb", pgJSON: "json", pgUUID: "uuid", pgInet: "inet",
}

// String writes the type as format_type does.
func (t pgType) String() string {
	if t.base == pgSame {
		return t.name
	}
	s := pgNames[t.base]
	switch t.mods {
	case 1:
		s += fmt.Sprintf("(%d)", t.a)
	case 2:
		s += fmt.Sprintf("(%d,%d)", t.a, t.b)
	}
	switch t.base {
	case pgTimestamp:
		s += " without time zone"
	case pgTimestamptz:
		s += " with time zone"
	}
	return s
}

// alike reports whether values of both types can be compared by a foreign key.
func (t pgType) alike(o pgType) bool { return t.base == o.base && t.name == o.name }

func (b base) integer() bool { return b == pgSmallint || b == pgInteger || b == pgBigint }
func (b base) text() bool    { return b == pgVarchar || b == pgChar || b == pgText }

// kind is the form of the type's values.
func (t pgType) kind() change.Kind {
	switch t.base {
	case pgSmallint, pgInteger, pgBigint:
		return change.Int
	case pgNumeric:
		return change.Decimal
	case pgReal:
		return change.Float32
	case pgDouble:
		return change.Float64
	case pgBoolean:
		return change.Bool
	case pgVarchar, pgChar, pgText, pgUUID, pgInet:
		return change.Text
	case pgBytea:
		return change.Bytes
	case pgDate:
		return change.Date
	case pgTimestamp:
		return change.DateTime
	case pgTimestamptz:
		return change.Timestamp
	case pgInterval:
		return change.Time
	case pgBit:
		return change.Bits
	case pgJSONB, pgJSON:
		return change.JSON
	case pgSame:
		return t.held
	default:
		return change.Absent
	}
}

var pgAliases = map[string]base{
	"smallint": pgSmallint, "int2": pgSmallint, "integer": pgInteger, "int": pgInteger, "int4": pgInteger, "bigint": pgBigint, "int8": pgBigint,
	"numeric": pgNumeric, "decimal": pgNumeric, "real": pgReal, "float4": pgReal, "double precision": pgDouble, "float8": pgDouble,
	"boolean": pgBoolean, "bool": pgBoolean, "character varying": pgVarchar, "varchar": pgVarchar, "character": pgChar, "char": pgChar, "text": pgText,
	"bytea": pgBytea, "date": pgDate, "timestamp": pgTimestamp, "timestamp without time zone": pgTimestamp, "timestamptz": pgTimestamptz,
	"timestamp with time zone": pgTimestamptz, "interval": pgInterval, "bit": pgBit, "jsonb": pgJSONB, "json": pgJSON, "uuid": pgUUID, "inet": pgInet,
}

// mostMods is how many modifiers a type takes.
var mostMods = map[base]int{pgNumeric: 2, pgVarchar: 1, pgChar: 1, pgTimestamp: 1, pgTimestamptz: 1, pgBit: 1}

// parsePG reads a type as people write it. atUTC reports " at UTC" behind it.
func parsePG(s string) (t pgType, atUTC bool, err error) {
	text := strings.Join(strings.Fields(strings.ToLower(s)), " ")
	text, atUTC = strings.CutSuffix(text, " at utc")
	name, mods := text, ""
	if i := strings.IndexByte(text, '('); i >= 0 {
		j := strings.IndexByte(text, ')')
		if j < i {
			return t, false, fmt.Errorf("%q is not a type", s)
		}
		mods = text[i+1 : j]
		name = strings.Join(strings.Fields(text[:i]+" "+text[j+1:]), " ")
		if mods == "" {
			return t, false, fmt.Errorf("%q is not a type", s)
		}
	}
	ok := false
	if t.base, ok = pgAliases[name]; !ok {
		if other, ok := printedType(text); ok {
			return other, false, nil
		}
		return t, false, fmt.Errorf("%q is not a type that values can become (smallint integer bigint numeric real \"double precision\" boolean varchar char text bytea date timestamp timestamptz interval bit jsonb json uuid inet)", s)
	}
	if mods != "" {
		parts := strings.Split(mods, ",")
		if t.mods = len(parts); t.mods > mostMods[t.base] {
			return t, false, fmt.Errorf("%q: %s takes %d modifiers", s, pgNames[t.base], mostMods[t.base])
		}
		for i, p := range parts {
			n, err := strconv.Atoi(strings.TrimSpace(p))
			if err != nil || n < 0 {
				return t, false, fmt.Errorf("%q: %q is not a modifier", s, p)
			}
			if i == 0 {
				t.a = n
			} else {
				t.b = n
			}
		}
		if t.base == pgNumeric && t.mods == 1 {
			t.mods = 2
		}
	}
	return t, atUTC, t.check(s)
}

// printedNames are the types without a class of their own that text can become, and what values of them are; the server reads the text.
var printedNames = map[string]change.Kind{"time": change.Time, "time without time zone": change.Time, "bit varying": change.Bits, "varbit": change.Bits}

func init() {
	for _, n := range []string{"timetz", "time with time zone", "cidr", "macaddr", "macaddr8", "money", "xml", "tsvector", "tsquery", "point", "line", "lseg", "box", "path", "polygon", "circle",
		"oid", "name", "pg_lsn", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange",
		"datemultirange", "jsonpath", "hstore", "citext"} {
		printedNames[n] = change.Text
	}
}

// printedType reads a type whose values are the text that it prints: one of the list, an array, or one of a schema.
func printedType(text string) (pgType, bool) {
	out := pgType{base: pgSame, name: text, held: change.Text}
	element := strings.TrimSuffix(text, "[]")
	if element != text {
		if _, _, err := parsePG(strings.TrimRight(element, "[]")); err == nil {
			return out, true
		}
		return out, false
	}
	bare := text
	if i, j := strings.IndexByte(text, '('), strings.IndexByte(text, ')'); i > 0 && j > i {
		bare = strings.Join(strings.Fields(text[:i]+" "+text[j+1:]), " ")
	}
	kind, ok := printedNames[bare]
	if out.held = kind; !ok && qualified.MatchString(text) {
		out.held, ok = change.Text, true
	}
	switch bare { // as format_type writes them
	case "time":
		out.name += " without time zone"
	case "timetz":
		out.name = strings.Replace(text, "timetz", "time", 1) + " with time zone"
	case "varbit":
		out.name = strings.Replace(text, "varbit", "bit varying", 1)
	}
	return out, ok
}

var qualified = regexp.MustCompile(`^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$`)

func (t pgType) check(s string) error {
	switch {
	case t.mods == 0:
	case t.base == pgNumeric && (t.a < 1 || t.a > 1000 || t.b > t.a):
		return fmt.Errorf("%q: the precision is from 1 to 1000, the scale from 0 to the precision", s)
	case (t.base == pgTimestamp || t.base == pgTimestamptz) && t.a > 6:
		return fmt.Errorf("%q: a fraction has 6 digits at most", s)
	case (t.base == pgVarchar || t.base == pgChar) && (t.a < 1 || t.a > 10485760):
		return fmt.Errorf("%q: the length is from 1 to 10485760", s)
	case t.base == pgBit && (t.a < 1 || t.a > 64):
		return fmt.Errorf("%q: the length is from 1 to 64", s)
	}
	return nil
}
