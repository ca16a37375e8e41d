package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	Main(m)
}

func TestMySQLIsRecentAndLogsRowsInFull(t *testing.T) {
	db := MySQL(t).Database(t)
	want := map[string]string{
		"gtid_mode": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "FULL", "log_bin": "1",
	}
	for name, value := range want {
		var got string
		if err := db.DB.QueryRowContext(t.Context(), "SELECT @@GLOBAL."+name).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	var version string
	if err := db.DB.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version, MySQL(t).Version()) || version < "8" {
		t.Errorf("version is %q, found by its program as %q", version, MySQL(t).Version())
	}
}

func TestPostgresHasTheMajorAskedFor(t *testing.T) {
	for _, major := range []int{15, 18} {
		db := Postgres(t, major).Database(t)
		var version int
		var level string
		db.Get(t, "SELECT current_setting('server_version_num')::int / 10000, current_setting('wal_level')", &version, &level)
		if version != major || level != "logical" {
			t.Errorf("version is %d with wal_level %s, want %d with logical", version, level, major)
		}
	}
}

func TestDatabasesAreApartAndGoWithTheirTest(t *testing.T) {
	my, pg := MySQL(t), Postgres(t, 18)
	var myName, pgName string
	t.Run("first", func(t *testing.T) {
		a, b := my.Database(t), my.Database(t)
		a.Exec(t, "CREATE TABLE x (id INT PRIMARY KEY); INSERT INTO x VALUES (1)")
		b.Exec(t, "CREATE TABLE x (id INT PRIMARY KEY)")
		var n int
		if err := b.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM x").Scan(&n); err != nil || n != 0 {
			t.Errorf("the other database has %d rows (%v), want 0", n, err)
		}
		c, d := pg.Database(t), pg.Database(t)
		c.Exec(t, "CREATE TABLE x (id int); INSERT INTO x VALUES (1)")
		d.Exec(t, "CREATE TABLE x (id int)")
		d.Get(t, "SELECT count(*) FROM x", &n)
		if n != 0 {
			t.Errorf("the other database has %d rows, want 0", n)
		}
		c.Exec(t, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", c.Name)
		// An open transaction must not keep the database.
		tx, err := a.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO x VALUES (2)"); err != nil {
			t.Fatal(err)
		}
		myName, pgName = a.Name, c.Name
	})
	db, err := my.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	err = db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", myName).Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("MySQL still has %s (%v)", myName, err)
	}
	other := pg.Database(t)
	other.Get(t, "SELECT count(*) FROM pg_database WHERE datname = '"+pgName+"'", &n)
	if n != 0 {
		t.Errorf("PostgreSQL still has %s", pgName)
	}
}

func TestUsersHaveTheirGrantsOnly(t *testing.T) {
	my := MySQL(t).Database(t)
	my.Exec(t, "CREATE TABLE x (id INT PRIMARY KEY)")
	url := my.User(t, "", "pass/word:@%1", "SELECT")
	if !strings.HasPrefix(url, "mysql://") || strings.Contains(url, "pass/word:@%1") {
		t.Errorf("URL %s is not escaped", url)
	}
	var grants int
	if err := my.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.SCHEMA_PRIVILEGES WHERE TABLE_SCHEMA = ?", my.Name).Scan(&grants); err != nil {
		t.Fatal(err)
	}
	if grants != 1 {
		t.Errorf("%d privileges on the database, want SELECT alone", grants)
	}

	pg := Postgres(t, 18).Database(t)
	pg.Exec(t, "CREATE TABLE x (id int)")
	conn, err := pgx.Connect(t.Context(), pg.Role(t, "", "pass/word:@%1", "SELECT ON TABLE x"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT FROM x"); err != nil {
		t.Errorf("granted SELECT fails: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO x VALUES (1)"); err == nil {
		t.Error("an INSERT that was not granted passes")
	}
}

func TestKilledServersComeBackWithTheirDataAndPort(t *testing.T) {
	ctx := t.Context()
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		s := NewMySQL(t, "--gtid-mode=OFF")
		db := s.Database(t)
		var mode string
		if err := db.DB.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_mode").Scan(&mode); err != nil || mode != "OFF" {
			t.Errorf("gtid_mode is %q (%v): the option did not win", mode, err)
		}
		db.Exec(t, "CREATE TABLE x (id INT PRIMARY KEY); INSERT INTO x VALUES (1)")
		var id string
		if err := db.DB.QueryRowContext(ctx, "SELECT @@server_uuid").Scan(&id); err != nil {
			t.Fatal(err)
		}
		var sharedID string
		if err := mysqlValue(ctx, MySQL(t), "SELECT @@server_uuid", &sharedID); err != nil || id == sharedID {
			t.Errorf("two servers have the identity %s (%v)", id, err)
		}
		port, pid := s.Port(), s.Pid()
		kills(t, s.server)
		var n int
		if err := mysqlValue(ctx, s, "SELECT COUNT(*) FROM "+db.Name+".x", &n); err != nil || n != 1 {
			t.Errorf("%d rows after SIGKILL (%v), want 1", n, err)
		}
		if s.Port() != port || s.Pid() == pid {
			t.Errorf("port %d pid %d, before %d and %d", s.Port(), s.Pid(), port, pid)
		}
		if err := s.Restart(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := NewPostgres(t, 18, "wal_sender_timeout=7s")
		db := s.Database(t)
		var timeout, id, sharedID string
		db.Get(t, "SELECT current_setting('wal_sender_timeout'), (SELECT system_identifier FROM pg_control_system())", &timeout, &id)
		if timeout != "7s" {
			t.Errorf("wal_sender_timeout is %s: the option did not win", timeout)
		}
		Postgres(t, 18).Database(t).Get(t, "SELECT system_identifier FROM pg_control_system()", &sharedID)
		if id == sharedID {
			t.Errorf("two servers have the identity %s", id)
		}
		db.Exec(t, "CREATE TABLE x (id int); INSERT INTO x VALUES (1)")
		port, pid := s.Port(), s.Pid()
		kills(t, s.server)
		var n int
		db.Get(t, "SELECT count(*) FROM x", &n)
		if n != 1 {
			t.Errorf("%d rows after SIGKILL, want 1", n)
		}
		if s.Port() != port || s.Pid() == pid {
			t.Errorf("port %d pid %d, before %d and %d", s.Port(), s.Pid(), port, pid)
		}
		if err := s.Restart(ctx); err != nil {
			t.Error(err)
		}
		db.Get(t, "SELECT count(*) FROM x", &n)
		if err := s.Kill(); err != nil { // and is destroyed dead
			t.Error(err)
		}
	})
}

func kills(t *testing.T, s *server) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if s.Pid() != 0 {
		t.Errorf("pid %d after Kill", s.Pid())
	}
	if left := processesIn(s.dir); len(left) != 0 {
		t.Errorf("processes %v after Kill", left)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func mysqlValue(ctx context.Context, s *MySQLServer, query string, dest any) error {
	db, err := s.Open("")
	if err != nil {
		return err
	}
	defer func(db *sql.DB) { _ = db.Close() }(db)
	return errors.Join(db.QueryRowContext(ctx, query).Scan(dest))
}
