package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/testdb"
	"github.com/crossfade-io/crossfade/internal/testdb/scenarios"
)

// end is a database of a test, of any engine.
type end struct {
	engine string
	url    string
	tables string // pattern that selects all of its tables
	schema string // where its tables are
	player func() *scenarios.Player
	// open connects as the owner, user makes a user of the application and returns its URL.
	open func(url string) *sql.DB
	user func() string
}

// engines are the servers that a binary's tests share, one for each engine.
var engines = map[string]func(t *testing.T) *end{
	"postgres": func(t *testing.T) *end { return endOnPostgres(t, testdb.Postgres(t, 18)) },
	"mysql":    func(t *testing.T) *end { return endOnMySQL(t, testdb.MySQL(t)) },
	"mariadb":  func(t *testing.T) *end { return endOnMySQL(t, testdb.MariaDB(t, "11.8")) },
}

func endOnPostgres(t *testing.T, s *testdb.PostgresServer) *end {
	t.Helper()
	db := s.Database(t)
	return &end{engine: "postgres", url: db.URL(), tables: "public.*", schema: "public",
		player: func() *scenarios.Player {
			return scenarios.OnPostgres(func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, db.URL()) })
		},
		open: func(url string) *sql.DB {
			out, err := sql.Open("pgx", url)
			if err != nil {
				t.Fatal(err)
			}
			return out
		},
		user: func() string {
			return db.Role(t, "", "app pw/3", "USAGE ON SCHEMA public", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public", "USAGE ON ALL SEQUENCES IN SCHEMA public")
		},
	}
}

func endOnMySQL(t *testing.T, s *testdb.MySQLServer) *end {
	t.Helper()
	db := s.Database(t)
	db.Exec(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL sync_binlog = 1") // the check wants a server that forgets nothing
	engine, _, _ := strings.Cut(db.URL(), ":")
	return &end{engine: engine, url: db.URL(), tables: db.Name + ".*", schema: db.Name, player: func() *scenarios.Player { return scenarios.OnMySQL(db.DB) },
		open: func(url string) *sql.DB { return openMySQL(t, url) },
		user: func() string { return db.User(t, "", "app pw/3", "SELECT, INSERT, UPDATE, DELETE") },
	}
}

// newPair makes the configuration of a migration between two ends; more is appended to it.
func newPair(t *testing.T, source, target *end, tables, more string) *rig {
	t.Helper()
	rigs++
	r := &rig{t: t, dir: t.TempDir(), name: fmt.Sprintf("p%d-%d", os.Getpid()%10000, rigs)}
	r.config = filepath.Join(r.dir, "crossfade.yaml")
	text := fmt.Sprintf("name: %s\nstate_dir: %s\nsource:\n  url: %s\n  tables: [%s]\ntarget:\n  url: %s\n  schema: %s\napi: {listen: \"\"}\n%s\n", r.name, filepath.Join(r.dir, "state"),
		source.url, tables, target.url, target.schema, more)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("daemon's log:\n%s", tail(r.logs(), 12000))
		}
	})
	return r
}

// ownServer starts a server of an engine for one test.
func ownServer(t *testing.T, engine string, options []string) *end {
	t.Helper()
	switch engine {
	case "postgres":
		return endOnPostgres(t, testdb.NewPostgres(t, 18, options...))
	case "mysql", "mariadb":
		var dashed []string
		for _, o := range options {
			dashed = append(dashed, "--"+o)
		}
		if engine == "mariadb" {
			return endOnMySQL(t, testdb.NewMariaDB(t, "11.8", dashed...))
		}
		return endOnMySQL(t, testdb.NewMySQL(t, dashed...))
	}
	t.Fatalf("no server of engine %s", engine)
	return nil
}
