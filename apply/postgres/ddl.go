package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Exec runs a statement of DDL, on a connection of its own, since it may take long. A LostError says that it may be tried again; anything else that the
// server has understood it and refuses it.
func (t *Target) Exec(ctx context.Context, sql string) error {
	s, err := t.connect(ctx, plainSettings)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.conn.Exec(ctx, sql).ReadAll()
	return classify(err)
}

// Analyze gathers the statistics of a table.
func (t *Target) Analyze(ctx context.Context, table *change.Table) error {
	if err := t.Exec(ctx, "ANALYZE "+quoteTable(table)); err != nil {
		return fmt.Errorf("gather statistics of %s: %w", table, err)
	}
	return nil
}

// Catalog reads the tables that match says yes to.
func (t *Target) Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error) {
	config, err := pgx.ParseConfig(t.url)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // a read; nothing hangs on how it ends
	return catalog.Postgres(ctx, conn, match)
}

// CheckCreate asks whether tables may be made in these schemas.
func (t *Target) CheckCreate(ctx context.Context, schemas []string) (out []catalog.Finding, err error) {
	err = t.do(ctx, "ask for the privileges on the target's schemas", func(s *session) error {
		out = nil
		for _, schema := range schemas {
			rows, err := s.query(ctx, `SELECT to_regnamespace(quote_ident($1)) IS NOT NULL,
				coalesce(has_schema_privilege(to_regnamespace(quote_ident($1)), 'CREATE'), has_database_privilege(current_database(), 'CREATE'))`, schema)
			if err != nil {
				return err
			}
			remedy := "GRANT CREATE, USAGE ON SCHEMA " + quote(schema) + " TO " + quote(t.config.User)
			if string(rows[0][0]) != "t" {
				remedy = "CREATE SCHEMA " + quote(schema) + " AUTHORIZATION " + quote(t.config.User)
			}
			if string(rows[0][1]) != "t" {
				out = append(out, catalog.Finding{Severity: catalog.Error, Code: "target_create", Object: "schema " + schema, Reason: "our user may not make tables there",
					Remedy: remedy + ", or make the tables by hand with target.create: false"})
			}
		}
		return nil
	})
	return out, err
}

// CheckTypes asks for the types of columns that the server must have already.
func (t *Target) CheckTypes(ctx context.Context, types []string) (out []catalog.Finding, err error) {
	err = t.do(ctx, "look for types on the target", func(s *session) error {
		out = nil
		for _, typ := range types {
			rows, err := s.query(ctx, "SELECT to_regtype($1) IS NOT NULL", typ)
			if err != nil {
				return err
			}
			if string(rows[0][0]) != "t" {
				out = append(out, catalog.Finding{Severity: catalog.Error, Code: "target_type", Object: typ, Reason: "columns of the source have this type, and the target does not",
					Remedy: "make it there (CREATE EXTENSION, CREATE DOMAIN, CREATE TYPE), or map the columns with as: text"})
			}
		}
		return nil
	})
	return out, err
}

// DropUser is the statement that drops our role. It owns the tables that were moved, and they stay.
func (t *Target) DropUser(ctx context.Context) (statement string, err error) {
	err = t.do(ctx, "ask the target for its owner", func(s *session) error {
		rows, err := s.query(ctx, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")
		if err == nil {
			statement = fmt.Sprintf("REASSIGN OWNED BY %[1]s TO %[2]s; DROP OWNED BY %[1]s; DROP ROLE %[1]s", quote(t.config.User), quote(string(rows[0][0])))
		}
		return err
	})
	return statement, err
}

// dropSchema drops crossfade's schema with its last table, unless whoever made it for us would have to make it again.
const dropSchema = `DO $crossfade$ BEGIN
	IF has_database_privilege(current_database(), 'CREATE') THEN DROP SCHEMA IF EXISTS crossfade; END IF;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;
END $crossfade$`
