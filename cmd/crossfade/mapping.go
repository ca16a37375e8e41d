package main

import (
	"fmt"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform"
)

// rules is the mapping as the configuration writes it.
func rules(cfg *configs.Config) (transform.Rules, error) {
	r := transform.Rules{Engine: change.Engine(cfg.Target.URL.Engine()), Identifiers: transform.Identifiers(cfg.Transform.Identifiers), Schema: cfg.Target.SchemaFor("")}
	if cfg.Target.Schema == "" && cfg.Source.URL.Engine() == configs.Postgres && cfg.Target.URL.Engine() == configs.Postgres {
		r.Schema = "" // each stays what it is
	}
	for _, s := range cfg.Target.Schemas {
		r.Schemas = append(r.Schemas, transform.SchemaRule{Source: s.Source, Target: s.Target})
	}
	for i, t := range cfg.Transform.Tables {
		out := transform.TableRule{Where: t.Where}
		var err error
		if out.Source.Schema, out.Source.Table, err = configs.SplitName(t.Source); err != nil {
			return r, fmt.Errorf("transform.tables[%d].source: %w", i, err)
		}
		if t.Target != "" {
			if out.Target.Schema, out.Target.Table, err = configs.SplitName(t.Target); err != nil {
				return r, fmt.Errorf("transform.tables[%d].target: %w", i, err)
			}
		}
		for _, c := range t.Columns {
			out.Columns = append(out.Columns, transform.ColumnRule{Source: c.Source, Target: c.Target, Value: c.Value, As: c.As, Drop: c.Drop, Mask: c.Mask})
		}
		r.Tables = append(r.Tables, out)
	}
	for i, t := range cfg.Transform.Types {
		out := transform.TypeRule{Match: t.Match, Pattern: t.Column, As: t.As, ZeroDate: t.ZeroDate, NUL: t.NUL}
		if t.Column != "" {
			g, err := configs.CompileColumnGlob(t.Column)
			if err != nil {
				return r, fmt.Errorf("transform.types[%d].column: %w", i, err)
			}
			out.Column = g.Match
		}
		r.Types = append(r.Types, out)
	}
	return r, nil
}

func compile(cfg *configs.Config, e *ends) (err error) {
	r, err := rules(cfg)
	if err != nil {
		return &usageError{err}
	}
	r.Cascades, r.Sequences = e.cascades, e.sequences
	e.plan, err = transform.Compile(r, e.tables)
	return err
}

// tableSetups are the tables as the applier takes them.
func tableSetups(p *transform.Plan, create bool) []apply.TableSetup {
	unique := map[string][]string{}
	for _, s := range p.DDL(transform.After) {
		if s.Kind == transform.UniqueStatement && create {
			unique[s.Table] = append(unique[s.Table], s.SQL)
		}
	}
	var out []apply.TableSetup
	for _, t := range p.Tables() {
		name := t.Source.String()
		s := apply.TableSetup{Source: name, Target: t.Target, OneLane: !t.KeyHashable, Unique: t.Unique, Filtered: t.Filtered, UniqueSQL: unique[name], Group: t.Group}
		for _, tie := range t.Ties {
			s.Ties = append(s.Ties, apply.Tie{Child: tie.Child.Target, Columns: tie.Columns, OnDelete: actions[tie.OnDelete], OnUpdate: actions[tie.OnUpdate]})
		}
		out = append(out, s)
	}
	return out
}

var actions = map[string]apply.Action{"CASCADE": apply.CascadeAction, "SET NULL": apply.SetNullAction}

// constraintSQL is what needs all tables at one state.
func constraintSQL(p *transform.Plan, create bool) (out []string) {
	for _, s := range p.DDL(transform.After) {
		if (s.Kind == transform.ForeignKeyStatement || s.Kind == transform.ValidateStatement) && create {
			out = append(out, s.SQL)
		}
	}
	return out
}

// captureMapper maps the rows of the log and of the snapshot.
type captureMapper struct{ m *transform.Mapper }

func (c captureMapper) Map(src *change.Change) ([]change.Change, error) {
	if src.Op != change.Copy {
		return c.m.Map(src)
	}
	// A snapshot row is mapped like an inserted one.
	row := *src
	row.Op = change.Insert
	out, err := c.m.Map(&row)
	for i := range out {
		if out[i].Op != change.Refused {
			out[i].Op = change.Copy
		}
	}
	return out, err
}

// verifyMapper maps rows of one table for comparison.
type verifyMapper struct {
	m *transform.Mapper
	t *transform.Table
}

func (v verifyMapper) Row(r change.Row) (change.Row, bool, error) { return v.m.Row(v.t, r) }
func (v verifyMapper) TargetKey(k change.Row) (change.Row, error) { return v.m.TargetKey(v.t, k) }
func (v verifyMapper) Altered() []uint64                          { return v.m.Altered() }
func (v verifyMapper) SourceKey(k change.Row) (change.Row, error) { return v.m.SourceKey(v.t, k) }

// remap gives a row that its transform refused another try, when its table is replayed under a mended mapping.
func remap(p *transform.Plan) func(*change.Change) ([]change.Change, error) {
	shapes := map[uint64]*change.Table{}
	for _, t := range p.Tables() {
		shapes[t.Source.Shape().ID()] = t.Source.Shape()
	}
	return func(c *change.Change) ([]change.Change, error) {
		src := *c
		if src.Table = shapes[c.Table.ID()]; src.Table == nil {
			return nil, fmt.Errorf("%s has another shape than when its row %s was refused", c.Table, c.Table.KeyString(c.KeyRow()))
		}
		src.Err = ""
		switch {
		case c.Before == nil:
			src.Op = change.Insert
		case c.After == nil:
			src.Op = change.Delete
		default:
			src.Op = change.Update
		}
		out, err := p.Mapper().Map(&src)
		if err != nil {
			return nil, err
		}
		kept := make([]change.Change, len(out))
		for i := range out {
			kept[i] = out[i]
			kept[i].Before, kept[i].After = out[i].Before.Clone(), out[i].After.Clone()
		}
		return kept, nil
	}
}

// numbered names the source column whose numbers the server hands out, and the target column that goes on with them; empty when there is none.
func numbered(t *transform.Table) (source, target string) {
	for i, c := range t.Columns {
		if c.Source >= 0 && t.Source.Columns[c.Source].AutoIncrement {
			return t.Source.Columns[c.Source].Name, t.Target.Columns[i].Name
		}
	}
	return "", ""
}

// lossyOf is what the lossy rules did to the rows that were compared.
func lossyOf(p *transform.Plan, tables map[string]verify.TableState) (out []cutover.Lossy) {
	for i, l := range p.Lossy() {
		sum := cutover.Lossy{Table: l.Table, Column: l.Column, Rule: l.Rule}
		if altered := tables[l.Table].Altered; i < len(altered) {
			sum.Rows = int64(altered[i])
		}
		out = append(out, sum)
	}
	return out
}
