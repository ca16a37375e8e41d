package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// indexes makes the indexes of a table. Those that PostgreSQL has no plain equivalent for are named in a warning.
func (d *ddlCompiler) indexes(t *Table) {
	for i := range t.Source.Indexes {
		x := &t.Source.Indexes[i]
		if x.Name == t.Source.KeyName {
			d.wide(t, x)
			continue
		}
		d.index(t, x)
	}
}

func (d *ddlCompiler) index(t *Table, x *catalog.Index) {
	object := t.Source.String() + "." + x.Name
	if t.Source.Engine == change.Postgres && t.Target.Engine == change.Postgres {
		d.sameIndex(t, x)
		return
	}
	lost := func(reason string) {
		remedy := "make one by hand after the move, if it is wanted"
		if x.Unique {
			reason, remedy = reason+": the target does not enforce its uniqueness", "make a unique index by hand after the move, before the application writes"
		}
		d.warn("index", object, reason, remedy)
	}
	switch x.Method {
	case "BTREE", "HASH":
	case "FULLTEXT":
		lost("a full-text index is not built: PostgreSQL searches text with other functions")
		return
	case "SPATIAL":
		lost("a spatial index is not built: geometry is kept as bytes")
		return
	default:
		lost(fmt.Sprintf("an index of the method %s is not built", x.Method))
		return
	}
	var parts, names []string
	whole := true
	for _, part := range x.Columns {
		if part.Expr != "" {
			lost("an index over the expression " + part.Expr + " is not built")
			return
		}
		at := d.carrierOf(t, part.Name)
		if at < 0 {
			lost("it covers column " + part.Name + ", which is not taken over")
			return
		}
		text, ok := indexPart(t, at, part)
		if !ok {
			lost(fmt.Sprintf("a prefix of column %s, of type %s, cannot be indexed", part.Name, t.Target.Columns[at].Type))
			return
		}
		if t.Columns[at].pg.base == pgJSON {
			lost("column " + part.Name + " of type json cannot be indexed")
			return
		}
		whole = whole && part.Prefix == 0
		if part.Desc {
			text += " DESC"
		}
		parts, names = append(parts, text), append(names, t.Target.Columns[at].Name)
	}
	derived := d.rules.Identifiers.fold(x.Name)
	if !strings.HasPrefix(derived, t.Target.Name+"_") {
		derived = t.Target.Name + "_" + derived
	}
	name := d.spaces[t.Target.Schema].take(derived, object)
	kind, create := IndexStatement, "CREATE INDEX"
	if x.Unique {
		kind, create = UniqueStatement, "CREATE UNIQUE INDEX"
		t.Unique = t.Unique || !whole || !impliedByKey(t, names)
		if whole {
			d.uniques[t.Source.String()] = append(d.uniques[t.Source.String()], names)
		}
		d.collated(t, x)
	}
	d.wide(t, x)
	if d.looksUp(t, x) {
		d.before = append(d.before, Statement{Table: t.Source.String(), Object: name, Kind: kind, SQL: fmt.Sprintf("%s IF NOT EXISTS %s ON %s (%s)", create, quote(name), t.quoted(), strings.Join(parts, ", "))})
		return
	}
	d.addAfter(t, kind, name, "%s IF NOT EXISTS %s ON %s (%s)", create, quote(name), t.quoted(), strings.Join(parts, ", "))
}

// impliedByKey reports whether a unique index over these columns holds whenever the key does: rows that differ in it differ in their key.
func impliedByKey(t *Table, names []string) bool {
	for _, k := range t.Target.Key {
		if !slices.Contains(names, t.Target.Columns[k].Name) {
			return false
		}
	}
	return true
}

// indexPart writes a column, or the prefix of one, as an index has it.
func indexPart(t *Table, at int, part catalog.IndexColumn) (string, bool) {
	name := quote(t.Target.Columns[at].Name)
	if part.Prefix == 0 {
		return name, true
	}
	switch base := t.Columns[at].pg.base; {
	case base.text():
		return fmt.Sprintf("left(%s, %d)", name, part.Prefix), true
	case base == pgBytea:
		return fmt.Sprintf("substring(%s, 1, %d)", name, part.Prefix), true
	}
	return "", false
}

// carrierOf is the target column that takes a source column over; -1 when none does.
func (d *ddlCompiler) carrierOf(t *Table, source string) int {
	i := t.Source.Column(source)
	return slices.IndexFunc(t.Columns, func(p ColumnPlan) bool { return i >= 0 && p.Source == i && p.program == nil })
}

// collated warns that a unique index over text allows more in the target.
func (d *ddlCompiler) collated(t *Table, x *catalog.Index) {
	for _, part := range x.Columns {
		i := t.Source.Column(part.Name)
		if i >= 0 && t.Source.Columns[i].Type.Collation != "" && !strings.HasSuffix(t.Source.Columns[i].Type.Collation, "_bin") {
			d.warn("collation", t.Source.String()+"."+x.Name, fmt.Sprintf("its collation %s takes letters of both cases for one; the target's unique index does not", t.Source.Columns[i].Type.Collation),
				"make a unique index on lower(column) by hand after the move, or have the application write one form")
			return
		}
	}
}

// maxIndexEntry is about the largest entry of a B-tree in PostgreSQL; MySQL's is 3072 bytes.
const maxIndexEntry = 2700

func (d *ddlCompiler) wide(t *Table, x *catalog.Index) {
	bytes := 0
	for _, part := range x.Columns {
		i := t.Source.Column(part.Name)
		if i < 0 {
			continue
		}
		typ := &t.Source.Columns[i].Type
		size, width := typ.Length, 1
		if part.Prefix > 0 {
			size = part.Prefix
		}
		if strings.HasPrefix(typ.Charset, "utf8") {
			width = 4
		}
		switch s, _ := sourceTypeOf(t.Source.Engine, typ); s.class {
		case texts, binaries:
			bytes += size * width
		}
	}
	if bytes > maxIndexEntry {
		d.remark("wide_index", t.Source.String()+"."+x.Name, fmt.Sprintf("its entries have up to %d bytes; PostgreSQL refuses rows whose entry is larger than about %d", bytes, maxIndexEntry),
			"check that no row comes near it")
	}
}

// enumChecks keeps the labels of enums.
func (d *ddlCompiler) enumChecks(t *Table) {
	for i := range t.Columns {
		labels := t.Columns[i].labels
		if labels == nil {
			continue
		}
		quoted := make([]string, len(labels))
		for n, l := range labels {
			quoted[n] = literal(l)
		}
		col := t.Target.Columns[i].Name
		name := d.constraints[t].take(t.Target.Name+"_"+col+"_check", t.Source.String()+"."+col+" check")
		d.constraint(t, CheckStatement, name, fmt.Sprintf("CHECK (%s IN (%s)) NOT VALID", quote(col), strings.Join(quoted, ", ")))
	}
}

// constraint adds one that is not there yet, not validated, and then validates it: neither step locks out writers for long.
func (d *ddlCompiler) constraint(t *Table, kind StatementKind, name, definition string) {
	d.addAfter(t, kind, name, "DO $crossfade$\nBEGIN\n  IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s) THEN\n    ALTER TABLE %s ADD CONSTRAINT %s %s;\n  END IF;\nEND\n$crossfade$",
		literal(t.quoted()), literal(name), t.quoted(), quote(name), definition)
	d.addAfter(t, ValidateStatement, name, "ALTER TABLE %s VALIDATE CONSTRAINT %s", t.quoted(), quote(name))
}

// foreignKeys makes those whose both ends are in the target, and whose parent columns are unique there.
func (d *ddlCompiler) foreignKeys(t *Table) {
	for i := range t.Source.ForeignKeys {
		f := &t.Source.ForeignKeys[i]
		object := t.Source.String() + "." + f.Name
		lost := func(reason string) {
			d.warn("foreign_key", object, "the foreign key is not carried over: "+reason, "add one by hand after the move, if it is wanted")
		}
		if f.NotValid {
			lost("the source has not validated it")
			continue
		}
		parent := d.plan.Table(f.RefSchema + "." + f.RefTable)
		if parent == nil {
			lost(fmt.Sprintf("its parent table %s.%s is not moved", f.RefSchema, f.RefTable))
			continue
		}
		child, missing := d.pairs(t, f.Columns)
		ref, missingRef := d.pairs(parent, f.RefColumns)
		if missing+missingRef != "" {
			lost("column " + missing + missingRef + " is not taken over")
			continue
		}
		var childNames, refNames []string
		mismatch := ""
		for n := range child {
			a, b := &t.Target.Columns[child[n]], &parent.Target.Columns[ref[n]]
			childNames, refNames = append(childNames, quote(a.Name)), append(refNames, b.Name)
			if !t.Columns[child[n]].pg.alike(parent.Columns[ref[n]].pg) {
				mismatch = fmt.Sprintf("%s is %s, %s.%s is %s", a.Name, a.Type, parent.Source, b.Name, b.Type)
			}
		}
		if mismatch != "" {
			d.mistakes.add("foreign_key_types", object, "both ends of the foreign key must have one type: "+mismatch, "give both columns the same as in transform.types")
			continue
		}
		if !slices.ContainsFunc(d.uniques[parent.Source.String()], func(u []string) bool { return sameSet(u, refNames) }) {
			lost(fmt.Sprintf("columns %s of %s are not unique in the target", strings.Join(refNames, ", "), parent.Target))
			continue
		}
		for _, name := range f.Columns {
			if collation := t.Source.Columns[t.Source.Column(name)].Type.Collation; t.Source.Engine.MySQLish() && collation != "" && !strings.HasSuffix(collation, "_bin") {
				d.warn("foreign_key_collation", object, fmt.Sprintf("under the collation %s a child may be written with other letters than its parent; in the target it may not", collation),
					"bring children and parents into one form on the source, else the foreign key cannot be validated")
				break
			}
		}
		d.addForeignKey(t, parent, f, childNames, refNames)
	}
}

func (d *ddlCompiler) addForeignKey(t, parent *Table, f *catalog.ForeignKey, child, ref []string) {
	for n := range ref {
		ref[n] = quote(ref[n])
	}
	def := fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)", strings.Join(child, ", "), parent.quoted(), strings.Join(ref, ", "))
	for _, rule := range [][2]string{{"DELETE", f.OnDelete}, {"UPDATE", f.OnUpdate}} {
		switch rule[1] {
		case "", "NO ACTION", "RESTRICT": // the same in MySQL, where nothing is deferred; NO ACTION sees the end of the statement
		case "CASCADE", "SET NULL", "SET DEFAULT":
			def += " ON " + rule[0] + " " + rule[1]
		default:
			d.mistakes.add("foreign_key", t.Source.String()+"."+f.Name, fmt.Sprintf("ON %s %s is unknown", rule[0], rule[1]), "run a newer version, or drop the foreign key on the source")
			return
		}
	}
	if f.Deferrable {
		def += " DEFERRABLE"
	}
	if f.Deferred {
		def += " INITIALLY DEFERRED"
	}
	name := d.constraints[t].take(d.rules.Identifiers.fold(f.Name), t.Source.String()+"."+f.Name)
	d.constraint(t, ForeignKeyStatement, name, def+" NOT VALID")
	d.addUndo(t, ForeignKeyStatement, name, "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s", t.quoted(), quote(name))
}

// pairs finds the target columns of source columns; missing names the first that is not taken over.
func (d *ddlCompiler) pairs(t *Table, columns []string) (at []int, missing string) {
	for _, name := range columns {
		i := d.carrierOf(t, name)
		if i < 0 {
			return nil, name
		}
		at = append(at, i)
	}
	return at, ""
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, s := range a {
		if !slices.Contains(b, s) {
			return false
		}
	}
	return true
}
