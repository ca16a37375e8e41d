package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/apply"
)

// Config says where the target is.
type Config struct {
	URL       string
	Migration string
	// Side is the second part of the key of our tables; default target.
	Side   string
	Logger *slog.Logger
}

// Target is a PostgreSQL database.
type Target struct {
	config    *pgconn.Config
	url       string
	migration string
	side      string
	logger    *slog.Logger
	patience  time.Duration // of a session with a transaction that does not get on

	mu   sync.Mutex
	conn *session // for what is not applying
}

var _ apply.Target = (*Target)(nil)

// Open connects to the target. It changes nothing there.
func Open(ctx context.Context, c Config) (*Target, error) {
	config, err := pgconn.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("target.url: %w", err)
	}
	if c.Migration == "" {
		return nil, errors.New("open target: no migration name")
	}
	if c.Side == "" {
		c.Side = "target"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}, Control: userTimeout}
	config.DialFunc = dialer.DialContext
	config.RuntimeParams["application_name"] = "crossfade"
	config.RuntimeParams["client_encoding"] = "UTF8"
	t := &Target{config: config, url: c.URL, migration: c.Migration, side: c.Side, logger: c.Logger, patience: applyTimeout}
	s, err := t.connect(ctx, plainSettings)
	if err != nil {
		return nil, err
	}
	t.conn = s
	return t, nil
}

// Close closes the target's own connection. Sessions are closed by who opened them.
func (t *Target) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// plainSettings are those of every connection.
const plainSettings = `SET lock_timeout = '1s'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;
SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex';
SET standard_conforming_strings = on; SET row_security = off; SET jit = off;
SELECT pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false);
`

// settings are those of sessions that apply. A plan for a join is made for each execution, with the array in hand: the number of rows is then
// known, and a plan that was made for an empty table is never used again.
const settings = plainSettings + `SET session_replication_role = replica;
SET plan_cache_mode = force_custom_plan;
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_memoize = off`

// Session implements [apply.Target].
func (t *Target) Session(ctx context.Context) (apply.Session, error) {
	return t.connect(ctx, settings)
}

func (t *Target) connect(ctx context.Context, settings string) (*session, error) {
	conn, err := pgconn.ConnectConfig(ctx, t.config)
	if err != nil {
		return nil, connectError(err)
	}
	if _, err := conn.Exec(ctx, settings).ReadAll(); err != nil {
		closeConn(conn)
		return nil, classify(fmt.Errorf("prepare target session: %w", err))
	}
	return newSession(t, conn), nil
}

var password = regexp.MustCompile(`(postgres(?:ql)?://[^:/@\s]*):[^@\s]*@`)

func connectError(err error) error {
	text := password.ReplaceAllString(err.Error(), "$1:***@")
	wrapped := fmt.Errorf("connect to target: %s", text)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code[:2] == "28" {
		return fmt.Errorf("%w; check user and password in target.url", wrapped)
	}
	if errors.As(err, &pg) && (pg.Code == "3D000" || pg.Code == "42501") {
		return wrapped
	}
	return &apply.LostError{Err: wrapped}
}

func closeConn(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		return // it was broken already, and it is gone now
	}
}

// do runs f on the target's own connection, opened again when it is broken. What fails for want of a connection or a lock is
// tried again for a while.
func (t *Target) do(ctx context.Context, what string, f func(s *session) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return apply.Again(ctx, what, func() error {
		if t.conn != nil && t.conn.Broken() {
			t.conn.Close()
			t.conn = nil
		}
		if t.conn == nil {
			s, err := t.connect(ctx, plainSettings)
			if err != nil {
				return err
			}
			t.conn = s
		}
		return f(t.conn)
	})
}
