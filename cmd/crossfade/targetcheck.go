package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// checkTarget looks at the target: at what the applier needs of the server, and, before the first row, at tables that are there already.
func (m *migration) checkTarget(ctx context.Context) ([]catalog.Finding, error) {
	out, err := m.target.Check(ctx, tableSetups(m.plan, m.cfg.Target.Create))
	if err != nil {
		return nil, err
	}
	ledger, err := m.target.Ledger(ctx)
	if err != nil || len(ledger) > 0 {
		return out, err // what is there now is ours
	}
	if m.cfg.Target.Create {
		denied, err := m.checkCreate(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, denied...)
	}
	there, err := m.targetTables(ctx)
	if err != nil {
		return nil, err
	}
	exists := map[string]bool{}
	for _, t := range there {
		exists[t.String()] = true
	}
	for _, f := range m.plan.CheckTarget(there) {
		if f.Code == "mapping.target_table" && m.cfg.Target.Create {
			continue // run makes it
		}
		out = append(out, f)
	}
	if m.cfg.Snapshot.Existing == configs.ExistingTruncate {
		return merged(out), nil
	}
	var look []*change.Table
	for _, t := range m.plan.Tables() {
		if exists[t.Target.String()] {
			look = append(look, t.Target)
		}
	}
	full, err := m.target.NotEmpty(ctx, look)
	if err != nil {
		return nil, err
	}
	for _, t := range full {
		out = append(out, catalog.Finding{Severity: catalog.Error, Code: "target_rows", Object: t.String(), Reason: "the target table holds rows",
			Remedy: "empty it, or set snapshot.existing: truncate"})
	}
	return merged(out), nil
}

// checkCreate asks whether the tables may be made where the mapping puts them.
func (m *migration) checkCreate(ctx context.Context) ([]catalog.Finding, error) {
	var schemas []string
	for _, t := range m.plan.Tables() {
		if !slices.Contains(schemas, t.Target.Schema) {
			schemas = append(schemas, t.Target.Schema)
		}
	}
	out, err := m.target.CheckCreate(ctx, schemas)
	if err != nil {
		return nil, err
	}
	missing, err := m.target.CheckTypes(ctx, m.plan.Needs())
	return append(out, missing...), err
}

// targetTables reads those tables of the target that the plan fills, as far as they exist.
func (m *migration) targetTables(ctx context.Context) ([]*catalog.Table, error) {
	wanted := map[string]bool{}
	for _, t := range m.plan.Tables() {
		wanted[t.Target.String()] = true
	}
	tables, err := m.target.Catalog(ctx, func(schema, table string) bool { return wanted[schema+"."+table] })
	if err != nil {
		return nil, fmt.Errorf("read the tables of the target: %w", err)
	}
	return tables, nil
}

// merged leaves out what two checks say of the same object in other words: an index or a foreign key that must not be there yet.
func merged(findings []catalog.Finding) (out []catalog.Finding) {
	said := map[string]bool{}
	for _, f := range findings {
		switch f.Code {
		case "target_unique", "target_constraints":
			said[f.Code+f.Object] = true
		case "mapping.target_unique":
			if said["target_unique"+f.Object] {
				continue
			}
		case "mapping.target_foreign_key":
			if said["target_constraints"+f.Object] {
				continue
			}
		}
		out = append(out, f)
	}
	return out
}
