package catalog

import (
	"sync"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Table describes one table.
type Table struct {
	// Engine is the database system that holds the table.
	Engine change.Engine `json:"engine"`
	Schema string        `json:"schema"`
	Name   string        `json:"name"`
	// Storage is MySQL's storage engine, or PostgreSQL's table access method; empty for a partitioned PostgreSQL table.
	Storage string   `json:"storage,omitempty"`
	Columns []Column `json:"columns"`
	// Key holds the positions in Columns of the primary key, or of the unique key over NOT NULL columns that stands for it, in key order.
	// It is nil when the table has neither.
	Key          []int        `json:"key,omitempty"`
	KeyName      string       `json:"key_name,omitempty"`
	KeyIsPrimary bool         `json:"key_is_primary,omitempty"`
	Indexes      []Index      `json:"indexes,omitempty"`
	ForeignKeys  []ForeignKey `json:"foreign_keys,omitempty"`
	Checks       []Check      `json:"checks,omitempty"`
	Triggers     []string     `json:"triggers,omitempty"`
	Partitioned  bool         `json:"partitioned,omitempty"`
	// Versioned marks a MariaDB table with system versioning: the log does not hold its history as rows.
	Versioned bool `json:"versioned,omitempty"`
	// Unlogged marks a PostgreSQL table that is empty after a crash.
	Unlogged bool `json:"unlogged,omitempty"`
	// RowsEstimate and Bytes (data and indexes) are what the server's statistics say; they may be far off. -1: never analyzed.
	RowsEstimate int64 `json:"rows_estimate,omitempty"`
	Bytes        int64 `json:"bytes,omitempty"`
	// AutoIncrement is the next value that the counter gives out; 0 when there is none.
	AutoIncrement uint64 `json:"auto_increment,omitempty"`
	Charset       string `json:"charset,omitempty"`
	Collation     string `json:"collation,omitempty"`
	Comment       string `json:"comment,omitempty"`

	once  sync.Once
	shape *change.Table
}

// Column describes one column.
type Column struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Nullable bool   `json:"nullable,omitempty"`
	// Default is a literal's text without quotes, or an expression when DefaultIsExpr is set; nil when there is no default.
	// CURRENT_TIMESTAMP is an expression. MySQL's literals of binary columns are 0x and hexadecimal digits, those of bit columns b'101'.
	// PostgreSQL's defaults are always expressions.
	Default       *string `json:"default,omitempty"`
	DefaultIsExpr bool    `json:"default_is_expr,omitempty"`
	// Generated is the expression of a generated column, empty for others.
	Generated       string `json:"generated,omitempty"`
	GeneratedStored bool   `json:"generated_stored,omitempty"`
	// AutoIncrement marks MySQL's AUTO_INCREMENT, and on PostgreSQL identity columns and those that own a sequence.
	AutoIncrement bool `json:"auto_increment,omitempty"`
	// Identity is "always" or "by default" for a PostgreSQL identity column.
	Identity string `json:"identity,omitempty"`
	// Sequence is schema.name of the sequence that the column owns, quoted as PostgreSQL needs it.
	Sequence    string `json:"sequence,omitempty"`
	Invisible   bool   `json:"invisible,omitempty"`
	OnUpdateNow bool   `json:"on_update_now,omitempty"`
	Comment     string `json:"comment,omitempty"`
}

// Type is a column's type.
type Type struct {
	// Name is the base type in lower case: "bigint", "varchar"; on PostgreSQL "numeric", "timestamp with time zone", types of a schema with its name.
	Name string `json:"name"`
	// Full is the type as the server writes it: "bigint unsigned", "numeric(20,0)".
	Full     string `json:"full"`
	Unsigned bool   `json:"unsigned,omitempty"`
	// Length is in characters for text, bytes for binary strings, bits for bit.
	Length    int `json:"length,omitempty"`
	Precision int `json:"precision,omitempty"`
	Scale     int `json:"scale,omitempty"`
	// Fraction is the number of digits after the second.
	Fraction int `json:"fraction,omitempty"`
	// Labels of an enum or set, in definition order.
	Labels    []string `json:"labels,omitempty"`
	Charset   string   `json:"charset,omitempty"`
	Collation string   `json:"collation,omitempty"`
	// Domain is set for a domain of PostgreSQL.
	Domain *Domain `json:"domain,omitempty"`
	// SRID restricts a MySQL geometry column to one spatial reference system; nil: any.
	SRID *uint32 `json:"srid,omitempty"`
}

// Domain is what makes a domain of PostgreSQL, as SQL.
type Domain struct {
	Base    string   `json:"base"` // the type that it restricts
	NotNull bool     `json:"not_null,omitempty"`
	Default string   `json:"default,omitempty"`
	Checks  []string `json:"checks,omitempty"` // CHECK (...)
}

// Index describes one index; the primary key is one of them.
type Index struct {
	Name    string        `json:"name"`
	Unique  bool          `json:"unique,omitempty"`
	Primary bool          `json:"primary,omitempty"`
	Columns []IndexColumn `json:"columns"`
	// Method is BTREE, HASH, FULLTEXT or SPATIAL on MySQL; PostgreSQL's access method in lower case.
	Method  string `json:"method"`
	Visible bool   `json:"visible"`
	// Where is the predicate of a partial index.
	Where string `json:"where,omitempty"`
	// Def is how PostgreSQL writes the index behind USING, with its method: btree (lower(email)) INCLUDE (id) WHERE (deleted_at IS NULL).
	Def string `json:"def,omitempty"`
	// Deferrable marks a PostgreSQL unique constraint that may be checked at commit.
	Deferrable bool `json:"deferrable,omitempty"`
	// Exclusion marks the index of a PostgreSQL exclusion constraint: it can refuse rows like a unique one.
	Exclusion bool `json:"exclusion,omitempty"`
	// Invalid marks a PostgreSQL index whose concurrent build did not finish.
	Invalid bool `json:"invalid,omitempty"`
}

// IndexColumn is one part of an index: a column, a prefix of one, or an expression.
type IndexColumn struct {
	Name   string `json:"name,omitempty"`
	Expr   string `json:"expr,omitempty"`
	Prefix int    `json:"prefix,omitempty"`
	Desc   bool   `json:"desc,omitempty"`
}

// ForeignKey describes one foreign key of the table that holds it.
type ForeignKey struct {
	Name       string   `json:"name"`
	Columns    []string `json:"columns"`
	RefSchema  string   `json:"ref_schema"`
	RefTable   string   `json:"ref_table"`
	RefColumns []string `json:"ref_columns"`
	// OnDelete and OnUpdate are CASCADE, SET NULL, SET DEFAULT, RESTRICT or NO ACTION.
	OnDelete string `json:"on_delete"`
	OnUpdate string `json:"on_update"`
	// NotValid marks a PostgreSQL constraint that old rows have not been checked against.
	NotValid bool `json:"not_valid,omitempty"`
	// Deferrable marks a PostgreSQL constraint that may be checked at commit; Deferred: it is, unless a transaction says otherwise.
	Deferrable bool `json:"deferrable,omitempty"`
	Deferred   bool `json:"deferred,omitempty"`
}

// Acts reports whether the foreign key changes rows of its table when a row of the other goes or gets another key.
func (f *ForeignKey) Acts() bool {
	for _, action := range [...]string{f.OnDelete, f.OnUpdate} {
		switch action {
		case "CASCADE", "SET NULL", "SET DEFAULT":
			return true
		}
	}
	return false
}

// Check is a check constraint.
type Check struct {
	Name string `json:"name"`
	Expr string `json:"expr"`
	// Enforced is false for MySQL's NOT ENFORCED and PostgreSQL's NOT VALID: rows may violate it.
	Enforced bool `json:"enforced"`
}

// Finding is one result of a check.
type Finding struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	// Object is the table, column, variable or server that it is about.
	Object string `json:"object"`
	Reason string `json:"reason"`
	// Remedy is what the operator can do about it.
	Remedy string `json:"remedy"`
}

// The severities of a finding. Any error refuses the migration.
const (
	Error   = "error"
	Warning = "warning"
	Info    = "info"
)

// String returns schema.table.
func (t *Table) String() string { return t.Schema + "." + t.Name }

// Column returns the position of the column of that name, -1 when there is none.
func (t *Table) Column(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// Shape returns the shape of the table's rows as they are captured: all columns in ordinal order. Every call returns the same pointer.
// A column whose type has no canonical form gets the kind Absent; see [Type.Kind].
func (t *Table) Shape() *change.Table {
	t.once.Do(func() {
		s := &change.Table{Engine: t.Engine, Schema: t.Schema, Name: t.Name, Columns: make([]change.Column, len(t.Columns)), Key: t.Key}
		for i := range t.Columns {
			c := &t.Columns[i]
			kind, _ := c.Type.Kind(t.Engine)
			s.Columns[i] = change.Column{Name: c.Name, Type: c.Type.Full, Kind: kind, Nullable: c.Nullable}
		}
		s.ID() // before others share it
		t.shape = s
	})
	return t.shape
}

// Kind returns the form in which values of a type are captured. It is false for a type that has no canonical form: a table with such a
// column cannot be a source. Every PostgreSQL type has one: its text.
func (t *Type) Kind(e change.Engine) (change.Kind, bool) {
	if e == change.Postgres {
		return t.postgresKind(), true
	}
	switch t.Name {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year":
		return change.Int, true
	case "float":
		return change.Float32, true
	case "double":
		return change.Float64, true
	case "decimal":
		return change.Decimal, true
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set":
		return change.Text, true
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob",
		"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection", "geometrycollection":
		return change.Bytes, true
	case "bit":
		return change.Bits, true
	case "date":
		return change.Date, true
	case "datetime":
		return change.DateTime, true
	case "time":
		return change.Time, true
	case "timestamp":
		return change.Timestamp, true
	case "json":
		return change.JSON, true
	case "uuid", "inet4", "inet6": // of MariaDB
		return change.Text, true
	default:
		return change.Absent, false
	}
}

func (t *Type) postgresKind() change.Kind {
	switch t.Name {
	case "smallint", "integer", "bigint":
		return change.Int
	case "numeric":
		return change.Decimal
	case "real":
		return change.Float32
	case "double precision":
		return change.Float64
	case "boolean":
		return change.Bool
	case "bytea":
		return change.Bytes
	case "date":
		return change.Date
	case "time without time zone":
		return change.Time
	case "timestamp without time zone":
		return change.DateTime
	case "timestamp with time zone":
		return change.Timestamp
	case "json", "jsonb":
		return change.JSON
	case "bit", "bit varying":
		return change.Bits
	default:
		return change.Text
	}
}
