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
