package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

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
	ledger, err := m.ledger(ctx)
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
func (m *migration) checkCreate(ctx context.Context) (out []catalog.Finding, err error) {
	asked := map[string]bool{}
	for _, t := range m.plan.Tables() {
		schema := t.Target.Schema
		if asked[schema] {
			continue
		}
		asked[schema] = true
		var exists, may bool
		err := m.pool.QueryRow(ctx, `SELECT to_regnamespace(quote_ident($1)) IS NOT NULL,
			coalesce(has_schema_privilege(to_regnamespace(quote_ident($1)), 'CREATE'), has_database_privilege(current_database(), 'CREATE'))`, schema).Scan(&exists, &may)
		if err != nil {
			return nil, fmt.Errorf("ask for the privileges on schema %s: %w", schema, err)
		}
		role, name := pgx.Identifier{m.cfg.Target.URL.User()}.Sanitize(), pgx.Identifier{schema}.Sanitize()
		remedy := "GRANT CREATE, USAGE ON SCHEMA " + name + " TO " + role
		if !exists {
			remedy = "CREATE SCHEMA " + name + " AUTHORIZATION " + role
		}
		if !may {
			out = append(out, catalog.Finding{Severity: catalog.Error, Code: "target_create", Object: "schema " + schema, Reason: "our user may not make tables there",
				Remedy: remedy + ", or make the tables by hand with target.create: false"})
		}
	}
	return out, nil
}

// targetTables reads those tables of the target that the plan fills, as far as they exist.
func (m *migration) targetTables(ctx context.Context) ([]*catalog.Table, error) {
	wanted := map[string]bool{}
	for _, t := range m.plan.Tables() {
		wanted[t.Target.String()] = true
	}
	conn, err := m.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tables of the target: %w", err)
	}
	defer conn.Release()
	return catalog.Postgres(ctx, conn.Conn(), func(schema, table string) bool { return wanted[schema+"."+table] })
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
