package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// After a cutover the old side is kept current: what the application writes to the target arrives at the source, once, also when the daemon is killed meanwhile; and the
// application cannot write to the source.
func TestTheSourceIsKeptCurrentAfterACutover(t *testing.T) {
	for name, ends := range map[string]func(t *testing.T) (source, target *end){
		"MySQL to PostgreSQL": func(t *testing.T) (source, target *end) {
			return endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18))
		},
		"PostgreSQL to PostgreSQL": func(t *testing.T) (source, target *end) {
			return endOnPostgres(t, testdb.Postgres(t, 15)), endOnPostgres(t, testdb.Postgres(t, 18))
		},
		"PostgreSQL to MariaDB": func(t *testing.T) (source, target *end) {
			return endOnPostgres(t, testdb.Postgres(t, 18)), endOnMySQL(t, testdb.MariaDB(t, "11.8"))
		},
		"MariaDB to MySQL": func(t *testing.T) (source, target *end) {
			return endOnMySQL(t, testdb.MariaDB(t, "11.8")), endOnMySQL(t, testdb.MySQL(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, target := ends(t)
			keptCurrent(t, source, target)
		})
	}
}

func keptCurrent(t *testing.T, source, target *end) {
	seedTraffic(t, source, 600)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	app := source.user()
	w := startTraffic(t, source, source.open(app), 3, 4*time.Millisecond)
	r.start()
	r.waitReady()
	r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
	there := target.user()
	if exit, out, errs := r.crossfade("cutover"); exit != 0 || !strings.Contains(out, "**completed**") {
		t.Fatalf("cutover: exit %d\n%s%s", exit, out, errs)
	}
	acked := w.stop()
	holds(t, target, acked)
	back := startTraffic(t, target, target.open(there), 3, 4*time.Millisecond)
	back.next.Store(w.next.Load())
	enough := func(n int) {
		r.until("the application has written", time.Minute, func(control.Status) bool {
			back.mu.Lock()
			defer back.mu.Unlock()
			return len(back.acked) >= n
		})
	}
	enough(100)
	r.kill()
	r.start()
	enough(300)
	r.until("applying back", time.Minute, func(s control.Status) bool {
		return s.Reverse != nil && s.Reverse.State == "applying" && s.Reverse.LagSeconds != nil
	})
	old := source.open(app)
	defer old.Close()
	if _, err := old.ExecContext(t.Context(), "UPDATE account SET balance = 0"); err == nil {
		t.Error("the application writes to the source that was left")
	}
	acked = back.stop()
	r.until("level", time.Minute, func(control.Status) bool {
		return strings.Join(rowsOf(t, target, "SELECT count(*), max(id) FROM op"), "") == strings.Join(rowsOf(t, source, "SELECT count(*), max(id) FROM op"), "")
	})
	r.until("no lag", time.Minute, func(s control.Status) bool { return s.Reverse.LagSeconds != nil && *s.Reverse.LagSeconds == 0 })
	sameRows(t, target, source)
	holds(t, source, acked)
	r.until("verified", time.Minute, func(s control.Status) bool { return s.Reverse.LastCleanAt != nil })
	if s := r.status(); s.Reverse.Differences != 0 || s.State != "completed" || *s.Phase != "soak" {
		t.Errorf("status %+v, reverse %+v", s, s.Reverse)
	}
	r.stop()
	r.must("cleanup")
	for name, e := range map[string]*end{"source": source, "target": target} {
		if left := leftOf(t, e, r.name); left != "" {
			t.Errorf("cleanup leaves on the %s: %s", name, left)
		}
	}
}

// leftOf lists what of a migration is left in a database besides the seal of the old side.
func leftOf(t *testing.T, e *end, name string) string {
	name = strings.ReplaceAll(name, "-", "_")
	var out []string
	if e.engine == "postgres" {
		out = append(out, rowsOf(t, e, "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE '%"+name+"%'")...)
		out = append(out, rowsOf(t, e, "SELECT pubname FROM pg_publication WHERE pubname LIKE '%"+name+"%'")...)
	}
	for _, table := range rowsOf(t, e, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'crossfade'") {
		if n := rowsOf(t, e, "SELECT count(*) FROM crossfade."+table+" WHERE migration = '"+name+"'"); n[0] != "0" {
			out = append(out, table+" "+n[0])
		}
	}
	return strings.Join(out, ", ")
}

// Whoever writes to the target besides us before the decision is found, also where the gate does not stop him: his table is compared in full again, what he wrote is named, and no
// cutover is let in before that is mended.
func TestAWriteOfAStrangerToTheTargetIsFoundAndIsANoGo(t *testing.T) {
	for name, ends := range map[string]func(t *testing.T) (source, target *end, as string){
		"PostgreSQL": func(t *testing.T) (source, target *end, as string) {
			return endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18)), "SET session_replication_role = replica; "
		},
		"MySQL": func(t *testing.T) (source, target *end, as string) { // our own user
			return endOnPostgres(t, testdb.Postgres(t, 18)), endOnMySQL(t, testdb.MySQL(t)), ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, target, as := ends(t)
			seedTraffic(t, source, 600)
			r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
			r.start()
			r.waitReady()
			r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
			execOn(t, target, as+"UPDATE account SET owner = 'a stranger' WHERE id = 7")
			r.until("found", time.Minute, func(s control.Status) bool { return s.Verify.Differences > 0 })
			r.kill()
			r.start()
			r.until("running", time.Minute, func(s control.Status) bool { return s.State == "running" && phaseOf(s) != "catchup" })
			if exit, out, errs := r.crossfade("cutover"); exit != 3 {
				t.Errorf("cutover: exit %d\n%s%s", exit, out, errs)
			}
			if exit, out, errs := r.crossfade("verify"); exit != 4 || !strings.Contains(out+errs, "id=7") {
				t.Errorf("verify: exit %d\n%s%s", exit, out, errs)
			}
			r.must("verify", "--repair")
			r.waitReady()
			r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
			if exit, out, errs := r.crossfade("cutover"); exit != 0 {
				t.Errorf("cutover: exit %d\n%s%s", exit, out, errs)
			}
		})
	}
}
