package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// TestARefusedRowHoldsItsTableUntilThePolicyIsMended: a value that the target cannot hold stops one table, by name. The others go on, cutover is refused, and
// nothing of what came behind it is lost when the configuration says what becomes of the value.
func TestARefusedRowHoldsItsTableUntilThePolicyIsMended(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15), "")
	conn, err := r.my.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(q string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec("SET SESSION sql_mode = ''")
	exec("CREATE TABLE event (id INT PRIMARY KEY, at DATETIME NOT NULL, what VARCHAR(20) NOT NULL)")
	exec("CREATE TABLE other (id INT PRIMARY KEY, v INT)")
	exec("INSERT INTO event VALUES (1, '2024-01-01 10:00:00', 'good')")
	r.start()
	r.waitReady()

	exec("BEGIN")
	exec("INSERT INTO event VALUES (2, '0000-00-00 00:00:00', 'zero')")
	exec("INSERT INTO other VALUES (1, 10)")
	exec("COMMIT")
	held := r.until("held", time.Minute, func(s control.Status) bool { return len(s.Held) > 0 })
	if h := held.Held[0]; !strings.HasSuffix(h.Table, ".event") || !strings.Contains(h.Key, "2") || !strings.Contains(h.Reason, "0000-00-00") || !strings.Contains(h.Reason, "zero_date") {
		t.Errorf("held: %+v", h)
	}
	exec("INSERT INTO event VALUES (3, '2024-03-03 00:00:00', 'behind')")
	exec("UPDATE event SET what = 'changed' WHERE id IN (1, 2)")
	exec("DELETE FROM event WHERE id = 3")
	exec("INSERT INTO event VALUES (4, '0000-00-00 00:00:00', 'again')")
	exec("INSERT INTO other VALUES (2, 20)")
	r.caughtUp("other") // goes on
	var n int
	if r.pg.Get(t, "SELECT count(*)::int FROM event", &n); n != 1 {
		t.Errorf("%d rows of the held table, want the 1 from before", n)
	}
	if exit, out, errs := r.crossfade("cutover"); exit != 3 || !strings.Contains(out+errs, "event") {
		t.Errorf("cutover with a held table: exit %d\n%s%s", exit, out, errs)
	}

	// Tried again without a change it is held again; nothing moves.
	if exit, out, errs := r.crossfade("resume"); exit == 0 && len(r.status().Held) == 0 {
		t.Errorf("resume without a remedy let the row pass\n%s%s", out, errs)
	}
	r.kill()
	r.configure(r.my.URL(), r.pg.URL(), "transform: {types: [{match: \"mysql:datetime\", zero_date: \"1970-01-01\"}]}\ncutover:\n  switch:\n"+r.switchStep())
	r.start()
	r.until("serving", time.Minute, func(s control.Status) bool { return s.State != "pending" && len(s.Held) > 0 })
	r.must("resume", "--table", r.my.Name+".event")
	r.until("replayed", time.Minute, func(s control.Status) bool { return len(s.Held) == 0 })
	r.caughtUp("event")
	r.equal("event", "SELECT id, IF(at = 0, '1970-01-01 00:00:00', at), what FROM event ORDER BY id", "SELECT id, at, what FROM event ORDER BY id")
	if out := r.must("verify"); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify printed %s", out)
	}
	r.must("cutover")
	if l := r.report().Lossy; len(l) != 1 || l[0].Column != "at" || l[0].Rows != 2 {
		t.Errorf("the report says of altered values: %+v", l)
	}
}

func TestAHeldTableIsShownRefusesTheCutoverAndIsReplayed(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.my.Exec(t, "CREATE TABLE other (id INT PRIMARY KEY)")
	r.start()
	r.waitReady()
	r.pg.Exec(t, "ALTER TABLE users ADD CONSTRAINT short CHECK (length(name) < 5)")
	r.my.Exec(t, "INSERT INTO users VALUES (3, 'cecilia'), (4, 'dan')")
	r.my.Exec(t, "INSERT INTO other VALUES (1)")
	s := r.until("held", time.Minute, func(s control.Status) bool { return len(s.Held) > 0 })
	h := s.Held[0]
	if h.Table != r.my.Name+".users" || h.Key != "(id=3)" || !strings.Contains(h.Reason, "short") || h.Remedy == "" {
		t.Errorf("held: %+v", h)
	}
	says(t, "status", r.must("status"), "held      "+r.my.Name+".users at (id=3)")
	r.caughtUp("other") // the others go on
	exit, out, errs := r.crossfade("cutover", "--dry-run")
	if exit != 3 {
		t.Errorf("exit %d, want 3", exit)
	}
	says(t, "the go/no-go", out+errs, "(id=3)", r.my.Name+".users")
	if exit, _, errs := r.crossfade("resume", "--table", r.my.Name+".other"); exit != 3 || !strings.Contains(errs, "is not held") {
		t.Errorf("exit %d, want 3: %s", exit, errs)
	}
	r.stop()
	says(t, "status without the daemon", r.must("status"), "held      "+r.my.Name+".users at (id=3)")
	r.start()
	r.until("still held", time.Minute, func(s control.Status) bool { return len(s.Held) > 0 })
	r.pg.Exec(t, "ALTER TABLE users DROP CONSTRAINT short")
	r.must("resume", "--table", r.my.Name+".users")
	r.until("replayed", time.Minute, func(s control.Status) bool { return len(s.Held) == 0 })
	r.caughtUp("users")
	r.equal("users", "SELECT id, name FROM users ORDER BY id", "SELECT id, name FROM users ORDER BY id")
}

func TestAnIndexThatCannotBeBuiltStopsWithTheStatementAndIsTriedAgain(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.my.Exec(t, "CREATE TABLE long_text (id INT PRIMARY KEY, v VARCHAR(3000) CHARACTER SET latin1, KEY v (v))")
	var b strings.Builder // what does not compress does not fit into a page of PostgreSQL's index
	rnd := rand.New(rand.NewPCG(1, 2))
	for b.Len() < 3000 {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rnd.IntN(64)])
	}
	r.my.Exec(t, "INSERT INTO long_text VALUES (1, ?), (2, 'short')", b.String())
	r.start()
	s := r.until("stopped", time.Minute, func(s control.Status) bool { return s.State == "failed" })
	says(t, "status", *s.Error, "index", "long_text_v", "CREATE INDEX", "maximum")
	r.my.Exec(t, "DELETE FROM long_text WHERE id = 1")
	r.until("deleted", time.Minute, func(s control.Status) bool { return s.Tables[0].Deleted == 1 })
	r.must("resume")
	r.until("ready", time.Minute, func(s control.Status) bool { return phaseOf(s) == "ready" && s.Error == nil })
	var built bool
	r.pg.Get(t, "SELECT to_regclass('long_text_v') IS NOT NULL", &built)
	if !built {
		t.Error("ready without the index")
	}
}
