package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// seen is an event that a tail returned, and the place behind it.
type seen struct {
	capture.Event
	place string
}

// String is for comparison: op table old -> new.
func (s seen) String() string {
	switch s.Kind {
	case capture.Row:
		out := s.Change.Op.String() + " " + s.Change.Table.Name
		if s.Change.Before != nil {
			out += " [" + write(s.Change.Before) + "]"
		}
		if s.Change.After != nil {
			out += " -> [" + write(s.Change.After) + "]"
		}
		if s.Change.Unchecked {
			out += " unchecked"
		}
		return out
	case capture.Truncate:
		return "truncate " + s.Change.Table.Name
	case capture.MarkerEvent:
		return fmt.Sprintf("marker %+v", s.Marker)
	default:
		return s.Kind.String()
	}
}

func lines(events []seen) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}

// values of the map, which decides nothing by its order.
func values(m map[string]*catalog.Table) []*catalog.Table {
	var out []*catalog.Table
	for _, t := range m {
		out = append(out, t)
	}
	return out
}

// scoped is a source that selects the tables of one database only, so that tests can share a server.
func scoped(t testing.TB, d *testdb.MySQLDB) *Source {
	t.Helper()
	s := open(t, d)
	s.cfg.Selected = func(schema, _ string) bool { return schema == d.Name }
	return s
}

func startTail(t testing.TB, s *Source, from string, tables map[string]*catalog.Table) capture.Tail {
	t.Helper()
	tail, err := s.Tail(t.Context(), from, values(tables))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tail.Close(); err != nil {
			t.Error(err)
		}
	})
	return tail
}

// follow reads until the tail is at or past a position. Commits and signs of life are left out, except commits that end a transaction of
// selected tables.
func follow(t testing.TB, s *Source, tail capture.Tail, until string) ([]seen, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var out []seen
	inside := false
	for {
		at, err := s.Covers(tail.Place(), until)
		if err != nil {
			t.Fatal(err)
		}
		if at {
			return out, nil
		}
		ev, err := tail.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				t.Fatalf("nothing more came before %s was reached; at %s", until, tail.Place())
			}
			return out, err
		}
		e := seen{Event: *ev, place: tail.Place()}
		e.Change.Before, e.Change.After = ev.Change.Before.Clone(), ev.Change.After.Clone()
		switch ev.Kind {
		case capture.Alive:
			continue
		case capture.Commit:
			if !inside {
				continue
			}
			inside = false
		default:
			inside = true
		}
		out = append(out, e)
	}
}

// changesOf runs statements in one session and returns what a tail sees of them.
func changesOf(t testing.TB, s *Source, d *testdb.MySQLDB, statements ...string) ([]seen, error) {
	t.Helper()
	from := now(t, s)
	tail := startTail(t, s, from, tables(t, d))
	inOneSession(t, d, statements...)
	return follow(t, s, tail, now(t, s))
}

// inOneSession runs statements one after the other in a session of their own.
func inOneSession(t testing.TB, d *testdb.MySQLDB, statements ...string) {
	t.Helper()
	conn, err := d.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What a test sets in the session must not reach another through the pool.
	defer conn.Raw(func(any) error { return driver.ErrBadConn })
	for len(statements) > 0 { // several at a time, which the test servers' connections allow
		n := min(len(statements), 40)
		some := strings.Join(statements[:n], ";\n")
		statements = statements[n:]
		if _, err := conn.ExecContext(t.Context(), some); err != nil {
			t.Fatalf("%.2000s: %v", some, err)
		}
	}
}

// mustSee compares what a tail saw with what it should have, a line for each.
func mustSee(t testing.TB, events []seen, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\nafter:\n%s", err, lines(events))
	}
	bad := 0
	for i := range max(len(events), len(want)) {
		got, wanted := "nothing", "nothing"
		if i < len(events) {
			got = events[i].String()
		}
		if i < len(want) {
			wanted = want[i]
		}
		if got != wanted {
			if bad++; bad <= 10 {
				t.Errorf("event %d: saw %.300s\nwant %.300s", i, got, wanted)
			}
		}
	}
	if bad > 10 {
		t.Errorf("and %d more", bad-10)
	}
}

// mustStop checks that the tail stopped, for the reason and with the remedy given in part.
func mustStop(t testing.TB, err error, object, reason, remedy string) {
	t.Helper()
	var stop *capture.Stop
	if !errors.As(err, &stop) {
		t.Fatalf("it did not stop: %v", err)
	}
	if !strings.Contains(stop.Object, object) || !strings.Contains(stop.Reason, reason) || !strings.Contains(stop.Remedy, remedy) || stop.Position == "" {
		t.Errorf("stopped with %+v; want object %q, reason %q, remedy %q", *stop, object, reason, remedy)
	}
}
