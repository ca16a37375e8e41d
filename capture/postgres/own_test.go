package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// makeLedger makes the ledger as an applier makes it, with the lanes of this migration and of another.
func makeLedger(t testing.TB, d *testdb.PostgresDB) {
	t.Helper()
	d.Exec(t, `CREATE SCHEMA IF NOT EXISTS crossfade; CREATE TABLE IF NOT EXISTS crossfade.ledger (migration text NOT NULL, side text NOT NULL, lane integer NOT NULL, lanes integer NOT NULL,
		stream_id text NOT NULL DEFAULT '', seq bigint NOT NULL DEFAULT 0, sum bigint NOT NULL DEFAULT 0, token bigint NOT NULL DEFAULT 0, counter bigint NOT NULL DEFAULT 1,
		marker_epoch bigint NOT NULL DEFAULT 0, source_time bigint NOT NULL DEFAULT 0, PRIMARY KEY (migration, side, lane)) WITH (fillfactor = 20)`)
	d.Exec(t, fmt.Sprintf("INSERT INTO crossfade.ledger (migration, side, lane, lanes) SELECT m, 'target', n, 3 FROM unnest('{%s,other}'::text[]) AS m, generate_series(0, 2) AS n", d.Name))
}

// moved is the statement with which an applier begins its transactions.
func moved(migration, lane string) string {
	return "UPDATE crossfade.ledger SET seq = seq + 1, counter = counter + 1 WHERE migration = '" + migration + "' AND side = 'target'" + lane + "; "
}

// everything reads all events up to a place, and the places behind them.
func (f *followed) everything(tail capture.Tail, until string) (events, places []string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	for {
		if ok, err := f.Covers(tail.Place(), until); err != nil {
			f.t.Fatal(err)
		} else if ok {
			return events, places
		}
		e, err := tail.Next(ctx)
		if err != nil {
			f.t.Fatalf("%v\nafter\n%s", err, strings.Join(events, "\n"))
		}
		if e.Kind == capture.Alive {
			continue
		}
		line := e.Kind.String()
		if e.Kind == capture.Row {
			line = fmt.Sprint(e.Change.Op, " ", e.Change.Table.Name, " ", write(e.Change.KeyRow()))
		}
		events, places = append(events, line), append(places, tail.Place())
	}
}

// What an applier of this migration writes is no change of this database; what anybody else writes is, before, between and after, and from every place on.
func TestWhatOurAppliersWriteIsNoChange(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)")
		makeLedger(t, d)
		s := follow(t, d)
		tail := s.tail(s.from)
		app := func(id int) string { return fmt.Sprintf("INSERT INTO a VALUES (%d); ", id) }
		ours := func(migration, lane, statements string) {
			d.Exec(t, "BEGIN; "+moved(migration, lane)+statements+"COMMIT")
		}
		d.Exec(t, app(1))
		ours(d.Name, " AND lane = 0", app(2)+"UPDATE a SET id = 100 WHERE id = 1; DELETE FROM a WHERE id = 100; INSERT INTO other VALUES (1); ")
		d.Exec(t, app(3))
		ours(d.Name, "", "INSERT INTO a SELECT generate_series(1000, 3000); TRUNCATE b; TRUNCATE a, other; ") // all lanes
		ours(d.Name, " AND lane = 2", "")
		d.Exec(t, app(4))
		ours("other", "", app(5)+"TRUNCATE b; ")
		d.Exec(t, "BEGIN; "+app(6)+moved(d.Name, "")+app(7)+"COMMIT")
		d.Exec(t, "BEGIN; TRUNCATE b; "+moved(d.Name, "")+app(8)+"COMMIT")
		d.Exec(t, "BEGIN; SAVEPOINT s; "+moved(d.Name, "")+"ROLLBACK TO s; "+app(9)+"COMMIT") // never committed
		interleaved(t, d)
		ours(d.Name, " AND lane = 1", "DELETE FROM a; ")
		d.Exec(t, app(12))
		if err := s.Heartbeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		end := s.now()
		events, places := s.everything(tail, end)
		if err := tail.Close(); err != nil {
			t.Fatal(err)
		}
		insert := func(id int) string { return fmt.Sprintf("insert a int %d", id) }
		var got []string
		commits := 0
		for _, e := range events {
			if e == "commit" {
				commits++
			} else {
				got = append(got, e)
			}
		}
		want := []string{insert(1), insert(3), insert(4), insert(5), "truncate", insert(6), insert(7), "truncate", insert(8), insert(9), insert(10), insert(11), insert(12)}
		if !slices.Equal(got, want) {
			t.Fatalf("saw\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if commits < 16 {
			t.Errorf("%d commits were returned", commits)
		}
		for i, place := range places {
			again := s.tail(place)
			if rest, _ := s.everything(again, end); !slices.Equal(rest, events[i+1:]) {
				t.Fatalf("from behind event %d, %s, it saw\n%s\nwant\n%s", i, events[i], strings.Join(rest, "\n"), strings.Join(events[i+1:], "\n"))
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// interleaved commits a transaction of an applier while one of the application is open, and the other way round.
func interleaved(t testing.TB, d *testdb.PostgresDB) {
	t.Helper()
	var conns [2]*pgx.Conn
	for i := range conns {
		conn, err := pgx.Connect(t.Context(), d.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		conns[i] = conn
	}
	ours, theirs := conns[0], conns[1]
	for _, step := range []struct {
		ours bool
		sql  string
	}{
		{false, "BEGIN"}, {false, "INSERT INTO a VALUES (10)"},
		{true, "BEGIN"}, {true, moved(d.Name, " AND lane = 0")}, {true, "INSERT INTO a VALUES (20)"}, {true, "COMMIT"},
		{true, "BEGIN"}, {true, moved(d.Name, " AND lane = 1")}, {true, "INSERT INTO a VALUES (21)"},
		{false, "COMMIT"}, {false, "INSERT INTO a VALUES (11)"}, {true, "COMMIT"},
	} {
		conn := theirs
		if step.ours {
			conn = ours
		}
		if _, err := conn.Exec(t.Context(), step.sql); err != nil {
			t.Fatalf("%s: %v", step.sql, err)
		}
	}
}

// A place inside a transaction that is ours, made before its ledger was known, is read on from its commit.
func TestAPlaceInsideOurTransactionLeadsBehindIt(t *testing.T) {
	d := testdb.Postgres(t, 18).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	makeLedger(t, d)
	s := follow(t, d)
	d.Exec(t, "BEGIN; "+moved("other", "")+"INSERT INTO a VALUES (1), (2), (3); COMMIT; INSERT INTO a VALUES (4)")
	if err := s.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := s.now()
	tail := s.tail(s.from)
	events, places := s.everything(tail, end)
	if err := tail.Close(); err != nil {
		t.Fatal(err)
	}
	inside := 0
	for i, e := range events {
		if strings.HasPrefix(e, "insert") && e != "insert a int 4" {
			inside++
			tail := s.tail(places[i])
			s.cfg.Migration = "other"
			rest, _ := s.everything(tail, end)
			s.cfg.Migration = d.Name
			if err := tail.Close(); err != nil {
				t.Fatal(err)
			}
			if rest = slices.DeleteFunc(rest, func(e string) bool { return e == "commit" }); !slices.Equal(rest, []string{"insert a int 4"}) {
				t.Errorf("from %s it saw %v", places[i], rest)
			}
		}
	}
	if inside != 3 {
		t.Errorf("there were %d places inside it", inside)
	}
}

// A ledger that comes into being later is published by the next Setup, and known from there on by a tail that is already reading.
func TestALedgerThatComesLaterIsPublishedByTheNextSetup(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
		s := follow(t, d)
		tail := s.tail(s.from)
		d.Exec(t, "INSERT INTO a VALUES (1)")
		s.sees(tail, "insert a -> [int 1]")
		var there bool
		if d.Get(t, "SELECT to_regclass('crossfade.ledger') IS NOT NULL", &there); there {
			t.Fatal("Setup has made a ledger")
		}
		makeLedger(t, d)
		for range 2 {
			if err := s.Setup(t.Context(), s.tables); err != nil {
				t.Fatal(err)
			}
		}
		d.Exec(t, "BEGIN; "+moved(d.Name, "")+"INSERT INTO a VALUES (2); COMMIT; INSERT INTO a VALUES (3)")
		s.sees(tail, "insert a -> [int 3]")
		var stop *capture.Stop
		d.Exec(t, "ALTER TABLE crossfade.ledger REPLICA IDENTITY NOTHING")
		if err := s.Setup(t.Context(), s.tables); !errors.As(err, &stop) || stop.Object != "crossfade.ledger" || !strings.Contains(stop.Remedy, "REPLICA IDENTITY DEFAULT") {
			t.Errorf("set up with a ledger whose rows are not named: %v", err)
		}
		d.Exec(t, "ALTER TABLE crossfade.ledger REPLICA IDENTITY FULL")
		if err := s.Setup(t.Context(), s.tables); err != nil {
			t.Fatal(err)
		}
		d.Exec(t, "BEGIN; "+moved(d.Name, "")+"INSERT INTO a VALUES (4); COMMIT; BEGIN; DELETE FROM crossfade.ledger WHERE migration = '"+d.Name+"'; INSERT INTO a VALUES (5); COMMIT")
		s.sees(tail)
	})
}

// A table that was changed does not stop the reading of what our applier writes to it, and stops that of the application's next row. A ledger of another shape stops.
func TestAChangedTableStopsAtTheApplicationsRow(t *testing.T) {
	d := testdb.Postgres(t, 15).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	makeLedger(t, d)
	s := follow(t, d)
	d.Exec(t, "ALTER TABLE a ADD COLUMN v int")
	d.Exec(t, "BEGIN; "+moved(d.Name, "")+"INSERT INTO a VALUES (1, 1); COMMIT; INSERT INTO a VALUES (2, 2)")
	lines, err := s.until(s.tail(s.from), s.now())
	var stop *capture.Stop
	if !errors.As(err, &stop) || stop.Object != "public.a" || stop.Position == s.from || len(lines) > 0 {
		t.Errorf("behind %v it ends with %v", lines, err)
	}

	d = testdb.Postgres(t, 15).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); CREATE SCHEMA crossfade; CREATE TABLE crossfade.ledger (name text, side text, lane int, PRIMARY KEY (name, side, lane))")
	s = follow(t, d)
	d.Exec(t, "INSERT INTO crossfade.ledger VALUES ('x', 'y', 1)")
	if _, err = s.until(s.tail(s.from), s.now()); !errors.As(err, &stop) || stop.Object != "crossfade.ledger" || !strings.Contains(stop.Reason, "no column migration") {
		t.Errorf("a ledger of another shape: %v", err)
	}
}
