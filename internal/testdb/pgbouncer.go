package testdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PgBouncerServer is a running PgBouncer in transaction mode.
type PgBouncerServer struct{ *server }

// PgBouncerConfig is what a PgBouncer is told.
type PgBouncerConfig struct {
	Databases []string          // lines of the section [databases]
	Users     map[string]string // with their passwords, which it also gives to the servers
	Settings  []string          // lines of the section [pgbouncer]; they win
}

// NewPgBouncer starts a PgBouncer for one test, which may stop, kill and restart it.
func NewPgBouncer(t testing.TB, c PgBouncerConfig) *PgBouncerServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
	defer cancel()
	s, err := StartPgBouncer(ctx, os.Stderr, c)
	if err != nil {
		t.Fatal(err)
	}
	s.own(t)
	return s
}

// StartPgBouncer starts a PgBouncer, under the same rules as [StartPostgres].
func StartPgBouncer(ctx context.Context, log io.Writer, c PgBouncerConfig) (*PgBouncerServer, error) {
	h, err := openHouse(ctx)
	if err != nil {
		return nil, err
	}
	argv, err := h.findPgBouncer(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("find PgBouncer: %w", err)
	}
	base, err := h.newServer("pgbouncer", "")
	if err != nil {
		return nil, fmt.Errorf("prepare PgBouncer: %w", err)
	}
	s := &PgBouncerServer{base}
	s.name, s.graceful, s.orphaned, s.ping = "PgBouncer", sysTERM, sysTERM, s.pingConsole
	s.argv = append(argv, s.Ini())
	if err := s.write(c); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare PgBouncer: %w", err), s.discard())
	}
	h.add(s.server)
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.destroy())
	}
	return s, nil
}

func (s *PgBouncerServer) write(c PgBouncerConfig) error {
	users := fmt.Sprintf("%q %q\n", adminUser, adminPassword)
	for name, password := range c.Users {
		users += fmt.Sprintf("%q %q\n", name, password)
	}
	auth := filepath.Join(s.dir, "users.txt")
	text := "[databases]\n" + strings.Join(c.Databases, "\n") + "\n\n[pgbouncer]\n" + strings.Join(append([]string{
		"listen_addr = 127.0.0.1", "listen_port = " + strconv.Itoa(s.port), "unix_socket_dir =", "auth_type = scram-sha-256", "auth_file = " + auth,
		"admin_users = " + adminUser, "pool_mode = transaction", "default_pool_size = 20", "max_client_conn = 300",
	}, c.Settings...), "\n") + "\n"
	for path, content := range map[string]string{auth: users, s.Ini(): text} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		if err := s.house.id.own(path); err != nil {
			return err
		}
	}
	return nil
}

// Ini returns its configuration file, which RELOAD reads again.
func (s *PgBouncerServer) Ini() string { return filepath.Join(s.dir, "pgbouncer.ini") }

// AdminURL returns the URL of its console, which speaks the simple protocol only.
func (s *PgBouncerServer) AdminURL() string { return s.URL(adminUser, adminPassword, "pgbouncer") }

// URL returns the URL of an entry of [databases].
func (s *PgBouncerServer) URL(user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *PgBouncerServer) pingConsole(ctx context.Context) error {
	c, err := pgx.ParseConfig(s.AdminURL())
	if err != nil {
		return err
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SHOW VERSION")
	return errors.Join(err, conn.Close(ctx))
}

// findPgBouncer finds it on PATH or in the usual directories, else fetches it.
func (h *house) findPgBouncer(ctx context.Context, log io.Writer) ([]string, error) {
	candidates := []string{"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"}
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		candidates = append([]string{path}, candidates...)
	}
	for _, path := range candidates {
		if exists(path) && h.id.reaches(filepath.Dir(path)) {
			return []string{path}, nil
		}
	}
	dir, err := h.cache.entry(ctx, "pgbouncer-"+runtime.GOARCH, func(dir string) error {
		fmt.Fprintln(log, "fetching PgBouncer, once")
		m, err := ownMirror(ctx)
		if err != nil {
			return err
		}
		return m.unpack(ctx, dir, m.codename, `^pgbouncer$`)
	})
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "root")
	argv, err := unpackedLoader(root)
	if err != nil {
		return nil, err
	}
	return append(argv, filepath.Join(root, "usr/sbin/pgbouncer")), nil
}
