package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// MySQLDB is a database of one test.
type MySQLDB struct {
	Server *MySQLServer
	Name   string
	DB     *sql.DB // as administrator, with Name selected; several statements in one Exec are allowed
}

// Database creates an empty database with a unique name, dropped when the test ends.
func (s *MySQLServer) Database(t testing.TB) *MySQLDB {
	t.Helper()
	name := uniqueName(t)
	admin, err := s.Open("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+quoteMySQL(name)); err != nil {
		t.Fatalf("create database %s on %s: %v", name, s.name, err)
	}
	db, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database %s: %v", name, err)
		}
		defer admin.Close()
		if s.owned {
			return // goes with its server, which may be down
		}
		if err := s.drop(admin, name); err != nil {
			t.Errorf("drop database %s on %s: %v", name, s.name, err)
		}
	})
	return &MySQLDB{Server: s, Name: name, DB: db}
}

// drop drops a database also when a test left connections with open transactions in it, which would block that for ever.
func (s *MySQLServer) drop(admin *sql.DB, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := admin.QueryContext(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = ?", name)
	if err != nil {
		return err
	}
	defer rows.Close()
	var left []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		left = append(left, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range left {
		// It may have ended meanwhile (1094); the DROP tells whether it matters.
		_, _ = admin.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
	}
	_, err = admin.ExecContext(ctx, "SET SESSION lock_wait_timeout = 30; DROP DATABASE IF EXISTS "+quoteMySQL(name))
	return err
}

// URL returns the administrator's URL of the database.
func (d *MySQLDB) URL() string { return d.Server.URL(d.Name) }

// Exec runs one statement, or several separated by semicolons when there are no arguments. An error ends the test.
func (d *MySQLDB) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := d.DB.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v\n%s", d.Server.name, err, excerpt(query))
	}
}

// User creates a user and returns its URL; it is dropped when the test ends. Names belong to the server, so on a shared one
// take a name that no other test takes, or leave it empty to get one. A grant is what stands between GRANT and TO:
// "SELECT, INSERT" means on this database, "REPLICATION SLAVE ON *.*" says where; without any the user may do everything in
// this database.
func (d *MySQLDB) User(t testing.TB, name, password string, grants ...string) string {
	t.Helper()
	if name == "" {
		name = uniqueName(t)
	}
	account := quoteMySQLString(name) + "@'%'"
	d.Exec(t, "CREATE USER "+account+" IDENTIFIED BY "+quoteMySQLString(password))
	if !d.Server.owned {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if _, err := d.DB.ExecContext(ctx, "DROP USER IF EXISTS "+account); err != nil {
				t.Errorf("drop user %s: %v", name, err)
			}
		})
	}
	if len(grants) == 0 {
		grants = []string{"ALL"}
	}
	for _, grant := range grants {
		if !strings.Contains(strings.ToUpper(grant), " ON ") {
			grant += " ON " + quoteMySQL(d.Name) + ".*"
		}
		d.Exec(t, "GRANT "+grant+" TO "+account)
	}
	return d.Server.userURL(name, password, d.Name)
}

func quoteMySQL(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteMySQLString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

var names atomic.Int64

// uniqueName makes a name from that of the test, short enough for a user of MySQL (32), fit for every engine unquoted.
func uniqueName(t testing.TB) string {
	const most = 22
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimPrefix(t.Name(), "Test")) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' && b.Len() > 0 {
			b.WriteRune(r)
		} else if b.Len() > 0 {
			b.WriteByte('_')
		}
		if b.Len() == most {
			break
		}
	}
	return fmt.Sprintf("t_%s_%d", b.String(), names.Add(1))
}

func excerpt(query string) string {
	const most = 500
	if len(query) > most {
		return query[:most] + "..."
	}
	return query
}
