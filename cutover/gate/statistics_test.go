package gate_test

import (
	"context"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestAPostgresSideGathersTheStatisticsThatAreNotFresh(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 18))
	got, err := d.gate.Analyze(t.Context())
	if err != nil || got.Tables != 3 || len(got.Failed) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	var tables string
	if d.Get(t, "SELECT string_agg(DISTINCT tablename, ' ' ORDER BY tablename) FROM pg_stats WHERE schemaname = 'public'", &tables); tables != "child p p1 p2 p21 t" {
		t.Errorf("statistics of %s", tables)
	}
	within(t, 20*time.Second, "what was gathered is fresh, but for the whole of a partitioned table", func() bool {
		got, err = d.gate.Analyze(t.Context())
		return err == nil && got.Fresh == 2 && got.Tables == 1
	})
	d.Exec(t, "ALTER TABLE t SET (autovacuum_enabled = false); SET session_replication_role = replica; INSERT INTO t (n) SELECT generate_series(1, 100); RESET session_replication_role")
	within(t, 20*time.Second, "what was changed is gathered again", func() bool {
		got, err = d.gate.Analyze(t.Context())
		return err == nil && got.Tables >= 2 // the server may tell of the rows that were there before only now
	})
	held := connect(t, d.URL())
	if _, err := held.Exec(t.Context(), "BEGIN; LOCK TABLE p IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	if got, err = d.gate.Analyze(t.Context()); err != nil || len(got.Failed) != 1 || got.Failed[0].Table != "public.p" || got.Failed[0].Why == "" {
		t.Errorf("with a table that is locked: %+v, %v", got, err)
	}
}

func TestAMySQLSideGathersStatisticsUnlessALongQueryRuns(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		rows := func() (n int) {
			if err := d.DB.QueryRow("SELECT n_rows FROM mysql.innodb_table_stats WHERE database_name = ? AND table_name = 't'", d.Name).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		spoilt := "UPDATE mysql.innodb_table_stats SET n_rows = 12345 WHERE database_name = '" + d.Name + "' AND table_name = 't'"
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = d.app.ExecContext(ctx, "SELECT SLEEP(30) FROM t LIMIT 1") // it is given up below
		}()
		within(t, 20*time.Second, "the long query is seen", func() bool {
			d.Exec(t, spoilt) // until the query has run for long they are gathered
			got, err := d.gate.Analyze(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(got.Failed) == 2 && got.Tables == 0
		})
		if n := rows(); n != 12345 {
			t.Errorf("beside a long query statistics were gathered: %d rows", n)
		}
		cancel()
		<-done
		d.Exec(t, "SET @q = (SELECT CONCAT('KILL ', MAX(ID)) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP(30)%'); SET @q = COALESCE(@q, 'DO 0'); PREPARE s FROM @q; EXECUTE s")
		within(t, 20*time.Second, "statistics are gathered", func() bool {
			got, err := d.gate.Analyze(t.Context())
			return err == nil && got.Tables == 2 && len(got.Failed) == 0
		})
		if n := rows(); n != 2 {
			t.Errorf("statistics of %d rows, not of 2", n)
		}
	})
}
