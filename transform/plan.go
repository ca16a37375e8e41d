package transform

import (
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform/expression"
)

// Plan is a compiled mapping.
type Plan struct {
	tables   []*Table
	findings []catalog.Finding
	lossy    []Lossy
	ddl      [3][]Statement
	types    []ownType
	// sequences of PostgreSQL that no column owns.
	sequences []Sequence
}

// Tables are the tables of the plan, in the order in which they were given to Compile.
func (p *Plan) Tables() []*Table { return p.tables }

// Table returns the table of that source name, schema.table; nil when there is none.
func (p *Plan) Table(source string) *Table {
	for _, t := range p.tables {
		if t.Source.String() == source {
			return t
		}
	}
	return nil
}

// Findings are what an operator should know before the move: warnings and remarks, no errors.
func (p *Plan) Findings() []catalog.Finding { return p.findings }

// Lossy lists every policy that may change values. [Mapper.Altered] counts them in this order.
func (p *Plan) Lossy() []Lossy { return append([]Lossy(nil), p.lossy...) }

// Table is one table of a plan.
type Table struct {
	Source *catalog.Table
	// Target has only the columns that are written. Its Source is the source table's name.
	Target  *change.Table
	Columns []ColumnPlan // one for each column of Target
	// KeyHashable: keys are equal on either side exactly when their bytes are, so that rows can be spread over lanes.
	KeyHashable bool
	// Unique: the target will have further unique indexes, and rows depend on each other beyond their key.
	Unique bool
	// OneLane: the rows must be applied in one order, change by change, once the table is strict: the key is not hashable, or Unique.
	OneLane bool
	// Ordered: both sides order the key alike, so that a range of keys on the one is a range on the other.
	Ordered bool
	// Filtered: the table has a condition. It needs full row images.
	Filtered bool

	// Ties are the foreign keys that refer to this table and have to be carried out; Group names the tables that they tie together, empty for one that is alone.
	Ties  []Tie
	Group string

	where *expression.Program
	// columns to map, and for each key column of the target how it is made.
	keys []keyPlan
	// sequence of a counter that cannot be an identity column.
	sequence string
	// regenerate: the generated columns of the source that the target generates too.
	regenerate []int
}

// ColumnPlan says what one target column is made from.
type ColumnPlan struct {
	// Source is the position of the source column; -1 for a column that is calculated from no one column.
	Source int
	// Value is the expression; empty for a column that is taken over.
	Value string
	// Constant: the expression reads no column.
	Constant bool

	program    *expression.Program
	conversion conversion
	pg         pgType  // of a PostgreSQL target
	my         *myType // of a MySQL or MariaDB target
	// labels of an enum, which the target checks.
	labels []string
	// same: a column of PostgreSQL that keeps its type in PostgreSQL.
	same bool
	// carries: the column takes the default, the counter and the comment of the source column over.
	carries bool
}

// keyPlan says where one key column of the target comes from.
type keyPlan struct {
	column int // of the target
	source int // position in the source's key; -1 for a constant
}
