package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Config says where the target is.
type Config struct {
	Engine         change.Engine // default: MySQL
	Addr           string        // host:port
	User, Password string
	TLS            *tls.Config // nil: none
	Migration      string
	// Side is the second part of the key of our tables; default target.
	Side   string
	Logger *slog.Logger
}

// Target is a MySQL or MariaDB server.
type Target struct {
	cfg       Config
	migration string
	side      string
	patience  time.Duration // of a session with a transaction that does not get on

	mu   sync.Mutex
	conn *session // for what is not applying
}

var _ apply.Target = (*Target)(nil)

const connectTimeout = 10 * time.Second

// Open connects to the target. It changes nothing there.
func Open(ctx context.Context, c Config) (*Target, error) {
	if c.Migration == "" {
		return nil, errors.New("open target: no migration name")
	}
	if c.Side == "" {
		c.Side = "target"
	}
	if c.Engine == "" {
		c.Engine = change.MySQL
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Target{cfg: c, migration: c.Migration, side: c.Side, patience: applyTimeout}
	s, err := t.connect(ctx)
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

func (t *Target) mariadb() bool { return t.cfg.Engine == change.MariaDB }

// sqlMode is strict about everything but dates: a source may hold 0000-00-00.
const sqlMode = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"

func (t *Target) settings(checks bool) string {
	isolation, fk := "transaction_isolation", "0"
	if t.mariadb() {
		isolation = "tx_isolation"
	}
	if checks {
		fk = "1"
	}
	return "SET NAMES utf8mb4; SET SESSION sql_mode = '" + sqlMode + "', time_zone = '+00:00', autocommit = 1, foreign_key_checks = " + fk + ", unique_checks = 1, lock_wait_timeout = 1, " +
		"innodb_lock_wait_timeout = 1, sql_select_limit = 18446744073709551615, sql_safe_updates = 0, " + isolation + " = 'READ-COMMITTED'"
}

// Session implements [apply.Target].
func (t *Target) Session(ctx context.Context) (apply.Session, error) { return t.connect(ctx) }

func (t *Target) connect(ctx context.Context) (*session, error) {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := &net.Dialer{Timeout: connectTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
		nc, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return nc, nc.SetDeadline(time.Now().Add(connectTimeout)) // the handshake does not look at the context
	}
	conn, err := client.ConnectWithDialer(ctx, "tcp", t.cfg.Addr, t.cfg.User, t.cfg.Password, "", dial, func(c *client.Conn) error {
		c.SetAttributes(map[string]string{"program_name": "crossfade"})
		if t.cfg.TLS != nil {
			c.SetTLSConfig(t.cfg.TLS)
		}
		// An update that changes nothing has found its row all the same.
		return errors.Join(c.SetCapability(gomysql.CLIENT_FOUND_ROWS), c.SetCapability(gomysql.CLIENT_MULTI_STATEMENTS), c.SetCapability(gomysql.CLIENT_LOCAL_FILES))
	})
	if err != nil {
		return nil, t.connectError(err)
	}
	s := &session{target: t, conn: conn, nc: conn.Conn.Conn, shapes: map[*change.Table]*meta{}}
	if err := s.nc.SetDeadline(time.Time{}); err != nil {
		s.Close()
		return nil, &apply.LostError{Err: err}
	}
	if err := s.begin(ctx); err != nil {
		s.Close()
		return nil, classify(fmt.Errorf("prepare target session: %w", err))
	}
	return s, nil
}

// begin sets the session up.
func (s *session) begin(ctx context.Context) error {
	if err := s.run(ctx, s.target.settings(false)); err != nil {
		return err
	}
	r, err := s.exec(ctx, "SELECT @@max_allowed_packet, @@local_infile")
	if err != nil {
		return err
	}
	n, err := r.GetInt(0, 0)
	if err != nil {
		return err
	}
	infile, err := r.GetInt(0, 1)
	s.largest, s.infile = int(n), infile == 1
	return err
}

func (t *Target) connectError(err error) error {
	wrapped := fmt.Errorf("connect to the target at %s: %w", t.cfg.Addr, err)
	switch code(err) {
	case 1045, 1044, 1698:
		return fmt.Errorf("%w; check user and password in target.url", wrapped)
	}
	return &apply.LostError{Err: wrapped}
}

// do runs f on the target's own connection, opened again when it is broken. What fails for want of a connection or a lock is tried again for a while.
func (t *Target) do(ctx context.Context, what string, f func(s *session) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return apply.Again(ctx, what, func() error {
		if t.conn != nil && t.conn.Broken() {
			t.conn.Close()
			t.conn = nil
		}
		if t.conn == nil {
			s, err := t.connect(ctx)
			if err != nil {
				return err
			}
			t.conn = s
		}
		return f(t.conn)
	})
}
