package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestKilledAtRandomMomentsFromPostgresEachChangeArrivesOnce(t *testing.T) {
	t.Run("to PostgreSQL", func(t *testing.T) {
		killedPair(t, endOnPostgres(t, testdb.NewPostgres(t, 18)), endOnPostgres(t, testdb.NewPostgres(t, 15)), 14, 60_000)
	})
	t.Run("to MySQL", func(t *testing.T) {
		killedPair(t, endOnPostgres(t, testdb.NewPostgres(t, 15)), endOnMySQL(t, testdb.NewMySQL(t)), 12, 60_000)
	})
}

// killedPair kills the daemon at random moments of the copy, of the catch-up and after, while the application writes.
func killedPair(t *testing.T, source, target *end, kills, rows int) {
	seedTraffic(t, source, rows)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "snapshot: {chunk_rows: 500, parallel: 2}")
	audited := target.engine == "postgres"
	if audited {
		db := target.open(target.url)
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), r.must("schema", "--phase", "before")+audit); err != nil {
			t.Fatal(err)
		}
	}
	w := startTraffic(t, source, source.open(source.url), 4, 3*time.Millisecond)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	phases := map[string]int{}
	for i := range kills {
		r.start()
		if i < kills/2 { // spread over the copy
			goal := (int64(i*rows) + rnd.Int64N(int64(rows))) / int64(kills/2)
			r.until("copying", time.Minute, func(s control.Status) bool {
				return s.State != "pending" && (s.Snapshot.RowsDone >= goal || phaseOf(s) != "snapshot")
			})
		} else if i%4 != 0 { // every fourth is killed while it starts
			r.until("serving", time.Minute, func(s control.Status) bool { return s.State != "pending" })
			pause(time.Duration(rnd.IntN(900)) * time.Millisecond)
		} else {
			pause(time.Duration(rnd.IntN(300)) * time.Millisecond)
		}
		phases[phaseNow(r)]++
		r.kill()
	}
	t.Logf("killed in phases %v", phases)
	if phases["running snapshot"] < kills/5 {
		t.Errorf("only %d kills hit the copy", phases["running snapshot"])
	}
	r.start()
	r.until("strict", 3*time.Minute, func(s control.Status) bool {
		for _, tb := range s.Tables {
			if tb.State != "strict" {
				return false
			}
		}
		return len(s.Tables) > 0
	})
	firstStrict := w.next.Load() + 10 // in flight now
	for range 3 {                     // and again while everything is strict
		pause(time.Duration(200+rnd.IntN(800)) * time.Millisecond)
		r.kill()
		r.start()
	}
	r.waitReady()
	acked := w.stop()
	r.until("level", time.Minute, func(control.Status) bool {
		return strings.Join(rowsOf(t, source, "SELECT count(*), max(id) FROM op"), "") == strings.Join(rowsOf(t, target, "SELECT count(*), max(id) FROM op"), "")
	})
	if exit, out, errs := r.crossfade("verify"); exit != 0 {
		t.Errorf("verify: exit %d\n%s%s", exit, out, errs)
	}
	sameRows(t, source, target)
	holds(t, target, acked)
	if !audited {
		return
	}
	one := func(q string) string { return strings.Join(rowsOf(t, target, q), " ") }
	if n := one(fmt.Sprintf("SELECT count(*) FROM (SELECT key FROM audit WHERE tab = 'op' AND key::bigint > %d GROUP BY key HAVING count(*) <> 1 OR min(op) <> 'INSERT') x", firstStrict)); n != "0" {
		t.Errorf("%s rows of a strict table were written more than once", n)
	}
	if n := one(fmt.Sprintf(`SELECT count(*) FROM (SELECT value::numeric v, lag(value::numeric) OVER (PARTITION BY key ORDER BY n) before FROM audit
		WHERE tab = 'account' AND n > (SELECT min(n) FROM audit WHERE tab = 'op' AND key::bigint > %d)) x WHERE before IS NOT NULL AND v <= before`, firstStrict)); n != "0" {
		t.Errorf("%s changes of a strict table arrived twice or out of order", n)
	}
	if n := one(fmt.Sprintf("SELECT count(*) >= 50 FROM audit WHERE tab = 'op' AND key::bigint > %d", firstStrict)); n != "t" && n != "true" {
		t.Errorf("too few changes were looked at (%s)", n)
	}
}

func TestACutoverFromPostgresUnderLoadLosesNothing(t *testing.T) {
	t.Run("to PostgreSQL", func(t *testing.T) {
		for i := range 3 {
			t.Run(fmt.Sprint(i+1), func(t *testing.T) {
				cutOverPair(t, endOnPostgres(t, testdb.Postgres(t, 15)), endOnPostgres(t, testdb.Postgres(t, 18)))
			})
		}
	})
}

func TestACutoverToMySQLAndMariaDBUnderLoadLosesNothing(t *testing.T) {
	for name, ends := range map[string]func() (source, target *end){
		"PostgreSQL to MySQL": func() (source, target *end) {
			return endOnPostgres(t, testdb.Postgres(t, 18)), endOnMySQL(t, testdb.MySQL(t))
		},
		"PostgreSQL to MariaDB": func() (source, target *end) {
			return endOnPostgres(t, testdb.Postgres(t, 18)), endOnMySQL(t, testdb.MariaDB(t, "11.8"))
		},
		"MySQL to MySQL": func() (source, target *end) { return endOnMySQL(t, testdb.MySQL(t)), endOnMySQL(t, testdb.NewMySQL(t)) },
		"MariaDB to MySQL": func() (source, target *end) {
			return endOnMySQL(t, testdb.MariaDB(t, "10.11")), endOnMySQL(t, testdb.MySQL(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, target := ends()
			cutOverPair(t, source, target)
		})
	}
}

// cutOverPair moves the writes while the application writes as a user of its own.
func cutOverPair(t *testing.T, source, target *end) {
	seedTraffic(t, source, 3000)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "")
	config, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	app := source.user()
	if err := os.WriteFile(r.config, append(config, "cutover:\n  max_pause: 20s\n  switch:\n"+r.switchStep()...), 0o600); err != nil {
		t.Fatal(err)
	}
	w := startTraffic(t, source, source.open(app), 4, 2*time.Millisecond)
	r.start()
	r.waitReady()
	there := target.user()
	db := target.open(there)
	defer db.Close()
	write := func(id int64) error {
		_, err := db.ExecContext(t.Context(), target.sqlOf("INSERT INTO op VALUES (?, 9, 1, 1)"), id)
		return err
	}
	if err := write(-1); err == nil || !strings.Contains(err.Error(), "crossfade") {
		t.Fatalf("the target took an application's write before the decision (%v)", err)
	}
	if exit, out, errs := r.crossfade("cutover", "--json"); exit != 0 {
		t.Fatalf("cutover: exit %d\n%s%s", exit, out, errs)
	}
	acked := w.stop()
	rep := r.report()
	var steps strings.Builder
	for _, s := range rep.Steps {
		fmt.Fprintf(&steps, " %s %d", s.Name, s.TookMS)
	}
	t.Logf("write pause %d ms (predicted %d), %d writes acknowledged; steps in ms:%s", rep.WritePauseMS, rep.PredictedPauseMS, len(acked), &steps)
	if rep.Verdict != "completed" || r.active() != "target" {
		t.Errorf("verdict %s, traffic at %s", rep.Verdict, r.active())
	}
	whoever := app
	if source.engine == "postgres" { // whoever owns the tables is refused too
		whoever = source.url
	}
	old := source.open(whoever)
	defer old.Close()
	if _, err := old.ExecContext(t.Context(), source.sqlOf("INSERT INTO op VALUES (?, 9, 1, 1)"), -2); err == nil || !strings.Contains(err.Error(), "crossfade") {
		t.Errorf("the source after the decision: %v", err)
	}
	sameRows(t, source, target)
	holds(t, target, acked)
	highest := rowsOf(t, source, "SELECT max(id) FROM handle")
	if err := write(-3); err != nil {
		t.Fatalf("the target refuses the application after the decision: %v", err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO handle (name) VALUES ('after')"); err != nil {
		t.Fatalf("the target hands out no number: %v", err)
	}
	if n := rowsOf(t, target, fmt.Sprintf("SELECT count(*) FROM handle WHERE name = 'after' AND id > %s", highest[0])); n[0] != "1" {
		t.Errorf("the number handed out is not above %s", highest[0])
	}
	r.stop()
	r.must("cleanup")
	if _, err := old.ExecContext(t.Context(), source.sqlOf("INSERT INTO op VALUES (?, 9, 1, 1)"), -4); err == nil {
		t.Error("after cleanup the old side takes writes")
	}
	r.must("cleanup", "--open-old")
	if _, err := old.ExecContext(t.Context(), source.sqlOf("INSERT INTO op VALUES (?, 9, 1, 1)"), -5); err != nil {
		t.Errorf("opened again, the old side refuses: %v", err)
	}
}

// A source whose target is away for long is not held back: its log is kept by the stream, and no transaction of ours stays open.
func TestAPostgresSourceIsNotHeldBackWhileTheTargetIsAway(t *testing.T) {
	away := testdb.NewPostgres(t, 15)
	source, target := endOnPostgres(t, testdb.NewPostgres(t, 18)), endOnPostgres(t, away)
	seedTraffic(t, source, 2000)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "")
	r.start()
	r.waitReady()
	conn, err := pgx.Connect(t.Context(), source.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var written, most, oldest int64
	look := func() (kept int64) {
		t.Helper()
		var age int64
		if err := conn.QueryRow(t.Context(), `SELECT (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint,
			(SELECT coalesce(max(age(backend_xmin)), 0) FROM pg_stat_activity WHERE application_name LIKE 'crossfade%') FROM pg_replication_slots`).Scan(&kept, &age); err != nil {
			t.Fatal(err)
		}
		most, oldest = max(most, kept), max(oldest, age)
		return kept
	}
	if err := away.Stop(); err != nil {
		t.Fatal(err)
	}
	var began int64
	if err := conn.QueryRow(t.Context(), "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&began); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO line SELECT 1000000 + %d * 2000 + i, 0, repeat('x', 16), i FROM generate_series(1, 2000) AS s(i)", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "UPDATE account SET balance = balance + 1"); err != nil {
			t.Fatal(err)
		}
		r.until("the log released", time.Minute, func(control.Status) bool { return look() < 8<<20 })
	}
	// What is kept at the end is bounded by how often the server is told, not by what was written.
	r.until("the log released", time.Minute, func(control.Status) bool {
		var kept int64
		if err := conn.QueryRow(t.Context(), "SELECT (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint FROM pg_replication_slots").Scan(&kept); err != nil {
			t.Fatal(err)
		}
		return kept < 1<<20
	})
	if err := conn.QueryRow(t.Context(), fmt.Sprintf("SELECT (pg_current_wal_lsn() - '0/0')::bigint - %d", began)).Scan(&written); err != nil {
		t.Fatal(err)
	}
	t.Logf("while the target was away the source wrote %d kB of log; at most %d kB were kept for us at any time, less than 1 MB at the end; our oldest snapshot was %d transactions old", written/1024, most/1024, oldest)
	if most > written/2 {
		t.Errorf("%d of %d bytes of log were kept for us", most, written)
	}
	if written < 20<<20 {
		t.Errorf("only %d bytes of log were written", written)
	}
	if oldest > 50 {
		t.Errorf("a snapshot of ours was %d transactions old", oldest)
	}
	if err := away.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.until("level again", 2*time.Minute, func(s control.Status) bool {
		return s.LagSeconds != nil && *s.LagSeconds < 1 && strings.Join(rowsOf(t, source, "SELECT count(*) FROM line"), "") == strings.Join(rowsOf(t, target, "SELECT count(*) FROM line"), "")
	})
	sameRows(t, source, target)
}

// ALTER TABLE can rewrite rows without a change in the log, under the same type. The table is compared in full again, and no cutover passes before (D20).
func TestRowsRewrittenWithoutAChangeInTheLogAreFound(t *testing.T) {
	source, target := endOnPostgres(t, testdb.Postgres(t, 18)), endOnPostgres(t, testdb.Postgres(t, 15))
	seedTraffic(t, source, 1000)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "")
	r.start()
	r.waitReady()
	execOn(t, source, "ALTER TABLE account ALTER COLUMN balance TYPE numeric(12,2) USING balance + 1")
	if exit, out, errs := r.crossfade("cutover"); exit != 3 {
		t.Fatalf("a cutover right after it: exit %d\n%s%s", exit, out, errs)
	}
	r.until("the differences found", time.Minute, func(s control.Status) bool { return s.Verify.Differences > 0 })
	if exit, _, errs := r.crossfade("cutover"); exit != 3 || !strings.Contains(errs, "differ") {
		t.Errorf("a cutover: exit %d, %s", exit, errs)
	}
	if exit, out, errs := r.crossfade("verify", "--repair"); exit != 0 {
		t.Errorf("repair: exit %d\n%s%s", exit, out, errs)
	}
	sameRows(t, source, target)
}

// From PostgreSQL to PostgreSQL each schema stays what it is, unless the target's is given; so do names that are quoted, and an enum of a schema of its own.
func TestSchemasAndNamesOfPostgresStayWhatTheyAre(t *testing.T) {
	source, target := endOnPostgres(t, testdb.Postgres(t, 18)), endOnPostgres(t, testdb.Postgres(t, 15))
	for _, q := range []string{"CREATE SCHEMA shop", `CREATE SCHEMA "My types"`, `CREATE TYPE "My types".mood AS ENUM ('fine', 'it''s')`,
		`CREATE TABLE shop."Orders" ("Id" int PRIMARY KEY, mood "My types".mood DEFAULT 'fine')`, `CREATE TABLE "Orders" ("Id" int PRIMARY KEY)`,
		`INSERT INTO shop."Orders" VALUES (1, 'it''s'); INSERT INTO "Orders" VALUES (2)`} {
		execOn(t, source, q)
	}
	r := newPair(t, source, target, `"*.*"`, "")
	config, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.config, []byte(strings.Replace(string(config), "  schema: public\n", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.waitReady()
	got := rowsOf(t, target, `SELECT "Id", mood::text, pg_typeof(mood)::text FROM shop."Orders" UNION ALL SELECT "Id", '', '' FROM "Orders"`)
	if want := `1 | it's | "My types".mood,2 |  | `; strings.Join(got, ",") != want {
		t.Errorf("the target has %q, want %q", strings.Join(got, ","), want)
	}
}
