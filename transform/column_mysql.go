package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform/expression"
)

// plainMySQL takes a source column over into a MySQL or MariaDB target.
func (c *tableCompiler) plainMySQL(i int, target, as string, carries bool, src sourceType) {
	s := &c.t.Source.Columns[i]
	rule := c.typeRuleFor(i)
	if as == "" && rule != nil {
		as = rule.asText
	}
	t, same, err := c.mysqlType(s, src, as, i)
	if err != nil {
		c.mistakes.add("type", c.object(s.Name), "as: "+err.Error(), "write a type that the target can have")
		return
	}
	var conv conversion
	p := c.policyFor(rule, s.Name)
	t.oneZero = c.rules.Engine == change.MariaDB && c.t.Source.Engine != change.MariaDB
	if same && !(t.oneZero && (t.values.class == floats32 || t.values.class == floats64)) {
		conv = conversion{key: true}
	} else if conv, err = castMySQL(src, &t, p); err != nil {
		def := src.mysqlDefault(false, 0)
		c.mistakes.add("cast", c.object(s.Name), fmt.Sprintf("%s as %s: %v", s.Type.Full, t.Full, err), "map it as another type: without as it becomes "+def.Full)
		return
	}
	c.addMySQL(change.Column{Name: target, Type: c.typeText(&t), Kind: c.kindOf(&t), Nullable: s.Nullable}, s.Name,
		ColumnPlan{Source: i, conversion: conv, my: &t, same: same, carries: carries})
}

// mysqlType finds the type of a target column; same says that it is the source's.
func (c *tableCompiler) mysqlType(s *catalog.Column, src sourceType, as string, i int) (t myType, same bool, err error) {
	if as != "" && !(alikeMySQL(as, s.Type.Full) && (c.t.Source.Engine == c.rules.Engine || c.keepsMySQL(&s.Type))) {
		t, err = parseMySQL(as)
		return t, false, err
	}
	if c.t.Source.Engine.MySQLish() {
		if t, same = mysqlSame(&s.Type, c.t.Source.Engine, c.rules.Engine); same {
			return t, true, nil
		}
	}
	indexed, share := c.indexed(i)
	if src.labels != nil && len(strings.Join(src.labels, "")) > 60000 {
		src.labels = nil
	}
	return src.mysqlDefault(indexed, share), false, nil
}

// keepsMySQL: on the way back a type that MySQL and MariaDB share is what it was, also one that nothing else becomes.
func (c *tableCompiler) keepsMySQL(t *catalog.Type) bool {
	if c.originals == nil || !c.t.Source.Engine.MySQLish() {
		return false
	}
	_, same := mysqlSame(t, c.t.Source.Engine, c.rules.Engine)
	return same
}

// indexed reports whether a column is part of a key or of an index over whole columns, and how many characters of an entry it may have at most.
func (c *tableCompiler) indexed(i int) (bool, int) {
	parts := 0
	count := func(columns []string) {
		n, in := 0, false
		for _, name := range columns {
			at := c.t.Source.Column(name)
			if at < 0 {
				return
			}
			in = in || at == i
			switch s, _ := sourceTypeOf(c.t.Source.Engine, &c.t.Source.Columns[at].Type); s.class {
			case texts, binaries, printed:
				n++
			}
		}
		if in {
			parts = max(parts, n)
		}
	}
	var key []string
	for _, k := range c.t.Source.Key {
		key = append(key, c.t.Source.Columns[k].Name)
	}
	count(key)
	for x := range c.t.Source.Indexes {
		var names []string
		for _, part := range c.t.Source.Indexes[x].Columns {
			names = append(names, part.Name)
		}
		count(names)
	}
	if parts == 0 {
		return false, 0
	}
	return true, min(700, maxEntryChars/parts-2)
}

// typeText is the type as the target's catalog writes it.
func (c *compiler) typeText(t *myType) string {
	if c.rules.Engine == change.MariaDB && t.Name == "json" { // it is another name there
		return "longtext"
	}
	return t.Full
}

// kindOf is the form of the values that the target's catalog gives a type.
func (c *compiler) kindOf(t *myType) change.Kind {
	if c.rules.Engine == change.MariaDB && t.Name == "json" {
		return change.JSON
	}
	k, _ := t.Kind(c.rules.Engine)
	return k
}

// calculatedMySQL makes the type and the conversion of a calculated column.
func (c *tableCompiler) calculatedMySQL(source int, name string, r ColumnRule, prog *expression.Program, src sourceType) (t myType, conv conversion, err error) {
	t = src.mysqlDefault(r.Key, maxEntryChars/4)
	if source >= 0 {
		if own, ok := sourceTypeOf(c.t.Source.Engine, &c.t.Source.Columns[source].Type); ok && alike(own.class, src.class) {
			t = own.mysqlDefault(false, 0)
		}
	}
	if r.As != "" {
		if t, err = parseMySQL(r.As); err != nil {
			return t, conv, err
		}
	}
	if src.class == bitStrings {
		return t, conv, fmt.Errorf("bits in an expression: convert them with int()")
	}
	t.oneZero = c.rules.Engine == change.MariaDB
	conv, err = castMySQL(src, &t, &policy{zeroCount: -1, nulCount: -1})
	return t, conv, err
}

// addMySQL appends a target column, unless its name is taken or impossible. Names of columns do not differ by their letters' case alone.
func (c *tableCompiler) addMySQL(col change.Column, from string, plan ColumnPlan) {
	if f := mysqlNameFault(col.Name); f != "" {
		c.mistakes.add("name", c.object(from), fmt.Sprintf("its target name %q %s", col.Name, f), "give the column a target name in transform.tables")
		return
	}
	for name, first := range c.byName {
		if strings.EqualFold(name, col.Name) {
			c.mistakes.add("collision", c.object(from), fmt.Sprintf("it and %s both become column %q", first, col.Name), "give one of them another target name in transform.tables")
			return
		}
	}
	c.byName[col.Name] = from
	c.t.Target.Columns = append(c.t.Target.Columns, col)
	c.t.Columns = append(c.t.Columns, plan)
}

// mysqlNameFault says why a name cannot be used in a MySQL or MariaDB target; empty when it can.
func mysqlNameFault(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len([]rune(name)) > 64:
		return fmt.Sprintf("has %d characters, MySQL's names have at most 64", len([]rune(name)))
	case strings.ContainsRune(name, 0):
		return "contains the character 0x00"
	case strings.HasSuffix(name, " "):
		return "ends in a blank"
	case slices.ContainsFunc([]rune(name), func(r rune) bool { return r > 0xffff }):
		return "contains a character outside the basic plane"
	}
	return ""
}

// mysqlSchemaFault does the same for a database.
func mysqlSchemaFault(name string) string {
	switch strings.ToLower(name) {
	case "crossfade":
		return "is crossfade's own"
	case "mysql", "information_schema", "performance_schema", "sys":
		return "is the server's own"
	}
	return mysqlNameFault(name)
}
