package gate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// PostgresConfig of a PostgreSQL side.
type PostgresConfig struct {
	Migration string
	URL       string // postgres://...
	// Probe is the URL of a user of the application; empty: writes are probed as our own user.
	Probe  string
	Tables []cutover.Table
	// Sequences that no column owns, and that are at both ends.
	Sequences []cutover.Counter
	// Side is which end of the migration it is. Default: the target.
	Side protocol.Side
	// Back: the target is left and the source entered, by a rollback. Else the source is left and the target entered.
	Back bool
}

// Postgres is one end of a migration: a [cutover.Leaver] or a [cutover.Enterer], as its role asks.
type Postgres struct {
	way
	cfg    PostgresConfig
	config *pgx.ConnConfig
	probe  *pgx.ConnConfig

	mu   sync.Mutex // one connection, used by one call at a time
	conn *pgx.Conn
}

// OpenPostgres connects. It changes nothing.
func OpenPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	s, err := NewPostgres(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Ping connects, if there is no connection.
func (s *Postgres) Ping(ctx context.Context) error {
	if err := s.with(ctx, func(*pgx.Conn) error { return nil }); err != nil {
		return fmt.Errorf("%s gate: %w", s.side, err)
	}
	return nil
}

// NewPostgres is a side that connects when it is first asked.
func NewPostgres(cfg PostgresConfig) (*Postgres, error) {
	if err := migrationName(cfg.Migration); err != nil {
		return nil, err
	}
	if cfg.Side == "" {
		cfg.Side = protocol.Target
	}
	s := &Postgres{cfg: cfg, way: way{cfg.Side, cfg.Back}}
	var err error
	if s.config, err = parsePostgres(cfg.URL); err != nil {
		return nil, fmt.Errorf("%[1]s gate: %[1]s.url: %[2]w", s.side, err)
	}
	s.probe = s.config
	if cfg.Probe != "" {
		if s.probe, err = parsePostgres(cfg.Probe); err != nil {
			return nil, fmt.Errorf("%[1]s gate: %[1]s.probe_url: %[2]w", s.side, err)
		}
	}
	return s, nil
}

func parsePostgres(url string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	c.ConnectTimeout = 5 * time.Second
	c.RuntimeParams["application_name"] = "crossfade gate"
	c.RuntimeParams["lock_timeout"] = "1000"
	c.RuntimeParams["TimeZone"] = "UTC"
	c.RuntimeParams["search_path"] = "pg_catalog"
	c.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	c.RuntimeParams["default_transaction_read_only"] = "off"
	return c, nil
}

// Close ends the connection.
func (s *Postgres) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return s.conn.Close(ctx)
}

// with lends the connection, opened anew if it broke.
func (s *Postgres) with(ctx context.Context, f func(*pgx.Conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || s.conn.IsClosed() {
		conn, err := pgx.ConnectConfig(ctx, s.config)
		if err != nil {
			return err // it names host and user
		}
		s.conn = conn
	}
	return f(s.conn)
}

// tx runs f in one transaction. An error is of unknown outcome, unless it wraps ErrBusy.
func (s *Postgres) tx(ctx context.Context, f func(pgx.Tx) error) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		if err := f(tx); err != nil {
			if e := tx.Rollback(ctx); e != nil && !errors.Is(e, pgx.ErrTxClosed) && !errors.Is(err, errUnchanged) {
				return fmt.Errorf("%w (and its rollback: %w)", err, e)
			}
			return busyPostgres(err)
		}
		return tx.Commit(ctx)
	})
}

// sqlState of an error of the server.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// noRelation reports whether the table, or its whole schema, is not there.
func noRelation(err error) bool {
	state := sqlState(err)
	return state == "42P01" || state == "3F000"
}

func busyPostgres(err error) error {
	switch sqlState(err) {
	case "55P03", "40P01": // lock_timeout, deadlock: the transaction is rolled back
		return fmt.Errorf("%w: %w", cutover.ErrBusy, err)
	default:
		return err
	}
}

// retry repeats what a lock ended, with a pause for those who hold it.
func (s *Postgres) retry(ctx context.Context, f func() error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := busyPostgres(f())
		if !errors.Is(err, cutover.ErrBusy) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// postgresSetup makes the schema, the tables and the trigger's function. Sessions that do it at the same time wait for each other.
const postgresSetup = `
CREATE SCHEMA IF NOT EXISTS crossfade;
CREATE TABLE IF NOT EXISTS crossfade.gate (migration text NOT NULL, side text NOT NULL, state text NOT NULL, epoch bigint NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (migration, side));
CREATE TABLE IF NOT EXISTS crossfade.attempt (migration text NOT NULL, side text NOT NULL, epoch bigint NOT NULL, state text NOT NULL,
	instance text NOT NULL DEFAULT '', source_id text NOT NULL DEFAULT '', target_id text NOT NULL DEFAULT '', deadline timestamptz, reason text,
	started_at timestamptz, finished_at timestamptz, PRIMARY KEY (migration, side, epoch));
CREATE TABLE IF NOT EXISTS crossfade.journal (migration text NOT NULL, side text NOT NULL, epoch bigint NOT NULL, step text NOT NULL, run int NOT NULL,
	instance text NOT NULL, intent_at timestamptz NOT NULL, done_at timestamptz, outcome text, evidence jsonb, PRIMARY KEY (migration, side, epoch, step, run));
CREATE OR REPLACE FUNCTION crossfade.gate_check() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
	PERFORM 1 FROM crossfade.gate WHERE migration = TG_ARGV[0] AND side = TG_ARGV[1] AND state = 'open';
	IF NOT FOUND THEN
		RAISE EXCEPTION '` + refusal + `, migration % has not moved to this database', TG_ARGV[0]
			USING ERRCODE = 'read_only_sql_transaction', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
	END IF;
	RETURN NULL;
END $crossfade$;
REVOKE ALL ON FUNCTION crossfade.gate_check() FROM PUBLIC;
`

// setupLock is the advisory lock under which schema crossfade is made.
const setupLock = 0x63726f7373666164

// Setup makes the tables and this side's gate. The row of epoch 0 is what Beat changes.
func (s *Postgres) Setup(ctx context.Context, open bool) error {
	state := "closed"
	if open {
		state = "open"
	}
	err := s.retry(ctx, func() error {
		return s.tx(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(setupLock)); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, postgresSetup); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, postgresDeny+"CREATE SEQUENCE IF NOT EXISTS "+s.refusedSequence()); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "INSERT INTO crossfade.gate (migration, side, state, epoch) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING", s.cfg.Migration, s.side, state); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO crossfade.attempt (migration, side, epoch, state) VALUES ($1, $2, 0, 'NONE') ON CONFLICT DO NOTHING", s.cfg.Migration, s.side)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("set up the %[1]s's gate: %[2]w; the user of %[1]s.url needs CREATE on the database", s.side, err)
	}
	return nil
}

// identityExpr is the cluster and its timeline: a standby that was promoted has another. In recovery there is no timeline to ask for.
const identityExpr = `(SELECT system_identifier::text FROM pg_control_system()) || '/' || CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END`

// Identity is the cluster's system identifier and timeline.
func (s *Postgres) Identity(ctx context.Context) (id string, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, "SELECT "+identityExpr).Scan(&id) })
	if err != nil {
		return "", fmt.Errorf("identity of the %s: %w", s.side, err)
	}
	return id, nil
}

// triggerName of this migration's gate trigger.
func (s *Postgres) triggerName() string { return "crossfade_gate_" + hash(s.cfg.Migration) }

// tables lists the tables with their partitions and children: statement triggers of a parent are not fired by a write to its child.
func (s *Postgres) tables(ctx context.Context, conn pgQuerier) ([]string, error) {
	var out []string
	for _, t := range s.cfg.Tables {
		name := quotePostgres(s.here(t))
		rows, err := conn.Query(ctx, `WITH RECURSIVE tree(relid) AS (SELECT $1::regclass::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.relid)
			SELECT format('%I.%I', n.nspname, c.relname) FROM tree JOIN pg_class c ON c.oid = tree.relid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') ORDER BY 1`, name)
		if err != nil {
			return nil, fmt.Errorf("list the partitions of %s: %w", s.here(t), err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("list the partitions of %s: %w", s.here(t), err)
		}
		out = append(out, list...)
	}
	return out, nil
}

func quotePostgres(n cutover.Name) string { return pgx.Identifier{n.Schema, n.Table}.Sanitize() }

// guarded reports whether the table is closed while the gate's row says so, and open else: by the trigger that reads the row, on the target; on a source, which has been
// open, by the one that asks nothing.
func (s *Postgres) guarded(ctx context.Context, q pgQuerier, table string) (ok bool, err error) {
	name, function := s.triggerName(), "crossfade.gate_check"
	if s.side == protocol.Source {
		name, function = s.denyName(), "crossfade.gate_deny"
	}
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = $1::regclass AND t.tgname = $2 AND t.tgenabled IN ('O', 'A')
		AND t.tgfoid = $3::regproc AND NOT t.tgisinternal)`, table, name, function).Scan(&ok)
	return ok, err
}

// Guard keeps every table of a closed side closed for the application, and lets the applier through.
//
// A side that was never open gets the trigger that reads the gate's row. One that has been left has its fence, which asks nothing: an old snapshot would still read that the gate is open.
// It stays, but does not fire for sessions that replicate any more, as the applier's do. While the side's gate is open, or an attempt to leave it lives, its fence stays as it is:
// a Guard that runs late would close it, or let somebody through.
func (s *Postgres) Guard(ctx context.Context) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		tables, err := s.tables(ctx, conn)
		if err != nil {
			return err
		}
		for _, t := range tables {
			err := s.retry(ctx, func() error {
				return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return s.guard(ctx, tx, t) })
			})
			if err != nil {
				return fmt.Errorf("close %s: %w; the user of %s.url must own the table", t, err, s.side)
			}
		}
		return nil
	})
}

// guard closes one table, under the lock of the gate's row.
func (s *Postgres) guard(ctx context.Context, tx pgx.Tx, table string) error {
	g, _, err := s.gate(ctx, tx, " FOR UPDATE")
	if err != nil {
		return err
	}
	attempt, err := s.newest(ctx, tx)
	if err != nil {
		return err
	}
	states, err := s.denying(ctx, tx, []string{table})
	if err != nil {
		return err
	}
	denying, settled := states[table], !g.Open && !attempt.State.Live()
	var text []string
	switch {
	case s.side == protocol.Target:
		ok, err := s.guarded(ctx, tx, table)
		if err != nil {
			return err
		}
		if !ok {
			text = append(text, fmt.Sprintf("CREATE OR REPLACE TRIGGER %s BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION crossfade.gate_check('%s', '%s')",
				s.triggerName(), table, s.cfg.Migration, s.side), "ALTER TABLE "+table+" ENABLE TRIGGER "+s.triggerName()) // it stood there disabled
		}
	case denying == "" && settled:
		text = append(text, s.createDeny(table))
	}
	if settled && (denying == "A" || s.side == protocol.Source && denying == "D") {
		text = append(text, "ALTER TABLE "+table+" ENABLE TRIGGER "+s.denyName())
	}
	for _, q := range text {
		if _, err := tx.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes the triggers away and deletes what this migration keeps in the gate's tables. With the gate closed the tables become writable
// by it: the caller says that this is meant.
func (s *Postgres) Remove(ctx context.Context) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT t.tgrelid::regclass::text FROM pg_trigger t WHERE t.tgname = $1 AND NOT t.tgisinternal", s.triggerName())
		if err != nil {
			return fmt.Errorf("remove the %s's gate: %w", s.side, err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("remove the %s's gate: %w", s.side, err)
		}
		for _, t := range tables {
			if err := s.retry(ctx, func() error {
				_, err := conn.Exec(ctx, "DROP TRIGGER IF EXISTS "+s.triggerName()+" ON "+t)
				return err
			}); err != nil {
				return fmt.Errorf("remove the gate trigger of %s: %w", t, err)
			}
		}
		if _, err := conn.Exec(ctx, "DROP SEQUENCE IF EXISTS "+s.refusedSequence()); err != nil {
			return fmt.Errorf("remove the %s's gate: %w", s.side, err)
		}
		for _, table := range []string{"journal", "attempt", "marker", "gate"} {
			_, err := conn.Exec(ctx, "DELETE FROM crossfade."+table+" WHERE migration = $1", s.cfg.Migration)
			if noRelation(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("remove the %s's gate: crossfade.%s: %w", s.side, table, err)
			}
			var left bool
			if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM crossfade."+table+")").Scan(&left); err != nil {
				return fmt.Errorf("remove the %s's gate: crossfade.%s: %w", s.side, table, err)
			}
			if left {
				continue
			}
			if _, err := conn.Exec(ctx, "DROP TABLE crossfade."+table); err != nil {
				return fmt.Errorf("remove the %s's gate: crossfade.%s: %w", s.side, table, err)
			}
			if table == "gate" {
				if _, err := conn.Exec(ctx, "DROP FUNCTION IF EXISTS crossfade.gate_check(); "+dropDeny); err != nil {
					return fmt.Errorf("remove the %s's gate: %w", s.side, err)
				}
			}
		}
		return nil
	})
}

// parseState reads a gate's state.
func parseState(state string) (open bool, err error) {
	switch state {
	case "open":
		return true, nil
	case "closed":
		return false, nil
	default:
		return false, fmt.Errorf("crossfade.gate has state %s: run the version that wrote it", strconv.Quote(state))
	}
}
