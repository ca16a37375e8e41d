package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// The soak ends for good, also when the daemon is killed between saying so and cleaning up: nothing of ours keeps a log on either side any more, the source stays closed, and there
// is no way back.
func TestASoakThatIsFinalizedLeavesNothingThatHoldsALogAndNoWayBack(t *testing.T) {
	for name, ends := range map[string]func(t *testing.T) (source, target *end, reverse bool){
		"MySQL to PostgreSQL": func(t *testing.T) (source, target *end, reverse bool) {
			return endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18)), true
		},
		"PostgreSQL to MySQL": func(t *testing.T) (source, target *end, reverse bool) {
			return endOnPostgres(t, testdb.Postgres(t, 18)), endOnMySQL(t, testdb.MySQL(t)), true
		},
		"PostgreSQL to PostgreSQL without a way back": func(t *testing.T) (source, target *end, reverse bool) {
			return endOnPostgres(t, testdb.Postgres(t, 15)), endOnPostgres(t, testdb.Postgres(t, 18)), false
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, target, reverse := ends(t)
			finalized(t, source, target, reverse)
		})
	}
}

func finalized(t *testing.T, source, target *end, reverse bool) {
	seedTraffic(t, source, 100)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), fmt.Sprintf("cutover: {reverse: %v, max_pause: 20s}", reverse))
	app, there := source.user(), ""
	r.start()
	r.waitReady()
	if exit, out, errs := r.crossfade("finalize"); exit != 3 || !strings.Contains(out+errs, "the source serves") {
		t.Errorf("finalize before a cutover: exit %d\n%s%s", exit, out, errs)
	}
	if reverse {
		r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
	}
	there = target.user()
	r.must("cutover")
	if reverse {
		r.until("soaking", time.Minute, func(s control.Status) bool { return s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil })
	}
	r.stop()
	r.env = []string{"CROSSFADE_FAILPOINT=finalize:after"}
	r.start()
	r.until("up", time.Minute, func(s control.Status) bool { return s.State == "completed" })
	if exit, out, errs := r.crossfade("finalize"); exit == 0 {
		t.Errorf("finalize was to be killed: exit %d\n%s%s", exit, out, errs)
	}
	r.kill()
	r.env = nil
	r.start()
	over := func(s control.Status) bool {
		return s.State == "completed" && s.Phase == nil && s.Error == nil && (!reverse || s.Reverse.State == "off")
	}
	r.until("finalized", time.Minute, over)
	r.must("finalize")
	if exit, out, errs := r.crossfade("rollback"); exit != 3 || !strings.Contains(out+errs, "finalize") {
		t.Errorf("a rollback after the soak was ended: exit %d\n%s%s", exit, out, errs)
	}
	slots := func(e *end) []string {
		if e.engine != "postgres" {
			return nil
		}
		like := " LIKE '%" + strings.ReplaceAll(r.name, "-", "_") + "%'"
		return append(rowsOf(t, e, "SELECT slot_name FROM pg_replication_slots WHERE slot_name"+like), rowsOf(t, e, "SELECT pubname FROM pg_publication WHERE pubname"+like)...)
	}
	for _, again := range []bool{false, true} {
		if again {
			r.stop()
			r.start()
		}
		r.until("finalized", time.Minute, over)
		for what, e := range map[string]*end{"source": source, "target": target} {
			end := time.Now().Add(30 * time.Second)
			for len(slots(e)) > 0 && time.Now().Before(end) {
				pause(20 * time.Millisecond)
			}
			if left := slots(e); len(left) > 0 {
				t.Errorf("left on the %s: %v", what, left)
			}
		}
		rep := r.report()
		if last := rep.Steps[len(rep.Steps)-1]; rep.Verdict != "completed" || last.Name != "finalized" || last.Outcome != "done" {
			t.Errorf("the report ends with %+v, verdict %s", last, rep.Verdict)
		}
	}
	writable := func(when string) {
		t.Helper()
		for user, e := range map[string]*end{app: source, there: target} {
			db := e.open(user)
			if _, err := db.ExecContext(t.Context(), "UPDATE account SET balance = balance + 1 WHERE id = 1"); (err == nil) != (e == target) {
				t.Errorf("%s a write of the application to the %s: %v", when, e.engine, err)
			}
			db.Close()
		}
	}
	writable("finalized:")
	r.stop()
	r.must("cleanup")
	for what, e := range map[string]*end{"source": source, "target": target} {
		if left := leftOf(t, e, r.name); left != "" {
			t.Errorf("cleanup leaves on the %s: %s", what, left)
		}
	}
	writable("cleaned up:")
}

// Whoever still writes to the side that was left is refused, and is counted: the report says how often, also after a restart of the daemon. Our own probes are not.
func TestWritesToTheSideThatWasLeftAreRefusedAndCounted(t *testing.T) {
	for name, ends := range map[string]func(t *testing.T) (source, target *end, counts bool){
		"MySQL": func(t *testing.T) (source, target *end, counts bool) {
			return endOnMySQL(t, testdb.NewMySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18)), true
		},
		"PostgreSQL": func(t *testing.T) (source, target *end, counts bool) {
			return endOnPostgres(t, testdb.Postgres(t, 15)), endOnPostgres(t, testdb.Postgres(t, 18)), true
		},
		"MariaDB": func(t *testing.T) (source, target *end, counts bool) {
			return endOnMySQL(t, testdb.MariaDB(t, "11.8")), endOnPostgres(t, testdb.Postgres(t, 18)), false
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, target, counts := ends(t)
			seedTraffic(t, source, 100)
			r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
			app := source.user()
			r.start()
			r.waitReady()
			r.must("cutover")
			refused := func(want uint64) {
				t.Helper()
				switch n := r.report().RefusedWrites; {
				case !counts && n != nil:
					t.Errorf("%d refused", *n)
				case counts && (n == nil || *n != want):
					t.Errorf("%v refused, want %d", n, want)
				}
			}
			refused(0)
			db := source.open(app)
			defer db.Close()
			for range 3 {
				if _, err := db.ExecContext(t.Context(), "UPDATE account SET balance = 0"); err == nil {
					t.Fatal("the application writes to the source")
				}
			}
			refused(3)
			r.stop()
			r.start()
			r.until("up", time.Minute, func(s control.Status) bool { return s.State == "completed" && s.Reverse.LastCleanAt != nil })
			if out := r.must("report"); counts && !strings.Contains(out, "refused since: 3") {
				t.Errorf("report: %s", tail(out, 2000))
			}
			r.stop()
			r.must("cleanup")
			if left := leftOf(t, source, r.name); left != "" {
				t.Errorf("left: %s", left)
			}
		})
	}
}
