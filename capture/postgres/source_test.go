package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// versions runs a test on the oldest and on the newest server.
func versions(t *testing.T, test func(t *testing.T, d *testdb.PostgresDB)) {
	for _, major := range []int{14, 18} {
		t.Run(fmt.Sprint("PostgreSQL ", major), func(t *testing.T) { test(t, testdb.Postgres(t, major).Database(t)) })
	}
}

func open(t testing.TB, d *testdb.PostgresDB) *Source {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: d.URL(), Migration: d.Name, Heartbeat: 200 * time.Millisecond}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// followed is a source whose tables are published, and the place from which its log is read.
type followed struct {
	*Source
	t      testing.TB
	d      *testdb.PostgresDB
	tables []*catalog.Table
	from   string
}

func follow(t testing.TB, d *testdb.PostgresDB) *followed {
	t.Helper()
	f := &followed{Source: open(t, d), t: t, d: d}
	var err error
	if f.tables, err = f.Catalog(t.Context(), func(schema, _ string) bool { return schema == "public" }); err != nil {
		t.Fatal(err)
	}
	if err := f.Setup(t.Context(), f.tables); err != nil {
		t.Fatal(err)
	}
	f.from = f.now()
	return f
}

func (f *followed) now() string {
	f.t.Helper()
	p, err := f.Position(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *followed) table(name string) *catalog.Table {
	f.t.Helper()
	for _, c := range f.tables {
		if c.Name == name {
			return c
		}
	}
	f.t.Fatalf("no table %s", name)
	return nil
}

func (f *followed) tail(from string) capture.Tail {
	f.t.Helper()
	var tail capture.Tail
	for end := time.Now().Add(20 * time.Second); ; { // the session of an earlier tail may still have the slot
		var err error
		if tail, err = f.Tail(f.t.Context(), from, f.tables); err == nil {
			break
		} else if !strings.Contains(err.Error(), "in use") || time.Now().After(end) {
			f.t.Fatal(err)
		}
	}
	f.t.Cleanup(func() { _ = tail.Close() })
	return tail
}

// until reads events until the tail covers a position, and returns them as text.
func (f *followed) until(tail capture.Tail, position string) (lines []string, err error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	for {
		if ok, err := f.Covers(tail.Place(), position); err != nil || ok {
			return lines, err
		}
		e, err := tail.Next(ctx)
		if err != nil {
			return lines, err
		}
		switch e.Kind {
		case capture.Row:
			c := &e.Change
			line := fmt.Sprintf("%s %s", c.Op, c.Table.Name)
			if c.Before != nil {
				line += " [" + write(c.Before) + "]"
			}
			if c.After != nil {
				line += " -> [" + write(c.After) + "]"
			}
			lines = append(lines, line)
		case capture.Truncate:
			lines = append(lines, "truncate "+e.Change.Table.Name)
		case capture.MarkerEvent:
			lines = append(lines, fmt.Sprintf("marker %s %d %s", e.Marker.Side, e.Marker.Epoch, e.Marker.Kind))
		case capture.Commit:
			if n := len(lines); n > 0 && lines[n-1] != "commit" {
				lines = append(lines, "commit")
			}
		}
	}
}

func write(row change.Row) string {
	var parts []string
	for _, v := range row {
		s := v.Kind.String()
		if v.Kind != change.Null && v.Kind != change.Absent {
			s += " " + v.String()
		}
		if len(s) > 60 {
			s = fmt.Sprintf("%s... %d", s[:20], len(v.B))
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " | ")
}

// sees reads what happened since a place, and compares.
func (f *followed) sees(tail capture.Tail, want ...string) {
	f.t.Helper()
	if err := f.Heartbeat(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	got, err := f.until(tail, f.now())
	for err == nil && len(got) > 0 && got[len(got)-1] == "commit" && (len(want) == 0 || want[len(want)-1] != "commit") {
		got = got[:len(got)-1]
	}
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		f.t.Errorf("saw (%v)\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRowsOfTheLogArriveAsTheyWereCommitted(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, `CREATE TABLE a (id int PRIMARY KEY, v text, big text); ALTER TABLE a ALTER big SET STORAGE EXTERNAL;
			CREATE TABLE f (id int PRIMARY KEY, v text, big text); ALTER TABLE f REPLICA IDENTITY FULL; ALTER TABLE f ALTER big SET STORAGE EXTERNAL;
			CREATE TABLE g (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b int);
			CREATE TABLE p (id int, r int, PRIMARY KEY (id, r)) PARTITION BY RANGE (r); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)`)
		s := follow(t, d)
		tail := s.tail(s.from)
		long := strings.Repeat("x", 5000)
		d.Exec(t, "INSERT INTO a VALUES (1, 'one', repeat('x', 5000)), (2, NULL, NULL)")
		s.sees(tail, "insert a -> [int 1 | text one | text "+long[:15]+"... 5000]", "insert a -> [int 2 | null | null]")
		d.Exec(t, "UPDATE a SET v = 'uno' WHERE id = 1; UPDATE a SET id = 3 WHERE id = 2; DELETE FROM a WHERE id = 3")
		s.sees(tail, "update a -> [int 1 | text uno | absent]", "update a [int 2 | absent | absent] -> [int 3 | null | null]", "delete a [int 3 | absent | absent]")
		d.Exec(t, "INSERT INTO f VALUES (1, 'one', repeat('x', 5000)); UPDATE f SET v = NULL WHERE id = 1")
		s.sees(tail, "insert f -> [int 1 | text one | text "+long[:15]+"... 5000]",
			"update f [int 1 | text one | text "+long[:15]+"... 5000] -> [int 1 | null | text "+long[:15]+"... 5000]")
		d.Exec(t, "INSERT INTO g (id, a, b) VALUES (1, 5, 6)")
		s.sees(tail, "insert g -> [int 1 | int 5 | absent | int 6]")
		d.Exec(t, "INSERT INTO p VALUES (1, 5)")
		d.Exec(t, "UPDATE p SET r = 15 WHERE id = 1")
		s.sees(tail, "insert p -> [int 1 | int 5]", "commit", "delete p [int 1 | int 5]", "insert p -> [int 1 | int 15]")
		d.Exec(t, "BEGIN; INSERT INTO a VALUES (7, 'x', NULL); SAVEPOINT s; INSERT INTO a VALUES (8, 'lost', NULL); ROLLBACK TO s; COMMIT")
		d.Exec(t, "BEGIN; INSERT INTO a VALUES (9, 'lost', NULL); ROLLBACK")
		d.Exec(t, "TRUNCATE a, f")
		s.sees(tail, "insert a -> [int 7 | text x | null]", "commit", "truncate a", "truncate f")
		d.Exec(t, fmt.Sprintf("INSERT INTO crossfade.marker (migration, side, epoch, kind) VALUES ('other', 'source', 1, 'fence'), ('%s', 'source', 7, 'fence')", d.Name))
		s.sees(tail, "marker source 7 fence")
	})
}

func TestARestartGoesOnAtExactlyTheNextRow(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)")
		s := follow(t, d)
		d.Exec(t, "INSERT INTO a SELECT generate_series(1, 300)")
		d.Exec(t, "BEGIN; INSERT INTO other VALUES (1); INSERT INTO a SELECT generate_series(301, 900); COMMIT; INSERT INTO a VALUES (901)")
		if err := s.Heartbeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		end, place, next := s.now(), s.from, 1
		for _, stop := range []int{1, 299, 300, 301, 555, 899, 900, 902} {
			tail := s.tail(place)
			for next < stop {
				e, err := tail.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if e.Kind != capture.Row || e.Change.Table.Name != "a" {
					continue
				}
				if got := e.Change.After[0].Int(); got != int64(next) {
					t.Fatalf("row %d came where %d should", got, next)
				}
				next++
			}
			place = tail.Place()
			if err := tail.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if lines, err := s.until(s.tail(place), end); err != nil || strings.Contains(strings.Join(lines, "\n"), "insert") {
			t.Errorf("after the last row came %v, %v", lines, err)
		}
	})
}

func TestTheServerForgetsOnlyWhatIsReleased(t *testing.T) {
	d := testdb.Postgres(t, 18).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v text)")
	s := follow(t, d)
	confirmed := func() (lsn string) {
		d.Get(t, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '"+s.slot()+"'", &lsn)
		return lsn
	}
	tail := s.tail(s.from)
	d.Exec(t, "INSERT INTO a SELECT i, repeat('x', 1000) FROM generate_series(1, 1000) AS i")
	if err := s.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := s.now()
	if _, err := s.until(tail, at); err != nil {
		t.Fatal(err)
	}
	read := tail.Place()
	if err := tail.(interface{ status(bool) error }).status(false); err != nil {
		t.Fatal(err)
	}
	from, _ := parsePosition(s.from)
	if lsn, err := parseLSN(confirmed()); err != nil || lsn > from.lsn {
		t.Errorf("what was only delivered is forgotten: %s, %v", confirmed(), err)
	}
	if err := tail.Close(); err != nil {
		t.Fatal(err)
	}
	tail = s.tail(read) // that one goes on there is no release either
	if err := tail.(interface{ status(bool) error }).status(false); err != nil {
		t.Fatal(err)
	}
	if lsn, err := parseLSN(confirmed()); err != nil || lsn > from.lsn {
		t.Errorf("a tail that begins later makes the server forget: %s, %v", confirmed(), err)
	}
	tail.Release(read)
	if err := tail.(interface{ status(bool) error }).status(false); err != nil {
		t.Fatal(err)
	}
	p, _ := parsePosition(read)
	for end := time.Now().Add(10 * time.Second); ; {
		if lsn, err := parseLSN(confirmed()); err != nil {
			t.Fatal(err)
		} else if lsn == p.lsn {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%s was released, the slot stands at %s", lsnText(p.lsn), confirmed())
		}
		<-time.After(20 * time.Millisecond)
	}
	if err := tail.Close(); err != nil { // what it tells last may be lost with the connection, so the wait above is for what an open one told
		t.Fatal(err)
	}
	if err := s.Contains(t.Context(), read); err != nil {
		t.Error(err)
	}
	var stop *capture.Stop
	if err := s.Contains(t.Context(), s.from); !errors.As(err, &stop) || !strings.Contains(stop.Reason, "has been moved") {
		t.Errorf("a place that the slot has passed: %v", err)
	}
	d.Exec(t, "SELECT pg_drop_replication_slot('"+s.slot()+"')")
	if err := s.Contains(t.Context(), read); !errors.As(err, &stop) || !strings.Contains(stop.Reason, "does not exist") {
		t.Errorf("a dropped slot: %v", err)
	}
}

func TestAnIdleDatabaseMovesOn(t *testing.T) {
	server := testdb.NewPostgres(t, 18, "wal_sender_timeout=2s")
	d := server.Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	s := follow(t, d)
	tail := s.tail(s.from)
	at := s.now()
	if _, err := s.until(tail, at); err != nil { // nobody writes but the tail itself
		t.Fatal(err)
	}
	for {
		e, err := tail.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == capture.Alive {
			return
		}
	}
}

func TestATableWithoutReplicaIdentityIsNeverPublished(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, `CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE nothing (id int PRIMARY KEY, v int); ALTER TABLE nothing REPLICA IDENTITY NOTHING`)
		s := open(t, d)
		all, err := s.Catalog(t.Context(), func(schema, _ string) bool { return schema == "public" })
		if err != nil {
			t.Fatal(err)
		}
		var stop *capture.Stop
		if err := s.Setup(t.Context(), all); !errors.As(err, &stop) || stop.Object != "public.nothing" || !strings.Contains(stop.Reason, "has no replica identity") {
			t.Fatalf("set up: %v", err)
		}
		d.Exec(t, "CREATE UNIQUE INDEX by_v ON nothing (v); ALTER TABLE nothing ALTER v SET NOT NULL; ALTER TABLE nothing REPLICA IDENTITY USING INDEX by_v")
		if err := s.Setup(t.Context(), all); !errors.As(err, &stop) || !strings.Contains(stop.Reason, "does not hold the key column id") {
			t.Fatalf("set up with another identity: %v", err)
		}
		var n int
		d.Get(t, "SELECT count(*)::int FROM pg_publication", &n)
		if n != 0 {
			t.Error("a publication was made")
		}
		d.Exec(t, "INSERT INTO nothing VALUES (1, 1); UPDATE nothing SET v = 2")
		d.Exec(t, "ALTER TABLE nothing REPLICA IDENTITY FULL")
		for range 2 { // it may be repeated
			if err := s.Setup(t.Context(), all); err != nil {
				t.Fatal(err)
			}
		}
		d.Exec(t, "UPDATE nothing SET v = 3")
		for range 2 {
			if err := s.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		d.Get(t, "SELECT (SELECT count(*) FROM pg_publication)::int + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())::int + (SELECT count(*) FROM pg_namespace WHERE nspname = 'crossfade')::int", &n)
		if n != 0 {
			t.Errorf("%d things are left", n)
		}
	})
}

func TestATableChangedOnTheWayStops(t *testing.T) {
	d := testdb.Postgres(t, 18).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v varchar(10))")
	for _, c := range []struct{ ddl, insert, reason string }{
		{"ALTER TABLE b ALTER v TYPE varchar(20)", "INSERT INTO b VALUES (1, 'x')", "character varying(20)"},
		{"ALTER TABLE a ADD w int", "INSERT INTO a VALUES (2, 2, 2)", "has a column w"},
		{"ALTER TABLE a DROP w; ALTER TABLE a RENAME v TO x", "INSERT INTO a VALUES (3, 3)", "has a column x"},
		{"ALTER TABLE a DROP x", "INSERT INTO a VALUES (4)", "does not have the column"},
	} {
		s := follow(t, d)
		tail := s.tail(s.from)
		d.Exec(t, c.ddl)
		d.Exec(t, c.insert)
		if err := s.Heartbeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := s.until(tail, s.now())
		var stop *capture.Stop
		if !errors.As(err, &stop) || !strings.Contains(stop.Reason, c.reason) {
			if c.reason != "does not have the column" || !errors.As(err, &stop) {
				t.Errorf("%s: %v", c.ddl, err)
			}
		}
		if err := tail.Close(); err != nil {
			t.Error(err)
		}
	}
}
