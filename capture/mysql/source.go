package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Config of a Source.
type Config struct {
	// Engine is MySQL or MariaDB; another server than that is refused. Default: MySQL.
	Engine   change.Engine
	Host     string // host:port
	User     string
	Password string
	Database string // must exist; empty: none is selected
	TLS      *tls.Config
	// ServerID is what the tail registers as; no other replica of the server may use it.
	ServerID uint32
	// Migration is the name of the migration, with '_' for '-'.
	Migration string
	// Heartbeat is how often an idle server says that it is there, ReadTimeout after how long a silent one is given up.
	Heartbeat   time.Duration
	ReadTimeout time.Duration
	// Selected says which tables are migrated.
	Selected func(schema, table string) bool
	// Readers is how many reads run at a time; 0 means 4.
	Readers int
	// Key is the name of the URL in the configuration, for messages. Default: source.url.
	Key string
}

func (c *Config) key() string {
	if c.Key == "" {
		return "source.url"
	}
	return c.Key
}

const (
	connectTimeout = 10 * time.Second
	// silent is how long a statement of ours may take to answer at all, other than those that have to look at a whole table.
	silent     = time.Minute
	silentScan = 30 * time.Minute
	// proofWait is how long a read waits until its snapshot is known to see what has been published.
	proofWait = 10 * time.Second
)

// The session variables of every connection. What a server or an account presets (sql_select_limit, a mode, a charset) must not change what is read.
const (
	idleSessions   = 4
	sessionCharset = "utf8mb4"
	strictMode     = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
	// readMode accepts every date that a column can hold as a key, also those that strict modes refuse in a comparison.
	readMode = "ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"
)

// Source is a MySQL or MariaDB server whose changes and rows are read. Its methods may be called by several goroutines.
type Source struct {
	cfg     Config
	log     *slog.Logger
	db      *sql.DB
	readers *readers
	version string
	gtid    bool

	answered  atomic.Pointer[string] // who answered last, as Identity said
	proofWait time.Duration          // proofWait, but for tests
}

// Open connects to the server. It changes nothing there.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	if cfg.Readers <= 0 {
		cfg.Readers = 4
	}
	if cfg.Engine == "" {
		cfg.Engine = change.MySQL
	}
	connector, err := mysql.NewConnector(cfg.driver())
	if err != nil {
		return nil, fmt.Errorf("connect to MySQL at %s: %w", cfg.Host, err)
	}
	s := &Source{cfg: cfg, log: log, db: sql.OpenDB(connector), proofWait: proofWait}
	s.db.SetMaxOpenConns(8)
	s.db.SetMaxIdleConns(idleSessions)
	s.db.SetConnMaxIdleTime(5 * time.Minute)
	s.readers = newReaders(s, cfg.Readers)
	if err := s.greet(ctx); err != nil {
		s.db.Close()
		return nil, err
	}
	return s, nil
}

// greet asks the server what it is.
func (s *Source) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	err := s.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&s.version)
	if isServerError(err, erUnknownVariable) {
		return fmt.Errorf("connect to %s: the server is not %s: write mariadb:// for MariaDB and mysql:// for MySQL (%w)", s.cfg.Host, s.engineName(), err)
	}
	if err != nil {
		return fmt.Errorf("connect to %s at %s: %w", s.engineName(), s.cfg.Host, s.cfg.explain(err))
	}
	if mariadb := strings.Contains(strings.ToLower(s.version), "mariadb"); mariadb != s.mariadb() {
		return fmt.Errorf("connect to %s: it is version %s, which is not %s: write mariadb:// for MariaDB and mysql:// for MySQL", s.cfg.Host, s.version, s.engineName())
	}
	if _, err := s.Identity(ctx); err != nil {
		return err
	}
	s.gtid, err = s.gtidMode(ctx)
	return err
}

func (s *Source) engineName() string {
	if s.mariadb() {
		return "MariaDB"
	}
	return "MySQL"
}

func (s *Source) mariadb() bool { return s.cfg.Engine == change.MariaDB }

func (c *Config) dialer() *net.Dialer {
	return &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
}

// driver is the configuration of the connections of DB.
func (c *Config) driver() *mysql.Config {
	d := mysql.NewConfig()
	d.Net, d.Addr, d.User, d.Passwd, d.DBName, d.TLS = "tcp", c.Host, c.User, c.Password, c.Database, c.TLS
	d.Timeout = connectTimeout
	d.ReadTimeout, d.WriteTimeout = silent, silent
	d.Collation = "utf8mb4_general_ci" // every version has it
	d.InterpolateParams = true         // utf8mb4 and a mode with backslash escapes: literals are safe
	d.MaxAllowedPacket = 64 << 20
	d.ConnectionAttributes = "program_name:crossfade" // tells our sessions from those of others who use our account
	d.Logger = &mysql.NopLogger{}                     // its errors come back to the caller as well
	d.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.dialer().DialContext(ctx, network, addr)
	}
	d.Params = c.sessionVariables(strictMode)
	return d
}

// sessionVariables are set on every connection.
func (c *Config) sessionVariables(mode string) map[string]string {
	limit := "max_execution_time" // which the other engine does not have
	if c.Engine == change.MariaDB {
		limit = "max_statement_time"
	}
	return map[string]string{
		"time_zone":                "'+00:00'",
		"sql_mode":                 "'" + mode + "'",
		"lock_wait_timeout":        "1",
		"innodb_lock_wait_timeout": "1",
		"autocommit":               "1",
		"sql_select_limit":         "18446744073709551615",
		"sql_big_selects":          "1",
		limit:                      "0",
	}
}

// DB is a pool of sessions for statements that are not reads of rows: locks wait for one second at most, times are in UTC.
func (s *Source) DB() *sql.DB { return s.db }

// Version is the server's version as it says it.
func (s *Source) Version() string { return s.version }

// Close ends the sessions.
func (s *Source) Close() error {
	s.readers.close()
	return s.db.Close()
}

// gtidMode reports whether positions are sets of GTIDs. MariaDB's are always a file and an offset, which every transaction of it has and which its
// snapshots name.
func (s *Source) gtidMode(ctx context.Context) (bool, error) {
	if s.mariadb() {
		return false, nil
	}
	var mode string
	if err := s.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_mode").Scan(&mode); err != nil {
		return false, fmt.Errorf("ask %s for gtid_mode: %w", s.cfg.Host, err)
	}
	return mode == "ON", nil // in the permissive modes some transactions have none
}

// Position is the place after everything that is committed now, also what only just became visible. A server that is slow to say so gives
// [capture.ErrNotVisible].
func (s *Source) Position(ctx context.Context) (string, error) {
	gtid, err := s.gtidMode(ctx)
	if err != nil {
		return "", err
	}
	if !gtid {
		file, pos, err := s.fileStatus(ctx)
		if err != nil {
			return "", err
		}
		p := filePosition(file, pos)
		if s.mariadb() {
			if p, err = s.place(ctx, file, pos); err != nil {
				return "", err
			}
		}
		return p.String(), nil
	}
	set, err := s.executed(ctx)
	if err != nil {
		return "", err
	}
	p := position{set: set}
	return p.String(), nil
}

// fileStatus is the binlog file written now and the offset after its last whole transaction.
func (s *Source) fileStatus(ctx context.Context) (file string, pos uint64, err error) {
	rows, err := s.db.QueryContext(ctx, "SHOW BINARY LOG STATUS") // 8.2 and later; removed under its old name in 8.4
	if isServerError(err, erParse) {
		rows, err = s.db.QueryContext(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		return "", 0, fmt.Errorf("ask %s for its binlog position: %w", s.cfg.Host, s.cfg.explain(err))
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return "", 0, fmt.Errorf("ask %s for its binlog position: %w", s.cfg.Host, err)
		}
		return "", 0, fmt.Errorf("%s writes no binlog: set log_bin and restart it", s.cfg.Host)
	}
	names, err := rows.Columns()
	if err != nil {
		return "", 0, err
	}
	dest := make([]any, len(names)) // their number differs between versions
	for i := range dest {
		dest[i] = new(sql.RawBytes)
	}
	dest[0], dest[1] = &file, &pos
	if err := rows.Scan(dest...); err != nil {
		return "", 0, fmt.Errorf("binlog position of %s: %w", s.cfg.Host, err)
	}
	return file, pos, rows.Err()
}

// Covers reports whether at is at or past p. A place inside a transaction lies before its commit position.
func (s *Source) Covers(at, p string) (bool, error) { return coversText(at, p) }

// Contains reports, by a nil error, that the log of this server can be read on from p. Whether it is still the same server is for the caller to ask:
// see Identity.
func (s *Source) Contains(ctx context.Context, p string) error {
	at, err := parsePosition(p)
	if err != nil {
		return err
	}
	gtid, err := s.gtidMode(ctx)
	if err != nil {
		return err
	}
	stop := &capture.Stop{Position: p, Object: s.cfg.Host, Remedy: "start the migration again with a new snapshot"}
	if gtid == at.byFile {
		stop.Reason = "gtid_mode was changed: the position was noted when it was " + map[bool]string{true: "OFF", false: "ON"}[at.byFile]
		stop.Remedy = "set gtid_mode back, or " + stop.Remedy
		return stop
	}
	if at.byFile {
		return s.containsFile(ctx, &at, stop)
	}
	var executed, purged string
	if err := s.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged").Scan(&executed, &purged); err != nil {
		return fmt.Errorf("ask %s for its position: %w", s.cfg.Host, err)
	}
	has, err := parseGTIDSet(executed)
	if err != nil {
		return fmt.Errorf("gtid_executed of %s: %w", s.cfg.Host, err)
	}
	gone, err := parseGTIDSet(purged)
	if err != nil {
		return fmt.Errorf("gtid_purged of %s: %w", s.cfg.Host, err)
	}
	if need := at.executed(); !has.contains(&need) {
		stop.Reason = fmt.Sprintf("it lacks transactions that have been read from it: it has %s, and %s was read (a failover, a restored backup, or RESET)", &has, &need)
		stop.Remedy = "connect it to a server that has them, or " + stop.Remedy
		return stop
	}
	if !at.set.contains(&gone) {
		stop.Reason = fmt.Sprintf("binlogs that have not been read are purged: gone is %s, read is %s", &gone, &at.set)
		stop.Remedy += ", and raise binlog_expire_logs_seconds"
		return stop
	}
	return nil
}

func (s *Source) containsFile(ctx context.Context, at *position, stop *capture.Stop) error {
	if s.mariadb() && at.on != "" {
		on, err := s.tag(ctx)
		if err != nil {
			return err
		}
		if on != at.on {
			_, err := s.translate(ctx, at, stop)
			return err
		}
	}
	files, err := s.binlogs(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(files, func(f binlog) bool { return f.name == at.file })
	switch {
	case i < 0:
		stop.Reason = fmt.Sprintf("binlog %s is purged: the oldest is %s", at.file, files[0].name)
		stop.Remedy += ", and raise binlog_expire_logs_seconds"
		return stop
	case at.pos > files[i].size || at.pos == files[i].size && at.inside():
		stop.Reason = fmt.Sprintf("%s has %d bytes, and was read up to %s (a restored backup, or a crash without sync_binlog=1)", at.file, files[i].size, at)
		return stop
	case at.passing:
		_, err := s.behind(ctx, at, stop)
		return err
	case len(at.domains) > 0:
		return s.containsDomains(ctx, at, stop)
	}
	return nil
}

// binlog is a file of the log.
type binlog struct {
	name string
	size uint64
}

// binlogs lists the files of the log, oldest first.
func (s *Source) binlogs(ctx context.Context) (out []binlog, err error) {
	rows, err := s.db.QueryContext(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return nil, fmt.Errorf("list the binlogs of %s: %w", s.cfg.Host, s.cfg.explain(err))
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var f binlog
	dest := make([]any, len(names))
	for i := range dest {
		dest[i] = new(sql.RawBytes)
	}
	dest[0], dest[1] = &f.name, &f.size
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, fmt.Errorf("list the binlogs of %s: %w", s.cfg.Host, err)
		}
		out = append(out, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the binlogs of %s: %w", s.cfg.Host, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s writes no binlog: set log_bin and restart it", s.cfg.Host)
	}
	return out, nil
}

// Heartbeat commits a row of ours, so that an idle source moves past its present position.
func (s *Source) Heartbeat(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO crossfade.heartbeat (migration, n, at) VALUES (?, 1, NOW(6))
		ON DUPLICATE KEY UPDATE n = n + 1, at = NOW(6)`, s.cfg.Migration)
	if err != nil {
		return fmt.Errorf("heartbeat on %s: %w", s.cfg.Host, s.cfg.explain(err))
	}
	return nil
}
