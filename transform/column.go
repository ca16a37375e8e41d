package transform

import (
	"fmt"
	"slices"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform/expression"
)

// plain takes a source column over, under the name and as the type that a rule gives it, if any. carries: with its default and counter.
func (c *tableCompiler) plain(i int, target, as string, carries bool) {
	s := &c.t.Source.Columns[i]
	if target == "" {
		target = c.rules.Identifiers.fold(s.Name)
	}
	src, ok := sourceTypeOf(c.t.Source.Engine, &s.Type)
	if !ok {
		c.mistakes.add("type", c.object(s.Name), fmt.Sprintf("its type %s cannot be moved", s.Type.Full), "drop the column in transform.tables, or leave the table out of source.tables")
		return
	}
	if c.rules.Engine.MySQLish() {
		c.plainMySQL(i, target, as, carries, src)
		return
	}
	rule := c.typeRuleFor(i)
	pg, atUTC, explicit := src.defaultType(), false, false
	if rule != nil && rule.as != nil {
		pg, atUTC, explicit = *rule.as, rule.atUTC, true
	} else if (as == "" || as == s.Type.Full) && c.same() {
		c.taken(i, target, c.sameType(&s.Type), carries)
		return
	}
	if as != "" {
		var err error
		if pg, atUTC, err = c.targetType(as); err != nil {
			c.mistakes.add("type", c.object(s.Name), "as: "+err.Error(), "write a type that the target can have")
			return
		}
		explicit = true
	}
	if (pg.base == pgInterval || pg.base == pgInet) && (src.class == texts || src.class == printed) { // as PostgreSQL prints it: an interval with months and days, an address with its network
		pg = pgType{base: pgSame, name: pg.String(), held: change.Text}
	}
	pg = pg.complete(src)
	labels := src.labels
	if explicit { // text was asked for, whatever it says
		src.labels, labels = nil, nil
	}
	p := c.policyFor(rule, s.Name)
	conv, err := cast(src, pg, p, atUTC)
	if err != nil {
		c.mistakes.add("cast", c.object(s.Name), fmt.Sprintf("%s as %s: %v", s.Type.Full, pg, err), "map it as another type: without as it becomes "+src.defaultType().String())
		return
	}
	if pg.base == pgUUID && src.class == texts && slices.Contains(c.t.Source.Key, i) { // in one form only, or two keys could become one
		conv = conversion{to: exactUUID, key: true}
	}
	nullable := s.Nullable
	if conv.zero && p.zero == zeroNull && !nullable {
		nullable = true
		c.warn("null_dates", c.object(s.Name), "the column is NOT NULL, and dates that do not exist become NULL: the target column is nullable", "correct the rows on the source, or give zero_date a date that stands for them")
	}
	c.countLossy(s.Name, &conv, p)
	c.add(change.Column{Name: target, Type: pg.String(), Kind: src.kindIn(pg), Nullable: nullable}, s.Name,
		ColumnPlan{Source: i, conversion: conv, pg: pg, labels: labels, carries: carries})
}

// targetType reads a type of a rule. On the way back it may be any that the column has.
func (c *compiler) targetType(as string) (t pgType, atUTC bool, err error) {
	t, atUTC, err = parsePG(as)
	if original := c.originals[as]; original != nil && err != nil {
		kind, _ := original.Kind(change.Postgres)
		return pgType{base: pgSame, name: as, held: kind}, false, nil
	}
	return t, atUTC, err
}

// same: both sides are PostgreSQL, and a type is what it was.
func (c *tableCompiler) same() bool {
	return c.t.Source.Engine == change.Postgres && c.t.Target.Engine == change.Postgres
}

// taken takes a column over as it is.
func (c *tableCompiler) taken(i int, target string, pg pgType, carries bool) {
	s := &c.t.Source.Columns[i]
	conv := conversion{key: true}
	if slices.Contains(c.t.Source.Key, i) && pg.mods == 1 && (pg.base == pgTimestamp || pg.base == pgTimestamptz) {
		conv.to = allDigitsOf(pg.a) // as verification reads them: the same key has to be the same bytes
	}
	c.add(change.Column{Name: target, Type: pg.String(), Kind: pg.kind(), Nullable: s.Nullable}, s.Name,
		ColumnPlan{Source: i, conversion: conv, pg: pg, same: true, carries: carries})
}

// typeRuleFor returns the first rule of Types that matches a column; nil when there is none.
func (c *tableCompiler) typeRuleFor(i int) *typeRule {
	s := &c.t.Source.Columns[i]
	for n := range c.types {
		glob := c.rules.Types[n].Column
		if c.types[n].matches(c.t.Source.Engine, &s.Type) && (glob == nil || glob(c.t.Source.Schema, c.t.Source.Name, s.Name)) {
			c.used[n] = true
			return &c.types[n]
		}
	}
	return nil
}

// policyFor returns the policy of a column of its own, since each counts for itself.
func (c *tableCompiler) policyFor(rule *typeRule, column string) *policy {
	p := &policy{zeroCount: -1, nulCount: -1}
	if rule != nil {
		p.zero, p.standsIn, p.nul, p.filler = rule.zero, rule.standsIn, rule.nul, rule.filler
	}
	return p
}

// countLossy gives policies that may change the column's values a place in the plan's list.
func (c *tableCompiler) countLossy(column string, conv *conversion, p *policy) {
	place := func(rule string) int {
		c.plan.lossy = append(c.plan.lossy, Lossy{Table: c.t.Source.String(), Column: column, Rule: rule})
		return len(c.plan.lossy) - 1
	}
	if conv.zero {
		switch p.zero {
		case zeroNull:
			p.zeroCount = place("zero_date: null")
		case zeroReplace:
			p.zeroCount = place("zero_date: " + p.standsIn)
		}
	}
	if conv.nul {
		switch p.nul {
		case nulStrip:
			p.nulCount = place("nul: strip")
		case nulReplace:
			p.nulCount = place("nul: replace:" + p.filler)
		}
	}
}

// calculated fills a target column from an expression. source is the column that it replaces; -1: none.
func (c *tableCompiler) calculated(source int, r ColumnRule) {
	name := r.Target
	if name == "" {
		name = c.rules.Identifiers.fold(r.Source)
	}
	bad := func(reason, remedy string) {
		c.mistakes.add("value", c.object(name), fmt.Sprintf("value: %s: %s", r.Value, reason), remedy)
	}
	prog, err := expression.Compile(r.Value, c.shape)
	if err != nil {
		bad(err.Error(), "correct the expression")
		return
	}
	src, err := expressionType(prog.Type)
	if err != nil {
		bad(err.Error(), "convert it, with string(), int() or another function")
		return
	}
	if source >= 0 && slices.Contains(c.t.Source.Key, source) && !c.takenOver(source) {
		bad("a key column is calculated", "take the column over and fill another one with the expression")
		return
	}
	if c.rules.Engine.MySQLish() {
		t, conv, err := c.calculatedMySQL(source, name, r, prog, src)
		if err != nil {
			bad(err.Error(), "give the rule another as")
			return
		}
		c.added(source, name, r, prog, change.Column{Name: name, Type: c.typeText(&t), Kind: c.kindOf(&t), Nullable: prog.Nullable}, ColumnPlan{conversion: conv, my: &t}, c.addMySQL)
		return
	}
	pg, atUTC := src.defaultType(), false
	p := &policy{zeroCount: -1, nulCount: -1}
	column := name
	if source >= 0 { // as its source column: its type, if the expression is of that sort, and its policies
		s := &c.t.Source.Columns[source]
		column = s.Name
		rule := c.typeRuleFor(source)
		p = c.policyFor(rule, column)
		if own, ok := sourceTypeOf(c.t.Source.Engine, &s.Type); ok && alike(own.class, src.class) {
			pg = own.defaultType()
			if rule != nil && rule.as != nil {
				pg, atUTC = rule.as.complete(own), rule.atUTC
			}
		}
	}
	if r.As != "" {
		if pg, atUTC, err = parsePG(r.As); err != nil {
			c.mistakes.add("type", c.object(name), "as: "+err.Error(), "write a type that the target can have")
			return
		}
	}
	if pg = pg.complete(src); pg.base == pgBit && source < 0 && r.As == "" {
		bad("bits without a length", "give the rule a type, such as as: bit(8)")
		return
	}
	conv, err := conversion{to: exactBits(pg.a)}, error(nil)
	if src.class != bitStrings || pg.base != pgBit {
		if conv, err = cast(src, pg, p, atUTC); err != nil {
			bad(err.Error(), "give the rule another as")
			return
		}
	}
	c.countLossy(column, &conv, p)
	nullable := prog.Nullable || conv.zero && p.zero == zeroNull
	c.added(source, name, r, prog, change.Column{Name: name, Type: pg.String(), Kind: src.kindIn(pg), Nullable: nullable}, ColumnPlan{conversion: conv, pg: pg}, c.add)
}

// added adds a calculated column.
func (c *tableCompiler) added(source int, name string, r ColumnRule, prog *expression.Program, col change.Column, plan ColumnPlan, add func(change.Column, string, ColumnPlan)) {
	for _, n := range prog.Notes {
		c.remark("value", c.object(name), n, "check that the expression says what is meant")
	}
	if r.Key {
		if !prog.Constant() || col.Nullable {
			c.mistakes.add("key", c.object(name), "key: true on a value that is not a constant", "only a constant can be added to a key; remove it")
		}
		c.keyRules = append(c.keyRules, len(c.t.Columns))
	}
	plan.Source = -1
	if source >= 0 && len(prog.Columns) == 1 && prog.Columns[0] == source {
		plan.Source = source
	}
	plan.Value, plan.Constant, plan.program = r.Value, prog.Constant(), prog
	add(col, name, plan)
}

// takenOver reports whether another rule takes the source column over as it is.
func (c *tableCompiler) takenOver(source int) bool {
	name := c.t.Source.Columns[source].Name
	return slices.ContainsFunc(c.rule.Columns, func(r ColumnRule) bool { return r.Source == name && r.Value == "" && !r.Drop })
}

func alike(a, b class) bool {
	if b == floats {
		return a == floats32 || a == floats64
	}
	return a == b || a == decimals && b == ints
}

// exactBits is for an expression, whose bits have no length that is known before.
func exactBits(n int) converter {
	return func(_ *scratch, v change.Value) (change.Value, error) {
		if len(v.B) != n {
			return v, fmt.Errorf("%d bits for bit(%d)", len(v.B), n)
		}
		return v, nil
	}
}

// add appends a target column, unless its name is taken or impossible.
func (c *tableCompiler) add(col change.Column, from string, plan ColumnPlan) {
	if f := nameFault(col.Name); f != "" {
		c.mistakes.add("name", c.object(from), fmt.Sprintf("its target name %q %s", col.Name, f), "give the column a target name in transform.tables")
		return
	}
	if systemColumns[col.Name] {
		c.mistakes.add("name", c.object(from), fmt.Sprintf("%q is the name of a system column of PostgreSQL", col.Name), "give the column another target name in transform.tables")
		return
	}
	if first, ok := c.byName[col.Name]; ok {
		c.mistakes.add("collision", c.object(from), fmt.Sprintf("it and %s both become column %q", first, col.Name), "give one of them another target name in transform.tables")
		return
	}
	c.byName[col.Name] = from
	c.t.Target.Columns = append(c.t.Target.Columns, col)
	c.t.Columns = append(c.t.Columns, plan)
}

// key makes the target's key: the source's, column by column, then the constants that rules add.
func (c *tableCompiler) key() {
	t := c.t
	if len(t.Source.Key) == 0 {
		c.mistakes.add("no_key", t.Source.String(), "it has neither a primary key nor a unique key over NOT NULL columns", "add one, or leave the table out of source.tables")
		return
	}
	t.KeyHashable, t.Ordered = true, true
	for n, i := range t.Source.Key {
		at := c.carrier(i)
		if at < 0 {
			if !slices.ContainsFunc(c.mistakes, func(f catalog.Finding) bool { return f.Object == c.object(t.Source.Columns[i].Name) }) {
				c.mistakes.add("key_dropped", c.object(t.Source.Columns[i].Name), "a key column is not taken over", "take it over: rows are told apart by it")
			}
			continue
		}
		t.keys = append(t.keys, keyPlan{column: at, source: n})
		c.keyColumn(at, i)
	}
	for _, at := range c.keyRules {
		if at < len(t.Columns) && t.Columns[at].Constant {
			t.keys = append(t.keys, keyPlan{column: at, source: -1})
		}
	}
	for _, k := range t.keys {
		t.Target.Key = append(t.Target.Key, k.column)
	}
}

// carrier is the target column that takes a source column over.
func (c *tableCompiler) carrier(source int) int {
	return slices.IndexFunc(c.t.Columns, func(p ColumnPlan) bool { return p.Source == source && p.program == nil })
}

// keyColumn refuses what could make two keys one, and notes what the key's values allow.
func (c *tableCompiler) keyColumn(at, source int) {
	t, plan := c.t, &c.t.Columns[at]
	s := &t.Source.Columns[source]
	if !plan.conversion.key {
		c.mistakes.add("key_cast", c.object(s.Name), fmt.Sprintf("it is part of the key, and as %s different keys could become one, or not be found again", t.Target.Columns[at].Type),
			"map the column by default and fill another one from it")
	}
	for _, l := range c.plan.lossy {
		if l.Table == t.Source.String() && l.Column == s.Name {
			c.mistakes.add("key_policy", c.object(s.Name), fmt.Sprintf("it is part of the key, and by %q different keys could become one", l.Rule), "except the column from the rule, with a rule of its own before it")
		}
	}
	switch k := t.Target.Columns[at].Kind; {
	case k == change.Int || k == change.Bytes || k == change.Date || plan.pg.base == pgUUID:
	case c.rules.Engine.MySQLish() && t.Source.Engine == change.Postgres && s.Type.Name == "uuid": // in one form
	default:
		t.KeyHashable = false
		t.Ordered = t.Ordered && k != change.Text
	}
	if c.rules.Engine.MySQLish() && t.Source.Engine.MySQLish() {
		return // the same collation, or one that tells more apart
	}
	if s.Type.Collation != "" && t.Source.Engine.MySQLish() {
		t.Ordered = false
		c.remark("key_collation", c.object(s.Name), "keys that differ in case, accents or blanks at the end are one on the source and several in the target", "the application must go on writing keys in one form")
	}
}
