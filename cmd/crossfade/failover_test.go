package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// restartable is a server that comes back as another one.
type restartable interface {
	Stop() error
	Start(ctx context.Context) error
	DataDir() string
}

// A source that fails over to a server with the same history is followed, while the daemon runs and across its restart; no row is missed, and the cutover goes to the end.
func TestASourceThatFailsOverIsFollowed(t *testing.T) {
	for name, make := range map[string]func() (source *end, server restartable, over func(s restartable) error){
		"PostgreSQL": func() (*end, restartable, func(restartable) error) {
			s := testdb.NewPostgres(t, 18, "restore_command=false")
			return endOnPostgres(t, s), s, func(s restartable) error { // recovery ends at once, on a new timeline
				return os.WriteFile(filepath.Join(s.DataDir(), "recovery.signal"), nil, 0o644)
			}
		},
		"MySQL": func() (*end, restartable, func(restartable) error) {
			s := testdb.NewMySQL(t)
			return endOnMySQL(t, s), s, func(s restartable) error { return os.Remove(filepath.Join(s.DataDir(), "auto.cnf")) } // its identity
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, server, over := make()
			target := endOnPostgres(t, testdb.Postgres(t, 17))
			failOver := func() {
				t.Helper()
				if err := server.Stop(); err != nil {
					t.Fatal(err)
				}
				if err := over(server); err != nil {
					t.Fatal(err)
				}
				if err := server.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if name == "PostgreSQL" {
					waitPromoted(t, source.url)
				}
			}
			execOn(t, source, "CREATE TABLE item (id int PRIMARY KEY, v int)")
			execOn(t, source, "INSERT INTO item VALUES (1, 1)")
			r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "")
			config, err := os.ReadFile(r.config)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.config, append(config, "cutover:\n  max_pause: 20s\n  switch:\n"+r.switchStep()...), 0o600); err != nil {
				t.Fatal(err)
			}
			r.start()
			r.waitReady()
			arrives := func(id int) {
				t.Helper()
				execOn(t, source, fmt.Sprintf("INSERT INTO item VALUES (%d, %d)", id, id))
				r.until("the row", time.Minute, func(s control.Status) bool {
					if s.Error != nil {
						t.Fatalf("the migration stopped: %s", *s.Error)
					}
					return strings.Join(rowsOf(t, target, fmt.Sprintf("SELECT v FROM item WHERE id = %d", id)), "") == fmt.Sprint(id)
				})
			}
			arrives(2)
			failOver() // beside the daemon
			arrives(3)
			if !strings.Contains(r.logs(), "another server has taken over") {
				t.Error("nothing is said of the server that took over")
			}
			r.stop()
			execOn(t, source, "UPDATE item SET v = 10 WHERE id = 1")
			failOver() // while it is away
			r.start()
			arrives(4)
			r.waitReady()
			r.until("level", time.Minute, func(s control.Status) bool { return s.LagSeconds != nil && *s.LagSeconds < 1 })
			r.must("cutover")
			if got := strings.Join(rowsOf(t, target, "SELECT id, v FROM item ORDER BY id"), ", "); got != "1 | 10, 2 | 2, 3 | 3, 4 | 4" {
				t.Errorf("the target has %s", got)
			}
		})
	}
}

func waitPromoted(t *testing.T, url string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; pause(50 * time.Millisecond) {
		in := true
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.QueryRow(t.Context(), "SELECT pg_is_in_recovery()").Scan(&in)
			_ = conn.Close(t.Context())
		}
		if !in {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the server does not end its recovery")
		}
	}
}

// A replica of MariaDB that is promoted has other binlogs, and no identity that it shares: the GTIDs say where it goes on.
func TestAMariaDBSourceIsFollowedToItsReplica(t *testing.T) {
	first, second := testdb.NewMariaDB(t, "10.11", "--log-slave-updates=ON"), testdb.NewMariaDB(t, "10.11", "--log-slave-updates=ON")
	source, target := endOnMySQL(t, first), endOnPostgres(t, testdb.Postgres(t, 17))
	replica, err := second.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	on := func(q string) {
		t.Helper()
		if _, err := replica.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	execOn(t, source, "CREATE USER repl IDENTIFIED BY 'repl'")
	execOn(t, source, "GRANT REPLICATION SLAVE ON *.* TO repl")
	on(fmt.Sprintf("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'repl', MASTER_PASSWORD = 'repl', MASTER_USE_GTID = slave_pos", first.Port()))
	on("START SLAVE")
	execOn(t, source, "CREATE TABLE item (id int PRIMARY KEY, v int)")
	execOn(t, source, "INSERT INTO item VALUES (1, 1), (2, 2)")
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "")
	config, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	config = append(config, "cutover:\n  max_pause: 20s\n  switch:\n"+r.switchStep()...)
	if err := os.WriteFile(r.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.waitReady()
	execOn(t, source, "INSERT INTO item VALUES (3, 3)")
	r.until("the row", time.Minute, func(control.Status) bool {
		return len(rowsOf(t, target, "SELECT id FROM item WHERE id = 3")) > 0
	})
	r.stop()
	for _, q := range []string{"UPDATE item SET v = 10 WHERE id = 1", "DELETE FROM item WHERE id = 2"} {
		execOn(t, source, q)
	}
	has := ""
	for end := time.Now().Add(time.Minute); has != strings.Join(rowsOf(t, source, "SELECT @@gtid_binlog_pos"), ""); pause(50 * time.Millisecond) {
		if err := replica.QueryRowContext(t.Context(), "SELECT @@gtid_binlog_pos").Scan(&has); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("the replica has %s", has)
		}
	}
	on("STOP SLAVE")
	on("RESET SLAVE ALL")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	moved := strings.Replace(string(config), fmt.Sprintf("127.0.0.1:%d", first.Port()), fmt.Sprintf("127.0.0.1:%d", second.Port()), 1)
	if err := os.WriteFile(r.config, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	on("INSERT INTO " + source.schema + ".item VALUES (4, 4)")
	r.waitReady()
	r.until("level", time.Minute, func(s control.Status) bool { return s.LagSeconds != nil && *s.LagSeconds < 1 })
	r.must("cutover")
	if got := strings.Join(rowsOf(t, target, "SELECT id, v FROM item ORDER BY id"), ", "); got != "1 | 10, 3 | 3, 4 | 4" {
		t.Errorf("the target has %s", got)
	}
}
