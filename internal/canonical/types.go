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
)

// classOf reads a type as format_type prints it, with or without modifiers.
func classOf(typ string) (class, error) {
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
		return interval, nil
	case "bit", "bit varying":
		return bits, nil
	case "jsonb":
		return jsonb, nil
	case "json":
		return jsonText, nil
	case "uuid":
		return uuid, nil
	}
	return 0, fmt.Errorf("values of type %q cannot be compared", typ)
}

func wrongKind(col change.Column, v change.Value) error {
	return fmt.Errorf("column %s: a value of kind %s in a column of type %s", col.Name, v.Kind, col.Type)
}
