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
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// PostgresServer is a running PostgreSQL with wal_level=logical.
type PostgresServer struct {
	*server
	version string
}

// postgresProgram is a directory with initdb and postgres.
type postgresProgram struct {
	bin     string
	version string // "18.4"
}

// StartPostgres starts a server as durable as PostgreSQL's defaults are; options such as "wal_sender_timeout=5s" are settings
// and win. With an empty dir its files are this process's and go with it; otherwise they stay in dir. Log gets a line
// for what takes long.
func StartPostgres(ctx context.Context, dir string, log io.Writer, major int, options ...string) (*PostgresServer, error) {
	h, err := openHouse(ctx)
	if err != nil {
		return nil, err
	}
	program, err := h.findPostgres(ctx, log, major)
	if err != nil {
		return nil, fmt.Errorf("find PostgreSQL %d: %w", major, err)
	}
	return h.startPostgres(ctx, program, dir, options)
}

func (h *house) startPostgres(ctx context.Context, program postgresProgram, dir string, options []string) (*PostgresServer, error) {
	base, err := h.newServer("postgres", dir)
	if err != nil {
		return nil, fmt.Errorf("prepare PostgreSQL: %w", err)
	}
	s := &PostgresServer{server: base, version: program.version}
	// Fast shutdown; and when orphaned an immediate one, in which the postmaster takes its children along.
	s.name, s.graceful, s.orphaned = "PostgreSQL "+program.version, sysINT, sysQUIT
	s.ping = s.pingSQL
	if err := s.prepare(ctx, program, options); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", s.name, err), s.discard())
	}
	h.add(s.server)
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.destroy())
	}
	return s, nil
}

// fastPostgres is for servers of tests: the kernel keeps what a killed process wrote, only a power cut would lose it.
var fastPostgres = []string{"fsync=off"}

func (s *PostgresServer) prepare(ctx context.Context, program postgresProgram, options []string) error {
	if !exists(filepath.Join(s.DataDir(), "PG_VERSION")) {
		template, err := s.house.postgresTemplate(ctx, program)
		if err != nil {
			return err
		}
		if err := s.house.id.copyTree(template, s.DataDir()); err != nil {
			return err
		}
		if err := newSystemIdentifier(s.DataDir()); err != nil {
			return err
		}
	}
	// PostgreSQL insists on it.
	if err := os.Chmod(s.DataDir(), 0o700); err != nil {
		return err
	}
	s.argv = append(s.argv, filepath.Join(program.bin, "postgres"), "-D", s.DataDir())
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(s.port),
		"unix_socket_directories=",
		"dynamic_shared_memory_type=mmap", // files in the data directory, so a killed server leaves nothing elsewhere
		"wal_level=logical",
		"max_connections=300",
		"max_wal_senders=50",
		"max_replication_slots=50",
		"max_worker_processes=32",
		"max_logical_replication_workers=16",
		"max_prepared_transactions=50",
		"ssl=on",
		"ssl_ca_file=" + s.tls.ca,
		"ssl_cert_file=" + s.tls.serverCert,
		"ssl_key_file=" + s.tls.serverKey,
	}, options...) {
		s.argv = append(s.argv, "-c", strings.TrimPrefix(setting, "--"))
	}
	return nil
}

// Version returns the version, such as "18.4".
func (s *PostgresServer) Version() string { return s.version }

// URL returns the administrator's URL of a database.
func (s *PostgresServer) URL(database string) string {
	return s.userURL(adminUser, adminPassword, database)
}

func (s *PostgresServer) userURL(name, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(name, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Connect connects as administrator; the caller closes.
func (s *PostgresServer) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.name, err)
	}
	return conn, nil
}

func (s *PostgresServer) pingSQL(ctx context.Context) error {
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

func (h *house) postgresTemplate(ctx context.Context, program postgresProgram) (string, error) {
	return h.cache.entry(ctx, "postgres-data-"+program.version, func(dir string) error {
		scratch, err := h.newDir("initialise")
		if err != nil {
			return err
		}
		if err := h.id.mkdir(filepath.Join(scratch, "tmp"), 0o755); err != nil {
			return err
		}
		password := filepath.Join(scratch, "password")
		if err := os.WriteFile(password, []byte(adminPassword+"\n"), 0o644); err != nil {
			return err
		}
		data := filepath.Join(scratch, "data")
		if err := h.initialise(ctx, scratch, []string{
			filepath.Join(program.bin, "initdb"), "-D", data, "-U", adminUser, "--pwfile=" + password,
			"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
		}, nil); err != nil {
			return err
		}
		return errors.Join(identity{}.copyTree(data, dir), os.RemoveAll(scratch))
	})
}

// findPostgres finds a major version on PATH or in the usual directories, else fetches it.
func (h *house) findPostgres(ctx context.Context, log io.Writer, major int) (postgresProgram, error) {
	candidates := []string{
		fmt.Sprintf("/usr/lib/postgresql/%d/bin", major),
		fmt.Sprintf("/usr/pgsql-%d/bin", major),
		fmt.Sprintf("/opt/homebrew/opt/postgresql@%d/bin", major),
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		// Where the link leads: its neighbours are there.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append([]string{filepath.Dir(path)}, candidates...)
		}
	}
	for _, bin := range candidates {
		if !exists(filepath.Join(bin, "postgres")) || !exists(filepath.Join(bin, "initdb")) || !h.id.reaches(bin) {
			continue
		}
		if program, err := postgresVersion(ctx, bin, major); err == nil {
			return program, nil
		}
	}
	dir, err := h.cache.entry(ctx, fmt.Sprintf("postgresql-%d-%s", major, runtime.GOARCH), func(dir string) error {
		fmt.Fprintf(log, "fetching PostgreSQL %d, once\n", major)
		return fetchPostgres(ctx, dir, major)
	})
	if err != nil {
		return postgresProgram{}, err
	}
	bin, err := filepath.EvalSymlinks(filepath.Join(dir, "bin"))
	if err != nil {
		return postgresProgram{}, err
	}
	return postgresVersion(ctx, bin, major)
}

var postgresVersionPattern = regexp.MustCompile(`PostgreSQL\) ((\d+)\S*)`)

func postgresVersion(ctx context.Context, bin string, major int) (postgresProgram, error) {
	program := filepath.Join(bin, "postgres")
	out, err := run(ctx, "", nil, program, "--version")
	if err != nil {
		return postgresProgram{}, err
	}
	m := postgresVersionPattern.FindStringSubmatch(out)
	if m == nil || m[2] != strconv.Itoa(major) {
		return postgresProgram{}, fmt.Errorf("%s is not PostgreSQL %d: %s", program, major, strings.TrimSpace(out))
	}
	return postgresProgram{bin: bin, version: m[1]}, nil
}
