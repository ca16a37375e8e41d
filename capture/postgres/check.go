package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

// Check asks for every precondition of following this database and reading these tables. It changes nothing. The error is about asking; what is wrong with the
// server is a finding.
func (s *Source) Check(ctx context.Context, tables []*catalog.Table) ([]catalog.Finding, error) {
	c := &checker{s: s, tables: tables}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"settings", c.settings},
		{"slots", c.slots},
		{"role", c.role},
		{"tables", c.shapes},
		{"replica identities", c.identities},
		{"privileges on tables", c.privileges},
		{"subscriptions", c.subscriptions},
	} {
		if err := step.run(ctx); err != nil {
			return nil, fmt.Errorf("check %s: %s: %w", s.host(), step.name, err)
		}
	}
	return c.out, nil
}

// checker collects findings.
type checker struct {
	s      *Source
	tables []*catalog.Table
	out    []catalog.Finding
}

func (c *checker) add(severity, code, object, reason, remedy string) {
	c.out = append(c.out, catalog.Finding{Severity: severity, Code: code, Object: object, Reason: reason, Remedy: remedy})
}

func (c *checker) settings(ctx context.Context) error {
	if major := c.s.version / 10000; major > 18 {
		c.add(catalog.Warning, "version", c.s.host(), fmt.Sprintf("PostgreSQL %d has not been tested; 14 to 18 have", major), "rehearse on a copy, and verify before the cutover")
	}
	rows, err := c.s.pool.Query(ctx, "SELECT name, setting FROM pg_settings WHERE name IN ('wal_level', 'max_slot_wal_keep_size', 'idle_replication_slot_timeout', 'wal_sender_timeout', 'fsync', 'synchronous_commit')")
	if err != nil {
		return err
	}
	set := map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { set[name] = value; return nil }); err != nil {
		return err
	}
	if set["wal_level"] != "logical" {
		c.add(catalog.Error, "wal_level", c.s.host(), "wal_level is "+set["wal_level"]+": the log does not hold rows", "ALTER SYSTEM SET wal_level = 'logical' (a restart; in a managed service in its parameter group)")
	}
	if keep := set["max_slot_wal_keep_size"]; keep != "-1" {
		c.add(catalog.Warning, "max_slot_wal_keep_size", c.s.host(), "max_slot_wal_keep_size is "+keep+" MB: when crossfade is away while more is written, the migration ends", "raise it for the time of the migration")
	}
	if idle := set["idle_replication_slot_timeout"]; idle != "" && idle != "0" {
		c.add(catalog.Warning, "idle_replication_slot_timeout", c.s.host(), "idle_replication_slot_timeout is "+idle+": when crossfade is away for longer, the migration ends", "ALTER SYSTEM SET idle_replication_slot_timeout = 0")
	}
	if ms, err := strconv.Atoi(set["wal_sender_timeout"]); err == nil && ms > 0 && ms < 2*int(statusEvery.Milliseconds()) {
		c.add(catalog.Error, "wal_sender_timeout", c.s.host(), fmt.Sprintf("wal_sender_timeout is %d ms: crossfade answers every %s", ms, statusEvery), "ALTER SYSTEM SET wal_sender_timeout = '60s'")
	}
	if set["fsync"] != "on" {
		c.add(catalog.Warning, "fsync", c.s.host(), "fsync is off: a crash of the server can undo what was copied already, and the fence of the cutover", "ALTER SYSTEM SET fsync = on")
	}
	if set["synchronous_commit"] == "off" {
		c.add(catalog.Warning, "synchronous_commit", c.s.host(), "synchronous_commit is off: a crash of the server can undo writes that the application believes in", "ALTER SYSTEM SET synchronous_commit = on")
	}
	return nil
}

func (c *checker) slots(ctx context.Context) error {
	var used, most, senders, mostSenders int
	var ours bool
	err := c.s.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM pg_replication_slots), current_setting('max_replication_slots')::int, EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'), current_setting('max_wal_senders')::int`, c.s.slot()).Scan(&used, &most, &ours, &senders, &mostSenders)
	if err != nil {
		return err
	}
	if !ours && used >= most {
		c.add(catalog.Error, "max_replication_slots", c.s.host(), fmt.Sprintf("all %d replication slots are used", most), "drop one that nobody needs, or raise max_replication_slots (a restart)")
	}
	if !ours && senders >= mostSenders {
		c.add(catalog.Error, "max_wal_senders", c.s.host(), fmt.Sprintf("all %d senders of the log are at work", mostSenders), "end one that nobody needs, or raise max_wal_senders (a restart)")
	}
	return nil
}

func (c *checker) role(ctx context.Context) error {
	var role string
	var replicates, publishes, owns bool
	err := c.s.pool.QueryRow(ctx, `SELECT quote_ident(current_user), (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),
		has_database_privilege(current_database(), 'CREATE'), to_regnamespace('crossfade') IS NULL OR has_schema_privilege('crossfade', 'CREATE')`).Scan(&role, &replicates, &publishes, &owns)
	if err != nil {
		return err
	}
	if !replicates {
		c.add(catalog.Error, "privilege", role, "the role may not read the log", "ALTER ROLE "+role+" REPLICATION (in a managed service: grant its replication role)")
	}
	if !publishes {
		c.add(catalog.Error, "privilege", role, "the role may not make a publication, nor schema crossfade", "GRANT CREATE ON DATABASE "+pgx.Identifier{c.s.conn.Database}.Sanitize()+" TO "+role)
	}
	if !owns {
		c.add(catalog.Error, "privilege", ownSchema, "the role may not make tables in schema crossfade", "GRANT ALL ON SCHEMA crossfade TO "+role)
	}
	return nil
}

func (c *checker) shapes(context.Context) error {
	if len(c.tables) == 0 {
		c.add(catalog.Error, "tables", c.s.host(), "no table matches source.tables", "correct source.tables")
	}
	for _, t := range c.tables {
		if t.Unlogged {
			c.add(catalog.Error, "unlogged", t.String(), "it is unlogged: its changes are in no log", "ALTER TABLE "+quoted(t)+" SET LOGGED, or leave it out of source.tables")
		}
	}
	return nil
}

func quoted(t *catalog.Table) string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

func (c *checker) identities(ctx context.Context) error {
	all, err := c.s.identities(ctx, c.tables)
	if err != nil {
		return err
	}
	for _, t := range c.tables {
		if reason, remedy := all[t.String()].fault(t); reason != "" {
			c.add(catalog.Error, "replica_identity", t.String(), reason, remedy)
		}
	}
	return nil
}

// privileges: a table is published by its owner; rows that a policy hides would be missing; rows of children of inheritance come twice.
func (c *checker) privileges(ctx context.Context) error {
	for _, t := range c.tables {
		var role, owner string
		var reads, owns, hidden, inherited bool
		err := c.s.pool.QueryRow(ctx, `SELECT quote_ident(current_user), quote_ident(pg_get_userbyid(relowner)), has_table_privilege(oid, 'SELECT'), pg_has_role(relowner, 'MEMBER'), row_security_active(oid),
			relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid OR inhrelid = c.oid) FROM pg_class c WHERE oid = $1::text::regclass`, quoted(t)).Scan(&role, &owner, &reads, &owns, &hidden, &inherited)
		if err != nil {
			return err
		}
		if !reads {
			c.add(catalog.Error, "privilege", t.String(), "it cannot be read", "GRANT SELECT ON "+quoted(t)+" TO "+role)
		}
		if !owns {
			c.add(catalog.Error, "privilege", t.String(), "only its owner can publish it", "GRANT "+owner+" TO "+role)
		}
		if hidden {
			c.add(catalog.Error, "row_security", t.String(), "a policy hides rows from our role", "ALTER ROLE "+role+" BYPASSRLS")
		}
		if inherited {
			c.add(catalog.Error, "inheritance", t.String(), "it inherits, or is inherited from: a SELECT shows rows of children that the log names as theirs", "leave it out of source.tables")
		}
	}
	return nil
}

// subscriptions write past the fence of a cutover.
func (c *checker) subscriptions(ctx context.Context) error {
	rows, err := c.s.pool.Query(ctx, `SELECT s.subname::text, r.srrelid::regclass::text FROM pg_subscription s JOIN pg_subscription_rel r ON r.srsubid = s.oid
		WHERE s.subenabled AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		return err
	}
	selected := map[string]bool{}
	for _, t := range c.tables {
		selected[t.Schema+"."+t.Name] = true
	}
	var name, table string
	_, err = pgx.ForEachRow(rows, []any{&name, &table}, func() error {
		if selected[table] {
			c.add(catalog.Error, "subscription", table, "the subscription "+name+" writes into it, past the fence of the cutover", "ALTER SUBSCRIPTION "+pgx.Identifier{name}.Sanitize()+" DISABLE")
		}
		return nil
	})
	return err
}

// CheckProbe proves that our own role may try the write that the fence must refuse.
func (s *Source) CheckProbe(ctx context.Context, tables []*catalog.Table) (out []catalog.Finding, err error) {
	denied := map[string]bool{}
	for _, t := range tables {
		var may bool
		if err := s.pool.QueryRow(ctx, "SELECT has_table_privilege($1::text::regclass, 'INSERT')", quoted(t)).Scan(&may); err != nil {
			return nil, fmt.Errorf("ask for the privileges on %s: %w", t, err)
		}
		if !may && !denied[t.Schema] {
			denied[t.Schema] = true
			out = append(out, catalog.Finding{Severity: catalog.Error, Code: "probe", Object: t.String(), Reason: "without source.probe_url the fence is tried by a write of our own, which may not write",
				Remedy: "set source.probe_url to a role of the application (better), or GRANT INSERT ON ALL TABLES IN SCHEMA " + pgx.Identifier{t.Schema}.Sanitize() + " to the role of source.url"})
		}
	}
	return out, nil
}

// DropUser is the statement that drops our role. What keeps a side closed after the move is the function of a trigger: it goes to the database's owner.
func (s *Source) DropUser(ctx context.Context) (statement string, err error) {
	err = s.pool.QueryRow(ctx, "SELECT format('REASSIGN OWNED BY %1$I TO %2$I; DROP OWNED BY %1$I; DROP ROLE %1$I', current_user, pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()").Scan(&statement)
	if err != nil {
		return "", fmt.Errorf("ask the source for our role: %w", err)
	}
	return statement, nil
}

// CheckWhole finds tables whose old rows, and columns kept apart that did not change, are not in the log: whether such a row was or is in a mapping's filter
// cannot be said.
func (s *Source) CheckWhole(ctx context.Context, tables []*catalog.Table) (out []catalog.Finding, err error) {
	if len(tables) == 0 {
		return nil, nil
	}
	all, err := s.identities(ctx, tables)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if all[t.String()].kind != "f" {
			out = append(out, catalog.Finding{Severity: catalog.Error, Code: "replica_identity", Object: t.String(), Reason: "the mapping has a condition on it, and its replica identity is not FULL: whether a changed row was within the condition is not in the log",
				Remedy: "ALTER TABLE " + quoted(t) + " REPLICA IDENTITY FULL, or remove the condition"})
		}
	}
	return out, nil
}
