package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/catalog"
)

// Check proves by doing that applying would work, and changes nothing: what it does is rolled back. Tables that do not exist yet are not looked at.
func (t *Target) Check(ctx context.Context, tables []apply.TableSetup) ([]catalog.Finding, error) {
	var out []catalog.Finding
	err := t.do(ctx, "check the target", func(s *session) error {
		c := &checker{session: s}
		if err := c.server(ctx); err != nil {
			return err
		}
		registered, err := c.registered(ctx)
		if err != nil {
			return err
		}
		for i := range tables {
			if err := c.table(ctx, &tables[i], tables[i].Filled || registered[tables[i].Source]); err != nil {
				return err
			}
		}
		out = c.findings
		return nil
	})
	return out, err
}

type checker struct {
	session  *session
	user     string
	findings []catalog.Finding
}

func (c *checker) add(severity, code, object, reason, remedy string) {
	c.findings = append(c.findings, catalog.Finding{Severity: severity, Code: code, Object: object, Reason: reason, Remedy: remedy})
}

// try runs statements and takes them back. The error is the server's answer, unless the connection was lost.
func (c *checker) try(ctx context.Context, sql string) (refused, lost error) {
	_, err := c.session.conn.Exec(ctx, "BEGIN;"+sql+";ROLLBACK").ReadAll()
	c.session.rollback(ctx)
	if err == nil {
		return nil, nil
	}
	err = classify(err)
	var again *apply.LostError
	if errors.As(err, &again) {
		return nil, err
	}
	return err, nil
}

func (c *checker) server(ctx context.Context) error {
	rows, err := c.session.query(ctx, `SELECT pg_catalog.current_setting('server_version_num'), current_user, pg_catalog.pg_is_in_recovery(),
 pg_catalog.current_setting('fsync'), pg_catalog.current_setting('server_encoding'), pg_catalog.current_database()`)
	if err != nil {
		return err
	}
	r := rows[0]
	version, err := strconv.Atoi(string(r[0]))
	if err != nil {
		return fmt.Errorf("server version %q: %w", r[0], err)
	}
	c.user = string(r[1])
	switch major := version / 10000; {
	case major < 14:
		c.add("error", "target_version", "server", fmt.Sprintf("PostgreSQL %d is too old", major), "use PostgreSQL 14 to 18")
	case major > 18:
		c.add("warning", "target_version", "server", fmt.Sprintf("PostgreSQL %d is not tested", major), "try the migration on a copy first")
	}
	if string(r[2]) == "t" {
		c.add("error", "target_standby", "server", "the target is a standby and takes no writes", "let target.url lead to the primary")
		return nil
	}
	if string(r[3]) != "on" {
		c.add("warning", "target_fsync", "fsync", "fsync is off: what was committed can be lost by a crash, and with it the proof of what was applied", "set fsync=on and restart")
	}
	if string(r[4]) != "UTF8" {
		c.add("error", "target_encoding", "database "+string(r[5]), "the database's encoding is "+string(r[4])+": not every text can be stored", "make the database with ENCODING 'UTF8'")
	}
	refused, err := c.try(ctx, "SET LOCAL session_replication_role = replica")
	if err != nil {
		return err
	}
	if refused != nil {
		c.add("error", "target_replication_role", "user "+c.user, "the user may not set session_replication_role, so triggers and foreign keys of the target would act on what is applied: "+message(refused),
			"as superuser: GRANT SET ON PARAMETER session_replication_role TO "+quote(c.user)+" (PostgreSQL 15 and newer), or use a superuser, or the provider's role for it (rds_superuser)")
	}
	refused, err = c.try(ctx, "CREATE SCHEMA IF NOT EXISTS crossfade; CREATE TABLE crossfade.crossfade_check (n integer PRIMARY KEY); INSERT INTO crossfade.crossfade_check VALUES (1); CREATE UNIQUE INDEX ON crossfade.crossfade_check ((n + 1)); DROP TABLE crossfade.crossfade_check")
	if err != nil {
		return err
	}
	if refused != nil {
		c.add("error", "target_schema", "schema crossfade", "the ledger cannot be made: "+message(refused), "GRANT CREATE ON DATABASE "+quote(string(r[5]))+" TO "+quote(c.user)+", or CREATE SCHEMA crossfade AUTHORIZATION "+quote(c.user))
	}
	return nil
}

func message(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Message
	}
	return err.Error()
}

// registered reads which tables have begun already: what is there now is ours.
func (c *checker) registered(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	rows, err := c.session.query(ctx, "SELECT pg_catalog.to_regclass('crossfade.tables') IS NOT NULL")
	if err != nil || string(rows[0][0]) != "t" {
		return out, err
	}
	tables, err := c.session.tables(ctx)
	for _, t := range tables {
		out[t.Source] = true
	}
	return out, err
}

func (c *checker) table(ctx context.Context, setup *apply.TableSetup, begun bool) error {
	s, shape := c.session, setup.Target
	name := quoteTable(shape)
	rows, err := s.query(ctx, `SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE'), c.relkind, c.relpersistence,
 pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
 AND pg_catalog.has_table_privilege(c.oid, 'DELETE') AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'),
 (SELECT pg_catalog.string_agg(tgname::text, ', ') FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND tgenabled IN ('A', 'R') AND NOT tgisinternal),
 (SELECT pg_catalog.string_agg(rulename::text, ', ') FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid AND ev_enabled IN ('A', 'R')),
 (SELECT pg_catalog.string_agg(conname::text, ', ') FROM pg_catalog.pg_constraint WHERE conrelid = c.oid AND contype IN ('f', 'x'))
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)`, name)
	if err != nil {
		return fmt.Errorf("%s: %w", shape, err)
	}
	if len(rows) == 0 {
		return nil
	}
	r, object := rows[0], shape.String()
	if kind := string(r[1]); kind != "r" && kind != "p" {
		c.add("error", "target_kind", object, "it is no table", "give the table another name on the target, by transform.tables")
		return nil
	}
	if string(r[2]) == "u" {
		c.add("warning", "target_unlogged", object, "the table is unlogged: a crash empties it, though the ledger says that its rows were applied", "ALTER TABLE "+name+" SET LOGGED")
	}
	if string(r[0]) != "t" {
		c.add("error", "target_owner", object, "the user "+c.user+" does not own the table: indexes, constraints and the gate cannot be made", "ALTER TABLE "+name+" OWNER TO "+quote(c.user)+", or GRANT its owner's role")
	}
	if string(r[3]) != "t" {
		c.add("error", "target_privileges", object, "the user "+c.user+" may not read, insert, update, delete and truncate", "GRANT ALL ON "+name+" TO "+quote(c.user))
	}
	if r[4] != nil {
		c.add("warning", "target_triggers", object, "triggers run also for what is applied: "+string(r[4]), "ALTER TABLE "+name+" ENABLE TRIGGER (not ALWAYS or REPLICA), if they are not meant to")
	}
	if r[5] != nil {
		c.add("error", "target_rules", object, "rules rewrite what is applied: "+string(r[5]), "drop them until the migration has ended")
	}
	if _, err := s.readMeta(ctx, shape); err != nil {
		var lost *apply.LostError
		if errors.As(err, &lost) {
			return err
		}
		c.add("error", "target_shape", object, err.Error(), "make the table as crossfade schema --phase before prints it")
		return nil
	}
	if begun {
		return nil
	}
	if r[6] != nil {
		c.add("error", "target_constraints", object, "foreign keys or exclusion constraints are there already: "+string(r[6])+"; rows come in an order that they refuse", "drop them; crossfade schema --phase after makes them again")
	}
	return c.uniques(ctx, setup)
}

// uniques finds unique indexes besides the key's: while rows are copied a row may be older than its neighbour, and collide with it.
func (c *checker) uniques(ctx context.Context, setup *apply.TableSetup) error {
	m, err := c.session.readMeta(ctx, setup.Target)
	if err != nil {
		return err
	}
	rows, err := c.session.query(ctx, `SELECT c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = pg_catalog.to_regclass($1) AND i.indisunique AND c.relname <> $2 ORDER BY 1`, m.name, m.keyIndex)
	if err != nil {
		return err
	}
	for _, r := range rows {
		c.add("error", "target_unique", setup.Target.String(), "the unique index "+string(r[0])+" is there already; rows are copied in an order that it refuses", "drop it; crossfade schema --phase after makes it again")
	}
	return nil
}
