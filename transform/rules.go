package transform

import (
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Rules are a mapping as it is written down. The zero value maps every table as it is, into schema public.
type Rules struct {
	// Engine of the target. Default: PostgreSQL.
	Engine change.Engine
	// Identifiers of the target that no rule names: lower or keep. Default: keep where both sides are PostgreSQL or both MySQL or MariaDB, else lower.
	Identifiers Identifiers
	// Schema takes the tables of source schemas that Schemas does not name. Default: public where MySQL or MariaDB becomes PostgreSQL, else the schema of that name.
	Schema  string
	Schemas []SchemaRule
	Tables  []TableRule
	Types   []TypeRule
	// Sequences of the source that no column owns.
	Sequences []catalog.Sequence
	// Cascades: the source's log does not name the rows that its foreign keys change, so they have to be carried out in the target.
	Cascades bool
}

// Identifiers says how names of the source become names of the target.
type Identifiers string

const (
	Lower Identifiers = "lower"
	Keep  Identifiers = "keep"
)

// Name is the name of a table.
type Name struct{ Schema, Table string }

func (n Name) String() string { return n.Schema + "." + n.Table }

// SchemaRule places the tables of one source schema.
type SchemaRule struct{ Source, Target string }

// TableRule maps one table.
type TableRule struct {
	Source Name
	// Target is taken as it is written. Zero: by Schemas and Identifiers; an empty schema likewise.
	Target Name
	// Where is a condition over the source row. Only rows for which it holds are in the target.
	Where   string
	Columns []ColumnRule
}

// ColumnRule maps one column: Source renamed, cast or dropped, or Target filled from Value.
type ColumnRule struct {
	Source string
	Target string
	// Value is an expression over the source row.
	Value string
	// As is the type in the target. Default: that of Source by Types and the default mapping, or that of the expression.
	As   string
	Drop bool
	// Key adds a constant to the target's key.
	Key bool
	// Mask is refused: it is not built.
	Mask string
}

// TypeRule is a policy for the columns of a type. The first that matches a column wins.
type TypeRule struct {
	// Match is engine:type of the source, such as mysql:datetime, mysql:tinyint(1), mysql:bigint unsigned, postgres:numeric. mysql is for MariaDB too.
	Match string
	// Column selects columns; nil: all. Pattern is how it was written, for messages.
	Column  func(schema, table, column string) bool
	Pattern string
	// As is the type in the target. " at UTC" behind a timestamp declares that a datetime is UTC, or that an instant is to be written as UTC.
	As string
	// ZeroDate says what becomes of dates that do not exist (0000-00-00, 2024-00-10, 2024-02-31): error (the default), null, or a date that stands for them.
	ZeroDate string
	// NUL says what becomes of the character 0x00 in text and JSON: error (the default), strip, or replace:X.
	NUL string
}

// Mistakes are what is wrong with a mapping. It is an error.
type Mistakes []catalog.Finding

func (m Mistakes) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the mapping has %d mistakes", len(m))
	if len(m) == 1 {
		b.Reset()
		b.WriteString("the mapping has a mistake")
	}
	for _, f := range m {
		fmt.Fprintf(&b, "\n  %s: %s: %s", f.Object, f.Reason, f.Remedy)
	}
	return b.String()
}

func (m *Mistakes) add(code, object, reason, remedy string) {
	*m = append(*m, catalog.Finding{Severity: catalog.Error, Code: "mapping." + code, Object: object, Reason: reason, Remedy: remedy})
}

// Lossy is a policy that may change values, of one column.
type Lossy struct {
	Table  string `json:"table"` // of the source
	Column string `json:"column"`
	Rule   string `json:"rule"`
}
