package testdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgresDB is a database of one test.
type PostgresDB struct {
	Server *PostgresServer
	Name   string

	mu   sync.Mutex
	conn *pgx.Conn // of Exec and QueryRow
}

// Database creates an empty database with a unique name, dropped with its replication slots when the test ends.
func (s *PostgresServer) Database(t testing.TB) *PostgresDB {
	t.Helper()
	d := &PostgresDB{Server: s, Name: uniqueName(t)}
	admin, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+quotePostgres(d.Name))
	if err := errors.Join(err, admin.Close(t.Context())); err != nil {
		t.Fatalf("create database %s on %s: %v", d.Name, s.name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.conn != nil {
			if err := d.conn.Close(ctx); err != nil && !s.owned {
				t.Errorf("close database %s: %v", d.Name, err)
			}
		}
		if s.owned {
			return // goes with its server, which may be down
		}
		if err := s.drop(ctx, d.Name); err != nil {
			t.Errorf("drop database %s on %s: %v", d.Name, s.name, err)
		}
	})
	return d
}

func (s *PostgresServer) drop(ctx context.Context, name string) error {
	admin, err := s.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	// A slot holds its database, and its walsender may only just be ending.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err = admin.Exec(ctx, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active", name)
		if err == nil {
			_, err = admin.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", name)
		}
		if err == nil {
			_, err = admin.Exec(ctx, "DROP DATABASE IF EXISTS "+quotePostgres(name)+" WITH (FORCE)")
		}
		const objectInUse, undefinedObject = "55006", "42704"
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != objectInUse && pg.Code != undefinedObject {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// URL returns the administrator's URL of the database.
func (d *PostgresDB) URL() string { return d.Server.URL(d.Name) }

// Connect opens a connection as administrator, closed when the test ends.
func (d *PostgresDB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := d.Server.Connect(t.Context(), d.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The server may be down and the connection broken: nothing is lost by that.
		_ = conn.Close(context.Background())
	})
	return conn
}

// Exec runs one statement, or several separated by semicolons when there are no arguments. An error ends the test. Calls
// share one connection, one after the other; it is opened again after a restart.
func (d *PostgresDB) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	conn := d.connection(t)
	if _, err := conn.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v\n%s", d.Server.name, err, excerpt(query))
	}
}

// Get runs a query that yields one row and scans it into dest. An error ends the test.
func (d *PostgresDB) Get(t testing.TB, query string, dest ...any) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	conn := d.connection(t)
	if err := conn.QueryRow(t.Context(), query).Scan(dest...); err != nil {
		t.Fatalf("%s: %v\n%s", d.Server.name, err, excerpt(query))
	}
}

// connection is called with the mutex held.
func (d *PostgresDB) connection(t testing.TB) *pgx.Conn {
	t.Helper()
	if d.conn != nil && !d.conn.IsClosed() && d.conn.Ping(t.Context()) == nil {
		return d.conn
	}
	conn, err := d.Server.Connect(t.Context(), d.Name)
	if err != nil {
		t.Fatal(err)
	}
	d.conn = conn
	return conn
}

// roleAttributes are the words that CREATE ROLE takes, as opposed to grants.
var roleAttributes = map[string]bool{
	"REPLICATION": true, "SUPERUSER": true, "CREATEDB": true, "CREATEROLE": true, "BYPASSRLS": true, "NOINHERIT": true,
}

// Role creates a role that can log in, and returns its URL; it is dropped when the test ends. Names belong to the server, so
// on a shared one take a name that no other test takes, or leave it empty to get one. A grant is an attribute
// ("REPLICATION") or what stands between GRANT and TO ("SELECT ON ALL TABLES IN SCHEMA public"); without any the role may
// create and use objects in schema public.
func (d *PostgresDB) Role(t testing.TB, name, password string, grants ...string) string {
	t.Helper()
	if name == "" {
		name = uniqueName(t)
	}
	attributes, rest := "", []string(nil)
	for _, g := range grants {
		if roleAttributes[strings.ToUpper(g)] {
			attributes += " " + g
		} else {
			rest = append(rest, g)
		}
	}
	if len(grants) == 0 {
		rest = []string{"ALL ON DATABASE " + quotePostgres(d.Name), "ALL ON SCHEMA public"}
	}
	role := quotePostgres(name)
	d.Exec(t, fmt.Sprintf("CREATE ROLE %s LOGIN%s PASSWORD '%s'", role, attributes, strings.ReplaceAll(password, "'", "''")))
	if !d.Server.owned {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			conn, err := d.Server.Connect(ctx, d.Name)
			if err != nil {
				t.Errorf("drop role %s: %v", name, err)
				return
			}
			defer conn.Close(ctx)
			if _, err := conn.Exec(ctx, "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role); err != nil {
				t.Errorf("drop role %s: %v", name, err)
			}
		})
	}
	for _, g := range rest {
		d.Exec(t, "GRANT "+g+" TO "+role)
	}
	return d.Server.userURL(name, password, d.Name)
}

func quotePostgres(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
