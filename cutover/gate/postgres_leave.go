package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// postgresDeny is the function of the triggers that close a table. It needs nothing else of ours: what it refuses it counts where there is something to count with.
const postgresDeny = `
CREATE TABLE IF NOT EXISTS crossfade.marker (migration text NOT NULL, side text NOT NULL, epoch bigint NOT NULL, kind text NOT NULL,
	at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (migration, side, epoch, kind));
CREATE OR REPLACE FUNCTION crossfade.gate_deny() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
	IF current_setting('crossfade.probe', true) IS DISTINCT FROM 'on' THEN
		BEGIN
			PERFORM nextval(('crossfade.refused_' || left(encode(sha256(convert_to(TG_ARGV[0], 'UTF8')), 'hex'), 16))::regclass);
		EXCEPTION WHEN OTHERS THEN NULL; -- counting is wanted, refusing is needed
		END;
	END IF;
	RAISE EXCEPTION '` + refusal + `, migration % moves to its new database', TG_ARGV[0]
		USING ERRCODE = 'read_only_sql_transaction', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $crossfade$;
`

// dropDeny drops the function, unless a table is to stay closed by it.
const dropDeny = `DO $crossfade$ BEGIN DROP FUNCTION IF EXISTS crossfade.gate_deny(); EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $crossfade$`

// denyName of the trigger that closes a table of this migration.
func (s *Postgres) denyName() string { return "crossfade_deny_" + hash(s.cfg.Migration) }

const postgresAttempt = `SELECT epoch, state, instance, source_id, target_id, deadline, COALESCE(reason, ''), started_at, finished_at
	FROM crossfade.attempt WHERE migration = $1 AND side = $2 AND epoch > 0 ORDER BY epoch DESC`

func scanPostgresAttempt(row pgx.Row) (p cutover.Past, err error) {
	var state string
	var deadline, started, finished *time.Time
	if err = row.Scan(&p.Epoch, &state, &p.Instance, &p.SourceID, &p.TargetID, &deadline, &p.Reason, &started, &finished); err != nil {
		return p, err
	}
	for from, to := range map[**time.Time]*time.Time{&deadline: &p.Deadline, &started: &p.StartedAt, &finished: &p.FinishedAt} {
		if *from != nil {
			*to = (*from).UTC()
		}
	}
	p.State, err = protocol.ParseState(state)
	return p, err
}

// newest reads the newest attempt to leave this side; none is the zero value.
func (s *Postgres) newest(ctx context.Context, q pgQuerier) (cutover.Past, error) {
	p, err := scanPostgresAttempt(q.QueryRow(ctx, postgresAttempt+" LIMIT 1", s.cfg.Migration, s.side))
	if errors.Is(err, pgx.ErrNoRows) {
		return cutover.Past{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read crossfade.attempt of the %s: %w", s.side, err)
	}
	return p, nil
}

// Attempts lists the attempts to leave this side, newest first.
func (s *Postgres) Attempts(ctx context.Context) (out []cutover.Past, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, postgresAttempt, s.cfg.Migration, s.side)
		if err == nil {
			out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (cutover.Past, error) { return scanPostgresAttempt(row) })
		}
		return err
	})
	if noRelation(err) {
		return nil, nil // before the first start, and after cleanup
	}
	if err != nil {
		return nil, fmt.Errorf("read crossfade.attempt of the %s: %w", s.side, err)
	}
	return out, nil
}

// lock takes the row that all statements of this side's attempts lock first.
func (s *Postgres) lock(ctx context.Context, tx pgx.Tx, identity string) error {
	var id string
	err := tx.QueryRow(ctx, "SELECT "+identityExpr+" FROM crossfade.attempt WHERE migration = $1 AND side = $2 AND epoch = 0 FOR UPDATE", s.cfg.Migration, s.side).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("the %s has no row in crossfade.attempt for migration %s: `crossfade run` makes it", s.side, s.cfg.Migration)
	}
	if err != nil {
		return fmt.Errorf("lock crossfade.attempt of the %s: %w", s.side, err)
	}
	return s.expect(id, identity)
}

// live locks this side's attempts and reports whether the one of the epoch lives.
func (s *Postgres) live(ctx context.Context, tx pgx.Tx, epoch int64) error {
	if err := s.lock(ctx, tx, ""); err != nil {
		return err
	}
	p, err := s.newest(ctx, tx)
	if err != nil {
		return err
	}
	if p.Epoch != epoch || !p.State.Live() {
		return errUnchanged
	}
	return nil
}

// leave runs a statement of the side that is left.
func (s *Postgres) leave(ctx context.Context, tx pgx.Tx, c cutover.Call) error {
	if err := s.lock(ctx, tx, c.Identity); err != nil {
		return err
	}
	p, err := s.newest(ctx, tx)
	if err != nil {
		return err
	}
	before := protocol.DB{Attempt: p.Attempt}
	if c.Rule.ReadsGate() {
		if before.Gate, _, err = s.gate(ctx, tx, " FOR UPDATE"); err != nil {
			return err
		}
	}
	late := false
	if c.Rule.InTime {
		err := tx.QueryRow(ctx, "SELECT COALESCE(deadline <= clock_timestamp(), true) FROM crossfade.attempt WHERE migration = $1 AND side = $2 AND epoch = $3", s.cfg.Migration, s.side, c.Epoch).Scan(&late)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("read the deadline: %w", err)
		}
	}
	after := before
	if !c.Rule.Apply(&after, c.Epoch, late) {
		return errUnchanged
	}
	switch {
	case c.Rule.Set == protocol.IsClosed:
		err = s.shut(ctx, tx, true)
	case c.Rule.Set == protocol.IsOpen && !before.Gate.Open: // else it was never closed, and who has kept it from that keeps the tables
		err = s.shut(ctx, tx, false)
	}
	if err != nil {
		return err
	}
	if err := s.writeGate(ctx, tx, before.Gate, after.Gate); err != nil {
		return err
	}
	if after.Attempt != before.Attempt {
		if err := s.writeAttempt(ctx, tx, after.Attempt, c); err != nil {
			return err
		}
	}
	if c.Rule.Act == protocol.Fence { // behind every row written before: those who wrote them have ended, or the tables could not have been locked
		if _, err := tx.Exec(ctx, "INSERT INTO crossfade.marker (migration, side, epoch, kind) VALUES ($1, $2, $3, 'fence')", s.cfg.Migration, s.side, c.Epoch); err != nil {
			return err
		}
	}
	return s.writeEntries(ctx, tx, c.Epoch, c.Entries)
}

// writeAttempt brings the attempt's row to its new state.
func (s *Postgres) writeAttempt(ctx context.Context, tx pgx.Tx, a protocol.Attempt, c cutover.Call) error {
	if c.Rule.Fresh || c.Rule.Lost {
		_, err := tx.Exec(ctx, `INSERT INTO crossfade.attempt (migration, side, epoch, state, instance, source_id, target_id, started_at, finished_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), CASE WHEN $8 THEN NULL ELSE clock_timestamp() END) ON CONFLICT (migration, side, epoch) DO UPDATE SET state = excluded.state`,
			s.cfg.Migration, s.side, a.Epoch, a.State.String(), c.Record.Instance, c.Record.SourceID, c.Record.TargetID, a.State.Live())
		return err
	}
	var timeout *int64
	if c.Timeout != 0 {
		us := c.Timeout.Microseconds()
		timeout = &us
	}
	_, err := tx.Exec(ctx, `UPDATE crossfade.attempt SET state = $4, deadline = COALESCE(clock_timestamp() + $5::bigint * interval '1 microsecond', deadline),
		reason = COALESCE(NULLIF($6, ''), reason), finished_at = CASE WHEN $7 THEN finished_at ELSE clock_timestamp() END WHERE migration = $1 AND side = $2 AND epoch = $3`,
		s.cfg.Migration, s.side, a.Epoch, a.State.String(), timeout, strings.ReplaceAll(clip(c.Reason), "\x00", "\ufffd"), a.State.Live())
	return err
}

// lockTimeout is far below deadlock_timeout (1 s unless changed): where two wait for each other it is we who give way, and soon, since whoever writes
// meanwhile waits behind us.
const lockTimeout = "150ms"

// shut closes or opens every table. The tables are locked first, which waits for all who have written and lets nobody write, and then listed again: a
// partition made meanwhile is closed too. The trigger always fires, also for superusers and replicas. To open, it is disabled, never dropped: a statement
// that looks it up late must find it.
func (s *Postgres) shut(ctx context.Context, tx pgx.Tx, close bool) error {
	if len(s.cfg.Tables) == 0 {
		return nil
	}
	var roots []string
	for _, t := range s.cfg.Tables {
		roots = append(roots, quotePostgres(s.here(t)))
	}
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+lockTimeout+"'"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+strings.Join(roots, ", ")+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return fmt.Errorf("lock the tables: %w", err)
	}
	tables, states, err := s.fences(ctx, tx)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, t := range tables {
		state, there := states[t]
		switch {
		case close && !there:
			text.WriteString(s.createDeny(t))
			fallthrough
		case close && state != "A":
			fmt.Fprintf(&text, "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s;\n", t, s.denyName())
		case !close && there && state != "D":
			fmt.Fprintf(&text, "ALTER TABLE %s DISABLE TRIGGER %s;\n", t, s.denyName())
		}
	}
	if text.Len() == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, text.String()); err != nil {
		return fmt.Errorf("close or open the tables: %w", err)
	}
	return nil
}

func (s *Postgres) createDeny(table string) string {
	return fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION crossfade.gate_deny('%s');\n", s.denyName(), table, s.cfg.Migration)
}

// fences lists the tables with their partitions and children, and how the triggers that close them are enabled.
func (s *Postgres) fences(ctx context.Context, q pgQuerier) (tables []string, states map[string]string, err error) {
	if tables, err = s.tables(ctx, q); err != nil {
		return nil, nil, err
	}
	states, err = s.denying(ctx, q, tables)
	return tables, states, err
}

// denying reads of the tables that have it whether the trigger is enabled: A always, D not.
func (s *Postgres) denying(ctx context.Context, q pgQuerier, tables []string) (map[string]string, error) {
	rows, err := q.Query(ctx, `SELECT w.name, t.tgenabled::text FROM unnest($1::text[]) AS w(name) JOIN pg_trigger t ON t.tgrelid = w.name::regclass
		WHERE t.tgname = $2 AND NOT t.tgisinternal AND t.tgfoid = 'crossfade.gate_deny'::regproc`, tables, s.denyName())
	if err != nil {
		return nil, fmt.Errorf("look for the gate's triggers: %w", err)
	}
	out := map[string]string{}
	var name, state string
	_, err = pgx.ForEachRow(rows, []any{&name, &state}, func() error { out[name] = state; return nil })
	if err != nil {
		return nil, fmt.Errorf("look for the gate's triggers: %w", err)
	}
	return out, nil
}

// Install makes the triggers, not enabled yet, so that the fence has less to do; and waits until nothing works on the tables that the fence would wait for:
// an autovacuum gives way only to those who wait longer than we do (S4).
func (s *Postgres) Install(ctx context.Context, epoch int64) (in cutover.Installed, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		tables, states, err := s.fences(ctx, conn)
		if err != nil {
			return err
		}
		for _, t := range tables {
			in.Tables++
			in.Triggers++
			if _, there := states[t]; there {
				continue
			}
			first := true
			if err := s.retry(ctx, func() error {
				if !first {
					in.Retries++
				}
				first = false
				_, err := conn.Exec(ctx, "BEGIN; SET LOCAL lock_timeout = '"+lockTimeout+"';\n"+s.createDeny(t)+"ALTER TABLE "+t+" DISABLE TRIGGER "+s.denyName()+"; COMMIT")
				if err != nil {
					if _, e := conn.Exec(ctx, "ROLLBACK"); e != nil {
						return errors.Join(err, e)
					}
				}
				return err
			}); err != nil {
				return fmt.Errorf("put the gate trigger on %s: %w; the user of %s.url must own the table", t, err, s.side)
			}
		}
		return s.quiet(ctx, conn, tables)
	})
	if err != nil {
		return in, fmt.Errorf("install attempt %d on the %s: %w", epoch, s.side, err)
	}
	return in, nil
}

// busyTables lists who holds a lock on the tables that neither reading nor writing needs.
const busyTables = `SELECT format('%s on %s by process %s (%s)', l.mode, l.relation::regclass, l.pid, left(COALESCE(NULLIF(a.query, ''), a.backend_type, '?'), 80))
	FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
	WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.relation = ANY ($1::text[]::regclass[]::oid[]) AND l.granted AND l.pid <> pg_backend_pid()
	AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`

func (s *Postgres) quiet(ctx context.Context, conn *pgx.Conn, tables []string) error {
	for {
		rows, err := conn.Query(ctx, busyTables, tables)
		if err != nil {
			return fmt.Errorf("look who works on the tables: %w", err)
		}
		busy, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("look who works on the tables: %w", err)
		}
		if len(busy) == 0 {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %s: wait until it has ended, or end it", context.Cause(ctx), cutover.ErrBusy, strings.Join(busy, ", "))
		}
	}
}

// Installed looks that every table has the trigger, enabled or not.
func (s *Postgres) Installed(ctx context.Context, epoch int64) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		tables, states, err := s.fences(ctx, conn)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if _, there := states[t]; !there {
				return fmt.Errorf("attempt %d: %s has no gate trigger: somebody dropped it, or made the table just now; try again", epoch, t)
			}
		}
		return nil
	})
}

// Uninstall leaves the triggers of an attempt that has ended: they are disabled and cost nothing, and the next attempt takes them.
func (s *Postgres) Uninstall(context.Context, int64) error { return nil }

// PreparedTransactions lists those of this database.
func (s *Postgres) PreparedTransactions(ctx context.Context) (out []string, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared")
		if err == nil {
			out, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list prepared transactions: %w", err)
	}
	return out, nil
}

// Free ends the connections that keep the tables locked. Under a closed gate they have written nothing.
func (s *Postgres) Free(ctx context.Context) (n int, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		tables, err := s.tables(ctx, conn)
		if err != nil {
			return err
		}
		return conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.relation = ANY ($1::text[]::regclass[]::oid[]) AND l.granted AND l.pid <> pg_backend_pid()
			AND a.backend_type = 'client backend' AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')) x`, tables).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("end the connections that keep the tables of the %[1]s locked: %[2]w; GRANT pg_signal_backend to the user of %[1]s.url", s.side, err)
	}
	return n, nil
}

// LastIssued reads the last number that the sequence of every table has issued, and every one that no column owns.
func (s *Postgres) LastIssued(ctx context.Context) (out map[cutover.Name]uint64, err error) {
	out = map[cutover.Name]uint64{}
	err = s.with(ctx, func(conn *pgx.Conn) error {
		for _, t := range s.cfg.Tables {
			here, column := s.here(t), s.number(t)
			if column == "" {
				continue
			}
			var name *string
			if err := conn.QueryRow(ctx, "SELECT pg_get_serial_sequence($1, $2)", quotePostgres(here), column).Scan(&name); err != nil {
				return fmt.Errorf("%s.%s: %w", here, column, err)
			}
			if name == nil {
				return fmt.Errorf("%s.%s has no sequence any more", here, column)
			}
			var last int64
			if err := conn.QueryRow(ctx, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM "+*name).Scan(&last); err != nil {
				return fmt.Errorf("sequence %s: %w", *name, err)
			}
			out[here] = uint64(max(last, 0))
		}
		for _, c := range s.cfg.Sequences {
			here, _ := s.ends(c)
			var err error
			if _, out[here], err = s.free(ctx, conn, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the sequences of the %s: %w", s.side, err)
	}
	return out, nil
}
