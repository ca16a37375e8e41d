package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
)

// rowPrivileges are what an application may need on a table.
var rowPrivileges = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}

// Privileges asks the server what the application's user may do on the tables and on the sequences of their numbers.
func (s *Postgres) Privileges(ctx context.Context) (out cutover.Privileges, err error) {
	if s.cfg.Probe == "" {
		return out, nil
	}
	out.As, out.Tables = s.probe.User, map[cutover.Table][]cutover.Privilege{}
	conn, err := pgx.ConnectConfig(ctx, s.probe)
	if err != nil {
		return out, fmt.Errorf("connect as the application: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	for _, t := range s.cfg.Tables {
		name := quotePostgres(s.here(t))
		// A name in a schema that may not be used cannot be cast, so it is looked up.
		rows, err := conn.Query(ctx, `WITH c AS (SELECT c.oid, n.oid AS schema, quote_ident(n.nspname) AS nsp FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)
			SELECT 'USAGE', has_schema_privilege(schema, 'USAGE'), 'SCHEMA ' || nsp, $4::text[] FROM c
			UNION ALL SELECT p, CASE WHEN p = 'DELETE' THEN has_table_privilege(oid, p) ELSE has_table_privilege(oid, p) OR NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
				AND NOT a.attisdropped AND a.attgenerated = '' AND NOT has_column_privilege(c.oid, a.attnum, p)) END, $3::text, ARRAY[p] FROM c, unnest($4::text[]) AS p
			UNION ALL SELECT DISTINCT 'USAGE', has_sequence_privilege(q.oid, 'USAGE, UPDATE'), 'SEQUENCE ' || q.oid::regclass::text, ARRAY['INSERT'] FROM c JOIN pg_attrdef d ON d.adrelid = c.oid
				JOIN pg_depend e ON e.classid = 'pg_attrdef'::regclass AND e.objid = d.oid AND e.refclassid = 'pg_class'::regclass JOIN pg_class q ON q.oid = e.refobjid AND q.relkind = 'S'`,
			s.here(t).Schema, s.here(t).Table, name, rowPrivileges)
		if err != nil {
			return out, err
		}
		var p cutover.Privilege
		if _, err := pgx.ForEachRow(rows, []any{&p.Name, &p.Has, &p.On, &p.For}, func() error {
			p.Grant = "GRANT " + p.Name + " ON " + p.On + " TO " + pgx.Identifier{s.probe.User}.Sanitize()
			out.Tables[t] = append(out.Tables[t], p)
			return nil
		}); err != nil {
			return out, fmt.Errorf("ask for the privileges of user %s on %s: %w", s.probe.User, s.here(t), err)
		}
	}
	return out, nil
}

// Privileges has the server plan a statement of each kind as the application, which it refuses who may not run it; none is run. That goes for privileges that come by roles, patterns and
// columns, of which the tables of privileges say little.
func (s *MySQL) Privileges(ctx context.Context) (out cutover.Privileges, err error) {
	if s.cfg.Probe == nil {
		return out, nil
	}
	out.As, out.Tables = s.cfg.Probe.User, map[cutover.Table][]cutover.Privilege{}
	conn, err := s.probe.Conn(ctx)
	if err != nil {
		return out, fmt.Errorf("connect as the application: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var account string
	if err := conn.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&account); err != nil {
		return out, fmt.Errorf("ask who the application is: %w", err)
	}
	name, host, _ := strings.Cut(account, "@")
	for _, t := range s.cfg.Tables {
		table := quoteMySQL(s.here(t).Schema) + "." + quoteMySQL(s.here(t).Table)
		var column string
		if err := s.db.QueryRowContext(ctx, `SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COALESCE(GENERATION_EXPRESSION, '') = ''
			ORDER BY ORDINAL_POSITION LIMIT 1`, s.here(t).Schema, s.here(t).Table).Scan(&column); err != nil {
			return out, fmt.Errorf("read columns of %s: %w", s.here(t), err)
		}
		c := quoteMySQL(column)
		for i, q := range []string{"SELECT " + c + " FROM " + table + " LIMIT 0", "INSERT INTO " + table + " (" + c + ") SELECT NULL FROM DUAL WHERE FALSE",
			"UPDATE " + table + " SET " + c + " = NULL LIMIT 0", "DELETE FROM " + table + " LIMIT 0"} {
			_, err := conn.ExecContext(ctx, "EXPLAIN "+q)
			denied := slices.Contains([]uint16{1044, 1142, 1143, 1370}, mysqlErr(err))
			if err != nil && mysqlErr(err) == 0 {
				return out, fmt.Errorf("ask for the privileges of user %s on %s: %w", s.cfg.Probe.User, s.here(t), err)
			}
			p := rowPrivileges[i]
			out.Tables[t] = append(out.Tables[t], cutover.Privilege{Name: p, On: table, Has: !denied, For: []string{p}, Grant: fmt.Sprintf("GRANT %s ON %s TO '%s'@'%s'", p, table, name, host)})
		}
	}
	return out, nil
}
