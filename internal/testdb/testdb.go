package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	sysTERM = syscall.SIGTERM
	sysINT  = syscall.SIGINT
	sysQUIT = syscall.SIGQUIT
	sysKILL = syscall.SIGKILL
)

// fetchTimeout bounds starting a server, with fetching it first or waiting for another process that fetches it.
const fetchTimeout = 10 * time.Minute

// Main runs the tests of a package, stops every server and removes its files, and exits. Call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if err := Shutdown(); err != nil {
		fmt.Fprintln(os.Stderr, "testdb: stop servers:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// shared is a server for all tests of the binary, started by the first that asks.
type shared[S any] struct {
	once   sync.Once
	server S
	err    error
}

func (s *shared[S]) get(t testing.TB, start func(ctx context.Context) (S, error)) S {
	t.Helper()
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		s.server, s.err = start(ctx)
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

var (
	sharedMySQL    shared[*MySQLServer]
	sharedMariaDB  = map[string]*shared[*MySQLServer]{}
	sharedPostgres = map[int]*shared[*PostgresServer]{}
	sharedMu       sync.Mutex
)

// MySQL returns the server that all tests of this binary share. Leave it running; see NewMySQL.
func MySQL(t testing.TB) *MySQLServer {
	t.Helper()
	return sharedMySQL.get(t, func(ctx context.Context) (*MySQLServer, error) {
		return StartMySQL(ctx, "", os.Stderr, fastMySQL...)
	})
}

// Postgres returns the server of a major version that all tests of this binary share. Leave it running; see NewPostgres.
func Postgres(t testing.TB, major int) *PostgresServer {
	t.Helper()
	return one(sharedPostgres, major).get(t, func(ctx context.Context) (*PostgresServer, error) {
		return StartPostgres(ctx, "", os.Stderr, major, fastPostgres...)
	})
}

// MariaDB returns the server of a version, 10.11 or 11.8, that all tests of this binary share. Leave it running; see NewMariaDB.
func MariaDB(t testing.TB, version string) *MySQLServer {
	t.Helper()
	return one(sharedMariaDB, version).get(t, func(ctx context.Context) (*MySQLServer, error) {
		return StartMariaDB(ctx, "", os.Stderr, version, fastMySQL...)
	})
}

// one finds the shared server of a version.
func one[K comparable, S any](all map[K]*shared[S], version K) *shared[S] {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	s := all[version]
	if s == nil {
		s = &shared[S]{}
		all[version] = s
	}
	return s
}

// NewMariaDB starts a server for one test, which may stop, kill and restart it. Options are mariadbd's.
func NewMariaDB(t testing.TB, version string, options ...string) *MySQLServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
	defer cancel()
	s, err := StartMariaDB(ctx, "", os.Stderr, version, append(fastMySQL[:len(fastMySQL):len(fastMySQL)], options...)...)
	if err != nil {
		t.Fatal(err)
	}
	s.own(t)
	return s
}

// NewMySQL starts a server for one test, which may stop, kill and restart it. Options are mysqld's.
func NewMySQL(t testing.TB, options ...string) *MySQLServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
	defer cancel()
	s, err := StartMySQL(ctx, "", os.Stderr, append(fastMySQL[:len(fastMySQL):len(fastMySQL)], options...)...)
	if err != nil {
		t.Fatal(err)
	}
	s.own(t)
	return s
}

// NewPostgres starts a server for one test, which may stop, kill and restart it. Options are settings: "name=value".
func NewPostgres(t testing.TB, major int, options ...string) *PostgresServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
	defer cancel()
	s, err := StartPostgres(ctx, "", os.Stderr, major, append(fastPostgres[:len(fastPostgres):len(fastPostgres)], options...)...)
	if err != nil {
		t.Fatal(err)
	}
	s.own(t)
	return s
}

// own ties the server to a test.
func (s *server) own(t testing.TB) {
	s.owned = true
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s ends:\n%s", s.name, tail(s.Log()))
		}
		if err := s.destroy(); err != nil {
			t.Error(err)
		}
	})
}

// newServer makes the directory, the port and the certificates of a server.
func (h *house) newServer(kind, dir string) (*server, error) {
	s := &server{house: h}
	if dir == "" {
		d, err := h.newDir(kind)
		if err != nil {
			return nil, err
		}
		s.dir = d
	} else {
		d, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if err := h.id.mkdir(d, 0o755); err != nil {
			return nil, err
		}
		if !h.id.reaches(d) {
			return nil, fmt.Errorf("servers run as uid %d, which may not enter %s: choose another directory", h.id.uid, d)
		}
		s.dir, s.kept = d, true
	}
	if err := h.id.mkdir(filepath.Join(s.dir, "tmp"), 0o755); err != nil {
		return nil, err
	}
	var err error
	if s.tls, err = h.id.makeTLS(filepath.Join(s.dir, "tls")); err != nil {
		return nil, err
	}
	if s.port, s.reserved, err = h.reservePort(); err != nil {
		return nil, err
	}
	return s, nil
}

// discard gives back what newServer made for a server that was never started.
func (s *server) discard() error {
	err := s.reserved.Close()
	if !s.kept {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
