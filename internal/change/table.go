package change

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Column is one column of a [Table].
type Column struct {
	Name string `json:"name"`
	// Type is the type as the owning database writes it, with its modifiers: numeric(20,0), varchar(40), int unsigned.
	Type string `json:"type"`
	// Kind is the form that values of this column have when they are neither Null nor Absent.
	Kind     Kind `json:"kind"`
	Nullable bool `json:"nullable,omitempty"`
}

// Engine is a database system. What a type's name means, and when two of its values are equal, depends on it.
type Engine string

const (
	Postgres Engine = "postgres"
	MySQL    Engine = "mysql"
	MariaDB  Engine = "mariadb"
)

// MySQLish reports whether the engine speaks MySQL's protocol and SQL: MySQL or MariaDB.
func (e Engine) MySQLish() bool { return e == MySQL || e == MariaDB }

// Table is the shape of rows at one time: a schema version. It does not change after it is made; a changed table is another Table.
type Table struct {
	// Engine is the database system that holds the table; the types of the columns are its.
	Engine  Engine   `json:"engine,omitempty"`
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
	// Key holds the positions in Columns of the primary key, or of the unique key that stands for it, in key order.
	Key []int `json:"key"`
	// Source is schema.table of the source table whose rows these are; empty in a source shape.
	Source string `json:"source,omitempty"`

	id uint64
}

// String returns schema.table.
func (t *Table) String() string { return t.Schema + "." + t.Name }

// ID returns the hash of the shape. Frames name a shape by it. It is computed once, by the first call; make it before sharing the table.
func (t *Table) ID() uint64 {
	if t.id == 0 {
		b, err := json.Marshal(t)
		if err != nil { // strings and integers always marshal
			panic("change: marshal table: " + err.Error())
		}
		sum := sha256.Sum256(b)
		t.id = binary.BigEndian.Uint64(sum[:8])
	}
	return t.id
}

// ShapeName is the text form of a shape's ID, for stores that keep shapes by name.
func ShapeName(id uint64) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, id))
}

// Marshal returns the shape as JSON; [UnmarshalTable] reads it.
func (t *Table) Marshal() ([]byte, error) { return json.Marshal(t) }

// UnmarshalTable reads what [Table.Marshal] wrote and checks that it is whole.
func UnmarshalTable(b []byte) (*Table, error) {
	t := new(Table)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("read table shape: %w", err)
	}
	for _, k := range t.Key {
		if k < 0 || k >= len(t.Columns) {
			return nil, fmt.Errorf("read table shape of %s: key column %d of %d", t, k, len(t.Columns))
		}
	}
	t.ID()
	return t, nil
}

// IsKey reports whether column i is part of the key.
func (t *Table) IsKey(i int) bool {
	for _, k := range t.Key {
		if k == i {
			return true
		}
	}
	return false
}

// KeyString names a row for people: (id=7, region=eu).
func (t *Table) KeyString(row Row) string {
	var b strings.Builder
	b.WriteByte('(')
	for n, k := range t.Key {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.Columns[k].Name)
		b.WriteByte('=')
		if k < len(row) {
			b.WriteString(row[k].String())
		}
	}
	b.WriteByte(')')
	return b.String()
}

// Op is what happened to a row. The numbers are part of the frame format.
type Op uint8

const (
	Insert   Op = iota + 1 // After: the new row
	Update                 // Before: the old row or nil when the key is unchanged; After: the new row, Absent where not carried
	Delete                 // Before: the old row, at least its key
	Upsert                 // After: a row that comes into the mapping's filter; overwrite whatever is there
	Copy                   // After: a row read by the snapshot
	Truncate               // no rows
	Refused                // Err; After (or Before) is the raw source row whose transform failed; the table is in source shape
	ops
)

var opNames = [ops]string{"", "insert", "update", "delete", "upsert", "copy", "truncate", "refused"}

func (o Op) String() string {
	if o > 0 && o < ops {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Change is one row event. Before and After have one value for each column of Table, or are nil.
type Change struct {
	Table  *Table
	Op     Op
	Before Row
	After  Row
	// Unchecked: its session had foreign_key_checks off, so no foreign key of MySQL or MariaDB has acted on it.
	Unchecked bool
	// Err is why a row was refused by its transform; only with Op Refused.
	Err string
}

// KeyRow is the row in which the key of the affected row stands, as it was before the change.
func (c *Change) KeyRow() Row {
	if c.Before != nil {
		return c.Before
	}
	return c.After
}

// KeyChanged reports whether an update moves the row to another key.
func (c *Change) KeyChanged() bool {
	if c.Op != Update || c.Before == nil {
		return false
	}
	for _, k := range c.Table.Key {
		a, b := c.Before[k], c.After[k]
		if b.Kind == Absent {
			continue
		}
		if a.Kind != b.Kind || a.N != b.N || string(a.B) != string(b.B) {
			return true
		}
	}
	return false
}
