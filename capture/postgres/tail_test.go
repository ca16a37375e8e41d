package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// A table that is dropped, renamed or altered is noticed also when no row of it follows.
func TestATableThatIsNotWhatItWasStopsWithoutARow(t *testing.T) {
	for name, sql := range map[string]string{
		"dropped": "DROP TABLE a", "renamed": "ALTER TABLE a RENAME TO b", "altered": "ALTER TABLE a ALTER COLUMN v TYPE bigint", "widened": "ALTER TABLE a ADD COLUMN w int",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testdb.Postgres(t, 15).Database(t)
			d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int)")
			s := follow(t, d)
			tail := s.tail(s.from)
			d.Exec(t, sql)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for {
				_, err := tail.Next(ctx)
				var stop *capture.Stop
				if errors.As(err, &stop) && stop.Object == "public.a" {
					return
				}
				if err != nil {
					t.Fatalf("it ends with %v", err)
				}
			}
		})
	}
}

// A message that has been read does not come again: whoever asks for the next event may run out of time at any moment, and loses nothing.
func TestACallerWithoutTimeLosesNothing(t *testing.T) {
	d := testdb.Postgres(t, 15).Database(t)
	const tables = 40
	var ddl, rows strings.Builder
	for i := range tables {
		fmt.Fprintf(&ddl, "CREATE TABLE a%d (id int PRIMARY KEY, v int);", i)
		fmt.Fprintf(&rows, "INSERT INTO a%d VALUES (1, 1);", i)
	}
	d.Exec(t, ddl.String())
	s := follow(t, d)
	tail := s.tail(s.from)
	d.Exec(t, rows.String())
	end := time.Now().Add(time.Minute)
	for seen, try := 0, 0; seen < tables; try++ {
		if time.Now().After(end) {
			t.Fatalf("%d rows of %d came", seen, tables)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(try%20)*50*time.Microsecond)
		e, err := tail.Next(ctx)
		out := ctx.Err() != nil
		cancel()
		switch {
		case err != nil && !out:
			t.Fatalf("behind %d rows: %v", seen, err)
		case err == nil && e.Kind == capture.Row:
			seen++
		}
	}
}

// A row costs no allocation of ours, however the caller passes its time.
func TestRowsOfTheLogAreReadWithoutAllocations(t *testing.T) {
	d := testdb.Postgres(t, 15).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v text)")
	s := follow(t, d)
	const rows = 20000
	d.Exec(t, fmt.Sprintf("INSERT INTO a SELECT i, 'value ' || i FROM generate_series(1, %d) AS i", rows))
	tail := s.tail(s.from)
	next := func() {
		for {
			e, err := tail.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == capture.Row {
				return
			}
		}
	}
	next() // the table is described, and buffers are made
	if n := testing.AllocsPerRun(rows/2, next); n > 1 {
		t.Errorf("%v allocations a row", n)
	}
}
