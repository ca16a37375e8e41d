package transform

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// postgresTypeOf describes a PostgreSQL column's values. Every type has a text; those without a class of their own are that.
func postgresTypeOf(t *catalog.Type) sourceType {
	signed := func(bits int) sourceType {
		return sourceType{class: ints, low: -1 << (bits - 1), high: math.MaxUint64 >> (65 - bits)}
	}
	switch t.Name {
	case "smallint":
		return signed(16)
	case "integer":
		return signed(32)
	case "bigint":
		return signed(64)
	case "numeric":
		return sourceType{class: decimals, precision: t.Precision, scale: t.Scale}
	case "real":
		return sourceType{class: floats32}
	case "double precision":
		return sourceType{class: floats64}
	case "boolean":
		return sourceType{class: bools}
	case "character":
		return sourceType{class: texts, length: t.Length, padded: true}
	case "character varying":
		return sourceType{class: texts, length: t.Length}
	case "text":
		return sourceType{class: texts}
	case "bytea":
		return sourceType{class: binaries}
	case "date":
		return sourceType{class: dates}
	case "timestamp without time zone":
		return sourceType{class: datetimes, fraction: t.Fraction}
	case "timestamp with time zone":
		return sourceType{class: timestamps, fraction: t.Fraction}
	case "time without time zone":
		return sourceType{class: times, fraction: t.Fraction}
	case "bit":
		return sourceType{class: bitStrings, length: max(t.Length, 1)}
	case "json", "jsonb":
		return sourceType{class: jsons}
	case "uuid":
		return sourceType{class: uuids}
	default:
		s := sourceType{class: printed}
		if len(t.Labels) > 0 {
			s.labels = t.Labels
		}
		return s
	}
}

// sameType is the type of a PostgreSQL column as PostgreSQL has it: the values stay as they are. An enum goes where the tables of its schema go.
func (c *compiler) sameType(t *catalog.Type) pgType {
	kind, _ := t.Kind(change.Postgres)
	out, def := pgType{base: pgSame, name: t.Full, held: kind}, definition(t)
	if known, _, err := parsePG(t.Full); err == nil && def == "" && known.String() == t.Full && known.kind() == kind {
		return known
	}
	if def != "" {
		schema, name := splitType(t.Full)
		schema = c.targetSchema(schema)
		out.name = typeName(schema, name)
		c.plan.types = append(c.plan.types, ownType{schema, out.name, def})
	}
	return out
}

// ownType is a type that columns of the target need, and that the plan makes: an enum or a domain.
type ownType struct {
	schema, name string // the name with its schema, quoted where it has to be
	definition   string
}

// definition is how a type is made, with %s for its name; empty for one that has to be there.
func definition(t *catalog.Type) string {
	switch {
	case len(t.Labels) > 0:
		labels := make([]string, len(t.Labels))
		for i, l := range t.Labels {
			labels[i] = literal(l)
		}
		return "TYPE %s AS ENUM (" + strings.ReplaceAll(strings.Join(labels, ", "), "%", "%%") + ")"
	case t.Domain != nil && foreign(t.Domain.Base+" "+t.Domain.Default+" "+strings.Join(t.Domain.Checks, " ")) == "":
		def := t.Domain.Base
		if t.Domain.Default != "" {
			def += " DEFAULT " + t.Domain.Default
		}
		if t.Domain.NotNull {
			def += " NOT NULL"
		}
		return "DOMAIN %s AS " + strings.ReplaceAll(strings.Join(append([]string{def}, t.Domain.Checks...), " "), "%", "%%")
	}
	return ""
}

// splitType cuts the schema off a type as format_type writes it.
func splitType(full string) (schema, name string) {
	if !strings.HasPrefix(full, `"`) {
		schema, name, _ = strings.Cut(full, ".")
		return schema, name
	}
	for i := 1; i < len(full); i++ {
		if full[i] != '"' {
			continue
		}
		if i+1 < len(full) && full[i+1] == '"' {
			i++
			continue
		}
		return strings.ReplaceAll(full[1:i], `""`, `"`), strings.TrimPrefix(full[i+1:], ".")
	}
	return "", full
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// typeName puts the name of a type, which is quoted where it has to be, into a schema.
func typeName(schema, name string) string {
	if !plainName.MatchString(schema) {
		schema = quote(schema)
	}
	return schema + "." + name
}

// ownTypes makes the types that columns of the tables have, before the tables.
func (d *ddlCompiler) ownTypes() {
	made := map[string]string{}
	for _, e := range d.plan.types {
		if def, ok := made[e.name]; ok {
			if def != e.definition {
				d.mistakes.add("type_collision", e.name, "two types of the source that are not the same have this name in the target", "place their schemas apart, with target.schemas")
			}
			continue
		}
		made[e.name] = e.definition
		d.schema(e.schema)
		d.before = append(d.before, Statement{Object: e.name, Kind: TypeStatement,
			SQL: fmt.Sprintf("DO $crossfade$\nBEGIN\n  IF to_regtype(%s) IS NULL THEN\n    CREATE %s;\n  END IF;\nEND\n$crossfade$", literal(e.name), fmt.Sprintf(e.definition, e.name))})
		kind, _, _ := strings.Cut(e.definition, " ")
		d.undo[TypeStatement] = append(d.undo[TypeStatement], Statement{Object: e.name, Kind: TypeStatement, SQL: "DROP " + kind + " IF EXISTS " + e.name})
	}
}

// asIs reports whether the table has in the target every column under its own name and type, so that an expression over it means the same there.
func (t *Table) asIs() bool {
	if t.Source.Engine != change.Postgres || t.Target.Engine != change.Postgres {
		return false
	}
	taken := map[int]bool{}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.program != nil || c.Source < 0 {
			continue
		}
		s := &t.Source.Columns[c.Source]
		if t.Target.Columns[i].Name != s.Name || !c.same {
			return false
		}
		taken[c.Source] = true
	}
	for i := range t.Source.Columns {
		if !taken[i] && !t.regenerated(i) {
			return false
		}
	}
	return true
}

// regenerated reports whether a generated column of the source is generated in the target too.
func (t *Table) regenerated(source int) bool {
	for _, r := range t.regenerate {
		if r == source {
			return true
		}
	}
	return false
}

// ownNames finds what an expression names in a schema, such as a function: whether the target has it is not known here.
var ownNames = regexp.MustCompile(`(^|[^'\w"$.])("(?:[^"]|"")+"|[a-z_][\w$]*)\.("|[a-z_])`)

// foreign names the first thing of a schema that an expression of PostgreSQL uses; empty when it uses nothing but what every server has.
func foreign(expr string) string {
	bare := quotedText.ReplaceAllString(expr, "''")
	if m := ownNames.FindStringSubmatch(bare); m != nil {
		return m[2]
	}
	return ""
}

var (
	quotedText  = regexp.MustCompile(`'(?:[^']|'')*'`)
	textOfAType = regexp.MustCompile(`^('(?:[^']|'')*')::[^:()]+(\(\d+(,\d+)?\))?(\[\])*$`)
)

// postgresDefault writes the default of a column that keeps its type.
func (d *ddlCompiler) postgresDefault(s *catalog.Column, object string) string {
	expr := *s.Default
	if m := textOfAType.FindStringSubmatch(expr); m != nil { // the column's type reads it, wherever its schema is
		return m[1]
	}
	expr, known := d.nextInTarget(expr)
	if what := foreign(expr); what != "" || !known {
		d.warn("default", object, fmt.Sprintf("the default %s is not carried over: it needs something of the source's database", *s.Default),
			"make what it needs in the target, and the default by hand, before the application writes there")
		return ""
	}
	return expr
}

// generatedColumn is a column that the target generates as the source does.
type generatedColumn struct {
	source int
	line   string
}

// generated writes the generated columns, which nobody sends.
func (d *ddlCompiler) generated(t *Table) (out []generatedColumn) {
	for _, i := range t.regenerate {
		s := &t.Source.Columns[i]
		if what := foreign(s.Generated); !t.asIs() || what != "" {
			d.warn("generated", t.Source.String()+"."+s.Name, fmt.Sprintf("it is generated as %s, and not taken over: the columns or functions that it needs are others in the target", s.Generated),
				"add it to the target by hand after the move, if it is wanted")
			continue
		}
		out = append(out, generatedColumn{i, fmt.Sprintf("%s %s GENERATED ALWAYS AS (%s) STORED", quote(s.Name), d.sameType(&s.Type), s.Generated)})
	}
	return out
}

// check carries a check constraint over; false when it would not mean the same.
func (d *ddlCompiler) check(t *Table, c *catalog.Check) bool {
	if !t.asIs() || foreign(c.Expr) != "" || !c.Enforced {
		return false
	}
	name := d.constraints[t].take(c.Name, t.Source.String()+"."+c.Name)
	d.constraint(t, CheckStatement, name, fmt.Sprintf("CHECK (%s) NOT VALID", c.Expr))
	return true
}

// sameIndex makes an index of PostgreSQL as it was.
func (d *ddlCompiler) sameIndex(t *Table, x *catalog.Index) {
	object := t.Source.String() + "." + x.Name
	lost := func(reason string) {
		remedy := "make one by hand after the move, if it is wanted"
		if x.Unique || x.Exclusion {
			reason, remedy = reason+": the target does not enforce it", "make it by hand after the move, before the application writes"
		}
		d.warn("index", object, reason, remedy)
	}
	switch {
	case x.Invalid:
		lost("an index whose building has failed is not built")
		return
	case x.Exclusion:
		lost("an exclusion constraint is not carried over")
		return
	case x.Deferrable:
		lost("a unique constraint that is checked at commit is not carried over, since changes are applied one by one")
		return
	case foreign(x.Def) != "":
		lost(fmt.Sprintf("it uses %s, which the target may not have", foreign(x.Def)))
		return
	}
	def, names, plain := x.Def, []string(nil), x.Where == ""
	for _, part := range x.Columns {
		plain = plain && part.Expr == ""
		if at := d.carrierOf(t, part.Name); part.Expr == "" && at >= 0 {
			names = append(names, t.Target.Columns[at].Name)
		}
	}
	if !t.asIs() {
		if !plain || len(names) < len(x.Columns) || x.Method != "btree" {
			lost("it covers columns that are others in the target")
			return
		}
		parts := make([]string, len(names))
		for i, n := range names {
			if parts[i] = quote(n); x.Columns[i].Desc {
				parts[i] += " DESC"
			}
		}
		def = "btree (" + strings.Join(parts, ", ") + ")"
	}
	kind, create := IndexStatement, "CREATE INDEX"
	if x.Unique {
		kind, create = UniqueStatement, "CREATE UNIQUE INDEX"
		t.Unique = t.Unique || !plain || !impliedByKey(t, names)
		if plain {
			d.uniques[t.Source.String()] = append(d.uniques[t.Source.String()], names)
		}
	}
	name := d.spaces[t.Target.Schema].take(d.rules.Identifiers.fold(x.Name), object)
	d.addAfter(t, kind, name, "%s IF NOT EXISTS %s ON %s USING %s", create, quote(name), t.quoted(), def)
}

// Needs are the types of target columns that neither every server nor the plan's DDL has: those of extensions, domains and composites.
func (p *Plan) Needs() (out []string) {
	made := map[string]bool{}
	for _, e := range p.types {
		made[e.name] = true
	}
	for _, t := range p.tables {
		for i := range t.Columns {
			if name := t.Columns[i].pg.name; strings.Contains(name, ".") && !made[strings.TrimRight(name, "[]")] && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}
