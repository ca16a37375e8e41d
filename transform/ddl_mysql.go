package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// quoteMySQL writes an identifier of MySQL.
func quoteMySQL(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// mysqlLiteral writes a string literal under the default modes, in which a backslash escapes.
func mysqlLiteral(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(s) + "'"
}

func (t *Table) quotedMySQL() string {
	return quoteMySQL(t.Target.Schema) + "." + quoteMySQL(t.Target.Name)
}

// mysqlDDL makes the statements of a MySQL or MariaDB target. Statements that find their index or foreign key there already are answered with an error that
// the target takes for done.
func (c *compiler) mysqlDDL() {
	d := &ddlCompiler{compiler: c, spaces: map[string]namespace{}, after: map[StatementKind][]Statement{}, undo: map[StatementKind][]Statement{}, uniques: map[string][][]string{}, constraints: map[*Table]namespace{}}
	for _, t := range c.plan.tables {
		if d.spaces[t.Target.Schema] == nil {
			d.spaces[t.Target.Schema] = namespace{}
			d.before = append(d.before, Statement{Object: t.Target.Schema, Kind: SchemaStatement, SQL: "CREATE DATABASE IF NOT EXISTS " + quoteMySQL(t.Target.Schema)})
		}
		d.tableMySQL(t)
	}
	for _, t := range c.plan.tables {
		d.indexesMySQL(t)
		d.restMySQL(t)
		t.OneLane = !t.KeyHashable || t.Unique
	}
	for _, t := range c.plan.tables {
		d.foreignKeysMySQL(t)
	}
	d.sequencesMySQL()
	c.plan.ddl[Before] = d.before
	for _, k := range afterOrder {
		c.plan.ddl[After] = append(c.plan.ddl[After], d.after[k]...)
	}
	for _, k := range []StatementKind{ForeignKeyStatement, TableStatement} {
		c.plan.ddl[Undo] = append(c.plan.ddl[Undo], d.undo[k]...)
	}
}

func (d *ddlCompiler) tableMySQL(t *Table) {
	source := t.Source.String()
	var lines []string
	for i := range t.Columns {
		lines = append(lines, d.columnMySQL(t, i))
	}
	lines = append(lines, "PRIMARY KEY ("+columnsMySQL(t, t.Target.Key)+")")
	for i := range t.Columns { // a counter has to begin an index
		if t.counted(i) != nil && t.Target.Key[0] != i {
			lines = append(lines, fmt.Sprintf("KEY %s (%s)", quoteMySQL("crossfade_counter"), quoteMySQL(t.Target.Columns[i].Name)))
		}
	}
	collation := exactCollation(d.rules.Engine)
	if t.Source.Engine == d.rules.Engine && t.Source.Collation != "" {
		collation = t.Source.Collation
	}
	charset, _, _ := strings.Cut(collation, "_")
	options := fmt.Sprintf("ENGINE=InnoDB DEFAULT CHARACTER SET %s COLLATE %s", charset, collation)
	if t.Source.Comment != "" {
		options += " COMMENT=" + mysqlLiteral(t.Source.Comment)
	}
	d.before = append(d.before, Statement{Table: source, Object: t.Target.String(), Kind: TableStatement,
		SQL: fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (\n    %s\n) %s", t.quotedMySQL(), strings.Join(lines, ",\n    "), options)})
	d.addUndo(t, TableStatement, t.Target.String(), "DROP TABLE IF EXISTS %s", t.quotedMySQL())
	d.keyIsUnique(t)
}

func columnsMySQL(t *Table, columns []int) string {
	var names []string
	for _, i := range columns {
		names = append(names, quoteMySQL(t.Target.Columns[i].Name))
	}
	return strings.Join(names, ", ")
}

func (d *ddlCompiler) columnMySQL(t *Table, i int) string {
	col, plan := &t.Target.Columns[i], &t.Columns[i]
	line := quoteMySQL(col.Name) + " " + plan.my.Full
	if plan.my.textual() {
		charset, collation := "utf8mb4", exactCollation(d.rules.Engine)
		if plan.same && t.Source.Engine == d.rules.Engine && plan.my.Collation != "" {
			charset, collation = plan.my.Charset, plan.my.Collation
		}
		line += " CHARACTER SET " + charset + " COLLATE " + collation
	}
	if !col.Nullable {
		line += " NOT NULL"
	} else {
		line += " NULL"
	}
	if t.counted(i) != nil {
		if plan.my.values.class == ints {
			line += " AUTO_INCREMENT"
		} else {
			d.warn("counter", t.Source.String()+"."+col.Name, fmt.Sprintf("the numbers cannot go on in a column of type %s", col.Type), "the application gives the values after the cutover")
		}
	} else if def := d.defaultMySQL(t, i); def != "" {
		line += " DEFAULT " + def
	}
	if plan.Source >= 0 && plan.carries && plan.program == nil {
		s := &t.Source.Columns[plan.Source]
		if s.OnUpdateNow && (plan.my.values.class == datetimes || plan.my.values.class == timestamps) {
			line += fmt.Sprintf(" ON UPDATE CURRENT_TIMESTAMP(%d)", plan.my.Fraction)
		}
		if s.Comment != "" {
			line += " COMMENT " + mysqlLiteral(s.Comment)
		}
	}
	return line
}

var (
	ofASequence    = regexp.MustCompile(`(?i)\b(nextval|lastval|setval)\s*\(|\bnext value for\b`)
	postgresNumber = regexp.MustCompile(`^\(?(-?\d+(\.\d+)?)\)?(::[a-z ]+)?$`)
	postgresNow    = regexp.MustCompile(`(?i)^(now\(\)|current_timestamp|localtimestamp|statement_timestamp\(\)|transaction_timestamp\(\)|clock_timestamp\(\))(\(\d\))?(::[a-z ]+)?$`)
)

// defaultMySQL writes the default of a column that takes its source column's over; empty when it has none.
func (d *ddlCompiler) defaultMySQL(t *Table, i int) string {
	plan := &t.Columns[i]
	if plan.Source < 0 || !plan.carries || plan.program != nil {
		return ""
	}
	s := &t.Source.Columns[plan.Source]
	if s.Default == nil || s.Generated != "" {
		return ""
	}
	var out string
	if t.Source.Engine == change.Postgres {
		out = d.fromPostgresDefault(*s.Default, plan)
	} else {
		out = mysqlDefaultText(s, plan, t.Source.Engine == d.rules.Engine)
	}
	if out == "" {
		d.warn("default", t.Source.String()+"."+s.Name, fmt.Sprintf("the default %s is not carried over", *s.Default), "add a default to the target column by hand, or have the application give the value")
	}
	return out
}

// fromPostgresDefault translates what is common: numbers, texts, booleans and the time.
func (d *ddlCompiler) fromPostgresDefault(expr string, plan *ColumnPlan) string {
	switch m := postgresNumber.FindStringSubmatch(expr); {
	case m != nil && slices.Contains([]class{ints, decimals, floats32, floats64}, plan.my.values.class):
		return m[1]
	case expr == "true" || expr == "false":
		if plan.my.values.class == ints {
			return map[string]string{"true": "1", "false": "0"}[expr]
		}
	case postgresNow.MatchString(expr) && (plan.my.values.class == datetimes || plan.my.values.class == timestamps):
		return fmt.Sprintf("CURRENT_TIMESTAMP(%d)", plan.my.Fraction)
	case strings.HasPrefix(expr, "NULL"):
		return "NULL"
	}
	if m := textOfAType.FindStringSubmatch(expr); m != nil && (plan.my.values.class == texts || plan.my.values.class == dates) {
		v := mysqlLiteral(strings.ReplaceAll(m[1][1:len(m[1])-1], "''", "'"))
		if textBytes[plan.my.Name] > 0 || plan.my.Name == "longtext" {
			return "(" + v + ")"
		}
		return v
	}
	return ""
}

// mysqlDefaultText writes a default of MySQL or MariaDB for the same column elsewhere; an expression only for the same engine.
func mysqlDefaultText(s *catalog.Column, plan *ColumnPlan, sameEngine bool) string {
	def := *s.Default
	switch {
	case !plan.same:
		return ""
	case s.DefaultIsExpr && nowDefault.MatchString(strings.ToLower(def)):
		return fmt.Sprintf("CURRENT_TIMESTAMP(%d)", plan.my.Fraction)
	case s.DefaultIsExpr && strings.EqualFold(def, "null"):
		return "NULL"
	case s.DefaultIsExpr && (!sameEngine || ofASequence.MatchString(def)): // sequences of MariaDB are not moved
		return ""
	case s.DefaultIsExpr:
		return "(" + def + ")"
	case strings.HasPrefix(def, "0x") && plan.my.values.class == binaries, strings.HasPrefix(def, "b'") && plan.my.values.class == bitStrings:
		return def
	}
	v := mysqlLiteral(def)
	if textBytes[plan.my.Name] > 0 || plan.my.Name == "longtext" || plan.my.Name == "json" {
		return "(" + v + ")"
	}
	return v
}

func (d *ddlCompiler) indexesMySQL(t *Table) {
	names := namespace{"primary": true}
	for i := range t.Source.Indexes {
		if x := &t.Source.Indexes[i]; x.Name != t.Source.KeyName {
			d.indexMySQL(t, x, names)
		}
	}
}

func (d *ddlCompiler) indexMySQL(t *Table, x *catalog.Index, names namespace) {
	lost := func(reason string) {
		remedy := "make one by hand after the move, if it is wanted"
		if x.Unique || x.Exclusion {
			reason, remedy = reason+": the target does not enforce it", "make it by hand after the move, before the application writes"
		}
		d.warn("index", t.Source.String()+"."+x.Name, reason, remedy)
	}
	kind := map[string]string{"BTREE": "INDEX", "HASH": "INDEX", "btree": "INDEX", "hash": "INDEX", "FULLTEXT": "FULLTEXT INDEX", "SPATIAL": "SPATIAL INDEX"}[x.Method]
	switch {
	case kind == "":
		lost(fmt.Sprintf("an index of the method %s is not built", x.Method))
		return
	case x.Exclusion, x.Invalid:
		lost("an exclusion constraint, or an index whose building has failed, is not built")
		return
	case x.Deferrable:
		d.mistakes.add("deferrable", t.Source.String()+"."+x.Name, "it is checked at commit, which MySQL and MariaDB do not have: values that are swapped in a transaction would collide",
			"drop the constraint on the source, or make it NOT DEFERRABLE")
		return
	case x.Where != "":
		lost("an index over some of the rows is not built: MySQL has none")
		return
	}
	var parts, columns []string
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
		text, prefix := quoteMySQL(t.Target.Columns[at].Name), part.Prefix
		if my := t.Columns[at].my; prefix == 0 && kind == "INDEX" && my.Length == 0 && (my.textual() && my.Labels == nil || my.values.class == binaries && my.Name != "geometry") {
			if x.Unique {
				lost(fmt.Sprintf("column %s of type %s can only be indexed by its beginning", part.Name, my.Full))
				return
			}
			prefix = 255
		} else if my.values.class == jsons {
			lost("column " + part.Name + " of type json cannot be indexed")
			return
		}
		if prefix > 0 && kind == "INDEX" {
			whole = false
			text += fmt.Sprintf("(%d)", prefix)
		}
		if part.Desc {
			text += " DESC"
		}
		parts, columns = append(parts, text), append(columns, t.Target.Columns[at].Name)
	}
	statement, create := IndexStatement, "CREATE "+kind
	if x.Unique {
		statement, create = UniqueStatement, "CREATE UNIQUE INDEX"
		t.Unique = t.Unique || !whole || !impliedByKey(t, columns)
		if whole {
			d.uniques[t.Source.String()] = append(d.uniques[t.Source.String()], columns)
		}
	}
	name := names.take(d.rules.Identifiers.fold(x.Name), t.Source.String()+"."+x.Name)
	if d.looksUp(t, x) {
		d.before = append(d.before, Statement{Table: t.Source.String(), Object: name, Kind: statement, SQL: fmt.Sprintf("%s %s ON %s (%s)", create, quoteMySQL(name), t.quotedMySQL(), strings.Join(parts, ", "))})
		return
	}
	d.addAfter(t, statement, name, "%s %s ON %s (%s)", create, quoteMySQL(name), t.quotedMySQL(), strings.Join(parts, ", "))
}

func (d *ddlCompiler) foreignKeysMySQL(t *Table) {
	for i := range t.Source.ForeignKeys {
		f := &t.Source.ForeignKeys[i]
		lost := func(reason string) {
			d.warn("foreign_key", t.Source.String()+"."+f.Name, "the foreign key is not carried over: "+reason, "add one by hand after the move, if it is wanted")
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
		mismatch := false
		var refNames []string
		for n := range child {
			a, b := t.Columns[child[n]].my, parent.Columns[ref[n]].my
			mismatch = mismatch || a.Name != b.Name || a.Unsigned != b.Unsigned
			refNames = append(refNames, parent.Target.Columns[ref[n]].Name)
		}
		switch {
		case f.NotValid:
			lost("the source has not validated it")
			continue
		case f.Deferrable:
			lost("it may be checked at commit, which MySQL does not have")
			continue
		case mismatch:
			lost("its two ends have other types in the target")
			continue
		case f.OnDelete == "SET DEFAULT" || f.OnUpdate == "SET DEFAULT":
			lost("SET DEFAULT is nothing that InnoDB does")
			continue
		case !slices.ContainsFunc(d.uniques[parent.Source.String()], func(u []string) bool { return sameSet(u, refNames) }):
			lost(fmt.Sprintf("columns %s of %s are not unique in the target", strings.Join(refNames, ", "), parent.Target))
			continue
		}
		d.collatedMySQL(t, f)
		def := fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)", columnsMySQL(t, child), parent.quotedMySQL(), columnsMySQL(parent, ref))
		for _, rule := range [][2]string{{"DELETE", f.OnDelete}, {"UPDATE", f.OnUpdate}} {
			if rule[1] != "" && rule[1] != "NO ACTION" {
				def += " ON " + rule[0] + " " + rule[1]
			}
		}
		name := d.spaces[t.Target.Schema].take(d.rules.Identifiers.fold(f.Name), t.Source.String()+"."+f.Name)
		d.addAfter(t, ForeignKeyStatement, name, "ALTER TABLE %s ADD CONSTRAINT %s %s", t.quotedMySQL(), quoteMySQL(name), def)
		d.addUndo(t, ForeignKeyStatement, name, "ALTER TABLE %s DROP FOREIGN KEY %s", t.quotedMySQL(), quoteMySQL(name))
	}
}

// collatedMySQL warns where a child may have been written with other letters than its parent, which the exact collation of the other engine does not take.
func (d *ddlCompiler) collatedMySQL(t *Table, f *catalog.ForeignKey) {
	if t.Source.Engine == d.rules.Engine || t.Source.Engine == change.Postgres {
		return
	}
	for _, name := range f.Columns {
		if collation := t.Source.Columns[t.Source.Column(name)].Type.Collation; collation != "" && !strings.HasSuffix(collation, "_bin") {
			d.warn("foreign_key_collation", t.Source.String()+"."+f.Name, fmt.Sprintf("under the collation %s a child may be written with other letters than its parent; in the target it may not", collation),
				"bring children and parents into one form on the source, else the foreign key cannot be made")
			return
		}
	}
}

// restMySQL warns about what is not carried over.
func (d *ddlCompiler) restMySQL(t *Table) {
	for _, c := range t.Source.Checks {
		d.warn("check", t.Source.String()+"."+c.Name, fmt.Sprintf("the check constraint %s is not carried over", c.Expr), "add it to the target by hand after the move, if it is wanted")
	}
	for _, name := range t.Source.Triggers {
		d.warn("trigger", t.Source.String()+"."+name, "triggers are not carried over; their row changes on the source arrive as rows", "write the trigger for the target by hand after the cutover")
	}
	if t.Source.Partitioned {
		d.warn("partitioned", t.Source.String(), "the target table is not partitioned", "make the target table by hand with target.create: false, if it should be")
	}
}
