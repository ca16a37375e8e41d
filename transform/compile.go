package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform/expression"
)

// Compile checks the rules against the tables of a source and makes a plan. What is wrong is a [Mistakes] error that names everything.
func Compile(rules Rules, tables []*catalog.Table) (*Plan, error) {
	return (&compiler{rules: rules, plan: &Plan{}, tables: tables, used: make([]bool, len(rules.Types))}).compile()
}

func (c *compiler) compile() (*Plan, error) {
	c.checkRules()
	for _, s := range c.tables {
		if t := c.table(s); t != nil {
			c.plan.tables = append(c.plan.tables, t)
		}
	}
	c.collisions()
	c.ties()
	for i, used := range c.used {
		if r := c.rules.Types[i]; !used && len(c.mistakes) == 0 {
			c.warn("type_rule_unused", "transform.types "+strings.TrimSpace(r.Match+" "+r.Pattern), "no column matches it, or an earlier rule matches them all", "remove it, or correct match and column")
		}
	}
	switch {
	case len(c.mistakes) > 0 || c.originals != nil:
	case c.rules.Engine.MySQLish():
		c.mysqlDDL()
	default:
		c.ddl()
	}
	if len(c.mistakes) > 0 {
		return nil, c.mistakes
	}
	return c.plan, nil
}

type compiler struct {
	rules    Rules
	tables   []*catalog.Table
	plan     *Plan
	mistakes Mistakes
	types    []typeRule
	used     []bool // by index of rules.Types
	// originals are, on the way back, the types of the columns that are filled, which are there already; nil on the way there.
	originals map[string]*catalog.Type
}

// typeRule is a rule of Types, read.
type typeRule struct {
	postgres bool   // for columns of PostgreSQL; else of MySQL and MariaDB
	typ      string // behind "mysql:" or "postgres:"
	as       *pgType
	asText   string // for a MySQL or MariaDB target
	atUTC    bool
	zero     zeroPolicy
	standsIn string
	nul      nulPolicy
	filler   string
}

func (c *compiler) warn(code, object, reason, remedy string) {
	c.plan.findings = append(c.plan.findings, catalog.Finding{Severity: catalog.Warning, Code: "mapping." + code, Object: object, Reason: reason, Remedy: remedy})
}

func (c *compiler) remark(code, object, reason, remedy string) {
	c.plan.findings = append(c.plan.findings, catalog.Finding{Severity: catalog.Info, Code: "mapping." + code, Object: object, Reason: reason, Remedy: remedy})
}

// checkRules looks at what can be judged without a table.
func (c *compiler) checkRules() {
	if c.rules.Engine == "" {
		c.rules.Engine = change.Postgres
	}
	switch c.rules.Identifiers {
	case "":
		c.rules.Identifiers = c.identifiers()
	case Lower, Keep:
	default:
		c.mistakes.add("identifiers", "transform.identifiers", fmt.Sprintf("%q is neither lower nor keep", c.rules.Identifiers), "write one of them")
	}
	if c.rules.Schema == "" && c.rules.Engine == change.Postgres && (len(c.tables) == 0 || c.tables[0].Engine != change.Postgres) {
		c.rules.Schema = "public"
	}
	seen := map[Name]bool{}
	for _, r := range c.rules.Tables {
		if seen[r.Source] {
			c.mistakes.add("rule_twice", r.Source.String(), "two rules name this table", "make one rule of them")
		}
		seen[r.Source] = true
		if !slices.ContainsFunc(c.tables, func(t *catalog.Table) bool { return t.Schema == r.Source.Schema && t.Name == r.Source.Table }) {
			c.mistakes.add("unknown_table", r.Source.String(), "a rule names this table, which is not among those selected"+c.similar(r.Source), "correct the name, select the table in source.tables, or remove the rule")
		}
	}
	c.types = make([]typeRule, len(c.rules.Types))
	for i, r := range c.rules.Types {
		c.types[i] = c.typeRule(r)
	}
}

// identifiers: names go on as they are where both sides write them alike.
func (c *compiler) identifiers() Identifiers {
	for _, t := range c.tables {
		if t.Engine.MySQLish() != c.rules.Engine.MySQLish() {
			return Lower
		}
	}
	return Keep
}

func (c *compiler) similar(n Name) string {
	for _, t := range c.tables {
		if strings.EqualFold(t.Schema, n.Schema) && strings.EqualFold(t.Name, n.Table) {
			return fmt.Sprintf(" (there is %s)", t)
		}
	}
	return ""
}

func (c *compiler) typeRule(r TypeRule) (out typeRule) {
	object := "transform.types " + strings.TrimSpace(r.Match+" "+r.Pattern)
	engine, typ, _ := strings.Cut(strings.ToLower(r.Match), ":")
	out.typ = strings.Join(strings.Fields(typ), " ")
	name, _, _ := strings.Cut(out.typ, " ")
	name, _, _ = strings.Cut(name, "(")
	out.postgres = engine == "postgres"
	switch {
	case len(c.tables) > 0 && c.tables[0].Engine == change.Postgres:
		if !out.postgres || name == "" {
			c.mistakes.add("type_rule", object, fmt.Sprintf("%q is not a type of PostgreSQL", r.Match), `write postgres:type, such as postgres:numeric, postgres:character varying(20) or postgres:timestamp with time zone`)
		}
	case engine != "mysql" && engine != "mariadb" || !mysqlTypes[name]:
		c.mistakes.add("type_rule", object, fmt.Sprintf("%q is not a type of MySQL", r.Match), "write mysql:type, such as mysql:datetime, mysql:tinyint(1) or mysql:bigint unsigned")
	}
	if c.rules.Engine.MySQLish() {
		if out.asText = r.As; r.As != "" {
			if _, err := parseMySQL(r.As); err != nil {
				c.mistakes.add("type", object, "as: "+err.Error(), "write a type that the target can have")
			}
		}
	} else if r.As != "" {
		t, atUTC, err := parsePG(r.As)
		if err != nil {
			c.mistakes.add("type", object, "as: "+err.Error(), "write a type that the target can have")
		} else {
			out.as, out.atUTC = &t, atUTC
		}
	}
	var err error
	if out.zero, out.standsIn, err = parseZeroDate(r.ZeroDate); err != nil {
		c.mistakes.add("zero_date", object, err.Error(), "write error, null, or the date that stands for those that do not exist")
	}
	if out.nul, out.filler, err = parseNUL(r.NUL); err != nil {
		c.mistakes.add("nul", object, err.Error(), "write error, strip or replace:X")
	}
	return out
}

// matches reports whether a rule is for this type.
func (r typeRule) matches(e change.Engine, t *catalog.Type) bool {
	if r.postgres != (e == change.Postgres) {
		return false
	}
	full := strings.Join(strings.Fields(strings.ToLower(t.Full)), " ")
	return r.typ == t.Name || r.typ == full || t.Unsigned && r.typ == t.Name+" unsigned"
}

// table compiles one table; nil when it has no target.
func (c *compiler) table(s *catalog.Table) *Table {
	rule := TableRule{Source: Name{s.Schema, s.Name}}
	for _, r := range c.rules.Tables {
		if r.Source == rule.Source {
			rule = r
		}
	}
	t := &Table{Source: s, Target: &change.Table{Engine: c.rules.Engine, Source: s.String()}}
	t.Target.Schema, t.Target.Name = c.targetName(s, rule)
	schemaFault, nameFault := schemaFault, nameFault
	if c.rules.Engine.MySQLish() {
		schemaFault, nameFault = mysqlSchemaFault, mysqlNameFault
	}
	if f := schemaFault(t.Target.Schema); f != "" {
		c.mistakes.add("schema", s.String(), fmt.Sprintf("its target schema %q %s", t.Target.Schema, f), "place the table in another schema, with target.schema or a rule")
	}
	if f := nameFault(t.Target.Name); f != "" {
		c.mistakes.add("name", s.String(), fmt.Sprintf("its target name %q %s", t.Target.Name, f), "give the table a target name in transform.tables")
	}
	tc := &tableCompiler{compiler: c, t: t, rule: rule, shape: s.Shape()}
	tc.columns()
	tc.filter()
	tc.key()
	t.Target.ID() // before others share it
	return t
}

func (c *compiler) targetName(s *catalog.Table, rule TableRule) (schema, name string) {
	schema, name = rule.Target.Schema, rule.Target.Table
	if schema == "" {
		schema = c.targetSchema(s.Schema)
	}
	if name == "" {
		name = c.rules.Identifiers.fold(s.Name)
	}
	return schema, name
}

// targetSchema is where the tables of a schema go that no rule places.
func (c *compiler) targetSchema(source string) string {
	schema := c.rules.Schema
	if schema == "" {
		schema = source
	}
	for _, r := range c.rules.Schemas {
		if r.Source == source {
			schema = r.Target
		}
	}
	return schema
}

// collisions refuses two tables in one place.
func (c *compiler) collisions() {
	seen := map[Name]*Table{}
	for _, t := range c.plan.tables {
		n := Name{t.Target.Schema, t.Target.Name}
		if first := seen[n]; first != nil {
			c.mistakes.add("collision", t.Source.String(), fmt.Sprintf("it and %s both become %s", first.Source, n), "give one of them another target in transform.tables (tables cannot be merged)")
			continue
		}
		seen[n] = t
	}
}

// tableCompiler compiles one table.
type tableCompiler struct {
	*compiler
	t     *Table
	rule  TableRule
	shape *change.Table
	// replaced holds the source columns that a rule names: they are not passed through.
	replaced map[int]bool
	byName   map[string]string // what fills a target column, for messages
	keyRules []int             // target columns that a rule adds to the key
}

func (c *tableCompiler) object(column string) string { return c.t.Source.String() + "." + column }

// columns makes the target's columns: those of the source in their order, each with what its rules make of it, then the calculated ones.
func (c *tableCompiler) columns() {
	c.replaced, c.byName = map[int]bool{}, map[string]string{}
	rules := make(map[int][]ColumnRule)
	var added []ColumnRule
	for _, r := range c.rule.Columns {
		if !c.checkColumnRule(r) {
			continue
		}
		if r.Source == "" {
			added = append(added, r)
			continue
		}
		i := c.t.Source.Column(r.Source)
		if i < 0 {
			c.mistakes.add("unknown_column", c.object(r.Source), "a rule names this column, which the table does not have"+c.similarColumn(r.Source), "correct the name or remove the rule")
			continue
		}
		c.replaced[i] = true
		rules[i] = append(rules[i], r)
	}
	for i := range c.t.Source.Columns {
		switch {
		case c.replaced[i]:
			c.ruled(i, rules[i])
		case c.same() && c.t.Source.Columns[i].Generated != "": // which the target generates too
			c.t.regenerate = append(c.t.regenerate, i)
		default:
			c.plain(i, "", "", true)
		}
	}
	for _, r := range added {
		c.calculated(-1, r)
	}
	if len(c.t.Target.Columns) == 0 {
		c.mistakes.add("no_columns", c.t.Source.String(), "every column is dropped", "keep the key at least, or leave the table out of source.tables")
	}
	c.unsent()
}

func (c *tableCompiler) similarColumn(name string) string {
	for i := range c.t.Source.Columns {
		if n := c.t.Source.Columns[i].Name; strings.EqualFold(n, name) {
			return fmt.Sprintf(" (there is %s)", n)
		}
	}
	return ""
}

func (c *tableCompiler) checkColumnRule(r ColumnRule) bool {
	name := r.Source
	if name == "" {
		name = r.Target
	}
	bad := func(reason, remedy string) bool {
		c.mistakes.add("column_rule", c.object(name), reason, remedy)
		return false
	}
	switch {
	case r.Mask != "":
		return bad("mask is not built yet", "use value with an expression, such as sha256(string(x)), or drop the column")
	case r.Source == "" && r.Target == "":
		return bad("a rule names no column", "give source, or target and value")
	case r.Drop && (r.Source == "" || r.Target != "" || r.Value != "" || r.As != "" || r.Key):
		return bad("drop stands beside target, value, as or key", "a dropped column has source only")
	case r.Source == "" && r.Value == "":
		return bad("a rule has target only", "give source to rename a column, or value to calculate one")
	case r.Source == "" && r.Target != "" && r.Value != "" && c.passedThrough(r.Target):
		return bad("a value for a column that also passes through", "name the column as source of the rule too, to replace it")
	}
	return true
}

// passedThrough reports whether a source column without a rule fills the target column of that name.
func (c *tableCompiler) passedThrough(target string) bool {
	for i := range c.t.Source.Columns {
		n := c.t.Source.Columns[i].Name
		if c.rules.Identifiers.fold(n) == target && !slices.ContainsFunc(c.rule.Columns, func(r ColumnRule) bool { return r.Source == n }) {
			return true
		}
	}
	return false
}

// ruled makes what the rules of one source column say.
func (c *tableCompiler) ruled(i int, rules []ColumnRule) {
	dropped := slices.ContainsFunc(rules, func(r ColumnRule) bool { return r.Drop })
	if dropped && len(rules) > 1 {
		c.mistakes.add("column_rule", c.object(rules[0].Source), "it is dropped and has another rule", "remove one of them")
		return
	}
	if dropped {
		if slices.Contains(c.t.Source.Key, i) {
			c.mistakes.add("key_dropped", c.object(rules[0].Source), "a key column is dropped", "keep it: rows are told apart by it")
		}
		return
	}
	carries := true // the first column that takes the source column over takes its default and counter too
	for _, r := range rules {
		if r.Key {
			c.mistakes.add("key", c.object(r.Source), "key: true on a column of the source", "it is for constants that are added to the key; remove it")
		}
		if r.Value != "" {
			c.calculated(i, r)
		} else {
			c.plain(i, r.Target, r.As, carries)
			carries = false
		}
	}
}

// stale refuses generated columns whose values the log does not have: MariaDB's has old ones in the new image of an update, PostgreSQL's has none.
func (c *tableCompiler) stale(columns ...int) {
	for _, i := range columns {
		s := &c.t.Source.Columns[i]
		if s.Generated == "" || c.t.Source.Engine == change.MySQL {
			continue
		}
		reason := "it is generated, and MariaDB's log does not carry its new value when a row is updated"
		if c.t.Source.Engine == change.Postgres {
			reason = "it is generated, and PostgreSQL's log does not carry its value"
		}
		c.mistakes.add("generated", c.object(s.Name), reason,
			"drop it in transform.tables, and generate it in the target or calculate it by value from the columns that it is made of")
	}
}

// unsent warns about columns that the application must fill itself after the move.
func (c *tableCompiler) unsent() {
	for i := range c.t.Columns {
		col := &c.t.Columns[i]
		switch {
		case col.program != nil:
			c.stale(col.program.Columns...)
		case col.Source >= 0:
			c.stale(col.Source)
		}
		if col.Source < 0 || col.program != nil || c.t.Source.Columns[col.Source].Generated == "" {
			continue
		}
		s := &c.t.Source.Columns[col.Source]
		c.warn("generated", c.object(s.Name), fmt.Sprintf("it is generated as %s; in the target it is a plain column with the values of the source", s.Generated),
			"after the cutover the application fills it, or drop it from the mapping and generate it in the target")
	}
}

func (c *tableCompiler) filter() {
	if c.rule.Where == "" {
		return
	}
	p, err := expression.CompileCondition(c.rule.Where, c.shape)
	if err != nil {
		c.mistakes.add("where", c.t.Source.String(), fmt.Sprintf("where: %s: %v", c.rule.Where, err), "correct the condition")
		return
	}
	c.t.where, c.t.Filtered = p, true
	c.stale(p.Columns...)
	for _, n := range p.Notes {
		c.remark("where", c.t.Source.String(), n, "check that the condition says what is meant")
	}
}
