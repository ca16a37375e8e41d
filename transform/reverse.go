package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Reverse makes the plan of the way back: from the tables that a plan fills to those that it fills them from, column by column as the plan took them over.
// target are the filled tables as the database has them; nil: as the plan makes them. cascades: the target's log does not name the rows that its foreign keys
// change. What cannot be inverted is a [Mistakes] error that names everything.
//
// A source column that no target column takes over is never written on the way back: an update leaves it as it is, an inserted row gets its default. The rows of the
// plan are strict from the beginning, and it has no DDL: its tables are there.
func Reverse(p *Plan, target []*catalog.Table, cascades bool) (*Plan, error) {
	if target == nil {
		for _, t := range p.tables {
			target = append(target, t.made())
		}
	}
	r := &reverser{plan: p, types: map[string]*catalog.Type{}}
	rules := Rules{Identifiers: Keep, Cascades: cascades}
	var tables []*catalog.Table
	for _, t := range p.tables {
		rules.Engine = t.Source.Engine
		i := slices.IndexFunc(target, func(c *catalog.Table) bool { return c.String() == t.Target.String() })
		if i < 0 {
			r.mistakes.add("reverse", t.Target.String(), "the target has no such table", "make it: crossfade schema --phase before prints the statement")
			continue
		}
		tables = append(tables, target[i])
		rules.Tables = append(rules.Tables, r.table(t, target[i]))
	}
	if len(r.mistakes) > 0 {
		return nil, r.mistakes
	}
	c := &compiler{rules: rules, plan: &Plan{}, tables: tables, originals: r.types}
	out, err := c.compile()
	if err != nil {
		return nil, err
	}
	for i, t := range out.tables {
		t.Unique = t.uniqueBeyondKey(p.tables[i].Source)
		t.OneLane = !t.KeyHashable || t.Unique
	}
	return out, nil
}

type reverser struct {
	plan     *Plan
	types    map[string]*catalog.Type // of the source's columns, by the server's name for them
	mistakes Mistakes
}

func (r *reverser) refuse(object, reason, remedy string) {
	r.mistakes.add("reverse", object, "rollback is not possible: "+reason, remedy)
}

// reverseOff is what remains where the way back is not open.
const reverseOff = "set cutover.reverse: false and do without a way back, or "

// table makes the rules of one table's way back.
func (r *reverser) table(t *Table, real *catalog.Table) TableRule {
	rule := TableRule{Source: Name{real.Schema, real.Name}, Target: Name{t.Source.Schema, t.Source.Name}}
	if t.Filtered {
		r.refuse(t.Source.String(), "it has a condition, and which rows of the target would be the source's is not known", reverseOff+"remove where")
	}
	taken := map[int]bool{}
	for i := range real.Columns {
		name := real.Columns[i].Name
		source := r.origin(t, name)
		if source < 0 || taken[source] || real.Columns[i].Generated != "" || t.Source.Columns[source].Generated != "" {
			rule.Columns = append(rule.Columns, ColumnRule{Source: name, Drop: true})
			continue
		}
		taken[source] = true
		rule.Columns = append(rule.Columns, r.column(t, real, i, source))
	}
	for i := range t.Source.Columns {
		if s := &t.Source.Columns[i]; !taken[i] && unfilled(s) {
			r.refuse(t.Source.String()+"."+s.Name, "no target column takes it over, and it is NOT NULL without a default: a row that the target gets could not be inserted", reverseOff+"take the column over, or give it a default on the source")
		}
	}
	for _, k := range t.keys {
		if k.source < 0 {
			r.refuse(t.Source.String(), fmt.Sprintf("its target key has the constant %s: which rows of the target would be its own is not known", t.Target.Columns[k.column].Name), reverseOff+"leave key: true out")
		}
	}
	return rule
}

// unfilled: an inserted row must name the column.
func unfilled(s *catalog.Column) bool {
	return !s.Nullable && s.Default == nil && s.Generated == "" && !s.AutoIncrement && !s.OnUpdateNow
}

// origin is the source column that a target column takes over as it is; -1: none.
func (r *reverser) origin(t *Table, target string) int {
	for i := range t.Target.Columns {
		if t.Target.Columns[i].Name == target && t.Columns[i].program == nil {
			return t.Columns[i].Source
		}
	}
	return -1
}

// column takes a target column back to where it came from, as the type that it has there.
func (r *reverser) column(t *Table, real *catalog.Table, i, source int) ColumnRule {
	s, from := &t.Source.Columns[source], &real.Columns[i]
	r.types[s.Type.Full] = &s.Type
	out := ColumnRule{Source: from.Name, Target: s.Name, As: s.Type.Full}
	if t.Source.Engine == change.Postgres && real.Engine.MySQLish() && s.Type.Name == "timestamp with time zone" && from.Type.Name == "datetime" {
		out.As += " at UTC" // as the way there has written it
	}
	return out
}

// uniqueBeyondKey reports whether a real table, filled by this plan, has unique indexes that do not follow from the key.
func (t *Table) uniqueBeyondKey(real *catalog.Table) bool {
	for i := range real.Indexes {
		x := &real.Indexes[i]
		if x.Exclusion {
			return true
		}
		if !x.Unique {
			continue
		}
		var names []string
		whole := x.Where == ""
		for _, part := range x.Columns {
			whole = whole && part.Expr == "" && part.Prefix == 0
			names = append(names, part.Name)
		}
		if !whole || !impliedByKey(t, names) {
			return true
		}
	}
	return false
}

// made is the table that the plan makes, as a catalog would describe it: as far as the way back asks for it.
func (t *Table) made() *catalog.Table {
	out := &catalog.Table{Engine: t.Target.Engine, Schema: t.Target.Schema, Name: t.Target.Name, Key: t.Target.Key, KeyIsPrimary: true}
	for i := range t.Target.Columns {
		c, plan := &t.Target.Columns[i], &t.Columns[i]
		col := catalog.Column{Name: c.Name, Nullable: c.Nullable}
		switch {
		case plan.my != nil:
			col.Type = plan.my.Type
			col.Type.Full = c.Type
		case plan.pg.base == pgSame && plan.Source >= 0 && t.Source.Engine == change.Postgres:
			col.Type = t.Source.Columns[plan.Source].Type
			col.Type.Full = c.Type
		default:
			col.Type = plan.pg.described()
		}
		out.Columns = append(out.Columns, col)
	}
	return out
}

// described is the type as the catalog of a PostgreSQL database describes it.
func (t pgType) described() catalog.Type {
	full := t.String()
	out := catalog.Type{Name: full, Full: full}
	if i := strings.IndexByte(full, '('); i >= 0 {
		if j := strings.IndexByte(full, ')'); j > i {
			out.Name = full[:i] + full[j+1:]
		}
	}
	switch t.base {
	case pgVarchar, pgChar, pgBit:
		out.Length = t.a
		if t.mods == 0 && t.base != pgVarchar {
			out.Length = 1
		}
	case pgNumeric:
		out.Precision, out.Scale = t.a, t.b
	case pgTimestamp, pgTimestamptz, pgInterval:
		out.Fraction = t.a
		if t.mods == 0 {
			out.Fraction = 6
		}
	}
	return out
}
