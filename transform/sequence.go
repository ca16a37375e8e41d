package transform

import (
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

// Sequence is a sequence of PostgreSQL that no column owns, and where it goes on.
type Sequence struct {
	Source *catalog.Sequence
	Target Name
}

// Sequences are those that go on in the target without a column that owns them. Only PostgreSQL has them, on both sides.
func (p *Plan) Sequences() []Sequence { return p.sequences }

// sequences makes the sequences that no column owns. The application calls them by their names: they own those before anything derived takes one.
func (d *ddlCompiler) sequences() {
	for i := range d.rules.Sequences {
		s := &d.rules.Sequences[i]
		to := Name{d.targetSchema(s.Schema), d.rules.Identifiers.fold(s.Name)}
		d.schema(to.Schema)
		if d.spaces[to.Schema][to.Table] {
			d.mistakes.add("sequence", s.String(), fmt.Sprintf("something else in the target is named %s", to), "give the table another name in transform.tables, or the schema another place in target.schemas")
			continue
		}
		d.spaces[to.Schema][to.Table] = true
		cycle := "NO CYCLE"
		if s.Cycle {
			cycle = "CYCLE"
			d.warn("sequence", s.String(), "it begins anew at its end (CYCLE): numbers that it has issued come again, and what was issued last does not say which",
				"see to it that nothing depends on new numbers")
		}
		name := quoteName(to.Schema, to.Table)
		d.before = append(d.before, Statement{Object: to.String(), Kind: SequenceStatement, SQL: fmt.Sprintf("CREATE SEQUENCE IF NOT EXISTS %s AS %s INCREMENT BY %d MINVALUE %d MAXVALUE %d START WITH %d CACHE %d %s",
			name, s.Type, s.Increment, s.Min, s.Max, s.Start, s.Cache, cycle)})
		d.undo[SequenceStatement] = append(d.undo[SequenceStatement], Statement{Object: to.String(), Kind: SequenceStatement, SQL: "DROP SEQUENCE IF EXISTS " + name})
		d.plan.sequences = append(d.plan.sequences, Sequence{s, to})
	}
}

// sequencesMySQL warns of the sequences that nothing goes on with. Those that a default uses are named with it.
func (d *ddlCompiler) sequencesMySQL() {
	for _, s := range d.rules.Sequences {
		if !s.Used {
			d.warn("sequence", s.String(), "no column owns it, so nothing in the target goes on with its numbers", "have the application take its numbers from elsewhere after the cutover")
		}
	}
}

// nextInTarget writes a default with the names that its sequences have in the target; false when it needs one that is not there.
func (d *ddlCompiler) nextInTarget(expr string) (string, bool) {
	rest, out := expr, expr
	for _, s := range d.plan.sequences {
		call := "nextval(" + literal(s.Source.Text) + "::regclass)"
		rest = strings.ReplaceAll(rest, call, "")
		out = strings.ReplaceAll(out, call, "nextval("+literal(quoteName(s.Target.Schema, s.Target.Table))+")")
	}
	return out, !strings.Contains(rest, "nextval(")
}
