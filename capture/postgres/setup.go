package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
)

// slot is the name of the replication slot and of the publication.
func (s *Source) slot() string {
	const most = 63
	name := "crossfade_" + s.cfg.Slot
	if len(name) > most {
		h := fnv.New32a()
		fmt.Fprint(h, name)
		name = fmt.Sprintf("%s_%08x", name[:most-9], h.Sum32())
	}
	return name
}

var setupStatements = []string{
	"CREATE SCHEMA IF NOT EXISTS crossfade",
	`CREATE TABLE IF NOT EXISTS crossfade.heartbeat (migration text PRIMARY KEY, n bigint NOT NULL, at timestamptz)`,
	`CREATE TABLE IF NOT EXISTS crossfade.marker (migration text NOT NULL, side text NOT NULL, epoch bigint NOT NULL, kind text NOT NULL,
		at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (migration, side, epoch, kind))`,
}

// slotGone is how long the server may believe in a reader that has gone.
const slotGone = 10 * time.Second

// slotWait bounds the creation of the slot, which waits for every transaction that is open.
const slotWait = 2 * time.Minute

// Setup makes crossfade's tables, the publication of these tables and ours, and then the slot, from which on the log is kept. It may be repeated, and must be when
// an applier is set up in this database, before it applies anything: what it does is known by its ledger, which is published from the next Setup on. No table is
// published that has no replica identity: the application's updates of it would fail.
func (s *Source) Setup(ctx context.Context, tables []*catalog.Table) error {
	for i, stmt := range setupStatements {
		if i == 0 {
			var there bool
			if err := s.pool.QueryRow(ctx, "SELECT to_regnamespace('crossfade') IS NOT NULL").Scan(&there); err != nil || there {
				if err != nil {
					return fmt.Errorf("look for schema crossfade on %s: %w", s.host(), err)
				}
				continue // whoever may use it need not be allowed to create schemas
			}
		}
		if _, err := s.pool.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("make crossfade's tables on %s: %w", s.host(), err)
		}
	}
	identities, err := s.identities(ctx, tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if reason, remedy := identities[t.String()].fault(t); reason != "" {
			return &capture.Stop{Object: t.String(), Reason: reason, Remedy: remedy}
		}
	}
	ledger, err := s.ledgerThere(ctx)
	if err != nil {
		return err
	}
	if err := s.publish(ctx, tables, ledger); err != nil {
		return err
	}
	return s.makeSlot(ctx)
}

// publish makes the publication, or makes it what it should be.
func (s *Source) publish(ctx context.Context, tables []*catalog.Table, ledger bool) error {
	names := []string{"crossfade.heartbeat", "crossfade.marker"}
	if ledger {
		names = append(names, ledgerTable)
	}
	for _, t := range tables {
		names = append(names, pgx.Identifier{t.Schema, t.Name}.Sanitize())
	}
	name := pgx.Identifier{s.slot()}.Sanitize()
	_, err := s.pool.Exec(ctx, "CREATE PUBLICATION "+name+" FOR TABLE "+strings.Join(names, ", ")+" WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)")
	const duplicateObject = "42710"
	if pgCode(err) == duplicateObject {
		_, err = s.pool.Exec(ctx, "ALTER PUBLICATION "+name+" SET TABLE "+strings.Join(names, ", "))
	}
	const notAllowed = "42501"
	switch {
	case pgCode(err) == notAllowed && ledger:
		return fmt.Errorf("publish the tables of %s and %s, by which the applier's changes are known: %w; only the owner of a table may: an applier that writes to this database must make its tables as the same user, or a role that this one is a member of",
			s.host(), ledgerTable, err)
	case err != nil:
		return fmt.Errorf("publish the tables of %s: %w", s.host(), err)
	}
	return nil
}

func (s *Source) makeSlot(ctx context.Context) error {
	var there bool
	if err := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)", s.slot()).Scan(&there); err != nil {
		return fmt.Errorf("look for the slot on %s: %w", s.host(), err)
	}
	if there {
		return nil // Contains says whether it is of use
	}
	query := "SELECT pg_create_logical_replication_slot($1, 'pgoutput', false)"
	if s.version >= 170000 {
		query = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)" // goes with a failover
	}
	bounded, cancel := context.WithTimeout(ctx, slotWait)
	defer cancel()
	_, err := s.pool.Exec(bounded, query, s.slot())
	switch {
	case err != nil && bounded.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("make the replication slot on %s: it waits for transactions that have been open for %s: end them, or try again when they have ended", s.host(), slotWait)
	case err != nil:
		return fmt.Errorf("make the replication slot on %s: %w", s.host(), err)
	}
	return nil
}

// identity is how the log names the old row of a table's updates and deletes.
type identity struct {
	kind    string   // d: the primary key, n: not at all, f: the whole row, i: an index
	columns []string // of the index or primary key
}

func (i identity) fault(t *catalog.Table) (reason, remedy string) {
	quoted := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	switch {
	case len(t.Key) == 0:
		return "it has neither a primary key nor a unique key over NOT NULL columns: its rows cannot be told apart", "add a primary key, or leave it out of source.tables"
	case i.kind == "f":
		return "", ""
	case i.kind == "n" || len(i.columns) == 0:
		return "it has no replica identity: once it is published, every UPDATE and DELETE of the application fails", "ALTER TABLE " + quoted + " REPLICA IDENTITY DEFAULT (or USING INDEX)"
	}
	for _, k := range t.Key {
		if !slices.Contains(i.columns, t.Columns[k].Name) {
			return fmt.Sprintf("its replica identity does not hold the key column %s: rows that change cannot be found", t.Columns[k].Name), "ALTER TABLE " + quoted + " REPLICA IDENTITY DEFAULT, or FULL"
		}
	}
	return "", ""
}

// identities reads the replica identity of the tables and of their partitions; of those that differ, the one that names least.
func (s *Source) identities(ctx context.Context, tables []*catalog.Table) (map[string]identity, error) {
	var schemas, names []string
	for _, t := range tables {
		schemas, names = append(schemas, t.Schema), append(names, t.Name)
	}
	rows, err := s.pool.Query(ctx, `SELECT w.s || '.' || w.t, c.relreplident::text, coalesce((SELECT array_agg(a.attname::text) FROM pg_index i
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END), '{}')
		FROM unnest($1::text[], $2::text[]) AS w(s, t)
		JOIN pg_namespace n ON n.nspname = w.s JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = w.t
		CROSS JOIN LATERAL (SELECT r.oid WHERE r.relkind = 'r' UNION SELECT relid FROM pg_partition_tree(r.oid) WHERE isleaf) AS x(oid)
		JOIN pg_class c ON c.oid = x.oid`, schemas, names)
	if err != nil {
		return nil, fmt.Errorf("read replica identities: %w", err)
	}
	out := map[string]identity{}
	var name string
	var i identity
	_, err = pgx.ForEachRow(rows, []any{&name, &i.kind, &i.columns}, func() error {
		if have, ok := out[name]; !ok || have.kind == "f" || len(i.columns) < len(have.columns) {
			out[name] = identity{i.kind, slices.Clone(i.columns)}
		}
		return nil
	})
	for _, t := range tables {
		if _, ok := out[t.String()]; !ok && err == nil { // a partitioned table without partitions
			var key []string
			for _, k := range t.Key {
				key = append(key, t.Columns[k].Name)
			}
			out[t.String()] = identity{"d", key}
		}
	}
	return out, err
}

// dropSlot waits for the server to notice that whoever read the slot has gone.
func (s *Source) dropSlot(ctx context.Context) error {
	const objectInUse = "55006"
	for end := time.Now().Add(slotGone); ; {
		_, err := s.pool.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()", s.slot())
		if pgCode(err) != objectInUse || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Remove drops the slot and the publication, and crossfade's rows of this migration; the tables with the last one. It may be repeated.
func (s *Source) Remove(ctx context.Context) error {
	if err := s.dropSlot(ctx); err != nil {
		return fmt.Errorf("drop the replication slot of %s: %w", s.host(), err)
	}
	if _, err := s.pool.Exec(ctx, "DROP PUBLICATION IF EXISTS "+pgx.Identifier{s.slot()}.Sanitize()); err != nil {
		return fmt.Errorf("drop the publication of %s: %w", s.host(), err)
	}
	for _, table := range []string{"crossfade.marker", "crossfade.heartbeat"} {
		var there bool
		if err := s.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
			return fmt.Errorf("look for %s: %w", table, err)
		}
		if !there {
			continue
		}
		if _, err := s.pool.Exec(ctx, "DELETE FROM "+table+" WHERE migration = $1", s.cfg.Migration); err != nil {
			return fmt.Errorf("remove the migration from %s: %w", table, err)
		}
		var left bool
		err := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")").Scan(&left)
		if err == nil && !left {
			_, err = s.pool.Exec(ctx, "DROP TABLE "+table)
		}
		if err != nil {
			return fmt.Errorf("drop %s: %w", table, err)
		}
	}
	_, err := s.pool.Exec(ctx, "DROP SCHEMA IF EXISTS crossfade")
	const dependent, owner = "2BP01", "42501"
	if code := pgCode(err); code == dependent || code == owner {
		return nil
	}
	return errors.Join(err)
}
