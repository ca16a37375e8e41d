package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Lanes reads the newest marker of every lane. The ledger says how many lanes there are; one that has no row has applied nothing.
func (s *Postgres) Lanes(ctx context.Context) (out []cutover.Lane, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT lane::int, lanes::int, COALESCE(marker_epoch, 0)::bigint FROM crossfade.ledger WHERE migration = $1 AND side = $2 ORDER BY lane", s.cfg.Migration, s.side)
		if err != nil {
			return err
		}
		var l cutover.Lane
		var lanes int
		_, err = pgx.ForEachRow(rows, []any{&l.Lane, &lanes, &l.Marker}, func() error {
			if l.Lane != len(out) {
				return fmt.Errorf("lane %d has no row", len(out))
			}
			out = append(out, l)
			return nil
		})
		if err != nil {
			return err
		}
		if len(out) == 0 || len(out) != lanes {
			return fmt.Errorf("%d lanes have a row, there are %d", len(out), lanes)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("crossfade.ledger: %w", err)
	}
	return out, nil
}

// Generators finds the sequence behind every column that goes on with the numbers of the other end, and those that no column owns.
func (s *Postgres) Generators(ctx context.Context) (out []cutover.Sequence, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		for _, t := range s.cfg.Tables {
			if t.AutoIncrement == "" || t.Sequence == "" {
				continue
			}
			here, column := s.here(t), s.number(t)
			q := cutover.Sequence{Table: s.there(t).String()}
			var name *string
			if err := conn.QueryRow(ctx, "SELECT pg_get_serial_sequence($1, $2)", quotePostgres(here), column).Scan(&name); err != nil {
				return fmt.Errorf("%s.%s: %w", here, column, err)
			}
			if name == nil {
				return fmt.Errorf("%s is numbered on the %s, but %s.%s has no sequence", q.Table, s.side.Other(), here, column)
			}
			q.Name = *name
			var now, maximum int64
			if err := conn.QueryRow(ctx, "SELECT CASE WHEN s.is_called THEN s.last_value ELSE s.last_value - 1 END, p.seqmax FROM "+q.Name+" s, pg_sequence p WHERE p.seqrelid = $1::text::regclass", q.Name).
				Scan(&now, &maximum); err != nil {
				return fmt.Errorf("sequence %s: %w", q.Name, err)
			}
			q.Now, q.Max = uint64(max(now, 0)), uint64(maximum)
			if q.Highest, err = s.highest(ctx, conn, here, column); err != nil {
				return fmt.Errorf("highest %s.%s: %w", here, column, err)
			}
			out = append(out, q)
		}
		for _, c := range s.cfg.Sequences {
			q, _, err := s.free(ctx, conn, c)
			if err != nil {
				return err
			}
			out = append(out, q)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sequences of the %s: %w", s.side, err)
	}
	return out, nil
}

// highest is the largest number that a row has in a column, if two rows may not have the same: its index answers at once. 0: none, or a number issued again would be let in.
func (s *Postgres) highest(ctx context.Context, conn *pgx.Conn, t cutover.Name, column string) (n uint64, err error) {
	var unique bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indrelid = $1::text::regclass
		AND a.attname = $2 AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL)`, quotePostgres(t), column).Scan(&unique); err != nil || !unique {
		return 0, err
	}
	name := pgx.Identifier{column}.Sanitize()
	err = conn.QueryRow(ctx, "SELECT COALESCE(LEAST(GREATEST(max("+name+"), 0), 9223372036854775807)::bigint, 0) FROM "+quotePostgres(t)).Scan(&n)
	return n, err
}

// postgresHold is a transaction with a read lock on every table.
type postgresHold struct {
	conn *pgx.Conn
	side protocol.Side
}

// Hold opens it. It waits, a second at a time, for DDL that runs.
func (s *Postgres) Hold(ctx context.Context) (cutover.Held, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return nil, fmt.Errorf("keep DDL on the %s waiting: %w", s.side, err)
	}
	h := &postgresHold{conn, s.side}
	var names []string
	for _, t := range s.cfg.Tables {
		names = append(names, quotePostgres(s.here(t)))
	}
	err = s.retry(ctx, func() error {
		if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE")
		if err != nil {
			if _, e := conn.Exec(ctx, "ROLLBACK"); e != nil {
				return errors.Join(err, e)
			}
		}
		return err
	})
	if err != nil {
		h.Release()
		return nil, fmt.Errorf("keep DDL on the %s waiting: %w", s.side, err)
	}
	return h, nil
}

// Alive asks whether the transaction is still open: it lives and dies with its connection.
func (h *postgresHold) Alive(ctx context.Context) error {
	if _, err := h.conn.Exec(ctx, "SELECT 1"); err != nil {
		return fmt.Errorf("%s: %w", h.side, err)
	}
	if status := h.conn.PgConn().TxStatus(); status != 'T' {
		return fmt.Errorf("%s: the transaction has ended (%c)", h.side, status)
	}
	return nil
}

// Release ends the transaction.
func (h *postgresHold) Release() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// If this fails the connection is gone, and with it the transaction.
	_ = h.conn.Close(ctx)
}

// Probe tries to write to tables: a statement that touches no row fires the trigger all the same. That the triggers of all tables stand is part
// of the fingerprint.
func (s *Postgres) Probe(ctx context.Context) (p cutover.Probe, err error) {
	conn, err := pgx.ConnectConfig(ctx, s.probe)
	if err != nil {
		return p, fmt.Errorf("connect as the application: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "SET crossfade.probe = 'on'"); err != nil { // it does not count
		return p, fmt.Errorf("probe: %w", err)
	}
	if s.cfg.Probe != "" {
		p.As = s.probe.User
	} else {
		p.Note = "not probed as application"
	}
	for i, t := range s.cfg.Tables {
		if i == probeTables {
			break
		}
		_, writeErr := conn.Exec(ctx, "DELETE FROM "+quotePostgres(s.here(t))+" WHERE false")
		p.Tables++
		switch {
		case writeErr == nil:
			p.Accepted = append(p.Accepted, s.here(t).String())
		case strings.Contains(writeErr.Error(), refusal):
			p.Refused++
		case sqlState(writeErr) == "":
			return p, fmt.Errorf("%s: %w", s.here(t), writeErr)
		default:
			p.Denied++
			p.Error = fmt.Sprintf("%s: %v", s.here(t), writeErr)
		}
	}
	return p, nil
}

// Check looks at what opening or closing this side needs.
func (s *Postgres) Check(ctx context.Context) (out []cutover.Finding, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		tables, err := s.tables(ctx, conn)
		if err != nil {
			return err
		}
		look := s.checkEntering
		if s.role() == protocol.Leaving {
			look = s.checkLeaving
		}
		if out, err = look(ctx, conn, tables); err != nil {
			return err
		}
		var fsync, fullPage string
		if err := conn.QueryRow(ctx, "SELECT current_setting('fsync'), current_setting('full_page_writes')").Scan(&fsync, &fullPage); err != nil {
			return err
		}
		if fsync != "on" || fullPage != "on" {
			out = append(out, finding("warning", "durability", string(s.side), "set fsync and full_page_writes to on", "a power cut can undo the %s: fsync is %s, full_page_writes is %s",
				map[protocol.Role]string{protocol.Leaving: "fence", protocol.Entering: "decision"}[s.role()], fsync, fullPage))
		}
		key := string(s.side) + ".probe_url"
		if s.cfg.Probe == "" {
			out = append(out, finding("warning", "probe", key, "set "+key+" to a user of the application", "writes are not probed as application"))
		} else if s.probe.User == s.config.User {
			out = append(out, finding("warning", "probe", key, "give crossfade a user of its own", "the application connects as our user %s", s.config.User))
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("check the %s's gate: %w", s.side, err)
	}
	return out, nil
}

// checkEntering: every table is closed, and nothing of what was built behind the rows is unfinished.
func (s *Postgres) checkEntering(ctx context.Context, conn *pgx.Conn, tables []string) (out []cutover.Finding, err error) {
	for _, t := range tables {
		ok, err := s.guarded(ctx, conn, t)
		if err != nil {
			return out, err
		}
		if !ok {
			out = append(out, finding("error", "gate", t, "restart `crossfade run`, and let nobody drop or disable it", "the gate trigger is missing or disabled"))
		}
	}
	found, err := s.mayRaise(ctx, conn)
	if out = append(out, found...); err != nil {
		return out, err
	}
	rows, err := conn.Query(ctx, `SELECT 'foreign key or check', format('%I on %s', conname, conrelid::regclass) FROM pg_constraint WHERE NOT convalidated AND conrelid = ANY ($1::text[]::regclass[]::oid[])
		UNION ALL SELECT 'index', format('%s on %s', indexrelid::regclass, indrelid::regclass) FROM pg_index WHERE NOT (indisvalid AND indisready) AND indrelid = ANY ($1::text[]::regclass[]::oid[])`, tables)
	if err != nil {
		return out, err
	}
	var kind, name string
	_, err = pgx.ForEachRow(rows, []any{&kind, &name}, func() error {
		out = append(out, finding("error", "invalid", name, "validate or build it again: `crossfade schema --phase after` shows how", "%s is not valid", kind))
		return nil
	})
	return out, err
}

// Fingerprint is a hash over columns, constraints, indexes and storage of the tables and their partitions.
func (s *Postgres) Fingerprint(ctx context.Context) (string, error) {
	h := sha256.New()
	err := s.with(ctx, func(conn *pgx.Conn) error {
		tables, err := s.tables(ctx, conn)
		if err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `SELECT l FROM (
			SELECT a.attrelid AS t, 1 AS kind, a.attnum::bigint AS n, concat_ws('|', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attisdropped,
				a.attcollation, pg_get_expr(d.adbin, d.adrelid)) AS l
			FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attnum > 0 AND a.attrelid = ANY ($1::text[]::regclass[]::oid[])
			UNION ALL SELECT c.oid, 2, 0, concat_ws('|', c.relname, c.relfilenode, c.relkind, c.relpersistence) FROM pg_class c WHERE c.oid = ANY ($1::text[]::regclass[]::oid[])
			UNION ALL SELECT c.conrelid, 3, c.oid, concat_ws('|', c.conname, pg_get_constraintdef(c.oid), c.convalidated) FROM pg_constraint c WHERE c.conrelid = ANY ($1::text[]::regclass[]::oid[])
			UNION ALL SELECT i.indrelid, 4, i.indexrelid, concat_ws('|', pg_get_indexdef(i.indexrelid), i.indisvalid) FROM pg_index i WHERE i.indrelid = ANY ($1::text[]::regclass[]::oid[])
			UNION ALL SELECT g.tgrelid, 5, g.oid, concat_ws('|', g.tgname, g.tgenabled, pg_get_triggerdef(g.oid)) FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgname <> $2 AND g.tgrelid = ANY ($1::text[]::regclass[]::oid[])
			) x ORDER BY t, kind, n, l`, tables, s.denyName()) // what closes the source comes and goes with an attempt
		if err != nil {
			return err
		}
		var line string
		_, err = pgx.ForEachRow(rows, []any{&line}, func() error {
			fmt.Fprintf(h, "%s\n", line)
			return nil
		})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the schema of the %s: %w", s.side, err)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
