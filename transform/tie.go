package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Tie is a foreign key of the source whose actions its log does not name: whoever applies the rows carries them out. It refers to the parent's key.
type Tie struct {
	Child   *Table
	Columns []int // of the child's target, in the order of the parent's target key
	// OnDelete and OnUpdate are CASCADE or SET NULL, or empty for those that do nothing.
	OnDelete, OnUpdate string
}

// acting is what an action of a foreign key changes, if anything.
func acting(action string) string {
	switch action {
	case "CASCADE", "SET NULL", "SET DEFAULT":
		return action
	}
	return ""
}

// ties finds the foreign keys that have to be carried out. What could not be carried out exactly is a mistake: a cascade that is missed or that hits another row
// would be found by nobody but a full verification.
func (c *compiler) ties() {
	if !c.rules.Cascades {
		return
	}
	group := map[*Table]*Table{} // a forest: to the table that stands for the group
	root := func(t *Table) *Table {
		for group[t] != nil {
			t = group[t]
		}
		return t
	}
	for _, child := range c.plan.tables {
		for i := range child.Source.ForeignKeys {
			f := &child.Source.ForeignKeys[i]
			if !f.Acts() {
				continue
			}
			parent, tie := c.tie(child, f)
			if tie == nil {
				continue
			}
			parent.Ties = append(parent.Ties, *tie)
			a, b := root(parent), root(child)
			switch {
			case a == b:
			case a.Source.String() < b.Source.String():
				group[b] = a
			default:
				group[a] = b
			}
			if a.Group == "" {
				a.Group = a.Source.String()
			}
			if b.Group == "" {
				b.Group = b.Source.String()
			}
		}
	}
	for _, t := range c.plan.tables {
		if t.Group != "" {
			t.Group = root(t).Source.String()
			if t.Filtered {
				c.mistakes.add("cascade", t.Source.String(), "it has a condition, and foreign keys change its rows, or those of others when its rows go, without a trace in the log: what leaves the target by the condition could not be told from what goes",
					"remove where, or the actions of the foreign keys")
			}
		}
	}
}

// tie makes a Tie of a foreign key.
func (c *compiler) tie(child *Table, f *catalog.ForeignKey) (parent *Table, tie *Tie) {
	object := child.Source.String() + "." + f.Name
	does := fmt.Sprintf("ON DELETE %s ON UPDATE %s is not in the source's log, and cannot be carried out in the target: ", f.OnDelete, f.OnUpdate)
	refuse := func(reason, remedy string) (*Table, *Tie) {
		c.mistakes.add("cascade", object, does+reason, remedy)
		return nil, nil
	}
	const instead = "make the foreign key ON DELETE RESTRICT ON UPDATE RESTRICT and let the application do it, or leave the table out of source.tables"
	parent = c.plan.Table(f.RefSchema + "." + f.RefTable)
	switch {
	case parent == nil:
		return refuse(fmt.Sprintf("its parent table %s.%s is not moved, so what happens there is not seen", f.RefSchema, f.RefTable), "move the parent table too, or "+instead)
	case f.OnDelete == "SET DEFAULT" || f.OnUpdate == "SET DEFAULT":
		return refuse("SET DEFAULT is nothing that InnoDB does", instead)
	case len(f.RefColumns) != len(parent.Source.Key) || len(f.RefColumns) != len(parent.Target.Key):
		return refuse(fmt.Sprintf("it refers to (%s), not to the whole key of %s", strings.Join(f.RefColumns, ", "), parent.Source), instead)
	}
	tie = &Tie{Child: child, OnDelete: acting(f.OnDelete), OnUpdate: acting(f.OnUpdate)}
	for _, k := range parent.keys {
		name := ""
		if k.source >= 0 {
			name = parent.Source.Columns[parent.Source.Key[k.source]].Name
		}
		n := slices.IndexFunc(f.RefColumns, func(ref string) bool { return strings.EqualFold(ref, name) })
		if n < 0 {
			return refuse(fmt.Sprintf("it refers to (%s), not to the whole key of %s", strings.Join(f.RefColumns, ", "), parent.Source), instead)
		}
		at := child.Source.Column(f.Columns[n])
		i := slices.IndexFunc(child.Columns, func(p ColumnPlan) bool { return p.Source == at && p.program == nil })
		if i < 0 {
			return refuse("column "+f.Columns[n]+" is not taken over as it is", "take it over, or "+instead)
		}
		if reason := c.tied(child, i, parent, k.column); reason != "" {
			return refuse(reason, instead)
		}
		tie.Columns = append(tie.Columns, i)
	}
	if reason := c.depends(child, tie); reason != "" {
		return refuse(reason, "remove that column from the mapping, or "+instead)
	}
	if reason := named(child); reason != "" {
		return refuse(reason, instead)
	}
	return parent, tie
}

// tied says why a child's column and its parent's would not be equal in the target exactly when they are on the source; empty when they are.
func (c *compiler) tied(child *Table, i int, parent *Table, k int) string {
	a, b := &child.Target.Columns[i], &parent.Target.Columns[k]
	alike := a.Kind == b.Kind
	if c.rules.Engine == change.Postgres {
		alike = alike && child.Columns[i].pg.alike(parent.Columns[k].pg)
	}
	if !alike || child.Columns[i].program != nil || parent.Columns[k].program != nil {
		return fmt.Sprintf("%s becomes %s, and %s of %s becomes %s", a.Name, a.Type, b.Name, parent.Source, b.Type)
	}
	collation := child.Source.Columns[child.Columns[i].Source].Type.Collation
	if collation == "" || c.rules.Engine == child.Source.Engine {
		return ""
	}
	if c.rules.Engine.MySQLish() && strings.HasSuffix(collation, "_bin") {
		return ""
	}
	return fmt.Sprintf("under the collation %s of %s texts are equal that the target tells apart", collation, a.Name)
}

// depends says which other column would have to change with the foreign key's; empty when none does.
func (c *compiler) depends(child *Table, tie *Tie) string {
	if tie.OnUpdate == "" && tie.OnDelete != "SET NULL" {
		return ""
	}
	for _, at := range tie.Columns {
		from := child.Columns[at].Source
		for i := range child.Columns {
			p := &child.Columns[i]
			name := child.Target.Columns[i].Name
			switch {
			case i == at:
			case p.program == nil && p.Source == from, p.program != nil && slices.Contains(p.program.Columns, from):
				return fmt.Sprintf("column %s is made of %s", name, child.Source.Columns[from].Name)
			case p.Source >= 0 && child.Source.Columns[p.Source].Generated != "":
				return fmt.Sprintf("column %s is generated by the source, perhaps from %s", name, child.Source.Columns[from].Name)
			}
		}
	}
	return ""
}

// named says why the key of a row that a cascade changes cannot be read back from the target; empty when it can.
func named(t *Table) string {
	for _, k := range t.keys {
		col := &t.Target.Columns[k.column]
		whole := k.source >= 0 && strings.Contains(t.Source.Columns[t.Source.Key[k.source]].Type.Full, "int")
		switch col.Kind {
		case change.Int, change.Uint, change.Text, change.Date, change.Bytes:
		case change.Decimal:
			if !whole {
				return fmt.Sprintf("key column %s of %s is a %s", col.Name, t.Source, col.Type)
			}
		default:
			return fmt.Sprintf("key column %s of %s is a %s", col.Name, t.Source, col.Type)
		}
	}
	return ""
}

// looksUp reports whether an index is what finds the children of a tie: it is needed from the first row on.
func (c *compiler) looksUp(t *Table, x *catalog.Index) bool {
	if !c.rules.Cascades || x.Unique {
		return false
	}
	return slices.ContainsFunc(t.Source.ForeignKeys, func(f catalog.ForeignKey) bool {
		if !f.Acts() || len(f.Columns) > len(x.Columns) {
			return false
		}
		for _, part := range x.Columns[:len(f.Columns)] {
			if !slices.Contains(f.Columns, part.Name) {
				return false
			}
		}
		return true
	})
}

// CascadedInto reports whether foreign keys that have to be carried out change rows of a source table.
func (p *Plan) CascadedInto(source string) bool {
	return slices.ContainsFunc(p.tables, func(t *Table) bool {
		return slices.ContainsFunc(t.Ties, func(tie Tie) bool { return tie.Child.Source.String() == source })
	})
}

// CopiedAfter names the source tables through which cascades reach a source table: rows of theirs that are not in the target yet would hide children. Tables that
// refer to each other in a circle are not among them.
func (p *Plan) CopiedAfter(source string) (out []string) {
	for _, t := range p.tables {
		name := t.Source.String()
		direct := slices.ContainsFunc(t.Ties, func(tie Tie) bool { return tie.Child.Source.String() == source })
		if direct && p.CascadedInto(name) && !p.reaches(source, name, map[string]bool{}) {
			out = append(out, name)
		}
	}
	return out
}

// reaches reports whether cascades of one source table reach another.
func (p *Plan) reaches(from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	t := p.Table(from)
	return t != nil && slices.ContainsFunc(t.Ties, func(tie Tie) bool { return p.reaches(tie.Child.Source.String(), to, seen) })
}

// Reached names the source tables that cascades reach through the rows of a source table that they change themselves.
func (p *Plan) Reached(source string) (out []string) {
	if !p.CascadedInto(source) {
		return nil
	}
	for _, t := range p.tables {
		name := t.Source.String()
		if p.CascadedInto(name) && name != source && p.reaches(source, name, map[string]bool{}) {
			out = append(out, name)
		}
	}
	return out
}
