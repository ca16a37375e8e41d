package gate

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Login is how to reach a MySQL server.
type Login struct {
	Addr           string // host:port
	User, Password string
	TLS            *tls.Config // nil: none
}

// MySQLConfig of a MySQL or MariaDB side.
type MySQLConfig struct {
	Engine    change.Engine // default: MySQL
	Migration string
	Login     Login
	// Probe is a user of the application; nil: writes are probed as our own user, with a branch of the triggers that denies it.
	Probe  *Login
	Tables []cutover.Table
	// Side is which end of the migration it is. Default: the source.
	Side protocol.Side
	// Back: the target is left and the source entered, by a rollback. Else the source is left and the target entered.
	Back bool
}

// MySQL is a MySQL or MariaDB end of a migration: a [cutover.Leaver] or a [cutover.Enterer], as its role asks.
type MySQL struct {
	way
	cfg    MySQLConfig
	tables []cutover.Name // at this end
	db     *sql.DB
	probe  *sql.DB
}

// OpenMySQL connects. It changes nothing.
func OpenMySQL(ctx context.Context, cfg MySQLConfig) (*MySQL, error) {
	s, err := NewMySQL(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Ping connects, if there is no connection.
func (s *MySQL) Ping(ctx context.Context) error {
	if err := s.db.PingContext(ctx); err != nil {
		return fmt.Errorf("%s gate: connect to %s as %s: %w", s.side, s.cfg.Login.Addr, s.cfg.Login.User, err)
	}
	return nil
}

// NewMySQL is a side that connects when it is first asked.
func NewMySQL(cfg MySQLConfig) (*MySQL, error) {
	if err := migrationName(cfg.Migration); err != nil {
		return nil, err
	}
	if cfg.Side == "" {
		cfg.Side = protocol.Source
	}
	s := &MySQL{cfg: cfg, way: way{cfg.Side, cfg.Back}}
	for _, t := range cfg.Tables {
		s.tables = append(s.tables, s.here(t))
	}
	var err error
	if s.db, err = s.open(cfg.Login, "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'"); err != nil {
		return nil, fmt.Errorf("%s gate: %w", s.side, err)
	}
	login := cfg.Login
	if cfg.Probe != nil {
		login = *cfg.Probe
	}
	// Without strict mode a row of defaults comes as far as our trigger.
	if s.probe, err = s.open(login, "''"); err != nil {
		return nil, errors.Join(fmt.Errorf("%s probe: %w", s.side, err), s.db.Close())
	}
	return s, nil
}

func (s *MySQL) open(l Login, sqlMode string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.TLS = "tcp", l.Addr, l.User, l.Password, l.TLS
	c.Timeout = 5 * time.Second
	c.Logger = &mysql.NopLogger{} // it repeats what the errors say
	c.InterpolateParams = true
	c.ClientFoundRows = true
	c.Params = map[string]string{
		"time_zone":                "'+00:00'",
		"sql_mode":                 sqlMode,
		"lock_wait_timeout":        "1",
		"innodb_lock_wait_timeout": "1",
	}
	if s.mariadb() {
		c.Params["tx_isolation"] = "'READ-COMMITTED'"
	} else {
		c.Params["transaction_isolation"] = "'READ-COMMITTED'"
		c.Params["information_schema_stats_expiry"] = "0"
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("connect to %s as %s: %w", l.Addr, l.User, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(4)
	return db, nil
}

// Close ends the connections.
func (s *MySQL) Close() error { return errors.Join(s.db.Close(), s.probe.Close()) }

func (s *MySQL) mariadb() bool { return s.cfg.Engine == change.MariaDB }

// identity is the expression that tells the server from every other. MariaDB has no UUID: copies of a server differ in machine, port or directory.
func (s *MySQL) identity() string {
	if s.mariadb() {
		return "CONCAT_WS('/', @@hostname, @@port, @@server_id, @@datadir)"
	}
	return "@@server_uuid"
}

// Identity is the server's UUID, or what stands for it.
func (s *MySQL) Identity(ctx context.Context) (string, error) {
	var id string
	if err := s.db.QueryRowContext(ctx, "SELECT "+s.identity()).Scan(&id); err != nil {
		return "", fmt.Errorf("identity of the %s: %w", s.side, err)
	}
	return id, nil
}

// Error numbers of the server.
const (
	errLockTimeout    = 1205
	errDeadlock       = 1213
	errGate           = 1792 // what our triggers signal: drivers take it for a server turned read-only, and connect anew
	errNoSuchTrigger  = 1360
	errTriggerExists  = 1359
	errNoPrivilege    = 1227
	errTableDenied    = 1142
	errColumnDenied   = 1143
	errDatabaseDenied = 1044
	errBinlogTrigger  = 1419
	errXADenied       = 1401
	errNoThread       = 1094
	errDuplicate      = 1062
)

func mysqlErr(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// noTable reports whether the table, or its whole database, is not there.
func noTable(err error) bool {
	e := mysqlErr(err)
	return e == 1146 || e == 1049
}

// busy marks errors after which the server has rolled the transaction back, or the statement that stood alone in it.
func busy(err error) error {
	switch mysqlErr(err) {
	case errLockTimeout, errDeadlock:
		return fmt.Errorf("%w: %w", cutover.ErrBusy, err)
	default:
		return err
	}
}

const mysqlOptions = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

var mysqlTables = []string{
	"CREATE DATABASE IF NOT EXISTS crossfade",
	`CREATE TABLE IF NOT EXISTS crossfade.gate (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, state varchar(8) NOT NULL,
		epoch bigint NOT NULL, changed_at datetime(6) NOT NULL, PRIMARY KEY (migration, side))` + mysqlOptions,
	`CREATE TABLE IF NOT EXISTS crossfade.attempt (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, epoch bigint NOT NULL,
		state varchar(16) NOT NULL, instance varchar(255) NOT NULL DEFAULT '', source_id varchar(255) NOT NULL DEFAULT '',
		target_id varchar(255) NOT NULL DEFAULT '', deadline datetime(6), reason text, started_at datetime(6), finished_at datetime(6),
		PRIMARY KEY (migration, side, epoch))` + mysqlOptions,
	`CREATE TABLE IF NOT EXISTS crossfade.journal (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, epoch bigint NOT NULL,
		step varchar(190) NOT NULL, run int NOT NULL, instance varchar(255) NOT NULL, intent_at datetime(6) NOT NULL, done_at datetime(6),
		outcome varchar(16), evidence json, PRIMARY KEY (migration, side, epoch, step, run))` + mysqlOptions,
	`CREATE TABLE IF NOT EXISTS crossfade.marker (migration varchar(64), side varchar(16), epoch bigint, kind varchar(16),
		at timestamp(6) DEFAULT current_timestamp(6), PRIMARY KEY (migration, side, epoch, kind))` + mysqlOptions,
}

// Setup makes the tables, this side's gate, and the row that every statement of an attempt locks: the attempt of epoch 0.
func (s *MySQL) Setup(ctx context.Context, open bool) error {
	for _, q := range mysqlTables {
		if err := s.retry(ctx, func() error { _, err := s.db.ExecContext(ctx, q); return err }); err != nil {
			return fmt.Errorf("set up the %[1]s's gate: %[2]w; the user of %[1]s.url needs ALL on crossfade.*", s.side, err)
		}
	}
	state := "closed"
	if open {
		state = "open"
	}
	for _, q := range []struct {
		text string
		args []any
	}{
		{"INSERT IGNORE INTO crossfade.gate VALUES (?, ?, ?, 0, NOW(6))", []any{s.cfg.Migration, s.side, state}},
		{"INSERT IGNORE INTO crossfade.attempt (migration, side, epoch, state) VALUES (?, ?, 0, 'NONE')", []any{s.cfg.Migration, s.side}},
	} {
		if err := s.retry(ctx, func() error { _, err := s.db.ExecContext(ctx, q.text, q.args...); return err }); err != nil {
			return fmt.Errorf("set up the %s's gate: %w", s.side, err)
		}
	}
	return nil
}

// retry repeats what a lock ended, with a pause for those who hold it.
func (s *MySQL) retry(ctx context.Context, f func() error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := busy(f())
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
