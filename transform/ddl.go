package transform

import (
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Phase says when statements run.
type Phase uint8

const (
	// Before the first row: schemas, and tables with their columns and primary key.
	Before Phase = iota
	// After the rows: unique indexes, when the table turns strict; then all others, checks, triggers, comments; foreign keys last.
	After
	// Undo takes away what Before and After made, except schemas.
	Undo
)

// StatementKind says what a statement makes.
type StatementKind string

const (
	SchemaStatement     StatementKind = "schema"
	TypeStatement       StatementKind = "type"
	SequenceStatement   StatementKind = "sequence"
	TableStatement      StatementKind = "table"
	UniqueStatement     StatementKind = "unique"
	IndexStatement      StatementKind = "index"
	CheckStatement      StatementKind = "check"
	TriggerStatement    StatementKind = "trigger"
	CommentStatement    StatementKind = "comment"
	ForeignKeyStatement StatementKind = "foreign_key" // added NOT VALID
	ValidateStatement   StatementKind = "validate"    // a foreign key or check is validated
)

// Statement is one statement of the target's DDL. All can be repeated: what is there already is left as it is.
type Statement struct {
	Table  string        `json:"table,omitempty"` // schema.table of the source; empty for a schema
	Object string        `json:"object"`          // the name of what is made or taken away
	Kind   StatementKind `json:"kind"`
	SQL    string        `json:"sql"`
}

// DDL returns the statements of a phase, in the order in which they can run.
func (p *Plan) DDL(phase Phase) []Statement {
	if int(phase) >= len(p.ddl) {
		return nil
	}
	return append([]Statement(nil), p.ddl[phase]...)
}

// ddlCompiler collects statements by kind, so that those that need others come behind them.
type ddlCompiler struct {
	*compiler
	spaces map[string]namespace
	before []Statement
	after  map[StatementKind][]Statement
	undo   map[StatementKind][]Statement
	// constraints holds the names of each table's constraints.
	constraints map[*Table]namespace
	// uniques: the column lists of the target that foreign keys can refer to, by source table.
	uniques map[string][][]string
}

var afterOrder = []StatementKind{UniqueStatement, IndexStatement, CheckStatement, TriggerStatement, CommentStatement, ForeignKeyStatement, ValidateStatement}

func (c *compiler) ddl() {
	d := &ddlCompiler{compiler: c, spaces: map[string]namespace{}, after: map[StatementKind][]Statement{}, undo: map[StatementKind][]Statement{}, uniques: map[string][][]string{}, constraints: map[*Table]namespace{}}
	// Tables own their names before anything derived takes one.
	for _, t := range c.plan.tables {
		d.schema(t.Target.Schema)
		d.spaces[t.Target.Schema][t.Target.Name] = true
	}
	d.sequences()
	d.ownTypes()
	for _, t := range c.plan.tables {
		d.table(t)
	}
	for _, t := range c.plan.tables {
		d.indexes(t)
		d.enumChecks(t)
		d.onUpdate(t)
		d.comments(t)
		d.rest(t)
		t.OneLane = !t.KeyHashable || t.Unique
	}
	for _, t := range c.plan.tables {
		d.foreignKeys(t)
	}
	c.plan.ddl[Before] = d.before
	for _, k := range afterOrder {
		c.plan.ddl[After] = append(c.plan.ddl[After], d.after[k]...)
	}
	for _, k := range []StatementKind{ForeignKeyStatement, TableStatement, SequenceStatement, TriggerStatement, TypeStatement} {
		c.plan.ddl[Undo] = append(c.plan.ddl[Undo], d.undo[k]...)
	}
}

// schema makes a schema, once.
func (d *ddlCompiler) schema(name string) {
	if d.spaces[name] == nil {
		d.spaces[name] = namespace{}
		d.before = append(d.before, Statement{Object: name, Kind: SchemaStatement, SQL: "CREATE SCHEMA IF NOT EXISTS " + quote(name)})
	}
}

func (d *ddlCompiler) addAfter(t *Table, kind StatementKind, object, format string, args ...any) {
	d.after[kind] = append(d.after[kind], Statement{Table: t.Source.String(), Object: object, Kind: kind, SQL: fmt.Sprintf(format, args...)})
}

func (d *ddlCompiler) addUndo(t *Table, kind StatementKind, object, format string, args ...any) {
	d.undo[kind] = append(d.undo[kind], Statement{Table: t.Source.String(), Object: object, Kind: kind, SQL: fmt.Sprintf(format, args...)})
}

func (t *Table) quoted() string { return quoteName(t.Target.Schema, t.Target.Name) }

// table makes CREATE TABLE, and the sequence of a counter that is too large for an identity column.
func (d *ddlCompiler) table(t *Table) {
	source := t.Source.String()
	var lines []string
	again := d.generated(t)
	for i := range t.Columns {
		for len(again) > 0 && t.Columns[i].Source > again[0].source { // in the order of the source
			lines, again = append(lines, again[0].line), again[1:]
		}
		lines = append(lines, d.column(t, i))
	}
	for _, g := range again {
		lines = append(lines, g.line)
	}
	pkey := t.Target.Name + "_pkey"
	if t.Source.Engine == change.Postgres && t.Source.KeyIsPrimary {
		pkey = d.rules.Identifiers.fold(t.Source.KeyName)
	}
	pkey = d.spaces[t.Target.Schema].take(pkey, source+" primary key")
	d.constraints[t] = namespace{pkey: true}
	lines = append(lines, fmt.Sprintf("CONSTRAINT %s PRIMARY KEY (%s)", quote(pkey), columnList(t, t.Target.Key)))
	d.before = append(d.before, Statement{Table: source, Object: t.Target.String(), Kind: TableStatement,
		SQL: fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (\n    %s\n)", t.quoted(), strings.Join(lines, ",\n    "))})
	for i := range t.Columns {
		if seq := d.counter(t, i); seq != "" {
			d.before = append(d.before, Statement{Table: source, Object: seq, Kind: SequenceStatement,
				SQL: fmt.Sprintf("ALTER SEQUENCE %s OWNED BY %s.%s", quoteName(t.Target.Schema, seq), t.quoted(), quote(t.Target.Columns[i].Name))})
		}
	}
	d.addUndo(t, TableStatement, t.Target.String(), "DROP TABLE IF EXISTS %s", t.quoted())
	d.keyIsUnique(t)
}

// keyIsUnique notes that foreign keys can refer to the primary key.
func (d *ddlCompiler) keyIsUnique(t *Table) {
	var names []string
	for _, k := range t.Target.Key {
		names = append(names, t.Target.Columns[k].Name)
	}
	d.uniques[t.Source.String()] = append(d.uniques[t.Source.String()], names)
}

func columnList(t *Table, columns []int) string {
	var names []string
	for _, i := range columns {
		names = append(names, quote(t.Target.Columns[i].Name))
	}
	return strings.Join(names, ", ")
}

// counted returns the source column whose counter a target column continues.
func (t *Table) counted(i int) *catalog.Column {
	c := &t.Columns[i]
	if c.Source < 0 || !c.carries || !t.Source.Columns[c.Source].AutoIncrement {
		return nil
	}
	return &t.Source.Columns[c.Source]
}

// counter names the sequence of a counter whose column cannot be an identity; empty when there is none.
func (d *ddlCompiler) counter(t *Table, i int) string {
	if t.counted(i) == nil || t.Columns[i].pg.base != pgNumeric {
		return ""
	}
	return t.sequence
}

// column writes one column of CREATE TABLE.
func (d *ddlCompiler) column(t *Table, i int) string {
	col, plan := &t.Target.Columns[i], &t.Columns[i]
	line := quote(col.Name) + " " + col.Type
	if plan.same {
		if collation := t.Source.Columns[plan.Source].Type.Collation; collation != "" {
			line += " COLLATE " + quote(collation)
		}
	}
	object := t.Source.String() + "." + col.Name
	switch counted := t.counted(i); {
	case counted != nil && plan.pg.base.integer():
		line += " GENERATED BY DEFAULT AS IDENTITY"
		// The server would choose this name, and another one when a table made before has it; a table made later would then be taken for existing.
		want := t.Target.Name + "_" + col.Name + "_seq"
		if name := d.spaces[t.Target.Schema].take(want, object+" sequence"); name != want {
			line += fmt.Sprintf(" (SEQUENCE NAME %s)", quoteName(t.Target.Schema, name))
		}
	case counted != nil && plan.pg.base == pgNumeric:
		t.sequence = d.spaces[t.Target.Schema].take(t.Target.Name+"_"+col.Name+"_seq", object+" sequence")
		seq := quoteName(t.Target.Schema, t.sequence)
		d.before = append(d.before, Statement{Table: t.Source.String(), Object: t.sequence, Kind: SequenceStatement, SQL: "CREATE SEQUENCE IF NOT EXISTS " + seq})
		d.addUndo(t, SequenceStatement, t.sequence, "DROP SEQUENCE IF EXISTS %s", seq)
		line += fmt.Sprintf(" DEFAULT nextval(%s)", literal(seq))
		d.remark("counter", object, fmt.Sprintf("AUTO_INCREMENT on %s: values above 9223372036854775807 cannot come from a sequence", counted.Type.Full),
			`map the column "as: bigint" if no value is that large: it is smaller and can be an identity column`)
	case counted != nil:
		d.warn("counter", object, fmt.Sprintf("AUTO_INCREMENT cannot continue in a column of type %s", col.Type), "the application gives the values after the cutover")
	default:
		if def := d.defaultOf(t, i); def != "" {
			line += " DEFAULT " + def
		}
	}
	if !col.Nullable {
		line += " NOT NULL"
	}
	return line
}

func (d *ddlCompiler) comments(t *Table) {
	if t.Source.Comment != "" {
		d.addAfter(t, CommentStatement, t.Target.String(), "COMMENT ON TABLE %s IS %s", t.quoted(), literal(t.Source.Comment))
	}
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Source >= 0 && c.carries && t.Source.Columns[c.Source].Comment != "" {
			name := t.Target.Columns[i].Name
			d.addAfter(t, CommentStatement, t.Target.String()+"."+name, "COMMENT ON COLUMN %s.%s IS %s", t.quoted(), quote(name), literal(t.Source.Columns[c.Source].Comment))
		}
	}
}

// rest warns about what is not carried over.
func (d *ddlCompiler) rest(t *Table) {
	for _, c := range t.Source.Checks {
		if d.check(t, &c) {
			continue
		}
		d.warn("check", t.Source.String()+"."+c.Name, fmt.Sprintf("the check constraint %s is not carried over", c.Expr), "add it to the target by hand after the move, if it is wanted")
	}
	for _, name := range t.Source.Triggers {
		d.warn("trigger", t.Source.String()+"."+name, "triggers are not carried over; their row changes on the source arrive as rows", "write the trigger for the target by hand, disabled until the cutover")
	}
	if t.Source.Partitioned {
		d.warn("partitioned", t.Source.String(), "the target table is not partitioned", "make the target table by hand with target.create: false, if it should be")
	}
}

// onUpdate makes the trigger of ON UPDATE CURRENT_TIMESTAMP. As in MySQL it fires only when another value of the row changes and the column
// is not set; it does not fire for the applier, whose sessions run as replicas.
func (d *ddlCompiler) onUpdate(t *Table) {
	var sets []string
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Source < 0 || !c.carries || c.program != nil || !t.Source.Columns[c.Source].OnUpdateNow {
			continue
		}
		name, now := quote(t.Target.Columns[i].Name), ""
		switch c.pg.base {
		case pgTimestamptz:
			now = fmt.Sprintf("CURRENT_TIMESTAMP(%d)", c.pg.a)
		case pgTimestamp:
			now = fmt.Sprintf("LOCALTIMESTAMP(%d)", c.pg.a)
		default:
			d.warn("on_update", t.Source.String()+"."+t.Target.Columns[i].Name, "ON UPDATE CURRENT_TIMESTAMP cannot continue in a column of type "+t.Target.Columns[i].Type, "the application gives the value after the cutover")
			continue
		}
		sets = append(sets, fmt.Sprintf("    IF NEW.%[1]s IS NOT DISTINCT FROM OLD.%[1]s THEN NEW.%[1]s := %[2]s; END IF;", name, now))
	}
	if len(sets) == 0 {
		return
	}
	name := d.spaces[t.Target.Schema].take(t.Target.Name+"_on_update", t.Source.String()+" on update")
	function := quoteName(t.Target.Schema, name)
	// *<> compares the stored bytes: the other operators need an equality that json does not have.
	d.addAfter(t, TriggerStatement, name, "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $crossfade$\nBEGIN\n  IF NEW *<> OLD THEN\n%s\n  END IF;\n  RETURN NEW;\nEND\n$crossfade$",
		function, strings.Join(sets, "\n"))
	d.addAfter(t, TriggerStatement, name, "CREATE OR REPLACE TRIGGER %s BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()", quote(name), t.quoted(), function)
	d.addUndo(t, TriggerStatement, name, "DROP FUNCTION IF EXISTS %s()", function)
}
