package canonical

import (
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/internal/change"
)

// class groups the PostgreSQL types that compare alike.
type class uint8

const (
	integer class = iota + 1
	numeric
	real32
	double
	boolean
	text
	padded // character(n)
	bytea
	date
	timestamp
	timestamptz
	interval
	bits
	jsonb
	jsonText
	uuid
	clocktime // time without time zone
)

// classOf reads a type as format_type prints it, with or without modifiers. Types that have no form of their own are compared as the text that they print.
func classOf(col change.Column) (class, error) {
	typ := col.Type
	base, rest := typ, ""
	if i := strings.IndexByte(typ, '('); i >= 0 {
		base = typ[:i]
		if j := strings.IndexByte(typ[i:], ')'); j >= 0 {
			rest = typ[i+j+1:]
		}
	}
	switch base {
	case "smallint", "integer", "bigint":
		return integer, nil
	case "numeric":
		return numeric, nil
	case "real":
		return real32, nil
	case "double precision":
		return double, nil
	case "boolean":
		return boolean, nil
	case "text", "character varying", "varchar", "inet": // one address has one text
		return text, nil
	case "character":
		return padded, nil
	case "bytea":
		return bytea, nil
	case "date":
		return date, nil
	case "timestamp":
		switch rest {
		case "", " without time zone":
			return timestamp, nil
		case " with time zone":
			return timestamptz, nil
		}
	case "timestamp without time zone":
		return timestamp, nil
	case "timestamp with time zone":
		return timestamptz, nil
	case "interval":
		if col.Kind != change.Text { // of PostgreSQL, where 24 hours are no day
			return interval, nil
		}
	case "time", "time without time zone":
		if col.Kind == change.Time {
			return clocktime, nil
		}
	case "bit", "bit varying":
		return bits, nil
	case "jsonb":
		return jsonb, nil
	case "json":
		return jsonText, nil
	case "uuid":
		return uuid, nil
	}
	if col.Kind == change.Text {
		return text, nil
	}
	return 0, fmt.Errorf("values of type %q cannot be compared", typ)
}

func wrongKind(col change.Column, v change.Value) error {
	return fmt.Errorf("column %s: a value of kind %s in a column of type %s", col.Name, v.Kind, col.Type)
}

func classOn(engine change.Engine, col change.Column) (class, error) {
	if engine.MySQLish() {
		return classOfMySQL(col)
	}
	return classOf(col)
}

// classOfMySQL groups the types of MySQL and MariaDB by the form of their values: one form is one comparison, but for char(n), which loses blanks at its end,
// and json, which MySQL writes in its own way.
func classOfMySQL(col change.Column) (class, error) {
	switch col.Kind {
	case change.Int, change.Uint, change.Decimal:
		return numeric, nil
	case change.Float32:
		return real32, nil
	case change.Float64:
		return double, nil
	case change.Text:
		if strings.HasPrefix(col.Type, "char(") {
			return padded, nil
		}
		return text, nil
	case change.Bytes:
		return bytea, nil
	case change.Date:
		return date, nil
	case change.DateTime:
		return timestamp, nil
	case change.Timestamp:
		return timestamptz, nil
	case change.Time:
		return interval, nil
	case change.Bits:
		return bits, nil
	case change.JSON:
		if col.Type == "json" {
			return jsonb, nil
		}
		return jsonText, nil
	default:
		return 0, fmt.Errorf("values of type %q cannot be compared", col.Type)
	}
}
