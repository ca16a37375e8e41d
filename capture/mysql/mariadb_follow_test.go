package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// replicaOf makes a server a replica of another, and waits until it has everything.
func replicaOf(t *testing.T, of, s *testdb.MySQLServer) (caughtUp func()) {
	t.Helper()
	a, err := of.Open("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	for _, q := range []string{"CREATE USER IF NOT EXISTS repl IDENTIFIED BY 'repl'", "GRANT REPLICATION SLAVE ON *.* TO repl"} {
		if _, err := a.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []string{fmt.Sprintf("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'repl', MASTER_PASSWORD = 'repl', MASTER_USE_GTID = slave_pos", of.Port()), "START SLAVE"} {
		if _, err := b.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		var want, got string
		if err := a.QueryRow("SELECT @@gtid_binlog_pos").Scan(&want); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica has "+want, func() bool {
			if err := b.QueryRow("SELECT @@gtid_binlog_pos").Scan(&got); err != nil {
				t.Fatal(err)
			}
			return got == want
		})
	}
}

// readRows reads n rows of one column from a place on, and where reading stands behind each.
func readRows(t *testing.T, s *Source, from string, tables []*catalog.Table, n int) (ids []int64, places []string) {
	t.Helper()
	tail, err := s.Tail(t.Context(), from, tables)
	if err != nil {
		t.Fatalf("%s: %v", from, err)
	}
	defer tail.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(ids) < n {
		e, err := tail.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d rows from %s: %v", len(ids), n, from, err)
		}
		if e.Kind == capture.Row {
			ids, places = append(ids, e.Change.After[0].Int()), append(places, tail.Place())
		}
	}
	return ids, places
}

// A replica that is promoted has other files, with the transactions of two domains in another order. It is read on from exactly the next row, wherever reading
// was given up, and once more when that happens while it is passed over what had been read.
func TestAPromotedMariaDBIsReadOnFromTheNextRow(t *testing.T) {
	first, second := testdb.NewMariaDB(t, "11.8", "--log-slave-updates=ON"), testdb.NewMariaDB(t, "11.8", "--log-slave-updates=ON")
	caughtUp := replicaOf(t, first, second)
	d := first.Database(t)
	d.Exec(t, "CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (1)")
	s := open(t, d)
	from := now(t, s)
	for _, q := range []string{"INSERT INTO r VALUES (2)", "SET gtid_domain_id = 5; INSERT INTO r VALUES (3); SET gtid_domain_id = 0", "INSERT INTO r VALUES (4), (5), (6)", "FLUSH BINARY LOGS",
		"CREATE DATABASE beside", "SET gtid_domain_id = 5; INSERT INTO r VALUES (7); SET gtid_domain_id = 0", "INSERT INTO r VALUES (8)", "DROP DATABASE beside", "INSERT INTO r VALUES (9)"} {
		d.Exec(t, q)
	}
	caughtUp()
	list := []*catalog.Table{tables(t, d)["r"]}
	whole, places := readRows(t, s, from, list, 8)
	if want := []int64{2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(whole, want) {
		t.Fatalf("the first server says %v", whole)
	}
	replica, err := Open(t.Context(), config(t, second.URL(d.Name)), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	was, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, place := range places {
		if err := replica.Follows(t.Context(), place, was); err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		seen := 0
		if err := replica.ReadRange(t.Context(), place, list[0], nil, nil, func(change.Row) error { seen++; return nil }); err != nil || seen != 9 {
			t.Errorf("a read that sees %s: %d rows, %v", place, seen, err)
		}
		rest, again := readRows(t, replica, place, list, len(whole)-i-1)
		if !slices.Equal(rest, whole[i+1:]) {
			t.Errorf("after %d rows, at %s, the second server says %v", i+1, place, rest)
		}
		for j, p := range again { // given up once more
			if err := replica.Contains(t.Context(), p); err != nil {
				t.Fatalf("%s: %v", p, err)
			}
			if more, _ := readRows(t, replica, p, list, len(rest)-j-1); !slices.Equal(more, rest[j+1:]) {
				t.Errorf("at %s, of which %d rows are read, it says %v", p, i+j+2, more)
			}
		}
	}
	// What the other server does not have it is not followed over.
	d.Exec(t, "INSERT INTO r VALUES (10)")
	caughtUp()
	stopped, err := second.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	if _, err := stopped.Exec("STOP SLAVE"); err != nil {
		t.Fatal(err)
	}
	d.Exec(t, "INSERT INTO r VALUES (11)")
	_, places = readRows(t, s, places[len(places)-1], list, 2)
	if err := replica.Follows(t.Context(), places[0], was); err != nil {
		t.Errorf("with what it has: %v", err)
	}
	var stop *capture.Stop
	if err := replica.Follows(t.Context(), places[1], was); !errors.As(err, &stop) || !strings.Contains(stop.Reason, "lacks transactions") {
		t.Errorf("with what it lacks: %v", err)
	}
	for _, c := range []struct {
		at, p string
		want  bool
	}{{places[0], now(t, replica), false}, {places[1], now(t, replica), true}, {places[1], now(t, s), false}} { // a place inside a transaction lies before it
		if got, err := coversText(c.at, c.p); err != nil || got != c.want {
			t.Errorf("%s covers %s: %v, %v", c.at, c.p, got, err)
		}
	}
}
