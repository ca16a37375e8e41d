package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
)

// Config of a Source.
type Config struct {
	URL string
	// Migration is the name of the migration, with '_' for '-'.
	Migration string
	// Slot names the slot and the publication, behind crossfade_; empty: the migration. Both directions of a migration may read one server.
	Slot string
	// Heartbeat is after how much silence of the log a row of ours is committed, so that the slot of an idle database moves on; 0: 10 s.
	Heartbeat time.Duration
	// Readers is how many reads run at a time; 0: 4.
	Readers int
}

const (
	connectTimeout = 10 * time.Second
	// proofWait is how long a read waits until its snapshot is known to see what has been published.
	proofWait = 10 * time.Second
	// ownSchema holds crossfade's tables.
	ownSchema = "crossfade"
)

// Source is a PostgreSQL database whose changes and rows are read. Its methods may be called by several goroutines.
type Source struct {
	cfg     Config
	log     *slog.Logger
	conn    *pgx.ConnConfig
	pool    *pgxpool.Pool
	version int // such as 180004
	seen    seen

	answered  atomic.Pointer[string] // who answered last, as Identity said
	proofWait time.Duration          // proofWait, but for tests
}

// Open connects to the database. It changes nothing there.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	if cfg.Readers <= 0 {
		cfg.Readers = 4
	}
	if cfg.Slot == "" {
		cfg.Slot = cfg.Migration
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 10 * time.Second
	}
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	pc.ConnConfig.ConnectTimeout = connectTimeout
	pc.ConnConfig.RuntimeParams["application_name"] = "crossfade"
	for k, v := range outputSettings {
		pc.ConnConfig.RuntimeParams[k] = v
	}
	s := &Source{cfg: cfg, log: log, conn: pc.ConnConfig.Copy(), proofWait: proofWait}
	pc.ConnConfig.RuntimeParams["lock_timeout"] = "1000"
	pc.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	pc.ConnConfig.RuntimeParams["synchronous_commit"] = "local" // nothing that capture writes is missed after a failover, and nothing of it may wait for a standby
	pc.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	pc.ConnConfig.RuntimeParams["search_path"] = "pg_catalog"
	pc.MaxConns = int32(cfg.Readers + 3)
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if err := s.greet(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	var standby bool
	err := s.pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, pg_is_in_recovery()").Scan(&s.version, &standby)
	switch {
	case err != nil:
		return fmt.Errorf("connect to PostgreSQL at %s: %w", s.host(), err)
	case s.version < 140000:
		return fmt.Errorf("PostgreSQL at %s is older than 14: upgrade it first", s.host())
	case standby:
		return fmt.Errorf("PostgreSQL at %s is a standby: name the primary in source.url", s.host())
	}
	return nil
}

func (s *Source) host() string { return fmt.Sprintf("%s:%d", s.conn.Host, s.conn.Port) }

// Close ends the sessions.
func (s *Source) Close() error {
	s.pool.Close()
	return nil
}

// Catalog reads the tables that match says yes to, without crossfade's own.
func (s *Source) Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tables of the source: %w", err)
	}
	defer conn.Release()
	return catalog.Postgres(ctx, conn.Conn(), func(schema, table string) bool { return schema != ownSchema && match(schema, table) })
}

// Sequences reads the sequences that no column owns, in the schemas of the tables and in their defaults.
func (s *Source) Sequences(ctx context.Context, tables []*catalog.Table) ([]catalog.Sequence, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the sequences of the source: %w", err)
	}
	defer conn.Release()
	return catalog.PostgresSequences(ctx, conn.Conn(), tables)
}

// Position is the place after everything that is committed now.
func (s *Source) Position(ctx context.Context) (string, error) {
	lsn, err := s.insertLSN(ctx)
	return position{lsn: lsn}.String(), err
}

func (s *Source) insertLSN(ctx context.Context) (uint64, error) {
	var text string
	if err := s.pool.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&text); err != nil {
		return 0, fmt.Errorf("ask %s for its position: %w", s.host(), err)
	}
	return parseLSN(text)
}

// Covers reports whether at is at or past p. A place inside a transaction lies before its commit.
func (s *Source) Covers(at, p string) (bool, error) {
	a, err := parsePosition(at)
	if err != nil {
		return false, err
	}
	q, err := parsePosition(p)
	if err != nil {
		return false, err
	}
	return a.covers(q), nil
}

// Contains reports, by a nil error, that the log can be read on from p: the slot is there and has kept what comes after it.
func (s *Source) Contains(ctx context.Context, p string) error {
	at, err := parsePosition(p)
	if err != nil {
		return err
	}
	now, err := s.insertLSN(ctx)
	if err != nil {
		return err
	}
	stop := &capture.Stop{Position: p, Object: "replication slot " + s.slot(), Remedy: "start the migration again with a new snapshot"}
	if at.lsn > now || at.inside() && at.in >= now {
		stop.Reason = fmt.Sprintf("the log ends at %s, and was read up to %s (a restored backup, or a crash without synchronous_commit)", lsnText(now), lsnText(max(at.lsn, at.in)))
		return stop
	}
	var plugin, status, confirmed string
	var invalid bool
	err = s.pool.QueryRow(ctx, `SELECT coalesce(plugin, ''), coalesce(wal_status, ''), coalesce(confirmed_flush_lsn::text, '0/0'),
		coalesce((to_jsonb(s)->>'conflicting')::bool, false) OR to_jsonb(s)->>'invalidation_reason' IS NOT NULL
		FROM pg_replication_slots s WHERE slot_name = $1 AND database = current_database()`, s.slot()).Scan(&plugin, &status, &confirmed, &invalid)
	if errors.Is(err, pgx.ErrNoRows) {
		stop.Reason = "it does not exist any more: somebody has dropped it, or a server has taken over that has not got it (sync_replication_slots), and the log since may be gone"
		return stop
	}
	if err != nil {
		return fmt.Errorf("ask %s for the slot: %w", s.host(), err)
	}
	passed, err := parseLSN(confirmed)
	switch {
	case err != nil:
		return err
	case plugin != "pgoutput":
		stop.Reason = fmt.Sprintf("it is not crossfade's: its plugin is %s", plugin)
	case status == "lost" || invalid:
		stop.Reason = "the server has invalidated it (max_slot_wal_keep_size, idle_replication_slot_timeout or a conflict): the log since is gone"
		stop.Remedy += ", and raise the limit"
	case passed > at.lsn:
		stop.Reason = fmt.Sprintf("it has been moved to %s, and was read up to %s: somebody else has read from it", lsnText(passed), lsnText(at.lsn))
	default:
		return nil
	}
	return stop
}

// Heartbeat commits a row of ours, so that an idle source moves past its present position.
func (s *Source) Heartbeat(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO crossfade.heartbeat AS h (migration, n, at) VALUES ($1, 1, clock_timestamp())
		ON CONFLICT (migration) DO UPDATE SET n = h.n + 1, at = clock_timestamp()`, s.cfg.Migration)
	if err != nil {
		return fmt.Errorf("heartbeat on %s: %w", s.host(), err)
	}
	return nil
}

// pgCode is the SQLSTATE of a server's error, empty for others.
func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Storage names the files of each table and its partitions. Others are there after its rows were rewritten, which is in no log: by ALTER TABLE, by a partition
// attached or detached; but also after VACUUM FULL, CLUSTER and TRUNCATE (D20).
func (s *Source) Storage(ctx context.Context, tables []*catalog.Table) (map[string]string, error) {
	var schemas, names []string
	for _, t := range tables {
		schemas, names = append(schemas, t.Schema), append(names, t.Name)
	}
	rows, err := s.pool.Query(ctx, `SELECT w.s || '.' || w.t, string_agg(x.relid::oid::text || ':' || coalesce(pg_relation_filenode(x.relid), 0)::text, ' ' ORDER BY x.relid::oid)
		FROM unnest($1::text[], $2::text[]) AS w(s, t) JOIN pg_namespace n ON n.nspname = w.s JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = w.t
		CROSS JOIN LATERAL (SELECT r.oid::regclass AS relid UNION SELECT p.relid FROM pg_partition_tree(r.oid) AS p) AS x GROUP BY 1`, schemas, names)
	if err != nil {
		return nil, fmt.Errorf("look at the files of the tables: %w", err)
	}
	out := map[string]string{}
	var name, files string
	if _, err := pgx.ForEachRow(rows, []any{&name, &files}, func() error { out[name] = files; return nil }); err != nil {
		return nil, fmt.Errorf("look at the files of the tables: %w", err)
	}
	return out, nil
}

// CascadesLogged is true: what a foreign key does is a change like others.
func (s *Source) CascadesLogged(context.Context) (bool, error) { return true, nil }
