package gate

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
)

// checkLeaving proves on a scratch table that this side can be closed, and looks who could keep it from that.
func (s *Postgres) checkLeaving(ctx context.Context, conn *pgx.Conn, tables []string) (out []cutover.Finding, err error) {
	var owns []string
	rows, err := conn.Query(ctx, "SELECT w.name FROM unnest($1::text[]) AS w(name) JOIN pg_class c ON c.oid = w.name::regclass WHERE NOT pg_has_role(c.relowner, 'USAGE')", tables)
	if err == nil {
		owns, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return out, err
	}
	for _, t := range owns {
		out = append(out, finding("error", "privilege", t, fmt.Sprintf("GRANT the owner's role to the user of %s.url", s.side), "only its owner can close it"))
	}
	if f, err := s.checkScratch(ctx, conn); err != nil || f != nil {
		if err != nil {
			return out, err
		}
		out = append(out, *f)
	}
	found, err := s.checkSequences(ctx, conn)
	if out = append(out, found...); err != nil {
		return out, err
	}
	var signals bool
	if err := conn.QueryRow(ctx, "SELECT pg_has_role('pg_signal_backend', 'USAGE')").Scan(&signals); err != nil {
		return out, err
	}
	if !signals {
		out = append(out, finding("warning", "privilege", string(s.side), fmt.Sprintf("GRANT pg_signal_backend to the user of %s.url", s.side), "connections cannot be ended: after an abort one that keeps a table locked can keep the %s closed", s.side))
	}
	rows, err = conn.Query(ctx, busyTables, tables)
	if err != nil {
		return out, err
	}
	var what string
	_, err = pgx.ForEachRow(rows, []any{&what}, func() error {
		out = append(out, finding("warning", "busy", string(s.side), "wait until it has ended", "the fence will wait for %s", what))
		return nil
	})
	return out, err
}

// checkScratch closes and opens a table of our own.
func (s *Postgres) checkScratch(ctx context.Context, conn *pgx.Conn) (*cutover.Finding, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // nothing of it stays
	const scratch = "crossfade.scratch"
	_, err = tx.Exec(ctx, "CREATE TABLE "+scratch+" (id int);\n"+s.createDeny(scratch)+"ALTER TABLE "+scratch+" ENABLE ALWAYS TRIGGER "+s.denyName()+"; SAVEPOINT closed")
	if err != nil {
		if sqlState(err) == "" {
			return nil, err
		}
		f := finding("error", "privilege", "crossfade", fmt.Sprintf("GRANT ALL ON SCHEMA crossfade to the user of %s.url", s.side), "a scratch table cannot be made and closed: %v", err)
		return &f, nil
	}
	if _, err := tx.Exec(ctx, "INSERT INTO "+scratch+" VALUES (1)"); err == nil || !strings.Contains(err.Error(), refusal) {
		f := finding("error", "trigger", string(s.side), "see the error", "the gate's trigger does not close a table: %v", err)
		return &f, nil
	}
	if _, err := tx.Exec(ctx, "ROLLBACK TO closed; ALTER TABLE "+scratch+" DISABLE TRIGGER "+s.denyName()+"; INSERT INTO "+scratch+" VALUES (1)"); err != nil {
		f := finding("error", "trigger", string(s.side), "see the error", "a closed table does not open again: %v", err)
		return &f, nil
	}
	return nil, nil
}

// Seal closes the tables for good: their triggers need nothing but a function. It must be kept, and with it the schema.
func (s *Postgres) Seal(ctx context.Context, _ string) error {
	err := s.retry(ctx, func() error { return s.tx(ctx, func(tx pgx.Tx) error { return s.shut(ctx, tx, true) }) })
	if err != nil {
		return fmt.Errorf("seal the %s: %w", s.side, err)
	}
	return nil
}

// Unseal opens the tables: the old side takes writes again.
func (s *Postgres) Unseal(ctx context.Context) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT t.tgrelid::regclass::text FROM pg_trigger t WHERE t.tgname = $1 AND NOT t.tgisinternal", s.denyName())
		if err != nil {
			return fmt.Errorf("open the %s: %w", s.side, err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("open the %s: %w", s.side, err)
		}
		for _, t := range tables {
			if err := s.retry(ctx, func() error {
				_, err := conn.Exec(ctx, "DROP TRIGGER IF EXISTS "+s.denyName()+" ON "+t)
				return err
			}); err != nil {
				return fmt.Errorf("open %s: %w", t, err)
			}
		}
		return nil
	})
}
